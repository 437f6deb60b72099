//! From the parameters of a request to an operation that the caller may run. The same for
//! every protocol, so that none of them can be the lenient one.

use std::borrow::Cow;
use std::sync::Arc;

use monopod_core::context::Context;

use crate::error::{Failure, code};
use crate::json::Json;
use crate::plan::{self, Plan, Variables, authorize, cost, input};
use crate::schema::Schema;

/// The parameters of a GraphQL request.
#[derive(Debug)]
pub struct Params<'a> {
    /// `query`: the document.
    pub document: Cow<'a, str>,
    /// `operationName`; an empty one counts as none, as clients send it.
    pub operation: Option<Cow<'a, str>>,
    /// `variables`; an object or nothing.
    pub variables: Option<Json<'a>>,
}

/// An operation with everything it needs to be executed.
pub struct Prepared<'a> {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The coerced variables.
    pub variables: Variables<'a>,
}

impl<'a> Params<'a> {
    /// Reads the parameters from a JSON object. Unknown keys are passed over, as the
    /// specification asks.
    pub fn read(json: Json<'a>) -> Result<Self, Failure> {
        let bad = |message: &'static str| Failure::new(code::BAD_REQUEST, message);
        let entries = match json {
            Json::Object(entries) => entries,
            Json::Array(_) => {
                return Err(bad("Batching is not supported: send one operation per request."));
            }
            _ => return Err(bad("The request must be a JSON object with \"query\".")),
        };
        let (mut document, mut operation, mut variables) = (None, None, None);
        for (key, value) in entries {
            match (&*key, value) {
                ("query", Json::String(text)) => document = Some(text),
                ("query", _) => return Err(bad("\"query\" must be a string.")),
                ("operationName", Json::String(text)) => {
                    operation = Some(text).filter(|text| !text.is_empty())
                }
                ("operationName", Json::Null) => operation = None,
                ("operationName", _) => return Err(bad("\"operationName\" must be a string or null.")),
                ("variables", value @ Json::Object(_)) => variables = Some(value),
                ("variables", Json::Null) => variables = None,
                ("variables", _) => return Err(bad("\"variables\" must be an object or null.")),
                ("extensions", Json::Object(_) | Json::Null) => {}
                ("extensions", _) => return Err(bad("\"extensions\" must be an object or null.")),
                _ => {}
            }
        }
        let document = document.ok_or_else(|| bad("\"query\" is missing."))?;
        Ok(Self { document, operation, variables })
    }

    /// Plans the operation, coerces the variables and checks the caller's rights.
    pub fn prepare(self, schema: &Schema, context: &Context) -> Result<Prepared<'a>, Vec<Failure>> {
        let plan = plan::plan(schema, &self.document, self.operation.as_deref())?;
        self.prepare_planned(plan, schema, context)
    }

    /// The same with the plan at hand.
    pub fn prepare_planned(
        self,
        plan: Arc<Plan>,
        schema: &Schema,
        context: &Context,
    ) -> Result<Prepared<'a>, Vec<Failure>> {
        let variables = input::variables(&schema.public, &plan, self.variables)?;
        authorize::authorize(&plan, &variables, &context.principal).map_err(|failure| vec![failure])?;
        if plan.sized {
            cost::bounded(&plan, &variables, schema.settings.max_cost).map_err(|failure| vec![failure])?;
        }
        Ok(Prepared { plan, variables })
    }
}

/// Variables that outlive the request they came in.
pub fn own(variables: Variables<'_>) -> Variables<'static> {
    variables.into_iter().map(|value| value.map(Json::into_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_their_types_or_are_refused() {
        for (json, good) in [
            (r#"{"query":"{a}"}"#, true),
            (r#"{"query":"{a}","operationName":null,"variables":null,"extensions":null}"#, true),
            (r#"{"query":"{a}","operationName":"","variables":{},"extensions":{"x":1},"more":1}"#, true),
            (r"{}", false),
            (r"[]", false),
            (r#""x""#, false),
            (r#"{"query":1}"#, false),
            (r#"{"query":null}"#, false),
            (r#"{"query":"{a}","operationName":1}"#, false),
            (r#"{"query":"{a}","variables":[]}"#, false),
            (r#"{"query":"{a}","variables":"{}"}"#, false),
            (r#"{"query":"{a}","extensions":[]}"#, false),
        ] {
            let read = Params::read(Json::parse(json.as_bytes()).unwrap());
            assert_eq!(read.is_ok(), good, "{json}");
        }
    }
}
