//! `monopod grants`: what each component may touch, and the NetworkPolicy that follows.
//!
//! A component reaches nothing by itself: the host does it for those that are granted. So
//! the pod needs exactly the network that the grants and the front door need, and a
//! cluster can enforce it a second time, outside of the process.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use monopod_config::{Identity, Plan};
use monopod_core::outgoing::Place;

use crate::cli::Grants;
use crate::platform::Failed;
use crate::{USAGE, screen};

/// The port of an `https` address that names none.
const HTTPS: u16 = 443;

pub fn run(options: &Grants) -> ExitCode {
    let plan = match monopod_config::load(&options.file) {
        Ok(plan) => plan,
        Err(mistakes) => {
            Failed::Mistakes(mistakes).print();
            return ExitCode::from(USAGE);
        }
    };
    let instance = options.instance.as_deref().unwrap_or(&plan.name);
    let text = if options.network_policy { policy(&plan, instance) } else { list(&plan) };
    screen::print(text.trim_end());
    ExitCode::SUCCESS
}

/// For people: a block for each component.
fn list(plan: &Plan) -> String {
    let mut text = String::new();
    for (name, component) in &plan.components {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{name}");
        let grants = &component.grants;
        let mut line = |does: &str, what: Vec<&str>| {
            if !what.is_empty() {
                let _ = writeln!(text, "  {does:<8} {}", what.join(" "));
            }
        };
        line("exposed", component.expose.as_deref().into_iter().collect());
        line("call", grants.call.iter().map(|it| it.as_str()).collect());
        let http: Vec<String> = grants.http.iter().map(ToString::to_string).collect();
        for place in &http {
            line("http", vec![place]);
        }
        line("publish", grants.publish.iter().map(|it| it.as_str()).collect());
        line("consume", grants.consume.iter().map(|it| it.as_str()).collect());
        line("buckets", grants.buckets.iter().map(|it| it.as_str()).collect());
        line("blobs", grants.blobs.iter().map(|it| it.as_str()).collect());
        line("timers", grants.timers.then_some("yes").into_iter().collect());
    }
    text
}

/// For Kubernetes. Deny by default in both directions.
fn policy(plan: &Plan, instance: &str) -> String {
    let mut text = format!(
        "# Derived from the grants of `{}`: what the host needs for them, and nothing else.\n\
         apiVersion: networking.k8s.io/v1\n\
         kind: NetworkPolicy\n\
         metadata:\n  name: {instance}\n\
         spec:\n  podSelector:\n    matchLabels:\n      \
         app.kubernetes.io/name: monopod\n      app.kubernetes.io/instance: {instance}\n  \
         policyTypes: [Ingress, Egress]\n  ingress:\n",
        plan.name
    );
    let _ = writeln!(
        text,
        "    # The front door.\n    - ports:\n        - {{protocol: TCP, port: {}}}",
        plan.edge.listen.port()
    );
    if let Some(health) = plan.edge.health {
        let _ = writeln!(
            text,
            "    # Probes.\n    - ports:\n        - {{protocol: TCP, port: {}}}",
            health.port()
        );
    }
    let (named, servers) = (named(plan), servers(plan));
    let places = plan.components.values().flat_map(|component| &component.grants.http);
    if named.is_empty() && servers.is_empty() {
        text.push_str("  egress: []\n");
        return text;
    }
    text.push_str("  egress:\n");
    if !named.is_empty() || places.into_iter().any(Place::is_named) {
        text.push_str(
            "    # Names.\n    - to:\n        - namespaceSelector:\n            matchLabels:\n              \
             kubernetes.io/metadata.name: kube-system\n      ports:\n        \
             - {protocol: UDP, port: 53}\n        - {protocol: TCP, port: 53}\n",
        );
    }
    for (what, port) in named {
        let _ = writeln!(text, "    # {what}.\n    - ports:\n        - {{protocol: TCP, port: {port}}}");
    }
    for server in servers {
        let (peer, port) = server.split_once('|').unwrap_or_default();
        let _ = write!(text, "    # Servers of components.\n    - to:\n");
        if peer == PUBLIC {
            text.push_str("        - ipBlock:\n            cidr: 0.0.0.0/0\n            except:\n");
            for inside in INSIDE {
                let _ = writeln!(text, "              - {inside}");
            }
            text.push_str("        - ipBlock: {cidr: \"2000::/3\"}\n");
        } else {
            let _ = writeln!(text, "        - ipBlock: {{cidr: \"{peer}\"}}");
        }
        let _ = writeln!(text, "      ports:\n        - {{protocol: TCP, port: {port}}}");
    }
    text
}

/// Stands for every public address.
const PUBLIC: &str = "public";

/// Networks that no public address is in: the first ones that a hostile answer would name. The
/// host's own check knows the rest.
const INSIDE: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
];

