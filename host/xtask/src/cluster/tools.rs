//! The programs of a cluster: from Debian's packages and from Go modules, built once for each
//! version into the cache. Nothing of them is the product's.

use crate::debian;
use crate::place::Place;
use crate::process;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const KUBERNETES: &str = "1.35.4";
const CONTAINERD: &str = "2.2.9";
const COREDNS: &str = "1.14.7";
const HELM: &str = "3.22.0";
const PAUSE: &str = "1";

const VEGETA: &str = "12.12.0";

/// The names under which the one program of a node is started.
const PARTS: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"];

/// Debian's packages, each with a file of it.
const CLIENTS: [(&str, &str); 1] = [("openssl", "/usr/bin/openssl")];
const CONTROL: [(&str, &str); 2] = [("etcd-server", "/usr/bin/etcd"), ("openssl", "/usr/bin/openssl")];
const NODE: [(&str, &str); 5] = [
    ("runc", "/usr/sbin/runc"),
    ("containernetworking-plugins", "/usr/lib/cni/ptp"),
    ("iproute2", "/usr/sbin/ip"),
    ("nftables", "/usr/sbin/nft"),
    ("iptables", "/usr/sbin/iptables"),
];

/// The Gateway API's definitions, which a test server is taught.
const GATEWAY: &str = "1.4.0";
/// Those of its kinds that the chart makes.
const GATEWAY_KINDS: [&str; 2] = ["httproutes", "backendtlspolicies"];

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// Where they would be; whether they are, `ready` sees to.
    pub fn new(place: &Place) -> Self {
        Self { root: place.tools() }
    }

    /// A part of Kubernetes, or its client.
    pub fn kubernetes(&self, part: &str) -> PathBuf {
        self.root.join(format!("kubernetes-{KUBERNETES}/bin")).join(part)
    }

    /// A program of containerd.
    pub fn containerd(&self, program: &str) -> PathBuf {
        self.root.join(format!("containerd-{CONTAINERD}/bin")).join(program)
    }

    /// The name server.
    pub fn coredns(&self) -> PathBuf {
        self.root.join(format!("coredns-{COREDNS}/bin/coredns"))
    }

    /// Helm.
    pub fn helm(&self) -> PathBuf {
        self.root.join(format!("helm-{HELM}/bin/helm"))
    }

    /// The folder of the Gateway API's definitions, to apply.
    pub fn gateway(&self) -> PathBuf {
        self.root.join(format!("gateway-{GATEWAY}"))
    }

    /// What holds a pod's namespaces.
    pub fn pause(&self) -> PathBuf {
        self.root.join(format!("pause-{PAUSE}/bin/pause"))
    }
}

/// What talks to a cluster.
pub struct Clients {
    /// Kubernetes' client.
    pub kubectl: PathBuf,
    /// Helm.
    pub helm: PathBuf,
}

/// Brings what talks to a cluster that is there: the machine's own clients, or ours.
pub fn clients(place: &Place, step: &mut Step) -> Result<Clients> {
    let tools = Tools::new(place);
    packages(&CLIENTS, step)?;
    let mut clients = Clients { kubectl: "kubectl".into(), helm: "helm".into() };
    if !debian::on_path("kubectl") {
        kubernetes(place, &tools, step)?;
        clients.kubectl = tools.kubernetes("kubectl");
    }
    if !debian::on_path("helm") {
        helm(place, &tools, step)?;
        clients.helm = tools.helm();
    }
    Ok(clients)
}

/// Brings what an API server needs, and Helm.
pub fn control(place: &Place, step: &mut Step) -> Result<Tools> {
    let tools = Tools::new(place);
    packages(&CONTROL, step)?;
    kubernetes(place, &tools, step)?;
    helm(place, &tools, step)?;
    gateway(place, &tools, step)?;
    Ok(tools)
}

/// The load generator of open loops; a Go module too, and of no cluster.
pub fn vegeta(place: &Place, step: &mut Step) -> Result<PathBuf> {
    let program = place.tools().join(format!("vegeta-{VEGETA}/bin/vegeta"));
    install(place, step, &program, &format!("github.com/tsenart/vegeta/v12@v{VEGETA}"), |_| {})?;
    Ok(program)
}

fn helm(place: &Place, tools: &Tools, step: &mut Step) -> Result<()> {
    install(place, step, &tools.helm(), &format!("helm.sh/helm/v3/cmd/helm@v{HELM}"), |go| {
        // Without them Helm calls itself a development version, and renders for Kubernetes 1.20.
        let (major, minor) = KUBERNETES.split_once('.').unwrap_or_default();
        let minor = minor.split('.').next().unwrap_or_default();
        let module = "helm.sh/helm/v3";
        go.arg(format!(
            "-ldflags=-s -w -X {module}/internal/version.version=v{HELM} \
             -X {module}/pkg/chartutil.k8sVersionMajor={major} -X {module}/pkg/chartutil.k8sVersionMinor={minor}"
        ));
    })
}

