//! Load: so many at once for a rate, a fixed rate for times.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// Work done per second by `tasks` that each begin again as soon as they have ended. `job` is given
/// the number of its turn, all different.
pub async fn rate<F>(
    tasks: u64,
    time: Duration,
    job: impl Fn(u64) -> F + Send + Sync + Clone + 'static,
) -> f64
where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..tasks {
        let (next, job) = (Arc::clone(&next), job.clone());
        all.spawn(async move {
            while began.elapsed() < time {
                job(next.fetch_add(1, Relaxed)).await;
            }
        });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
    next.load(Relaxed) as f64 / began.elapsed().as_secs_f64()
}

/// Begins `job` `rate` times a second, whether or not earlier ones have ended, and gives the times in
/// milliseconds that each took from when it was to begin.
pub async fn times<F>(
    rate: u32,
    time: Duration,
    job: impl Fn(u64) -> F + Send + Sync + Clone + 'static,
) -> Vec<f64>
where
    F: Future<Output = ()> + Send,
{
    let began = Instant::now();
    let total = u64::from(rate) * time.as_secs();
    let mut all = JoinSet::new();
    let (mut begun, mut taken) = (0, Vec::new());
    // Timers are exact to a millisecond: what is due by then begins together.
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while begun < total {
        tick.tick().await;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let due = ((began.elapsed().as_secs_f64() * f64::from(rate)) as u64).min(total);
        for number in begun..due {
            let job = job.clone();
            let planned = began + Duration::from_secs_f64(number as f64 / f64::from(rate));
            all.spawn(async move {
                job(number).await;
                planned.elapsed().as_secs_f64() * 1e3
            });
        }
        begun = due;
        while let Some(ended) = all.try_join_next() {
            taken.push(ended.unwrap());
        }
    }
    while let Some(ended) = all.join_next().await {
        taken.push(ended.unwrap());
    }
    taken
}
