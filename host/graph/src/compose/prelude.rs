//! What the host itself brings into every schema: the directives that contributions use,
//! and the custom scalars.

use crate::scalar::SCALARS;

/// The host's directives. They map and guard fields and are not shown to clients.
pub const DIRECTIVES: [&str; 10] = [
    "connect",
    "resolve",
    "subscribe",
    "authenticated",
    "requiresScopes",
    "policy",
    "cost",
    "listSize",
    "key",
    "shareable",
];

/// Directives of the specification that contributions may use.
pub const PUBLIC: [&str; 3] = ["deprecated", "specifiedBy", "oneOf"];

/// The input types of the host's directives; not shown to clients.
pub const INPUTS: [&str; 4] = ["ConnectHTTP", "ConnectHeader", "ConnectBatch", "ConnectErrors"];

/// The methods of `@connect(http:)`.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const DEFINITIONS: &str = r#"
directive @connect(http: ConnectHTTP!, selection: String!, to: String, batch: ConnectBatch, isSuccess: String,
    errors: ConnectErrors) repeatable on FIELD_DEFINITION | OBJECT
directive @resolve(needs: [String!], maxSize: Int) on FIELD_DEFINITION
directive @subscribe(topic: String!, filter: String, selection: String, since: String, until: String)
    repeatable on FIELD_DEFINITION
directive @authenticated repeatable on FIELD_DEFINITION | OBJECT | INTERFACE
directive @requiresScopes(scopes: [[String!]!]!) repeatable on FIELD_DEFINITION | OBJECT | INTERFACE
directive @policy(policies: [[String!]!]!) repeatable on FIELD_DEFINITION | OBJECT | INTERFACE
directive @cost(weight: Int!) on FIELD_DEFINITION
directive @listSize(assumedSize: Int, slicingArguments: [String!]) on FIELD_DEFINITION
directive @key(fields: String!) repeatable on OBJECT
directive @shareable repeatable on FIELD_DEFINITION | OBJECT
directive @oneOf on INPUT_OBJECT
input ConnectHTTP {
  GET: String POST: String PUT: String PATCH: String DELETE: String headers: [ConnectHeader!] body: String
}
input ConnectHeader { name: String! value: String! }
input ConnectBatch { maxSize: Int! match: String }
input ConnectErrors { message: String extensions: String }
"#;

/// The host's part in the schema definition language.
pub fn sdl() -> String {
    let scalars: String = SCALARS
        .iter()
        .map(|(name, description, url)| {
            format!("\"\"\"{description}\"\"\"\nscalar {name} @specifiedBy(url: \"{url}\")\n")
        })
        .collect();
    format!("{DEFINITIONS}{scalars}")
}
