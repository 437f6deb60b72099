//! `make image`: the host, and each bundle, as an image of its own, made by buildah without a
//! daemon. Used by `make cluster` and the suites that need images.
//!
//! Both kinds are `FROM scratch`. The host is linked against glibc, so its loader and the
//! few libraries it names are the only things beside it: a static build would be a second
//! build of everything, and would resolve names differently. The bundles' images hold the
//! OCI layout of one bundle and nothing that runs; a pod mounts them as image volumes.

use crate::place::Place;
use crate::process::{self, Ending};
use crate::ui::{self, Step};
use crate::{debian, guests, run};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names of the images are below this; where they are pushed to is the user's business.
const HOST: &str = "localhost/monopod";
const BUNDLES: &str = "localhost/trackunit";
/// The user of the image, as the chart has it too: one that no machine gives to a person.
const USER: &str = "65532";
/// What the image of the host may take at most, unpacked.
const LIMIT: u64 = 60_000_000;
/// The photo that `helm test` sends; small against the rest.
pub const SAMPLE: &str = "excavator-tagged.jpg";
/// Trusted when an issuer is asked for its keys.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An image in an archive.
#[derive(Debug, Clone)]
pub struct Image {
    /// `localhost/monopod:0.1.0`.
    pub name: String,
    /// The OCI archive.
    pub archive: PathBuf,
    /// Of its manifest.
    pub digest: String,
    /// What it holds, unpacked, in bytes.
    pub size: u64,
}

/// Builds everything and prints what came of it.
pub fn run(place: &Place) -> Result<()> {
    let host = run::build(place, false)?;
    for image in all(place, &host)? {
        ui::line("image", &format!("{}  {}", image.name, ui::size(image.size)));
        ui::note(&image.digest);
        let archive = image.archive.strip_prefix(&place.root).unwrap_or(&image.archive);
        ui::note(&archive.display().to_string());
    }
    Ok(())
}

/// The images of the host and of all bundles of the product.
pub fn all(place: &Place, host: &Path) -> Result<Vec<Image>> {
    let mut step = Step::begin("images");
    let images = quietly(place, host, &mut step);
    match &images {
        Ok(images) => step.done(&format!("{} of them", images.len())),
        Err(_) => step.failed("not made"),
    }
    images
}

/// The same within another step.
pub fn quietly(place: &Place, host: &Path, step: &mut Step) -> Result<Vec<Image>> {
    ready(step)?;
    let buildah = Buildah::new(place)?;
    let mut images = vec![of_host(place, &buildah, host, step)?];
    for guest in guests::all(place, false)? {
        let version = version(&guest.folder)?;
        images.push(of_bundle(&buildah, &place.bundles().join(&guest.name), &guest.name, &version, step)?);
    }
    Ok(images)
}

