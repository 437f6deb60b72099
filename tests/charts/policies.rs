//! Who may reach whom, by what the policy means and not by how it is written.

use monopod_tests::kube;
use serde_json::{Value, json};

use crate::support::{RELEASE, objects, one, parse, platform, template};

/// One connection: from the pod or to it, the other's namespace, protocol and port.
struct Try<'t> {
    way: &'static str,
    namespace: &'t str,
    protocol: &'static str,
    port: u16,
}

/// Whether a policy lets it through: some rule of its direction names peer and port.
fn allows(policy: &Value, attempt: &Try<'_>) -> bool {
    let (rules, peers) = if attempt.way == "in" { ("ingress", "from") } else { ("egress", "to") };
    let every = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&policy["spec"][rules]).iter().any(|rule| {
        let peer = every(&rule[peers])
            || list(&rule[peers]).iter().any(|peer| {
                let labels = &peer["namespaceSelector"]["matchLabels"];
                labels["kubernetes.io/metadata.name"] == attempt.namespace
            });
        let port = every(&rule["ports"])
            || list(&rule["ports"])
                .iter()
                .any(|port| port["protocol"] == attempt.protocol && port["port"] == attempt.port);
        peer && port
    })
}

fn tried(policy: &Value, way: &'static str, namespace: &str, protocol: &'static str, port: u16) -> bool {
    allows(policy, &Try { way, namespace, protocol, port })
}

#[test]
fn the_pod_is_reached_at_its_front_door_and_for_probes_and_nowhere_else() {
    let objects = objects("single-pod");
    let policy = one(&objects, "NetworkPolicy");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    for (port, open) in [(8443, true), (8080, true), (443, false), (22, false), (9090, false)] {
        assert_eq!(tried(policy, "in", "anywhere", "TCP", port), open, "{port}");
    }
    assert!(!tried(policy, "in", "anywhere", "UDP", 8443));
}

#[test]
fn the_pod_reaches_names_and_its_issuer_and_nothing_else() {
    let objects = objects("single-pod");
    let policy = one(&objects, "NetworkPolicy");
    for (namespace, protocol, port, open) in [
        ("kube-system", "UDP", 53, true),
        ("kube-system", "TCP", 53, true),
        ("elsewhere", "UDP", 53, false),
        ("elsewhere", "TCP", 443, true),
        ("elsewhere", "TCP", 5432, false),
        ("elsewhere", "TCP", 5672, false),
        ("elsewhere", "TCP", 80, false),
    ] {
        assert_eq!(tried(policy, "out", namespace, protocol, port), open, "{namespace} {protocol} {port}");
    }
}

#[test]
fn an_issuer_at_another_port_is_reached_there_and_the_front_door_only_from_where_it_is_said() {
    let objects = objects("everything");
    let policy = one(&objects, "NetworkPolicy");
    assert!(tried(policy, "out", "elsewhere", "TCP", 9443) && !tried(policy, "out", "elsewhere", "TCP", 443));
    assert!(tried(policy, "in", "ingress", "TCP", 8443) && !tried(policy, "in", "elsewhere", "TCP", 8443));
}

#[test]
fn the_policy_selects_the_pod_of_the_deployment_and_not_that_of_the_test() {
    let objects = objects("development");
    let selector = one(&objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].clone();
    let takes = |pod: &Value| {
        let labels = &pod["metadata"]["labels"];
        selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
    };
    assert!(takes(&one(&objects, "Deployment")["spec"]["template"]));
    assert!(!takes(one(&objects, "Pod")));
    assert_eq!(selector, one(&objects, "Service")["spec"]["selector"]);
}

#[test]
fn the_chart_and_the_host_derive_the_same_policy() {
    let servers = "config.components.vision-adapter.grants.http=[\"https://vision.example/v1/\", \
        \"https://*.other.example:8443/\", \"http://search.svc:9200/ at 10.96.0.0/12, fd00::/8\", \
        \"http://10.0.0.7/\", \"http://[fd00::7]:81/\", \"http://127.0.0.1:9000/\", \"http://public.example/\"]";
    for (name, more) in [
        ("development", vec!["--set", "networkPolicy.extraEgress=null"]),
        ("single-pod", vec![]),
        ("single-pod", vec!["--set-json", servers]),
    ] {
        let objects = parse(&template(name, &more).good());
        let file = kube::file(&platform(&objects));
        let path = file.path().to_str().unwrap();
        let said = kube::monopod(&["grants", path, "--network-policy", "--instance", RELEASE]).good();
        let derived = parse(&said);
        assert_eq!(one(&derived, "NetworkPolicy")["spec"], one(&objects, "NetworkPolicy")["spec"], "{name}");
    }
}
