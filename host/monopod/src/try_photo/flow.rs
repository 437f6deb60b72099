//! The way of one photo: watch, start, send, confirm, wait. Nothing that happens is
//! missed, because the events are subscribed to before the photo is confirmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::client::{Client, Error, Kind};
use super::photo::Photo;
use super::show::Show;

/// How often the progress of the upload is shown: as often as an eye follows.
const TICK: Duration = Duration::from_millis(80);

/// How long the reason of a failure may come after the failure itself.
const REASON: Duration = Duration::from_secs(2);

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The machine was looked for, and found or not.
    Completed,
    /// The analysis failed.
    Failed,
}

/// Sends the photo and shows what happens until the analysis has ended.
pub(super) async fn send(client: &Client, photo: &Photo, show: &mut Show) -> Result<Outcome, Error> {
    let mut watch = client.watch().await?;
    let upload = client.start_upload(&photo.filename, photo.content_type).await?;
    watch.subscribe(&upload.upload_id).await?;
    show.upload(&upload);

    let began = Instant::now();
    put(client, photo, &upload.put_url, show).await?;
    show.uploaded(photo.size(), began.elapsed());

    // From when it was asked for: the answer may be overtaken by the first events.
    let confirmed = Instant::now();
    let status = client.confirm_upload(&upload.upload_id, photo.size(), &photo.checksum).await?;
    show.confirmed(&status, confirmed.elapsed());
    loop {
        let event = watch.next().await?;
        let after = event.at.saturating_duration_since(confirmed);
        if event.succeeded() {
            show.event(&event, after);
            return Ok(Outcome::Completed);
        }
        match event.kind {
            Kind::Started | Kind::Progress => show.event(&event, after),
            Kind::Failed => {
                show.event(&event, after);
                return Ok(Outcome::Failed);
            }
            // It failed; why comes on another subscription, before or after.
            Kind::Completed => {
                let reason = async {
                    loop {
                        let next = watch.next().await?;
                        if next.kind == Kind::Failed {
                            return Ok::<_, Error>(next);
                        }
                    }
                };
                match timeout(REASON, reason).await {
                    Ok(Ok(reason)) => show.event(&reason, after),
                    Ok(Err(_)) | Err(_) => show.event(&event, after),
                }
                return Ok(Outcome::Failed);
            }
        }
    }
}

/// Sends the photo's bytes, showing how many are on their way.
async fn put(client: &Client, photo: &Photo, url: &str, show: &mut Show) -> Result<(), Error> {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let tell = move |bytes| count.store(bytes, Ordering::Relaxed);
    let mut put = std::pin::pin!(client.put(url, photo.content_type, photo.bytes.clone(), tell));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            done = &mut put => return done,
            _ = ticks.tick() => show.sending(sent.load(Ordering::Relaxed), photo.size()),
        }
    }
}
