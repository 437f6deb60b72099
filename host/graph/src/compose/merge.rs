//! Joins the components' syntax trees into one document set in which each thing has one
//! owner. `type Query` in two files means two parts of one type, and so does a type with
//! the same `@key`, or one that both mark `@shareable`. Interfaces and unions are joined;
//! what files say of the same input or enum is left to `share`. Anything else in two files is
//! a clash: it is reported with both places, and the later definition left out so that what
//! follows is checked as well.

use std::collections::HashMap;

use apollo_compiler::Node;
use apollo_compiler::ast::{
    Definition, Directive, DirectiveList, Document, FieldDefinition, InputValueDefinition,
    InterfaceTypeExtension, ObjectTypeDefinition, ObjectTypeExtension, UnionTypeExtension,
};
use apollo_compiler::parser::{Parser, SourceSpan};

use monopod_core::diagnostic::Diagnostic;

use super::source::Sources;
use super::{Contribution, prelude};
use crate::mapping::did_you_mean;
use crate::plan::scan::{Limits, scan};
use crate::scalar::SCALARS;

/// The names of the root types: GraphQL's defaults, the same in every contribution.
pub const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// What one contribution may hold. The largest of Trackunit's has about 1,000 tokens and
/// nests four deep; recursive code comes after this as well.
const LIMITS: Limits = Limits {
    document: 1 << 20,
    tokens: 100_000,
    nesting: 32,
    // Every field has a colon, which the scan takes for an alias.
    aliases: 100_000,
    directives: 20_000,
    fragments: 0,
};

/// What the files hold together.
#[derive(Default)]
pub struct Merged {
    /// To be built into one schema.
    pub documents: Vec<Document>,
    /// Rules that count for a field though they do not stand on it: those of its part of a
    /// root type, and those that another file puts on the same field.
    pub block_rules: HashMap<(String, String), Vec<Node<Directive>>>,
    /// Inputs and enums that several files define: all but the first definition of each.
    pub again: Vec<Definition>,
    types: HashMap<String, Kept>,
    extended: Vec<(String, Option<SourceSpan>)>,
    fields: HashMap<(String, String), Owned>,
}

/// A type as it was first defined.
struct Kept {
    span: Option<SourceSpan>,
    /// What kind of type, for messages.
    kind: &'static str,
    /// Whether it has a key, or its fields may be given by several.
    key: Option<Vec<String>>,
    shareable: bool,
}

/// A field as it was first defined.
struct Owned {
    span: Option<SourceSpan>,
    definition: Node<FieldDefinition>,
    shareable: bool,
}

/// What a part of a type says of its fields.
#[derive(Clone, Copy)]
struct Part<'p> {
    shareable: bool,
    key: &'p [String],
}

/// Reads and joins all contributions.
pub fn merge(contributions: &[Contribution], sources: &mut Sources<'_>) -> Merged {
    let mut merged = Merged::default();
    for (number, contribution) in contributions.iter().enumerate() {
        if let Err(failure) = scan(&contribution.schema.text, &LIMITS) {
            let message = failure.message.replace("operation", "schema");
            sources.found.push(Diagnostic {
                file: contribution.schema.file.clone(),
                place: None,
                message,
                help: None,
            });
            continue;
        }
        let parsed = Parser::new().parse_ast(contribution.schema.text.as_str(), &contribution.schema.file);
        match parsed {
            Ok(document) => {
                sources.learn(&document.sources, number);
                merged.add(document, sources);
            }
            Err(failed) => {
                sources.learn(&failed.partial.sources, number);
                sources.report_all(&failed.errors, None);
            }
        }
    }
    merged.extensions_have_a_type(sources);
    merged
}

impl Merged {
    fn add(&mut self, mut document: Document, sources: &mut Sources<'_>) {
        let definitions = std::mem::take(&mut document.definitions);
        document.definitions =
            definitions.into_iter().filter_map(|each| self.definition(each, sources)).collect();
        self.documents.push(document);
    }

