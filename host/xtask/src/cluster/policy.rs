//! Network policies, enforced: watches pods, namespaces and policies, and keeps one table of
//! nftables in the node's namespace that says who may reach whom. IPv4, TCP and UDP, which is
//! all that this cluster has.
//!
//! A pod that some policy selects has a chain for each direction: what a rule allows returns
//! from it, and the rest is dropped. What the node itself sends to its pods is always let
//! through, as Kubernetes wants it for probes.

#![expect(
    clippy::disallowed_methods,
    reason = "the state of other programs, which tell of it only when asked"
)]

use super::changes::{self, AGAIN};
use super::place::Spot;
use super::tools::Tools;
use crate::json;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// What is watched: pods, namespaces, policies.
const WATCHED: [&str; 3] =
    ["/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies"];
/// Changes come in bursts; one look for each is enough.
const BURST: Duration = Duration::from_millis(30);

/// Enforces for ever.
pub fn enforce(spot: &Spot, tools: &Tools) -> Result<()> {
    let changes = changes::of(spot, tools, &WATCHED);
    // A look that failed is made again although nothing changed.
    let mut again = false;
    let mut applied = String::new();
    loop {
        match changes.recv_timeout(if again { AGAIN } else { Duration::MAX }) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => again = false,
            Err(RecvTimeoutError::Disconnected) => bail!("nobody watches any more"),
        }
        std::thread::sleep(BURST);
        while changes.try_recv().is_ok() {}
        let rules = match seen(spot, tools) {
            Ok([pods, namespaces, policies]) => ruleset(&pods, &namespaces, &policies),
            Err(error) => {
                println!("cannot look: {error:#}");
                again = true;
                continue;
            }
        };
        if rules != applied {
            match apply(&rules) {
                Ok(()) => applied = rules,
                Err(error) => println!("{error:#}\n{rules}"),
            }
        }
    }
}

fn seen(spot: &Spot, tools: &Tools) -> Result<[Value; 3]> {
    let [pods, namespaces, policies] = WATCHED.map(|path| changes::all(spot, tools, path));
    Ok([pods?, namespaces?, policies?])
}

fn apply(rules: &str) -> Result<()> {
    let mut nft = Command::new("/usr/sbin/nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start nft")?;
    nft.stdin.take().context("nft takes no input")?.write_all(rules.as_bytes())?;
    let status = nft.wait()?;
    if status.success() { Ok(()) } else { bail!("nft refused the rules: {status}") }
}

/// A pod that can be reached.
struct Pod<'a> {
    namespace: &'a str,
    name: &'a str,
    address: &'a str,
    whole: &'a Value,
}

/// Whose rules: who may come, or where one may go.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

impl Way {
    /// The list of rules, its peers, the word in policyTypes, and nftables' name of the peer.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::In => ("/spec/ingress", "/from", "Ingress", "saddr"),
            Self::Out => ("/spec/egress", "/to", "Egress", "daddr"),
        }
    }
}

