//! Leaf types: what may go in as an argument and what may come out of a component.
//! Components are not trusted: a value that is not of its declared type is an error of
//! the field, never passed on.

use std::borrow::Cow;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::json::{self, Json};

/// The custom scalars of the host, with the specification each follows. Components use
/// them without defining them.
pub const SCALARS: [(&str, &str, &str); 5] = [
    (
        "DateTime",
        "A point in time, as RFC 3339 writes it: `2026-11-23T10:15:30Z`.",
        "https://www.rfc-editor.org/rfc/rfc3339",
    ),
    ("JSON", "Any JSON value.", "https://www.rfc-editor.org/rfc/rfc8259"),
    ("Long", "A whole number of 64 bits with a sign.", "https://www.rfc-editor.org/rfc/rfc8259#section-6"),
    ("URL", "An absolute URL.", "https://www.rfc-editor.org/rfc/rfc3986"),
    (
        "UUID",
        "A universally unique identifier: 8-4-4-4-12 hexadecimal digits.",
        "https://www.rfc-editor.org/rfc/rfc9562",
    ),
];

/// The longest date, URL or UUID that is looked at, in bytes: what browsers take as a URL.
const MAX_FORMATTED: usize = 2_048;

/// A scalar or an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// 32 bits with a sign.
    Int,
    /// A finite double.
    Float,
    /// A text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A text, or a whole number that is made one.
    Id,
    /// RFC 3339.
    DateTime,
    /// Anything.
    Json,
    /// 64 bits with a sign.
    Long,
    /// Absolute.
    Url,
    /// 8-4-4-4-12.
    Uuid,
    /// One of the values.
    Enum(Arc<[Box<str>]>),
}

impl Leaf {
    /// The scalar called `name`, built in or the host's.
    pub fn scalar(name: &str) -> Option<Self> {
        Some(match name {
            "Int" => Self::Int,
            "Float" => Self::Float,
            "String" => Self::String,
            "Boolean" => Self::Boolean,
            "ID" => Self::Id,
            "DateTime" => Self::DateTime,
            "JSON" => Self::Json,
            "Long" => Self::Long,
            "URL" => Self::Url,
            "UUID" => Self::Uuid,
            _ => return None,
        })
    }

    /// Appends a component's value, if it is one of this type. `null` is the caller's.
    pub fn write(&self, value: &Json<'_>, out: &mut Vec<u8>) -> Result<(), NotOfType> {
        match (self, value) {
            (Self::Json, _) | (Self::Boolean, Json::Bool(_)) | (Self::Long, Json::Int(_)) => value.write(out),
            (Self::Int, _) => json::write_int(out, int32(value).ok_or(NotOfType)?.into()),
            (Self::Long, Json::Float(number)) => {
                json::write_int(out, whole(*number, 9e15).ok_or(NotOfType)?);
            }
            (Self::Float, Json::Int(_) | Json::Large(_) | Json::Float(_)) => value.write(out),
            (Self::String, Json::String(text)) | (Self::Id, Json::String(text)) => json::write_str(out, text),
            // A number or a boolean has one obvious text; GraphQL allows it for results.
            (Self::String, Json::Int(_) | Json::Large(_) | Json::Float(_) | Json::Bool(_))
            | (Self::Id, Json::Int(_) | Json::Large(_)) => {
                out.push(b'"');
                value.write(out);
                out.push(b'"');
            }
            (_, Json::String(text)) if self.formatted(text) => json::write_str(out, text),
            _ => return Err(NotOfType),
        }
        Ok(())
    }

    /// A client's value in the shape components get it, if it is one of this type.
    /// `null` is the caller's. Stricter than for results: numbers are not made texts.
    pub fn accept<'a>(&self, value: Json<'a>) -> Result<Json<'a>, NotOfType> {
        match (self, &value) {
            (Self::Json, _)
            | (Self::Boolean, Json::Bool(_))
            | (Self::Long, Json::Int(_))
            | (Self::Float, Json::Int(_) | Json::Large(_) | Json::Float(_))
            | (Self::String | Self::Id, Json::String(_)) => Ok(value),
            (Self::Int, _) => int32(&value).map(|number| Json::Int(number.into())).ok_or(NotOfType),
            (Self::Id, Json::Int(number)) => Ok(Json::String(Cow::Owned(number.to_string()))),
            (_, Json::String(text)) if self.formatted(text) => Ok(value),
            _ => Err(NotOfType),
        }
    }

    /// Whether `text` is a value of a type that is written as a text of a certain form.
    fn formatted(&self, text: &str) -> bool {
        match self {
            Self::Enum(values) => values.iter().any(|value| **value == *text),
            _ if text.len() > MAX_FORMATTED => false,
            Self::DateTime => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
            Self::Url => absolute(text),
            Self::Uuid => uuid(text),
            _ => false,
        }
    }
}

