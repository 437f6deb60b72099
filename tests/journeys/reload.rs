//! Somebody who changes what runs, without a stop: bundles and the platform file are changed, and
//! `monopod reload` puts them in place; or says why not, and changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use monopod_tests::client::Client;
use monopod_tests::host::Setup;
use monopod_tests::socket::Socket;
use serde_json::{Value, json};

const GREET: &str = "extend type Query { greet: String! @resolve }\n";
const AGAIN: &str = "extend type Query { greetAgain: String! @resolve }\n";
const SECOND: &str = "extend type Query { greetSecond: String! @resolve }\n";
/// What does not change: a mutation that publishes, and a subscription to it.
const ANNOUNCED: &str = r#"
extend type Mutation {
  announce(to: String!): Boolean! @authenticated
    @connect(http: {POST: "/announce", body: "$args { to }"}, selection: "$.done")
}
extend type Subscription {
  announced: Announcement! @authenticated @subscribe(topic: "announcements", selection: "to")
}
type Announcement { to: String! }
"#;

const PLATFORM: &str = "[platform]\nname = \"stage\"\n[identity]\ndevelopment = true\n[topics.announcements]\n\
    [components.herald]\nbundle = \"herald\"\n[components.herald.grants]\npublish = [\"announcements\"]\n";
const WITH_SECOND: &str =
    "[components.second]\nbundle = \"second\"\n[components.second.grants]\npublish = [\"announcements\"]\n";

/// A platform file and a folder of bundles that change.
struct Stage {
    folder: tempfile::TempDir,
    setup: Setup,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let platform = folder.path().join("platform.toml");
        let bundles = folder.path().join("bundles");
        let setup = Setup { platform, bundles, ..Setup::trackunit(folder.path()) };
        Self { folder, setup }
    }

    fn platform(&self, more: &str) {
        std::fs::write(&self.setup.platform, format!("{PLATFORM}{more}")).unwrap();
    }

    /// A version of a component: the guest `herald` with this schema, its code marked, so that it
    /// is other code.
    fn bundle(&self, name: &str, version: &str, schema: &str) {
        let source: PathBuf = self.folder.path().join("source");
        std::fs::create_dir_all(&source).unwrap();
        let write = |file: &str, bytes: &[u8]| std::fs::write(source.join(file), bytes).unwrap();
        let manifest = format!(
            "name = \"{name}\"\nversion = \"{version}\"\ndescription = \"On stage.\"\n[needs]\npublish = [\"announcements\"]\n"
        );
        write("component.toml", manifest.as_bytes());
        write("schema.graphql", schema.as_bytes());
        let mut code = std::fs::read(monopod_tests::bundle("herald").wasm).unwrap();
        // A section of its own, which nobody reads.
        let mark = [&[4][..], b"mark", version.as_bytes()].concat();
        code.extend([0, u8::try_from(mark.len()).unwrap()]);
        code.extend(mark);
        write("code.wasm", &code);
        monopod_bundle::build(&source, &source.join("code.wasm"), &self.setup.bundles.join(name)).unwrap();
    }

    /// `monopod reload`: its exit code, and what it printed.
    async fn reload(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::new(&self.setup.program);
        command.arg("reload").arg("--state").arg(&self.setup.state).args(arguments);
        let output = command.output().await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    }
}

async fn ask(client: &Client, query: &str) -> Value {
    client.graphql(query, Value::Null).await.unwrap().1
}

/// Whether a document fits the schema that is served.
async fn is_known(client: &Client, field: &str) -> bool {
    let answer = ask(client, &format!("{{{field}}}")).await;
    let code = &answer["errors"][0]["extensions"]["code"];
    assert!(answer["data"][field] == "Hello World!" || code == "GRAPHQL_VALIDATION_FAILED", "{answer}");
    code.is_null()
}

