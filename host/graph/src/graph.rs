//! The front of this room: what the binary builds and `edge` mounts.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use monopod_core::event::Events;
use monopod_core::identity::Authenticator;
use monopod_core::invoke::Components;
use monopod_core::outgoing::Outgoing;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::budget::Budgets;
use crate::protocol;
use crate::schema::Schema;

/// A served schema. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Graph {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// What is served: replaced as one.
    pub schema: Arc<ArcSwap<Served>>,
    /// Says that another schema is in place; subscriptions listen to it.
    pub swapped: watch::Sender<()>,
    pub events: Arc<dyn Events>,
    pub authenticator: Arc<dyn Authenticator>,
    pub stop: CancellationToken,
}

/// A schema and those who answer its fields: whoever asks by the one asks the others.
pub(crate) struct Served {
    pub schema: Arc<Schema>,
    pub ports: Ports,
}

impl Deref for Served {
    type Target = Schema;

    fn deref(&self) -> &Schema {
        &self.schema
    }
}

/// Who answers fields, and what callers may cost.
pub(crate) struct Ports {
    pub components: Arc<dyn Components>,
    pub outgoing: Arc<dyn Outgoing>,
    pub budgets: Arc<Budgets>,
}

/// What a graph is plugged into.
pub struct Parts {
    /// Answer fields.
    pub components: Arc<dyn Components>,
    /// Sends the requests of fields that servers outside answer.
    pub outgoing: Arc<dyn Outgoing>,
    /// Feed subscriptions.
    pub events: Arc<dyn Events>,
    /// Verifies tokens that come inside a WebSocket.
    pub authenticator: Arc<dyn Authenticator>,
    /// When cancelled, WebSockets are closed with 1001 and event streams end; requests
    /// under way are answered.
    pub shutdown: CancellationToken,
}

impl Graph {
    /// Serves `schema`.
    pub fn new(schema: Schema, parts: Parts) -> Self {
        let Parts { components, outgoing, events, authenticator, shutdown: stop } = parts;
        let ports = Ports { components, outgoing, budgets: Arc::default() };
        let served = Served { schema: Arc::new(schema), ports };
        let schema = Arc::new(ArcSwap::from_pointee(served));
        let swapped = watch::Sender::new(());
        Self { inner: Arc::new(Inner { schema, swapped, events, authenticator, stop }) }
    }

    /// `/graphql` with all its protocols. Each request must carry a
    /// [`monopod_core::context::Context`] in its extensions; one without is anonymous.
    ///
    /// No origin is checked, because no cookie authenticates here: another site's page
    /// can open a socket, but it has no token to send.
    pub fn router(&self) -> Router {
        protocol::router(Arc::clone(&self.inner))
    }

    /// Puts another schema in place. Operations under way keep theirs, and so do subscriptions
    /// whose field is the same in both, with all types below it and who answers them; others
    /// end with `SCHEMA_CHANGED`, and their clients subscribe again.
    pub fn swap(&self, schema: Schema) {
        let components = Arc::clone(&self.inner.schema.load().ports.components);
        self.replace(schema, components);
    }

    /// The same together with those who answer: operations under way go on to ask the components
    /// that they began with. What a subscription looks up for its next event it asks of the new.
    pub fn replace(&self, mut schema: Schema, components: Arc<dyn Components>) {
        let before = self.inner.schema.load();
        schema.keep_counts(&before.schema);
        let ports = Ports {
            components,
            outgoing: before.ports.outgoing.clone(),
            budgets: before.ports.budgets.clone(),
        };
        self.inner.schema.store(Arc::new(Served { schema: Arc::new(schema), ports }));
        self.inner.swapped.send_replace(());
    }

    /// What was counted of each field that somebody is asked for, since the start or since the
    /// field is in the schema.
    pub fn seen(&self) -> Vec<monopod_core::seen::Field> {
        crate::seen::fields(&self.inner.schema.load())
    }

    /// The schema that is served now.
    pub fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.inner.schema.load().schema)
    }
}

/// What `/graphql` answers where no component adds to a schema: that there is none.
pub fn absent() -> Router {
    let answer = || async {
        let text = r#"{"errors":[{"message":"no component of this platform adds to a GraphQL schema"}]}"#;
        (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/json")], text)
    };
    Router::new().fallback(answer)
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
