//! Files that are right, and what becomes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_config::{Identity, Manifest, check_needs, load, manifest_schema, parse, schema};
use monopod_core::component::Limits;
use monopod_core::size::Size;

const SMALL: &str = "[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_good_file_becomes_a_plan_of_typed_values() {
    let plan = load(&root().join("tests/good/trackunit.toml")).unwrap();
    assert_eq!(plan.name, "trackunit");
    assert_eq!(plan.state, PathBuf::from(".monopod"));
    assert_eq!(plan.bundles, Some(root().join("tests/good").join("../target/bundles")));
    assert_eq!(plan.edge.listen, "127.0.0.1:8443".parse().unwrap());
    assert_eq!(plan.edge.public_url.as_deref(), Some("https://localhost:8443"));
    assert_eq!(plan.edge.drain, Duration::from_secs(20));
    assert_eq!(plan.edge.tls, None);
    assert_eq!(plan.identity, Identity::Development);
    assert!(plan.policies["RequireApiScope"].scopes.contains("analysis"));
    assert_eq!(plan.topics["analysis.started"].retention, Duration::from_secs(7 * 86_400));
    let ingestion = &plan.components["ingestion"];
    assert_eq!(ingestion.expose.as_deref(), Some("/v1/uploads"));
    assert_eq!(ingestion.limits.memory, Size::mebibytes(64));
    assert!(ingestion.grants.call.contains("storage"));
    assert_eq!(ingestion.settings["max-age"], "16");
    assert_eq!(ingestion.settings["loud"], "true");
    assert!(plan.components["storage"].grants.timers);
    assert_eq!(plan.components["storage"].limits, Limits::default());
    assert_eq!(plan.components["web"].expose.as_deref(), Some("/"));
}

#[test]
fn the_smallest_file_has_safe_defaults() {
    let plan = parse("p.toml", SMALL).unwrap();
    assert!(plan.edge.listen.ip().is_loopback());
    assert_eq!(plan.edge.public_url, None);
    assert_eq!(plan.bundles, None);
    assert!(plan.components.is_empty());
}

#[test]
fn graphiql_is_there_where_anybody_gets_a_token_and_elsewhere_if_the_file_says_so() {
    let issuer = "[platform]\nname = \"p\"\n[identity]\nissuer = \"https://i.example/\"\naudience = \"a\"\n";
    for (text, there) in [
        (SMALL.to_owned(), true),
        (format!("{SMALL}[graphql]\ngraphiql = false\n"), false),
        (format!("{SMALL}[graphql]\nintrospection = false\n"), false),
        (issuer.to_owned(), false),
        (format!("{issuer}[graphql]\ngraphiql = true\n"), true),
    ] {
        assert_eq!(parse("p.toml", &text).unwrap().graphql.graphiql, there, "{text}");
    }
}

#[test]
fn what_callers_may_cost_and_who_administers_is_off_unless_said() {
    let graphql = parse("p.toml", SMALL).unwrap().graphql;
    assert_eq!((graphql.budget, graphql.administrators), (None, None));
    assert!(!graphql.filter && !graphql.show_cost);
    let more = "[policies.Operators]\nscopes = [\"operate\"]\n[graphql]\nadministrators = \"Operators\"\n\
        show-cost = true\nauthorization = \"filter\"\nbudget = 1000\n";
    let graphql = parse("p.toml", &format!("{SMALL}{more}")).unwrap().graphql;
    assert_eq!(graphql.budget, Some((1_000, Duration::from_secs(60))));
    assert_eq!(graphql.administrators, Some(["operate".to_owned()].into()));
    assert!(graphql.filter && graphql.show_cost);
    let graphql = parse("p.toml", &format!("{SMALL}{more}budget-interval = \"10s\"\n")).unwrap().graphql;
    assert_eq!(graphql.budget, Some((1_000, Duration::from_secs(10))));
}

#[test]
fn a_real_issuer_and_certificate_may_listen_anywhere() {
    let text = "[platform]\nname = \"p\"\n[identity]\nissuer = \"https://i.example/\"\naudience = \"a\"\n\
        [edge]\nlisten = \"[::]:443\"\npublic-url = \"https://p.example\"\ncertificate = \"c.pem\"\nkey = \"/etc/k.pem\"\n";
    let plan = parse("conf/p.toml", text).unwrap();
    let tls = plan.edge.tls.unwrap();
    assert_eq!((tls.certificate, tls.key), (PathBuf::from("conf/c.pem"), PathBuf::from("/etc/k.pem")));
    assert!(matches!(plan.identity, Identity::Issuer { audience, .. } if audience == "a"));
}

