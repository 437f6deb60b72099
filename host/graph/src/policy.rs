//! What a `@policy` demands: scopes of the token, and a condition over the caller and the field's
//! arguments in the Common Expression Language. A condition is compiled and bounded when the
//! platform file is read; it is asked on every request, before anything runs.
//!
//! A condition sees `caller` (`authenticated`, `issuer`, `subject`, `name`, `scopes`) and `args`,
//! and nothing else: no state, no time, no network. One that fails denies.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::Key;
use cel::{Context, Program, Value};
use monopod_core::identity::Principal;

use crate::json::Json;

/// The longest condition, in bytes: longer ones hide what they allow.
const MAX_TEXT: usize = 1_000;
/// The most bytes of arguments that a condition looks at. A condition has at most one loop in
/// one another, and no way to make values longer than they came, so that the work of one is some
/// million steps at most.
const MAX_ARGUMENTS: usize = 4 << 10;
/// What a condition can know of the caller.
const CALLER: [&str; 5] = ["authenticated", "issuer", "subject", "name", "scopes"];
/// What a condition can call, besides operators. None makes a value longer.
const FUNCTIONS: [&str; 7] = ["size", "contains", "startsWith", "endsWith", "int", "double", "string"];
/// Operators that make values longer are left out.
const OPERATORS: [&str; 15] = [
    "_==_",
    "_!=_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "_&&_",
    "_||_",
    "!_",
    "-_",
    "_-_",
    "@in",
    "_[_]",
    "_?_:_",
    "@not_strictly_false",
];

/// What a `@policy` name asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// All of these must be in the token.
    pub scopes: BTreeSet<String>,
    /// This must hold as well.
    pub condition: Option<Arc<Condition>>,
}

/// A compiled condition.
pub struct Condition {
    text: String,
    program: Program,
    /// The arguments that it looks at.
    arguments: BTreeSet<String>,
}

impl Condition {
    /// Compiles a condition; what is wrong with it in words.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("a condition has at most {MAX_TEXT} bytes"));
        }
        let program = Program::compile(text).map_err(|errors| {
            let first = errors.errors.first();
            first.map_or_else(|| "it cannot be read".to_owned(), |first| first.msg.trim().to_owned())
        })?;
        let mut look = Look::default();
        look.at(program.expression(), 0)?;
        Ok(Self { text: text.to_owned(), program, arguments: look.arguments })
    }

    /// The arguments that it looks at.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(String::as_str)
    }

    /// Whether it holds. What cannot be decided does not.
    pub fn holds(&self, principal: &Principal, arguments: &Json<'_>) -> bool {
        let mut left = MAX_ARGUMENTS;
        let mut seen = HashMap::new();
        for name in &self.arguments {
            let value = arguments.get(name).unwrap_or(&Json::Null);
            let Some(value) = value_of(value, &mut left) else { return false };
            seen.insert(Key::from(name.as_str()), value);
        }
        let mut context = Context::default();
        context.add_variable_from_value("caller", caller(principal));
        context.add_variable_from_value("args", Value::Map(seen.into()));
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn caller(principal: &Principal) -> Value {
    let owner = principal.owner();
    let name = match principal {
        Principal::User(user) => user.name.as_deref(),
        _ => None,
    };
    let or_null = |value: Option<&str>| value.map_or(Value::Null, text);
    let scopes = principal.scopes().iter().map(|scope| text(scope)).collect();
    let known: HashMap<Key, Value> = HashMap::from([
        ("authenticated".into(), Value::Bool(matches!(principal, Principal::User(_)))),
        ("issuer".into(), or_null(owner.map(|owner| &*owner.issuer))),
        ("subject".into(), or_null(owner.map(|owner| &*owner.subject))),
        ("name".into(), or_null(name)),
        ("scopes".into(), Value::List(Arc::new(scopes))),
    ]);
    Value::Map(known.into())
}

/// An argument for a condition; none if they are too large together.
fn value_of(json: &Json<'_>, left: &mut usize) -> Option<Value> {
    let size = match json {
        Json::String(text) => text.len(),
        _ => 8,
    };
    *left = left.checked_sub(size)?;
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Int(number) => Value::Int(*number),
        Json::Large(number) => Value::UInt(*number),
        Json::Float(number) => Value::Float(*number),
        Json::String(value) => text(value),
        Json::Array(items) => {
            let items: Option<Vec<Value>> = items.iter().map(|item| value_of(item, left)).collect();
            Value::List(Arc::new(items?))
        }
        Json::Object(entries) => {
            let mut map = HashMap::new();
            for (key, value) in entries {
                *left = left.checked_sub(key.len())?;
                map.insert(Key::from(&**key), value_of(value, left)?);
            }
            Value::Map(map.into())
        }
    })
}

/// Looks at what a condition names.
#[derive(Default)]
struct Look {
    arguments: BTreeSet<String>,
    /// Names of loops around.
    inner: Vec<String>,
}

