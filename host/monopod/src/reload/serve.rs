//! The running platform's side of `monopod reload`: everything is read, checked and loaded beside
//! what serves, and then put in its place; or nothing is. Reached through the admin socket only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use monopod_config::Plan;
use monopod_core::name::ComponentName;
use monopod_edge::{Behind, Exposed};
use monopod_engine::Engine;
use monopod_graph::{Change, Class, Graph};
use tokio::sync::Mutex;

use super::{Answer, Ask, Outcome, PATH, fixed};
use crate::live::Live;
use crate::platform::{self, Platform};
use crate::{USAGE, schema, up};

/// What a reload changes, and what it is held against.
pub struct Running {
    /// The platform file.
    pub file: PathBuf,
    /// The folder of bundles of the command line.
    pub bundles: Option<PathBuf>,
    /// The address of the command line.
    pub listen: Option<SocketAddr>,
    /// The components.
    pub live: Arc<Live>,
    /// The schema; none where no component adds to one.
    pub graph: Option<Graph>,
    /// The routes of components.
    pub behind: Behind,
    /// What the file said when it was last put in place.
    pub plan: Plan,
}

/// What answers: one reload at a time.
#[derive(Clone)]
pub struct Desk(Arc<Mutex<Running>>);

impl Desk {
    pub fn new(running: Running) -> Self {
        Self(Arc::new(Mutex::new(running)))
    }
}

/// The route of the admin socket.
pub fn router(desk: Desk) -> Router {
    Router::new().route(PATH, post(answer)).with_state(desk)
}

async fn answer(State(desk): State<Desk>, Json(ask): Json<Ask>) -> Json<Answer> {
    let mut running = desk.0.lock_owned().await;
    // Compiling takes a while. Who goes away meanwhile has it done nevertheless, or not at all.
    let done = tokio::task::spawn_blocking(move || running.reload(&ask)).await;
    Json(done.unwrap_or_else(|error| *refused(format!("the reload broke off: {error}"))))
}

fn refused(why: impl ToString) -> Box<Answer> {
    let reasons = vec![why.to_string()];
    Box::new(Answer { outcome: Outcome::Refused, reasons, ..Answer::default() })
}

impl Running {
    /// Blocks for as long as reading and compiling take.
    fn reload(&mut self, ask: &Ask) -> Answer {
        let answer = self.attempt(ask).unwrap_or_else(|answer| *answer);
        let (outcome, reasons) = (answer.outcome, &answer.reasons);
        let Answer { added, replaced, removed, .. } = &answer;
        tracing::info!(?outcome, ?added, ?replaced, ?removed, ?reasons, "reload");
        answer
    }

    /// Changes nothing unless it gets to its end.
    fn attempt(&mut self, ask: &Ask) -> Result<Answer, Box<Answer>> {
        let mut platform = platform::load(&self.file, self.bundles.as_deref()).map_err(|failed| {
            let (mut reasons, end) = failed.told("");
            if reasons.is_empty() {
                reasons.push(end.trim_end().to_owned());
            }
            let outcome = if failed.code() == USAGE { Outcome::Mistakes } else { Outcome::Refused };
            Box::new(Answer { outcome, reasons, ..Answer::default() })
        })?;
        platform.plan.listen_at(self.listen);
        let fixed = fixed::changed(&self.plan, &platform.plan);
        if !fixed.is_empty() {
            let answer = Answer { outcome: Outcome::Refused, reasons: fixed, ..Answer::default() };
            return Err(Box::new(answer));
        }
        let Platform { plan, components, schema, .. } = platform;
        let changes = match (&self.graph, &schema) {
            (None, None) => Vec::new(),
            (Some(graph), Some(schema)) => monopod_graph::diff(&graph.schema().sdl(), schema)
                .map_err(|why| refused(format!("the served schema cannot be compared: {why}")))?,
            _ => {
                let why = "whether there is a GraphQL schema at all is decided at the start";
                return Err(refused(format!("{why}\n  fix: start the platform again")));
            }
        };
        let told: Vec<_> = changes.iter().map(schema::change).collect();
        if changes.iter().any(|change: &Change| change.class == Class::Breaking) && !ask.allow_breaking {
            let answer = Answer { outcome: Outcome::Breaking, changes: told, ..Answer::default() };
            return Err(Box::new(answer));
        }

        let (engine, reports) = self.live.now().with(components).map_err(refused)?;
        up::resolves(&engine, schema.as_ref()).map_err(refused)?;
        let engine = Arc::new(engine);
        let exposed = Exposed::new(up::exposed(&plan), engine.clone()).map_err(refused)?;

        let known = |name: &ComponentName| self.plan.components.contains_key(name);
        let (replaced, added): (Vec<_>, Vec<_>) =
            reports.into_iter().map(|report| report.component).partition(known);
        let removed = self.plan.components.keys().filter(|name| !plan.components.contains_key(*name));
        let names = |names: Vec<ComponentName>| names.iter().map(ToString::to_string).collect();
        let answer = Answer {
            outcome: Outcome::Done,
            reasons: Vec::new(),
            added: names(added),
            replaced: names(replaced),
            removed: removed.map(ToString::to_string).collect(),
            changes: told,
        };
        self.put(plan, engine, exposed, schema);
        Ok(answer)
    }

    /// Each of these is in place for whoever comes next; who came before goes on with what was.
    fn put(
        &mut self,
        plan: Plan,
        engine: Arc<Engine>,
        exposed: Exposed,
        schema: Option<monopod_graph::Schema>,
    ) {
        if let (Some(graph), Some(schema)) = (&self.graph, schema) {
            graph.replace(schema, engine.clone());
        }
        self.behind.put(exposed);
        self.live.replace(engine).retire();
        self.plan = plan;
    }
}
