//! A node from inside: `xtask inside N`, started by `node` in namespaces of its own. Mounts
//! what containers need, starts the parts, and enforces network policies until it is killed.

use super::balancer;
use super::cgroups;
use super::control::{self, Ports, part, ready};
use super::place::{CABLE, NAMES, NODE, PODS, Spot};
use super::policy;
use super::tools::Tools;
use crate::place::Place;
use crate::process;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the machine may take to push the cable in.
const CABLED: Duration = Duration::from_secs(20);

/// Starts everything; comes back only if something could not be started.
pub fn run(place: &Place, number: &str) -> Result<()> {
    let (spot, tools) = (Spot::numbered(place, number), Tools::new(place));
    let mut step = Step::begin("inside");
    mounts(&spot)?;
    network(&spot, &mut step)?;
    configure(&spot)?;
    let ports = Ports { bind: "0.0.0.0", api: 6443, advertise: spot.node(), etcd: (2379, 2380) };
    let mut parts = control::api(&spot, &tools, &ports)?;
    let mut containerd = Command::new(tools.containerd("containerd"));
    containerd.arg("--config").arg(spot.conf().join("containerd.toml"));
    // It starts its shim by name.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bin = tools.containerd("").as_path().to_owned();
    let folders =
        std::iter::once(bin).chain(std::env::split_paths(&path)).chain(["/usr/sbin".into(), "/sbin".into()]);
    let path = std::env::join_paths(folders)?;
    parts.push(part(&spot, "containerd", containerd.env("PATH", &path))?);
    ready(&spot, &tools, &mut step)?;
    parts.extend(control::controllers(&spot, &tools)?);
    control::wait("containerd", CABLED, &mut step, || Path::new("/run/containerd/containerd.sock").exists())?;
    let mut kubelet = Command::new(tools.kubernetes("kubelet"));
    kubelet.arg(format!("--config={}", spot.conf().join("kubelet.json").display()));
    kubelet.arg(format!("--kubeconfig={}", spot.kubeconfig("kubelet").display()));
    kubelet.arg(format!("--root-dir={}", spot.run.join("kubelet").display()));
    kubelet.arg(format!("--cert-dir={}", spot.run.join("kubelet/pki").display()));
    kubelet.arg(format!("--hostname-override={NODE}")).arg(format!("--node-ip={}", spot.node()));
    parts.push(part(&spot, "kubelet", kubelet.env("PATH", &path))?);
    let mut proxy = Command::new(tools.kubernetes("kube-proxy"));
    proxy.arg(format!("--config={}", spot.conf().join("proxy.json").display()));
    parts.push(part(&spot, "kube-proxy", proxy.env("PATH", &path))?);
    balancer::start(&spot, &tools);
    policy::enforce(&spot, &tools)
}

fn mounts(spot: &Spot) -> Result<()> {
    // Pods' mounts have to reach their containers; none of it reaches the machine.
    mount(&["--make-rshared", "/"])?;
    let tmpfs = |path: &str| mount(&["-t", "tmpfs", "-o", "mode=755", "none", path]);
    if cgroups::version(Path::new(cgroups::ROOT)) == Some(cgroups::Version::Two) {
        mount(&["-t", "cgroup2", "none", cgroups::ROOT])?;
    } else {
        tmpfs(cgroups::ROOT)?;
        for controller in cgroups::HIERARCHIES {
            let folder = format!("{}/{controller}", cgroups::ROOT);
            fs::create_dir_all(&folder)?;
            mount(&["-t", "cgroup", "-o", controller, "none", &folder])?;
        }
        let systemd = format!("{}/systemd", cgroups::ROOT);
        fs::create_dir_all(&systemd)?;
        mount(&["-t", "cgroup", "-o", "none,name=systemd", "none", &systemd])?;
    }
    // What programs write to /run and /var/log stays in here as well.
    tmpfs("/run")?;
    for folder in ["/run/lock", "/run/netns", "/run/containerd"] {
        fs::create_dir_all(folder)?;
    }
    // A volume that can be full, for the suites: the others have the machine's whole disk.
    let small = spot.run.join("volumes/small");
    fs::create_dir_all(&small)?;
    let Some(small) = small.to_str() else { bail!("the cache's path is no text") };
    mount(&["-t", "tmpfs", "-o", "size=24m,mode=755", "none", small])?;
    let logs = spot.run.join("pods");
    fs::create_dir_all(&logs)?;
    let Some(logs) = logs.to_str() else { bail!("the cache's path is no text") };
    mount(&["--bind", logs, "/var/log"])
}

