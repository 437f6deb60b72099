//! The languages inside `@connect`: selections and path templates, each line of the files in
//! `tests/mapping` with what becomes of it. The same lines are where fuzzing begins.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Answer, contribution, host_of, settings};
use monopod_graph::compose;

const ANSWER: &str = r#"{"id":7,"name":"n","n":1,"flag":true,"kind":"RED","any":{"x":[1]},"when":"2026-11-23T10:15:30Z",
    "type":"A","user":{"id":"u"},"quoted key":{"another":"q"},"part":{"a":1,"b":"b","deeper":{"c":[[1],null]}},
    "parts":[{"a":2},{"a":3,"b":null}],"node":{"type":"A","id":"i","a":5}}"#;

/// What comes of a line: the mistakes, or what `ask` finds. Indented, below the line.
async fn replay(name: &str, placeholder: &str, ask: impl AsyncFn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mapping");
    let frame = fs::read_to_string(folder.join(format!("{name}.graphql"))).unwrap();
    let file = folder.join(format!("{name}s.txt"));
    let mut expected = fs::read_to_string(&file).unwrap();
    let mut found = String::new();
    let mut lines = 0;
    for line in expected.lines().filter(|line| !line.starts_with("    ")) {
        lines += 1;
        let at = frame.rfind(placeholder).unwrap();
        let sdl = format!("{}{}{}", &frame[..at], json!(line), &frame[at + placeholder.len()..]);
        let outcome = match compose(&[contribution("a", &sdl)], &settings()) {
            Err(mistakes) => mistakes.iter().map(|each| format!("{each}\n")).collect(),
            Ok(_) => ask(&sdl).await,
        };
        found.push_str(&format!("{line}\n"));
        outcome.lines().for_each(|line| found.push_str(&format!("    {line}\n")));
    }
    assert!(lines > 40, "the lines are missing");
    // `UPDATE=1` writes what was found, to be looked at in the diff.
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &found).unwrap();
        expected.clone_from(&found);
    }
    assert!(found == expected, "{}\n--- found\n{found}", file.display());
}

#[tokio::test]
async fn each_selection_is_refused_with_its_place_or_finds_what_it_says() {
    replay("selection", "SELECTION", async |sdl| {
        let host = host_of(&[contribution("a", sdl)], settings(), |_| Answer::Json(200, ANSWER)).await;
        let fields = "id name n flag kind any when part{a b deeper{c}} parts{a b} node{__typename id}";
        let query = format!("{{it(id: \"i\", tags: [\"t\"], like: {{deep: {{name: \"d\"}}}}){{{fields}}}}}");
        let got: Value = serde_json::from_str(&host.ask(&query).await).unwrap();
        let mut shown = got["data"]["it"].clone();
        // What was not found says nothing here.
        if let Some(fields) = shown.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let errors = got["errors"].as_array().into_iter().flatten();
        let errors: String = errors.map(|error| format!("\n{}", error["message"])).collect();
        format!("{shown}{errors}")
    })
    .await;
}

#[tokio::test]
async fn each_template_is_refused_with_its_place_or_leads_below_its_beginning() {
    replay("template", "TEMPLATE", async |sdl| {
        let host = host_of(&[contribution("a", sdl)], settings(), |_| Answer::Json(200, "{}")).await;
        let mut shown = Vec::new();
        for value in [
            json!({}),
            json!({"id": "../é", "name": "a/b?c=d&e#f\r\n", "maybe": "@evil.example", "n": -1}),
            json!({"id": ".."}),
        ] {
            let query = "query($id: ID! = \"ID\", $name: String! = \"NAME\", $maybe: String, $n: Int! = 7) \
                         {it(id: $id, name: $name, maybe: $maybe, n: $n){id}}";
            host.fakes.seen.lock().unwrap().clear();
            let got = host.post(Some("ada"), query, value).await;
            let line = host.lines().pop();
            shown.push(line.unwrap_or_else(|| got.json()["errors"][0]["message"].to_string()));
        }
        shown.dedup();
        shown.join("\n")
    })
    .await;
}
