//! Composition: the components' `schema.graphql` files become one schema, or a list of
//! everything that is wrong with them. Called when the platform starts and when a
//! component changes; never while a request runs.
//!
//! `merge` joins the syntax trees and finds clashes, `share` joins what may be in several, `apollo-compiler` validates the
//! whole, `bind` compiles the host's directives on each field, `public` takes them out of
//! what clients see.

mod bind;
mod connect;
mod merge;
mod one_of;
mod outside;
mod prelude;
mod print;
mod public;
mod rules;
mod share;
mod source;
mod subscribe;
mod unreachable;

use std::collections::BTreeSet;

use apollo_compiler::parser::Parser;
use monopod_core::component::{self, Limits};
use monopod_core::diagnostic::Diagnostic;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::outgoing::Place;

use crate::documents::Documents;
use crate::plan::cache::Cache;
use crate::schema::Schema;
use crate::settings::Settings;
pub(crate) use merge::ROOTS;
pub(crate) use one_of::NAME as ONE_OF;
use source::Sources;

/// What one component adds to the schema, and what it may touch.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// Whose it is. `@connect` calls it where `to:` names no other.
    pub component: ComponentName,
    /// Its `schema.graphql`.
    pub schema: component::Schema,
    /// The components it was granted to call.
    pub may_call: BTreeSet<ComponentName>,
    /// The topics that are declared.
    pub may_watch: BTreeSet<TopicName>,
    /// The servers outside it was granted to send requests to.
    pub may_send: BTreeSet<Place>,
    /// What its requests to them may use up.
    pub limits: Limits,
}

/// Composes one schema. On failure, everything that is wrong, in the order of the
/// contributions and of the lines in each.
pub fn compose(contributions: &[Contribution], settings: &Settings) -> Result<Schema, Vec<Diagnostic>> {
    if contributions.is_empty() {
        return Err(vec![Diagnostic {
            file: "schema.graphql".to_owned(),
            place: None,
            message: "no component adds to the GraphQL schema".to_owned(),
            help: Some("a schema needs at least one field of Query".to_owned()),
        }]);
    }
    let mut sources = Sources::new(contributions);
    let merged = merge::merge(contributions, &mut sources);
    if !sources.found.is_empty() && merged.documents.len() < contributions.len() {
        // A file could not be read: what refers to it would look wrong as well.
        return Err(sorted(sources.found, contributions));
    }

    let mut builder = apollo_compiler::Schema::builder().adopt_orphan_extensions();
    Parser::new().parse_into_schema_builder(prelude::sdl(), "monopod", &mut builder);
    for document in &merged.documents {
        builder = builder.add_ast(document);
    }
    let mut whole = match builder.build() {
        Ok(whole) => whole,
        Err(failed) => {
            sources.report_all(&failed.errors, Some(&failed.partial));
            return Err(sorted(sources.found, contributions));
        }
    };
    share::share(&mut whole, &merged.again, &mut sources);
    let whole = match whole.validate() {
        Ok(whole) => whole,
        Err(failed) => {
            sources.report_all(&failed.errors, Some(&failed.partial));
            return Err(sorted(sources.found, contributions));
        }
    };

    if sources.found.is_empty() {
        // What was left out above would make others look lost.
        unreachable::unreachable(&whole, &mut sources);
    }
    one_of::one_of(&whole, &mut sources);
    let types = bind::bind(&whole, &merged, &mut sources, settings);
    if !sources.found.is_empty() {
        return Err(sorted(sources.found, contributions));
    }
    match public::public(&whole) {
        Ok(public) => Ok(Schema {
            implementers: public.implementers_map(),
            prints: print::prints(&public, &types),
            public,
            types,
            settings: settings.clone(),
            plans: Cache::new(settings.cached_plans),
            documents: Documents::new(&settings.documents),
        }),
        Err(list) => {
            sources.report_all(&list, None);
            Err(sorted(sources.found, contributions))
        }
    }
}

fn sorted(mut found: Vec<Diagnostic>, contributions: &[Contribution]) -> Vec<Diagnostic> {
    let file = |diagnostic: &Diagnostic| {
        contributions.iter().position(|each| each.schema.file == diagnostic.file).unwrap_or(usize::MAX)
    };
    let place = |diagnostic: &Diagnostic| {
        diagnostic.place.as_ref().map_or((0, 0), |place| (place.line, place.column))
    };
    found.sort_by_key(|diagnostic| (file(diagnostic), place(diagnostic)));
    found.dedup();
    found
}
