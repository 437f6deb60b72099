//! Operations on a schema, drawn at random: most are valid, some are not. Each selection has a
//! line of its own, so that a finding can be made smaller by lines.

use monopod_tests::random::Random;
use serde_json::{Map, Value};

use super::schema::{Schema, Type, pick};

pub struct Operation {
    pub document: String,
    pub variables: Value,
}

struct Writer<'w> {
    schema: &'w Schema,
    random: &'w mut Random,
    variables: Vec<(String, String, Type)>,
    fragments: Vec<(String, String)>,
    /// How many selections there may still be.
    left: usize,
}

const FIELDS_OF_TYPES: [&str; 8] = [
    "kind name specifiedByURL isOneOf\n",
    "kind fields { name isDeprecated deprecationReason type { ...R } }\n",
    "fields(includeDeprecated: true) { name args { name type { ...R } } }\n",
    "enumValues { name }\n",
    "enumValues(includeDeprecated: true) { name isDeprecated deprecationReason }\n",
    "inputFields { name type { ...R } }\n",
    "possibleTypes { name }\n",
    "interfaces { name __typename }\n",
];
const REFERENCE: &str = "fragment R on __Type {\nkind\nname\nofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }\n}\n";

impl Operation {
    /// Whether no field has a condition.
    pub fn is_ordered(&self) -> bool {
        !self.document.contains("@skip") && !self.document.contains("@include")
    }

    pub fn new(schema: &Schema, random: &mut Random) -> Self {
        let left = 6 + random.within(0..40) as usize;
        let mut writer = Writer { schema, random, variables: Vec::new(), fragments: Vec::new(), left };
        let mutation = writer.random.one_in(12);
        let mut body = writer.selection(if mutation { "Mutation" } else { "Query" }, 0);
        if !mutation && writer.random.one_in(6) {
            body.insert_str(2, &writer.introspection());
        }
        let mut document = String::new();
        for (at, (on, text)) in writer.fragments.iter().enumerate() {
            document.push_str(&format!("fragment F{at} on {on} {text}"));
        }
        if body.contains("...R") {
            document.push_str(REFERENCE);
        }
        let declared: Vec<_> =
            writer.variables.iter().map(|(name, declared, _)| format!("${name}: {declared}")).collect();
        let declared = if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
        let kind = if mutation { "mutation" } else { "query" };
        let document = format!("{kind} Q{declared} {body}{document}");
        let mut given = Map::new();
        for (name, _, ty) in &writer.variables {
            if !writer.random.one_in(6) {
                given.insert(name.clone(), schema.json(ty, 0, writer.random));
            }
        }
        Self { document, variables: Value::Object(given) }
    }
}