/// The whole table.
fn ruleset(pods: &Value, namespaces: &Value, policies: &Value) -> String {
    let pods: Vec<Pod<'_>> = json::list(pods, "/items").filter_map(pod).collect();
    let namespaces: BTreeMap<&str, &Value> = json::list(namespaces, "/items")
        .filter_map(|it| Some((json::text(it, "/metadata/name")?, it)))
        .collect();
    let (mut chains, mut jumps) = (String::new(), [String::new(), String::new()]);
    for pod in &pods {
        for (way, jump) in [Way::In, Way::Out].into_iter().zip(&mut jumps) {
            let (_, _, kind, _) = way.words();
            let mine: Vec<&Value> =
                json::list(policies, "/items").filter(|policy| selects(policy, pod, kind)).collect();
            if mine.is_empty() {
                continue;
            }
            let chain = format!("{}_{}", kind.to_lowercase(), pod.address.replace('.', "_"));
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(chains, "  chain {chain} {{ # {}/{}", pod.namespace, pod.name);
            for policy in mine {
                let (rules, ..) = way.words();
                for rule in json::list(policy, rules) {
                    allow(&mut chains, way, rule, pod, &pods, &namespaces);
                }
            }
            chains.push_str("    counter drop\n  }\n");
            let end = if matches!(way, Way::In) { "daddr" } else { "saddr" };
            let _ = writeln!(jump, "    ip {end} {} jump {chain}", pod.address);
        }
    }
    let [inward, outward] = jumps;
    // Answers belong to what was allowed. A pod's way to the node itself is `input`.
    format!(
        "table ip monopod\ndelete table ip monopod\ntable ip monopod {{\n{chains}\
         \x20 chain forward {{\n    type filter hook forward priority filter; policy accept;\n    \
         ct state established,related accept\n{outward}{inward}  }}\n\
         \x20 chain input {{\n    type filter hook input priority filter; policy accept;\n    \
         ct state established,related accept\n{outward}  }}\n}}\n"
    )
}

fn pod(whole: &Value) -> Option<Pod<'_>> {
    let over = matches!(json::text(whole, "/status/phase"), Some("Succeeded" | "Failed"));
    let of_node = whole.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
    if over || of_node {
        return None;
    }
    Some(Pod {
        namespace: json::text(whole, "/metadata/namespace")?,
        name: json::text(whole, "/metadata/name")?,
        address: json::text(whole, "/status/podIP")?,
        whole,
    })
}

fn selects(policy: &Value, pod: &Pod<'_>, kind: &str) -> bool {
    json::text(policy, "/metadata/namespace") == Some(pod.namespace)
        && json::has(policy, "/spec/policyTypes", kind)
        && matches(policy.pointer("/spec/podSelector"), pod.whole)
}

