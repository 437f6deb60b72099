//! Schemas and the values of their fields, drawn at random. Each field of a root is answered
//! in code by a whole tree of values, some of them wrong; `echo` gives its arguments back.

use std::fmt;

use monopod_tests::random::Random;
use serde_json::{Map, Value, json};

/// A type as it stands at a field.
#[derive(Clone)]
pub enum Type {
    Named(String),
    List(Box<Type>),
    NonNull(Box<Type>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::List(item) => write!(f, "[{item}]"),
            Self::NonNull(inner) => write!(f, "{inner}!"),
        }
    }
}

impl Type {
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.name(),
        }
    }

    fn needed(&self) -> bool {
        matches!(self, Self::NonNull(_))
    }
}

/// A field with its arguments, or an input field with its default.
#[derive(Clone)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub arguments: Vec<Field>,
    default: Option<String>,
}

impl Field {
    fn new(name: impl Into<String>, ty: Type) -> Self {
        Self { name: name.into(), ty, arguments: Vec::new(), default: None }
    }
}

/// How deep trees of values are: what may be missing is missing below.
const DEPTH: usize = 4;
pub const SCALARS: [&str; 10] =
    ["Int", "Float", "String", "Boolean", "ID", "JSON", "Long", "DateTime", "URL", "UUID"];
pub const ENUMS: usize = 2;
pub const INPUTS: usize = 3;
const OBJECTS: usize = 4;

pub struct Schema {
    /// Fields of the composite types; of unions none.
    pub types: Vec<(String, Vec<Field>)>,
    pub inputs: Vec<Vec<Field>>,
    /// Whether the last input is one of which one field is given.
    one: bool,
    /// The types that each abstract type can have.
    pub possible: Vec<(String, Vec<String>)>,
    /// The schema of the component.
    pub sdl: String,
}

pub fn pick<'a, T>(from: &'a [T], random: &mut Random) -> &'a T {
    &from[random.within(0..from.len() as u64) as usize]
}

fn named(name: impl Into<String>) -> Type {
    Type::Named(name.into())
}

/// Lists of lists, with every nullability.
fn wrapped(mut ty: Type, needed: bool, random: &mut Random) -> Type {
    let lists = if random.one_in(4) { 1 + usize::from(random.one_in(3)) } else { 0 };
    for level in 0..=lists {
        if level > 0 {
            ty = Type::List(Box::new(ty));
        }
        if random.one_in(3) && (needed || level > 0) {
            ty = Type::NonNull(Box::new(ty));
        }
    }
    ty
}

impl Schema {
    pub fn new(random: &mut Random) -> Self {
        let mut schema = Self {
            types: Vec::new(),
            inputs: Vec::new(),
            one: random.one_in(2),
            possible: Vec::new(),
            sdl: String::new(),
        };
        // An input may need only later ones: one that needed itself could not be written.
        for at in (0..INPUTS).rev() {
            let count = 1 + random.within(0..4);
            let fields =
                (0..count).map(|number| schema.input_field(&format!("f{number}"), at + 1, random)).collect();
            schema.inputs.insert(0, fields);
            if at == INPUTS - 1 && schema.one {
                for field in &mut schema.inputs[0] {
                    if let Type::NonNull(inner) = field.ty.clone() {
                        field.ty = *inner;
                    }
                }
                continue;
            }
            for field in 0..schema.inputs[0].len() {
                if random.one_in(3) {
                    let ty = schema.inputs[0][field].ty.clone();
                    schema.inputs[0][field].default = Some(schema.literal(&ty, false, 0, random));
                }
            }
        }
        let members = |random: &mut Random| {
            let mut names: Vec<_> =
                (0..OBJECTS).filter(|_| random.one_in(2)).map(|at| format!("T{at}")).collect();
            if names.is_empty() {
                names.push("T0".to_owned());
            }
            names
        };
        schema.possible = vec![("N0".to_owned(), members(random)), ("U0".to_owned(), members(random))];
        let shared = schema.output_field("shared", OBJECTS, random);
        let id = || Field::new("id", Type::NonNull(Box::new(named("ID"))));
        for at in 0..OBJECTS {
            let mut fields = vec![id(), Field::new("code", wrapped(named("Int"), true, random))];
            if schema.possible[0].1.contains(&format!("T{at}")) {
                fields.push(shared.clone());
            }
            for number in 0..1 + random.within(0..5) {
                fields.push(schema.output_field(&format!("f{number}"), at + 1, random));
            }
            schema.types.push((format!("T{at}"), fields));
        }
        schema.types.push(("N0".to_owned(), vec![id(), shared]));
        schema.types.push(("U0".to_owned(), Vec::new()));
        let mut roots: Vec<_> = (0..OBJECTS)
            .map(|at| Field::new(format!("t{at}"), wrapped(named(format!("T{at}")), true, random)))
            .collect();
        roots.push(Field::new("node", wrapped(named("N0"), true, random)));
        roots.push(Field::new("one", wrapped(named("U0"), true, random)));
        roots.push(Field::new("kinds", wrapped(named("E0"), true, random)));
        for number in 0..3 {
            let mut echo = Field::new(format!("echo{number}"), named("JSON"));
            let names = ["I0", "I1", "I2", "E0", "E1"];
            for (at, name) in names.iter().enumerate() {
                let ty = if number == 0 { named(*name) } else { wrapped(named(*name), true, random) };
                echo.arguments.push(Field::new(format!("a{at}"), ty));
            }
            for at in 5..5 + random.within(0..3) {
                echo.arguments.push(schema.input_field(&format!("a{at}"), 0, random));
            }
            for at in 0..echo.arguments.len() {
                if random.one_in(3) {
                    let ty = echo.arguments[at].ty.clone();
                    echo.arguments[at].default = Some(schema.literal(&ty, false, 0, random));
                } else if at < 5 {
                    // Only what is asked for by name: most calls would need all of them.
                    if let Type::NonNull(inner) = echo.arguments[at].ty.clone() {
                        echo.arguments[at].ty = *inner;
                    }
                }
            }
            roots.push(echo);
        }
        schema.types.push(("Query".to_owned(), roots));
        schema
            .types
            .push(("Mutation".to_owned(), vec![Field::new("change", wrapped(named("T0"), true, random))]));
        schema.write();
        schema
    }