fn mount(arguments: &[&str]) -> Result<()> {
    done(Command::new("mount").args(arguments))
}

fn done(command: &mut Command) -> Result<()> {
    let answer = process::ask(command, None, &mut || {})?;
    if answer.ending.ok() { Ok(()) } else { bail!("{command:?}: {}", answer.err.trim()) }
}

fn network(spot: &Spot, step: &mut Step) -> Result<()> {
    let ip = |arguments: &[&str]| done(Command::new("ip").args(arguments));
    done(Command::new("hostname").arg(NODE))?;
    ip(&["link", "set", "lo", "up"])?;
    let here = format!("/sys/class/net/{CABLE}");
    let seen = || {
        Path::new(&here).exists()
            || process::ask(Command::new("ip").args(["link", "show", CABLE]), None, &mut || {})
                .is_ok_and(|it| it.ending.ok())
    };
    control::wait("the cable", CABLED, step, seen)?;
    ip(&["addr", "add", &format!("{}/30", spot.node()), "dev", CABLE])?;
    ip(&["link", "set", CABLE, "up"])?;
    ip(&["route", "add", "default", "via", &spot.machine()])?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("packets cannot be forwarded")?;
    Ok(())
}

/// The configuration files of containerd, its network, the kubelet and the service proxy.
fn configure(spot: &Spot) -> Result<()> {
    let conf = spot.conf();
    let (run, pki) = (spot.run.display(), spot.pki());
    let net = conf.join("net");
    fs::create_dir_all(&net)?;
    fs::create_dir_all(spot.run.join("kubelet"))?;
    fs::create_dir_all(spot.run.join("plugins"))?;
    let runc = "io.containerd.cri.v1.runtime";
    let containerd = format!(
        "version = 3\nroot = \"{run}/containerd\"\nstate = \"/run/containerd\"\n\
         disabled_plugins = [\"io.containerd.nri.v1.nri\", \"io.containerd.internal.v1.tracing\"]\n\
         [grpc]\naddress = \"/run/containerd/containerd.sock\"\n\
         [plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"overlayfs\"\n\
         [plugins.\"io.containerd.cri.v1.images\".pinned_images]\nsandbox = \"localhost/pause:1\"\n\
         [plugins.\"{runc}\"]\ndisable_apparmor = true\nrestrict_oom_score_adj = true\n\
         tolerate_missing_hugetlb_controller = true\n\
         [plugins.\"{runc}\".containerd]\ndefault_runtime_name = \"runc\"\n\
         [plugins.\"{runc}\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [plugins.\"{runc}\".containerd.runtimes.runc.options]\nBinaryName = \"/usr/sbin/runc\"\nSystemdCgroup = false\n\
         [plugins.\"{runc}\".cni]\nbin_dirs = [\"/usr/lib/cni\"]\nconf_dir = \"{}\"\n",
        net.display()
    );
    fs::write(conf.join("containerd.toml"), containerd)?;
    let plugins = serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": false, "ipam": {
                "type": "host-local", "dataDir": "/run/addresses",
                "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
            }},
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    });
    fs::write(net.join("10-pods.conflist"), plugins.to_string())?;
    // There is nothing to ask outside of the cluster.
    fs::write(conf.join("resolv.conf"), "# none\n")?;
    let kubelet = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": spot.node(),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.join("kubelet-serving.crt"),
        "tlsPrivateKeyFile": pki.join("kubelet-serving.key"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [NAMES],
        "resolvConf": conf.join("resolv.conf"),
        "volumePluginDir": spot.run.join("plugins"),
        // The machine's disk is its owner's: nothing is evicted or collected before it is full.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%",
                         "imagefs.available": "1%", "imagefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "5s",
    });
    fs::write(conf.join("kubelet.json"), kubelet.to_string())?;
    let proxy = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": spot.kubeconfig("kube-proxy")},
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        "metricsBindAddress": "127.0.0.1:10249",
        // These are the machine's, and cannot be written in here.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    fs::write(conf.join("proxy.json"), proxy.to_string())?;
    Ok(())
}
