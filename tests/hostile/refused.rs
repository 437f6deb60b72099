//! Components that are found wrong only when they are compiled and linked: refused with names and
//! reasons, all at once, while another engine in the same process goes on. Those that a look
//! already refuses are the engine's own tests.

use std::path::Path;
use std::time::{Duration, Instant};

use monopod_core::component::{Component, Grants};
use monopod_engine::{Engine, Error, Refusal};
use monopod_tests::rooms::Rooms;

use crate::support::{House, limits};

/// Compiling these takes milliseconds; on a machine that is busy with everything else, this.
const BOUND: Duration = Duration::from_secs(60);

/// An answer to requests, in the shape of `wasi:http` 0.2.
const HANDLER: &str = r#"
    (import "wasi:http/types@0.2.0" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request))
    (alias export $types "response-outparam" (type $out))
    (core module $m (func (export "handle") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func $handle (param "request" (own $request)) (param "response-out" (own $out))
        (canon lift (core func $i "handle")))
    (component $shape
        (import "request" (type $request (sub resource)))
        (import "out" (type $out (sub resource)))
        (import "handle" (func $f (param "request" (own $request)) (param "response-out" (own $out))))
        (export "incoming-request" (type $request))
        (export "response-outparam" (type $out))
        (export "handle" (func $f)))
    (instance $served (instantiate $shape
        (with "request" (type $request)) (with "out" (type $out)) (with "handle" (func $handle))))
    (export "wasi:http/incoming-handler@0.2.0" (instance $served))
"#;

fn component(folder: &Path, name: &str, wat: &str, grants: Grants) -> Component {
    let wasm = wat::parse_str(format!("(component {wat})")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let file = folder.join(name).with_extension("wasm");
    std::fs::write(&file, &wasm).unwrap();
    Component {
        name: name.parse().unwrap(),
        version: "0.1.0".into(),
        wasm: file,
        digest: monopod_tests::digest(&wasm),
        schema: None,
        settings: Default::default(),
        grants,
        limits: limits(),
        instances: Default::default(),
    }
}

fn refusals(folder: &Path, components: Vec<Component>) -> Vec<Refusal> {
    let began = Instant::now();
    let rooms = Rooms::open(&folder.join(uuid::Uuid::new_v4().to_string()));
    let loaded = Engine::load(rooms.around(&folder.join("cache")), components);
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    match loaded {
        Err(Error::Refused(refusals)) => refusals,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_linked_is_refused_with_its_name_all_at_once_and_nobody_else_is_disturbed() {
    let house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let one = |name: &str, wat: &str| component(folder.path(), name, wat, Grants::default());
    let other = format!(
        r#"{HANDLER} (import "monopod:identity/caller@0.1.0" (instance
            (export "correlation-id" (func (result u32)))))"#
    );
    let missing = format!(
        r#"{HANDLER} (import "wasi:random/random@0.2.0" (instance
            (export "get-lucky-bytes" (func (result u32)))))"#
    );
    let consumes = Grants { consume: ["probe.in".parse().unwrap()].into(), ..Grants::default() };
    let components = vec![
        one("good", HANDLER),
        one("serves-nothing", r#"(instance $i) (export "acme:clock/face@1.0.0" (instance $i))"#),
        one("other-shape", &other),
        one("no-such-function", &missing),
        one(
            "other-handler",
            r#"(core module $m (func (export "f"))) (core instance $i (instantiate $m))
               (func $f (canon lift (core func $i "f"))) (instance $e (export "handle" (func $f)))
               (export "wasi:http/incoming-handler@0.2.3" (instance $e))"#,
        ),
        one(
            "other-messages",
            r#"(core module $m (func (export "f") (result i32) i32.const 0))
               (core instance $i (instantiate $m)) (func $f (result u32) (canon lift (core func $i "f")))
               (instance $e (export "handle" (func $f)))
               (export "monopod:messaging/handler@0.1.0" (instance $e))"#,
        ),
        one("not-valid", "(core module (func (result i32)))"),
        component(folder.path(), "no-handler", HANDLER, consumes),
    ];
    let expected = [
        ("no-handler", "granted topics to consume, but does not export monopod:messaging/handler"),
        ("no-such-function", "get-lucky-bytes"),
        ("not-valid", "it is not valid"),
        ("other-handler", "it exports `wasi:http/incoming-handler@0.2.12` in another shape"),
        ("other-messages", "it exports `monopod:messaging/handler@0.1.0` in another shape"),
        ("other-shape", "monopod:identity/caller@0.1.0"),
        ("serves-nothing", "exports nothing that is served here: only `acme:clock/face@1.0.0`"),
    ];
    let path = folder.path().to_owned();
    let loading = tokio::task::spawn_blocking(move || refusals(&path, components));
    let mut answered = 0;
    while !loading.is_finished() {
        assert_eq!(house.get("/hello").await.unwrap(), "hello");
        answered += 1;
    }
    let refusals = loading.await.unwrap();
    assert!(answered > 0);
    let names: Vec<&str> = refusals.iter().map(|refusal| refusal.component.as_str()).collect();
    assert_eq!(names, expected.map(|(name, _)| name));
    for (refusal, (name, words)) in refusals.iter().zip(expected) {
        let said = refusal.to_string();
        assert!(said.contains(&format!("component `{name}` cannot be loaded")), "{said}");
        assert!(said.contains(words) && said.contains("fix: "), "{said}");
    }
}

#[tokio::test]
async fn a_component_that_is_cut_short_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = wat::parse_str(format!("(component {HANDLER})")).unwrap();
    let good = component(folder.path(), "good", HANDLER, Grants::default());
    assert!(refusals(folder.path(), vec![good.clone()]).is_empty());
    let components: Vec<_> = (0..whole.len())
        .step_by(7)
        .map(|end| {
            let mut cut = good.clone();
            cut.name = format!("cut-{end}").parse().unwrap();
            cut.wasm = folder.path().join(cut.name.as_str());
            std::fs::write(&cut.wasm, &whole[..end]).unwrap();
            cut.digest = monopod_tests::digest(&whole[..end]);
            cut
        })
        .collect();
    let cuts = components.len();
    // A cut between two sections may leave a component, but none that serves anything.
    assert_eq!(refusals(folder.path(), components).len(), cuts);
}
