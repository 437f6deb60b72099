//! One release from its installation to its end, told in one go: each step stands on the one
//! before.

use std::time::Instant;

use monopod_tests::client::{Client, Upload};
use monopod_tests::kube;
use serde_json::{Value, json};

use crate::ledger::Step;
use crate::support::{OBJECTS, Release, URL, accepted, ended, pki, sample, until};
use crate::traffic::{Traffic, counted, settled};

/// A photo by the command line, from outside of the cluster through the service.
fn photo(release: &Release) -> Vec<Value> {
    let (photo, ca) = (sample(), pki().join("ca.crt"));
    let (address, token) = (release.address(), release.token());
    let said = kube::monopod(&[
        "try",
        photo.to_str().unwrap(),
        "--url",
        URL,
        "--connect",
        &address,
        "--ca",
        ca.to_str().unwrap(),
        "--token",
        &token,
        "--json",
    ]);
    said.good().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether the second version of `media-access` answers; it gives addresses of its own.
async fn is_next(phone: &Client, upload: &Upload) -> bool {
    let query = "query ($id: String!) { upload(id: $id) { objectKey } }";
    let (_, answer) = phone.graphql(query, json!({ "id": upload.id })).await.unwrap();
    let key = answer["data"]["upload"]["objectKey"].clone();
    let query = "query ($key: String!) { imageUrl(objectKey: $key) { url } }";
    let (_, answer) = phone.graphql(query, json!({ "key": key })).await.unwrap();
    let url = answer["data"]["imageUrl"]["url"].as_str();
    url.unwrap_or_else(|| panic!("no version answers: {answer}")).starts_with("https://next.invalid/")
}

/// Deletes the pod and waits until there is another; the old one's name.
fn replaced(release: &Release, how: &[&str]) -> String {
    let old = release.pods()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    release.kubectl(&[&["delete", "pod", &old], how].concat()).good();
    until("other pod", || {
        let new = release.pods().iter().any(|pod| pod["metadata"]["name"] != *old);
        new.then_some(())
    });
    old
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_release_lives_through_upgrade_rollback_and_a_killed_pod_and_loses_nothing() {
    let release = Release::new("life");
    let began = Instant::now();
    release.install(&[]).good();
    println!(
        "note: helm install --wait, first start and compiling included: {} ms",
        began.elapsed().as_millis()
    );
    assert_eq!(release.pods().len(), 1);

    // A photo through the service from outside of the pod.
    let events = photo(&release);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "completed", "{events:?}");
    assert_eq!(last["recognitionPayload"]["aggregate"]["name"], "Volvo EC220E", "{last}");
    release.helm(&["test", "trackunit"]).good();

    // From here on photos keep coming, whatever happens to the pod.
    let phone = release.phone();
    let before = accepted(&phone).await;
    assert!(!is_next(&phone, &before).await);
    let traffic = Traffic::begin(&phone);

    // Another version of one bundle: other code.
    traffic.flows().await;
    let next = std::env::var("MONOPOD_NEXT").unwrap();
    let began = Instant::now();
    release.install(&["--set-string", &format!("bundles.versions.{next}")]).good();
    println!("note: helm upgrade --wait to a new bundle: {} ms", began.elapsed().as_millis());
    let phone = release.phone();
    assert!(is_next(&phone, &before).await, "the new version does not answer");

    // And back.
    traffic.flows().await;
    release.helm(&["rollback", "trackunit", "1", "--wait", "--timeout=120s"]).good();
    let phone = release.phone();
    assert!(!is_next(&phone, &before).await, "the old version does not answer");

    // Killed without a word.
    traffic.flows().await;
    let began = Instant::now();
    replaced(&release, &["--grace-period=0", "--force", "--wait=false"]);
    let ready = format!("deployment/{OBJECTS}");
    release.kubectl(&["rollout", "status", &ready, "--timeout=60s"]).good();
    println!("note: pod killed to ready again: {} ms", began.elapsed().as_millis());

    // Deleted in good order: the next pod comes while this one still drains, and waits for the
    // state instead of failing.
    traffic.flows().await;
    let old = replaced(&release, &["--wait=false"]);
    release.kubectl(&["rollout", "status", &ready, "--timeout=60s"]).good();
    let pods = release.pods();
    let new = pods.iter().find(|pod| pod["metadata"]["name"] != *old).unwrap();
    assert_eq!(new["status"]["containerStatuses"][0]["restartCount"], 0, "{new}");

    // Every one that was accepted comes to its end.
    traffic.flows().await;
    let entries = traffic.end().await;
    let phone = release.phone();
    settled(&phone, &entries).await;
    let with = |step| entries.iter().filter(|entry| entry.confirm == step).count();
    println!(
        "note: photos meanwhile: {} accepted and all completed, {} confirmed without an answer, {} given up before",
        with(Step::Acknowledged),
        with(Step::Unknown),
        with(Step::Unsent)
    );
    let state = release.state();

    // Gone but for the claim, which is said; and whoever installs again finds everything.
    let said = release.helm(&["uninstall", "trackunit", "--wait"]).good();
    assert!(said.contains(&format!("[PersistentVolumeClaim] {OBJECTS}-state")), "{said}");
    let kinds =
        "all,configmaps,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets,persistentvolumeclaims";
    let selector = "--selector=app.kubernetes.io/instance=trackunit";
    let left = until("end of the pods", || {
        let left = release.kubectl(&["get", kinds, selector, "--output=name"]).good();
        (!left.contains("pod/")).then_some(left)
    });
    assert_eq!(left.trim(), format!("persistentvolumeclaim/{OBJECTS}-state"));
    // Nobody has the file open any more: count by it.
    counted(&state, &entries);
    let binding = kube::kubectl(&["get", "clusterrolebindings", "--output=name"]).good();
    assert!(!binding.contains(&format!("life-{OBJECTS}")), "{binding}");
    release.install(&[]).good();
    let phone = release.phone();
    assert_eq!(ended(&phone, &before).await, "completed");
}
