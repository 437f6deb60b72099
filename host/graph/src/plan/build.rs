//! Builds a plan from a valid operation: merges the occurrences of each response key,
//! looks up who answers what with which rights, and adds up depth and cost.
//!
//! Fragments are put in where they are spread, which can grow without bound for a few
//! bytes of document; so every step counts against a budget, and the first that exceeds
//! it ends the work.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use apollo_compiler::ast::{OperationType, Type};
use apollo_compiler::executable::{self, Directive, Operation, Selection};
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node};

use super::arguments::{Argument, Known};
use super::scan::exceeded;
use super::{
    Condition, Field, Include, Introspection, Kind, Output, Plan, Shape, Variable, arguments, cost, input,
};
use crate::error::{Failure, Place, code};
use crate::execute::introspect;
use crate::schema::{Rule, Schema};

/// What a mutation costs where `@cost` says nothing: it changes something and takes a call.
const MUTATION_COST: u64 = 10;
/// What any other field with fields of its own costs.
const OBJECT_COST: u64 = 1;

/// Conditions that must hold together.
type Conditions = Rc<[Condition]>;

/// Builds the plan, or says why the operation is not taken.
pub fn build(
    schema: &Schema,
    document: Valid<ExecutableDocument>,
    operation: Node<Operation>,
) -> Result<Plan, Failure> {
    let mut builder = Builder {
        schema,
        document: &document,
        names: HashMap::new(),
        steps: 0,
        guarded: false,
        sized: false,
    };
    let variables = builder.variables(&operation)?;
    let ty = operation.selection_set.ty.as_str();
    let here = Here { ty, root: Some(operation.operation_type), depth: 1 };
    let fields = builder.fields(here, &[(&operation.selection_set, no_conditions())])?;
    let (guarded, sized) = (builder.guarded, builder.sized);
    let asks = fields.iter().any(|field| matches!(field.kind, Kind::Introspection));
    let introspection = match asks {
        true => Some(introspection(schema, document, operation.clone())?),
        false => None,
    };
    let kind = operation.operation_type;
    let mut plan = Plan { kind, fields, variables, cost: 0, guarded, sized, introspection };
    if !sized {
        plan.cost = cost::bounded(&plan, &Vec::new(), schema.settings.max_cost)?;
    }
    Ok(plan)
}

fn no_conditions() -> Conditions {
    Rc::from([])
}

fn introspection(
    schema: &Schema,
    document: Valid<ExecutableDocument>,
    operation: Node<Operation>,
) -> Result<Introspection, Failure> {
    if !schema.settings.introspection {
        return Err(Failure::new(code::VALIDATION_FAILED, "Introspection is switched off here."));
    }
    apollo_compiler::introspection::check_max_depth(&document, &operation)
        .map_err(|error| Failure::new(code::LIMIT_EXCEEDED, error.message().to_string()))?;
    let (document, operation) = introspect::with_names(schema, document, operation);
    Ok(Introspection { document, operation, answer: OnceLock::new() })
}

/// Where in the operation the builder is.
#[derive(Clone, Copy)]
struct Here<'t> {
    /// The object type.
    ty: &'t str,
    /// Set at the root.
    root: Option<OperationType>,
    depth: usize,
}

struct Occurrence<'d> {
    field: &'d Node<executable::Field>,
    when: Conditions,
}

/// The occurrences of each response key, in the order in which keys first stand.
#[derive(Default)]
struct Groups<'d> {
    order: Vec<Vec<Occurrence<'d>>>,
    places: HashMap<&'d str, usize>,
    /// The fragments that were put in, and when.
    visited: HashMap<&'d str, Vec<Conditions>>,
}

struct Builder<'d> {
    schema: &'d Schema,
    document: &'d Valid<ExecutableDocument>,
    names: HashMap<&'d str, Known>,
    steps: usize,
    guarded: bool,
    sized: bool,
}

impl<'d> Builder<'d> {
    fn place(&self, span: Option<SourceSpan>) -> Place {
        let place = span.and_then(|span| span.line_column(&self.document.sources));
        place.map(|place| Place { line: place.line, column: place.column }).unwrap_or_default()
    }

