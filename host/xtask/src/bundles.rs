//! Bundles: made by the host's own `monopod bundle`, one for each guest. Every time: it takes
//! some milliseconds, gives the same bytes for the same component, and mends a damaged one.

use crate::guests::BuiltGuest;
use crate::place::Place;
use crate::process;
use crate::ui::{self, Step};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// Makes the bundles. `host` is the program that makes them.
pub fn build(place: &Place, host: &Path, guests: &[BuiltGuest]) -> Result<()> {
    let mut step = Step::begin("bundles");
    let folder = place.bundles();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut bytes = 0;
    for (built, BuiltGuest { guest, wasm }) in guests.iter().enumerate() {
        step.tick(&format!("{} {}", ui::bar(built, guests.len()), guest.name));
        make(host, &guest.folder, wasm, &folder.join(&guest.name))?;
        bytes += wasm.metadata().with_context(|| format!("cannot read {}", wasm.display()))?.len();
    }
    step.done(&format!("{} built, {}", guests.len(), ui::size(bytes)));
    Ok(())
}

fn make(host: &Path, component: &Path, wasm: &Path, bundle: &Path) -> Result<()> {
    let mut command = Command::new(host);
    command.arg("bundle").arg(component).arg("--wasm").arg(wasm).arg("--out").arg(bundle);
    let answer = process::ask(&mut command, None, &mut || {})?;
    if !answer.ending.ok() {
        bail!("monopod bundle {}: {}{}", component.display(), answer.out, answer.err.trim());
    }
    Ok(())
}
