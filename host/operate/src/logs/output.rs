//! Where lines go: through a bounded queue to a thread that writes them. A reader of
//! standard error that stalls or goes away must not stop a worker.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines under way at most: with lines of ordinary length about two megabytes, and
/// many times what is logged while a terminal scrolls.
const QUEUE: usize = 8_192;

/// How long the end of the process waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Item {
    Line(String),
    /// Everything before this is to be written; then say so.
    Flush(SyncSender<()>),
}

/// The way in. Never blocks.
#[derive(Clone)]
pub(super) struct Output {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl Output {
    /// Sends a line, which ends with a line break.
    pub(super) fn line(&self, line: String) {
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes the last lines when it is dropped.
#[must_use = "dropping it at once writes nothing of what is logged at the end"]
pub struct Guard {
    queue: SyncSender<Item>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // A full queue means that nobody reads; then nobody waits either.
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

/// Starts the thread that writes to `sink`. It ends with the last `Output` and `Guard`.
/// `say_lost` makes a line that says how many lines were left out.
pub(super) fn open(
    sink: impl Write + Send + 'static,
    say_lost: impl Fn(u64) -> String + Send + 'static,
) -> std::io::Result<(Output, Guard)> {
    let (queue, lines) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let output = Output { queue: queue.clone(), lost: Arc::clone(&lost) };
    std::thread::Builder::new()
        .name("monopod-log".into())
        .spawn(move || write(sink, &lines, &lost, &say_lost))?;
    Ok((output, Guard { queue }))
}

fn write(mut sink: impl Write, lines: &Receiver<Item>, lost: &AtomicU64, say_lost: &dyn Fn(u64) -> String) {
    // Errors are left out on purpose: there is no place left where to report them.
    while let Ok(item) = lines.recv() {
        match item {
            Item::Line(line) => drop(sink.write_all(line.as_bytes())),
            Item::Flush(done) => {
                let _ = sink.flush();
                let _ = done.try_send(());
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            drop(sink.write_all(say_lost(lost).as_bytes()));
        }
    }
}