/// Brings what makes images.
pub fn ready(step: &mut Step) -> Result<()> {
    let needed = [("buildah", "buildah"), ("strip", "binutils"), ("ldd", "libc-bin")];
    let missing: Vec<_> = needed.into_iter().filter(|(program, _)| !debian::on_path(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    if !debian::is_root() || !debian::has_apt() {
        bail!("images need {}. Run: {}", packages.join(" "), debian::command_line(&packages));
    }
    debian::install(step, &packages)
}

fn of_host(place: &Place, buildah: &Buildah, host: &Path, step: &mut Step) -> Result<Image> {
    let root = buildah.folder.join("host");
    fresh(&root)?;
    let text = "the host's files";
    step.tick(text);
    let binary = root.join("monopod");
    run_quiet(Command::new("strip").arg("-o").arg(&binary).arg(host), step, text)?;
    for library in libraries(host)? {
        put(&root, &library, &library)?;
    }
    if Path::new(AUTHORITIES).is_file() {
        put(&root, Path::new(AUTHORITIES), Path::new(AUTHORITIES))?;
    } else {
        bail!("{AUTHORITIES} is missing. Run: {}", debian::command_line(&["ca-certificates"]));
    }
    put(&root, &place.samples().join(SAMPLE), Path::new("/sample.jpg"))?;
    // Names for the user, and the order in which host names are looked up.
    write(&root, "etc/passwd", &format!("monopod:x:{USER}:{USER}::/var/lib/monopod:/monopod\n"))?;
    write(&root, "etc/group", &format!("monopod:x:{USER}:\n"))?;
    write(&root, "etc/nsswitch.conf", "hosts: files dns\n")?;
    let size = size(&root)?;
    if size > LIMIT {
        bail!("the image of the host would have {}; at most {} are allowed", ui::size(size), ui::size(LIMIT));
    }
    let about = About {
        name: format!("{HOST}:{}", env!("CARGO_PKG_VERSION")),
        title: "monopod",
        description: "All microservices of a system as WebAssembly components in one process.",
        version: env!("CARGO_PKG_VERSION"),
    };
    let entry =
        ["--user", "65532:65532", "--entrypoint", "[\"/monopod\"]", "--cmd", "--help", "--workingdir", "/"];
    buildah.make(&root, &about, &entry, size, step)
}

/// The image of a bundle that was built into `layout`.
pub fn of_bundle(
    buildah: &Buildah,
    layout: &Path,
    name: &str,
    version: &str,
    step: &mut Step,
) -> Result<Image> {
    let about = About {
        name: format!("{BUNDLES}/{name}:{version}"),
        title: name,
        description: "A component of Trackunit as a bundle of monopod: files to mount, nothing that runs.",
        version,
    };
    buildah.make(layout, &about, &[], size(layout)?, step)
}

/// The version in a component's manifest.
pub fn version(component: &Path) -> Result<String> {
    let file = component.join("component.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = text.lines().find_map(|line| line.strip_prefix("version")?.trim().strip_prefix('='));
    let found = found.map(|value| value.trim().trim_matches('"').to_owned());
    found.with_context(|| format!("{} has no version", file.display()))
}

/// What an image says of itself.
struct About<'a> {
    name: String,
    title: &'a str,
    description: &'a str,
    version: &'a str,
}

/// Buildah with a store of its own, so that nothing of the machine's is touched.
pub struct Buildah {
    folder: PathBuf,
    store: PathBuf,
}

impl Buildah {
    /// Opens the store.
    pub fn new(place: &Place) -> Result<Self> {
        let folder = place.root.join("target/images");
        let store = place.cache.join("images");
        for dir in [&folder, &store] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(Self { folder, store })
    }

    /// An image with one program of another's, which needs nothing beside it.
    pub fn program(&self, name: &str, program: &Path, user: &str, step: &mut Step) -> Result<Image> {
        let title = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = self.folder.join(&title);
        fresh(&root)?;
        put(&root, program, &Path::new("/").join(&title))?;
        let about = About {
            name: name.to_owned(),
            title: &title,
            description: "A part of a test cluster.",
            version: "1",
        };
        let entry = format!("[\"/{title}\"]");
        self.make(&root, &about, &["--user", user, "--entrypoint", &entry], size(&root)?, step)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.store.join("root")).arg("--runroot").arg(self.store.join("run"));
        command.args(["--storage-driver", "vfs"]).env("BUILDAH_ISOLATION", "chroot");
        command
    }

    fn ask(&self, arguments: &[&str], step: &mut Step, text: &str) -> Result<String> {
        run_quiet(self.command().args(arguments), step, text)
    }

    /// An image with the files of `root` and nothing else.
    fn make(
        &self,
        root: &Path,
        about: &About<'_>,
        config: &[&str],
        size: u64,
        step: &mut Step,
    ) -> Result<Image> {
        let Some(root) = root.to_str() else { bail!("{} is no text", root.display()) };
        let text = about.name.clone();
        let container = self.ask(&["from", "scratch"], step, &text)?;
        let container = container.trim();
        let result = self.fill(container, root, about, config, step);
        // The container is only scaffolding; an image was made of it or not.
        self.ask(&["rm", container], step, &text)?;
        let (archive, digest) = result?;
        Ok(Image { name: about.name.clone(), archive, digest, size })
    }

    fn fill(
        &self,
        container: &str,
        root: &str,
        about: &About<'_>,
        config: &[&str],
        step: &mut Step,
    ) -> Result<(PathBuf, String)> {
        let text = &about.name;
        self.ask(&["copy", "--quiet", container, root, "/"], step, text)?;
        let label = |key: &str, value: &str| format!("--label=org.opencontainers.image.{key}={value}");
        let labels = [
            label("title", about.title),
            label("description", about.description),
            label("version", about.version),
            label("licenses", "Apache-2.0"),
        ];
        let mut arguments = vec!["config"];
        arguments.extend(labels.iter().map(String::as_str));
        arguments.extend(config);
        arguments.push(container);
        self.ask(&arguments, step, text)?;
        // One moment for all files and the image itself: the same files, the same digest.
        self.ask(&["commit", "--quiet", "--timestamp", "0", "--format", "oci", container, text], step, text)?;
        let file = text.replace(['/', ':'], "_");
        let archive = self.folder.join(format!("{file}.tar"));
        let _absent = fs::remove_file(&archive);
        let digest = self.folder.join(format!("{file}.digest"));
        let to = format!("oci-archive:{}:{text}", archive.display());
        let digest_file = digest.display().to_string();
        self.ask(&["push", "--quiet", "--digestfile", &digest_file, text, &to], step, text)?;
        // The archive is what counts; the store would only grow.
        self.ask(&["rmi", "--force", text], step, text)?;
        let digest =
            fs::read_to_string(&digest).with_context(|| format!("cannot read {}", digest.display()))?;
        Ok((archive, digest.trim().to_owned()))
    }
}

fn run_quiet(command: &mut Command, step: &mut Step, text: &str) -> Result<String> {
    let answer = process::ask(command, None, &mut || step.tick(text))?;
    match answer.ending {
        ending if ending.ok() => Ok(answer.out),
        Ending::TimedOut => bail!("{text}: did not end"),
        Ending::Exited(status) => {
            let program = command.get_program().to_string_lossy().into_owned();
            bail!("{text}: {program} ended with {status}: {}", answer.err.trim())
        }
    }
}

/// The loader and the libraries that a program is linked against, by the paths it has them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let answer = process::ask(Command::new("ldd").arg(program), None, &mut || {})?;
    if !answer.ending.ok() {
        bail!("ldd {}: {}", program.display(), answer.err.trim());
    }
    linked(&answer.out)
}

