//! The platform file against the manifests of its components: what each needs must be
//! granted, what it can be set to must exist. Called when the bundles are open.

use std::collections::BTreeMap;

use monopod_core::component::Grants;
use monopod_core::diagnostic::Diagnostic;
use monopod_core::name::ComponentName;
use monopod_core::outgoing::Place;

use crate::manifest::{Manifest, Setting};
use crate::plan::{Component, Marks, Plan};
use crate::report::{header, suggest};

/// For each component the environment its instances get: settings by variable, with the
/// manifest's defaults filled in.
pub type Settings = BTreeMap<ComponentName, BTreeMap<String, String>>;

/// The environment variable of a setting: `max-age` is `MAX_AGE`.
pub fn variable(setting: &str) -> String {
    setting.to_ascii_uppercase().replace('-', "_")
}

/// Checks that every component of the plan that has a manifest here is granted what it
/// needs and set to what it understands. Returns the settings of all of them, or every
/// mistake.
pub fn check_needs(
    plan: &Plan,
    manifests: &BTreeMap<ComponentName, Manifest>,
) -> Result<Settings, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let mut settings = Settings::new();
    for (name, component) in &plan.components {
        let Some(manifest) = manifests.get(name) else { continue };
        let one = One { plan, name, component, manifest, marks: plan.source.marks.get(name) };
        one.needs(&mut found);
        settings.insert(name.clone(), one.settings(&mut found));
    }
    found.sort_by_key(|d: &Diagnostic| d.place.as_ref().map_or((0, 0), |place| (place.line, place.column)));
    if found.is_empty() { Ok(settings) } else { Err(found) }
}

/// One component and all that is said of it.
struct One<'p> {
    plan: &'p Plan,
    name: &'p ComponentName,
    component: &'p Component,
    manifest: &'p Manifest,
    marks: Option<&'p Marks>,
}

impl One<'_> {
    fn needs(&self, found: &mut Vec<Diagnostic>) {
        let (needs, grants) = (&self.manifest.needs, &self.component.grants);
        self.kind("call", "call", &needs.call, &grants.call, found);
        self.http(needs, grants, found);
        self.kind("publish", "publish to", &needs.publish, &grants.publish, found);
        self.kind("consume", "consume", &needs.consume, &grants.consume, found);
        self.kind("buckets", "use the bucket", &needs.buckets, &grants.buckets, found);
        self.kind("blobs", "use the blobs of", &needs.blobs, &grants.blobs, found);
        if needs.timers && !grants.timers {
            let message = format!("component `{}` needs to set timers, which it is not granted", self.name);
            found.push(self.grant("timers", message, "timers = true"));
        }
    }

    /// A wider grant meets a need too.
    fn http(&self, needs: &Grants, grants: &Grants, found: &mut Vec<Diagnostic>) {
        let covered = |need: &&Place| grants.http.iter().any(|grant| grant.covers(need));
        let missing: std::collections::BTreeSet<Place> =
            needs.http.iter().filter(|need| !covered(need)).cloned().collect();
        if !missing.is_empty() {
            let wanted = missing.union(&grants.http).cloned().collect();
            self.kind("http", "send requests to", &wanted, &grants.http, found);
        }
    }

    fn kind<T: Ord + std::fmt::Display>(
        &self,
        key: &'static str,
        does: &str,
        needs: &std::collections::BTreeSet<T>,
        grants: &std::collections::BTreeSet<T>,
        found: &mut Vec<Diagnostic>,
    ) {
        let missing: Vec<String> = needs.difference(grants).map(|item| format!("`{item}`")).collect();
        if missing.is_empty() {
            return;
        }
        let all: Vec<String> = needs.union(grants).map(|item| format!("\"{item}\"")).collect();
        let line = format!("{key} = [{}]", all.join(", "));
        let message = format!(
            "component `{}` needs to {does} {}, which it is not granted",
            self.name,
            missing.join(", ")
        );
        found.push(self.grant(key, message, &line));
    }

    /// A grant that is missing, with the line that gives it.
    fn grant(&self, key: &str, message: String, line: &str) -> Diagnostic {
        let written = self.marks.and_then(|marks| marks.grants.get(key)).cloned();
        let section = header(&["components".into(), self.name.to_string(), "grants".into()]);
        let help = match written {
            Some(_) => format!("write:  {line}"),
            None => format!("add to {section}:  {line}"),
        };
        let span = written.or_else(|| self.marks.map(|marks| marks.header.clone()));
        self.plan.source.at(span, message, Some(help))
    }

    fn settings(&self, found: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
        let mut ready = BTreeMap::new();
        let declared = &self.manifest.settings;
        for (key, value) in &self.component.settings {
            let (key_at, value_at) =
                self.marks.and_then(|marks| marks.settings.get(key)).cloned().unwrap_or_default();
            let Some(setting) = declared.get(key) else {
                let known: Vec<&str> = declared.keys().map(String::as_str).collect();
                let message = format!("component `{}` has no setting `{key}`", self.name);
                let help = suggest(key, "settings", &known);
                found.push(self.plan.source.at(Some(key_at), message, Some(help)));
                continue;
            };
            if let Some(help) = refuse(setting, value) {
                let message = format!("setting `{key}` of component `{}` cannot be `{value}`", self.name);
                found.push(self.plan.source.at(Some(value_at), message, Some(help)));
                continue;
            }
            ready.insert(variable(key), value.clone());
        }
        for (key, setting) in declared {
            if self.component.settings.contains_key(key) {
                continue;
            }
            match &setting.default {
                Some(default) => {
                    ready.insert(variable(key), default.clone());
                }
                None => {
                    let message = format!("component `{}` must be given the setting `{key}`", self.name);
                    let section = header(&["components".into(), self.name.to_string()]);
                    let example = setting.one_of.first().map_or("…", String::as_str);
                    let help = format!("add to {section}:  settings.{key} = \"{example}\"");
                    let span = self.marks.map(|marks| marks.header.clone());
                    found.push(self.plan.source.at(span, message, Some(help)));
                }
            }
        }
        ready
    }
}

/// Why a setting cannot have this value, if it cannot.
fn refuse(setting: &Setting, value: &str) -> Option<String> {
    if setting.one_of.is_empty() || setting.one_of.iter().any(|choice| choice == value) {
        return None;
    }
    let choices: Vec<&str> = setting.one_of.iter().map(String::as_str).collect();
    Some(suggest(value, "one of", &choices))
}
