//! The NetworkPolicy where a cluster enforces it, which that of the task program does.

use monopod_tests::kube;
use serde_json::{Value, json};

use crate::support::{OBJECTS, Release, URL, until};

/// A pod that knocks at the front door; what it said when it ended.
fn knock(release: &Release, name: &str, access: &str) -> String {
    let arguments =
        json!(
            ["try", "/sample.jpg", "--url", URL, "--token", "none", "--connect", format!("{OBJECTS}:443"),]
        );
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"access": access}},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "try", "image": "localhost/monopod:0.1.0", "imagePullPolicy": "Never", "args": arguments,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    release.kubectl(&["apply", "--filename", kube::file(&pod.to_string()).path().to_str().unwrap()]).good();
    until("end of the knocking", || {
        let pod: Value = release.kubectl(&["get", "pod", name, "--output=json"]).json();
        (pod["status"]["phase"] == "Failed").then_some(())
    });
    release.kubectl(&["logs", name]).good()
}

#[tokio::test]
async fn only_those_who_may_come_come_and_the_pod_goes_only_where_it_may() {
    let release = Release::new("policies");
    let from = r#"networkPolicy.from=[{"podSelector":{"matchLabels":{"access":"yes"}}}]"#;
    // Without the rule for the API server's own port, its keys cannot be had.
    release.install(&["--set-json", from, "--set-json", "networkPolicy.extraEgress=[]"]).good();

    // Whoever gets through is shown a certificate that it was not told to trust.
    let said = knock(&release, "welcome", "yes");
    assert!(said.contains("cannot be trusted"), "{said}");
    let said = knock(&release, "stranger", "no");
    assert!(said.contains("did not answer in time"), "{said}");

    release.install(&["--set-json", "networkPolicy.extraEgress=[]"]).good();
    let phone = release.phone();
    let refused = || async { phone.graphql("{ ping }", json!({})).await.unwrap().0.as_u16() };
    assert_eq!(refused().await, 503, "the issuer was reached against the policy");
    release.install(&[]).good();
    // The issuer is not asked at every request; nor is the policy in force at once.
    let mut status = 503;
    for _ in 0..60 {
        status = refused().await;
        if status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(status, 200, "the issuer is not reached although the policy lets it");
}