/// Where the grants lead, as `network|port`, in the order of the chart. What stays in the pod
/// needs no rule.
fn servers(plan: &Plan) -> BTreeSet<String> {
    let mut servers = BTreeSet::new();
    for place in plan.components.values().flat_map(|component| &component.grants.http) {
        match place.addresses() {
            None => drop(servers.insert(format!("{PUBLIC}|{}", place.port()))),
            Some(networks) => {
                let outside = networks.iter().filter(|network| !network.is_loopback());
                servers.extend(outside.map(|network| format!("{}|{}", network.cidr(), place.port())));
            }
        }
    }
    servers
}

/// What the host itself talks to, with its port: the issuer, where the keys are not our own, the
/// collector, the brokers.
fn named(plan: &Plan) -> Vec<(String, u16)> {
    let mut named = Vec::new();
    if let Identity::Issuer { issuer, .. } = &plan.identity {
        named.push((format!("The keys of {issuer}"), port(issuer)));
    }
    if let Some(telemetry) = &plan.telemetry {
        named.push((format!("The collector {}", telemetry.endpoint), port(&telemetry.endpoint)));
    }
    let brokers = plan.brokers.iter();
    named.extend(brokers.map(|(name, broker)| (format!("The broker `{name}`"), port(&broker.url))));
    named
}

/// The port of an address, which may leave it to the scheme.
fn port(address: &str) -> u16 {
    let uri = address.parse::<http::Uri>().ok();
    let of_scheme = match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("http") => 80,
        Some("amqp") => 5_672,
        Some("amqps") => 5_671,
        _ => HTTPS,
    };
    uri.and_then(|uri| uri.port_u16()).unwrap_or(of_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "[platform]\nname = \"p\"\n[edge]\nlisten = \"0.0.0.0:8443\"\nhealth = \"0.0.0.0:8080\"\n\
        public-url = \"https://p.example\"\ncertificate = \"c\"\nkey = \"k\"\n";

    fn plan(identity: &str) -> Plan {
        monopod_config::parse("p.toml", &format!("{POD}[identity]\n{identity}\n")).unwrap()
    }

    #[test]
    fn a_pod_is_reached_at_its_two_ports_and_reaches_names_and_its_issuer() {
        let text = policy(&plan("issuer = \"https://i.example/v2.0\"\naudience = \"a\""), "blue");
        for wanted in ["name: blue", "port: 8443}", "port: 8080}", "port: 53}", "protocol: TCP, port: 443}"] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        let text = policy(&plan("issuer = \"https://i.example:6443\"\naudience = \"a\""), "blue");
        assert!(text.contains("port: 6443}") && !text.contains("port: 443}"), "{text}");
    }

    #[test]
    fn a_pod_reaches_its_collector_and_its_brokers() {
        let more = "development = true\n[telemetry]\nendpoint = \"http://collector:4318\"\n\
            [brokers.rabbit]\nurl = \"amqps://rabbit.example\"\npassword-file = \"p\"\n";
        let text = format!("[platform]\nname = \"p\"\n[identity]\n{more}");
        let text = policy(&monopod_config::parse("p.toml", &text).unwrap(), "p");
        for wanted in [
            "# The collector http://collector:4318.",
            "port: 4318}",
            "# The broker `rabbit`.",
            "port: 5671}",
            "port: 53}",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }

    #[test]
    fn without_an_issuer_elsewhere_nothing_leaves_the_pod() {
        let text = "[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n";
        let text = policy(&monopod_config::parse("p.toml", text).unwrap(), "p");
        assert!(text.contains("egress: []") && !text.contains("port: 53"), "{text}");
    }

    #[test]
    fn a_pod_reaches_the_servers_of_its_components_where_they_may_be_and_not_within_itself() {
        let grants = r#"http = ["https://vision.example/v1/", "https://*.other.example/", "http://s.svc:9200/ at 10.96.0.0/12, fd00::/8",
            "http://127.0.0.1:9000/", "http://[::1]/", "http://169.254.169.254/latest/"]"#;
        let text = format!(
            "[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n[components.a]\nbundle = \"a\"\n\
             [components.a.grants]\n{grants}\n"
        );
        let text = policy(&monopod_config::parse("p.toml", &text).unwrap(), "p");
        assert_eq!(text.matches("cidr: 0.0.0.0/0").count(), 1, "{text}");
        for wanted in [
            "port: 53}",
            "              - 169.254.0.0/16\n",
            "cidr: \"2000::/3\"}\n      ports:\n        - {protocol: TCP, port: 443}",
            "cidr: \"10.96.0.0/12\"}\n      ports:\n        - {protocol: TCP, port: 9200}",
            "cidr: \"fd00::/8\"}\n      ports:\n        - {protocol: TCP, port: 9200}",
            "cidr: \"169.254.169.254/32\"}\n      ports:\n        - {protocol: TCP, port: 80}",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains("9000") && !text.contains("::1"), "{text}");
    }

    #[test]
    fn grants_are_listed_by_component() {
        let more = "[components.a]\nbundle = \"a\"\nexpose = \"/\"\n[components.a.grants]\ntimers = true\nhttp = [\"https://v.example/\"]\n";
        let text = format!("[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n{more}");
        let text = list(&monopod_config::parse("p.toml", &text).unwrap());
        assert_eq!(text, "a\n  exposed  /\n  http     https://v.example/\n  timers   yes\n");
    }
}
