//! Compiles the host's directives on every field of the composed schema: who answers it,
//! who may ask, what it costs. `connect` reads the directive that calls components.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use apollo_compiler::Node;
use apollo_compiler::Schema;
use apollo_compiler::ast::{Directive, FieldDefinition, Type, Value};
use apollo_compiler::collections::HashMap as FastMap;
use apollo_compiler::schema::{Component, ExtendedType, Implementers, ObjectType};

use super::connect::Place;
use super::merge::{Merged, ROOTS};
use super::source::Sources;
use super::{prelude, rules};
use crate::mapping::answer::{Covered, Made};
use crate::mapping::check::{Answered, Types};
use crate::mapping::{Mistake, did_you_mean, parse};
use crate::schema::{Code, FieldInfo, ListSize, Resolver, Rule, TypeInfo};
use crate::settings::Settings;

/// The most objects that one call of a resolver in code is for: at some hundred bytes each this
/// is a body of ordinary size.
const MAX_OBJECTS: usize = 1_000;

/// Everything known of the object types beyond their shape.
pub fn bind(
    schema: &Schema,
    merged: &Merged,
    sources: &mut Sources<'_>,
    settings: &Settings,
) -> HashMap<String, TypeInfo> {
    let implementers = &schema.implementers_map();
    let (answered, covered, made) = (answered(schema), Covered::default(), Vec::new());
    let mut binder = Binder { schema, implementers, merged, sources, settings, answered, covered, made };
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
    binder.have_what_they_need(&types);
    binder.all_are_answered();
    inherit(&mut types);
    types
}

/// The fields that are not, or not always, given by the mapping of their object.
fn answered(schema: &Schema) -> Answered {
    let mut answered = Answered::default();
    let objects = schema.types.values().filter_map(ExtendedType::as_object);
    for object in objects.filter(|object| !ROOTS.contains(&object.name.as_str())) {
        let coordinate =
            |field: &Component<FieldDefinition>| (object.name.to_string(), field.name.to_string());
        let alone = object
            .fields
            .values()
            .filter(|field| field.directives.has("connect") || field.directives.has("resolve"));
        answered.alone.extend(alone.map(coordinate));
        let key = key(object);
        for part in object.directives.get_all("connect") {
            let fields = object.fields.values().filter(|field| field.origin == part.origin);
            let fields = fields.filter(|field| !key.contains(&field.name.to_string()));
            answered.lookup.extend(fields.map(coordinate).filter(|each| !answered.alone.contains(each)));
        }
    }
    answered
}