/// What ldd printed: `name => path (address)`, or `path (address)` for the loader.
fn linked(said: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in said.lines() {
        if line.contains("not found") {
            bail!("a library of the host is missing: {}", line.trim());
        }
        let words = line.split_whitespace().find(|word| word.starts_with('/'));
        found.extend(words.map(PathBuf::from));
    }
    if found.is_empty() { bail!("the host names no libraries: {said}") } else { Ok(found) }
}

fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Copies `from` to the same kind of path below `root`.
fn put(root: &Path, from: &Path, to: &Path) -> Result<()> {
    let target = root.join(to.strip_prefix("/").unwrap_or(to));
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, &target).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn write(root: &Path, path: &str, content: &str) -> Result<()> {
    let target = root.join(path);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(&target, content).with_context(|| format!("cannot write {}", target.display()))
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_the_libraries_are_read_from_ldd() {
        let said = "\tlinux-vdso.so.1 (0x00)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00)\n";
        let found = linked(said).unwrap();
        assert_eq!(
            found,
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
        assert!(linked("\tstatically linked\n").is_err());
        assert!(linked("\tlibz.so.1 => not found\n").unwrap_err().to_string().contains("libz.so.1"));
    }

    #[test]
    fn a_bundles_version_is_that_of_its_manifest() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components");
        assert_eq!(version(&root.join("web")).unwrap(), "0.1.0");
        assert!(version(&root.join("sdk")).is_err());
    }
}
