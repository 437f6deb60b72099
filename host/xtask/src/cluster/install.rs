//! The platform in the cluster of `make cluster`: a certificate, the chart, an address.

use super::context::MADE;
use super::node::Node;
use super::{pki, say, told, with_step};
use crate::image::{Image, SAMPLE};
use crate::place::{Place, SAMPLES};
use crate::ui;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The release, and the namespace it is in.
pub const RELEASE: &str = "trackunit";
/// The host of the public address in the chart's development values.
pub const HOST: &str = "graphql.local";
/// The secret and the caller in them.
pub const SECRET: &str = "monopod-tls";
/// See above.
pub const CALLER: &str = "caller";
/// Whom the tokens in them are for.
pub const AUDIENCE: &str = "trackunit";
/// The name that the chart gives its objects in this release.
pub const OBJECTS: &str = "trackunit-monopod";

/// Installs or upgrades, waits until it is ready, and says what to type next.
pub fn run(place: &Place, node: &Node, host: &Path, images: &[Image]) -> Result<()> {
    with_step("secret", SECRET, |step| {
        namespace(node, RELEASE, step)?;
        secret(node, RELEASE, SECRET, step)
    })?;
    with_step("chart", "ready", |step| {
        let mut helm = helm(node);
        helm.args(["upgrade", "--install", RELEASE]).arg(place.root.join("charts/monopod"));
        helm.arg("--values").arg(place.root.join("charts/monopod/values-development.yaml"));
        helm.args(["--set", "service.type=LoadBalancer", "--namespace", RELEASE]);
        // The tags stay while one works on what is behind them; the pod has to change then.
        helm.arg("--set-string").arg(format!("podAnnotations.images={}", mark(images)));
        // The state of an earlier round may have to be compiled for again.
        helm.args(["--wait", "--timeout", "120s"]);
        told(&mut helm, step, "helm upgrade --install, waiting for the pod").map(|_| ())
    })?;
    let (config, ca) = (node.spot.kubeconfig("admin"), node.spot.pki().join("ca.crt"));
    let bin = |path: &Path| path.display().to_string();
    ui::line("serving", &format!("https://{HOST} at {}:443", node.spot.balancer()));
    ui::note("");
    ui::note("Type next:");
    say(&[
        format!("  export KUBECONFIG={}", bin(&config)),
        format!(
            "  export MONOPOD_TOKEN=$({} -n {RELEASE} create token {CALLER} --audience {AUDIENCE})",
            bin(&node.tools().kubernetes("kubectl"))
        ),
        format!(
            "  {} try {SAMPLES}/{SAMPLE} --url https://{HOST} --connect {}:443 --ca {}",
            bin(host),
            node.spot.balancer(),
            bin(&ca)
        ),
    ]);
    ui::note("And in the end: make cluster-down");
    Ok(())
}

/// A word that differs as soon as one of the images does.
fn mark(images: &[Image]) -> String {
    let short =
        |image: &Image| image.digest.trim_start_matches("sha256:").chars().take(8).collect::<String>();
    images.iter().map(short).collect::<Vec<_>>().join("-")
}

/// Helm, for this cluster.
pub fn helm(node: &Node) -> Command {
    let mut command = Command::new(node.tools().helm());
    command.env("KUBECONFIG", node.spot.kubeconfig("admin"));
    // What Helm remembers belongs to this cluster.
    for (variable, folder) in
        [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
    {
        command.env(variable, node.spot.run.join("helm").join(folder));
    }
    command
}

/// A namespace that takes only pods of the strictest kind, and says who made it.
pub fn namespace_object(name: &str) -> serde_json::Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
        MADE.0: MADE.1,
    }}})
}

fn namespace(node: &Node, name: &str, step: &mut crate::ui::Step) -> Result<()> {
    let file = node.spot.conf().join("namespace.json");
    fs::write(&file, namespace_object(name).to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    super::apply(node, &file, step)
}

/// A certificate for the public address, and a secret with it.
fn secret(node: &Node, namespace: &str, name: &str, step: &mut crate::ui::Step) -> Result<()> {
    let pki = node.spot.pki();
    if !pki.join(format!("{name}.crt")).is_file() {
        pki::public(&node.spot, name, &format!("DNS:{HOST}"))?;
    }
    let file = |key: &str, file: &str| format!("--from-file={key}={}", pki.join(file).display());
    let mut make = node.kubectl();
    make.args(["--namespace", namespace, "create", "secret", "generic", name, "--type=kubernetes.io/tls"]);
    make.args([
        file("tls.crt", &format!("{name}.crt")),
        file("tls.key", &format!("{name}.key")),
        file("ca.crt", "ca.crt"),
        "--dry-run=client".into(),
        "--output=json".into(),
    ]);
    let object = told(&mut make, step, "making the secret")?;
    let file = node.spot.conf().join("secret.json");
    fs::write(&file, object).with_context(|| format!("cannot write {}", file.display()))?;
    super::apply(node, &file, step)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
}
