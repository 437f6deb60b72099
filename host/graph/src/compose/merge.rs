//! Joins the components' syntax trees into one document set in which each thing has one
//! owner. `type Query` in two files means two parts of one type; any other type belongs
//! to the file that defines it. A clash is reported with both places, and the later
//! definition left out so that what follows is checked as well.

use std::collections::HashMap;

use apollo_compiler::Node;
use apollo_compiler::ast::{
    Definition, Directive, DirectiveList, Document, FieldDefinition, ObjectTypeExtension, Type,
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
    /// Rules that stand on a part of a root type: they count for the fields of that part.
    pub block_rules: HashMap<(String, String), Vec<Node<Directive>>>,
    types: HashMap<String, Option<SourceSpan>>,
    extended: Vec<(String, Option<SourceSpan>)>,
    fields: HashMap<(String, String), Option<SourceSpan>>,
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
                let mut part = ObjectTypeExtension {
                    name: object.name.clone(),
                    implements_interfaces: object.implements_interfaces.clone(),
                    directives: object.directives.clone(),
                    fields: object.fields.clone(),
                };
                self.root_part(&mut part, sources);
                Some(Definition::ObjectTypeExtension(object.same_location(part)))
            }
            Definition::ObjectTypeExtension(mut object) => {
                let part = object.make_mut();
                if ROOTS.contains(&part.name.as_str()) {
                    self.root_part(part, sources);
                } else {
                    self.extended.push((part.name.to_string(), span));
                    self.own_fields(&part.name.clone(), &mut part.fields, sources);
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
        if name == prelude::CONNECT_HTTP {
            sources.report(
                span,
                format!("the type name `{name}` is the host's"),
                Some("choose another".to_owned()),
            );
            return None;
        }
        if let Some(&first) = self.types.get(name.as_str()) {
            let help = "define it in one component and use it from the other, or rename one".to_owned();
            let message = format!("type `{name}` is also defined by {}", describe(sources, first));
            sources.report(span, message, Some(help));
            return None;
        }
        self.types.insert(name.to_string(), span);
        if let Definition::ObjectTypeDefinition(object) = &mut definition {
            self.own_fields(&name, &mut object.make_mut().fields, sources);
        }
        Some(definition)
    }

    fn root_part(&mut self, part: &mut ObjectTypeExtension, sources: &mut Sources<'_>) {
        let rules = std::mem::take(&mut part.directives);
        let (rules, others): (Vec<_>, Vec<_>) = rules.0.into_iter().partition(|directive| {
            matches!(directive.name.as_str(), "authenticated" | "requiresScopes" | "policy")
        });
        part.directives = DirectiveList(others);
        self.own_fields(&part.name.clone(), &mut part.fields, sources);
        if !rules.is_empty() {
            for field in &part.fields {
                self.block_rules.insert((part.name.to_string(), field.name.to_string()), rules.clone());
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
    fn own_fields(&mut self, ty: &str, fields: &mut Vec<Node<FieldDefinition>>, sources: &mut Sources<'_>) {
        fields.retain(|field| {
            let span = field.name.location();
            let key = (ty.to_owned(), field.name.to_string());
            if let Some(&first) = self.fields.get(&key) {
                let message =
                    format!("field {ty}.{} is also defined by {}", field.name, describe(sources, first));
                sources.report(span, message, Some("give it to one of them".to_owned()));
                return false;
            }
            self.fields.insert(key, span);
            true
        });
    }
}

/// "`component` (file:line:column)".
fn describe(sources: &Sources<'_>, span: Option<SourceSpan>) -> String {
    match sources.owner(span) {
        Some(owner) => format!("`{}` ({})", owner.component, sources.locate(span)),
        None => "the host".to_owned(),
    }
}

/// The named type inside any wrappers.
pub fn inner(ty: &Type) -> &str {
    ty.inner_named_type().as_str()
}
