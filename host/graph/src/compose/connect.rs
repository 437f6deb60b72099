//! Compiles `@connect`, on a field or on a part of a type.

use std::cell::RefCell;
use std::collections::BTreeSet;

use apollo_compiler::Node;
use apollo_compiler::ast::{Directive, FieldDefinition, Value};
use apollo_compiler::schema::ObjectType;
use http::{HeaderName, Method};
use monopod_core::name::ComponentName;

use super::bind::Binder;
use super::outside::Addressed;
use super::prelude;
use crate::json::NULL;
use crate::mapping::check::{Tests, Types};
use crate::mapping::template::Header;
use crate::mapping::value::Scope;
use crate::mapping::{self, Mistake, did_you_mean, parse};
use crate::schema::{Batch, Connect, Errors, uri};
use crate::settings::Service;

/// The most objects of one batch: a path with 1,000 ids is as long as servers take.
const MAX_BATCH: i32 = 1_000;
/// Headers that belong to the transport, or that say who asks: identity is typed, and no
/// header of a schema may forge it.
const KEPT_HEADERS: [&str; 12] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a `@connect` answers.
#[derive(Clone, Copy)]
pub enum Place<'p> {
    /// A field of a root type.
    Root(&'p FieldDefinition),
    /// A field of another type.
    Field(&'p ObjectType, &'p FieldDefinition),
    /// The fields of a part of a type, with the type's key.
    Lookup(&'p ObjectType, &'p BTreeSet<String>, &'p [String]),
}

/// Who is asked.
enum Target {
    Component(ComponentName),
    Service(Service),
}

type Entries = [(apollo_compiler::Name, Node<Value>)];

impl Binder<'_, '_> {
    /// Compiles the directive; what is wrong is reported.
    pub fn connect(&mut self, place: Place<'_>, directive: &Node<Directive>) -> Option<Connect> {
        let target = self.target(directive);
        let http = directive.specified_argument_by_name("http")?;
        let entries = http.as_object().unwrap_or_default();
        let calls: Vec<_> =
            entries.iter().filter(|(key, _)| prelude::METHODS.contains(&key.as_str())).collect();
        let [(method, template)] = calls.as_slice() else {
            let help = "one of GET, POST, PUT, PATCH, DELETE".to_owned();
            self.sources.report(http.location(), "name one method with its path", Some(help));
            return None;
        };
        let given = |name| directive.specified_argument_by_name(name).filter(|node| !node.is_null());
        let batch = given("batch");
        let answered = std::mem::take(&mut self.answered);
        let (schema, implementers) = (self.schema, self.implementers);
        let (field, parent) = match place {
            Place::Root(field) => (Some(field), None),
            Place::Field(object, field) => (Some(field), Some(object)),
            Place::Lookup(object, ..) => (None, Some(object)),
        };
        let types = Types {
            schema,
            implementers,
            answered: &answered,
            field,
            parent,
            batch: batch.is_some(),
            used: RefCell::default(),
        };
        let addressed = self.addressed(directive, template);
        let path = addressed.as_ref().map(|Addressed { path, skipped, .. }| {
            types.template(path).map_err(|mut bad| {
                bad.iter_mut().for_each(|each| each.at = each.at.start + skipped..each.at.end + skipped);
                bad
            })
        });
        let path = path.and_then(|result| self.mistakes(template, result));
        let headers = self.headers(&types, entries);
        let body = self.body(&types, method, entries);
        let success = given("isSuccess").map(|node| self.success(&types, node));
        let errors = given("errors").map_or(Some(Errors::default()), |node| self.errors(&types, node));
        let selection = self.answer(&types, place, directive);
        let batch = batch.map(|node| self.batch(&types, place, node, selection.as_ref()));
        let Types { used, .. } = types;
        let mut used = used.into_inner();
        if let Some(Some(batch)) = &batch {
            used.extend(batch.by.iter().map(|(_, name)| name.to_string()));
        }
        let used: Vec<String> = used.into_iter().collect();
        self.answered = answered;
        self.needs_are_few(place, directive, &used);
        let (target, addressed, path, selection) = (target?, addressed?, path?, selection?);
        let owner = self.sources.owner(directive.location())?;
        let (component, outside) = match (target, addressed.base) {
            (Target::Service(service), _) => {
                let outside = self.outside(owner, &service.url, Some(&service), &path, template)?;
                (owner.component.clone(), Some(outside))
            }
            (Target::Component(_), Some(base)) => {
                let outside = self.outside(owner, base, None, &path, template)?;
                (owner.component.clone(), Some(outside))
            }
            (Target::Component(component), None) => (component, None),
        };
        let method = Method::from_bytes(method.as_str().as_bytes()).ok()?;
        let fixed = path.is_fixed().then(|| path.expand(&Scope::of(&NULL, &NULL)).ok()).flatten();
        let fixed = fixed.and_then(|path| uri(&component, outside.as_ref(), &path));
        Some(Connect {
            component,
            outside,
            method,
            path,
            fixed,
            headers: headers?,
            body: body?,
            selection,
            success: success.map_or(Some(None), |tests| tests.map(Some))?,
            errors: errors?,
            needs: used.iter().map(|name| name.as_str().into()).collect(),
            batch: batch.map_or(Some(None), |batch| batch.map(Some))?,
            lookup: matches!(place, Place::Lookup(..)),
        })
    }

    fn answer(
        &mut self,
        types: &Types<'_>,
        place: Place<'_>,
        directive: &Node<Directive>,
    ) -> Option<mapping::Value> {
        let node = directive.specified_argument_by_name("selection")?;
        let mut covered = std::mem::take(&mut self.covered);
        let before = covered.made.len();
        let result = parse::selection(node.as_str()?).map_err(|mistake| vec![mistake]).and_then(
            |selection| match place {
                Place::Lookup(object, part, key) => {
                    types.looked_up(selection, object, part, key, &mut covered)
                }
                Place::Root(_) | Place::Field(..) => types.answer(selection, &mut covered),
            },
        );
        self.made.extend(covered.made.drain(before..).map(|made| (made, node.clone())));
        self.covered = covered;
        self.mistakes(node, result)
    }

    fn body(&mut self, types: &Types<'_>, method: &str, entries: &Entries) -> Option<Option<mapping::Value>> {
        let Some((_, node)) = entries.iter().find(|(key, _)| key == "body") else { return Some(None) };
        if matches!(method, "GET" | "DELETE") {
            self.sources.report(node.location(), format!("{method} carries no body"), None);
            return None;
        }
        let result = parse::selection(node.as_str()?)
            .map_err(|mistake| vec![mistake])
            .and_then(|selection| types.body(selection));
        self.mistakes(node, result).map(Some)
    }

    fn headers(&mut self, types: &Types<'_>, entries: &Entries) -> Option<Box<[(HeaderName, Header)]>> {
        let Some((_, list)) = entries.iter().find(|(key, _)| key == "headers") else {
            return Some(Box::default());
        };
        let mut headers = Vec::new();
        // One value counts as a list of one.
        let items = list.as_list().map_or_else(|| vec![list.clone()], <[_]>::to_vec);
        for item in &items {
            let entries = item.as_object()?;
            let find = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, node)| node);
            let (name, value) = (find("name")?, find("value")?);
            let text = name.as_str()?.to_ascii_lowercase();
            let kept = KEPT_HEADERS.contains(&text.as_str()) || text.starts_with("x-forwarded-");
            let Some(parsed) = HeaderName::try_from(&text).ok().filter(|_| !kept) else {
                let help = "the host sets what belongs to the transport, and identity is no header";
                self.sources.report(
                    name.location(),
                    format!("the header `{text}` cannot be set"),
                    Some(help.to_owned()),
                );
                return None;
            };
            headers.push((parsed, self.mistakes(value, types.header(value.as_str()?))?));
        }
        Some(headers.into())
    }

    fn success(&mut self, types: &Types<'_>, node: &Node<Value>) -> Option<Tests> {
        let result = parse::success(node.as_str()?)
            .map_err(|mistake| vec![mistake])
            .and_then(|terms| types.success(terms));
        self.mistakes(node, result)
    }

    fn errors(&mut self, types: &Types<'_>, node: &Node<Value>) -> Option<Errors> {
        let mut errors = Errors::default();
        for (key, text) in node.as_object()?.iter().filter(|(_, text)| !text.is_null()) {
            let result = parse::selection(text.as_str()?)
                .map_err(|mistake| vec![mistake])
                .and_then(|selection| types.details(selection));
            let value = self.mistakes(text, result)?;
            if key == "message" { errors.message = Some(value) } else { errors.extensions = Some(value) }
        }
        Some(errors)
    }

    /// How items of a batch's answer are told apart.
    fn batch(
        &mut self,
        types: &Types<'_>,
        place: Place<'_>,
        node: &Node<Value>,
        selection: Option<&mapping::Value>,
    ) -> Option<Batch> {
        let entries = node.as_object()?;
        let find = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, node)| node);
        let size = find("maxSize")?;
        let Some(max) = size.to_i32().filter(|max| (1..=MAX_BATCH).contains(max)) else {
            self.sources.report(size.location(), format!("a batch has 1 to {MAX_BATCH} objects"), None);
            return None;
        };
        let matching = find("match").filter(|node| !node.is_null());
        let by = match (place, matching) {
            (Place::Root(_), _) => {
                let help = "only fields of other types are answered for many objects".to_owned();
                self.sources.report(node.location(), "a root field is asked for once", Some(help));
                return None;
            }
            (Place::Lookup(_, _, key), None) => {
                // The selection says where the item has its key.
                let mapping::Value::Path { fields: Some(fields), .. } = selection? else { return None };
                let path = |name: &String| match fields.get(name)? {
                    mapping::Value::Path { keys, .. } => Some((keys.clone(), name.as_str().into())),
                    mapping::Value::Literal(_) => None,
                };
                key.iter().map(path).collect::<Option<_>>()?
            }
            (Place::Lookup(..), Some(node)) => {
                let help = "items are told apart by the type's @key; leave this out".to_owned();
                self.sources.report(node.location(), "a lookup needs no `match`", Some(help));
                return None;
            }
            (Place::Field(..), None) => {
                let help = "add `match: \"id = $this.userId\"`: a key of the item, and the field it equals";
                let message = "which object is an item about?";
                self.sources.report(node.location(), message, Some(help.to_owned()));
                return None;
            }
            (Place::Field(..), Some(node)) => {
                let result = parse::matching(node.as_str()?)
                    .map_err(|mistake| vec![mistake])
                    .and_then(|terms| types.matching(terms));
                let terms = self.mistakes(node, result)?;
                terms.iter().map(|term| (term.path.clone(), term.argument.join(".").into())).collect()
            }
        };
        let max = usize::try_from(max).ok()?;
        if types.used.borrow().is_empty() {
            let help = "put `$batch.id` into the body or the query".to_owned();
            self.sources.report(node.location(), "the request names none of the objects", Some(help));
            return None;
        }
        Some(Batch { max, by })
    }

    /// A lookup is made of the key alone, since other components have no more of the object.
    fn needs_are_few(&mut self, place: Place<'_>, directive: &Node<Directive>, used: &[String]) {
        let Place::Lookup(object, _, key) = place else { return };
        for name in used.iter().filter(|name| !key.contains(name)) {
            self.sources.report(
                directive.location(),
                format!("`{}.{name}` is not in the key, and a lookup has only that", object.name),
                Some(format!("add it to @key(fields: \"{} {name}\")", key.join(" "))),
            );
        }
        if used.is_empty() {
            let help = "insert the key: `$this.id`, or `$batch.id` with `batch`".to_owned();
            self.sources.report(directive.location(), "the lookup does not say of which object", Some(help));
        }
    }

    /// Who is asked: the owner of the file, another component it was granted, or a service.
    fn target(&mut self, directive: &Node<Directive>) -> Option<Target> {
        let owner = self.sources.owner(directive.location())?;
        let Some(node) = directive.specified_argument_by_name("to") else {
            return Some(Target::Component(owner.component.clone()));
        };
        let name = node.as_str()?;
        if let Some(service) = self.settings.services.get(name) {
            return Some(Target::Service(service.clone()));
        }
        let known = owner.may_call.iter().chain([&owner.component]);
        if let Some(component) = known.clone().find(|component| component.as_str() == name) {
            return Some(Target::Component(component.clone()));
        }
        let names = known.map(ComponentName::as_str).chain(self.settings.services.keys().map(String::as_str));
        let help = did_you_mean(name, names).unwrap_or_else(|| {
            format!(
                "add `{name}` to:  [components.{}.grants] call = […]; a server outside is declared as:  \
                 [services.{name}] url = \"https://…\"",
                owner.component
            )
        });
        self.sources.report(
            node.location(),
            format!("`{}` may not call `{name}`", owner.component),
            Some(help),
        );
        None
    }

    /// The value, or the mistakes reported at their places.
    pub fn mistakes<T>(&mut self, value: &Node<Value>, result: Result<T, Vec<Mistake>>) -> Option<T> {
        match result {
            Ok(good) => Some(good),
            Err(mistakes) => {
                for mistake in mistakes {
                    self.sources.report_inside(value, mistake);
                }
                None
            }
        }
    }
}
