//! What a cloud does for services of type LoadBalancer: gives each an address that the
//! machine can reach. The packets find their way by the service proxy's rules.

use super::changes;
use super::control::kubectl;
use super::place::Spot;
use super::tools::Tools;
use crate::{json, process};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;

const SERVICES: &str = "/api/v1/services";

/// Serves for ever; does its work in a thread of its own.
pub fn start(spot: &Spot, tools: &Tools) {
    let (spot, tools) = (spot.clone(), tools.clone());
    let changes = changes::of(&spot, &tools, &[SERVICES]);
    std::thread::spawn(move || {
        while changes.recv().is_ok() {
            while changes.try_recv().is_ok() {}
            if let Err(error) = give(&spot, &tools) {
                println!("no address could be given: {error:#}");
            }
        }
    });
}

fn give(spot: &Spot, tools: &Tools) -> Result<()> {
    let services = changes::all(spot, tools, SERVICES)?;
    for (namespace, name, address) in missing(&services, &spot.balancers()) {
        let status = serde_json::json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        let mut command = kubectl(spot, tools);
        command.args([
            "--namespace",
            &namespace,
            "patch",
            "service",
            &name,
            "--subresource=status",
            "--type=merge",
        ]);
        let answer = process::ask(command.arg("--patch").arg(status.to_string()), None, &mut || {})?;
        if !answer.ending.ok() {
            anyhow::bail!("{name}: {}", answer.err.trim());
        }
    }
    Ok(())
}

/// Namespace, name and new address of each service that waits for one.
fn missing(services: &Value, range: &str) -> Vec<(String, String, String)> {
    let base = range.trim_end_matches(".0/24");
    let address =
        |service: &Value| json::text(service, "/status/loadBalancer/ingress/0/ip").map(str::to_owned);
    let mut taken: BTreeSet<String> = json::list(services, "/items").filter_map(address).collect();
    let mut found = Vec::new();
    for service in json::list(services, "/items") {
        if json::text(service, "/spec/type") != Some("LoadBalancer") || address(service).is_some() {
            continue;
        }
        let free = (10..250).map(|last| format!("{base}.{last}")).find(|it| !taken.contains(it));
        let (Some(free), Some(namespace), Some(name)) =
            (free, json::text(service, "/metadata/namespace"), json::text(service, "/metadata/name"))
        else {
            continue;
        };
        taken.insert(free.clone());
        found.push((namespace.to_owned(), name.to_owned(), free));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_waiting_service_gets_an_address_that_no_other_has() {
        let service = |name: &str, kind: &str, ip: Option<&str>| {
            let ingress: Vec<Value> = ip.map(|ip| json!({"ip": ip})).into_iter().collect();
            json!({"metadata": {"namespace": "n", "name": name}, "spec": {"type": kind},
                   "status": {"loadBalancer": {"ingress": ingress}}})
        };
        let services = json!({"items": [
            service("inner", "ClusterIP", None),
            service("old", "LoadBalancer", Some("10.199.1.10")),
            service("a", "LoadBalancer", None),
            service("b", "LoadBalancer", None),
        ]});
        let given: Vec<_> =
            missing(&services, "10.199.1.0/24").into_iter().map(|(_, name, ip)| (name, ip)).collect();
        assert_eq!(
            given,
            [("a".to_owned(), "10.199.1.11".to_owned()), ("b".to_owned(), "10.199.1.12".to_owned())]
        );
    }
}