/// Takes the definitions of what the chart makes out of the Gateway API's module.
fn gateway(place: &Place, tools: &Tools, step: &mut Step) -> Result<()> {
    let folder = tools.gateway();
    let file = |kind: &str| folder.join(format!("{kind}.yaml"));
    if GATEWAY_KINDS.iter().all(|kind| file(kind).is_file()) {
        return Ok(());
    }
    let mut go = go(place, "mod")?;
    go.args(["download", "-json", &format!("sigs.k8s.io/gateway-api@v{GATEWAY}")]);
    let answer = process::ask(go.current_dir("/"), None, &mut || step.tick("the Gateway API's definitions"))?;
    let said: serde_json::Value = serde_json::from_str(&answer.out).unwrap_or_default();
    let Some(module) = crate::json::text(&said, "/Dir") else {
        bail!("go could not fetch the Gateway API: {} {}", answer.err.trim(), answer.out.trim());
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for kind in GATEWAY_KINDS {
        let name = format!("config/crd/standard/gateway.networking.k8s.io_{kind}.yaml");
        let from = Path::new(module).join(name);
        std::fs::copy(&from, file(kind)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Brings what a whole node needs.
pub fn node(place: &Place, step: &mut Step) -> Result<Tools> {
    let tools = control(place, step)?;
    packages(&NODE, step)?;
    let module = "github.com/containerd/containerd/v2";
    for program in ["ctr", "containerd-shim-runc-v2", "containerd"] {
        let package = format!("{module}/cmd/{program}@v{CONTAINERD}");
        install(place, step, &tools.containerd(program), &package, |go| {
            go.arg("-tags=no_btrfs,no_devmapper,no_zfs,no_aufs");
            go.arg(format!("-ldflags=-s -w -X {module}/version.Version=v{CONTAINERD}"));
        })?;
    }
    install(place, step, &tools.coredns(), &format!("github.com/coredns/coredns@v{COREDNS}"), |go| {
        go.args(["-tags=grpcnotrace", "-ldflags=-s -w"]);
    })?;
    build(place, step, &tools.pause(), "tests/cluster/pause", |go| _ = go.arg("-ldflags=-s -w"))?;
    clean(place, step)?;
    Ok(tools)
}

/// Throws away what only building needed: gigabytes, against some hundred megabytes of programs.
fn clean(place: &Place, step: &mut Step) -> Result<()> {
    if !place.cache.join("go").exists() {
        return Ok(());
    }
    // Go makes its folders read-only; its own command knows how to be rid of them.
    let mut go = go(place, "clean")?;
    let command = go.args(["-modcache", "-cache"]).current_dir("/");
    let answer = process::ask(command, None, &mut || step.tick("removing what was only needed to build"))?;
    if !answer.ending.ok() {
        bail!("go clean: {}", answer.err.trim());
    }
    super::control::discard(&place.cache.join("go"));
    Ok(())
}

fn packages(wanted: &[(&'static str, &str)], step: &mut Step) -> Result<()> {
    let missing: Vec<_> =
        wanted.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !debian::is_root() || !debian::has_apt() {
        bail!("a cluster needs {}. Run: {}", missing.join(" "), debian::command_line(&missing));
    }
    debian::install(step, &missing)
}

/// One program for all parts: they share nearly all of their code.
fn kubernetes(place: &Place, tools: &Tools, step: &mut Step) -> Result<()> {
    let node = tools.kubernetes("node");
    let minor = KUBERNETES.split('.').nth(1).unwrap_or_default();
    let mut flags = String::from("-ldflags=-s -w");
    // Without them the server reports a version that Helm and clients misunderstand.
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        flags.push_str(&format!(
            " -X {package}.gitVersion=v{KUBERNETES} -X {package}.gitMajor=1 -X {package}.gitMinor={minor} \
             -X {package}.gitTreeState=clean"
        ));
    }
    build(place, step, &node, "tests/cluster/node", |go| _ = go.args(["-tags=grpcnotrace,notest", &flags]))?;
    for part in PARTS {
        let link = tools.kubernetes(part);
        if std::fs::read_link(&link).is_err() {
            std::os::unix::fs::symlink("node", &link)
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
    }
    Ok(())
}

fn build(
    place: &Place,
    step: &mut Step,
    program: &Path,
    source: &str,
    more: impl FnOnce(&mut Command),
) -> Result<()> {
    if program.is_file() {
        return Ok(());
    }
    let mut go = go(place, "build")?;
    go.current_dir(place.root.join(source)).args(["-trimpath", "-o"]).arg(program);
    more(&mut go);
    run(go.arg("."), step, source, program)
}

fn install(
    place: &Place,
    step: &mut Step,
    program: &Path,
    package: &str,
    more: impl FnOnce(&mut Command),
) -> Result<()> {
    if program.is_file() {
        return Ok(());
    }
    let mut go = go(place, "install")?;
    go.arg("-trimpath");
    if let Some(folder) = program.parent() {
        go.env("GOBIN", folder);
    }
    more(&mut go);
    run(go.arg(package), step, package, program)
}

fn run(go: &mut Command, step: &mut Step, what: &str, program: &Path) -> Result<()> {
    let text = format!("building {what} (once for each version, minutes)");
    let answer = process::ask(go, None, &mut || step.tick(&text))?;
    if !answer.ending.ok() {
        bail!("go could not build {what}: {}", answer.err.trim());
    }
    if program.is_file() { Ok(()) } else { bail!("go built {what}, but {} is not there", program.display()) }
}

fn go(place: &Place, verb: &str) -> Result<Command> {
    let program = ["go", "/usr/local/go/bin/go"]
        .into_iter()
        .find(|name| debian::on_path(name) || Path::new(name).is_file());
    let Some(program) = program else { bail!("building it needs Go 1.25 or newer: https://go.dev/dl") };
    let cache = place.cache.join("go");
    let mut command = Command::new(program);
    // Beside everything else, so that seven gigabytes can be deleted in one place.
    command.arg(verb).env("GOMODCACHE", cache.join("mod")).env("GOCACHE", cache.join("build"));
    command.env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false").env("GOTOOLCHAIN", "local");
    Ok(command)
}