    /// The definition as it goes into the schema; none if it is left out.
    fn definition(&mut self, definition: Definition, sources: &mut Sources<'_>) -> Option<Definition> {
        let span = definition.name().map_or_else(|| definition.location(), |name| name.location());
        match definition {
            Definition::OperationDefinition(_) | Definition::FragmentDefinition(_) => {
                sources.report(span, "an operation has no place in a schema", None);
                None
            }
            Definition::SchemaDefinition(_) | Definition::SchemaExtension(_) => {
                let help = "the root types are called Query, Mutation and Subscription; leave this out";
                sources.report(span, "a component cannot define the schema", Some(help.to_owned()));
                None
            }
            Definition::DirectiveDefinition(directive) => {
                let help = if prelude::DIRECTIVES.contains(&directive.name.as_str()) {
                    "the host defines it; leave this out"
                } else {
                    "the directives are the host's"
                };
                let message = format!("a component cannot define the directive `@{}`", directive.name);
                sources.report(span, message, Some(help.to_owned()));
                None
            }
            Definition::ObjectTypeDefinition(object) if ROOTS.contains(&object.name.as_str()) => {
                let mut part = part_of(&object);
                self.root_part(&mut part, sources);
                Some(Definition::ObjectTypeExtension(object.same_location(part)))
            }
            Definition::ObjectTypeExtension(mut object) => {
                let part = object.make_mut();
                if ROOTS.contains(&part.name.as_str()) {
                    self.root_part(part, sources);
                } else {
                    self.extended.push((part.name.to_string(), span));
                    self.part_fields(&part.name.clone(), &part.directives, &mut part.fields, sources);
                }
                Some(Definition::ObjectTypeExtension(object))
            }
            Definition::ScalarTypeDefinition(scalar) => {
                // Files may name the host's scalars for the sake of editors.
                if SCALARS.iter().any(|(name, ..)| scalar.name == *name) {
                    return None;
                }
                let known: Vec<&str> = SCALARS.iter().map(|(name, ..)| *name).collect();
                let message = format!("the host does not know the scalar `{}`", scalar.name);
                sources.report(span, message, Some(format!("the custom scalars are {}", known.join(", "))));
                None
            }
            other => self.own_type(other, span, sources),
        }
    }