/// Somebody who asks all the time, and is answered each time.
fn traffic(client: &Client) -> (tokio::task::JoinHandle<()>, Arc<AtomicUsize>, Arc<AtomicBool>) {
    let client = client.another();
    let (answered, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, stopped) = (answered.clone(), stop.clone());
    let asking = tokio::spawn(async move {
        while !stopped.load(SeqCst) {
            assert_eq!(ask(&client, "{greet}").await, json!({"data": {"greet": "Hello World!"}}));
            count.fetch_add(1, SeqCst);
        }
    });
    (asking, answered, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_puts_other_components_in_place_and_nobody_who_is_served_notices() {
    let stage = Stage::new();
    stage.platform("");
    stage.bundle("herald", "0.1.0", &format!("{GREET}{ANNOUNCED}"));
    let host = stage.setup.start().await;
    let client = Client::new(host.url(), &stage.setup.ca()).login("ada").await;
    let mut socket = Socket::open(&client).await;
    socket.subscribe("1", "subscription{announced{to}}", Value::Null).await;
    let (asking, answered, stop) = traffic(&client);
    assert!(!is_known(&client, "greetAgain").await);

    // Another version, and another component beside it.
    stage.bundle("herald", "0.2.0", &format!("{GREET}{AGAIN}{ANNOUNCED}"));
    stage.bundle("second", "0.1.0", SECOND);
    stage.platform(WITH_SECOND);
    let (code, text) = stage.reload(&[]).await;
    assert_eq!(code, 0, "{text}");
    for part in ["added      second", "replaced   herald", "`Query.greetAgain` is new"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(is_known(&client, "greetAgain").await && is_known(&client, "greetSecond").await);
    assert_eq!(ask(&client, "mutation{announce(to:\"all\")}").await["data"]["announce"], true);
    assert_eq!(socket.event("1").await, json!({"to": "all"}));

    // The same again changes nothing.
    let (code, text) = stage.reload(&[]).await;
    assert!(code == 0 && text.contains("all components are those that ran"), "{text}");

    // Without the component its field is gone: said first, done when that is wanted.
    stage.platform("");
    let (code, text) = stage.reload(&[]).await;
    assert!(code == 4 && text.contains("`Query.greetSecond` is gone"), "{text}");
    assert!(text.contains("--allow-breaking"), "{text}");
    assert!(is_known(&client, "greetSecond").await);
    let (code, text) = stage.reload(&["--allow-breaking"]).await;
    assert!(code == 0 && text.contains("removed    second"), "{text}");
    assert!(!is_known(&client, "greetSecond").await && is_known(&client, "greetAgain").await);

    ask(&client, "mutation{announce(to:\"the rest\")}").await;
    assert_eq!(socket.event("1").await, json!({"to": "the rest"}));
    stop.store(true, SeqCst);
    asking.await.unwrap();
    assert!(answered.load(SeqCst) > 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_cannot_be_says_why_and_changes_nothing() {
    let stage = Stage::new();
    stage.platform("");
    stage.bundle("herald", "0.1.0", &format!("{GREET}{ANNOUNCED}"));
    let host = stage.setup.start().await;
    let client = Client::new(host.url(), &stage.setup.ca()).login("ada").await;

    let cases: [(&str, &str, i32, &str); 4] = [
        ("", "extend type Query { greet: Nobody! @resolve greetAgain: String! @resolve }\n", 64, "Nobody"),
        ("[components.absent]\nbundle = \"absent\"\n", AGAIN, 1, "absent"),
        ("[topics.more]\n", AGAIN, 1, "[topics] cannot be changed"),
        ("[edge]\ndrain = \"1s\"\n", AGAIN, 1, "[edge] cannot be changed"),
    ];
    for (more, schema, code, why) in cases {
        stage.platform(more);
        stage.bundle("herald", "0.2.0", &format!("{schema}{GREET}{ANNOUNCED}"));
        let (ended, text) = stage.reload(&[]).await;
        assert!(
            ended == code && text.contains(why) && text.contains("Nothing was changed."),
            "{ended} {text}"
        );
        assert!(is_known(&client, "greet").await && !is_known(&client, "greetAgain").await, "{why}");
    }
    host.stop().await;
    let (code, text) = stage.reload(&[]).await;
    assert!(code == 1 && text.contains("no platform runs"), "{text}");
}
