//! The kinds of values keys may have: how each is read, refused and described in the
//! JSON Schema. A value that is read here is valid by itself; what must fit between
//! values is checked in `check`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use monopod_core::name::{BucketName, ComponentName, ContainerName, InvalidName, MAX_NAME, TopicName};
use monopod_core::outgoing::Place;
use monopod_core::size::{self, Size};
use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use crate::report::Report;
use crate::section::At;

/// A value as the parser gives it.
pub(crate) type Raw<'a> = Spanned<DeValue<'a>>;

/// What a key may hold.
pub(crate) trait Value: Sized {
    /// Reads it, or reports why not.
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self>;
    /// What the JSON Schema says of it.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A value that can be a default, and so is shown in the JSON Schema.
pub(crate) trait Show {
    /// As it would be written in the file.
    fn json(&self) -> serde_json::Value;
}

/// What a value is, in TOML's words.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date-time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Reads a string with a parser whose errors are `what is wrong: what would be right`.
pub(crate) fn string<T>(
    raw: &Raw<'_>,
    report: &mut Report<'_>,
    example: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    match raw.get_ref() {
        DeValue::String(text) => parse(text).map_err(|why| report.wrong(raw.span(), &why)).ok(),
        other => {
            let why = format!("found {}, wanted a string: for example {example}", kind(other));
            report.wrong(raw.span(), &why);
            None
        }
    }
}

/// As `string`, but a bare number is given to the parser too: its complaint, that the
/// unit is missing, says more than that it is not a string.
fn measure<T>(
    raw: &Raw<'_>,
    report: &mut Report<'_>,
    example: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let number = match raw.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return string(raw, report, example, parse),
    };
    parse(&number).map_err(|why| report.wrong(raw.span(), &why)).ok()
}

impl Value for bool {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        match raw.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                let why =
                    format!("found {}, wanted a boolean: write true or false, without quotes", kind(other));
                report.wrong(raw.span(), &why);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

impl Show for bool {
    fn json(&self) -> serde_json::Value {
        (*self).into()
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Value for Count<MIN, MAX> {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        let right = format!("write a whole number from {MIN} to {MAX}, without quotes");
        let why = match raw.get_ref() {
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(n) if (i128::from(MIN)..=i128::from(MAX)).contains(&n) => {
                    return u32::try_from(n).ok().map(Self);
                }
                _ => format!("`{number}` is out of bounds: {right}"),
            },
            other => format!("found {}, wanted an integer: {right}", kind(other)),
        };
        report.wrong(raw.span(), &why);
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl<const MIN: u32, const MAX: u32> Show for Count<MIN, MAX> {
    fn json(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// A size from `MIN` to `MAX` bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<const MIN: u64, const MAX: u64>(pub(crate) Size);

impl<const MIN: u64, const MAX: u64> Value for Bytes<MIN, MAX> {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        measure(raw, report, "\"64MiB\"", |text| {
            let size = Size::parse(text)?;
            if (MIN..=MAX).contains(&size.get()) {
                return Ok(Self(size));
            }
            let (min, max) = (written_size(MIN), written_size(MAX));
            Err(format!("`{text}` is out of bounds: write a size from {min} to {max}"))
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ *(B|KB|kB|MB|GB|KiB|MiB|GiB)$",
            "examples": [written_size(MIN), written_size(MAX)],
        })
    }
}

impl<const MIN: u64, const MAX: u64> Show for Bytes<MIN, MAX> {
    fn json(&self) -> serde_json::Value {
        written_size(self.0.get()).into()
    }
}

/// A size as the file would have it: in the largest unit that is exact.
fn written_size(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b.is_multiple_of(1 << 30) => format!("{}GiB", b >> 30),
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => format!("{}MiB", b >> 20),
        b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}

/// A duration from `MIN` to `MAX` milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<const MIN: u64, const MAX: u64>(pub(crate) Duration);

impl<const MIN: u64, const MAX: u64> Value for Span<MIN, MAX> {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        measure(raw, report, "\"20s\"", |text| {
            let duration = size::parse_duration(text)?;
            if (u128::from(MIN)..=u128::from(MAX)).contains(&duration.as_millis()) {
                return Ok(Self(duration));
            }
            let (min, max) = (written_duration(MIN), written_duration(MAX));
            Err(format!("`{text}` is out of bounds: write a duration from {min} to {max}"))
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ *(ms|s|m|min|h|d)$",
            "examples": [written_duration(MIN), written_duration(MAX)],
        })
    }
}

impl<const MIN: u64, const MAX: u64> Show for Span<MIN, MAX> {
    fn json(&self) -> serde_json::Value {
        written_duration(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)).into()
    }
}

/// A duration as the file would have it.
fn written_duration(millis: u64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis >= unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

macro_rules! names {
    ($($name:ty)+) => { $(
        impl Value for $name {
            fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
                string(raw, report, "\"images\"", |text| {
                    text.parse().map_err(|why: InvalidName| why.to_string())
                })
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "maxLength": MAX_NAME,
                    "pattern": NAME_PATTERN,
                })
            }
        }
    )+ };
}
names!(ComponentName TopicName BucketName ContainerName);

