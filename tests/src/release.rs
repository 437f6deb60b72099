//! A release of the chart in a namespace of its own, and a phone that calls it from outside.

use std::path::PathBuf;

use serde_json::Value;

use crate::client::Client;
use crate::kube::{self, Said, until};

/// The public address of the chart's development values.
pub const URL: &str = "https://graphql.local";
/// The objects' name, as the chart makes it of the release `trackunit`.
pub const OBJECTS: &str = "trackunit-monopod";
/// The release `trackunit` in one namespace.
pub struct Release {
    namespace: &'static str,
}

impl Release {
    /// The namespace, with the strictest pod security and the front door's secret.
    pub fn new(namespace: &'static str) -> Self {
        let release = Self::without_secret(namespace);
        let pki = pki();
        let file = |key: &str, file: &str| format!("--from-file={key}={}", pki.join(file).display());
        let files = [file("tls.crt", "front.crt"), file("tls.key", "front.key"), file("ca.crt", "ca.crt")];
        let mut arguments = vec!["create", "secret", "generic", "monopod-tls", "--type=kubernetes.io/tls"];
        arguments.extend(files.iter().map(String::as_str));
        release.kubectl(&arguments).good();
        release
    }

    /// The namespace alone.
    pub fn without_secret(namespace: &'static str) -> Self {
        let object = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels:\n    \
             pod-security.kubernetes.io/enforce: restricted\n"
        );
        kube::kubectl(&["apply", "--filename", kube::file(&object).path().to_str().unwrap()]).good();
        Self { namespace }
    }

    /// One that somebody else installed.
    pub fn existing(namespace: &'static str) -> Self {
        Self { namespace }
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        kube::kubectl(&[&["--namespace", self.namespace], arguments].concat())
    }

    /// Helm in this namespace.
    pub fn helm(&self, arguments: &[&str]) -> Said {
        kube::helm(&[&["--namespace", self.namespace], arguments].concat())
    }

    /// Installs or upgrades with the development values and these; waits until it is ready.
    pub fn install(&self, more: &[&str]) -> Said {
        self.apply(&[&["--wait", "--timeout=120s"], more].concat())
    }

    /// The same without waiting.
    pub fn apply(&self, more: &[&str]) -> Said {
        let chart = kube::chart();
        let values = chart.join("values-development.yaml");
        let fixed = [
            "upgrade",
            "--install",
            "trackunit",
            chart.to_str().unwrap(),
            "--values",
            values.to_str().unwrap(),
            "--set=service.type=LoadBalancer,image.pullPolicy=Never,bundles.pullPolicy=Never",
        ];
        self.helm(&[&fixed, more].concat())
    }

    /// Where the service is reached from outside.
    pub fn address(&self) -> String {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let ask = || self.kubectl(&["get", "service", OBJECTS, "--output", path]).good();
        let address = until("an address", || Some(ask()).filter(|address| !address.is_empty()));
        format!("{address}:443")
    }

    /// A token of the cluster for the service account `caller`.
    pub fn token(&self) -> String {
        self.kubectl(&["create", "token", "caller", "--audience=trackunit"]).good().trim().to_owned()
    }

    /// A phone outside of the cluster.
    pub fn phone(&self) -> Client {
        Client::new(URL, &pki().join("ca.crt")).via(&self.address()).with_token(&self.token())
    }

    /// The platform's pods as they are.
    pub fn pods(&self) -> Vec<Value> {
        let list =
            self.kubectl(&["get", "pods", "--selector=app.kubernetes.io/name=monopod", "--output=json"]);
        list.json()["items"].as_array().unwrap().clone()
    }

    /// The folder that the platform's claim is bound to, on this machine.
    pub fn state(&self) -> PathBuf {
        let claim = format!("{OBJECTS}-state");
        let bound = ["get", "persistentvolumeclaim", &claim, "--output=jsonpath={.spec.volumeName}"];
        let volume = self.kubectl(&bound).good();
        let path = ["get", "persistentvolume", &volume, "--output=jsonpath={.spec.local.path}"];
        PathBuf::from(kube::kubectl(&path).good())
    }

    /// What the events about an object say, all in one.
    pub fn events(&self) -> String {
        self.kubectl(&["get", "events", "--output=jsonpath={range .items[*]}{.message}{\"\\n\"}{end}"]).good()
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.kubectl(&["get", "all,pvc,events"]).out);
            println!("{}", self.kubectl(&["logs", &format!("deployment/{OBJECTS}"), "--tail=40"]).out);
        }
        // The cluster ends soon; this only frees what other tests need.
        let _gone = self.helm(&["uninstall", "trackunit", "--ignore-not-found"]);
        let _gone = kube::kubectl(&["delete", "namespace", self.namespace, "--wait=false"]);
    }
}

/// The folder of certificates of the cluster.
pub fn pki() -> PathBuf {
    crate::from_environment("MONOPOD_CLUSTER").join("pki")
}
