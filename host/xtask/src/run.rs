//! `make run`: from a fresh machine to a served answer. Builds what is missing, then becomes
//! the platform, so that Ctrl-C and the exit code are its own.

use crate::guests::{self, BuiltGuest, Guest};
use crate::place::{Place, SAMPLES};
use crate::toolchain::{self, Toolchain};
use crate::ui::{self, Step};
use crate::{bundles, cargo, switch};
use anyhow::{Context as _, Result};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The platform file of the main job.
const PLATFORM: &str = "components/trackunit.toml";
/// The photo that is sent when none is named.
const PHOTO: &str = "excavator-tagged.jpg";

/// Builds and starts.
pub fn run(place: &Place) -> Result<()> {
    let host = build(place, false)?;
    let mut command = Command::new(&host);
    let photo = std::env::var_os("PHOTO").filter(|photo| !photo.is_empty()).map(PathBuf::from);
    // Relative to the checkout, because that is how it is shown.
    let photo = photo.unwrap_or_else(|| Path::new(SAMPLES).join(PHOTO));
    command.current_dir(&place.root).args(["up", PLATFORM, "--try"]).arg(photo);
    if switch("ONCE") {
        command.arg("--once");
    }
    // Comes back only if it could not be started.
    Err(command.exec()).with_context(|| format!("cannot start {}", host.display()))
}

/// Builds everything that `make run` and the suites need: the host, the guests, with `probes`
/// also those of the tests, and their bundles. Returns the host.
pub fn build(place: &Place, probes: bool) -> Result<PathBuf> {
    let toolchain = tools(place)?;
    build_host(place)?;
    let host = place.host();
    let built = build_guests(place, &toolchain, guests::all(place, probes)?)?;
    bundles::build(place, &host, &built)?;
    Ok(host)
}

/// Builds the guests alone: for who writes one, and wants the compiler's word.
pub fn guests_only(place: &Place) -> Result<()> {
    let toolchain = tools(place)?;
    for built in build_guests(place, &toolchain, guests::all(place, true)?)? {
        ui::note(&built.wasm.display().to_string());
    }
    Ok(())
}

fn tools(place: &Place) -> Result<Toolchain> {
    let mut step = Step::begin("tools");
    let rustc = toolchain::rustc()?;
    let chosen = toolchain::ready(place, &rustc, &mut step);
    let mark = ui::tick_mark();
    match &chosen {
        Ok(chosen) => {
            step.done(&format!("rustc {} {mark}  wasm target: {} {mark}", rustc.version, chosen.why));
        }
        Err(_) => step.failed(&format!("rustc {} {mark}  wasm target missing", rustc.version)),
    }
    chosen
}

fn build_host(place: &Place) -> Result<()> {
    let mut step = Step::begin("host");
    let mut command = cargo::command(place, &place.target);
    command.args(["build", "--release", "--package", "monopod"]);
    match cargo::build(&mut step, &mut command, &[]) {
        Ok(built) => {
            step.done(&built.summary());
            Ok(())
        }
        Err(error) => {
            step.failed("not built");
            Err(error)
        }
    }
}

fn build_guests(place: &Place, toolchain: &Toolchain, guests: Vec<Guest>) -> Result<Vec<BuiltGuest>> {
    let mut step = Step::begin("guests");
    match guests::build(place, toolchain, guests, &mut step) {
        Ok((built, fresh)) => {
            let names: Vec<_> = built.iter().map(|built| built.guest.name.as_str()).collect();
            let count = if fresh { "up to date".into() } else { format!("{0}/{0}", built.len()) };
            step.done(&format!("{}  {count}", names.join(" ")));
            Ok(built)
        }
        Err(error) => {
            step.failed("not built");
            Err(error)
        }
    }
}
