//! Compiles the host's directives on every field of the composed schema: who answers it,
//! who may ask, what it costs.

use std::collections::HashMap;
use std::sync::Arc;

use apollo_compiler::Node;
use apollo_compiler::Schema;
use apollo_compiler::ast::{Directive, FieldDefinition, Value};
use apollo_compiler::schema::{Component, ExtendedType, ObjectType};
use http::{Method, Uri};
use monopod_core::name::{ComponentName, TopicName};

use super::merge::{self, Merged, ROOTS};
use super::source::Sources;
use super::{prelude, rules};
use crate::json::Json;
use crate::mapping::check::{Covered, Types};
use crate::mapping::value::Scope;
use crate::mapping::{Mistake, did_you_mean, parse};
use crate::schema::{Connect, FieldInfo, Resolver, Subscribe, TypeInfo};
use crate::settings::Settings;

/// Everything known of the object types beyond their shape.
pub fn bind(
    schema: &Schema,
    merged: &Merged,
    sources: &mut Sources<'_>,
    settings: &Settings,
) -> HashMap<String, TypeInfo> {
    let mut binder = Binder { schema, merged, sources, settings, covered: Covered::new() };
    let mut types = HashMap::new();
    for definition in schema.types.values().filter(|definition| !definition.is_built_in()) {
        match definition {
            ExtendedType::Object(object) => {
                types.insert(object.name.to_string(), binder.object(object));
            }
            ExtendedType::Interface(interface) => {
                for field in interface.fields.values() {
                    binder.on_interface(field);
                }
            }
            _ => {}
        }
    }
    binder.answered();
    types
}

struct Binder<'b, 's> {
    schema: &'b Schema,
    merged: &'b Merged,
    sources: &'b mut Sources<'s>,
    settings: &'b Settings,
    covered: Covered,
}

impl Binder<'_, '_> {
    fn object(&mut self, object: &ObjectType) -> TypeInfo {
        let rule = rules::rule(object.directives.iter().map(|each| &each.node), self.settings, self.sources);
        let root = ROOTS.contains(&object.name.as_str());
        let fields = object
            .fields
            .values()
            .map(|field| (field.name.to_string(), self.field(object, field, root)))
            .collect();
        TypeInfo { rule: rule.map(Arc::new), fields }
    }

    fn field(&mut self, object: &ObjectType, field: &Component<FieldDefinition>, root: bool) -> FieldInfo {
        let block = self.merged.block_rules.get(&(object.name.to_string(), field.name.to_string()));
        let all = field.directives.iter().chain(block.into_iter().flatten());
        let rule = rules::rule(all, self.settings, self.sources).map(Arc::new);
        let cost = field.directives.get("cost").and_then(|cost| self.weight(cost));
        let connect: Option<&Node<Directive>> = field.directives.get("connect");
        let subscribe: Vec<_> = field.directives.get_all("subscribe").collect();
        let coordinate = format!("{}.{}", object.name, field.name);
        let resolver = match (connect, subscribe.as_slice()) {
            _ if !root => {
                self.nested(&coordinate, field, connect.or(subscribe.first().copied()));
                None
            }
            (Some(directive), _) if object.name == "Subscription" => {
                let help = "a subscription is fed by @subscribe(topic: …, selection: …)".to_owned();
                self.sources.report(
                    directive.name.location(),
                    "@connect cannot feed a subscription",
                    Some(help),
                );
                None
            }
            (_, [directive, ..]) if object.name != "Subscription" => {
                let message = format!("@subscribe has no place on {coordinate}");
                let help = "only fields of Subscription follow topics".to_owned();
                self.sources.report(directive.name.location(), message, Some(help));
                None
            }
            (Some(directive), _) => {
                self.connect(field, directive).map(|connect| Resolver::Connect(Box::new(connect)))
            }
            (None, []) => {
                let help = if object.name == "Subscription" {
                    "add:  @subscribe(topic: \"…\", selection: \"…\")"
                } else {
                    "add:  @connect(http: {GET: \"/…\"}, selection: \"…\")"
                };
                self.sources.report(
                    field.name.location(),
                    format!("nobody answers {coordinate}"),
                    Some(help.to_owned()),
                );
                None
            }
            (None, directives) => {
                let topics: Vec<_> =
                    directives.iter().filter_map(|each| self.subscribe(field, each)).collect();
                (topics.len() == directives.len()).then(|| Resolver::Subscribe(topics.into()))
            }
        };
        FieldInfo { rule, cost, resolver: resolver.map(Arc::new) }
    }

