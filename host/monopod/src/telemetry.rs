//! Figures pushed to the collector that the platform file names: `operate` makes them, `edge`
//! sends them.

use std::sync::Arc;

use anyhow::Context as _;
use http::HeaderMap;
use monopod_config::Plan;
use monopod_core::seen::Source;
use monopod_edge::direct;
use monopod_operate::telemetry::{Counts, Settings, push};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where OTLP has metrics, below a collector's address.
const PATH: &str = "/v1/metrics";

/// A collector that can be pushed to.
pub struct Telemetry {
    settings: Settings,
    client: direct::Client,
    pub counts: Arc<Counts>,
}

/// The pushing, which ends when it is told to.
pub struct Pushing {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Telemetry {
    /// None where the platform file names no collector. Whether it is there is not asked.
    pub fn new(plan: &Plan, headers: Option<HeaderMap>) -> anyhow::Result<Option<Self>> {
        let (Some(to), Some(headers)) = (&plan.telemetry, headers) else { return Ok(None) };
        let url = format!("{}{PATH}", to.endpoint);
        let settings = Settings {
            url: url.parse().with_context(|| format!("[telemetry] `endpoint` makes no address: {url}"))?,
            headers,
            interval: to.interval,
            service: plan.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let client = direct::Client::new(to.ca.as_deref())?;
        Ok(Some(Self { settings, client, counts: Arc::default() }))
    }

    pub fn start(self, source: Arc<dyn Source>) -> Pushing {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let client = Arc::new(self.client);
        let task = tokio::spawn(push(self.settings, source, client, self.counts, stopped));
        Pushing { stop, task }
    }
}

impl Pushing {
    /// Pushes what happened until now, and ends; takes two seconds at most.
    pub async fn end(self) {
        self.stop.cancel();
        // One that broke has nothing more to say.
        let _ended = self.task.await;
    }
}
