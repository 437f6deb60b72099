//! From the parameters of a request to an operation that the caller may run. The same for
//! every protocol, so that none of them can be the lenient one.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use monopod_core::context::Context;
use monopod_core::identity::Principal;

use crate::error::{Failure, code};
use crate::graph::Ports;
use crate::json::Json;
use crate::plan::authorize::{self, Denials};
use crate::plan::{self, Plan, Variables, cost, input};
use crate::schema::Schema;
use crate::settings::Settings;

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
    /// What it wants to know besides.
    wants: Wants,
}

/// What a client wants to know of how its operation is answered: `extensions.plan` and
/// `extensions.cost` of the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wants {
    pub plan: bool,
    pub cost: bool,
}

/// An operation with everything it needs to be executed.
pub struct Prepared<'a> {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The coerced variables.
    pub variables: Variables<'a>,
    /// What of it the caller may not have.
    pub denied: Denials,
    /// What it is estimated to cost.
    pub estimate: u64,
    /// What the caller wants to know of that, and may.
    pub wants: Wants,
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
        let mut wants = Wants::default();
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
                    let wanted = |name| matches!(extensions.get(name), Some(Json::Bool(true)));
                    wants = Wants { plan: wanted("plan"), cost: wanted("cost") };
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
        Ok(Self { document, digest, operation, variables, wants })
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
    pub fn prepare(
        mut self,
        schema: &Schema,
        context: &Context,
        ports: &Ports,
    ) -> Result<Prepared<'a>, Vec<Failure>> {
        let plan = self.plan(schema)?;
        self.prepare_planned(plan, schema, context, ports)
    }

    /// The same with the plan at hand.
    pub fn prepare_planned(
        self,
        plan: Arc<Plan>,
        schema: &Schema,
        context: &Context,
        ports: &Ports,
    ) -> Result<Prepared<'a>, Vec<Failure>> {
        let one = |failure| vec![failure];
        let (settings, principal) = (&schema.settings, &context.principal);
        let variables = input::variables(&schema.public, &plan, self.variables)?;
        administrator(self.wants, settings, principal).map_err(one)?;
        let denied = authorize::authorize(&plan, &variables, principal, settings.filter).map_err(one)?;
        let estimate = match plan.sized {
            true => cost::bounded(&plan, &variables, settings.max_cost).map_err(one)?,
            false => plan.cost,
        };
        // Last, so that nobody pays for what is refused anyway.
        ports.budgets.take(settings.budget, principal, estimate, Instant::now()).map_err(one)?;
        Ok(Prepared { plan, variables, denied, estimate, wants: self.wants })
    }
}

/// How an operation is answered is told to administrators alone.
fn administrator(wants: Wants, settings: &Settings, principal: &Principal) -> Result<(), Failure> {
    // What everybody is shown can be asked for by everybody.
    if !wants.plan && (!wants.cost || settings.show_cost) {
        return Ok(());
    }
    if matches!(principal, Principal::Anonymous) {
        let text = "How an operation is answered is told to administrators: a bearer token is needed.";
        return Err(Failure::new(code::UNAUTHENTICATED, text));
    }
    let held = principal.scopes();
    let wanted = settings.administrators.iter().flatten();
    let missing: Vec<String> = wanted.filter(|scope| !held.contains(scope)).cloned().collect();
    if settings.administrators.is_some() && missing.is_empty() {
        return Ok(());
    }
    let missing = missing.into_iter().map(|scope| Json::String(scope.into())).collect();
    let text = "How an operation is answered is told to administrators.";
    Err(Failure::new(code::FORBIDDEN, text).with("missingScopes", Json::Array(missing)))
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
        let Self { plan, variables, denied, estimate, wants } = self;
        let variables = variables.into_iter().map(|value| value.map(Json::into_owned)).collect();
        Prepared { plan, variables, denied, estimate, wants }
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
