//! The same schemas and operations, drawn at random, executed here and by `graphql-js`: equal
//! bytes of `data`, and equal errors. `SEED=` repeats a run.
//!
//! Compared: whether an operation is refused before anything runs; else the bytes of `data`, and
//! of `errors` their order and paths, and of those that resolvers give the texts and places. Not
//! compared: the order of keys and the places of errors where fields have conditions, since here a
//! field stands where it was written first, and there where it was first included; the text of
//! `defaultValue`, which is as it was written here, and completed there; conditions and defaults
//! that are `null`, of which graphql-js refuses more; other texts, which are each implementation's
//! own; the places of a refusal; places behind the first, since graphql-js names each occurrence
//! of a field and the specification asks for one; `extensions`, which graphql-js does not have.

mod operation;
mod schema;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use monopod_core::{component, resolve};
use monopod_graph::{Contribution, Settings, compose};
use monopod_tests::graph::{Answers, Served};
use monopod_tests::random::Random;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use operation::Operation;
use schema::Schema;

/// What a change is tried with.
const SHORT: usize = 4_000;
/// All.
const FULL: usize = 100_000;
/// Operations on one schema.
const EACH: usize = 50;
/// The longest that one schema may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What components say.
struct Values {
    roots: Map<String, Value>,
    code: Map<String, Value>,
}

/// A text that is said in the place of a value.
fn problem(value: &Value) -> Option<resolve::Problem> {
    let message = value.get("$error")?.as_str()?.to_owned();
    Some(resolve::Problem { message, code: None })
}

fn typed(value: &Value) -> Result<resolve::Value, resolve::Problem> {
    match problem(value) {
        Some(problem) => Err(problem),
        None => Ok(resolve::Value::Json(value.to_string())),
    }
}

impl Answers for Values {
    fn http(&self, _: &str) -> Bytes {
        Bytes::new()
    }

    fn resolve(&self, field: &resolve::Field) -> resolve::Answer {
        if field.name.starts_with("echo") {
            // Written by hand: the order of the arguments is part of what is compared.
            let entries: Vec<_> = field
                .arguments
                .iter()
                .map(|(name, value)| {
                    let value = match value {
                        resolve::Value::Null => "null".to_owned(),
                        resolve::Value::Boolean(value) => value.to_string(),
                        resolve::Value::Integer(value) => value.to_string(),
                        resolve::Value::Float(value) => value.to_string(),
                        resolve::Value::Text(text) => json!(text).to_string(),
                        resolve::Value::Json(text) => text.clone(),
                    };
                    format!("{}:{value}", json!(name))
                })
                .collect();
            return Ok(vec![Ok(resolve::Value::Json(format!("{{{}}}", entries.join(","))))]);
        }
        if field.name != "code" {
            return Ok(vec![typed(&self.roots[&field.name])]);
        }
        let each = |row: &Vec<resolve::Value>| match row.as_slice() {
            [resolve::Value::Text(id)] => typed(&self.code[id]),
            other => panic!("{other:?}"),
        };
        Ok(field.parents.iter().map(each).collect())
    }
}

impl Values {
    fn new(schema: &Schema, random: &mut Random) -> Self {
        let mut roots = Map::new();
        for field in ["Query", "Mutation"].iter().flat_map(|root| schema.fields(root)) {
            if !field.name.starts_with("echo") {
                let failed = random.one_in(10);
                let value =
                    if failed { json!({"$error": "boom"}) } else { schema.found(&field.ty, 0, random) };
                roots.insert(field.name.clone(), value);
            }
        }
        let code = ["0", "1", "2", "3"].iter().map(|id| {
            let values = [json!(1), json!(2), json!(null), json!("wrong"), json!({"$error": "boom of code"})];
            ((*id).to_owned(), schema::pick(&values, random).clone())
        });
        Self { roots, code: code.collect() }
    }
}

/// `graphql-js`, asked line by line.
struct Reference {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

impl Reference {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Node looks for packages beside the program.
        let scripts = monopod_tests::checkout().join("tests/conformance/clients");
        for file in ["differential.js", "package.json"] {
            std::fs::copy(scripts.join(file), folder.path().join(file)).unwrap();
        }
        let modules = monopod_tests::from_environment("MONOPOD_NPM");
        std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
        let mut child = Command::new("node")
            .arg(folder.path().join("differential.js"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, _folder: folder }
    }

    fn ask(&mut self, sdl: &str, values: &Values, operations: &[Operation]) -> Vec<Answer> {
        let operations: Vec<_> = operations
            .iter()
            .map(|each| json!({"query": each.document, "variables": each.variables}))
            .collect();
        let work = json!({"sdl": sdl, "values": values.roots, "code": values.code, "operations": operations});
        self.input.write_all(format!("{work}\n").as_bytes()).unwrap();
        self.input.flush().unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the reference has ended\n{sdl}");
        let answers: Vec<Value> = serde_json::from_str(&line).unwrap();
        answers
            .iter()
            .map(|answer| Answer {
                data: answer["data"].as_str().map(str::to_owned),
                errors: answer["errors"].as_array().unwrap().iter().map(shown).collect(),
            })
            .collect()
    }
}

/// An answer, as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    /// None: refused.
    data: Option<String>,
    errors: Vec<String>,
}

/// Before the place in an error that is shown.
const PLACE: &str = " at ";

fn shown(error: &Value) -> String {
    match error["message"].as_str().filter(|text| text.starts_with("boom")) {
        Some(message) => format!("{} {message} {PLACE}{}", error["path"], error["place"]),
        None => error["path"].to_string(),
    }
}

