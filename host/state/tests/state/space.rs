//! The file: it gives back what it does not need, without anybody waiting long.

use monopod_core::now;
use monopod_core::store::Store;

use crate::support::*;

#[tokio::test]
async fn a_file_that_held_much_gives_its_space_back() {
    let it = Fixture::new().await;
    // 24 MiB of messages.
    for part in 0..12 {
        let mut unit = unit();
        for n in 0..4 {
            let mut message = message("news", &format!("{part}-{n}"));
            message.payload = vec![7; 500_000].into();
            unit.messages.push(message);
        }
        it.store.commit(unit).await.unwrap();
    }
    it.store.prune(now()).await.unwrap();
    let it = it.reopen().await;
    let size = |it: &Fixture| std::fs::metadata(it.home.path().join("state.db")).unwrap().len();
    it.store.prune(now() + 24 * 3_600_000).await.unwrap();
    let before = 24_000_000;
    it.store.close().await;
    let left = size(&it);
    assert!(left < before / 3, "{left} bytes are left");
}
