//! The machine's control groups, of version 1 or 2. A node has a group of its own in them, from
//! which its processes see nothing above; it is removed with the node.
//!
//! Version 2 is written after what the kernel's documentation and other container programs say,
//! and tried group by group, but no machine with it was at hand to run a whole node on.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the machine's control groups.
pub const ROOT: &str = "/sys/fs/cgroup";
/// The hierarchies of version 1 that a kubelet and containers use.
pub const HIERARCHIES: [&str; 8] =
    ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];
/// The controllers of version 2 without which a kubelet does not start.
const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// Those that it uses where they are.
const WELCOME: [&str; 2] = ["io", "hugetlb"];
/// Where a node's own processes are in version 2: a group that hands controllers on to groups
/// below it may have no process itself.
const LEAF: &str = "init";

/// Which version a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// That of the machine, or of what is mounted at `root`; none if there is neither.
pub fn version(root: &Path) -> Option<Version> {
    if root.join("cgroup.controllers").is_file() {
        Some(Version::Two)
    } else {
        root.join("memory").is_dir().then_some(Version::One)
    }
}

/// Why no node can be had with these control groups, if that is so.
pub fn obstacle(root: &Path) -> Option<String> {
    match version(root) {
        Some(Version::One) => None,
        Some(Version::Two) => {
            let here = words(&root.join("cgroup.controllers"));
            let missing: Vec<_> =
                NEEDED.into_iter().filter(|name| !here.iter().any(|it| it == name)).collect();
            let list = missing.join(" ");
            (!missing.is_empty()).then(|| {
                format!(
                    "a kubelet needs the control group controllers {list}, and {} has not got them",
                    root.display()
                )
            })
        }
        None => Some(format!("a node needs control groups, and {} has none", root.display())),
    }
}

/// Makes the groups `name`, and returns their folders. `own` is this process's `/proc/self/cgroup`.
pub fn make(root: &Path, own: &str, name: &str) -> Result<Vec<PathBuf>> {
    let parents = match version(root) {
        Some(Version::Two) => {
            hand_on(root).with_context(|| {
                format!(
                    "the controllers of {} cannot be handed on to a group of the node; inside of a container, \
                     start that with --cgroupns=host",
                    root.display()
                )
            })?;
            vec![root.to_owned()]
        }
        _ => own.lines().filter_map(|line| hierarchy(root, line)).collect(),
    };
    let mut groups = Vec::new();
    for parent in parents {
        let group = parent.join(name);
        fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
        // In version 1, no process may enter without them.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if version(root) == Some(Version::One) && parent.join(file).is_file() {
                fs::write(group.join(file), fs::read(parent.join(file))?)?;
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

/// The folder of this process's group, by a line of `/proc/self/cgroup`: `4:memory:/above/own`.
fn hierarchy(root: &Path, line: &str) -> Option<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let names = fields.next()?.trim_start_matches("name=");
    let folder = root.join(names).join(fields.next()?.trim_start_matches('/'));
    (!names.is_empty() && folder.is_dir()).then_some(folder)
}

/// In version 2: once the node's first processes are in their group, moves them to a leaf of
/// it, so that the groups of pods can have controllers. False while processes still come.
pub fn settled(group: &Path) -> bool {
    if !group.join("cgroup.controllers").is_file() {
        return true;
    }
    let leaf = group.join(LEAF);
    if fs::create_dir_all(&leaf).is_err() {
        return false;
    }
    for process in words(&group.join("cgroup.procs")) {
        // One that has ended meanwhile is where it should be.
        let _ended = fs::write(leaf.join("cgroup.procs"), process);
    }
    hand_on(group).is_ok()
}

/// Lets the groups below have the controllers that this one has.
fn hand_on(group: &Path) -> Result<()> {
    let (here, file) = (words(&group.join("cgroup.controllers")), group.join("cgroup.subtree_control"));
    let given = words(&file);
    for name in NEEDED.iter().chain(&WELCOME).filter(|name| here.iter().any(|it| it == *name)) {
        if given.iter().any(|it| it == name) {
            continue;
        }
        match fs::write(&file, format!("+{name}")) {
            Err(why) if NEEDED.contains(name) => bail!("{}: +{name}: {why}", file.display()),
            _ => {}
        }
    }
    Ok(())
}

fn words(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("xtask-cgroups-{name}-{}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            Self(root)
        }

        fn write(&self, file: &str, text: &str) {
            let file = self.0.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn both_versions_are_known_and_what_is_missing_is_named() {
        let fake = Fake::new("known");
        assert_eq!(version(&fake.0), None);
        assert!(obstacle(&fake.0).unwrap().contains("has none"));
        fake.write("cgroup.controllers", "cpu io memory\n");
        assert_eq!(version(&fake.0), Some(Version::Two));
        assert!(obstacle(&fake.0).unwrap().contains("controllers cpuset pids"), "{:?}", obstacle(&fake.0));
        fake.write("cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
        assert_eq!(obstacle(&fake.0), None);
        let old = Fake::new("old");
        old.write("memory/cgroup.procs", "");
        assert_eq!((version(&old.0), obstacle(&old.0)), (Some(Version::One), None));
    }

    #[test]
    fn in_version_1_there_is_a_group_in_each_hierarchy_below_ones_own() {
        let fake = Fake::new("one");
        fake.write("memory/above/own/cgroup.procs", "");
        fake.write("cpuset/cpuset.cpus", "0-1\n");
        fake.write("cpuset/cpuset.mems", "0\n");
        fake.write("systemd/cgroup.procs", "");
        let own = "9:name=systemd:/\n4:memory:/above/own\n3:cpuset:/\n2:rdma:/\n0::/\n";
        let groups = make(&fake.0, own, "monopod0").unwrap();
        let wanted = ["systemd/monopod0", "memory/above/own/monopod0", "cpuset/monopod0"];
        assert_eq!(groups, wanted.map(|group| fake.0.join(group)));
        assert_eq!(fs::read_to_string(fake.0.join("cpuset/monopod0/cpuset.cpus")).unwrap(), "0-1\n");
    }

    #[test]
    fn in_version_2_there_is_one_group_and_its_processes_are_in_a_leaf_of_it() {
        let fake = Fake::new("two");
        fake.write("cgroup.controllers", "cpuset cpu memory pids\n");
        fake.write("cgroup.subtree_control", "cpuset cpu memory pids\n");
        let groups = make(&fake.0, "0::/user.slice\n", "monopod0").unwrap();
        assert_eq!(groups, [fake.0.join("monopod0")]);
        // What the kernel puts into a new group.
        fake.write("monopod0/cgroup.controllers", "cpuset cpu memory pids\n");
        fake.write("monopod0/cgroup.procs", "42\n");
        fake.write("monopod0/cgroup.subtree_control", "");
        assert!(settled(&groups[0]));
        assert_eq!(fs::read_to_string(groups[0].join("init/cgroup.procs")).unwrap(), "42");
        assert_eq!(fs::read_to_string(groups[0].join("cgroup.subtree_control")).unwrap(), "+pids");
    }
}