    /// Definitions of types that belong to one file.
    fn own_type(
        &mut self,
        mut definition: Definition,
        span: Option<SourceSpan>,
        sources: &mut Sources<'_>,
    ) -> Option<Definition> {
        let name = definition.name()?.clone();
        if definition.is_extension_definition() {
            self.extended.push((name.to_string(), span));
            return Some(definition);
        }
        if prelude::INPUTS.contains(&name.as_str()) {
            sources.report(
                span,
                format!("the type name `{name}` is the host's"),
                Some("choose another".to_owned()),
            );
            return None;
        }
        let kind = kind(&definition);
        let (key, shareable) = match &definition {
            Definition::ObjectTypeDefinition(object) => {
                (key(&object.directives), object.directives.has("shareable"))
            }
            _ => (None, false),
        };
        let Some(first) = self.types.get(name.as_str()) else {
            self.types.insert(name.to_string(), Kept { span, kind, key, shareable });
            match &mut definition {
                Definition::ObjectTypeDefinition(object) => {
                    let object = object.make_mut();
                    self.part_fields(&name, &object.directives, &mut object.fields, sources);
                }
                Definition::InterfaceTypeDefinition(interface) => {
                    let part = Part { shareable: true, key: &[] };
                    self.own_fields(&name, &mut interface.make_mut().fields, part, sources);
                }
                _ => {}
            }
            return Some(definition);
        };
        let (first_span, first_kind) = (first.span, first.kind);
        let clash = |message: &str, help: &str, sources: &mut Sources<'_>| {
            let message = format!("{message} {}", describe(sources, first_span));
            sources.report(span, message, Some(help.to_owned()));
            None
        };
        if first_kind != kind {
            let message = format!("`{name}` is {kind} here, and {first_kind} by");
            return clash(&message, "rename one of them", sources);
        }
        match definition {
            Definition::ObjectTypeDefinition(object) => {
                let several = first.shareable && shareable;
                match (&first.key, &key) {
                    (Some(theirs), Some(ours)) if theirs == ours => {}
                    (Some(theirs), Some(_)) => {
                        let message = format!("type `{name}` has another @key by");
                        let help = format!("write @key(fields: \"{}\")", theirs.join(" "));
                        return clash(&message, &help, sources);
                    }
                    _ if several => {}
                    _ => {
                        let message = format!("type `{name}` is also defined by");
                        let help = "define it in one component and use it from the other, mark both \
                                    @shareable, or give both the same @key";
                        return clash(&message, help, sources);
                    }
                }
                let mut part = part_of(&object);
                self.part_fields(&name, &part.directives.clone(), &mut part.fields, sources);
                Some(Definition::ObjectTypeExtension(object.same_location(part)))
            }
            Definition::InterfaceTypeDefinition(interface) => {
                let mut part = InterfaceTypeExtension {
                    name: interface.name.clone(),
                    implements_interfaces: Vec::new(),
                    directives: interface.directives.clone(),
                    fields: interface.fields.clone(),
                };
                let shared = Part { shareable: true, key: &[] };
                self.own_fields(&name, &mut part.fields, shared, sources);
                Some(Definition::InterfaceTypeExtension(interface.same_location(part)))
            }
            Definition::UnionTypeDefinition(union) => {
                let known: Vec<_> = self.members(&name).cloned().collect();
                let part = UnionTypeExtension {
                    name: union.name.clone(),
                    directives: DirectiveList::default(),
                    members: union.members.iter().filter(|member| !known.contains(member)).cloned().collect(),
                };
                Some(Definition::UnionTypeExtension(union.same_location(part)))
                    .filter(|_| union.members.iter().any(|member| !known.contains(member)))
            }
            other => {
                self.again.push(other);
                None
            }
        }
    }

    /// The members of a union as far as it was read.
    fn members<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m apollo_compiler::Name> {
        let definitions = self.documents.iter().flat_map(|document| &document.definitions);
        definitions
            .filter_map(move |definition| match definition {
                Definition::UnionTypeDefinition(union) if union.name == name => Some(&union.members),
                Definition::UnionTypeExtension(union) if union.name == name => Some(&union.members),
                _ => None,
            })
            .flatten()
    }

    /// Takes the fields of a part of a type, as its directives have it.
    fn part_fields(
        &mut self,
        ty: &str,
        directives: &DirectiveList,
        fields: &mut Vec<Node<FieldDefinition>>,
        sources: &mut Sources<'_>,
    ) {
        let key = key(directives).unwrap_or_default();
        let part = Part { shareable: directives.has("shareable"), key: &key };
        self.own_fields(ty, fields, part, sources);
    }

    fn root_part(&mut self, part: &mut ObjectTypeExtension, sources: &mut Sources<'_>) {
        let rules = std::mem::take(&mut part.directives);
        let (rules, others): (Vec<_>, Vec<_>) =
            rules.0.into_iter().partition(|directive| RULES.contains(&directive.name.as_str()));
        part.directives = DirectiveList(others);
        self.part_fields(&part.name.clone(), &part.directives.clone(), &mut part.fields, sources);
        if !rules.is_empty() {
            for field in &part.fields {
                let coordinate = (part.name.to_string(), field.name.to_string());
                self.block_rules.entry(coordinate).or_default().extend(rules.iter().cloned());
            }
        }
    }

    /// The builder takes extensions for types of their own where there is nothing to extend.
    fn extensions_have_a_type(&self, sources: &mut Sources<'_>) {
        for (name, span) in self.extended.iter().filter(|(name, _)| !self.types.contains_key(name)) {
            let help = did_you_mean(name, self.types.keys().map(String::as_str).chain(ROOTS));
            sources.report(*span, format!("there is no type `{name}` to extend"), help);
        }
    }

    /// Records whose the fields are, and leaves out those that are another's.
    fn own_fields(
        &mut self,
        ty: &str,
        fields: &mut Vec<Node<FieldDefinition>>,
        part: Part<'_>,
        sources: &mut Sources<'_>,
    ) {
        fields.retain(|field| {
            let span = field.name.location();
            let name = field.name.to_string();
            let shareable = part.shareable || field.directives.has("shareable");
            let coordinate = (ty.to_owned(), name.clone());
            let Some(first) = self.fields.get(&coordinate) else {
                let definition = field.clone();
                self.fields.insert(coordinate, Owned { span, definition, shareable });
                return true;
            };
            let both = part.key.contains(&name) || (first.shareable && shareable);
            if !both {
                let message =
                    format!("field {ty}.{name} is also defined by {}", describe(sources, first.span));
                let help = "give it to one of them, or mark both @shareable".to_owned();
                sources.report(span, message, Some(help));
            } else if let Some(difference) = difference(&first.definition, field) {
                let message = format!("{ty}.{name} {difference} by {}", describe(sources, first.span));
                sources.report(span, message, Some("write it alike in both".to_owned()));
            }
            // Either may be asked, so what one of them guards is guarded.
            let rules = field.directives.iter().filter(|each| RULES.contains(&each.name.as_str()));
            let rules: Vec<_> = rules.cloned().collect();
            if !rules.is_empty() {
                self.block_rules.entry(coordinate).or_default().extend(rules);
            }
            false
        });
    }
}