    fn variables(&mut self, operation: &Operation) -> Result<Box<[Variable]>, Failure> {
        let mut variables = Vec::with_capacity(operation.variables.len());
        for definition in &operation.variables {
            let place = self.place(definition.location());
            let default = definition.default_value.as_ref();
            let default =
                default.map(|value| input::literal(&self.schema.public, &definition.ty, value)).transpose();
            let default = default.map_err(|wrong| {
                let message = format!("Default value of variable \"${}\": {}", definition.name, wrong.reason);
                Failure::new(code::VALIDATION_FAILED, message).at(place)
            })?;
            variables.push(Variable {
                name: definition.name.as_str().into(),
                ty: (*definition.ty).clone(),
                default,
                place,
            });
        }
        // The names live as long as the document, which the operation came from.
        for known in self.document.operations.iter().flat_map(|each| &each.variables) {
            let at = operation.variables.iter().position(|variable| variable.name == known.name);
            let needed =
                |at: usize| variables.get(at).is_some_and(|variable: &Variable| variable.ty.is_non_null());
            at.and_then(|at| self.names.insert(known.name.as_str(), Known { at, needed: needed(at) }));
        }
        Ok(variables.into())
    }

    fn step(&mut self) -> Result<(), Failure> {
        self.steps += 1;
        let max = self.schema.settings.max_fields;
        if self.steps > max { Err(exceeded("fields", max, "fields")) } else { Ok(()) }
    }

    /// The fields of one object of the answer, from all selections that make it up.
    fn fields(
        &mut self,
        here: Here<'_>,
        selections: &[(&'d executable::SelectionSet, Conditions)],
    ) -> Result<Box<[Field]>, Failure> {
        let max = self.schema.settings.max_depth;
        if here.depth > max {
            return Err(exceeded("depth", max, "levels of fields"));
        }
        let mut groups = Groups::default();
        for (selection, when) in selections {
            self.collect(here.ty, &selection.selections, when, &mut groups)?;
        }
        let mut fields = Vec::with_capacity(groups.order.len());
        for occurrences in &groups.order {
            fields.push(self.field(here, occurrences)?);
        }
        Ok(fields.into())
    }

    fn collect(
        &mut self,
        ty: &str,
        selections: &'d [Selection],
        when: &Conditions,
        groups: &mut Groups<'d>,
    ) -> Result<(), Failure> {
        for selection in selections {
            self.step()?;
            let Some(when) = self.conditions(selection.directives(), when) else {
                // What is never asked for must be valid all the same.
                self.literals(selection)?;
                continue;
            };
            match selection {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    let at = *groups.places.entry(key).or_insert_with(|| {
                        groups.order.push(Vec::new());
                        groups.order.len() - 1
                    });
                    if let Some(group) = groups.order.get_mut(at) {
                        group.push(Occurrence { field, when });
                    }
                }
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|condition| self.applies(ty, condition)) {
                        self.collect(ty, &fragment.selection_set.selections, &when, groups)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.document.fragments.get(&spread.fragment_name) else { continue };
                    let visited = groups.visited.entry(spread.fragment_name.as_str()).or_default();
                    // Looking through them is work as well.
                    self.steps += visited.len();
                    // What holds already whenever this holds adds nothing.
                    let covered = |earlier: &Conditions| earlier.iter().all(|each| when.contains(each));
                    if visited.iter().any(covered) || !self.applies(ty, fragment.type_condition()) {
                        continue;
                    }
                    visited.push(Rc::clone(&when));
                    self.collect(ty, &fragment.selection_set.selections, &when, groups)?;
                }
            }
        }
        Ok(())
    }

    /// Checks the arguments that the compiler does not: custom scalars and `@oneOf` inputs.
    fn literals(&mut self, selection: &'d Selection) -> Result<(), Failure> {
        self.step()?;
        let below = match selection {
            Selection::Field(field) => {
                self.arguments(field)?;
                &field.selection_set
            }
            Selection::InlineFragment(fragment) => &fragment.selection_set,
            Selection::FragmentSpread(spread) => {
                let Some(fragment) = self.document.fragments.get(&spread.fragment_name) else {
                    return Ok(());
                };
                &fragment.selection_set
            }
        };
        below.selections.iter().try_for_each(|each| self.literals(each))
    }

