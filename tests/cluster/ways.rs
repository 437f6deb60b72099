//! Other ways in: a cluster without image volumes, and `make cluster CONTEXT=…` in a cluster
//! that is there already.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use monopod_tests::kube::{self, Said};

use crate::support::{OBJECTS, Release, accepted, ended};

#[tokio::test]
async fn without_image_volumes_the_bundles_are_copied_and_a_photo_goes_through() {
    let release = Release::new("copied");
    let began = Instant::now();
    release.install(&["--set=bundles.delivery=copy"]).good();
    println!("note: helm install --wait with copied bundles: {} ms", began.elapsed().as_millis());
    let pod = release.pods().remove(0);
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.iter().all(|volume| volume["image"].is_null()), "{pod}");
    assert_eq!(pod["status"]["initContainerStatuses"].as_array().unwrap().len(), 7);
    let phone = release.phone();
    let upload = accepted(&phone).await;
    assert_eq!(ended(&phone, &upload).await, "completed");
}

/// A machine with clients of its own, and no node of ours.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kubectl", "helm"] {
            let program = monopod_tests::from_environment(&format!("MONOPOD_{}", name.to_uppercase()));
            // The client finds out by its name which part of Kubernetes it is.
            std::os::unix::fs::symlink(program, folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// A target of make's, as make starts it.
    fn make(&self, target: &str, choices: &[(&str, &str)]) -> Said {
        let mut command = Command::new(monopod_tests::from_environment("MONOPOD_TASK"));
        command.arg(target).envs(choices.iter().copied());
        self.ask(command)
    }

    fn ask(&self, mut command: Command) -> Said {
        let host = monopod_tests::from_environment("MONOPOD_BIN");
        let target = host.parent().and_then(Path::parent).unwrap();
        let path = std::env::var("PATH").unwrap();
        command
            .current_dir(monopod_tests::checkout())
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("XDG_CACHE_HOME", self.folder.path())
            .env("CARGO_TARGET_DIR", target);
        kube::ask(&mut command)
    }
}

/// A forwarded port, while it lives. Its output stays open: the client ends when it cannot write.
struct Forwarded {
    client: Child,
    _output: BufReader<ChildStdout>,
}

impl Forwarded {
    fn begin(command: &str) -> Self {
        let mut shell = Command::new("bash");
        // In the place of the shell, so that ending it ends the client.
        shell.args(["-c", &format!("exec {command}")]).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let (mut out, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("Forwarding from"), "{line}");
        Self { client: child, _output: out }
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        let _gone = self.client.kill();
        let _reaped = self.client.wait();
    }
}

#[test]
fn a_cluster_that_is_there_is_used_by_its_context_and_what_is_not_ours_is_left_alone() {
    let machine = Machine::new();
    let said = machine.make("cluster", &[("CONTEXT", "nowhere")]).bad();
    assert!(said.contains("no context `nowhere`") && said.contains("It has: monopod"), "{said}");
    let said = machine.make("cluster", &[("CONTEXT", "monopod")]).bad();
    assert!(said.contains("make cluster CONTEXT=monopod REGISTRY="), "{said}");

    // Somebody else's namespace.
    let theirs = Release::without_secret("theirs");
    let choices = |namespace| [("CONTEXT", "current"), ("NAMESPACE", namespace), ("REGISTRY", "localhost")];
    let said = machine.make("cluster", &choices("theirs")).bad();
    assert!(said.contains("the namespace theirs was not made by `make cluster`"), "{said}");
    assert_eq!(theirs.kubectl(&["get", "secrets,deployments", "--output=name"]).good(), "");
    let said = machine.make("cluster-down", &choices("theirs")).bad();
    assert!(said.contains("has no release trackunit in the namespace theirs"), "{said}");

    // One that it makes; the commands that it prints are those that people type.
    let said = machine.make("cluster", &choices("context")).good();
    let typed: Vec<&str> = said.lines().filter_map(|line| line.trim_start().strip_suffix('&')).collect();
    let [forward] = typed[..] else { panic!("{said}") };
    // Another port of this machine, where 8443 may be somebody's.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let at_port = |line: &str| line.replace("8443", &port);
    let _forwarded = Forwarded::begin(&format!("{}/{}", machine.folder.path().display(), at_port(forward)));
    let rest: Vec<String> = said
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("export ") || line.contains(" try "))
        .map(at_port)
        .collect();
    assert_eq!(rest.len(), 2, "{said}");
    let mut shell = Command::new("bash");
    shell.args(["-c", &rest.join(" && ")]);
    let photo = machine.ask(shell).good();
    assert!(photo.contains("Volvo EC220E") && photo.contains("completed"), "{photo}");

    // A second time, it finds what it made and changes nothing.
    let release = Release::existing("context");
    let version = ["get", "secret", "monopod-tls", "--output=jsonpath={.metadata.resourceVersion}"];
    let before = release.kubectl(&version).good();
    machine.make("cluster", &choices("context")).good();
    assert_eq!(release.kubectl(&version).good(), before);

    let said = machine.make("cluster-down", &choices("context")).good();
    assert!(said.contains("What stays"), "{said}");
    let kinds = "deployments,services,persistentvolumeclaims,secrets";
    let left = release.kubectl(&["get", kinds, "--output=name"]).good();
    assert!(left.contains(&format!("persistentvolumeclaim/{OBJECTS}-state")), "{left}");
    assert!(
        left.contains("secret/monopod-tls") && !left.contains("deployment") && !left.contains("service/"),
        "{left}"
    );
}