impl Writer<'_> {
    fn introspection(&mut self) -> String {
        let mut names = vec!["Query", "N0", "U0", "E0", "I2", "T0", "T1", "Int", "URL", "Nothing"];
        names.rotate_left(self.random.within(0..10) as usize);
        let mut text = format!("__type(name: \"{}\") {{\n", names[0]);
        for _ in 0..1 + self.random.within(0..3) {
            text.push_str(pick::<&str>(&FIELDS_OF_TYPES, self.random));
        }
        text.push_str("}\n");
        if self.random.one_in(3) {
            text.push_str("__schema { queryType { name } mutationType { name kind } subscriptionType { name } __typename }\n");
        }
        text
    }

    /// A condition now and then.
    fn directives(&mut self) -> String {
        if !self.random.one_in(8) {
            return String::new();
        }
        let name = if self.random.one_in(2) { "skip" } else { "include" };
        let value = if self.random.one_in(2) {
            self.random.one_in(2).to_string()
        } else {
            let boolean = Type::NonNull(Box::new(Type::Named("Boolean".to_owned())));
            let name = format!("v{}", self.variables.len());
            self.variables.push((name.clone(), boolean.to_string(), boolean));
            format!("${name}")
        };
        let second = if self.random.one_in(6) { " @include(if: true)" } else { "" };
        let second = if name == "skip" { second } else { "" };
        format!(" @{name}(if: {value}){second}")
    }

    /// A variable that fits a place, or nearly does.
    fn variable(&mut self, ty: &Type) -> String {
        let known = self.variables.iter().filter(|(_, _, known)| known.to_string() == ty.to_string());
        let known: Vec<_> = known.map(|(name, ..)| name.clone()).collect();
        if !known.is_empty() && self.random.one_in(2) {
            return pick(&known, self.random).clone();
        }
        let name = format!("v{}", self.variables.len());
        let (mut declared, mut ty) = (ty.to_string(), ty.clone());
        match (&ty, self.random.within(0..6)) {
            // A default makes a place that must have a value safe.
            (Type::NonNull(inner), 0) => {
                let inner = (**inner).clone();
                declared = format!("{inner} = {}", self.schema.literal(&ty, false, 0, self.random));
                ty = inner;
            }
            (Type::NonNull(inner), 1) if self.random.one_in(8) => {
                ty = (**inner).clone();
                declared = ty.to_string();
            }
            (Type::NonNull(_), _) => {}
            (_, 0) => {
                ty = Type::NonNull(Box::new(ty));
                declared = ty.to_string();
            }
            (_, 1) => declared = format!("{declared} = {}", self.schema.literal(&ty, true, 0, self.random)),
            _ => {}
        }
        self.variables.push((name.clone(), declared, ty));
        name
    }

    fn selection(&mut self, ty: &str, depth: usize) -> String {
        let mut text = "{\n".to_owned();
        let count = 1 + self.random.within(0..5);
        for number in 0..count {
            if number > 0 && self.left == 0 {
                break;
            }
            self.left = self.left.saturating_sub(1);
            text.push_str(&self.line(ty, depth));
        }
        text.push_str("}\n");
        text
    }

    fn line(&mut self, ty: &str, depth: usize) -> String {
        match self.random.within(0..10) {
            0 if ty != "Mutation" => {
                let alias = if self.random.one_in(4) { "a0: " } else { "" };
                format!("{alias}__typename{}\n", self.directives())
            }
            1 | 2 if depth < 5 => self.fragment(ty, depth),
            _ => self.field(ty, depth),
        }
    }

    /// A type that a fragment on this one may name.
    fn condition(&mut self, ty: &str) -> String {
        if self.random.one_in(60) {
            return (*pick(&["T3", "Query", "E0", "T9"], self.random)).to_owned();
        }
        let mut names = vec![ty.to_owned()];
        for (name, possible) in &self.schema.possible {
            if name == ty {
                names.extend(possible.iter().cloned());
            } else if possible.iter().any(|each| each == ty) {
                names.push(name.clone());
            }
        }
        pick(&names, self.random).clone()
    }

    fn fragment(&mut self, ty: &str, depth: usize) -> String {
        let on = self.condition(ty);
        if self.random.one_in(2) {
            let directives = self.directives();
            if on == ty && self.random.one_in(2) {
                return format!("...{directives} {}", self.selection(ty, depth + 1));
            }
            return format!("... on {on}{directives} {}", self.selection(&on, depth + 1));
        }
        let fits = |(_, (known, _)): &(usize, &(String, String))| *known == on;
        let known: Vec<_> = self.fragments.iter().enumerate().filter(fits).map(|(at, _)| at).collect();
        let at = if !known.is_empty() && self.random.one_in(2) {
            *pick(&known, self.random)
        } else {
            let text = self.selection(&on, depth + 1);
            self.fragments.push((on, text));
            self.fragments.len() - 1
        };
        format!("...F{at}{}\n", self.directives())
    }

    fn field(&mut self, ty: &str, depth: usize) -> String {
        let fields = self.schema.fields(ty);
        if fields.is_empty() {
            return "__typename\n".to_owned();
        }
        let field = pick(fields, self.random).clone();
        let name = if self.random.one_in(150) { "nothing" } else { &field.name };
        let alias = match self.random.within(0..12) {
            0 => format!("a{}: ", self.random.within(0..6)),
            // Of its own, so that it does not clash.
            1..4 if !field.arguments.is_empty() => format!("b{}: ", self.left),
            _ => String::new(),
        };
        let mut given = Vec::new();
        for argument in &field.arguments {
            let must = matches!(argument.ty, Type::NonNull(_)) && !self.random.one_in(20);
            if must || self.random.one_in(3) {
                let schema = self.schema;
                let mut random = self.random.fork();
                let mut variable = |ty: &Type, random: &mut Random| {
                    random.one_in(5).then(|| format!("${}", self.variable(ty)))
                };
                let value = schema.value(&argument.ty, true, 0, &mut random, &mut variable);
                given.push(format!("{}: {value}", argument.name));
            }
        }
        let given = if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) };
        let directives = self.directives();
        let inner = field.ty.name();
        let composite = inner.starts_with('T') || inner.starts_with('N') || inner == "U0";
        let below = match composite {
            true if depth > 5 || self.left == 0 => " {\n__typename\n}\n".to_owned(),
            true => format!(" {}", self.selection(inner, depth + 1)),
            false => "\n".to_owned(),
        };
        format!("{alias}{name}{given}{directives}{below}")
    }
}