impl Look {
    fn at(&mut self, node: &IdedExpr, loops: usize) -> Result<(), String> {
        match &node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == "args" && !self.inner.contains(name) => {
                    self.arguments.insert(select.field.clone());
                    Ok(())
                }
                Expr::Ident(name) if name == "caller" && !self.inner.contains(name) => {
                    let known = CALLER.contains(&select.field.as_str());
                    let names = CALLER.join(", ");
                    known
                        .then_some(())
                        .ok_or_else(|| format!("`caller` has no `{}`, but {names}", select.field))
                }
                _ => self.at(&select.operand, loops),
            },
            Expr::Ident(name) if self.inner.contains(name) => Ok(()),
            Expr::Ident(name) if name == "args" || name == "caller" => {
                Err(format!("`{name}` alone is not a value: write `{name}.…`"))
            }
            Expr::Ident(name) => Err(format!("`{name}` is not known: there are `caller` and `args`")),
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                // Inside a loop `+` is what the macros themselves do with lists.
                if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
                    return Err(format!(
                        "`{name}` is not among what a condition can do: {}",
                        FUNCTIONS.join(", ")
                    ));
                }
                call.target.iter().try_for_each(|target| self.at(target, loops))?;
                call.args.iter().try_for_each(|argument| self.at(argument, loops))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|each| self.at(each, loops)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.at(&entry.key, loops)?;
                    self.at(&entry.value, loops)
                }
                EntryExpr::StructField(_) => Err("a condition makes no objects".to_owned()),
            }),
            Expr::Comprehension(each) => {
                if loops > 0 {
                    return Err("a loop within a loop is too much work for a condition".to_owned());
                }
                self.at(&each.iter_range, loops + 1)?;
                let before = self.inner.len();
                self.inner.extend([each.iter_var.clone(), each.accu_var.clone()]);
                let parts = [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result];
                let looked = parts.into_iter().try_for_each(|part| self.at(part, loops + 1));
                self.inner.truncate(before);
                looked
            }
            Expr::Struct(_) | Expr::Unspecified => Err("a condition makes no objects".to_owned()),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

#[cfg(test)]
mod tests {
    use super::*;
    use monopod_core::identity::{Owner, User};

    fn user(subject: &str, scopes: &[&str]) -> Principal {
        Principal::User(Arc::new(User {
            owner: Owner { issuer: "i".into(), subject: subject.into() },
            name: None,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            expires_at: u64::MAX,
        }))
    }

    #[test]
    fn a_condition_decides_by_the_caller_and_the_arguments() {
        for (text, arguments, expected) in [
            ("caller.authenticated", "{}", true),
            ("caller.subject == args.owner", r#"{"owner": "ada"}"#, true),
            ("caller.subject == args.owner", r#"{"owner": "bob"}"#, false),
            ("caller.subject == args.owner", "{}", false),
            ("'admin' in caller.scopes", "{}", true),
            ("'other' in caller.scopes", "{}", false),
            ("caller.scopes.exists(s, s.startsWith('ad')) && args.n < 10", r#"{"n": 9}"#, true),
            ("args.ids.all(id, id.startsWith('a'))", r#"{"ids": ["a1", "a2"]}"#, true),
            ("args.ids.all(id, id.startsWith('a'))", r#"{"ids": ["a1", "b"]}"#, false),
            (
                "size(args.ids) <= 2 && args.input.kind in ['x', 'y']",
                r#"{"ids": [1], "input": {"kind": "x"}}"#,
                true,
            ),
            // What cannot be decided does not hold.
            ("args.n < 10", r#"{"n": "text"}"#, false),
            ("args.input.kind == 'x'", r#"{"input": {}}"#, false),
            ("caller.subject", "{}", false),
            ("caller.name == null", "{}", true),
        ] {
            let condition = Condition::new(text).unwrap();
            let arguments = Json::parse(arguments.as_bytes()).unwrap();
            assert_eq!(condition.holds(&user("ada", &["admin"]), &arguments), expected, "{text} {arguments}");
            assert!(
                !Condition::new("caller.authenticated").unwrap().holds(&Principal::Anonymous, &Json::Null)
            );
        }
    }

    #[test]
    fn a_condition_is_bounded_before_it_runs_and_while_it_does() {
        for (text, part) in [
            ("caller.subject ==", "Syntax error"),
            ("calle.subject == 'a'", "`calle` is not known"),
            ("caller.sub == 'a'", "`caller` has no `sub`"),
            ("args == null", "`args` alone"),
            ("args.a.all(x, args.b.all(y, x == y))", "a loop within a loop"),
            ("args.a + args.a == 'x'", "`_+_` is not among"),
            ("args.a.matches('(a+)+')", "`matches` is not among"),
            ("now() > 1", "`now` is not among"),
            (&"(".repeat(500), "nesting"),
            (&"a".repeat(1_001), "at most 1000 bytes"),
        ] {
            let told = Condition::new(text).unwrap_err();
            assert!(told.contains(part) || part == "nesting", "{text}: {told}");
        }
        let condition = Condition::new("size(args.a) > 0").unwrap();
        let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(5_000));
        assert!(!condition.holds(&user("ada", &[]), &Json::parse(large.as_bytes()).unwrap()));
        let many = format!(r#"{{"a": [{}1]}}"#, "1,".repeat(600));
        assert!(!condition.holds(&user("ada", &[]), &Json::parse(many.as_bytes()).unwrap()));
    }
}
