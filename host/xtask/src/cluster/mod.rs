//! `make cluster` and `make cluster-down`: a real Kubernetes of one node, made from packages,
//! with the platform installed by its chart. The suites that need a cluster, or an API server
//! alone, get theirs from here too.

mod balancer;
mod cgroups;
mod changes;
mod context;
mod control;
mod inside;
mod install;
mod node;
mod pki;
mod place;
mod policy;
mod suite;
mod tools;

pub use inside::run as inside;
pub use suite::Ground;
pub use tools::vegeta;

use crate::image::{self, Buildah, Image};
use crate::place::Place;
use crate::ui::{self, Step};
use crate::{process, run};
use anyhow::{Context as _, Result, bail};
use node::Node;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tools::Tools;

/// The file with the objects that every cluster begins with.
const SYSTEM: &str = "tests/cluster/system.yaml";
/// Volumes that can be claimed, and what each may hold. They are folders of one disk, so the
/// number is only what they say of themselves.
const VOLUMES: usize = 16;
/// How long the name server may take to come up.
const NAMES: Duration = Duration::from_secs(90);

/// Starts the cluster of this user, if it does not run, or takes the one of the context that
/// was named, and installs the platform.
pub fn up(place: &Place) -> Result<()> {
    if let Some(wish) = context::Wish::new() {
        return context::up(place, &wish);
    }
    if let Some(why) = node::obstacle() {
        bail!("{why}. With a cluster of your own: make cluster CONTEXT=name");
    }
    let host = run::build(place, false)?;
    let images = image::all(place, &host)?;
    let tools = with_step("tools", "kubernetes containerd coredns helm", |step| tools::node(place, step))?;
    let node = Node::at(place::Spot::new(place, place::Which::Made), tools);
    if !node.runs() {
        with_step("node", "ready", |step| node.start(place, step))?;
        with_step("system", "names and volumes", |step| system(place, &node, step))?;
    }
    with_step("load", &format!("{} images", images.len()), |step| load(&node, &images, step))?;
    install::run(place, &node, &host, &images)
}

/// Ends the cluster of this user, and everything it knew; in the cluster of a context, only
/// uninstalls the release.
pub fn down(place: &Place) -> Result<()> {
    if let Some(wish) = context::Wish::new() {
        return context::down(place, &wish);
    }
    with_step("cluster", "down, nothing left", |step| {
        // That of a suite too, should somebody have cut it short.
        let spots = [place::Which::Made, place::Which::Tested].map(|which| place::Spot::new(place, which));
        spots.into_iter().try_for_each(|spot| Node::at(spot, Tools::new(place)).stop(step))
    })
}

fn with_step<T>(label: &str, done: &str, work: impl FnOnce(&mut Step) -> Result<T>) -> Result<T> {
    let mut step = Step::begin(label);
    let result = work(&mut step);
    match &result {
        Ok(_) => step.done(done),
        Err(_) => step.failed("failed"),
    }
    result
}

fn load(node: &Node, images: &[Image], step: &mut Step) -> Result<()> {
    images.iter().try_for_each(|image| node.load(&image.archive, step))
}

/// What a cluster needs before anything can be installed: images of its own, a name server,
/// volumes.
fn system(place: &Place, node: &Node, step: &mut Step) -> Result<()> {
    image::ready(step)?;
    let buildah = Buildah::new(place)?;
    for (name, program, user) in
        [("pause", node.tools().pause(), "65535:65535"), ("coredns", node.tools().coredns(), "65532:65532")]
    {
        let image = buildah.program(&format!("localhost/{name}:1"), &program, user, step)?;
        node.load(&image.archive, step)?;
    }
    apply(node, &place.root.join(SYSTEM), step)?;
    volumes(node, step)?;
    rollout(node, "kube-system", "coredns", step)
}

fn apply(node: &Node, file: &Path, step: &mut Step) -> Result<()> {
    let mut command = node.kubectl();
    told(command.args(["apply", "-f"]).arg(file), step, "applying objects").map(|_| ())
}

fn volumes(node: &Node, step: &mut Step) -> Result<()> {
    let mut items = Vec::new();
    for number in 1..=VOLUMES {
        let folder = node.spot.run.join(format!("volumes/{number}"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        items.push(serde_json::json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": format!("local-{number}")},
            "spec": {
                "capacity": {"storage": "20Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "local",
                "persistentVolumeReclaimPolicy": "Retain",
                "local": {"path": folder},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [place::NODE]},
                ]}]}},
            },
        }));
    }
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    let file = node.spot.conf().join("volumes.json");
    fs::write(&file, list.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    apply(node, &file, step)
}

fn rollout(node: &Node, namespace: &str, deployment: &str, step: &mut Step) -> Result<()> {
    let mut command = node.kubectl();
    command.args(["--namespace", namespace, "rollout", "status", &format!("deployment/{deployment}")]);
    command.arg(format!("--timeout={}s", NAMES.as_secs()));
    told(&mut command, step, &format!("waiting for {deployment}")).map(|_| ())
}

/// Runs a client's command; its output, or what it complained about.
fn told(command: &mut Command, step: &mut Step, text: &str) -> Result<String> {
    let answer = process::ask(command, None, &mut || step.tick(text))?;
    if answer.ending.ok() {
        return Ok(answer.out);
    }
    let said = [answer.err.trim(), answer.out.trim()].join("\n");
    bail!("{text}: {}", said.trim())
}

fn say(lines: &[String]) {
    for line in lines {
        ui::note(line);
    }
}
