//! Components made by other people's tools, for the suite `conformance`: the tools are brought
//! into the cache once for each version, and each component is made once for each version of its
//! tool and its sources. What they make is not touched: that is what the suite is about.

use crate::npm;
use crate::place::Place;
use crate::process;
use crate::toolchain::{self, Toolchain};
use crate::ui::Step;
use crate::{cargo, debian};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// From PyPI.
const COMPONENTIZE_PY: &str = "0.25.1";
/// A crate, built here.
const WIT_BINDGEN: &str = "0.63.0";
/// Debian's packages, each with a file of it.
const PACKAGES: [(&str, &str); 4] = [
    ("clang", "/usr/bin/clang"),
    ("libclang-rt-14-dev-wasm32", "/usr/lib/llvm-14/lib/clang/14.0.6/lib/wasi/libclang_rt.builtins-wasm32.a"),
    ("wasi-libc", "/usr/include/wasm32-wasi/stdlib.h"),
    ("python3-venv", "/usr/lib/python3.11/ensurepip/__init__.py"),
];
/// The release of WASI that componentize-js 0.23 has in its engine: it takes no other.
const JAVASCRIPT_WASI: &str = "0.2.10";
/// The release of the interfaces in `wit/deps`.
const WASI: &str = "0.2.12";
/// The interfaces that a C or Python component is made from, in the order of their needs.
const WIT: [&str; 7] = ["io", "clocks", "random", "filesystem", "sockets", "cli", "http"];
/// How long one tool may take, its download included.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Makes what is missing; the folder with one `<name>.wasm` for each.
pub fn build(place: &Place, step: &mut Step) -> Result<PathBuf> {
    let maker = Maker::new(place)?;
    for (package, file) in PACKAGES {
        if Path::new(file).exists() {
            continue;
        }
        if !debian::is_root() || !debian::has_apt() {
            bail!("it needs {package}, which is missing. Run: {}", debian::command_line(&[package]));
        }
        debian::install(step, &[package])?;
    }
    let rustc = toolchain::rustc()?;
    maker.rust(&toolchain::ready(place, &rustc, step)?, step)?;
    maker.python(step)?;
    maker.javascript(step)?;
    maker.c(&rustc.sysroot, step)?;
    Ok(maker.out)
}

/// Makes only those that Cargo makes, which needs nothing more than the guests do.
pub fn rust(place: &Place, step: &mut Step) -> Result<PathBuf> {
    let maker = Maker::new(place)?;
    maker.rust(&toolchain::ready(place, &toolchain::rustc()?, step)?, step)?;
    Ok(maker.out)
}

struct Maker<'a> {
    place: &'a Place,
    sources: PathBuf,
    wit: PathBuf,
    out: PathBuf,
}

impl<'a> Maker<'a> {
    fn new(place: &'a Place) -> Result<Self> {
        let out = place.tools().join("foreign");
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        Ok(Self { place, sources: place.root.join("tests/foreign"), wit: place.root.join("wit/deps"), out })
    }

    /// Cargo knows itself what is up to date.
    fn rust(&self, toolchain: &Toolchain, step: &mut Step) -> Result<()> {
        let mut command = cargo::command(self.place, &self.place.guests(&toolchain.key()));
        command.current_dir(self.sources.join("rust")).args(["build", "--release", "--locked"]);
        toolchain.apply(&mut command);
        let built = cargo::build(step, &mut command, &[])?;
        for (package, name) in [("p2", "rust-p2"), ("p3", "rust-p3")] {
            let folder = self.sources.join("rust").join(package);
            let mut files =
                built.artifacts.iter().filter(|it| it.package == folder).flat_map(|it| it.files.iter());
            let wasm = files.find(|file| file.extension().is_some_and(|end| end == "wasm"));
            let wasm = wasm.with_context(|| format!("{} makes no component", folder.display()))?;
            fs::copy(wasm, self.out.join(name).with_extension("wasm"))?;
        }
        Ok(())
    }