impl Value for Place {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        string(raw, report, "\"https://vision.example/v1/\"", str::parse)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^https?://[^/?#@ ]+/[^?#% ]*( at [0-9a-fA-F.:/, ]+)?$",
            "examples": ["https://vision.example/v1/", "http://search.default.svc:9200/ at 10.96.0.0/12"],
        })
    }
}

/// What `core::name` accepts, for the JSON Schema.
const NAME_PATTERN: &str = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";

/// An array whose items all differ, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Set<T>(pub(crate) Vec<(T, Range<usize>)>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Value + PartialEq> Value for Set<T> {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        let DeValue::Array(array) = raw.get_ref() else {
            let found = kind(raw.get_ref());
            report
                .wrong(raw.span(), &format!("found {found}, wanted an array: write it in brackets, [\"…\"]"));
            return None;
        };
        let mut items: Vec<(T, Range<usize>)> = Vec::new();
        for raw in array.iter() {
            let Some(item) = T::read(raw, report) else { continue };
            if items.iter().any(|(other, _)| *other == item) {
                report.wrong(raw.span(), "this is listed a second time: remove it");
                continue;
            }
            items.push((item, raw.span()));
        }
        Some(Self(items))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = T::schema(generator);
        json_schema!({ "type": "array", "uniqueItems": true, "items": items })
    }
}

impl<T> Show for Set<T> {
    fn json(&self) -> serde_json::Value {
        // A default set is always the empty one.
        serde_json::json!([])
    }
}

/// What may be the key of an open-ended table.
pub(crate) trait Key: Ord + FromStr<Err: std::fmt::Display> {
    /// The shape of a key, for the JSON Schema.
    const PATTERN: &'static str;
}

impl Key for ComponentName {
    const PATTERN: &'static str = NAME_PATTERN;
}

impl Key for TopicName {
    const PATTERN: &'static str = NAME_PATTERN;
}

/// A table whose keys the author chooses.
#[derive(Debug, Clone)]
pub(crate) struct Each<K, V> {
    pub(crate) entries: BTreeMap<K, At<V>>,
}

impl<K, V> Default for Each<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<K: Key, V: Value> Value for Each<K, V> {
    fn read(raw: &Raw<'_>, report: &mut Report<'_>) -> Option<Self> {
        let table = crate::section::table_of(raw, report)?;
        let mut entries = BTreeMap::new();
        for (name, raw) in table.iter() {
            let text: &str = name.get_ref();
            report.within(text, raw.span(), |report| {
                let key = text.parse::<K>().map_err(|why| report.wrong_key(name.span(), &why.to_string()));
                // Read it all the same: what is wrong inside should be said now, not next time.
                let value = V::read(raw, report);
                if let (Ok(key), Some(value)) = (key, value) {
                    entries.insert(key, At { value, key: name.span(), span: raw.span() });
                }
            });
        }
        Some(Self { entries })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let value = V::schema(generator);
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": K::PATTERN },
            "additionalProperties": value,
        })
    }
}
