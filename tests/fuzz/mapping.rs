//! The languages inside `@connect`. A selection is refused with a place, or makes of any answer
//! JSON of the declared types. A template is refused with a place, or leads, whatever the
//! arguments, to one server and there below its fixed beginning.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use monopod_graph::{Service, Settings, compose};
use monopod_tests::graph::{Answers, Served};
use serde_json::{Value, json};

use crate::run::Target;
use crate::schema::contribution;

/// The frame of a language, with a place for an input; and the lines of its cases.
struct Language {
    frame: String,
    placeholder: &'static str,
    lines: Vec<Vec<u8>>,
}

impl Language {
    fn read(name: &str, placeholder: &'static str) -> Self {
        let folder = monopod_tests::checkout().join("host/graph/tests/mapping");
        let text = std::fs::read_to_string(folder.join(format!("{name}s.txt"))).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("    "));
        Self {
            frame: std::fs::read_to_string(folder.join(format!("{name}.graphql"))).unwrap(),
            placeholder,
            lines: lines.map(|line| line.as_bytes().to_vec()).collect(),
        }
    }

    /// The schema with this input, served; or the kind of mistake.
    fn serve(&self, input: &[u8], answers: Arc<dyn Answers>) -> Result<Result<Served, String>, String> {
        let at = self.frame.rfind(self.placeholder).unwrap();
        // All that JSON escapes, GraphQL's strings escape in the same way.
        let text = json!(String::from_utf8_lossy(input)).to_string();
        let sdl = format!("{}{text}{}", &self.frame[..at], &self.frame[at + self.placeholder.len()..]);
        let vision = Service { url: "https://vision.example/v1".to_owned(), headers: Box::default() };
        let settings = Settings { services: [("vision".to_owned(), vision)].into(), ..Settings::default() };
        match compose(&[contribution(&sdl)], &settings) {
            Ok(schema) => Ok(Ok(Served::new(schema, answers))),
            Err(found) => {
                let lines = sdl.lines().count();
                let first = found.first().ok_or("refused without a mistake")?;
                if found.iter().any(|each| each.place.as_ref().is_none_or(|place| place.line > lines)) {
                    return Err(format!("a mistake without a place in the file: {first}"));
                }
                Ok(Err(first.message.split('`').step_by(2).flat_map(|part| part.chars().take(40)).collect()))
            }
        }
    }
}

/// One answer after another, each to the next request.
struct Bodies(Mutex<&'static str>);

impl Answers for Bodies {
    fn http(&self, _: &str) -> Bytes {
        Bytes::from_static(self.0.lock().unwrap().as_bytes())
    }
}

const BODIES: [&str; 5] = [
    r#"{"id":7,"name":"n","n":1,"flag":true,"kind":"RED","any":{"x":[1]},"type":"A","user":{"id":"u"},
        "part":{"a":1,"b":"b","deeper":{"c":[[1],null]}},"parts":[{"a":2},{"a":3}],"node":{"type":"A","id":"i"}}"#,
    r#"{"id":{"id":[]},"name":["n",{"n":1}],"n":1.5,"flag":0,"kind":"GREEN","any":null,"type":7,
        "part":[{"a":null},7],"parts":{"a":[1,2]},"node":[{"type":"A"}]}"#,
    r#"[{"id":1},{"id":2},null,[],"x"]"#,
    r#""\u0000\ud83d\ude00""#,
    "null",
];

pub struct Selections(Language);

impl Selections {
    pub fn new() -> Self {
        Self(Language::read("selection", "SELECTION"))
    }
}

impl Target for Selections {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.lines.clone()
    }

    fn words(&self) -> Vec<Vec<u8>> {
        words(&[
            "$",
            "$.",
            "$args.",
            "$args { ",
            "$this.",
            "$batch ",
            "$status",
            "$context.correlationId",
            "$(",
            ")",
            "{ ",
            " }",
            ": ",
            ".",
            "\"",
            "'",
            "\\",
            "->",
            "#",
            "\n",
            "id ",
            "part { ",
            "parts { a }",
            "node { ",
            "__typename: ",
            "{\"a\":",
            "[1,",
            "1e999",
            "-0",
            "null",
            "true",
            "ä",
            "\u{202e}",
            "\u{0}",
            "$.part { ",
            "((((((((",
            "{a{a{a{a{a{",
            "[[[[[[[[",
        ])
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        let bodies = Arc::new(Bodies(Mutex::new("null")));
        let served = match self.0.serve(input, bodies.clone())? {
            Ok(served) => served,
            Err(kind) => return Ok(kind),
        };
        let mut kind = "good".to_owned();
        for body in BODIES {
            *bodies.0.lock().unwrap() = body;
            let document = "{it(id: \"i\", tags: [\"t\"], like: {name: \"l\"}){id name n flag kind any when \
                            part{a b deeper{c}} parts{a b} node{__typename id}}}";
            let (status, bytes) = served.ask(document, None);
            let answer: Value =
                serde_json::from_slice(&bytes).map_err(|error| format!("no JSON: {error}"))?;
            let it = &answer["data"]["it"];
            if status != 200 || !(it.is_object() || it.is_null()) {
                return Err(format!("{status} {answer}"));
            }
            let of_its_type = |field: &str, fits: fn(&Value) -> bool| it[field].is_null() || fits(&it[field]);
            let fits = of_its_type("id", Value::is_string)
                && of_its_type("name", Value::is_string)
                && of_its_type("n", Value::is_i64)
                && of_its_type("flag", Value::is_boolean)
                && of_its_type("kind", |kind| kind == "RED" || kind == "BLUE")
                && of_its_type("part", |part| part["a"].is_i64())
                && of_its_type("parts", |parts| {
                    parts.as_array().is_some_and(|all| all.iter().all(|each| each["a"].is_i64()))
                })
                && of_its_type("node", |node| node["__typename"] == "A" || node["__typename"] == "B");
            if !fits {
                return Err(format!("not of the declared types: {answer}"));
            }
            let there =
                it.as_object().map_or(0, |fields| fields.values().filter(|each| !each.is_null()).count());
            kind.push_str(&format!(" {there}{}", if answer["errors"].is_null() { "" } else { "!" }));
        }
        Ok(kind)
    }
}

