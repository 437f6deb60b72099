//! What goes wrong with a request, in the shapes that clients know.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::http::{Request, Response};
use crate::ports;

/// An answer that says what is wrong: `{"errors": {"field": ["…"]}}` for 422, otherwise
/// `{"error": "…", "code": "…"}`. Texts are public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// 422: fields of the request, each with what is wrong about it.
    Fields(Fields),
    /// Any other status.
    Status {
        /// The HTTP status.
        status: u16,
        /// For programs: upper case and underscores.
        code: &'static str,
        /// For people.
        error: String,
    },
}

/// Fields of a request, each with what is wrong about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Fields(pub BTreeMap<&'static str, Vec<String>>);

impl Fields {
    /// Nothing wrong so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is wrong about `field`.
    pub fn add(&mut self, field: &'static str, what: impl Into<String>) {
        self.0.entry(field).or_default().push(what.into());
    }

    /// Ok if nothing was added.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::Fields(self)) }
    }
}

impl Problem {
    fn status(status: u16, code: &'static str, error: impl Into<String>) -> Self {
        Self::Status { status, code, error: error.into() }
    }

    /// 422 for one field.
    pub fn field(field: &'static str, what: impl Into<String>) -> Self {
        let mut fields = Fields::new();
        fields.add(field, what);
        Self::Fields(fields)
    }

    /// 400: the body is not what the route takes.
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::status(400, "BAD_REQUEST", error)
    }

    /// 401: the route needs a user.
    pub fn unauthenticated() -> Self {
        Self::status(401, "UNAUTHENTICATED", "Sign in first.")
    }

    /// 404: there is nothing of that name, or nothing the caller may see.
    pub fn not_found(error: impl Into<String>) -> Self {
        Self::status(404, "NOT_FOUND", error)
    }

    /// 404: the component has no such route.
    pub fn no_route(request: &Request) -> Self {
        Self::not_found(format!("There is no {} {}.", request.method(), request.path()))
    }

    /// 409: not in the present state. `code` says which rule.
    pub fn conflict(code: &'static str, error: impl Into<String>) -> Self {
        Self::status(409, code, error)
    }

    /// 413: the body is larger than the route takes.
    pub fn too_large(limit: usize) -> Self {
        Self::status(413, "PAYLOAD_TOO_LARGE", format!("The body is larger than {limit} bytes."))
    }

    /// 503: what is needed cannot answer now.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self::status(503, "UNAVAILABLE", error)
    }

    /// 500: our own fault. The text is public; say no more than a client may know.
    pub fn internal(error: impl Into<String>) -> Self {
        Self::status(500, "INTERNAL", error)
    }
}

impl From<ports::Error> for Problem {
    fn from(error: ports::Error) -> Self {
        crate::log("error", &error.to_string());
        match error {
            ports::Error::Unavailable(_) => Self::unavailable("The service cannot answer now."),
            _ => Self::internal("The service failed."),
        }
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Fields(fields) => {
                #[derive(Serialize)]
                struct Body {
                    errors: Fields,
                }
                Response::json(422, &Body { errors: fields })
            }
            Problem::Status { status, code, error } => {
                #[derive(Serialize)]
                struct Body {
                    error: String,
                    code: &'static str,
                }
                Response::json(status, &Body { error, code })
            }
        }
    }
}