    fn input_field(&self, name: &str, from: usize, random: &mut Random) -> Field {
        let ty = match random.within(0..6) {
            0 if from < INPUTS => named(format!("I{}", random.within(from as u64..INPUTS as u64))),
            1 => named(format!("E{}", random.within(0..ENUMS as u64))),
            _ => named(*pick(&SCALARS, random)),
        };
        Field::new(name, wrapped(ty, true, random))
    }

    fn output_field(&self, name: &str, from: usize, random: &mut Random) -> Field {
        match random.within(0..5) {
            // A tree of values that must be there would not end otherwise.
            0 => {
                let to = random.within(0..OBJECTS as u64) as usize;
                Field::new(name, wrapped(named(format!("T{to}")), to >= from, random))
            }
            1 => Field::new(name, wrapped(named(*pick(&["N0", "U0"], random)), false, random)),
            2 => Field::new(name, wrapped(named("E1"), true, random)),
            _ => Field::new(name, wrapped(named(*pick(&SCALARS, random)), true, random)),
        }
    }

    fn write(&mut self) {
        let mut sdl = String::new();
        let argument = |field: &Field| {
            let default = field.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
            format!("{}: {}{default}", field.name, field.ty)
        };
        for (name, fields) in self.types.iter().filter(|(name, _)| name != "U0") {
            let kind = if name == "N0" { "interface" } else { "type" };
            let implements = if self.possible[0].1.contains(name) { " implements N0" } else { "" };
            sdl.push_str(&format!("{kind} {name}{implements} {{\n"));
            let root = name == "Query" || name == "Mutation";
            for field in fields {
                let arguments: Vec<_> = field.arguments.iter().map(argument).collect();
                let arguments =
                    if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
                let resolve = match () {
                    () if root => " @resolve",
                    () if field.name == "code" => " @resolve(needs: [\"id\"])",
                    () if field.name == "f1" => " @deprecated(reason: \"old\")",
                    () => "",
                };
                sdl.push_str(&format!("  {}{arguments}: {}{resolve}\n", field.name, field.ty));
            }
            sdl.push_str("}\n");
        }
        sdl.push_str(&format!("union U0 = {}\n", self.possible[1].1.join(" | ")));
        for at in 0..ENUMS {
            sdl.push_str(&format!("enum E{at} {{ A B @deprecated C{at} }}\n"));
        }
        for (at, fields) in self.inputs.iter().enumerate() {
            let fields: Vec<_> = fields.iter().map(argument).collect();
            let one = if self.is_one(at) { "@oneOf " } else { "" };
            sdl.push_str(&format!("input I{at} {one}{{ {} }}\n", fields.join(" ")));
        }
        self.sdl = sdl;
    }

