//! `monopod grants`: what each component may touch, and the NetworkPolicy that follows.
//!
//! A component reaches nothing by itself: the host does it for those that are granted. So
//! the pod needs exactly the network that the grants and the front door need, and a
//! cluster can enforce it a second time, outside of the process.

use std::fmt::Write as _;
use std::process::ExitCode;

use monopod_config::{Identity, Plan};

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
    match issuer(&plan.identity) {
        None => text.push_str("  egress: []\n"),
        Some((issuer, port)) => {
            let _ = write!(
                text,
                "  egress:\n    # Names.\n    - to:\n        - namespaceSelector:\n            matchLabels:\n              \
                 kubernetes.io/metadata.name: kube-system\n      ports:\n        \
                 - {{protocol: UDP, port: 53}}\n        - {{protocol: TCP, port: 53}}\n    \
                 # The keys of {issuer}.\n    - ports:\n        - {{protocol: TCP, port: {port}}}\n"
            );
        }
    }
    text
}

/// The issuer and its port, where the keys are not our own.
fn issuer(identity: &Identity) -> Option<(&str, u16)> {
    let Identity::Issuer { issuer, .. } = identity else { return None };
    let port = issuer.parse::<http::Uri>().ok().and_then(|uri| uri.port_u16());
    Some((issuer, port.unwrap_or(HTTPS)))
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
    fn without_an_issuer_elsewhere_nothing_leaves_the_pod() {
        let text = "[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n";
        let text = policy(&monopod_config::parse("p.toml", text).unwrap(), "p");
        assert!(text.contains("egress: []") && !text.contains("port: 53"), "{text}");
    }

    #[test]
    fn grants_are_listed_by_component() {
        let more = "[components.a]\nbundle = \"a\"\nexpose = \"/\"\n[components.a.grants]\ntimers = true\n";
        let text = format!("[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n{more}");
        let text = list(&monopod_config::parse("p.toml", &text).unwrap());
        assert_eq!(text, "a\n  exposed  /\n  timers   yes\n");
    }
}
