//! Planning: from the text of a document to what the executor walks over. Called once
//! per operation; a known document comes from the cache.
//!
//! The order is fixed: `scan` bounds the bytes, apollo-compiler parses and validates,
//! `build` merges the selections under bounds of its own. `authorize` runs on every
//! request, also on cache hits.

pub mod arguments;
pub mod authorize;
mod build;
pub mod cache;
pub mod cost;
pub mod input;
pub mod scan;

use std::sync::{Arc, OnceLock};

use apollo_compiler::ExecutableDocument;
use apollo_compiler::Node;
use apollo_compiler::ast::{OperationType, Type};
use apollo_compiler::executable::Operation;
use apollo_compiler::parser::Parser;
use apollo_compiler::validation::{DiagnosticList, Valid};

use crate::error::{Failure, Place, code, readable};
use crate::json::Json;
use crate::scalar::Leaf;
use crate::schema::{ListSize, Resolver, Rule, Schema};
use crate::seen::Counts;
use arguments::Argument;

/// The most validation errors that are sent back: enough for a person, not a flood.
const MAX_ERRORS: usize = 20;

/// How one operation is answered.
#[derive(Debug)]
pub struct Plan {
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// The root fields in the order of the answer.
    pub fields: Box<[Field]>,
    /// The variables in the order of their definition.
    pub variables: Box<[Variable]>,
    /// What it is estimated to cost, where no variable changes that.
    pub cost: u64,
    /// Whether any rule stands on what is selected.
    pub guarded: bool,
    /// Whether a variable says how long a list may be, so that the cost depends on it.
    pub sized: bool,
    /// The document, if the schema itself is asked for.
    pub introspection: Option<Introspection>,
}

/// A variable of the operation.
#[derive(Debug)]
pub struct Variable {
    /// Without `$`.
    pub name: Box<str>,
    /// As declared.
    pub ty: Type,
    /// As declared, in the shape components get.
    pub default: Option<Json<'static>>,
    /// Where it is declared.
    pub place: Place,
}

/// A field of the answer: all its occurrences in one selection, merged.
#[derive(Debug)]
pub struct Field {
    /// The response key: the alias or the name.
    pub key: Box<str>,
    /// `"key":`, ready to be written.
    pub prefix: Box<[u8]>,
    /// The field's name in the schema; what mappings know it by.
    pub name: Box<str>,
    /// `Type.field`, for messages.
    pub coordinate: Box<str>,
    /// Where it first stands in the document.
    pub place: Place,
    /// When it is part of the answer.
    pub include: Include,
    /// What is asked of the caller.
    pub rules: Box<[Arc<Rule>]>,
    /// What it costs by itself.
    pub weight: u64,
    /// What is counted of it.
    pub counts: Option<Arc<Counts>>,
    /// How long its list is taken to be, if it says.
    pub size: Option<ListSize>,
    /// Where its value comes from.
    pub kind: Kind,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub enum Kind {
    /// `__typename`, ready to be written.
    TypeName(Box<[u8]>),
    /// `__schema` or `__type`.
    Introspection,
    /// The mapping of the field above it.
    Mapped(Output),
    /// A resolver. Below the root one that looks a part of a type up is asked only for what
    /// the mapping of the object leaves out.
    Resolved {
        /// Who.
        resolver: Arc<Resolver>,
        /// With what.
        arguments: Box<[Argument]>,
        /// Of what type.
        output: Output,
    },
}

/// The type of a value in the answer, with what is selected from it.
#[derive(Debug)]
pub struct Output {
    /// Whether it may be `null`.
    pub nullable: bool,
    /// What it is.
    pub shape: Shape,
    /// Whether anything in it has a resolver of its own.
    pub deep: bool,
}

/// What is selected of one of several types.
pub type OneOf = (Box<str>, Box<[Field]>);

/// What a value in the answer is.
#[derive(Debug)]
pub enum Shape {
    /// A scalar or enum, with the type's name for messages.
    Leaf(Leaf, Box<str>),
    /// An object.
    Object(Box<[Field]>),
    /// An object of one of several types: what is selected of each.
    Abstract(Box<[OneOf]>),
    /// A list.
    List(Box<Output>),
}

/// When a field is part of the answer: always, if there is no alternative; else if all
/// conditions of one alternative hold.
#[derive(Debug, Default)]
pub struct Include(pub Box<[Box<[Condition]>]>);

/// The wanted value of a boolean variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// By its place among the variables.
    pub variable: usize,
    /// What it must be.
    pub wanted: bool,
}

