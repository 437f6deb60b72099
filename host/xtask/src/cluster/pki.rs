//! The certificates of a cluster, by openssl: two authorities, a certificate for each part,
//! and what each part needs in order to talk to the API server.

use super::place::{API_SERVICE, NODE, Spot};
use crate::process;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::process::Command;

/// Longer than a cluster of `make cluster` is left standing.
const DAYS: &str = "365";

/// Makes all of them, for an API server at `address` (`host:port`).
pub fn make(spot: &Spot, address: &str) -> Result<()> {
    for folder in [spot.conf(), spot.run.join("log")] {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let node = spot.node();
    begin(spot)?;
    authority(spot, "front-ca")?;
    let names = format!(
        "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
         DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:{node},IP:{API_SERVICE}"
    );
    certificate(spot, "apiserver", "ca", "/CN=kube-apiserver", &names)?;
    certificate(spot, "to-kubelet", "ca", "/O=system:masters/CN=apiserver", "")?;
    certificate(spot, "front-proxy", "front-ca", "/CN=front-proxy-client", "")?;
    let serving = format!("IP:{node},DNS:{NODE}");
    certificate(spot, "kubelet-serving", "ca", &format!("/O=system:nodes/CN=system:node:{NODE}"), &serving)?;
    for (who, subject) in [
        ("admin", "/O=system:masters/CN=admin".to_owned()),
        ("kube-controller-manager", "/CN=system:kube-controller-manager".to_owned()),
        ("kube-scheduler", "/CN=system:kube-scheduler".to_owned()),
        ("kubelet", format!("/O=system:nodes/CN=system:node:{NODE}")),
        ("kube-proxy", "/CN=system:kube-proxy".to_owned()),
    ] {
        certificate(spot, who, "ca", &subject, "")?;
        kubeconfig(spot, who, address)?;
    }
    let key = spot.pki().join("accounts.key");
    openssl(
        Command::new("openssl")
            .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"])
            .arg(&key),
    )?;
    let public = spot.pki().join("accounts.pub");
    openssl(Command::new("openssl").args(["ec", "-pubout", "-in"]).arg(&key).arg("-out").arg(public))
}

/// An authority, and a certificate of a public name that it signed; for an installation in a
/// cluster that has others.
pub fn alone(spot: &Spot, name: &str, names: &str) -> Result<()> {
    begin(spot)?;
    public(spot, name, names)
}

fn begin(spot: &Spot) -> Result<()> {
    let pki = spot.pki();
    fs::create_dir_all(&pki).with_context(|| format!("cannot make {}", pki.display()))?;
    // Only what is written here goes into a certificate.
    fs::write(pki.join("openssl.cnf"), "[req]\ndistinguished_name = name\n[name]\n")?;
    authority(spot, "ca")
}

/// A certificate and key of a public name, signed by the cluster's authority: for the front
/// door of what is installed.
pub fn public(spot: &Spot, name: &str, names: &str) -> Result<()> {
    certificate(spot, name, "ca", &format!("/CN={name}"), names)
}

fn authority(spot: &Spot, name: &str) -> Result<()> {
    let mut command = request(spot, name, &format!("/CN={name}"));
    command.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
    command.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]);
    openssl(&mut command)
}

fn certificate(spot: &Spot, name: &str, by: &str, subject: &str, names: &str) -> Result<()> {
    let mut command = request(spot, name, subject);
    command.arg("-CA").arg(spot.pki().join(format!("{by}.crt")));
    command.arg("-CAkey").arg(spot.pki().join(format!("{by}.key")));
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.args(["-addext", "keyUsage=critical,digitalSignature,keyEncipherment"]);
    command.args(["-addext", "extendedKeyUsage=serverAuth,clientAuth"]);
    if !names.is_empty() {
        command.arg("-addext").arg(format!("subjectAltName={names}"));
    }
    openssl(&mut command)
}

fn request(spot: &Spot, name: &str, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", DAYS, "-subj", subject, "-config"]).arg(spot.pki().join("openssl.cnf"));
    command.arg("-keyout").arg(spot.pki().join(format!("{name}.key")));
    command.arg("-out").arg(spot.pki().join(format!("{name}.crt")));
    command
}

fn openssl(command: &mut Command) -> Result<()> {
    let answer = process::ask(command, None, &mut || {})?;
    if answer.ending.ok() { Ok(()) } else { bail!("openssl: {}", answer.err.trim()) }
}

fn kubeconfig(spot: &Spot, who: &str, address: &str) -> Result<()> {
    let pki = spot.pki().display().to_string();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: monopod\n\
         clusters: [{{name: monopod, cluster: {{server: \"https://{address}\", certificate-authority: {pki}/ca.crt}}}}]\n\
         users: [{{name: {who}, user: {{client-certificate: {pki}/{who}.crt, client-key: {pki}/{who}.key}}}}]\n\
         contexts: [{{name: monopod, context: {{cluster: monopod, user: {who}}}}}]\n"
    );
    let file = spot.kubeconfig(who);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
