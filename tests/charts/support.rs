//! Rendering, and comparing with what was written down.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use monopod_tests::kube::{self, Said};
use serde_json::Value;

/// The release, and the namespace of everything here.
pub const RELEASE: &str = "trackunit";
/// The value files that are rendered: those of the chart, one with everything on, and one for
/// clusters without image volumes.
pub const FILES: [&str; 4] = ["development", "single-pod", "everything", "copied"];

/// A value file.
pub fn values(name: &str) -> PathBuf {
    match name {
        "everything" | "copied" => monopod_tests::checkout().join(format!("tests/charts/values/{name}.yaml")),
        name => kube::chart().join(format!("values-{name}.yaml")),
    }
}

/// Renders with a value file and more arguments.
pub fn template(name: &str, more: &[&str]) -> Said {
    let (chart, file) = (kube::chart(), values(name));
    let (chart, file) = (chart.to_str().unwrap(), file.to_str().unwrap());
    let mut arguments = vec!["template", RELEASE, chart, "--namespace", RELEASE, "--values", file];
    arguments.extend(more);
    kube::helm(&arguments)
}

/// All objects of a value file, as the API server would read them.
pub fn objects(name: &str) -> Vec<Value> {
    parse(&template(name, &[]).good())
}

/// Teaches the server the kinds of the Gateway API, once.
pub fn taught() {
    static TAUGHT: OnceLock<()> = OnceLock::new();
    TAUGHT.get_or_init(|| {
        let gateway = monopod_tests::from_environment("MONOPOD_GATEWAY");
        kube::kubectl(&["apply", "--server-side", "--filename", gateway.to_str().unwrap()]).good();
        // Known a moment after they were taught.
        for kind in ["httproutes", "backendtlspolicies"] {
            kube::until(kind, || {
                kube::kubectl(&["get", &format!("{kind}.gateway.networking.k8s.io")]).ok.then_some(())
            });
        }
    });
}

/// Objects from YAML. The client needs no server for kinds that it knows.
pub fn parse(yaml: &str) -> Vec<Value> {
    if yaml.contains("gateway.networking.k8s.io") {
        taught();
    }
    let file = kube::file(yaml);
    let path = file.path().to_str().unwrap();
    let said = kube::kubectl(&[
        "create",
        "--dry-run=client",
        "--validate=false",
        "--output=json",
        "--filename",
        path,
    ]);
    let text = said.good();
    // Several documents, one behind the other.
    serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
}

/// The one object of a kind.
pub fn one<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

/// The platform file in the config map.
pub fn platform(objects: &[Value]) -> String {
    one(objects, "ConfigMap")["data"]["platform.toml"].as_str().unwrap().to_owned()
}

/// Compares with a file that is kept; `UPDATE=1` writes it.
pub fn kept(file: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let before = std::fs::read_to_string(file).unwrap_or_default();
    let differs = before.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(before == text, "{} is not as rendered (UPDATE=1 writes anew): {differs:?}", file.display());
}
