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
    document: Option<Cow<'a, str>>,
    /// The document's digest: SHA-256 in hexadecimal digits, of `documentId` or
    /// `extensions.persistedQuery`.
    digest: Option<Cow<'a, str>>,
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
                return Err(bad("Send one operation per request, without a list around it."));
            }
            _ => return Err(bad("The request must be a JSON object with \"query\".")),
        };
        let (mut document, mut operation, mut variables, mut digest) = (None, None, None, None);
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
                ("extensions", extensions @ (Json::Object(_) | Json::Null)) => {
                    digest = persisted(extensions)?.or(digest);
                }
                ("documentId", Json::String(id)) => {
                    let id = id.strip_prefix("sha256:").map(str::to_owned);
                    let id = id.ok_or_else(|| bad("\"documentId\" is `sha256:` with 64 hexadecimal digits."));
                    digest = Some(Cow::Owned(id?));
                }
                ("documentId", Json::Null) => {}
                ("documentId", _) => return Err(bad("\"documentId\" must be a string.")),
                ("extensions", _) => return Err(bad("\"extensions\" must be an object or null.")),
                _ => {}
            }
        }
        if document.is_none() && digest.is_none() {
            return Err(bad("\"query\" is missing."));
        }
        Ok(Self { document, digest, operation, variables })
    }

    /// The plan of the operation.
    pub fn plan(&mut self, schema: &Schema) -> Result<Arc<Plan>, Vec<Failure>> {
        let digest = self.digest.as_deref();
        let sent = self.document.is_some();
        let found = schema.documents.find(self.document.take(), digest);
        let document = found.map_err(|failure| vec![failure])?;
        let plan = plan::plan(schema, &document, self.operation.as_deref())?;
        if let (true, Some(digest)) = (sent, digest) {
            schema.documents.keep(digest, &document);
        }
        Ok(plan)
    }

    /// Plans the operation, coerces the variables and checks the caller's rights.
    pub fn prepare(mut self, schema: &Schema, context: &Context) -> Result<Prepared<'a>, Vec<Failure>> {
        let plan = self.plan(schema)?;
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

/// The digest in `extensions.persistedQuery`, if there is one.
fn persisted(extensions: Json<'_>) -> Result<Option<Cow<'_, str>>, Failure> {
    let Json::Object(entries) = extensions else { return Ok(None) };
    let Some((_, persisted)) = entries.into_iter().rev().find(|(key, _)| key == "persistedQuery") else {
        return Ok(None);
    };
    let first = persisted.get("version") == Some(&Json::Int(1));
    match persisted {
        Json::Object(entries) if first => {
            let digest = entries.into_iter().rev().find(|(key, _)| key == "sha256Hash");
            match digest {
                Some((_, Json::String(digest))) => Ok(Some(digest)),
                _ => Err(Failure::new(code::BAD_REQUEST, "\"persistedQuery\" has no \"sha256Hash\".")),
            }
        }
        Json::Null => Ok(None),
        _ => Err(Failure::new(code::NOT_REGISTRABLE, "PersistedQueryNotSupported")),
    }
}

impl Prepared<'_> {
    /// The same, to outlive the request it came in.
    pub fn own(self) -> Prepared<'static> {
        let variables = self.variables.into_iter().map(|value| value.map(Json::into_owned)).collect();
        Prepared { plan: self.plan, variables }
    }
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