    fn arguments(&self, field: &executable::Field) -> Result<Box<[Argument]>, Failure> {
        let find = |name: &str| self.names.get(name).copied();
        let place = self.place(field.name.location());
        arguments::compile(&self.schema.public, &field.definition.arguments, &field.arguments, &find)
            .map_err(|message| Failure::new(code::VALIDATION_FAILED, message).at(place))
    }

    /// `when` with the conditions of these directives; none if it can never hold.
    fn conditions(&self, directives: &[Node<Directive>], when: &Conditions) -> Option<Conditions> {
        let mut more = Vec::new();
        for directive in directives {
            let wanted = match directive.name.as_str() {
                "include" => true,
                "skip" => false,
                _ => continue,
            };
            let value = directive.specified_argument_by_name("if")?;
            if let Some(constant) = value.to_bool() {
                if constant != wanted {
                    return None;
                }
            } else {
                let condition =
                    Condition { variable: self.names.get(value.as_variable()?.as_str())?.at, wanted };
                if !when.contains(&condition) {
                    more.push(condition);
                }
            }
        }
        Some(if more.is_empty() { Rc::clone(when) } else { when.iter().copied().chain(more).collect() })
    }

    /// Whether a fragment on `condition` counts for an object of type `ty`.
    fn applies(&self, ty: &str, condition: &Name) -> bool {
        match self.schema.public.types.get(condition) {
            Some(ExtendedType::Object(object)) => object.name == ty,
            Some(ExtendedType::Interface(interface)) => self
                .schema
                .implementers
                .get(&interface.name)
                .is_some_and(|implementers| implementers.objects.iter().any(|name| name == ty)),
            Some(ExtendedType::Union(union)) => union.members.iter().any(|member| member.name == ty),
            _ => false,
        }
    }

