//! Ingress and HTTPRoute, by what they mean to who carries them out. No controller of either
//! could be had here, so none has carried them out.

use serde_json::{Value, json};

use crate::support::{objects, one, parse, template};

/// The port of the platform's container that a service's port leads to.
fn container_port(objects: &[Value], pick: impl Fn(&Value) -> bool) -> u64 {
    let service = one(objects, "Service");
    let ports = service["spec"]["ports"].as_array().unwrap();
    let port = ports.iter().find(|port| pick(port)).unwrap_or_else(|| panic!("no such port: {service}"));
    let pod = &one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let open = pod["ports"].as_array().unwrap();
    open.iter().find(|it| it["name"] == port["targetPort"]).unwrap()["containerPort"].as_u64().unwrap()
}

#[test]
fn an_ingress_leads_the_public_name_to_the_front_door_and_shows_the_named_certificate() {
    let objects = objects("everything");
    let ingress = one(&objects, "Ingress");
    let (spec, service) = (&ingress["spec"], &one(&objects, "Service")["metadata"]["name"]);
    assert_eq!(spec["ingressClassName"], "nginx");
    // Without the port, which names no host.
    assert_eq!(spec["tls"], json!([{"hosts": ["graphql.example.com"], "secretName": "shown"}]));
    let [rule] = &spec["rules"].as_array().unwrap()[..] else { panic!("{spec}") };
    assert_eq!(rule["host"], "graphql.example.com");
    let [path] = &rule["http"]["paths"].as_array().unwrap()[..] else { panic!("{rule}") };
    assert_eq!((&path["path"], &path["pathType"]), (&json!("/"), &json!("Prefix")));
    let backend = &path["backend"]["service"];
    assert_eq!(&backend["name"], service);
    assert_eq!(container_port(&objects, |port| port["name"] == backend["port"]["name"]), 8443);
}

#[test]
fn controllers_are_told_to_speak_tls_to_the_pod_unless_it_is_said_otherwise() {
    let annotations = |more: &[&str]| {
        let objects =
            parse(&template("development", &[&["--set=ingress.enabled=true"], more].concat()).good());
        // Traefik takes TLS from the port's name, others from its protocol.
        let port = &one(&objects, "Service")["spec"]["ports"][0];
        assert_eq!((&port["name"], &port["appProtocol"]), (&json!("https"), &json!("https")));
        one(&objects, "Ingress")["metadata"]["annotations"].clone()
    };
    let by_default = annotations(&[]);
    assert_eq!(by_default["nginx.ingress.kubernetes.io/backend-protocol"], "HTTPS");
    assert_eq!(by_default["haproxy.org/server-ssl"], "true");
    let set = "--set-json=ingress.annotations={\"nginx.ingress.kubernetes.io/backend-protocol\":null,\"a/b\":\"c\"}";
    let changed = annotations(&[set]);
    assert!(
        changed["nginx.ingress.kubernetes.io/backend-protocol"].is_null() && changed["a/b"] == "c",
        "{changed}"
    );
}

#[test]
fn a_route_leads_its_gateways_to_the_front_door_and_has_them_speak_tls_for_the_public_name() {
    let objects = objects("everything");
    let (route, service) =
        (&one(&objects, "HTTPRoute")["spec"], &one(&objects, "Service")["metadata"]["name"]);
    assert_eq!(route["parentRefs"], json!([{"name": "gateway", "namespace": "gateways"}]));
    assert_eq!(route["hostnames"], json!(["graphql.example.com"]));
    let backend = &route["rules"][0]["backendRefs"][0];
    assert_eq!(&backend["name"], service);
    assert_eq!(container_port(&objects, |port| port["port"] == backend["port"]), 8443);

    let policy = &one(&objects, "BackendTLSPolicy")["spec"];
    let target = &policy["targetRefs"][0];
    assert_eq!((&target["kind"], &target["name"]), (&json!("Service"), service));
    assert_eq!(container_port(&objects, |port| port["name"] == target["sectionName"]), 8443);
    assert_eq!(policy["validation"]["hostname"], "graphql.example.com");
    assert_eq!(policy["validation"]["caCertificateRefs"][0]["name"], "front-ca");
}

#[test]
fn a_gateway_trusts_public_authorities_unless_others_are_named() {
    let set = "--set=httpRoute.enabled=true,httpRoute.parentRefs[0].name=g";
    let objects = parse(&template("single-pod", &[set]).good());
    let trusted = &one(&objects, "BackendTLSPolicy")["spec"]["validation"];
    assert_eq!(trusted["wellKnownCACertificates"], "System");
    assert!(trusted["caCertificateRefs"].is_null());
    let without = "--set=httpRoute.backendTls.enabled=false";
    let objects = parse(&template("single-pod", &[set, without]).good());
    assert!(objects.iter().all(|object| object["kind"] != "BackendTLSPolicy"));
}

#[test]
fn neither_is_made_unless_it_is_asked_for() {
    for object in objects("single-pod") {
        assert!(object["kind"] != "Ingress" && object["kind"] != "HTTPRoute", "{object}");
    }
}