/// The fields of the type's `@key`; none if it has none.
fn key(object: &ObjectType) -> Vec<String> {
    let fields = object.directives.get("key").and_then(|key| key.specified_argument_by_name("fields"));
    let fields = fields.and_then(|fields| fields.as_str()).unwrap_or_default();
    fields.split([' ', ',', '\n', '\t']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A field whose request is made from others is as guarded as those, and as those that they are
/// made from: who may not see a value must not learn it from what it leads to.
fn inherit(types: &mut HashMap<String, TypeInfo>) {
    for info in types.values_mut() {
        let mut inherited = Vec::new();
        for name in info.fields.keys() {
            let (mut open, mut seen) = (vec![name.as_str()], BTreeSet::from([name.as_str()]));
            let mut rule = Rule::default();
            while let Some(here) = open.pop() {
                let Some(field) = info.fields.get(here) else { continue };
                rule.demands.extend(field.rule.iter().flat_map(|rule| rule.demands.iter().cloned()));
                let needs = field.resolver.iter().flat_map(|resolver| resolver.needs());
                open.extend(needs.map(|needed| &**needed).filter(|needed| seen.insert(needed)));
            }
            if !rule.demands.is_empty() {
                inherited.push((name.clone(), Arc::new(rule)));
            }
        }
        for (name, rule) in inherited {
            if let Some(field) = info.fields.get_mut(&name) {
                field.rule = Some(rule);
            }
        }
    }
}

pub struct Binder<'b, 's> {
    pub schema: &'b Schema,
    pub implementers: &'b FastMap<apollo_compiler::Name, Implementers>,
    merged: &'b Merged,
    pub sources: &'b mut Sources<'s>,
    pub settings: &'b Settings,
    pub answered: Answered,
    pub covered: Covered,
    /// Where objects are made, with the literal that says so.
    pub made: Vec<(Made, Node<Value>)>,
}

impl Binder<'_, '_> {
    fn object(&mut self, object: &ObjectType) -> TypeInfo {
        let schema = self.schema;
        let above: Vec<_> =
            object.implements_interfaces.iter().filter_map(|name| schema.get_interface(&name.name)).collect();
        let rule = rules::rule(
            object
                .directives
                .iter()
                .chain(above.iter().flat_map(|interface| interface.directives.iter()))
                .map(|each| &each.node),
            None,
            self.settings,
            self.sources,
        );
        let root = ROOTS.contains(&object.name.as_str());
        let lookups = if root { HashMap::new() } else { self.lookups(object) };
        let fields = object
            .fields
            .values()
            .map(|field| {
                let inherited = above
                    .iter()
                    .filter_map(|interface| interface.fields.get(&field.name))
                    .map(|each| &***each);
                let mut info = self.field(object, field, inherited, root);
                if info.resolver.is_none() {
                    info.resolver = lookups.get(field.name.as_str()).cloned();
                }
                (field.name.to_string(), info)
            })
            .collect();
        TypeInfo { rule: rule.map(Arc::new), fields }
    }

    /// The lookups of a type's parts, by the fields they answer.
    fn lookups(&mut self, object: &ObjectType) -> HashMap<String, Arc<Resolver>> {
        let key = key(object);
        for each in object.directives.get_all("key") {
            let fields = each.specified_argument_by_name("fields");
            let unknown = key.iter().find(|name| !object.fields.contains_key(name.as_str()));
            if let (Some(name), Some(node)) = (unknown, fields) {
                let message = format!("type `{}` has no field `{name}`", object.name);
                let known = object.fields.keys().map(|name| name.as_str());
                self.sources.report(node.location(), message, did_you_mean(name, known));
            }
        }
        let mut lookups = HashMap::new();
        for part in object.directives.get_all("connect") {
            if key.is_empty() {
                self.sources.report(
                    part.location(),
                    format!("`{}` has no key to look it up by", object.name),
                    Some(format!("add:  type {} @key(fields: \"id\")", object.name)),
                );
                continue;
            }
            let coordinate = |name: &str| (object.name.to_string(), name.to_owned());
            let fields: BTreeSet<String> = object
                .fields
                .values()
                .filter(|field| field.origin == part.origin)
                .map(|field| field.name.to_string())
                .filter(|name| self.answered.lookup.contains(&coordinate(name)))
                .collect();
            if fields.is_empty() {
                let help = "put the fields that it answers into the same part of the type".to_owned();
                self.sources.report(part.location(), "this lookup answers no field", Some(help));
                continue;
            }
            if let Some(connect) = self.connect(Place::Lookup(object, &fields, &key), part) {
                let resolver = Arc::new(Resolver::Connect(Box::new(connect)));
                lookups.extend(fields.into_iter().map(|field| (field, Arc::clone(&resolver))));
            }
        }
        lookups
    }

    fn field<'f>(
        &mut self,
        object: &ObjectType,
        field: &Component<FieldDefinition>,
        inherited: impl Iterator<Item = &'f FieldDefinition>,
        root: bool,
    ) -> FieldInfo {
        let block = self.merged.block_rules.get(&(object.name.to_string(), field.name.to_string()));
        let inherited = inherited.flat_map(|above| above.directives.iter());
        let all = field.directives.iter().chain(block.into_iter().flatten()).chain(inherited);
        let rule = rules::rule(all, Some(field), self.settings, self.sources).map(Arc::new);
        let cost = field.directives.get("cost").and_then(|cost| self.weight(cost));
        let size = field.directives.get("listSize").and_then(|size| self.size(field, size));
        let mut connects = field.directives.get_all("connect");
        let connect: Option<&Node<Directive>> = connects.next();
        if let Some(second) = connects.next() {
            let help = "several answers cannot be put together; leave one out".to_owned();
            self.sources.report(second.location(), "a field has one @connect", Some(help));
        }
        let subscribe: Vec<_> = field.directives.get_all("subscribe").collect();
        let coordinate = format!("{}.{}", object.name, field.name);
        let code = field.directives.get("resolve");
        if let (Some(_), Some(code)) = (connect, code) {
            let help = "several answers cannot be put together; leave one out".to_owned();
            self.sources.report(code.location(), "@connect answers this field already", Some(help));
        }
        let resolver = match (connect, subscribe.as_slice()) {
            (None, []) if code.is_some() && object.name != "Subscription" => code
                .and_then(|code| self.code(object, field, code, root))
                .map(|code| Resolver::Code(Box::new(code))),
            (_, [directive, ..]) if object.name != "Subscription" => {
                let message = format!("@subscribe has no place on {coordinate}");
                let help = "only fields of Subscription follow topics".to_owned();
                self.sources.report(directive.name.location(), message, Some(help));
                None
            }
            (None, []) if !root => {
                self.mapped(&coordinate, field);
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
            (Some(directive), _) => {
                let place = if root { Place::Root(field) } else { Place::Field(object, field) };
                self.connect(place, directive).map(|connect| Resolver::Connect(Box::new(connect)))
            }
            (None, []) => {
                let help = if object.name == "Subscription" {
                    "add:  @subscribe(topic: \"…\", selection: \"…\")"
                } else {
                    "add:  @connect(http: {GET: \"/…\"}, selection: \"…\"), or @resolve for one in code"
                };
                self.sources.report(
                    field.name.location(),
                    format!("nobody answers {coordinate}"),
                    Some(help.to_owned()),
                );
                None
            }
            (None, directives) => {
                self.subscribe(field, directives).map(|topics| Resolver::Subscribe(topics.into()))
            }
        };
        FieldInfo { rule, cost, size, resolver: resolver.map(Arc::new), counts: Default::default() }
    }

    /// A field that a component answers in code; what it returns has the fields' names.
    fn code(
        &mut self,
        object: &ObjectType,
        field: &FieldDefinition,
        directive: &Node<Directive>,
        root: bool,
    ) -> Option<Code> {
        let component = self.sources.owner(directive.location())?.component.clone();
        let given = |name| directive.specified_argument_by_name(name).filter(|node| !node.is_null());
        let max = match given("maxSize") {
            None => MAX_OBJECTS,
            Some(node) => {
                let size = node.to_i32().and_then(|size| usize::try_from(size).ok());
                size.filter(|size| (1..=MAX_OBJECTS).contains(size)).or_else(|| {
                    let message = format!("a call is for 1 to {MAX_OBJECTS} objects");
                    self.sources.report(node.location(), message, None);
                    None
                })?
            }
        };
        let names =
            given("needs").map(|node| node.as_list().map_or_else(|| vec![node.clone()], <[_]>::to_vec));
        let mut needs: Vec<Box<str>> = Vec::new();
        for node in names.unwrap_or_default() {
            let name = node.as_str()?;
            let mut bad = Vec::new();
            let types = Types {
                schema: self.schema,
                implementers: self.implementers,
                answered: &self.answered,
                field: Some(field),
                parent: (!root).then_some(object),
                batch: false,
                used: RefCell::default(),
            };
            let path = parse::path(&format!("$this.{name}"));
            let path = path.map_err(|_| Mistake::new(0..name.len(), "this is not the name of a field"));
            match path {
                Ok(path) => types.exists(&path, &mut bad),
                Err(mistake) => bad.push(mistake),
            }
            for Mistake { message, help, .. } in bad {
                self.sources.report(node.location(), message, help);
            }
            needs.push(name.into());
        }
        self.cover(&field.ty);
        Some(Code { component, needs: needs.into(), max })
    }

    /// Everything below a field that is answered in code is given by the code.
    fn cover(&mut self, ty: &Type) {
        let mut open = vec![ty.inner_named_type().clone()];
        while let Some(name) = open.pop() {
            match self.schema.types.get(&name) {
                Some(ExtendedType::Object(object)) => {
                    for field in object.fields.values() {
                        let coordinate = (object.name.to_string(), field.name.to_string());
                        if self.covered.fields.insert(coordinate) {
                            open.push(field.ty.inner_named_type().clone());
                        }
                    }
                }
                Some(ExtendedType::Interface(_)) => {
                    let all = self.implementers.get(&name).map(|all| all.objects.iter().cloned());
                    open.extend(all.into_iter().flatten());
                }
                Some(ExtendedType::Union(union)) => {
                    open.extend(union.members.iter().map(|member| member.name.clone()));
                }
                _ => {}
            }
        }
    }

    /// A field that gets its value from the mapping of the field above it.
    fn mapped(&mut self, coordinate: &str, field: &FieldDefinition) {
        if let Some(argument) = field.arguments.first() {
            let message = format!("the argument `{}` of {coordinate} reaches nobody", argument.name);
            let help = "answer the field by a @connect of its own, or move the argument up".to_owned();
            self.sources.report(argument.name.location(), message, Some(help));
        }
    }

    fn on_interface(&mut self, field: &FieldDefinition) {
        let rule = ["authenticated", "requiresScopes", "policy"];
        for directive in field
            .directives
            .iter()
            .filter(|each| prelude::DIRECTIVES.contains(&each.name.as_str()))
            .filter(|each| !rule.contains(&each.name.as_str()))
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

    fn size(&mut self, field: &FieldDefinition, directive: &Node<Directive>) -> Option<ListSize> {
        let given = |name| directive.specified_argument_by_name(name).filter(|value| !value.is_null());
        if !field.ty.is_list() {
            let message = format!("`{}` is `{}`, not a list", field.name, field.ty);
            self.sources.report(directive.location(), message, Some("leave @listSize out".to_owned()));
            return None;
        }
        let assumed = given("assumedSize");
        let size = assumed.and_then(|value| value.to_i32()).and_then(|size| u32::try_from(size).ok());
        if let (Some(value), None) = (assumed, size) {
            self.sources.report(value.location(), "a size is a whole number from 0", None);
        }
        let names = given("slicingArguments");
        let names = names.map(|node| node.as_list().map_or_else(|| vec![node.clone()], <[_]>::to_vec));
        let mut slicing = Vec::new();
        for node in names.unwrap_or_default() {
            let name = node.as_str().unwrap_or_default();
            let argument =
                field.argument_by_name(name).filter(|argument| argument.ty.inner_named_type() == "Int");
            if argument.is_none() {
                let known = field.arguments.iter().map(|argument| argument.name.as_str());
                let message = format!("`{}` has no argument `{name}` of type `Int`", field.name);
                self.sources.report(node.location(), message, did_you_mean(name, known));
            }
            slicing.push(name.into());
        }
        Some(ListSize { assumed: size, slicing: slicing.into() })
    }

    pub fn with_types<T>(
        &mut self,
        field: &FieldDefinition,
        work: impl FnOnce(&Types<'_>, &mut Covered) -> T,
    ) -> T {
        let types = Types {
            schema: self.schema,
            implementers: self.implementers,
            answered: &self.answered,
            field: Some(field),
            parent: None,
            batch: false,
            used: RefCell::default(),
        };
        work(&types, &mut self.covered)
    }

    /// Every place that makes an object gives it what the requests of its other fields are
    /// made from.
    fn have_what_they_need(&mut self, types: &HashMap<String, TypeInfo>) {
        for (made, node) in &self.made {
            let Some(info) = types.get(&made.ty) else { continue };
            let mut fields: Vec<_> = info.fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            for (name, field) in fields {
                let Some(resolver) = field.resolver.as_deref() else { continue };
                let lookup = matches!(resolver, Resolver::Connect(connect) if connect.lookup);
                if lookup && made.fields.contains(name) {
                    continue;
                }
                for needed in resolver.needs().iter().filter(|needed| !made.fields.contains(&***needed)) {
                    let message = format!(
                        "`{}` of `{}` is made from `{needed}`, which this selection leaves out",
                        name, made.ty
                    );
                    let help = format!("add `{needed}`");
                    let at = made.at.clone();
                    self.sources.report_inside(node, Mistake::new(at, message).help(help));
                }
            }
        }
    }

    /// Every field that a client can reach gets a value from somebody.
    fn all_are_answered(&mut self) {
        if !self.sources.found.is_empty() {
            // What could not be compiled maps nothing; the list would be noise.
            return;
        }
        let reached: BTreeSet<String> = self.covered.fields.iter().map(|(ty, _)| ty.clone()).collect();
        for ty in reached {
            let Some(object) = self.schema.get_object(&ty) else { continue };
            for field in object.fields.values() {
                let coordinate = (ty.clone(), field.name.to_string());
                if !self.covered.fields.contains(&coordinate) && !self.answered.alone.contains(&coordinate) {
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
