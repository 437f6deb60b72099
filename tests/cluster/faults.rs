//! What is missing, damaged or there twice: named with its fix where people look, and nothing
//! of what was there is harmed.

use bytes::Bytes;
use monopod_tests::kube;
use serde_json::{Value, json};

use crate::support::{OBJECTS, Release, accepted, ended, sample, until};

/// The message with which a pod's container ended last.
fn last_words(pods: &[Value]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let status = &pod["status"]["containerStatuses"][0];
        let ended = [&status["state"]["terminated"], &status["lastState"]["terminated"]];
        ended.into_iter().find_map(|it| it["message"].as_str().map(str::to_owned))
    })
}

#[test]
fn a_missing_tls_secret_is_named_by_helm_with_the_command_that_makes_it() {
    let release = Release::without_secret("no-secret");
    let said = release.install(&[]).bad();
    assert!(said.contains("the secret \"monopod-tls\" is missing in the namespace \"no-secret\""), "{said}");
    assert!(said.contains("kubectl --namespace no-secret create secret tls monopod-tls"), "{said}");
    assert!(release.pods().is_empty(), "and nothing was made");

    // Told that it comes later, the pod waits for it and says for what.
    release.apply(&["--set=tls.check=false"]).good();
    until("word about the secret", || {
        release.events().contains("secret \"monopod-tls\" not found").then_some(())
    });
}

#[tokio::test]
async fn a_bundle_that_is_not_there_is_named_and_the_running_release_comes_back() {
    let release = Release::new("no-image");
    release.install(&[]).good();
    let phone = release.phone();
    let upload = accepted(&phone).await;
    let more = ["--set-string=bundles.versions.web=9.9.9", "--wait", "--atomic", "--timeout=15s"];
    let said = release.apply(&more).bad();
    assert!(said.contains("rolled back"), "{said}");
    assert!(release.events().contains("localhost/trackunit/web:9.9.9"), "{}", release.events());
    let phone = release.phone();
    assert_eq!(ended(&phone, &upload).await, "completed");
}

#[tokio::test]
async fn a_damaged_platform_file_is_named_in_the_pods_status_with_its_line_and_nothing_is_lost() {
    let release = Release::new("damaged");
    release.install(&[]).good();
    let phone = release.phone();
    let upload = accepted(&phone).await;
    let map = release.kubectl(&["get", "configmap", OBJECTS, "--output=json"]).json();
    let good = map["data"]["platform.toml"].as_str().unwrap().to_owned();
    let put = |text: &str| {
        let patch = json!({"data": {"platform.toml": text}}).to_string();
        release.kubectl(&["patch", "configmap", OBJECTS, "--type=merge", "--patch", &patch]).good();
        release.kubectl(&["delete", "pods", "--selector=app.kubernetes.io/name=monopod"]).good();
    };
    put(&good.replace("verify = \"strict\"", "verfy = \"strict\""));
    let said = until("last words", || last_words(&release.pods()));
    assert!(said.contains("/etc/monopod/platform.toml:") && said.contains("did you mean `verify`"), "{said}");
    put(&good);
    release.kubectl(&["rollout", "status", &format!("deployment/{OBJECTS}"), "--timeout=90s"]).good();
    assert_eq!(ended(&release.phone(), &upload).await, "completed");
}

#[tokio::test]
async fn a_second_pod_on_the_same_state_is_refused_and_the_first_goes_on() {
    let release = Release::new("twice");
    release.install(&[]).good();
    let chart = kube::chart();
    let values = chart.join("values-development.yaml");
    let claim = format!("--set=state.existingClaim={OBJECTS}-state,identity.kubernetes.callers=null");
    let said = release.helm(&[
        "install",
        "second",
        chart.to_str().unwrap(),
        "--values",
        values.to_str().unwrap(),
        &claim,
    ]);
    said.good();
    let selector = "--selector=app.kubernetes.io/instance=second";
    let words = until("last words of the second", || {
        let pods = release.kubectl(&["get", "pods", selector, "--output=json"]).json();
        last_words(pods["items"].as_array().unwrap())
    });
    assert!(words.contains("another") && words.contains("/var/lib/monopod"), "{words}");
    let phone = release.phone();
    let upload = accepted(&phone).await;
    assert_eq!(ended(&phone, &upload).await, "completed");
    release.helm(&["uninstall", "second"]).good();
}

#[test]
fn a_volume_that_cannot_be_written_is_named_in_the_pods_status() {
    let release = Release::new("read-only");
    let folder = volume("read-only", &["ro"]);
    std::fs::create_dir_all(&folder).unwrap();
    release.apply(&["--set=state.storageClass=read-only"]).good();
    let words = until("last words", || last_words(&release.pods()));
    assert!(words.contains("/var/lib/monopod") && words.to_lowercase().contains("read-only"), "{words}");
}

#[tokio::test]
async fn a_full_volume_is_named_by_the_readiness_and_what_was_accepted_goes_on_when_there_is_room() {
    let release = Release::new("full");
    let folder = volume("small", &[]);
    release.install(&["--set=state.storageClass=small"]).good();
    let phone = release.phone();
    let upload = accepted(&phone).await;
    // Photos until one is refused. It is, in the end: the volume holds some hundred.
    let photo = Bytes::from(std::fs::read(sample()).unwrap());
    let mut refused = None;
    while refused.is_none() {
        let Ok(Ok(next)) = phone.start("photo.jpg", "image/jpeg").await else { break };
        let status = phone.put(&next, "image/jpeg", photo.clone()).await.unwrap().status();
        refused = (!status.is_success()).then_some(status);
    }
    let pod = release.pods()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let health = format!("/api/v1/namespaces/full/pods/{pod}:8080/proxy/health/ready");
    // The server hands the answer on, with its reasons, as an error of its own.
    let said = until("reason", || {
        let said = kube::kubectl(&["get", "--raw", &health, "-v=8"]);
        (!said.ok).then_some(format!("{}{}", said.out, said.err))
    });
    assert!(said.contains("disk") && said.contains("full"), "{said}");
    until("not ready", || {
        let pods = release.pods();
        let conditions = pods[0]["status"]["conditions"].as_array()?.clone();
        conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "False").then_some(())
    });

    // More room, as a volume that was enlarged has it.
    let cluster = monopod_tests::from_environment("MONOPOD_CLUSTER");
    let node = std::fs::read_to_string(cluster.join("pid")).unwrap();
    let mut enlarge = std::process::Command::new("nsenter");
    enlarge.args(["-t", node.trim(), "-m", "--", "mount", "-o", "remount,size=256m"]).arg(&folder);
    assert!(enlarge.status().unwrap().success());
    release.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{pod}")]).good();
    let phone = release.phone();
    assert_eq!(ended(&phone, &upload).await, "completed");
    let next = accepted(&phone).await;
    assert_eq!(ended(&phone, &next).await, "completed");
    assert_eq!(release.pods()[0]["metadata"]["name"], *pod, "it never had to be started again");
}

/// A volume of its own kind, in a folder of the cluster.
fn volume(name: &str, options: &[&str]) -> std::path::PathBuf {
    let folder = monopod_tests::from_environment("MONOPOD_CLUSTER").join("volumes").join(name);
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
            "persistentVolumeReclaimPolicy": "Retain", "mountOptions": options, "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "Exists"},
            ]}]}},
        },
    });
    kube::kubectl(&["apply", "--filename", kube::file(&volume.to_string()).path().to_str().unwrap()]).good();
    folder
}
