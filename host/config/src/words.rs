//! Strings with a shape of their own: addresses, paths, scopes, names of policies and
//! settings, versions.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use monopod_core::component::Reuse;
use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use crate::report::Report;
use crate::value::{Key, Raw, Show, Value, kind, string};

/// The longest free text, in characters: it is shown in one line of a list.
const MAX_LINE: usize = 200;

/// The longest subject of a token, in bytes; that of OpenID Connect.
const MAX_SUBJECT: usize = 255;

/// The longest value of a setting, in bytes: it becomes an environment variable of
/// every instance.
const MAX_SETTING: usize = 4_096;

/// The words for [`Reuse`], in the order in which messages list them.
const REUSE: [(&str, Reuse); 3] =
    [("fresh", Reuse::Fresh), ("serial", Reuse::Serial), ("concurrent", Reuse::Concurrent)];

impl Value for Reuse {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        string(raw, report, "\"serial\"", |text| {
            REUSE.iter().find(|(word, _)| *word == text).map(|(_, reuse)| *reuse).ok_or_else(|| {
                format!(
                    "`{text}` is not a way to reuse instances: write \"fresh\", \"serial\" or \"concurrent\""
                )
            })
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": REUSE.map(|(word, _)| word) })
    }
}

impl Show for Reuse {
    fn json(&self) -> serde_json::Value {
        REUSE.iter().find(|(_, reuse)| reuse == self).map(|(word, _)| *word).into()
    }
}

impl Value for SocketAddr {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        string(raw, report, "\"127.0.0.1:8443\"", |text| {
            text.parse().map_err(|_| {
                let loopback = text.starts_with("localhost:");
                let right = if loopback {
                    text.replacen("localhost", "127.0.0.1", 1)
                } else {
                    "127.0.0.1:8443".into()
                };
                format!("`{text}` is not an address: write IP and port, for example \"{right}\"")
            })
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["127.0.0.1:8443", "[::]:8443"] })
    }
}

impl Show for SocketAddr {
    fn json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

/// A path as the operating system takes it.
impl Value for PathBuf {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        string(raw, report, "\"data\"", |text| {
            if text.is_empty() || text.contains('\0') {
                return Err("this is not a path: write the name of a file or folder".into());
            }
            Ok(text.into())
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl Show for PathBuf {
    fn json(&self) -> serde_json::Value {
        self.display().to_string().into()
    }
}

macro_rules! word {
    ($(#[doc = $doc:literal])+ $name:ident, example $example:literal, pattern $pattern:literal, $check:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) String);

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl Value for $name {
            fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
                string(raw, report, concat!("\"", $example, "\""), str::parse)
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }

        impl Key for $name {
            const PATTERN: &'static str = $pattern;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// One line for people.
    Line, example "Upload sessions: start, confirm.", pattern "^.{1,200}$", |text| {
        let good = !text.is_empty() && text.chars().count() <= MAX_LINE && !text.contains(char::is_control);
        good.then_some(()).ok_or_else(|| format!("this is not one line of text: write 1 to {MAX_LINE} characters"))
    }
);

word!(
    /// A folder below another: relative, and never out of it.
    Below, example "ingestion", pattern "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", |text| {
        let segment = |s: &str| {
            s.starts_with(|c: char| c.is_ascii_alphanumeric())
                && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        text.split('/').all(segment).then_some(()).ok_or_else(|| {
            format!("`{text}` is not a folder below the bundles: write its name, for example \"ingestion\", without `..` or a leading `/`")
        })
    }
);

word!(
    /// Scheme, host and port, as a browser calls it.
    Origin, example "https://localhost:8443", pattern "^https://[^/?#@]+$", |text| {
        let good = text.parse::<http::Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("https")
                && uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|p| p.as_str() == "/")
        });
        (good && !text.ends_with('/')).then_some(()).ok_or_else(|| {
            format!("`{text}` is not a public address: write https://, host and port without a path, for example \"https://localhost:8443\"")
        })
    }
);

word!(
    /// Where an issuer of tokens is found.
    Issuer, example "https://login.example/tenant/v2.0", pattern "^https?://[^?#]+$", |text| {
        let good = text.parse::<http::Uri>().is_ok_and(|uri| {
            let host = uri.host().unwrap_or_default();
            let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
            uri.query().is_none() && (uri.scheme_str() == Some("https") || (loopback && uri.scheme_str() == Some("http")))
        });
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not an issuer: write its https:// address exactly as its tokens have it in `iss`")
        })
    }
);

word!(
    /// Where a component's REST interface is mounted.
    Prefix, example "/v1/uploads", pattern "^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*)?$", |text| {
        let segment = |s: &str| {
            !s.is_empty() && s != "." && s != ".."
                && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-'))
        };
        let good = text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not a path prefix: write it with a leading and no trailing `/`, for example \"/v1/uploads\"")
        })
    }
);

word!(
    /// A scope of a token (RFC 6749, section 3.3).
    Scope, example "analysis", pattern "^[!#-\\[\\]-~]{1,200}$", |text| {
        let good = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        (!text.is_empty() && text.len() <= MAX_LINE && text.bytes().all(good)).then_some(()).ok_or_else(|| {
            format!("`{text}` is not a scope: write one word without spaces, for example \"analysis\"")
        })
    }
);

word!(
    /// Who a token is for.
    Audience, example "api://trackunit", pattern "^[!-~]{1,200}$", |text| {
        (!text.is_empty() && text.len() <= MAX_LINE && text.bytes().all(|b| b.is_ascii_graphic())).then_some(()).ok_or_else(|| {
            format!("`{text}` is not an audience: write it as the tokens have it in `aud`, for example \"api://trackunit\"")
        })
    }
);