/// The value is not one of the type; the caller knows the names for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOfType;

fn int32(value: &Json<'_>) -> Option<i32> {
    match value {
        Json::Int(number) => i32::try_from(*number).ok(),
        Json::Float(number) => whole(*number, 2_147_483_648.0).and_then(|number| i32::try_from(number).ok()),
        _ => None,
    }
}

fn whole(number: f64, bound: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and bounded")]
    (number.fract() == 0.0 && number.abs() <= bound).then_some(number as i64)
}

fn absolute(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && rest
            .bytes()
            .all(|b| b > 0x20 && b != 0x7f && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`'))
}

fn uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(leaf: &Leaf, text: &str) -> Option<String> {
        let mut out = Vec::new();
        leaf.write(&Json::parse(text.as_bytes()).unwrap(), &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_result_is_of_its_declared_type_or_refused() {
        let colours = Leaf::Enum(["RED".into(), "BLUE".into()].into());
        for (leaf, value, expected) in [
            (&Leaf::Int, "7", Some("7")),
            (&Leaf::Int, "7.0", Some("7")),
            (&Leaf::Int, "2147483648", None),
            (&Leaf::Int, "7.5", None),
            (&Leaf::Int, "\"7\"", None),
            (&Leaf::Long, "9007199254740993", Some("9007199254740993")),
            (&Leaf::Long, "18446744073709551615", None),
            (&Leaf::Float, "0.97", Some("0.97")),
            (&Leaf::Float, "1", Some("1")),
            (&Leaf::Float, "true", None),
            (&Leaf::String, "\"a\"", Some("\"a\"")),
            (&Leaf::String, "7", Some("\"7\"")),
            (&Leaf::String, "{}", None),
            (&Leaf::Boolean, "true", Some("true")),
            (&Leaf::Boolean, "1", None),
            (&Leaf::Id, "7", Some("\"7\"")),
            (&Leaf::Id, "7.5", None),
            (&Leaf::DateTime, "\"2026-11-23T10:15:30.5Z\"", Some("\"2026-11-23T10:15:30.5Z\"")),
            (&Leaf::DateTime, "\"2026-11-23\"", None),
            (&Leaf::DateTime, "7", None),
            (
                &Leaf::Url,
                "\"https://localhost:8443/blobs/a?b=c\"",
                Some("\"https://localhost:8443/blobs/a?b=c\""),
            ),
            (&Leaf::Url, "\"/relative\"", None),
            (
                &Leaf::Uuid,
                "\"0f3a0000-0000-7000-8000-00000000000a\"",
                Some("\"0f3a0000-0000-7000-8000-00000000000a\""),
            ),
            (&Leaf::Uuid, "\"0f3a\"", None),
            (&Leaf::Json, "{\"b\":[1],\"a\":null}", Some("{\"b\":[1],\"a\":null}")),
            (&colours, "\"RED\"", Some("\"RED\"")),
            (&colours, "\"GREEN\"", None),
            (&colours, "0", None),
        ] {
            assert_eq!(out(leaf, value).as_deref(), expected, "{leaf:?} {value}");
        }
    }

    #[test]
    fn an_argument_is_of_its_declared_type_or_refused() {
        for (leaf, value, good) in [
            (Leaf::String, "7", false),
            (Leaf::Id, "7", true),
            (Leaf::Int, "2147483647", true),
            (Leaf::Int, "2147483648", false),
            (Leaf::Int, "1e0", true),
            (Leaf::Boolean, "\"true\"", false),
            (Leaf::Float, "1", true),
            (Leaf::Long, "1.5", false),
            (Leaf::Url, "\"javascript\"", false),
            (Leaf::DateTime, "\"yesterday\"", false),
        ] {
            assert_eq!(leaf.accept(Json::parse(value.as_bytes()).unwrap()).is_ok(), good, "{leaf:?} {value}");
        }
    }
}