    fn input(&self, name: &str) -> Option<&[Field]> {
        let at: usize = name.strip_prefix('I')?.parse().ok()?;
        // While the schema is drawn the first inputs are not there yet.
        self.inputs.get((at + self.inputs.len()).checked_sub(INPUTS)?).map(Vec::as_slice)
    }

    fn is_one(&self, input: usize) -> bool {
        self.one && input == INPUTS - 1
    }

    /// The fields of an input that are given, with whether a value has to be there.
    fn given(&self, name: &str, depth: usize, random: &mut Random) -> Vec<(Field, bool)> {
        let fields = self.input(name).unwrap_or_default();
        if self.one && name == format!("I{}", INPUTS - 1) && !random.one_in(20) {
            return vec![(pick(fields, random).clone(), true)];
        }
        let must = |field: &Field| field.ty.needed() && field.default.is_none();
        let fields = fields.iter().filter(|field| must(field) || (depth < 3 && random.one_in(2)));
        fields.map(|field| (field.clone(), false)).collect()
    }

    /// A literal of a type, or close to one.
    pub fn literal(&self, ty: &Type, wrong: bool, depth: usize, random: &mut Random) -> String {
        let mut none = |_: &Type, _: &mut Random| None;
        self.value(ty, wrong, depth, random, &mut none)
    }

    pub fn value(
        &self,
        ty: &Type,
        wrong: bool,
        depth: usize,
        random: &mut Random,
        variable: &mut dyn FnMut(&Type, &mut Random) -> Option<String>,
    ) -> String {
        if let Some(variable) = variable(ty, random) {
            return variable;
        }
        if wrong && random.one_in(25) {
            return (*pick(
                &["null", "7", "\"x\"", "true", "1.5", "A", "{}", "[]", "{f9: 1}", "[[1]]"],
                random,
            ))
            .to_owned();
        }
        match ty {
            Type::NonNull(inner) => self.value_there(inner, wrong, depth, random, variable),
            _ if random.one_in(6) => "null".to_owned(),
            _ => self.value_there(ty, wrong, depth, random, variable),
        }
    }

