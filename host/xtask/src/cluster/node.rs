//! A node from outside: its namespaces, its cable to the machine, its end. What happens in
//! there is `inside`'s business.
//!
//! The whole cluster is one process tree under one PID namespace. Killing its first process
//! ends all of it, and everything that it mounted, forwarded or filtered goes with its
//! namespaces. Three things are the machine's own and put back by hand: the cable, the
//! cgroups, and settings that a kubelet changes for the whole machine.

use super::cgroups;
use super::control::{self, kubectl, ready, wait};
use super::pki;
use super::place::{NODE, Spot};
use super::tools::Tools;
use crate::debian;
use crate::place::Place;
use crate::process;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The API server's port, in its own network namespace.
const API: u16 = 6443;
/// How long a node may take to be ready. Seven seconds are usual.
const READY: Duration = Duration::from_secs(120);
/// How long its processes may take to disappear.
const GONE: Duration = Duration::from_secs(30);
/// What a kubelet sets for the whole machine.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// A running node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is.
    pub spot: Spot,
    tools: Tools,
}

/// Why a node cannot be had on this machine, if it cannot.
pub fn obstacle() -> Option<String> {
    if !debian::is_root() {
        return Some("a node makes network and mount namespaces, which needs root".into());
    }
    cgroups::obstacle(Path::new(cgroups::ROOT))
}

impl Node {
    /// The node at a spot, running or not.
    pub fn at(spot: Spot, tools: Tools) -> Self {
        Self { spot, tools }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.first().is_some_and(|pid| Path::new("/proc").join(pid).join("ns/net").exists())
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self, place: &Place, step: &mut Step) -> Result<()> {
        if let Some(why) = obstacle() {
            bail!("{why}");
        }
        self.stop(step)?;
        let spot = &self.spot;
        fs::create_dir_all(&spot.run).with_context(|| format!("cannot make {}", spot.run.display()))?;
        pki::make(spot, &format!("{}:{API}", spot.node()))?;
        self.remember_settings()?;
        self.spawn(place)?;
        wait("the node's namespaces", GONE, step, || self.child().is_some())?;
        let first = self.child().context("the node ended at once")?;
        fs::write(spot.run.join("pid"), &first)?;
        // Before the cable, for which everything inside waits.
        let groups = read_lines(&spot.run.join("cgroups"));
        wait("the node's control groups", GONE, step, || {
            groups.iter().all(|group| cgroups::settled(Path::new(group)))
        })?;
        self.cable(&first)?;
        ready(spot, &self.tools, step)?;
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        let asked = || process::line(kubectl(spot, &self.tools).args(["get", "node", NODE, "-o", path]));
        wait("the node", READY, step, || asked().as_deref() == Some("True"))
            .with_context(|| format!("its log: {}", spot.log("kubelet").display()))
    }

    /// Where its API server is, as its clients name it.
    pub fn server(&self) -> String {
        format!("https://{}:{API}", self.spot.node())
    }

    /// Brings an image in.
    pub fn load(&self, archive: &Path, step: &mut Step) -> Result<()> {
        let mut command = self.enter(&["-m", "-n", "-p"])?;
        command.arg(self.tools.containerd("ctr"));
        command
            .args(["-a", "/run/containerd/containerd.sock", "-n", "k8s.io", "images", "import"])
            .arg(archive);
        let answer = process::ask(&mut command, None, &mut || step.tick("loading images"))?;
        if answer.ending.ok() { Ok(()) } else { bail!("{}: {}", archive.display(), answer.err.trim()) }
    }

    /// Ends it, and puts back what is the machine's. Does nothing where nothing is.
    pub fn stop(&self, step: &mut Step) -> Result<()> {
        if let Some(first) = self.first() {
            let _gone = process::ask(Command::new("kill").args(["-KILL", &first]), None, &mut || {});
            let proc = Path::new("/proc").join(&first);
            wait("the end of the cluster", GONE, step, || !proc.join("ns/net").exists())?;
        }
        let _none =
            process::ask(Command::new("ip").args(["link", "del", &self.spot.cable()]), None, &mut || {});
        self.restore_settings();
        for group in read_lines(&self.spot.run.join("cgroups")) {
            remove_group(Path::new(&group), step)?;
        }
        control::discard(&self.spot.run);
        Ok(())
    }

