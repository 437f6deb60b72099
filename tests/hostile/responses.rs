//! Responses that a guest makes as wrong as it can: the scripts that fuzzing begins with, and
//! those it found something with.

use monopod_tests::puppet::{Puppet, seeds};

#[tokio::test]
async fn whatever_a_guest_answers_a_client_is_written_something_sound() {
    let puppet = Puppet::new();
    let seeds = seeds();
    assert!(seeds.len() >= 7, "the seeds are gone");
    for (file, script) in seeds {
        if let Err(why) = puppet.answer(&script).await {
            panic!("{}: {why}", file.display());
        }
    }
    // And it goes on: nothing of those remains.
    let plain = [5, 7, 8, 9, 10, 2, b'o', b'k', 13];
    let answer = puppet.answer(&plain).await.unwrap();
    assert!(answer.starts_with("200 "), "{answer}");
}
