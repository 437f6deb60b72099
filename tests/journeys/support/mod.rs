//! What the journeys share: hosts with a platform file of the suite's choice, and people with
//! phones.

mod house;
mod phone;
mod platform;
mod program;

pub use house::{House, compiled, trackunit};
pub use phone::{Begun, ENDED, Phone, call, token};
pub use platform::Platform;
pub use program::{Finished, monopod};

use std::time::Duration;

use bytes::Bytes;
use monopod_tests::photo::Photo;
use monopod_tests::random::Random;

/// Between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(10);
/// How long something is awaited that takes milliseconds on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(20);

/// A photo of the repository.
pub fn sample(name: &'static str) -> Photo {
    let path = monopod_tests::from_environment("MONOPOD_SAMPLES").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let content_type = if name.ends_with(".webp") { "image/webp" } else { "image/jpeg" };
    Photo { name, content_type, bytes: Bytes::from(bytes), whole: name != "damaged.jpg" }
}

/// A small whole photo that nobody had before.
pub fn small() -> Photo {
    Photo::small(&mut Random::new(uuid::Uuid::new_v4().as_u64_pair().0), true)
}

/// Waits until `found` finds something.
pub async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "within {PATIENCE:?} there was no {what}");
        tokio::time::sleep(LOOK).await;
    }
}