    /// Kubernetes' client, for this cluster.
    pub fn kubectl(&self) -> Command {
        kubectl(&self.spot, &self.tools)
    }

    /// The programs of this cluster.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    fn first(&self) -> Option<String> {
        read_lines(&self.spot.run.join("pid")).into_iter().next()
    }

    /// The first process inside, as seen from outside: the only child of `unshare`, once it
    /// is in a network namespace of its own.
    fn child(&self) -> Option<String> {
        let outer = read_lines(&self.spot.run.join("unshare")).into_iter().next()?;
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        let child = children.split_whitespace().next()?.to_owned();
        let net = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        (net(&child)? != net("self")?).then_some(child)
    }

    fn spawn(&self, place: &Place) -> Result<()> {
        let own = fs::read_to_string("/proc/self/cgroup").context("this process has no control groups")?;
        let groups = cgroups::make(Path::new(cgroups::ROOT), &own, &self.spot.cable())?;
        let groups: Vec<_> = groups.iter().map(|group| group.display().to_string()).collect();
        fs::write(self.spot.run.join("cgroups"), groups.join("\n"))?;
        // A shell takes itself into the cgroups, so that this program stays where it is; the
        // shell inside is the first process there and buries what others leave behind.
        let mut script = String::from("echo $$ > \"$RUN/unshare\"\n");
        for group in &groups {
            script.push_str(&format!("echo $$ > {group}/cgroup.procs\n"));
        }
        script.push_str(
            "exec setsid unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child --mount-proc \
             --propagation private bash -c '\"$@\" & wait' first \"$@\"\n",
        );
        let log = fs::File::create(self.spot.log("inside"))?;
        let err = log.try_clone()?;
        let program = std::env::current_exe().context("this program does not know where it is")?;
        Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(program)
            .args(["inside", &self.spot.number().to_string()])
            .env("RUN", &self.spot.run)
            .current_dir(&place.root)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(err)
            .spawn()
            .context("cannot start the node's namespaces")?;
        Ok(())
    }

    fn cable(&self, first: &str) -> Result<()> {
        let (spot, cable) = (&self.spot, self.spot.cable());
        let inside = super::place::CABLE;
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", inside, "netns", first])?;
        ip(&["addr", "add", &format!("{}/30", spot.machine()), "dev", &cable])?;
        ip(&["link", "set", &cable, "up"])?;
        ip(&["route", "add", &spot.balancers(), "via", &spot.node(), "dev", &cable])
    }

    fn enter(&self, namespaces: &[&str]) -> Result<Command> {
        let first = self.first().context("there is no cluster")?;
        let mut command = Command::new("nsenter");
        command.args(["-t", &first]).args(namespaces).arg("--");
        Ok(command)
    }

    fn remember_settings(&self) -> Result<()> {
        let mut lines = String::new();
        for name in SETTINGS {
            if let Ok(value) = fs::read_to_string(Path::new("/proc/sys").join(name)) {
                lines.push_str(&format!("{name} {}\n", value.trim()));
            }
        }
        fs::write(self.spot.run.join("settings"), lines).context("the machine's settings cannot be kept")
    }

    fn restore_settings(&self) {
        for line in read_lines(&self.spot.run.join("settings")) {
            let Some((name, value)) = line.split_once(' ') else { continue };
            let file = Path::new("/proc/sys").join(name);
            let now = fs::read_to_string(&file).unwrap_or_default();
            if now.trim() != value && fs::write(&file, value).is_err() {
                eprintln!("{} could not be set back to {value}", file.display());
            }
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let answer = process::ask(Command::new("ip").args(arguments), None, &mut || {})?;
    if answer.ending.ok() { Ok(()) } else { bail!("ip {}: {}", arguments.join(" "), answer.err.trim()) }
}

/// A group is gone once all below it are, and those once their last process is.
fn remove_group(group: &Path, step: &mut Step) -> Result<()> {
    wait(&format!("the end of {}", group.display()), GONE, step, || {
        remove_tree(group);
        !group.exists()
    })
}

fn remove_tree(group: &Path) {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    for folder in folders {
        remove_tree(&folder);
    }
    // Busy now is free a moment later.
    let _busy = fs::remove_dir(group);
}

fn read_lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