    fn field(&mut self, here: Here<'_>, occurrences: &[Occurrence<'d>]) -> Result<Field, Failure> {
        let first = occurrences
            .first()
            .ok_or_else(|| Failure::new(code::VALIDATION_FAILED, "An empty selection."))?;
        let field: &'d executable::Field = first.field;
        // A field begins with its alias.
        let place = self.place(field.alias.as_ref().unwrap_or(&field.name).location());
        let coordinate = format!("{}.{}", here.ty, field.name);
        let info = self.schema.field(here.ty, &field.name);
        let mut rules: Vec<Arc<Rule>> = info.and_then(|info| info.rule.clone()).into_iter().collect();
        let kind = if field.name == "__typename" {
            let mut name = Vec::new();
            crate::json::write_str(&mut name, here.ty);
            Kind::TypeName(name.into())
        } else if field.name.starts_with("__") {
            for occurrence in occurrences {
                self.count(&occurrence.field.selection_set)?;
            }
            Kind::Introspection
        } else {
            let inner = field.ty().inner_named_type().as_str();
            let below: Vec<_> = occurrences
                .iter()
                .map(|each| {
                    // A single occurrence: its conditions decide on the field and need not be asked again.
                    let when = if occurrences.len() == 1 { no_conditions() } else { Rc::clone(&each.when) };
                    (&each.field.selection_set, when)
                })
                .collect();
            let output = self.output(here, field.ty(), &below)?;
            rules.extend(self.rule_of(inner));
            match info.and_then(|info| info.resolver.clone()) {
                Some(resolver) => {
                    let arguments = self.arguments(field)?;
                    let slicing = info.and_then(|info| info.size.as_ref()).map(|size| &size.slicing);
                    self.sized |= slicing
                        .is_some_and(|names| names.iter().any(|name| arguments::varies(&arguments, name)));
                    Kind::Resolved { resolver, arguments, output }
                }
                None => Kind::Mapped(output),
            }
        };
        self.guarded |= !rules.is_empty();
        let key = field.response_key().as_str();
        let mut prefix = Vec::with_capacity(key.len() + 3);
        crate::json::write_str(&mut prefix, key);
        prefix.push(b':');
        let include = if occurrences.iter().any(|each| each.when.is_empty()) {
            Include::default()
        } else {
            Include(occurrences.iter().map(|each| each.when.iter().copied().collect()).collect())
        };
        Ok(Field {
            key: key.into(),
            prefix: prefix.into(),
            name: field.name.as_str().into(),
            coordinate: coordinate.into(),
            place,
            include,
            rules: rules.into(),
            weight: weight(here, field, info.and_then(|info| info.cost)),
            counts: info.map(|info| Arc::clone(&info.counts)),
            size: info.and_then(|info| info.size.clone()),
            kind,
        })
    }

    /// The rule of a type: asked of the field that leads to it, or where it is one of several
    /// types of what is selected of it, so that it harms none of the others.
    fn rule_of(&self, ty: &str) -> Option<Arc<Rule>> {
        self.schema.types.get(ty)?.rule.clone()
    }

    fn guard(&mut self, ty: &str, mut fields: Box<[Field]>) -> Box<[Field]> {
        if let Some(rule) = self.rule_of(ty) {
            self.guarded |= !fields.is_empty();
            for field in &mut fields {
                field.rules = field.rules.iter().chain([&rule]).cloned().collect();
            }
        }
        fields
    }

    /// Counts what the introspection of the schema would put in.
    fn count(&mut self, selection: &'d executable::SelectionSet) -> Result<(), Failure> {
        for each in &selection.selections {
            self.step()?;
            match each {
                Selection::Field(field) => self.count(&field.selection_set)?,
                Selection::InlineFragment(fragment) => self.count(&fragment.selection_set)?,
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        self.count(&fragment.selection_set)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn output(
        &mut self,
        here: Here<'_>,
        ty: &Type,
        below: &[(&'d executable::SelectionSet, Conditions)],
    ) -> Result<Output, Failure> {
        let nullable = !ty.is_non_null();
        if let Type::List(inner) | Type::NonNullList(inner) = ty {
            let item = self.output(here, inner, below)?;
            return Ok(Output { nullable, deep: item.deep, shape: Shape::List(Box::new(item)) });
        }
        let name = ty.inner_named_type();
        let schema = self.schema;
        let definition = schema.public.types.get(name);
        if let Some(leaf) = definition.and_then(input::leaf) {
            return Ok(Output { nullable, deep: false, shape: Shape::Leaf(leaf, name.as_str().into()) });
        }
        let below_here = |ty| Here { ty, root: None, depth: here.depth + 1 };
        let shape = match definition {
            Some(ExtendedType::Object(_)) => Shape::Object(self.fields(below_here(name), below)?),
            Some(ExtendedType::Interface(_)) => {
                let all = schema.implementers.get(name).map(|all| all.objects.iter());
                let mut names: Vec<_> = all.into_iter().flatten().collect();
                names.sort();
                let types = names.into_iter().map(|name| {
                    let fields = self.fields(below_here(name), below)?;
                    Ok((name.as_str().into(), self.guard(name, fields)))
                });
                Shape::Abstract(types.collect::<Result<_, Failure>>()?)
            }
            Some(ExtendedType::Union(union)) => {
                let types = union.members.iter().map(|each| {
                    let fields = self.fields(below_here(&each.name), below)?;
                    Ok((each.name.as_str().into(), self.guard(&each.name, fields)))
                });
                Shape::Abstract(types.collect::<Result<_, Failure>>()?)
            }
            _ => {
                let message = format!("Type \"{name}\" is not answered by anybody.");
                return Err(Failure::new(code::VALIDATION_FAILED, message));
            }
        };
        let deep = match &shape {
            Shape::Object(fields) => fields.iter().any(Field::deep),
            Shape::Abstract(types) => types.iter().any(|(_, fields)| fields.iter().any(Field::deep)),
            _ => false,
        };
        Ok(Output { nullable, deep, shape })
    }
}

/// What a field costs by itself.
fn weight(here: Here<'_>, field: &executable::Field, given: Option<u32>) -> u64 {
    match (given, here.root) {
        (Some(weight), _) => weight.into(),
        (None, Some(OperationType::Mutation)) => MUTATION_COST,
        (None, root) if root.is_some() || !field.selection_set.is_empty() => OBJECT_COST,
        (None, _) => 0,
    }
}
