//! Which headers cross the border between clients and components.
//!
//! A component knows its caller through `monopod:identity`, never through a header. So
//! that none can be fooled by one all the same, what is customarily believed about a
//! caller is taken away here, in every spelling.

use axum::http::header::{self, HeaderMap, HeaderName};

/// Headers of one connection, not of the message (RFC 9110, section 7.6.1), and those
/// that this end of it has dealt with.
const HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
];

/// The caller's credentials, and the name it called us by. A cookie is here because no
/// session of the platform lives in one, and on `localhost` those of every other
/// program arrive.
const CREDENTIALS: [&str; 5] = ["authorization", "cookie", "host", "forwarded", "via"];

/// Families by which proxies tell the servers behind them who calls and how.
const FAMILIES: [&str; 29] = [
    "x-forwarded",
    "x-auth",
    "x-remote-",
    "remote-",
    "x-real-",
    "x-original-",
    "x-rewrite-",
    "x-client-cert",
    "x-ssl-",
    "ssl-",
    "x-user",
    "x-email",
    "x-group",
    "x-role",
    "x-scope",
    "x-subject",
    "x-owner",
    "x-identity",
    "x-principal",
    "x-jwt",
    "x-token",
    "x-access-token",
    "x-id-token",
    "x-webauth",
    "x-internal-",
    "x-monopod-",
    "x-ms-",
    "x-goog-",
    "x-amzn-",
];

/// Takes from a request what a component must not see.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip(headers, |name| {
        HOP.contains(&name)
            || CREDENTIALS.contains(&name)
            // The same to servers that turn names into variables, and to no one else.
            || name.contains('_')
            || FAMILIES.iter().any(|family| name.starts_with(family))
    });
}

/// Takes from an answer what is not the component's to say.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip(headers, |name| HOP.contains(&name));
}

fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let listed: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| name != "content-type" && name != "content-length")
        .collect();
    let goes = |name: &str| unwanted(name) || listed.iter().any(|listed| listed == name);
    let gone: Vec<HeaderName> = headers.keys().filter(|name| goes(name.as_str())).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(strip: fn(&mut HeaderMap), names: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in names {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        strip(&mut headers);
        headers.keys().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn no_spelling_of_an_identity_reaches_a_component() {
        for name in [
            "Authorization",
            "Cookie",
            "Forwarded",
            "X-Forwarded-User",
            "X_Forwarded_User",
            "x-FORWARDED_user",
            "X-Forwarded-Prefix",
            "X-Forwarded-Whatever",
            "X-Auth-Request-Email",
            "X-Authenticated-Userid",
            "X-Real-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "Remote-User",
            "REMOTE_USER",
            "X-User",
            "X-MS-Client-Principal",
            "X-Amzn-Oidc-Identity",
            "X-Internal-Key",
            "X-JWT-Assertion",
            "Proxy-Authorization",
        ] {
            assert!(after(strip_request, &[(name, "admin")]).is_empty(), "{name}");
        }
    }

    #[test]
    fn what_belongs_to_the_message_stays_and_what_belongs_to_the_connection_goes() {
        let kept =
            ["accept", "content-type", "if-none-match", "origin", "x-correlation-id", "idempotency-key"];
        for name in kept {
            assert_eq!(after(strip_request, &[(name, "a")]), [name]);
        }
        let hop = [("connection", "close, X-Hop , content-type"), ("x-hop", "1"), ("te", "trailers")];
        for strip in [strip_request, strip_response] {
            assert!(after(strip, &hop).is_empty());
            assert_eq!(
                after(strip, &[("connection", "content-type"), ("content-type", "a/b")]),
                ["content-type"]
            );
        }
    }
}
