//! The one way to declare a section of a file. `section!` writes the struct, its
//! reader, its defaults and its JSON Schema from the same lines, so that they cannot
//! come apart: a key that is declared acts, and one that is not is refused.

use std::ops::Range;

use schemars::{Schema, SchemaGenerator};
use toml::de::{DeTable, DeValue};

use crate::report::{Report, suggest};
use crate::value::{Raw, kind};

/// A value with where it stands. Both spans are empty (0..0) for a default.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    /// Of the key.
    pub(crate) key: Range<usize>,
    /// Of the value; for a section its header.
    pub(crate) span: Range<usize>,
}

impl<T> At<T> {
    /// A value the file does not have.
    pub(crate) fn absent(value: T) -> Self {
        Self { value, key: 0..0, span: 0..0 }
    }
}

/// A table with a known set of keys.
pub(crate) trait Section: Sized + Default {
    /// The keys it may have.
    const KEYS: &'static [&'static str];
    /// Reads it; what is wrong goes to the report, and the rest is read all the same.
    fn read(table: &DeTable<'_>, report: &mut Report<'_>) -> Self;
}

/// Reports every key that `S` does not have.
pub(crate) fn unknown<S: Section>(table: &DeTable<'_>, report: &mut Report<'_>) {
    for (key, value) in table.iter() {
        let found: &str = key.get_ref();
        if S::KEYS.contains(&found) {
            continue;
        }
        let top = report.depth() == 0;
        let message = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) if top => format!("unknown section [{found}]"),
            _ if top => format!("unknown key `{found}` before the first section"),
            _ => format!("unknown key `{found}` in {}", report.section()),
        };
        let help = suggest(found, if top { "known here" } else { "keys" }, S::KEYS);
        // It may be a misspelling of one that would otherwise be called missing.
        report.mark_broken();
        report.at(key.span(), message, Some(help));
    }
}

/// The value of `key`, if the table has it and it can be read.
pub(crate) fn take<T>(
    table: &DeTable<'_>,
    key: &str,
    report: &mut Report<'_>,
    read: impl FnOnce(&Raw<'_>, &mut Report<'_>) -> Option<T>,
) -> Option<At<T>> {
    let (name, raw) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    let value = report.within(key, raw.span(), |report| read(raw, report))?;
    Some(At { value, key: name.span(), span: raw.span() })
}

/// Reports a key that must be there and is not.
pub(crate) fn require(table: &DeTable<'_>, key: &str, example: &str, report: &mut Report<'_>) {
    if report.is_garbled() || table.iter().any(|(name, _)| name.get_ref() == key) {
        return;
    }
    if report.depth() == 0 {
        let message = if example.starts_with('[') {
            format!("section [{key}] is missing")
        } else {
            format!("key `{key}` is missing")
        };
        let add = if example.starts_with('[') { example.to_owned() } else { format!("{key} = {example}") };
        return report.whole(message, Some(format!("add:  {add}")));
    }
    let message = format!("{} has no `{key}`", report.section());
    report.at(report.section_span(), message, Some(format!("add:  {key} = {example}")));
}

/// A raw value as a table, or a report that it is none.
pub(crate) fn table_of<'r, 'a>(raw: &'r Raw<'a>, report: &mut Report<'_>) -> Option<&'r DeTable<'a>> {
    match raw.get_ref() {
        DeValue::Table(table) => Some(table),
        DeValue::Array(array) if array.is_array_of_tables_like() => {
            report.wrong(raw.span(), "this is a list of sections: write the header with single brackets");
            None
        }
        other => {
            let header = report.section();
            report.wrong(
                raw.span(),
                &format!("found {}, wanted a section: write {header} on a line of its own", kind(other)),
            );
            None
        }
    }
}

/// Told by their content, since the parser keeps its own mark to itself.
trait ArrayOfTables {
    fn is_array_of_tables_like(&self) -> bool;
}

impl ArrayOfTables for toml::de::DeArray<'_> {
    fn is_array_of_tables_like(&self) -> bool {
        let mut items = self.iter().peekable();
        items.peek().is_some() && items.all(|item| matches!(item.get_ref(), DeValue::Table(_)))
    }
}