/// The directives that say who may ask.
const RULES: [&str; 3] = ["authenticated", "requiresScopes", "policy"];

/// The names in `@key`; none without one.
fn key(directives: &DirectiveList) -> Option<Vec<String>> {
    let fields = directives.get("key")?.specified_argument_by_name("fields")?.as_str()?;
    Some(fields.split([' ', ',', '\n', '\t']).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn part_of(object: &ObjectTypeDefinition) -> ObjectTypeExtension {
    ObjectTypeExtension {
        name: object.name.clone(),
        implements_interfaces: object.implements_interfaces.clone(),
        directives: object.directives.clone(),
        fields: object.fields.clone(),
    }
}

/// How two definitions of a field differ for clients, if they do.
fn difference(first: &FieldDefinition, second: &FieldDefinition) -> Option<String> {
    if first.ty != second.ty {
        return Some(format!("is `{}` here, and `{}`", second.ty, first.ty));
    }
    let arguments = |field: &FieldDefinition| {
        let default = |each: &InputValueDefinition| {
            each.default_value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default()
        };
        let written =
            |each: &Node<InputValueDefinition>| format!("{}: {}{}", each.name, each.ty, default(each));
        let mut all: Vec<_> = field.arguments.iter().map(written).collect();
        all.sort();
        all.join(", ")
    };
    let (theirs, ours) = (arguments(first), arguments(second));
    (theirs != ours).then(|| format!("has the arguments ({ours}) here, and ({theirs})"))
}

fn kind(definition: &Definition) -> &'static str {
    match definition {
        Definition::ObjectTypeDefinition(_) => "an object type",
        Definition::InterfaceTypeDefinition(_) => "an interface",
        Definition::UnionTypeDefinition(_) => "a union",
        Definition::EnumTypeDefinition(_) => "an enum",
        Definition::InputObjectTypeDefinition(_) => "an input type",
        _ => "a scalar",
    }
}

/// "`component` (file:line:column)".
pub fn describe(sources: &Sources<'_>, span: Option<SourceSpan>) -> String {
    match sources.owner(span) {
        Some(owner) => format!("`{}` ({})", owner.component, sources.locate(span)),
        None => "the host".to_owned(),
    }
}