/// What was asked for.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

impl Answers for Asked {
    fn http(&self, uri: &str) -> Bytes {
        self.0.lock().unwrap().push(uri.to_owned());
        Bytes::from_static(b"{}")
    }
}

pub struct Templates(Language);

impl Templates {
    pub fn new() -> Self {
        Self(Language::read("template", "TEMPLATE"))
    }
}

/// Arguments that mean harm.
const HARM: [&str; 12] = [
    "..",
    ".",
    "../../admin",
    "%2e%2e",
    "%2f",
    "a/b?c=d&e=f#g",
    "@evil.example",
    "https://evil.example/",
    "\r\nhost: evil.example",
    "\u{0}",
    "\\..\\",
    "\u{2025}/\u{ff0f}ä;x=1",
];

/// Server, segments and names of parameters.
fn parts(uri: &str) -> Result<(String, Vec<String>, Vec<String>), String> {
    let parsed: http::Uri = uri.parse().map_err(|error| format!("no address: {error}: {uri}"))?;
    let server = format!("{:?}://{:?}", parsed.scheme_str(), parsed.authority());
    let segments = parsed.path().split('/').map(str::to_owned).collect();
    let query = parsed.query().unwrap_or_default();
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default().to_owned()).collect();
    Ok((server, segments, names))
}

impl Target for Templates {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.lines.clone()
    }

    fn words(&self) -> Vec<Vec<u8>> {
        words(&[
            "{$args.id}",
            "{$args.name}",
            "{$args.n}",
            "{$args.maybe}",
            "{$args.like.name}",
            "{$args.tags}",
            "{$batch.id}",
            "{$this.id}",
            "{$context.correlationId}",
            "{",
            "}",
            "/",
            "//",
            "/../",
            "/./",
            "%2e",
            "%",
            "?",
            "&",
            "=",
            "#",
            "@",
            ":",
            ";",
            "\\",
            "https://vision.example/v1/",
            "https://vision.example",
            "http://",
            "evil.example",
            "\r\n",
            " ",
            "ä",
            "\u{0}",
            "[",
            "]",
            "a=",
            ".",
            "..",
        ])
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        let asked = Arc::new(Asked::default());
        let served = match self.0.serve(input, asked.clone())? {
            Ok(served) => served,
            Err(kind) => return Ok(kind),
        };
        let document = "query($id: ID!, $name: String!, $maybe: String, $n: Int!) \
                        {it(id: $id, name: $name, maybe: $maybe, n: $n, like: {name: $name}){id}}";
        let ask = |value: &str| {
            let variables = json!({"id": value, "name": value, "maybe": value, "n": 7});
            let (status, bytes) = served.ask(document, Some(&variables));
            let uri = asked.0.lock().unwrap().pop();
            match uri {
                _ if status != 200 => Err(format!("{status} {}", String::from_utf8_lossy(&bytes))),
                uri => Ok(uri),
            }
        };
        let Some(plain) = ask("plain")? else { return Err("a plain value leads nowhere".to_owned()) };
        let wanted = parts(&plain)?;
        let mut refused = 0;
        for harm in HARM {
            let Some(uri) = ask(harm)? else {
                refused += 1;
                continue;
            };
            let found = parts(&uri)?;
            let same = wanted
                .1
                .iter()
                .zip(&found.1)
                .all(|(wanted, found)| wanted.contains("plain") || wanted == found);
            let dots = |segment: &String| {
                let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
                decoded == "." || decoded == ".."
            };
            if found.0 != wanted.0
                || found.1.len() != wanted.1.len()
                || !same
                || found.2 != wanted.2
                || found.1.iter().any(dots)
                || !uri.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return Err(format!("{harm:?} leads from {plain} to {uri}"));
            }
        }
        let holes = plain.matches("plain").count().min(6);
        Ok(format!("good {} {holes} {refused} {}", wanted.0.len().min(30), wanted.1.len().min(8)))
    }
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
