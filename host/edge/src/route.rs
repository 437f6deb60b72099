//! The routes: which of them a path takes.
//!
//! The table is built once and read for every request. A component that is exposed
//! under `/` gets what nothing else takes, but never a path below a reserved prefix.

use std::collections::HashMap;

use monopod_core::name::ComponentName;

use crate::Error;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Graphql,
    Blob,
    Live,
    Ready,
    Issuer,
    Component(&'a ComponentName),
    Unknown,
}

impl<'a> Route<'a> {
    /// What the access log calls it: never the path itself, which can hold secrets.
    pub(crate) fn label(self) -> &'a str {
        match self {
            Self::Graphql => "graphql",
            Self::Blob => "blobs",
            Self::Live | Self::Ready => "health",
            Self::Issuer => "identity",
            Self::Component(name) => name.as_str(),
            Self::Unknown => "unknown",
        }
    }
}

/// First segments that no component can have.
const RESERVED: [&str; 4] = ["graphql", "blobs", "health", "identity"];

/// The exposed components by prefix. Prefixes have no slash at their end.
#[derive(Debug, Default)]
pub(crate) struct Table {
    exposed: HashMap<String, ComponentName>,
    /// Of the longest prefix: what lies behind is not looked at.
    longest: usize,
}

impl Table {
    pub(crate) fn new(exposed: Vec<(String, ComponentName)>) -> Result<Self, Error> {
        let mut table = Self::default();
        for (prefix, component) in exposed {
            let wrong = |why: String| Error::Exposed {
                component: component.to_string(),
                prefix: prefix.clone(),
                why,
            };
            let bare = match prefix.as_str() {
                "/" => "",
                other => other,
            };
            let fine = bare.is_empty() || crate::path::normalise(bare).is_ok_and(|path| path == bare);
            if !fine || bare.ends_with('/') || bare.contains(['?', '#', ';']) {
                return Err(wrong(
                    "write \"/\", or a path like \"/v1/uploads\" without a slash at its end".to_owned(),
                ));
            }
            let first = bare.split('/').nth(1).unwrap_or_default();
            if RESERVED.contains(&first) {
                return Err(wrong(format!("`/{first}` belongs to the platform; choose another prefix")));
            }
            if let Some(other) = table.exposed.get(bare) {
                return Err(wrong(format!("`{other}` is exposed there already; give it to one of them")));
            }
            table.longest = table.longest.max(bare.len());
            table.exposed.insert(bare.to_owned(), component);
        }
        Ok(table)
    }

    /// The route of a normalised path.
    pub(crate) fn find(&self, path: &str) -> Route<'_> {
        if below(path, "/graphql") {
            return Route::Graphql;
        }
        if below(path, "/blobs") {
            return Route::Blob;
        }
        if below(path, "/health") {
            return match path {
                "/health/live" => Route::Live,
                "/health/ready" => Route::Ready,
                _ => Route::Unknown,
            };
        }
        if below(path, "/identity") {
            return Route::Issuer;
        }
        self.component(path).map_or(Route::Unknown, Route::Component)
    }

    /// The component with the longest prefix: as many looks as the path has segments, however
    /// many components there are.
    fn component(&self, path: &str) -> Option<&ComponentName> {
        let mut prefix = path;
        loop {
            if prefix.len() <= self.longest
                && let Some(name) = self.exposed.get(prefix)
            {
                return Some(name);
            }
            prefix = prefix.rsplit_once('/')?.0;
        }
    }
}

/// Whether `path` is `prefix` or lies below it.
fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &str)]) -> Result<Table, Error> {
        Table::new(entries.iter().map(|(p, c)| ((*p).to_owned(), c.parse().unwrap())).collect())
    }

    #[test]
    fn the_longest_prefix_takes_a_path_and_only_at_a_slash() {
        let table = table(&[("/", "web"), ("/v1", "api"), ("/v1/uploads", "ingestion")]).unwrap();
        for (path, expect) in [
            ("/v1/uploads", "ingestion"),
            ("/v1/uploads/start", "ingestion"),
            ("/v1/uploadsx", "api"),
            ("/v1x", "web"),
            ("/", "web"),
            ("/graphql", "graphql"),
            ("/graphqlx", "web"),
            ("/blobs/a/b", "blobs"),
            ("/health/live", "health"),
            ("/health", "unknown"),
            ("/health/other", "unknown"),
            ("/identity/token", "identity"),
        ] {
            assert_eq!(table.find(path).label(), expect, "{path}");
        }
    }

    #[test]
    fn an_exposure_that_cannot_be_is_refused_with_the_reason() {
        for (entries, why) in [
            (&[("v1", "a")][..], "write"),
            (&[("/v1/", "a")], "write"),
            (&[("/a/../b", "a")], "write"),
            (&[("/a?b", "a")], "write"),
            (&[("", "a"), ("/", "b")], "already"),
            (&[("/graphql", "a")], "belongs"),
            (&[("/identity/x", "a")], "belongs"),
            (&[("/v1", "a"), ("/v1", "b")], "already"),
        ] {
            let error = table(entries).unwrap_err().to_string();
            assert!(error.contains(why), "{entries:?}: {error}");
        }
    }
}
