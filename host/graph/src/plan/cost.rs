//! What an operation may cost: the weights of its fields, each as often as its lists are
//! taken to be long. Estimated when the plan is made, and on every request where a variable
//! says how long a list may be.

use super::arguments::{self, Argument};
use super::{Field, Kind, Output, Plan, Shape, Variables};
use crate::error::Failure;
use crate::json::Json;
use crate::plan::scan::exceeded;
use crate::schema::ListSize;

/// How many items a list is taken to have where nothing says.
const LIST_ITEMS: u64 = 10;

/// What a plan is estimated to cost with these variables; more than `max` points are refused.
pub fn bounded(plan: &Plan, variables: &Variables<'_>, max: u64) -> Result<u64, Failure> {
    let cost = fields(&plan.fields, variables);
    if cost <= max {
        return Ok(cost);
    }
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    let cost = Json::Int(i64::try_from(cost).unwrap_or(i64::MAX));
    Err(exceeded("cost", limit, "points of cost").with("cost", cost))
}

fn fields(fields: &[Field], variables: &Variables<'_>) -> u64 {
    fields.iter().fold(0, |sum, each| sum.saturating_add(field(each, variables)))
}

fn field(field: &Field, variables: &Variables<'_>) -> u64 {
    let (output, arguments): (_, &[Argument]) = match &field.kind {
        Kind::Mapped(output) => (output, &[]),
        Kind::Resolved { output, arguments, .. } => (output, arguments),
        Kind::TypeName(_) | Kind::Introspection => return field.weight,
    };
    let items = field.size.as_ref().and_then(|size| length(size, arguments, variables));
    nested(output, items, variables).saturating_add(field.weight)
}

/// How long the list is taken to be; none if nothing says.
fn length(size: &ListSize, given: &[Argument], variables: &Variables<'_>) -> Option<u64> {
    let said = size.slicing.iter().filter_map(|name| arguments::whole(given, name, variables)).max();
    said.map(|items| u64::try_from(items).unwrap_or(0)).or(size.assumed.map(u64::from))
}

fn nested(output: &Output, items: Option<u64>, variables: &Variables<'_>) -> u64 {
    match &output.shape {
        Shape::Leaf(..) => 0,
        Shape::Object(selected) => fields(selected, variables),
        Shape::Abstract(types) => {
            types.iter().map(|(_, selected)| fields(selected, variables)).max().unwrap_or(0)
        }
        Shape::List(item) => nested(item, None, variables).saturating_mul(items.unwrap_or(LIST_ITEMS)),
    }
}
