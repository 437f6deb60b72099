//! Photos from outside of the cluster.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use monopod_tests::client::{Client, Upload};
pub use monopod_tests::kube::until;
use monopod_tests::kube::{LOOK, PATIENCE};
pub use monopod_tests::release::{OBJECTS, Release, URL, pki};

/// A photo that is recognised.
pub fn sample() -> PathBuf {
    monopod_tests::from_environment("MONOPOD_SAMPLES").join("excavator-tagged.jpg")
}

/// A photo up to its confirmation; it is accepted from then on.
pub async fn accepted(phone: &Client) -> Upload {
    let photo = Bytes::from(std::fs::read(sample()).unwrap());
    let upload = phone.start("photo.jpg", "image/jpeg").await.unwrap().unwrap();
    assert!(phone.put(&upload, "image/jpeg", photo.clone()).await.unwrap().status().is_success());
    phone.confirm(&upload, &photo).await.unwrap().unwrap();
    upload
}

/// Asks for an upload until its analysis is over; how it ended.
pub async fn ended(phone: &Client, upload: &Upload) -> String {
    let began = Instant::now();
    loop {
        // A pod that comes back may not listen yet.
        if let Ok(found) = phone.upload(&upload.id).await {
            assert!(!found.is_null(), "upload {} is lost", upload.id);
            let state = found["state"].as_str().unwrap().to_lowercase();
            if matches!(&*state, "completed" | "failed" | "stuck") {
                return state;
            }
        }
        assert!(began.elapsed() < PATIENCE, "upload {} does not end", upload.id);
        tokio::time::sleep(LOOK).await;
    }
}
