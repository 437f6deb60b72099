//! `monopod check`, and what the command line does with what it cannot use.

use std::path::PathBuf;

use crate::support::{Platform, monopod};

fn broken() -> PathBuf {
    monopod_tests::checkout().join("host/config/tests/broken")
}

#[tokio::test]
async fn every_broken_platform_file_is_refused_with_64_and_the_messages_written_beside_it() {
    let mut cases = 0;
    for entry in std::fs::read_dir(broken()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        cases += 1;
        let expected = std::fs::read_to_string(path.with_extension("err")).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let checked = monopod(&broken(), ["check", name]).await;
        assert_eq!(checked.code, 64, "{name}: {checked:?}");
        assert!(checked.err.starts_with(&expected), "{name}:\n{}\ninstead of\n{expected}", checked.err);
        assert!(checked.err.trim_end().ends_with("Nothing was started."), "{name}: {}", checked.err);
        assert_eq!(checked.out, "", "{name}");
    }
    assert!(cases >= 20, "{cases} cases");
}

#[tokio::test]
async fn up_refuses_a_broken_file_as_check_does_and_leaves_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = broken().join("misspelled-key.toml");
    let started = monopod(folder.path(), ["up".into(), file.into_os_string()]).await;
    started.refused(64, &["misspelled-key.toml:", "did you mean", "Nothing was started."]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_repositorys_platform_file_is_good_and_its_schema_is_printed() {
    let (checkout, bundles) = (monopod_tests::checkout(), monopod_tests::bundles());
    let arguments = ["check", "components/trackunit.toml", "--bundles", bundles.to_str().unwrap()];
    let checked = monopod(checkout, arguments).await;
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{checked:?}");
    for name in ["ingestion", "storage", "media-access", "orchestrator", "vision-adapter", "web"] {
        assert!(checked.out.contains(&format!("component  {name} ")), "{name}: {}", checked.out);
    }
    let schema = monopod(checkout, arguments.into_iter().chain(["--schema"])).await;
    assert_eq!(schema.code, 0);
    assert!(schema.out.contains("startUpload(filename: String!, contentType: String!): StartUploadPayload!"));
}

#[tokio::test]
async fn a_condition_that_cannot_be_used_and_a_secret_that_is_not_there_are_said_at_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[platform]\nname = \"p\"\n[identity]\ndevelopment = true\n\
        [policies.Mine]\nallow = \"caller.sub == args.owner\"\n\
        [policies.Cut]\nallow = \"caller.subject ==\"\n\
        [services.geo]\nurl = \"https://geo.example\"\nsecrets.authorization = \"geo-token\"\n\
        [telemetry]\nendpoint = \"https://collector.example\"\nsecrets.authorization = \"collector-token\"\n";
    std::fs::write(folder.path().join("p.toml"), text).unwrap();
    monopod(folder.path(), ["check", "p.toml"]).await.refused(
        64,
        &[
            "p.toml:6:9: the condition of policy `Mine` cannot be used: `caller` has no `sub`",
            "p.toml:8:9: the condition of policy `Cut` cannot be used: Syntax error",
            "geo-token: the secret `authorization` of service `geo` cannot be read",
            "collector-token: the secret `authorization` of [telemetry] cannot be read",
        ],
    );
}

#[tokio::test]
async fn a_grant_that_a_component_needs_and_has_not_is_named_with_the_line_to_add() {
    let folder = tempfile::tempdir().unwrap();
    let file = Platform::trackunit().with("buckets = [\"sessions\"]\n", "").write(folder.path());
    let bundles = monopod_tests::bundles();
    let arguments = ["check".into(), file.into_os_string(), "--bundles".into(), bundles.into_os_string()];
    monopod(folder.path(), arguments)
        .await
        .refused(64, &["ingestion", "buckets = [\"sessions\"]", "platform.toml:"]);
}

#[tokio::test]
async fn a_command_line_that_cannot_be_used_ends_with_64_and_help_with_0() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [
        &["serve"][..],
        &["up"],
        &["up", "x.toml", "--listen", "nowhere"],
        &["up", "x.toml", "--once"],
        &["check"],
        &["try"],
        &["try", "x.jpg", "--url", "localhost:8443"],
        &["try", "x.jpg", "--timeout", "60"],
        &["try", "x.jpg", "--correlation-id", "a b"],
        &[],
    ] {
        let ended = monopod(folder.path(), wrong).await;
        assert_eq!(ended.code, 64, "{wrong:?}: {ended:?}");
        assert!(!ended.err.is_empty(), "{wrong:?}");
    }
    // A platform file that is not there is a mistake of the command line as well.
    monopod(folder.path(), ["check", "none.toml"]).await.refused(64, &["none.toml"]);
    for good in [&["--help"][..], &["up", "--help"], &["--version"]] {
        let ended = monopod(folder.path(), good).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{good:?}");
    }
}

#[tokio::test]
async fn the_schema_is_printed_with_who_answers_it_and_compared_with_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = monopod_tests::checkout().join("components/trackunit.toml");
    let bundles = monopod_tests::bundles();
    let schema = |more: &[&str]| {
        let mut arguments = vec!["schema".into(), file.clone().into_os_string()];
        arguments.extend(["--bundles".into(), bundles.clone().into_os_string()]);
        arguments.extend(more.iter().map(Into::into));
        monopod(folder.path(), arguments)
    };
    let printed = schema(&[]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let told = printed.out.lines().find(|line| line.starts_with("# Mutation.startUpload")).unwrap();
    for part in ["ingestion POST /v1/uploads/start", "needs analysis", "costs 10"] {
        assert!(told.contains(part), "{told}");
    }
    let facts: serde_json::Value = serde_json::from_str(&schema(&["--json"]).await.out).unwrap();
    assert!(facts["fields"].as_array().unwrap().iter().any(|field| field["field"] == "Query.ping"));

    // What was printed is a schema: the same one.
    std::fs::write(folder.path().join("served.graphql"), &printed.out).unwrap();
    let same = schema(&["--diff", "served.graphql"]).await;
    assert_eq!((same.code, same.out.as_str()), (0, "changes    0, 0 breaking\n"));
    std::fs::write(
        folder.path().join("other.graphql"),
        printed.out.replace("ping: String!", "ping: Int! pong: Int"),
    )
    .unwrap();
    let changed = schema(&["--diff", "other.graphql"]).await;
    assert_eq!(changed.code, 4, "{changed:?}");
    assert!(changed.out.contains("`Query.pong` is gone (FIELD_REMOVED)"), "{}", changed.out);
    assert!(changed.out.ends_with("2, 2 breaking\n"), "{}", changed.out);
}
