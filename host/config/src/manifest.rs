//! `component.toml`: what a component says of itself. Its author writes it, its bundle
//! carries it, and the platform file is checked against it.

use std::collections::BTreeMap;

use monopod_core::component::Grants as Needs;
use monopod_core::diagnostic::Diagnostic;
use monopod_core::name::ComponentName;

use crate::check::granted;
use crate::platform::Grants;
use crate::report::Report;
use crate::section::section;
use crate::value::{Each, Set};
use crate::words::{Line, SettingName, Text, Version};

section! {
    /// A component, as its author describes it.
    struct File {
        /// What the component is called.
        required name "name": ComponentName, "\"ingestion\"";
        /// Its semantic version.
        required version "version": Version, "\"0.1.0\"";
        /// What it is for, in one line.
        optional description "description": Line;
        /// What it must be granted to work: the same keys as the platform file's grants.
        section needs "needs": Grants;
        /// What the platform file may set: `[settings.<name>]`. The component finds it
        /// in the environment variable of that name in capitals, with `_` for `-`.
        section settings "settings": Each<SettingName, Entry>;
    }
}

section! {
    /// A setting of the component.
    struct Entry {
        /// The value where the platform file gives none; without it, it must give one.
        optional default "default": Text;
        /// The only values it may have.
        optional one_of "one-of": Set<Text>;
        /// What it does, in one line.
        optional description "description": Line;
    }
}

/// A component as its author describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What the component is called.
    pub name: ComponentName,
    /// Its semantic version.
    pub version: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it must be granted.
    pub needs: Needs,
    /// What may be set.
    pub settings: BTreeMap<String, Setting>,
}

/// A setting of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value where the platform file gives none.
    pub default: Option<String>,
    /// The only values it may have; empty: any.
    pub one_of: Vec<String>,
    /// What it does.
    pub description: Option<String>,
}

impl Manifest {
    /// Validates the text of a `component.toml`. `file` is how messages call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut report = Report::new(file, text);
        let raw = report.document::<File>(text);
        let manifest = manifest(&raw, &mut report);
        report.finish(manifest)
    }
}

fn manifest(raw: &File, report: &mut Report<'_>) -> Option<Manifest> {
    if report.is_garbled() {
        return None;
    }
    for (name, at) in &raw.settings.value.entries {
        setting(name, &at.value, report);
    }
    if let Some((name, name_at)) = raw.name.as_ref().map(|at| (&at.value, at)) {
        let itself = raw.needs.value.call.value.0.iter().find(|(callee, _)| callee == name);
        if let Some((_, span)) = itself {
            let message =
                format!("component `{}` needs to call itself, which would never end", name_at.value);
            report.at(span.clone(), message, Some("remove it".into()));
        }
    }
    if !report.is_clean() {
        return None;
    }
    let settings = raw.settings.value.entries.iter().map(|(name, at)| {
        let Entry { default, one_of, description } = &at.value;
        let setting = Setting {
            default: default.as_ref().map(|at| at.value.0.clone()),
            one_of: one_of.iter().flat_map(|at| &at.value.0).map(|(text, _)| text.0.clone()).collect(),
            description: description.as_ref().map(|at| at.value.0.clone()),
        };
        (name.0.clone(), setting)
    });
    Some(Manifest {
        name: raw.name.as_ref()?.value.clone(),
        version: raw.version.as_ref()?.value.0.clone(),
        description: raw.description.as_ref().map(|at| at.value.0.clone()),
        needs: granted(&raw.needs.value),
        settings: settings.collect(),
    })
}

fn setting(name: &SettingName, setting: &Entry, report: &mut Report<'_>) {
    let Some(one_of) = &setting.one_of else { return };
    let choices: Vec<&str> = one_of.value.0.iter().map(|(text, _)| text.0.as_str()).collect();
    if choices.is_empty() {
        let message = format!("setting `{name}` may have no value at all");
        report.at(one_of.span.clone(), message, Some("list the values, or remove `one-of`".into()));
    } else if let Some(default) = &setting.default
        && !choices.contains(&default.value.0.as_str())
    {
        let message =
            format!("setting `{name}` has the default `{}`, which is not in its `one-of`", default.value.0);
        let help = crate::report::suggest(&default.value.0, "one of", &choices);
        report.at(default.span.clone(), message, Some(help));
    }
}

/// The JSON Schema of manifests (draft 2020-12).
pub fn schema() -> serde_json::Value {
    crate::section::document::<File>("monopod component manifest")
}