#[test]
fn a_pod_has_a_listener_for_probes_and_callers_without_scopes_of_their_own() {
    let text = "[platform]\nname = \"p\"\n[identity]\nissuer = \"https://i.example\"\naudience = \"a\"\n\
        [identity.subjects.\"system:serviceaccount:p:caller\"]\nscopes = [\"analysis\"]\n\
        [edge]\nlisten = \"0.0.0.0:8443\"\nhealth = \"0.0.0.0:8080\"\npublic-url = \"https://p.example\"\n\
        certificate = \"c.pem\"\nkey = \"k.pem\"\n";
    let plan = parse("p.toml", text).unwrap();
    assert_eq!(plan.edge.health, Some("0.0.0.0:8080".parse().unwrap()));
    let Identity::Issuer { subjects, .. } = plan.identity else { panic!("{:?}", plan.identity) };
    assert!(subjects["system:serviceaccount:p:caller"].contains("analysis"));
}

#[test]
fn settings_become_environment_variables_with_the_manifests_defaults() {
    let text = format!("{SMALL}[components.a]\nbundle = \"a\"\nsettings = {{ max-age = 5 }}\n");
    let plan = parse("p.toml", &text).unwrap();
    let manifest = "name = \"a\"\nversion = \"1.2.3-rc.1\"\n[settings.max-age]\n[settings.verify]\ndefault = \"strict\"\n";
    let manifest = Manifest::parse("component.toml", manifest).unwrap();
    assert_eq!(manifest.version, "1.2.3-rc.1");
    let name: monopod_core::name::ComponentName = "a".parse().unwrap();
    let settings = check_needs(&plan, &BTreeMap::from([(name.clone(), manifest)])).unwrap();
    let expected = BTreeMap::from([("MAX_AGE".into(), "5".into()), ("VERIFY".into(), "strict".into())]);
    assert_eq!(settings[&name], expected);
}

#[test]
fn what_is_wrong_with_a_bundle_is_shown_where_the_file_names_it() {
    let plan = parse("p.toml", &format!("{SMALL}[components.a]\nbundle = \"a\"\n")).unwrap();
    let said = plan.about_bundle(&"a".parse().unwrap(), "no such bundle".into(), Some("build it".into()));
    let expected = "p.toml:6:10: no such bundle\n     6 | bundle = \"a\"\n       |          ^^^ build it";
    assert_eq!(said.to_string(), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_a_message_and_not_a_crash() {
    for (path, says) in [
        (root().join("tests/nowhere.toml"), "there is no such file"),
        (root().join("tests"), "this is a folder"),
    ] {
        let found = load(&path).unwrap_err();
        assert!(found[0].message.contains(says), "{}", found[0]);
    }
    let folder = std::env::temp_dir().join(format!("monopod-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("p.toml");
    std::fs::write(&file, b"name = \"\xff\"").unwrap();
    assert!(load(&file).unwrap_err()[0].message.contains("not UTF-8 (byte 8)"));
    std::fs::write(&file, vec![b'#'; monopod_config::MAX_FILE + 1]).unwrap();
    assert!(load(&file).unwrap_err()[0].message.contains("at most"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn no_text_however_broken_ends_the_process() {
    let good = std::fs::read_to_string(root().join("tests/good/trackunit.toml")).unwrap();
    // Every prefix, and every place with a character too much.
    for (at, _) in good.char_indices() {
        let (before, after) = good.split_at(at);
        let _ = parse("p.toml", before);
        for extra in ["\"", "[", "=", "ä", "\0", "\r"] {
            let _ = parse("p.toml", &format!("{before}{extra}{after}"));
        }
    }
    let _ = parse("p.toml", &"[".repeat(100_000));
    let _ = parse("p.toml", &format!("a = {}", "[".repeat(100_000)));
    let _ = parse("p.toml", &format!("{} = 1", vec!["a"; 10_000].join(".")));
}

#[test]
fn the_committed_json_schemas_are_those_of_the_types() {
    for (file, schema) in [("platform.schema.json", schema()), ("component.schema.json", manifest_schema())] {
        let path = root().join(file);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{file} is out of date: UPDATE=1 writes it anew");
    }
}