word!(
    /// Where a server outside is, and what all its paths begin with.
    ServiceUrl, example "https://vision.example/v1", pattern "^https?://[^/?#@]+(/[^?#]*[^/?#])?$", |text| {
        let good = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && !text.contains(['@', '?', '#'])
        });
        (good && !text.ends_with('/')).then_some(()).ok_or_else(|| {
            format!("`{text}` is not the address of a service: write https://, host, port and path, without a `/` at the end; keys go into `secrets`")
        })
    }
);

word!(
    /// A header of a request.
    Header, example "x-api-key", pattern "^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$", |text| {
        // What belongs to the transport is set by the host alone.
        let ours = ["connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"];
        let good = text.len() <= 100
            && text.parse::<http::HeaderName>().is_ok_and(|name| name.as_str() == text)
            && !ours.contains(&text);
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not a header that can be set: write its name in lower case, for example \"authorization\"; those of the transport are the host's")
        })
    }
);

word!(
    /// A condition in the Common Expression Language.
    Condition, example "caller.subject == args.owner", pattern "^.{1,1000}$", |text| {
        (!text.trim().is_empty() && text.len() <= 1_000).then_some(()).ok_or_else(|| {
            format!("`{text}` is not a condition: write it on one line, for example \"caller.subject == args.owner\"")
        })
    }
);

word!(
    /// A policy, as `@policy` in a schema names it.
    PolicyName, example "RequireApiScope", pattern "^[A-Za-z][A-Za-z0-9_.-]{0,62}$", |text| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let good = text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(inner);
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not a name of a policy: use letters, digits, `_`, `.` and `-`, beginning with a letter")
        })
    }
);

word!(
    /// A caller, as the issuer's tokens have it in `sub`.
    Subject, example "system:serviceaccount:trackunit:gateway", pattern "^[^\\s]{1,255}$", |text| {
        let good = !text.is_empty() && text.len() <= MAX_SUBJECT && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not a subject: write it as the tokens have it in `sub`, without spaces")
        })
    }
);

word!(
    /// Where a broker is.
    BrokerUrl, example "amqps://rabbitmq.example:5671", pattern "^amqps?://[^/?#@]+(/[^/?#@]*)?$", |text| {
        let good = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("amqp" | "amqps"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && !text.contains('@')
                && uri.query().is_none()
                && !uri.path().trim_start_matches('/').contains('/')
        });
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not the address of a RabbitMQ: write amqps:// or amqp://, host, port and virtual host; the user goes into `user`, the password into the file `password-file`")
        })
    }
);

word!(
    /// An exchange, a queue or a routing key.
    BrokerName, example "tu.image.uploaded", pattern "^[!-~]{1,200}$", |text| {
        (!text.is_empty() && text.len() <= MAX_LINE && text.bytes().all(|b| b.is_ascii_graphic())).then_some(()).ok_or_else(|| {
            format!("`{text}` is not a name in RabbitMQ: write 1 to {MAX_LINE} characters without spaces")
        })
    }
);

word!(
    /// Who logs in at a broker.
    UserName, example "trackunit", pattern "^[!-~]{1,200}$", |text| {
        (!text.is_empty() && text.len() <= MAX_LINE && text.bytes().all(|b| b.is_ascii_graphic())).then_some(()).ok_or_else(|| {
            format!("`{text}` is not a user: write 1 to {MAX_LINE} characters without spaces")
        })
    }
);

impl Show for UserName {
    fn json(&self) -> serde_json::Value {
        self.0.clone().into()
    }
}

word!(
    /// How an exchange routes.
    Routing, example "fanout", pattern "^(fanout|direct|topic)$", |text| {
        matches!(text, "fanout" | "direct" | "topic").then_some(()).ok_or_else(|| {
            format!("`{text}` is not a kind of exchange that topics can have: write fanout, direct or topic")
        })
    }
);

word!(
    /// What becomes of fields that a caller may not have.
    Authorization, example "reject", pattern "^(reject|filter)$", |text| {
        matches!(text, "reject" | "filter").then_some(()).ok_or_else(|| {
            format!("`{text}` is not what can become of a forbidden field: write reject or filter")
        })
    }
);

impl Show for Authorization {
    fn json(&self) -> serde_json::Value {
        self.0.clone().into()
    }
}

word!(
    /// A setting of a component. Becomes the environment variable of the same name in
    /// capitals, with `_` for `-`.
    SettingName, example "verify", pattern "^[a-z][a-z0-9-]{0,62}$", |text| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(inner);
        good.then_some(()).ok_or_else(|| {
            format!("`{text}` is not a name of a setting: use a-z, 0-9 and `-`, beginning with a letter")
        })
    }
);

word!(
    /// A semantic version.
    Version, example "0.1.0", pattern "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)([-+][0-9A-Za-z.+-]+)?$", |text| {
        semver::Version::parse(text).map(|_| ()).map_err(|_| {
            format!("`{text}` is not a semantic version: write three numbers, for example \"0.1.0\"")
        })
    }
);

/// The value of a setting: a string, a boolean or an integer, handed on as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl Value for Text {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        let text = match raw.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => {
                    report.wrong(raw.span(), "this number is too large: write it as a string");
                    return None;
                }
            },
            other => {
                let why = format!(
                    "found {}, wanted a setting: write a string, a boolean or an integer",
                    kind(other)
                );
                report.wrong(raw.span(), &why);
                return None;
            }
        };
        if text.len() > MAX_SETTING || text.contains('\0') {
            let why = format!(
                "this is too long for a setting, or holds a NUL: write at most {MAX_SETTING} bytes of text"
            );
            report.wrong(raw.span(), &why);
            return None;
        }
        Some(Self(text))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean", "integer"] })
    }
}
