//! What comes out of the templates.

use monopod_tests::kube;
use serde_json::Value;

use crate::support::{FILES, kept, objects, one, parse, platform, template, values};

#[test]
fn the_chart_is_without_a_lint_for_every_value_file() {
    for name in FILES {
        let (chart, file) = (kube::chart(), values(name));
        let said =
            kube::helm(&["lint", "--strict", "--values", file.to_str().unwrap(), chart.to_str().unwrap()]);
        let out = said.good();
        assert!(out.contains("0 chart(s) failed") && !out.contains("[WARNING]"), "{out}");
    }
}

#[test]
fn every_value_file_renders_as_it_did() {
    for name in FILES {
        let file = monopod_tests::checkout().join(format!("tests/charts/snapshots/{name}.yaml"));
        kept(&file, &template(name, &[]).good());
    }
}

#[test]
fn the_platform_in_the_values_is_that_of_the_components() {
    let own = std::fs::read_to_string(monopod_tests::checkout().join("components/trackunit.toml")).unwrap();
    let own: Value = toml::from_str(&own).unwrap();
    let chart: Value = toml::from_str(&platform(&objects("development"))).unwrap();
    for section in ["policies", "topics"] {
        assert_eq!(own[section], chart[section], "{section}");
    }
    for (name, component) in own["components"].as_object().unwrap() {
        assert_eq!(&sorted(component), &sorted(&chart["components"][name]), "{name}");
    }
    assert_eq!(own["components"].as_object().unwrap().len(), chart["components"].as_object().unwrap().len());
}

/// The same with all arrays in one order: grants are sets.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            items.into()
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_platform_file_of_every_value_file_is_accepted_by_the_host() {
    for name in FILES {
        let file = kube::file(&platform(&objects(name)));
        let bundles = monopod_tests::bundles();
        let said =
            kube::monopod(&["check", file.path().to_str().unwrap(), "--bundles", bundles.to_str().unwrap()]);
        assert!(said.good().contains("is good"), "{name}");
    }
}

#[test]
fn a_changed_platform_file_or_bundle_version_is_a_new_pod_and_an_unchanged_one_is_not() {
    let pod = |more: &[&str]| {
        let objects = parse(&template("development", more).good());
        one(&objects, "Deployment")["spec"]["template"].clone()
    };
    let before = pod(&[]);
    assert_eq!(before, pod(&["--set", "service.type=LoadBalancer"]));
    assert_ne!(before, pod(&["--set", "config.components.ingestion.settings.verify=report"]));
    let after = pod(&["--set-string", "bundles.versions.web=0.2.0"]);
    assert_ne!(before, after);
    let image = |pod: &Value| {
        let volumes = pod["spec"]["volumes"].as_array().unwrap().clone();
        let web = volumes.into_iter().find(|volume| volume["name"] == "bundle-web").unwrap();
        web["image"]["reference"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (&*image(&before), &*image(&after)),
        ("localhost/trackunit/web:0.1.0", "localhost/trackunit/web:0.2.0")
    );
}

#[test]
fn without_image_volumes_each_bundle_copies_itself_with_the_program_of_the_host() {
    let objects = objects("copied");
    let pod = &one(&objects, "Deployment")["spec"]["template"]["spec"];
    assert!(pod["volumes"].as_array().unwrap().iter().all(|volume| volume["image"].is_null()), "{pod}");
    let inits = pod["initContainers"].as_array().unwrap();
    let host = &pod["containers"][0];
    assert_eq!((&inits[0]["name"], &inits[0]["image"]), (&"carry".into(), &host["image"]));
    let mounts = |container: &Value, path: &str, writes: bool| {
        let mounts = container["volumeMounts"].as_array().unwrap().clone();
        mounts.iter().any(|it| it["mountPath"] == path && (it["readOnly"] != true) == writes)
    };
    assert!(mounts(&inits[0], "/carried", true) && mounts(host, "/bundles", false), "{pod}");
    for (bundle, init) in ["ingestion", "media-access", "orchestrator", "storage", "vision-adapter", "web"]
        .iter()
        .zip(&inits[1..])
    {
        assert_eq!(init["image"], format!("registry.example.com/trackunit/{bundle}:0.1.0"));
        assert_eq!(init["args"][2], format!("/bundles/{bundle}"));
        assert!(mounts(init, "/carried", false) && mounts(init, "/bundles", true), "{init}");
        assert_eq!(init["securityContext"], host["securityContext"]);
    }
    assert_eq!(inits.len(), 7);
}

#[test]
fn two_pods_never_open_one_state_and_the_claim_outlives_the_release() {
    let objects = objects("development");
    let deployment = one(&objects, "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    let claim = one(&objects, "PersistentVolumeClaim");
    assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}

#[test]
fn no_pod_has_a_token_of_the_cluster_unless_it_is_made_for_the_platform() {
    for name in FILES {
        for object in objects(name) {
            if object["kind"] == "ServiceAccount" {
                assert_eq!(object["automountServiceAccountToken"], false, "{name}");
            }
            assert!(object["kind"] != "Secret", "{name}: the chart makes no secrets");
        }
    }
}

#[test]
fn the_pod_has_longer_to_end_than_requests_have_to_finish() {
    let objects = objects("everything");
    assert!(platform(&objects).contains("drain = \"45s\""));
    assert_eq!(one(&objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 55);
}