    /// A field that gets its value from the mapping of the field above it.
    fn nested(&mut self, coordinate: &str, field: &FieldDefinition, directive: Option<&Node<Directive>>) {
        if let Some(directive) = directive {
            let message = format!(
                "@{} on {coordinate}: only fields of root types are answered by themselves",
                directive.name
            );
            let help = "map the value in the selection of the field above".to_owned();
            self.sources.report(directive.name.location(), message, Some(help));
        } else if let Some(argument) = field.arguments.first() {
            let message = format!("the argument `{}` of {coordinate} reaches nobody", argument.name);
            let help = "only fields of root types are answered by themselves; move it there".to_owned();
            self.sources.report(argument.name.location(), message, Some(help));
        }
    }

    fn on_interface(&mut self, field: &FieldDefinition) {
        for directive in
            field.directives.iter().filter(|each| prelude::DIRECTIVES.contains(&each.name.as_str()))
        {
            let message = format!("@{} on a field of an interface would have no effect", directive.name);
            let help = "put it on the field of each type that implements the interface".to_owned();
            self.sources.report(directive.name.location(), message, Some(help));
        }
    }

    fn weight(&mut self, directive: &Node<Directive>) -> Option<u32> {
        let value = directive.specified_argument_by_name("weight")?;
        let weight = value.to_i32().and_then(|weight| u32::try_from(weight).ok());
        if weight.is_none() {
            self.sources.report(value.location(), "a weight is a whole number from 0", None);
        }
        weight
    }