/// One property of a section's JSON Schema.
pub(crate) fn property(
    schema: &mut Schema,
    key: &str,
    doc: &[&str],
    mut of: Schema,
    default: Option<serde_json::Value>,
) {
    of.insert("description".to_owned(), text(doc).into());
    if let Some(default) = default {
        of.insert("default".to_owned(), default);
    }
    let object = schema.ensure_object();
    if let Some(properties) =
        object.entry("properties").or_insert_with(|| serde_json::json!({})).as_object_mut()
    {
        properties.insert(key.to_owned(), of.to_value());
    }
}

/// Marks a property as one that must be there.
pub(crate) fn required(schema: &mut Schema, key: &str) {
    let object = schema.ensure_object();
    if let Some(list) = object.entry("required").or_insert_with(|| serde_json::json!([])).as_array_mut() {
        list.push(key.into());
    }
}

/// The schema of a section, as yet without properties.
pub(crate) fn object(doc: &[&str]) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "description": text(doc),
        "additionalProperties": false,
    })
}

fn text(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The whole schema document of a file.
pub(crate) fn document<S: schemars::JsonSchema>(title: &str) -> serde_json::Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<S>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// Declares a section. Each key is one of:
/// `required field "key": Type, "example";` · `optional field "key": Type;` ·
/// `default field "key": Type = value;` · `section field "key": Type;` (a section whose
/// keys all have defaults or are optional).
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        struct $name:ident {
            $(
                $(#[doc = $key_doc:literal])+
                $mode:ident $field:ident $key:literal: $type:ty $(, $example:literal)? $(= $default:expr)?;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $(
                $(#[doc = $key_doc])+
                pub(crate) $field: section!(@type $mode $type),
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: section!(@absent $mode $type $(, $default)?),)+ }
            }
        }

        impl $crate::section::Section for $name {
            const KEYS: &'static [&'static str] = &[$($key),+];

            fn read(
                table: &toml::de::DeTable<'_>,
                report: &mut $crate::report::Report<'_>,
            ) -> Self {
                $crate::section::unknown::<Self>(table, report);
                Self { $($field: section!(@read $mode table report $key $type $(, $example)? $(, $default)?),)+ }
            }
        }

        impl $crate::value::Value for $name {
            fn read(raw: &$crate::value::Raw<'_>, report: &mut $crate::report::Report<'_>) -> Option<Self> {
                let table = $crate::section::table_of(raw, report)?;
                Some(<Self as $crate::section::Section>::read(table, report))
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = $crate::section::object(&[$($doc),+]);
                $(
                    let of = <$type as $crate::value::Value>::schema(generator);
                    let default = section!(@json $mode $type $(, $default)?);
                    $crate::section::property(&mut schema, $key, &[$($key_doc),+], of, default);
                    section!(@required $mode schema $key);
                )+
                schema
            }
        }
    };

    (@type required $type:ty) => { Option<$crate::section::At<$type>> };
    (@type optional $type:ty) => { Option<$crate::section::At<$type>> };
    (@type default $type:ty) => { $crate::section::At<$type> };
    (@type section $type:ty) => { $crate::section::At<$type> };

    (@absent required $type:ty) => { None };
    (@absent optional $type:ty) => { None };
    (@absent default $type:ty, $default:expr) => { $crate::section::At::absent($default) };
    (@absent section $type:ty) => { $crate::section::At::absent(<$type>::default()) };

    (@read required $table:ident $report:ident $key:literal $type:ty, $example:literal) => {{
        $crate::section::require($table, $key, $example, $report);
        section!(@read optional $table $report $key $type)
    }};
    (@read optional $table:ident $report:ident $key:literal $type:ty) => {
        $crate::section::take($table, $key, $report, <$type as $crate::value::Value>::read)
    };
    (@read default $table:ident $report:ident $key:literal $type:ty, $default:expr) => {
        section!(@read optional $table $report $key $type)
            .unwrap_or_else(|| $crate::section::At::absent($default))
    };
    (@read section $table:ident $report:ident $key:literal $type:ty) => {
        section!(@read optional $table $report $key $type)
            .unwrap_or_else(|| $crate::section::At::absent(<$type>::default()))
    };

    (@json default $type:ty, $default:expr) => { Some(<$type as $crate::value::Show>::json(&$default)) };
    (@json $mode:ident $type:ty) => { None };

    (@required required $schema:ident $key:literal) => { $crate::section::required(&mut $schema, $key) };
    (@required $mode:ident $schema:ident $key:literal) => {};
}
pub(crate) use section;