/// What is kept to answer questions about the schema.
#[derive(Debug)]
pub struct Introspection {
    /// The document.
    pub document: Valid<ExecutableDocument>,
    /// The operation in it.
    pub operation: Node<Operation>,
    /// The answer, if there are no variables to change it.
    pub answer: OnceLock<apollo_compiler::response::ExecutionResponse>,
}

/// The values of an operation's variables, by their place; none for "not given".
pub type Variables<'a> = Vec<Option<Json<'a>>>;

impl Include {
    /// Whether the field is part of this answer.
    pub fn holds(&self, variables: &Variables<'_>) -> bool {
        self.0.is_empty() || self.0.iter().any(|all| all.iter().all(|each| each.holds(variables)))
    }
}

impl Condition {
    fn holds(self, variables: &Variables<'_>) -> bool {
        matches!(variables.get(self.variable), Some(Some(Json::Bool(value))) if *value == self.wanted)
    }
}

impl Field {
    /// Whether it may be `null`.
    pub fn nullable(&self) -> bool {
        match &self.kind {
            Kind::Resolved { output, .. } | Kind::Mapped(output) => output.nullable,
            Kind::TypeName(_) => false,
            Kind::Introspection => true,
        }
    }

    /// Whether it, or anything in it, has a resolver of its own.
    pub fn deep(&self) -> bool {
        match &self.kind {
            Kind::Resolved { .. } => true,
            Kind::Mapped(output) => output.deep,
            Kind::TypeName(_) | Kind::Introspection => false,
        }
    }
}

impl Plan {
    /// A plan for nothing, for tests.
    #[cfg(test)]
    pub fn empty() -> Self {
        Self {
            kind: OperationType::Query,
            fields: Box::default(),
            variables: Box::default(),
            cost: 0,
            guarded: false,
            sized: false,
            introspection: None,
        }
    }
}

/// The plan of an operation, known or new.
pub fn plan(schema: &Schema, document: &str, operation: Option<&str>) -> Result<Arc<Plan>, Vec<Failure>> {
    if let Some(plan) = schema.plans.get(document, operation) {
        return Ok(plan);
    }
    scan::scan(document, &scan::Limits::of(&schema.settings)).map_err(|failure| vec![failure])?;
    let parsed = parse(schema, document)?;
    let chosen = parsed.operations.get(operation).map_err(|_| vec![no_operation(operation)])?.clone();
    let plan = Arc::new(build::build(schema, parsed, chosen).map_err(|failure| vec![failure])?);
    schema.plans.put(document, operation, Arc::clone(&plan));
    Ok(plan)
}

fn parse(schema: &Schema, document: &str) -> Result<Valid<ExecutableDocument>, Vec<Failure>> {
    let settings = &schema.settings;
    let mut parser =
        Parser::new().token_limit(2 * settings.max_tokens).recursion_limit(2 * settings.max_nesting());
    // Syntax first: what does not parse would only look invalid as well.
    let syntax = parser
        .parse_ast(document, "operation")
        .map_err(|failed| failures(&failed.errors, code::PARSE_FAILED))?;
    syntax
        .to_executable_validate(&schema.public)
        .map_err(|failed| failures(&failed.errors, code::VALIDATION_FAILED))
}

fn no_operation(name: Option<&str>) -> Failure {
    match name {
        Some(name) => {
            let name: String = name.chars().take(100).collect();
            Failure::new(code::NO_OPERATION, format!("The document has no operation named \"{name}\"."))
        }
        None => Failure::new(
            code::NO_OPERATION,
            "The document has several operations or none: say which one with \"operationName\".",
        ),
    }
}

fn failures(list: &DiagnosticList, code: &'static str) -> Vec<Failure> {
    list.iter()
        .take(MAX_ERRORS)
        .map(|diagnostic| {
            let place = diagnostic
                .line_column_range()
                .map(|range| Place { line: range.start.line, column: range.start.column });
            let message =
                diagnostic.error.unstable_compat_message().unwrap_or_else(|| diagnostic.error.to_string());
            Failure::new(code, readable(&message)).at(place.unwrap_or_default())
        })
        .collect()
}
