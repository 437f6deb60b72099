//! The control plane: etcd, API server, controller manager, scheduler. Alone, on loopback
//! addresses and without any privilege, it is enough to ask a real API server what it thinks
//! of an object; inside of `node` it drives a whole cluster.

#![expect(
    clippy::disallowed_methods,
    reason = "the state of other programs, which tell of it only when asked"
)]

use super::pki;
use super::place::{SERVICES, Spot};
use super::tools::Tools;
use crate::process;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an API server may take to be ready. Three seconds are usual, on two cores with a
/// compiler beside it thirty.
const READY: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// An address that nobody dials; the API server refuses to advertise a loopback one.
const NOBODY: &str = "10.255.255.254";

/// Where the parts listen.
pub struct Ports {
    /// The API server: on which address, and at which port.
    pub bind: &'static str,
    /// The API server's port.
    pub api: u16,
    /// What the API server tells the cluster.
    pub advertise: String,
    /// etcd for clients and for itself.
    pub etcd: (u16, u16),
}

/// Starts a part; its output goes to its log.
pub fn part(spot: &Spot, name: &str, command: &mut Command) -> Result<Child> {
    let file = spot.log(name);
    let log = fs::File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let err = log.try_clone()?;
    command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(err)
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

/// Starts etcd and the API server.
pub fn api(spot: &Spot, tools: &Tools, ports: &Ports) -> Result<Vec<Child>> {
    let (client, peer) = ports.etcd;
    let url = |port| format!("http://127.0.0.1:{port}");
    let mut etcd = Command::new("/usr/bin/etcd");
    etcd.args(["--name", "one", "--unsafe-no-fsync", "--data-dir"]).arg(spot.run.join("etcd"));
    etcd.args(["--listen-client-urls", &url(client), "--advertise-client-urls", &url(client)]);
    etcd.args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)]);
    etcd.arg("--initial-cluster").arg(format!("one={}", url(peer)));

    let pki = |file: &str| spot.pki().join(file).display().to_string();
    let mut server = Command::new(tools.kubernetes("kube-apiserver"));
    for (flag, value) in [
        ("etcd-servers", url(client)),
        ("bind-address", ports.bind.to_owned()),
        ("advertise-address", ports.advertise.clone()),
        ("secure-port", ports.api.to_string()),
        ("client-ca-file", pki("ca.crt")),
        ("tls-cert-file", pki("apiserver.crt")),
        ("tls-private-key-file", pki("apiserver.key")),
        ("kubelet-client-certificate", pki("to-kubelet.crt")),
        ("kubelet-client-key", pki("to-kubelet.key")),
        ("kubelet-certificate-authority", pki("ca.crt")),
        ("kubelet-preferred-address-types", "InternalIP".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("service-account-key-file", pki("accounts.pub")),
        ("service-account-signing-key-file", pki("accounts.key")),
        ("requestheader-client-ca-file", pki("front-ca.crt")),
        ("requestheader-allowed-names", "front-proxy-client".to_owned()),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
        ("requestheader-group-headers", "X-Remote-Group".to_owned()),
        ("requestheader-username-headers", "X-Remote-User".to_owned()),
        ("proxy-client-cert-file", pki("front-proxy.crt")),
        ("proxy-client-key-file", pki("front-proxy.key")),
        ("service-cluster-ip-range", SERVICES.to_owned()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("profiling", "false".to_owned()),
    ] {
        server.arg(format!("--{flag}={value}"));
    }
    Ok(vec![part(spot, "etcd", &mut etcd)?, part(spot, "kube-apiserver", &mut server)?])
}

/// Starts what acts on the objects, once the API server is there.
pub fn controllers(spot: &Spot, tools: &Tools) -> Result<Vec<Child>> {
    let mut started = Vec::new();
    for name in ["kube-controller-manager", "kube-scheduler"] {
        let config = spot.kubeconfig(name).display().to_string();
        let mut command = Command::new(tools.kubernetes(name));
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={config}"));
        }
        // Nobody asks them; they only must not take a port that somebody else wants.
        command.args(["--bind-address=127.0.0.1", "--secure-port=0", "--leader-elect=false"]);
        if name == "kube-controller-manager" {
            let pki = |file: &str| spot.pki().join(file).display().to_string();
            command.arg("--use-service-account-credentials=true");
            command.arg(format!("--service-account-private-key-file={}", pki("accounts.key")));
            command.arg(format!("--root-ca-file={}", pki("ca.crt")));
            command.arg(format!("--cluster-signing-cert-file={}", pki("ca.crt")));
            command.arg(format!("--cluster-signing-key-file={}", pki("ca.key")));
        }
        started.push(part(spot, name, &mut command)?);
    }
    Ok(started)
}

/// A client of the cluster.
pub fn kubectl(spot: &Spot, tools: &Tools) -> Command {
    let mut command = Command::new(tools.kubernetes("kubectl"));
    command.env("KUBECONFIG", spot.kubeconfig("admin"));
    command
}

/// Waits until `good` says so.
pub fn wait(what: &str, limit: Duration, step: &mut Step, mut good: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !good() {
        if began.elapsed() > limit {
            bail!("{what} is not there after {} s", limit.as_secs());
        }
        step.tick(&format!("waiting for {what}"));
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits for the API server.
pub fn ready(spot: &Spot, tools: &Tools, step: &mut Step) -> Result<()> {
    let asked =
        || process::line(kubectl(spot, tools).args(["get", "--raw", "/readyz"])).as_deref() == Some("ok");
    wait("the API server", READY, step, asked)
        .with_context(|| format!("its log: {}", spot.log("kube-apiserver").display()))
}

/// A control plane on loopback addresses. It ends when it is dropped.
pub struct Alone {
    /// Its folder.
    pub spot: Spot,
    parts: Vec<Child>,
}

impl Alone {
    /// Starts one.
    pub fn start(spot: Spot, tools: &Tools, step: &mut Step) -> Result<Self> {
        let _none = fs::remove_dir_all(&spot.run);
        let free = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let ports =
            Ports { bind: "127.0.0.1", api: free()?, advertise: NOBODY.into(), etcd: (free()?, free()?) };
        pki::make(&spot, &format!("127.0.0.1:{}", ports.api))?;
        let mut alone = Self { spot, parts: Vec::new() };
        alone.parts = api(&alone.spot, tools, &ports)?;
        ready(&alone.spot, tools, step)?;
        alone.parts.extend(controllers(&alone.spot, tools)?);
        Ok(alone)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // Last started, first ended. What they knew is thrown away with the folder.
        for part in self.parts.iter_mut().rev() {
            let _ended = part.kill();
            let _reaped = part.wait();
        }
        discard(&self.spot.run);
    }
}

/// Throws a cluster's folder away.
pub fn discard(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("{} could not be removed: {error}", folder.display());
    }
}
