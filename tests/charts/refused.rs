//! Wrong values, and the words they are refused with.

use crate::support::template;

#[test]
fn every_wrong_value_is_refused_with_its_place_and_what_would_be_right() {
    for (set, says) in [
        ("service.type=Loadbalancer", "'/service/type': value must be one of 'ClusterIP', 'LoadBalancer'"),
        ("service.port=0", "'/service/port': minimum: got 0, want 1"),
        ("publicUrl=http://graphql.local", "'/publicUrl': 'http://graphql.local' does not match pattern"),
        ("image.tagg=1", "'/image': additional properties 'tagg' not allowed"),
        ("image.digest=sha256:12", "'/image/digest'"),
        (
            "image.pullPolicy=Sometimes",
            "'/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("tls.secretName=Not A Name", "'/tls/secretName'"),
        ("identity.issuer=issuer.example.com", "'/identity/issuer'"),
        (
            "identity.kubernetes.callers.a.scopes=analysis",
            "'/identity/kubernetes/callers/a/scopes': got string, want array",
        ),
        (
            "bundles.versions.ingestion=latest",
            "'/bundles/versions/ingestion': 'latest' does not match pattern",
        ),
        ("bundles.delivery=mount", "'/bundles/delivery': value must be one of 'volume', 'copy'"),
        ("drainSeconds=-1", "'/drainSeconds': minimum: got -1, want 0"),
        ("drainSeconds=1000", "'/drainSeconds': maximum: got 1,000, want 600"),
        ("state.accessMode=ReadWriteMany", "'/state/accessMode': value must be one of"),
        ("state.size=much", "'/state/size': 'much' does not match pattern"),
        (
            "podDisruptionBudget.maxUnavailable=2",
            "'/podDisruptionBudget/maxUnavailable': maximum: got 2, want 1",
        ),
        (
            "config.components.ingestion.grants.publishh=x",
            "'/config/components/ingestion/grants': additional properties 'publishh' not allowed",
        ),
        (
            "config.components.ingestion.limits.memory=16",
            "'/config/components/ingestion/limits/memory': got number, want string",
        ),
        (
            "config.components.ingestion.limits.concurrency=0",
            "'/config/components/ingestion/limits/concurrency': minimum: got 0, want 1",
        ),
        ("config.graphql.max-depth=99", "'/config/graphql/max-depth': maximum: got 99, want 64"),
        ("config.topics.x.retention=long", "'/config/topics/x/retention': 'long' does not match pattern"),
        (
            "config.policies.RequireApiScope.scope=x",
            "'/config/policies/RequireApiScope': additional properties 'scope' not allowed",
        ),
    ] {
        let said = template("development", &["--set", set]).bad();
        assert!(said.contains(says), "{set}\nwanted: {says}\nsaid: {said}");
    }
}

#[test]
fn values_that_do_not_fit_together_are_refused_with_the_fix() {
    for (set, says) in [
        ("publicUrl=", "fix: --set publicUrl=https://graphql.example.com"),
        ("tls.secretName=", "fix: --set tls.secretName=NAME"),
        ("identity.kubernetes.enabled=false", "identity.issuer is missing"),
        ("identity.audience=,identity.issuer=https://i.example", "fix: --set identity.audience=api://"),
        ("config.components.more.bundle=more", "fix: --set bundles.versions.more=0.1.0"),
        ("httpRoute.enabled=true", "httpRoute.parentRefs is empty"),
        ("config.components=null", "nothing would run"),
    ] {
        let said = template("development", &["--set", set]).bad();
        assert!(said.contains(says), "{set}\nwanted: {says}\nsaid: {said}");
    }
}

#[test]
fn a_chart_around_this_one_may_have_values_of_its_own() {
    for set in ["global.imageRegistry=registry.example.com", "enabled=true"] {
        template("development", &["--set", set]).good();
    }
}

#[test]
fn a_cluster_that_is_too_old_is_refused_before_anything_is_made() {
    let said = template("development", &["--kube-version", "1.28.0"]).bad();
    assert!(said.contains("requires kubeVersion"), "{said}");
    let said = template("development", &["--kube-version", "1.32.0"]).bad();
    assert!(said.contains("no image volumes") && said.contains("fix: --set bundles.delivery=copy"), "{said}");
    template("copied", &["--kube-version", "1.32.0"]).good();
}