    fn mistakes<T>(&mut self, value: &Node<Value>, result: Result<T, Vec<Mistake>>) -> Option<T> {
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

    fn selection(
        &mut self,
        field: &FieldDefinition,
        directive: &Node<Directive>,
    ) -> Option<crate::mapping::Value> {
        let node = directive.specified_argument_by_name("selection")?;
        let inner = merge::inner(&field.ty);
        if matches!(self.schema.types.get(inner), Some(ExtendedType::Interface(_) | ExtendedType::Union(_))) {
            let message =
                format!("`{}` is `{}`: an interface or union cannot be mapped", field.name, field.ty);
            self.sources.report(node.location(), message, Some("name an object type".to_owned()));
            return None;
        }
        let types = Types { schema: self.schema, field };
        let mut covered = std::mem::take(&mut self.covered);
        let result = parse::selection(node.as_str()?)
            .map_err(|mistake| vec![mistake])
            .and_then(|selection| types.answer(selection, &mut covered));
        self.covered = covered;
        self.mistakes(node, result)
    }

    fn connect(&mut self, field: &FieldDefinition, directive: &Node<Directive>) -> Option<Connect> {
        let component = self.target(directive);
        let http = directive.specified_argument_by_name("http")?;
        let entries = http.as_object().unwrap_or_default();
        let calls: Vec<_> =
            entries.iter().filter(|(key, _)| prelude::METHODS.contains(&key.as_str())).collect();
        let [(method, template)] = calls.as_slice() else {
            let help = "one of GET, POST, PUT, PATCH, DELETE".to_owned();
            self.sources.report(http.location(), "name one method with its path", Some(help));
            return None;
        };
        let types = Types { schema: self.schema, field };
        let path = template.as_str().map(|text| types.template(text));
        let path = path.and_then(|result| self.mistakes(template, result));
        let body_node = entries.iter().find(|(key, _)| key == "body").map(|(_, node)| node);
        let body = match body_node {
            Some(node) if matches!(method.as_str(), "GET" | "DELETE") => {
                self.sources.report(node.location(), format!("{method} carries no body"), None);
                None
            }
            Some(node) => {
                let result = parse::selection(node.as_str()?)
                    .map_err(|mistake| vec![mistake])
                    .and_then(|selection| types.body(selection));
                Some(self.mistakes(node, result)?)
            }
            None => None,
        };
        let selection = self.selection(field, directive);
        let (component, path, selection) = (component?, path?, selection?);
        let method = Method::from_bytes(method.as_str().as_bytes()).ok()?;
        let nothing = Scope { whole: &Json::Null, args: &Json::Null, correlation: &Json::Null };
        let fixed = path.is_fixed().then(|| path.expand(&nothing).ok()).flatten();
        let fixed = fixed.and_then(|path| uri(&component, &path));
        Some(Connect { component, method, path, fixed, body, selection })
    }

    /// The component that is called: the owner of the file, or another it was granted.
    fn target(&mut self, directive: &Node<Directive>) -> Option<ComponentName> {
        let owner = self.sources.owner(directive.location())?;
        let Some(node) = directive.specified_argument_by_name("to") else {
            return Some(owner.component.clone());
        };
        let name = node.as_str()?;
        let known = owner.may_call.iter().chain([&owner.component]);
        if let Some(component) = known.clone().find(|component| component.as_str() == name) {
            return Some(component.clone());
        }
        let help = did_you_mean(name, known.map(ComponentName::as_str)).unwrap_or_else(|| {
            format!("add `{name}` to:  [components.{}.grants] call = […]", owner.component)
        });
        self.sources.report(
            node.location(),
            format!("`{}` may not call `{name}`", owner.component),
            Some(help),
        );
        None
    }

    fn subscribe(&mut self, field: &FieldDefinition, directive: &Node<Directive>) -> Option<Subscribe> {
        let topic = self.topic(directive);
        let filter_node = directive.specified_argument_by_name("filter").filter(|node| !node.is_null());
        let filter = match filter_node {
            None => Some(Box::default()),
            Some(node) => {
                let types = Types { schema: self.schema, field };
                let result = parse::filter(node.as_str()?)
                    .map_err(|mistake| vec![mistake])
                    .and_then(|terms| types.filter(terms));
                self.mistakes(node, result)
            }
        };
        let selection = self.selection(field, directive);
        Some(Subscribe { topic: topic?, filter: filter?, selection: selection? })
    }

    fn topic(&mut self, directive: &Node<Directive>) -> Option<TopicName> {
        let node = directive.specified_argument_by_name("topic")?;
        let name = node.as_str()?;
        let owner = self.sources.owner(directive.location())?;
        if let Some(topic) = owner.may_watch.iter().find(|topic| topic.as_str() == name) {
            return Some(topic.clone());
        }
        let help = did_you_mean(name, owner.may_watch.iter().map(TopicName::as_str))
            .unwrap_or_else(|| format!("add:  [topics.\"{name}\"]"));
        self.sources.report(node.location(), format!("no [topics] entry declares `{name}`"), Some(help));
        None
    }

    /// Every field that a client can reach gets a value from some mapping.
    fn answered(&mut self) {
        if !self.sources.found.is_empty() {
            // What could not be compiled maps nothing; the list would be noise.
            return;
        }
        let reached: std::collections::BTreeSet<String> =
            self.covered.iter().map(|(ty, _)| ty.clone()).collect();
        for ty in reached {
            let Some(object) = self.schema.get_object(&ty) else { continue };
            for field in object.fields.values() {
                if !self.covered.contains(&(ty.clone(), field.name.to_string())) {
                    self.sources.report(
                        field.name.location(),
                        format!("no selection gives {ty}.{} a value", field.name),
                        Some("select it where the type is mapped, or leave it out".to_owned()),
                    );
                }
            }
        }
    }
}

/// The URI of a path at a component.
pub fn uri(component: &ComponentName, path: &str) -> Option<Uri> {
    Uri::builder().scheme("http").authority(format!("{component}.internal")).path_and_query(path).build().ok()
}