impl Answer {
    fn ours(served: &Served, operation: &Operation) -> Self {
        let (_, body) = served.ask(&operation.document, Some(&operation.variables));
        let text = std::str::from_utf8(&body).unwrap();
        let mut answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let data = answer.get("data").is_some().then(|| {
            let start =
                if text.starts_with("{\"data\":") { 8 } else { text.find("],\"data\":").unwrap() + 9 };
            text[start..text.len() - 1].to_owned()
        });
        let mut errors = Vec::new();
        for error in answer["errors"].as_array_mut().into_iter().flatten() {
            error["place"] = error["locations"][0].clone();
            errors.push(shown(error));
        }
        Self { data, errors }
    }

    /// Whether both say the same of an operation, in the same order if it is `ordered`.
    fn agrees(&self, other: &Self, ordered: bool) -> bool {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        match (&self.data, &other.data) {
            // Refused: where and why is each one's own.
            (None, None) => true,
            (Some(ours), Some(theirs)) if !ordered => {
                let texts = |answer: &Self| -> Vec<_> {
                    answer.errors.iter().map(|error| error.split(PLACE).next().map(str::to_owned)).collect()
                };
                read(ours) == read(theirs) && texts(self) == texts(other)
            }
            _ => self == other,
        }
    }
}

/// Smaller operations: without a line, or a block of lines.
fn smaller(operation: &Operation) -> Vec<Operation> {
    let lines: Vec<&str> = operation.document.lines().collect();
    let mut found = Vec::new();
    for from in 1..lines.len() {
        let (mut open, mut to) = (0, from);
        while let Some(line) = lines.get(to) {
            open += line.matches('{').count() as i64 - line.matches('}').count() as i64;
            to += 1;
            if open <= 0 {
                break;
            }
        }
        let kept: Vec<&str> = lines[..from].iter().chain(&lines[to..]).copied().collect();
        found.push(Operation { document: kept.join("\n"), variables: operation.variables.clone() });
    }
    // Longest cuts first.
    found.sort_by_key(|each| each.document.len());
    found
}

#[test]
fn generated_operations_are_answered_as_by_graphql_js() {
    let all = std::env::var_os("FULL").is_some();
    let wanted = if all { FULL } else { SHORT };
    let (mut random, seed) = Random::from_environment();
    println!("SEED={seed}");
    let mut reference = Reference::start();
    let settings = Settings {
        max_aliases: 1_000,
        max_cost: u64::MAX,
        max_depth: 40,
        cached_plans: EACH,
        ..Settings::default()
    };
    let (mut asked, mut refused, mut failed, mut findings) = (0, 0, 0, Vec::new());
    while asked < wanted && findings.len() < 5 {
        let schema = Schema::new(&mut random);
        let values = Values::new(&schema, &mut random);
        let operations: Vec<_> = (0..EACH).map(|_| Operation::new(&schema, &mut random)).collect();
        let contribution = Contribution {
            component: "a".parse().unwrap(),
            schema: component::Schema { file: "a.graphql".to_owned(), text: schema.sdl.clone() },
            may_call: [].into(),
            may_watch: [].into(),
            may_send: [].into(),
            limits: component::Limits::default(),
        };
        let composed = compose(&[contribution], &settings).unwrap_or_else(|found| {
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            panic!("SEED={seed}\n{}\n{}", schema.sdl, found.join("\n"))
        });
        let sdl = composed.sdl();
        let values = Arc::new(values);
        let served = Served::new(composed, values.clone());
        let began = std::time::Instant::now();
        let theirs = reference.ask(&sdl, &values, &operations);
        for (operation, theirs) in operations.into_iter().zip(theirs) {
            asked += 1;
            let ours = Answer::ours(&served, &operation);
            refused += usize::from(theirs.data.is_none());
            failed += usize::from(theirs.data.is_some() && !theirs.errors.is_empty());
            let ordered = operation.is_ordered();
            if !ours.agrees(&theirs, ordered) && findings.len() < 5 {
                findings.push(shrink(operation, &served, &mut reference, &sdl, &values));
            }
        }
        assert!(began.elapsed() < LIMIT, "one schema takes {:?}", began.elapsed());
    }
    println!(
        "note: {asked} operations, {refused} refused, {failed} with errors{}",
        if all { "" } else { "; FULL=1 runs 100000" }
    );
    assert!(findings.is_empty(), "SEED={seed}\n{}", findings.join("\n\n"));
    assert!(
        refused > asked / 50 && refused + failed < asked,
        "nothing is shown by {refused} and {failed} of {asked}"
    );
}

/// The smallest operation that still differs, with both answers.
fn shrink(
    mut operation: Operation,
    served: &Served,
    reference: &mut Reference,
    sdl: &str,
    values: &Values,
) -> String {
    'smaller: loop {
        let tries = smaller(&operation);
        let theirs = reference.ask(sdl, values, &tries);
        for (each, theirs) in tries.into_iter().zip(theirs) {
            if !Answer::ours(served, &each).agrees(&theirs, each.is_ordered()) {
                operation = each;
                continue 'smaller;
            }
        }
        break;
    }
    let theirs = reference.ask(sdl, values, std::slice::from_ref(&operation));
    let (_, ours) = served.ask(&operation.document, Some(&operation.variables));
    let types: Vec<_> = sdl.split("\n\n").filter(|text| !text.starts_with("\"\"\"")).collect();
    format!(
        "{}\n{}\n{}\nours: {}\ntheirs: {:?}",
        types.join("\n"),
        operation.document,
        operation.variables,
        String::from_utf8_lossy(&ours),
        theirs[0]
    )
}
