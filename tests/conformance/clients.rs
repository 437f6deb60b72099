//! GraphQL as clients speak it: the audits of `graphql-http`, and the npm clients that people
//! use, each a program of Node against a real host with Trackunit in it.

use std::process::Stdio;
use std::time::Duration;

use monopod_tests::client::Client;
use monopod_tests::host::{Host, Setup};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Each case has a bound of its own, of a minute; a program has up to 61 of them, quick ones.
const LIMIT: Duration = Duration::from_secs(300);

struct House {
    host: Host,
    folder: TempDir,
    token: String,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Setup::trackunit(folder.path()).start().await;
        let client = Client::new(host.url(), &host.setup().ca()).login("conformance").await;
        let token = client.token().unwrap().to_owned();
        Self { host, folder, token }
    }

    /// Runs one of the programs; its cases.
    async fn run(&self, program: &str) -> Vec<Value> {
        // Node looks for packages beside the program.
        let scripts = monopod_tests::checkout().join("tests/conformance/clients");
        for entry in std::fs::read_dir(&scripts).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "js") || path.ends_with("package.json") {
                std::fs::copy(&path, self.folder.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let modules = self.folder.path().join("node_modules");
        if !modules.exists() {
            std::os::unix::fs::symlink(monopod_tests::from_environment("MONOPOD_NPM"), modules).unwrap();
        }
        let photo = monopod_tests::from_environment("MONOPOD_SAMPLES").join("excavator-tagged.jpg");
        let output = Command::new("node")
            .arg(self.folder.path().join(program))
            .env("HOST_URL", self.host.url())
            .env("HOST_TOKEN", &self.token)
            .env("PHOTO_SUM", monopod_tests::digest(&std::fs::read(&photo).unwrap()))
            .env("PHOTO", photo)
            .env("NODE_EXTRA_CA_CERTS", self.host.setup().ca())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, output).await.expect("it ends").unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let cases: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        cases
    }
}

/// All cases are well, and there are so many: a program that ends early proves nothing.
async fn all_well(program: &str, wanted: usize) {
    let cases = House::new().await.run(program).await;
    let bad: Vec<_> = cases
        .iter()
        .filter(|case| case["ok"] != true)
        .map(|case| format!("{}: {}", case["name"], case["why"].as_str().unwrap_or_default()))
        .collect();
    assert!(bad.is_empty(), "{} of {} failed\n{}", bad.len(), cases.len(), bad.join("\n"));
    assert_eq!(cases.len(), wanted);
}

#[tokio::test]
async fn all_audits_of_graphql_over_http_pass_without_warning_or_notice() {
    all_well("audits.js", 61).await;
}

#[tokio::test]
async fn the_client_graphql_ws_is_served() {
    all_well("ws.js", 6).await;
}

#[tokio::test]
async fn the_client_graphql_sse_is_served() {
    all_well("sse.js", 3).await;
}

#[tokio::test]
async fn apollo_client_is_served() {
    all_well("apollo.js", 4).await;
}

#[tokio::test]
async fn urql_is_served() {
    all_well("urql.js", 3).await;
}
