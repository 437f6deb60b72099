//! What a real API server says to every object, with the strictest pod security.

use std::sync::OnceLock;

use monopod_tests::kube;

use crate::support::{FILES, RELEASE, taught, template};

/// The namespace, and the kinds that the server has to be taught.
fn ready() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        taught();
        let namespace = kube::file(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {RELEASE}\n  labels:\n    \
             pod-security.kubernetes.io/enforce: restricted\n    pod-security.kubernetes.io/warn: restricted\n"
        ));
        kube::kubectl(&["apply", "--filename", namespace.path().to_str().unwrap()]).good();
        // Pods are refused while their namespace has no account yet.
        kube::kubectl(&["--namespace", RELEASE, "wait", "--for=create", "serviceaccount/default", "--timeout=60s"]).good();
    });
}

fn dry_run(yaml: &str) -> kube::Said {
    let file = kube::file(yaml);
    kube::kubectl(&[
        "--namespace",
        RELEASE,
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        file.path().to_str().unwrap(),
    ])
}

#[test]
fn every_object_is_accepted_by_a_real_api_server_under_the_strictest_pod_security() {
    ready();
    for name in FILES {
        // A pod needs its account to be there, which a dry run never makes.
        let account =
            format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {}-test}}\n", fullname(name));
        let file = kube::file(&account);
        kube::kubectl(&["--namespace", RELEASE, "apply", "--filename", file.path().to_str().unwrap()]).good();
        let said = dry_run(&template(name, &[]).good());
        assert!(
            !said.err.contains("violate PodSecurity") && !said.err.contains("Warning"),
            "{name}: {}",
            said.err
        );
        let out = said.good();
        assert!(
            out.contains("deployment.apps/") && out.contains("networkpolicy.networking.k8s.io/"),
            "{out}"
        );
        if name == "everything" {
            assert!(
                out.contains("httproute.gateway.networking.k8s.io/")
                    && out.contains("backendtlspolicy.gateway.networking.k8s.io/")
                    && out.contains("ingress.networking"),
                "{out}"
            );
        }
    }
}

fn fullname(values: &str) -> &'static str {
    if values == "everything" { "trackunit-platform" } else { "trackunit-monopod" }
}

#[test]
fn the_server_would_have_said_so() {
    ready();
    let rendered = template("development", &[]).good();
    for (right, wrong, says) in [
        ("runAsNonRoot: true", "runAsNonRoot: false", "violate PodSecurity"),
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "violate PodSecurity"),
        ("periodSeconds: 5", "periodSecond: 5", "unknown field"),
        ("type: ClusterIP", "type: ClusterIp", "Unsupported value"),
    ] {
        assert!(rendered.contains(right));
        let said = dry_run(&rendered.replace(right, wrong));
        assert!(said.err.contains(says), "{wrong}: {}", said.err);
    }
}