/// Whether a selector takes an object. None takes everything.
fn matches(selector: Option<&Value>, object: &Value) -> bool {
    let Some(selector) = selector else { return true };
    let labels = object.pointer("/metadata/labels");
    let label = |key: &str| labels?.get(key)?.as_str();
    let exact = selector.pointer("/matchLabels").and_then(Value::as_object);
    let exact = exact.into_iter().flatten().all(|(key, value)| label(key) == value.as_str());
    exact
        && json::list(selector, "/matchExpressions").all(|expression| {
            let found = json::text(expression, "/key").and_then(label);
            let among = found.is_some_and(|value| json::has(expression, "/values", value));
            match json::text(expression, "/operator") {
                Some("In") => among,
                Some("NotIn") => !among,
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}

/// One rule as lines that return: every peer with every port.
fn allow(
    text: &mut String,
    way: Way,
    rule: &Value,
    pod: &Pod<'_>,
    pods: &[Pod<'_>],
    namespaces: &BTreeMap<&str, &Value>,
) {
    let (_, peers, _, end) = way.words();
    let peers: Vec<&Value> = json::list(rule, peers).collect();
    let mut from = Vec::new();
    for peer in &peers {
        if let Some(range) = json::text(peer, "/ipBlock/cidr") {
            let except: Vec<_> = json::list(peer, "/ipBlock/except").filter_map(Value::as_str).collect();
            let except = if except.is_empty() {
                String::new()
            } else {
                format!("ip {end} != {{ {} }} ", except.join(", "))
            };
            from.push(format!("ip {end} {range} {except}"));
            continue;
        }
        let namespace = peer.pointer("/namespaceSelector");
        let near = |other: &Pod<'_>| match namespace {
            None => other.namespace == pod.namespace,
            Some(_) => namespaces.get(other.namespace).is_some_and(|it| matches(namespace, it)),
        };
        let chosen =
            pods.iter().filter(|other| near(other) && matches(peer.pointer("/podSelector"), other.whole));
        from.extend(chosen.map(|other| format!("ip {end} {} ", other.address)));
    }
    if peers.is_empty() {
        from.push(String::new());
    }
    for from in from {
        for port in ports(rule, pod) {
            let _ = writeln!(text, "    {from}{port}return");
        }
    }
}

/// The ports of a rule as conditions; one that is always true if it names none.
fn ports(rule: &Value, pod: &Pod<'_>) -> Vec<String> {
    let wanted: Vec<&Value> = json::list(rule, "/ports").collect();
    if wanted.is_empty() {
        return vec![String::new()];
    }
    let mut found = Vec::new();
    for port in wanted {
        let protocol = json::text(port, "/protocol").unwrap_or("TCP").to_lowercase();
        match port.get("port") {
            None => found.push(format!("meta l4proto {protocol} ")),
            Some(Value::String(name)) => {
                let all = json::list(pod.whole, "/spec/containers").flat_map(|it| json::list(it, "/ports"));
                let named = all.filter(|it| json::text(it, "/name") == Some(name));
                found.extend(
                    named.filter_map(|it| Some(format!("{protocol} dport {} ", it.get("containerPort")?))),
                );
            }
            Some(number) => {
                let last = port.get("endPort").map_or(String::new(), |last| format!("-{last}"));
                found.push(format!("{protocol} dport {number}{last} "));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(policy: Value) -> String {
        let pod = |name: &str, namespace: &str, address: &str| {
            json!({"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
                   "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8443}]}]},
                   "status": {"podIP": address, "phase": "Running"}})
        };
        let pods = json!({"items": [pod("a", "x", "10.0.0.1"), pod("b", "x", "10.0.0.2"), pod("c", "y", "10.0.0.3")]});
        let namespaces = json!({"items": [
            {"metadata": {"name": "x", "labels": {"team": "x"}}},
            {"metadata": {"name": "y", "labels": {"team": "y"}}},
        ]});
        ruleset(&pods, &namespaces, &json!({"items": [{"metadata": {"namespace": "x"}, "spec": policy}]}))
    }

    #[test]
    fn a_pod_that_no_policy_selects_is_left_alone() {
        let text = rules(json!({"podSelector": {"matchLabels": {"app": "z"}}, "policyTypes": ["Ingress"]}));
        assert!(!text.contains("drop"), "{text}");
    }

    #[test]
    fn a_selected_pod_is_reached_by_whom_a_rule_names_and_by_nobody_else() {
        let text = rules(json!({
            "podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": "b"}}}], "ports": [{"port": "web"}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"team": "y"}}}]},
            ],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                        "ports": [{"protocol": "UDP", "port": 53}, {"port": 30, "endPort": 40}]}],
        }));
        for wanted in [
            "chain ingress_10_0_0_1 { # x/a\n    ip saddr 10.0.0.2 tcp dport 8443 return\n    ip saddr 10.0.0.3 return\n    counter drop",
            "ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16 } udp dport 53 return",
            "tcp dport 30-40 return",
            "ip daddr 10.0.0.1 jump ingress_10_0_0_1",
            "ip saddr 10.0.0.1 jump egress_10_0_0_1",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }

    #[test]
    fn a_policy_without_rules_lets_nobody_in() {
        let text = rules(json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
        assert!(text.contains("# x/b\n    counter drop") && !text.contains("# y/c"), "{text}");
    }

    #[test]
    fn selectors_know_all_four_operators() {
        let object = json!({"metadata": {"labels": {"a": "1"}}});
        let with = |operator: &str, key: &str| json!({"matchExpressions": [{"key": key, "operator": operator, "values": ["1"]}]});
        for (operator, key, taken) in [
            ("In", "a", true),
            ("NotIn", "a", false),
            ("NotIn", "b", true),
            ("Exists", "b", false),
            ("DoesNotExist", "b", true),
        ] {
            assert_eq!(matches(Some(&with(operator, key)), &object), taken, "{operator} {key}");
        }
        assert!(matches(Some(&json!({})), &object) && matches(None, &object));
    }
}
