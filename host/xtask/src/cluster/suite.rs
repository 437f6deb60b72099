//! What the suites `charts` and `cluster` stand on: an API server alone, or a whole node with
//! the images of the product. It ends when it is dropped, also after a failure.

use super::control::Alone;
use super::install::HOST;
use super::node::{Node, obstacle};
use super::place::{Spot, Which};
use super::{load, pki, system, tools};
use crate::image::{self, Buildah, Image};
use crate::place::Place;
use crate::process;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The component of which there is a second version, and that version.
const NEXT: (&str, &str) = ("media-access", "0.2.0");
/// The field it has under another name as well: what a client sees of the new version.
const FIELD: (&str, &str) = ("imageUrl(", "imageLink(");

/// What a suite stands on.
pub enum Ground {
    /// Nothing of this kind.
    None,
    /// An API server.
    Control(Alone),
    /// A node.
    Whole(Node),
}

impl Ground {
    /// Starts what `suite` needs.
    pub fn of(suite: &str, place: &Place, host: Option<&Path>, step: &mut Step) -> Result<Self> {
        match suite {
            "charts" => {
                let tools = tools::control(place, step)?;
                Ok(Self::Control(Alone::start(Spot::new(place, Which::Tested), &tools, step)?))
            }
            "cluster" => {
                if let Some(why) = obstacle() {
                    bail!("{why}");
                }
                let host = host.context("the host was not built")?;
                Self::whole(place, host, step)
            }
            _ => Ok(Self::None),
        }
    }

    /// A node with everything but the platform itself.
    pub fn whole(place: &Place, host: &Path, step: &mut Step) -> Result<Self> {
        let tools = tools::node(place, step)?;
        let mut images = image::quietly(place, host, step)?;
        images.push(next(place, host, step)?);
        let node = Node::at(Spot::new(place, Which::Tested), tools);
        // From here on it has to be ended, whatever comes.
        let ground = Self::Whole(node.clone());
        node.start(place, step)?;
        system(place, &node, step)?;
        // For the front door of whatever is installed.
        pki::public(&node.spot, "front", &format!("DNS:{HOST}"))?;
        load(&node, &images, step)?;
        Ok(ground)
    }

    /// Tells a test program where it is.
    pub fn tell(&self, place: &Place, command: &mut Command) {
        let (spot, node) = match self {
            Self::None => return,
            Self::Control(alone) => (&alone.spot, None),
            Self::Whole(node) => (&node.spot, Some(node)),
        };
        let tools = tools::Tools::new(place);
        command
            .env("KUBECONFIG", spot.kubeconfig("admin"))
            .env("MONOPOD_KUBECTL", tools.kubernetes("kubectl"))
            .env("MONOPOD_HELM", tools.helm())
            .env("MONOPOD_GATEWAY", tools.gateway())
            .env("HELM_CACHE_HOME", spot.run.join("helm/cache"))
            .env("HELM_CONFIG_HOME", spot.run.join("helm/config"))
            .env("HELM_DATA_HOME", spot.run.join("helm/data"));
        if let Some(node) = node {
            command
                .env("MONOPOD_BALANCER", node.spot.balancer())
                .env("MONOPOD_CLUSTER", &node.spot.run)
                .env("MONOPOD_NEXT", format!("{}={}", NEXT.0, NEXT.1));
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Self::Whole(node) = self
            && let Err(error) = node.stop(&mut Step::begin("cluster"))
        {
            eprintln!("the cluster of the suite could not be ended: {error:#}");
        }
    }
}

/// A second version of a component: the same code, and a schema with one field more.
fn next(place: &Place, host: &Path, step: &mut Step) -> Result<Image> {
    let (name, version) = NEXT;
    let folder = place.root.join("target/images/next");
    let (source, out) = (folder.join(name), folder.join("bundle"));
    fs::create_dir_all(&source).with_context(|| format!("cannot make {}", source.display()))?;
    let from = place.components().join(name);
    let read = |file: &str| {
        fs::read_to_string(from.join(file)).with_context(|| format!("cannot read {file} of {name}"))
    };
    let manifest = read("component.toml")?.replacen(&image::version(&from)?, version, 1);
    fs::write(source.join("component.toml"), manifest)?;
    let schema = read("schema.graphql")?;
    let more = renamed(&schema).with_context(|| format!("{name} has no field {}", FIELD.0))?;
    fs::write(source.join("schema.graphql"), format!("{schema}\n{more}"))?;
    let mut command = Command::new(host);
    command
        .arg("bundle")
        .arg(&source)
        .arg("--wasm")
        .arg(code(&place.bundles().join(name))?)
        .arg("--out")
        .arg(&out);
    let answer = process::ask(&mut command, None, &mut || step.tick("the second version of a bundle"))?;
    if !answer.ending.ok() {
        bail!("monopod bundle: {}", answer.err.trim());
    }
    image::of_bundle(&Buildah::new(place)?, &out, name, version, step)
}

/// The block of the schema that has the field, once more with the field's new name.
fn renamed(schema: &str) -> Option<String> {
    let at = schema.find(FIELD.0)?;
    let begin = schema[..at].rfind("extend type Query")?;
    let end = at + schema[at..].find("\n}")? + "\n}".len();
    Some(format!("{}\n", schema[begin..end].replacen(FIELD.0, FIELD.1, 1)))
}

/// The component inside a bundle: the blob that begins as WebAssembly does.
fn code(bundle: &Path) -> Result<PathBuf> {
    let blobs = bundle.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).with_context(|| format!("cannot read {}", blobs.display()))? {
        let path = entry?.path();
        if fs::read(&path)?.starts_with(b"\0asm") {
            return Ok(path);
        }
    }
    bail!("{} holds no component", bundle.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_has_one_field_more() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components").join(NEXT.0);
        let more = renamed(&fs::read_to_string(root.join("schema.graphql")).unwrap()).unwrap();
        assert!(more.starts_with("extend type Query {") && more.ends_with("\n}\n"), "{more}");
        assert!(more.contains("imageLink(objectKey") && !more.contains("type ImageUrl"), "{more}");
    }
}
