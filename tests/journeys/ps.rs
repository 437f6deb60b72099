//! `monopod ps`: what an operator sees of a running platform, and what is said when none runs.

use monopod_tests::host::Setup;

use crate::support::monopod;

#[tokio::test]
async fn an_operator_sees_every_component_while_the_platform_runs_and_learns_when_none_does() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::trackunit(folder.path());
    let host = setup.start().await;
    let shown = monopod(folder.path(), ["ps", "--state", "state"]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    let table = shown.out;
    assert!(table.starts_with("COMPONENT") && !table.contains('\x1b'), "{table}");
    let json = monopod(folder.path(), ["ps", "--json", "--state", "state"]).await.out;
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<&str> =
        status["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in ["ingestion", "orchestrator", "vision-adapter"] {
        assert!(names.contains(&name) && table.contains(name), "{name}: {table}");
    }
    assert!(status["components"][0]["state"] == "serving", "{json}");
    host.kill().await;
    let gone = monopod(folder.path(), ["ps", "--state", "state"]).await;
    gone.refused(1, &["no platform runs", "--state"]);
}
