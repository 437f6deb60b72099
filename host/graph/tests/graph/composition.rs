//! Composition: what is wrong in the components' files is all said at once, with its
//! place. One folder below `tests/compose` for each case: `a.graphql`, `b.graphql` (if
//! there are two components) and `expected.txt`.

use std::fs;
use std::path::Path;

use monopod_graph::{Contribution, compose};

use super::support::{SDL, contribution, schema, settings};

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_fix() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose");
    let mut cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "the cases are missing");
    let mut wrong = Vec::new();
    for case in cases {
        let contributions: Vec<Contribution> = ["a", "b"]
            .iter()
            .filter_map(|name| {
                let text = fs::read_to_string(case.join(format!("{name}.graphql"))).ok()?;
                let mut contribution = contribution(name, &text);
                contribution.schema.file = format!("{name}.graphql");
                Some(contribution)
            })
            .collect();
        let found = match compose(&contributions, &settings()) {
            Ok(schema) => schema.sdl(),
            Err(found) => found.iter().map(|each| format!("{each}\n")).collect(),
        };
        let file = case.join("expected.txt");
        // `UPDATE=1` writes what was found, to be looked at in the diff.
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}\n--- found\n{found}--- expected\n{expected}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_contract_of_trackunit_composes_and_is_kept_field_for_field() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components");
    let mut contributions = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if let Ok(text) = fs::read_to_string(entry.join("schema.graphql")) {
            contributions.push(contribution(entry.file_name().unwrap().to_str().unwrap(), &text));
        }
    }
    let schema = compose(&contributions, &settings()).unwrap_or_else(|found| {
        panic!("{}", found.iter().map(|each| format!("{each}\n")).collect::<String>())
    });
    let sdl = schema.sdl();
    for line in [
        "ping: String!",
        "startUpload(filename: String!, contentType: String!): StartUploadPayload!",
        "confirmUpload(uploadId: String!, bytes: Int!, checksum: String!): ConfirmUploadPayload!",
        "expiresAt: DateTime!",
        "featureset: [String!]!",
        "confidence: Float!",
        "isConfident: Boolean!",
        "typeConfidence: Float",
    ] {
        assert!(sdl.contains(line), "{line}\n{sdl}");
    }
}

#[test]
fn clients_see_no_directive_of_the_host() {
    let sdl = schema(SDL, &settings()).sdl();
    for hidden in [
        "connect",
        "subscribe(",
        "@authenticated",
        "requiresScopes",
        "policy",
        "@cost",
        "/v1/uploads",
        "ConnectHTTP",
    ] {
        assert!(!sdl.contains(hidden), "{hidden}\n{sdl}");
    }
    for shown in [
        "@deprecated(reason: \"always the same\")",
        "@specifiedBy(url: \"https://www.rfc-editor.org/rfc/rfc3339\")",
    ] {
        assert!(sdl.contains(shown), "{shown}\n{sdl}");
    }
}

#[test]
fn a_file_that_means_harm_is_refused_and_not_run_into() {
    for text in [
        "[".repeat(100_000),
        format!("type Query {{ a: {}String{} }}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("type Query {{ a(x: I = {}): Int }}", "{a:".repeat(10_000)),
        format!(
            "type Query {{ a: T @connect(http: {{GET: \"/\"}}, selection: \"{}\") }} type T {{ a: T }}",
            "a{".repeat(10_000)
        ),
        "\"\"\"".to_owned(),
        String::new(),
    ] {
        assert!(compose(&[contribution("a", &text)], &settings()).is_err());
    }
    assert!(compose(&[], &settings()).is_err());
}