    fn python(&self, step: &mut Step) -> Result<()> {
        let folder = self.sources.join("python");
        self.once("python", COMPONENTIZE_PY, &[folder.join("app.py")], |scratch| {
            let venv = self.place.tools().join(format!("componentize-py-{COMPONENTIZE_PY}"));
            let tool = venv.join("bin/componentize-py");
            if !tool.is_file() {
                let text = "installing componentize-py";
                run(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv), text, step)?;
                let mut pip = Command::new(venv.join("bin/pip"));
                pip.args(["install", "--quiet", &format!("componentize-py=={COMPONENTIZE_PY}")]);
                run(&mut pip, text, step)?;
            }
            let mut command = Command::new(tool);
            // Nothing of it goes into the checkout.
            command.current_dir(&folder).env("PYTHONDONTWRITEBYTECODE", "1");
            for package in WIT {
                command.arg("-d").arg(self.wit.join(package).with_extension("wit"));
            }
            command.args(["-w", "wasi:http/proxy", "componentize", "app", "-o"]).arg(scratch);
            run(&mut command, "componentize-py", step)
        })
    }

    fn javascript(&self, step: &mut Step) -> Result<()> {
        let folder = self.sources.join("javascript");
        let files = ["app.js", "build.mjs", "package-lock.json"].map(|file| folder.join(file));
        self.once("javascript", "", &files, |scratch| {
            let modules = npm::install(self.place, &folder, step)?;
            // The program is looked up beside its packages.
            let program = modules.with_file_name("build.mjs");
            fs::copy(folder.join("build.mjs"), &program)?;
            let wit = scratch.with_extension("wit");
            self.interfaces(&wit, JAVASCRIPT_WASI)?;
            let mut command = Command::new("node");
            command.arg(program).arg(folder.join("app.js")).arg(&wit).arg(scratch);
            run(&mut command, "componentize-js", step)?;
            Ok(fs::remove_dir_all(&wit)?)
        })
    }

    fn c(&self, sysroot: &Path, step: &mut Step) -> Result<()> {
        let source = self.sources.join("c/service.c");
        self.once("c", WIT_BINDGEN, std::slice::from_ref(&source), |scratch| {
            let tool = self.wit_bindgen(step)?;
            let bindings = scratch.with_extension("c-bindings");
            fs::create_dir_all(&bindings)?;
            self.interfaces(&bindings.join("wit"), WASI)?;
            let mut command = Command::new(tool);
            command.args(["c", "--world", "proxy", "--out-dir"]).arg(&bindings).arg(bindings.join("wit"));
            run(&mut command, "wit-bindgen c", step)?;
            let mut objects = vec![bindings.join("proxy_component_type.o")];
            for file in [&source, &bindings.join("proxy.c")] {
                let object = bindings.join(file.file_stem().unwrap_or_default()).with_extension("o");
                let mut command = Command::new("clang");
                command
                    .args(["--target=wasm32-wasi", "-O2", "-c", "-I"])
                    .arg(&bindings)
                    .arg("-o")
                    .arg(&object)
                    .arg(file);
                run(&mut command, "clang", step)?;
                objects.push(object);
            }
            let mut command = Command::new(toolchain::linkers(sysroot)[0].join("wasm-component-ld"));
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::env::split_paths(&path).chain(toolchain::linkers(sysroot));
            command
                .env("PATH", std::env::join_paths(folders).unwrap_or(path))
                .args(["--wasi-adapter", "reactor", "--no-entry", "-L/usr/lib/wasm32-wasi"])
                .arg("/usr/lib/wasm32-wasi/crt1-reactor.o")
                .args(&objects)
                .args(["-lc", PACKAGES[1].1, "-o"])
                .arg(scratch);
            run(&mut command, "wasm-component-ld", step)?;
            Ok(fs::remove_dir_all(&bindings)?)
        })
    }

    /// The interfaces of a release as tools take them: one folder with a package, and below it the
    /// others that it needs. Releases of 0.2 only add, and these services use nothing new.
    fn interfaces(&self, folder: &Path, release: &str) -> Result<()> {
        let deps = folder.join("deps");
        fs::create_dir_all(&deps)?;
        for package in WIT {
            let file = format!("{package}.wit");
            let to = if package == "http" { folder } else { &deps };
            let text = fs::read_to_string(self.wit.join(&file)).with_context(|| format!("no {file}"))?;
            fs::write(to.join(&file), text.replace(WASI, release))?;
        }
        Ok(())
    }

    fn wit_bindgen(&self, step: &mut Step) -> Result<PathBuf> {
        let root = self.place.tools().join(format!("wit-bindgen-{WIT_BINDGEN}"));
        let tool = root.join("bin/wit-bindgen");
        if tool.is_file() {
            return Ok(tool);
        }
        let scratch = self.place.tools().join("build");
        let mut command = cargo::command(self.place, &scratch);
        // Without optimisation: it runs for a blink, and takes a third of the time to build.
        command
            .args(["install", "--locked", "--debug", "--no-default-features", "--features", "c", "--version"])
            .args([WIT_BINDGEN, "--root"])
            .arg(&root)
            .arg("wit-bindgen-cli")
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo::build(step, &mut command, &[]).context("cargo install wit-bindgen-cli")?;
        let _ = fs::remove_dir_all(&scratch);
        Ok(tool)
    }

    /// Runs `make` with the file to be written, unless the one it wrote from the same sources
    /// with the same tool is there.
    fn once(
        &self,
        name: &str,
        version: &str,
        sources: &[PathBuf],
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        version.hash(&mut hasher);
        for file in sources {
            let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            text.hash(&mut hasher);
        }
        let kept = self.out.join(format!("{name}-{:016x}.wasm", hasher.finish()));
        if !kept.is_file() {
            let scratch = self.out.join(format!("{name}-{}.new", std::process::id()));
            make(&scratch)?;
            fs::rename(&scratch, &kept).with_context(|| format!("{name} made no component"))?;
        }
        fs::copy(&kept, self.out.join(name).with_extension("wasm"))?;
        Ok(())
    }
}

fn run(command: &mut Command, text: &str, step: &mut Step) -> Result<()> {
    let answer = process::ask(command, Some(LIMIT), &mut || step.tick(text))?;
    if !answer.ending.ok() {
        bail!("{text}: {}\n{}{}", answer.ending, answer.out.trim(), answer.err.trim());
    }
    Ok(())
}
