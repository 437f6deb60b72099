//! What the host itself brings into every schema: the directives that contributions use,
//! and the custom scalars.

use crate::scalar::SCALARS;

/// The host's directives. They map and guard fields and are not shown to clients.
pub const DIRECTIVES: [&str; 6] =
    ["connect", "subscribe", "authenticated", "requiresScopes", "policy", "cost"];

/// Directives of the specification that contributions may use.
pub const PUBLIC: [&str; 2] = ["deprecated", "specifiedBy"];

/// The input type of `@connect(http:)`; not shown to clients.
pub const CONNECT_HTTP: &str = "ConnectHTTP";

/// The methods of `@connect(http:)`.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const DEFINITIONS: &str = r#"
directive @connect(http: ConnectHTTP!, selection: String!, to: String) on FIELD_DEFINITION
directive @subscribe(topic: String!, filter: String, selection: String!) repeatable on FIELD_DEFINITION
directive @authenticated on FIELD_DEFINITION | OBJECT
directive @requiresScopes(scopes: [[String!]!]!) on FIELD_DEFINITION | OBJECT
directive @policy(policies: [[String!]!]!) on FIELD_DEFINITION | OBJECT
directive @cost(weight: Int!) on FIELD_DEFINITION
input ConnectHTTP { GET: String POST: String PUT: String PATCH: String DELETE: String body: String }
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