    fn value_there(
        &self,
        ty: &Type,
        wrong: bool,
        depth: usize,
        random: &mut Random,
        variable: &mut dyn FnMut(&Type, &mut Random) -> Option<String>,
    ) -> String {
        match ty {
            Type::NonNull(inner) => self.value_there(inner, wrong, depth, random, variable),
            // One value counts as a list of one.
            Type::List(item) if random.one_in(5) => self.value_there(item, wrong, depth, random, variable),
            Type::List(item) => {
                let items: Vec<_> = (0..random.within(0..3))
                    .map(|_| self.value(item, wrong, depth + 1, random, variable))
                    .collect();
                format!("[{}]", items.join(", "))
            }
            Type::Named(name) if SCALARS.contains(&name.as_str()) => match name.as_str() {
                "Int" => random.within(0..9).to_string(),
                "Float" => (*pick(&["1", "0.5", "-2.25"], random)).to_owned(),
                "String" => {
                    (*pick(&["\"\"", "\"a\\nb\"", "\"\"\"\n  block\n   text \"\"\"", "\"ä\\u00e9\""], random))
                        .to_owned()
                }
                "Boolean" => random.one_in(2).to_string(),
                "ID" => (*pick(&["7", "\"i\""], random)).to_owned(),
                "JSON" => (*pick(&["{a: [1, {b: A}]}", "[true, null]", "\"t\"", "1.5"], random)).to_owned(),
                "Long" => (*pick(&["9007199254740991", "0", "-1"], random)).to_owned(),
                "DateTime" => "\"2026-11-23T10:15:30Z\"".to_owned(),
                "URL" => "\"https://example.com/a\"".to_owned(),
                _ => "\"0f3a0000-0000-7000-8000-00000000000a\"".to_owned(),
            },
            Type::Named(name) if name.starts_with('E') => (*pick(&["A", "B"], random)).to_owned(),
            Type::Named(name) => {
                let mut entries = Vec::new();
                for (field, one) in self.given(name, depth, random) {
                    let ty = if one { Type::NonNull(Box::new(field.ty)) } else { field.ty };
                    let value = self.value(&ty, wrong, depth + 1, random, variable);
                    entries.push(format!("{}: {value}", field.name));
                }
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// A variable's value, or close to one.
    pub fn json(&self, ty: &Type, depth: usize, random: &mut Random) -> Value {
        if random.one_in(40) {
            let wrong = [
                json!(null),
                json!(7),
                json!("x"),
                json!(true),
                json!(1.5),
                json!({}),
                json!([]),
                json!({"f9": 1}),
            ];
            return pick(&wrong, random).clone();
        }
        match ty {
            Type::NonNull(inner) => self.json_there(inner, depth, random),
            _ if random.one_in(6) => Value::Null,
            _ => self.json_there(ty, depth, random),
        }
    }

    fn json_there(&self, ty: &Type, depth: usize, random: &mut Random) -> Value {
        match ty {
            Type::NonNull(inner) => self.json_there(inner, depth, random),
            Type::List(item) if random.one_in(5) => self.json_there(item, depth, random),
            Type::List(item) => {
                (0..random.within(0..3)).map(|_| self.json(item, depth + 1, random)).collect()
            }
            Type::Named(name) if SCALARS.contains(&name.as_str()) || name.starts_with('E') => {
                leaf(name, random)
            }
            Type::Named(name) => {
                let mut entries = Map::new();
                for (field, one) in self.given(name, depth, random) {
                    let ty = if one { Type::NonNull(Box::new(field.ty)) } else { field.ty };
                    entries.insert(field.name, self.json(&ty, depth + 1, random));
                }
                Value::Object(entries)
            }
        }
    }

    /// What is found for a field: mostly of its type.
    pub fn found(&self, ty: &Type, depth: usize, random: &mut Random) -> Value {
        if depth > 0 && random.one_in(60) {
            return Value::Null;
        }
        match ty {
            Type::NonNull(inner) => self.found_there(inner, depth, random),
            _ if random.one_in(6) => Value::Null,
            _ => self.found_there(ty, depth, random),
        }
    }

    fn found_there(&self, ty: &Type, depth: usize, random: &mut Random) -> Value {
        match ty {
            Type::NonNull(inner) => self.found_there(inner, depth, random),
            Type::List(_) if random.one_in(50) => json!(7),
            Type::List(_) if depth >= DEPTH => json!([]),
            Type::List(item) => {
                (0..random.within(0..4)).map(|_| self.found(item, depth + 1, random)).collect()
            }
            Type::Named(name) if SCALARS.contains(&name.as_str()) || name.starts_with('E') => {
                match name.as_str() {
                    "JSON" | "String" => leaf(name, random),
                    _ if random.one_in(40) => json!("wrong"),
                    _ => leaf(name, random),
                }
            }
            Type::Named(name) => {
                let concrete = match self.possible.iter().find(|(abstract_, _)| abstract_ == name) {
                    Some((_, possible)) => pick(possible, random).clone(),
                    None => name.clone(),
                };
                let shown = if random.one_in(40) { "Nothing" } else { &concrete };
                let mut object = Map::from_iter([("__typename".to_owned(), json!(shown))]);
                for field in self.fields(&concrete) {
                    let value = match &field.ty {
                        _ if field.name == "id" => json!(random.within(0..4).to_string()),
                        _ if field.name == "code" => continue,
                        Type::Named(_) | Type::List(_) if depth >= DEPTH => Value::Null,
                        ty => self.found(ty, depth + 1, random),
                    };
                    object.insert(field.name.clone(), value);
                }
                Value::Object(object)
            }
        }
    }

    pub fn fields(&self, ty: &str) -> &[Field] {
        self.types
            .iter()
            .find(|(name, _)| name == ty)
            .map(|(_, fields)| fields.as_slice())
            .unwrap_or_default()
    }
}

fn leaf(name: &str, random: &mut Random) -> Value {
    match name {
        "Int" => json!(random.within(0..99)),
        "Float" => pick(&[json!(1), json!(0.5), json!(-2.25), json!(100.125)], random).clone(),
        "String" => pick(&[json!(""), json!("a\"\\\n\u{1}/"), json!("ä\u{2028}\u{1f600}")], random).clone(),
        "Boolean" => json!(random.one_in(2)),
        "ID" => pick(&[json!("i"), json!(7)], random).clone(),
        "JSON" => pick(&[json!({"b": [1, null], "a": {"c": "d"}}), json!([]), json!(1.5)], random).clone(),
        "Long" => pick(&[json!(9_007_199_254_740_991_i64), json!(-1)], random).clone(),
        "DateTime" => json!("2026-11-23T10:15:30.5Z"),
        "URL" => json!("https://example.com/?a=b"),
        "UUID" => json!("0f3a0000-0000-7000-8000-00000000000a"),
        _ => json!(pick(&["A", "B"], random)),
    }
}
