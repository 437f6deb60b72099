//! The page, as a person uses it: headless Chromium against a real host. Screenshots are
//! kept in `target/artifacts`; the one of a recognised machine is the README's picture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod chromium;

use std::path::PathBuf;

use chromium::Chromium;
use monopod_tests::host::{Host, Setup};
use tempfile::TempDir;

struct House {
    host: Host,
    _folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Setup::trackunit(folder.path()).start().await;
        Self { host, _folder: folder }
    }

    /// The page, connected and signed in.
    async fn page(&self, width: u32, height: u32) -> Chromium {
        let mut page = Chromium::start(width, height).await;
        page.open(&format!("{}/", self.host.url())).await;
        page.until("document.querySelector('#link').dataset.state === 'on'").await;
        page
    }
}

fn sample(name: &str) -> PathBuf {
    monopod_tests::from_environment("MONOPOD_SAMPLES").join(name)
}

fn artifact(name: &str) -> PathBuf {
    monopod_tests::checkout().join("target/artifacts").join(name)
}

const ENDED: &str = "document.querySelector('#result').dataset.kind !== undefined && !document.querySelector('#result').hidden";
const RESULT: &str = "document.querySelector('#result').innerText";
const KIND: &str = "document.querySelector('#result').dataset.kind";

#[tokio::test]
async fn a_chosen_photo_shows_each_step_and_then_the_machine_with_its_evidence() {
    let house = House::new().await;
    let mut page = house.page(1280, 1000).await;
    page.choose("#pick", &sample("excavator-tagged.jpg")).await;
    page.until(ENDED).await;
    assert_eq!(page.text(KIND).await, "sure");
    let result = page.text(RESULT).await;
    for expected in ["Volvo", "EC220E", "fleet tag"] {
        assert!(
            result.to_lowercase().contains(&expected.to_lowercase()),
            "`{expected}` is missing:\n{result}"
        );
    }
    let steps = page.evaluate("document.querySelectorAll('#steps li').length").await.as_u64().unwrap();
    assert!(steps >= 3, "{steps} steps");
    let spoken = page.text("document.querySelector('#live').textContent").await;
    assert!(!spoken.is_empty(), "nothing was said to a screen reader");

    // The picture has to be loaded before it is photographed.
    page.until("document.querySelector('#preview').complete").await;
    page.evaluate("scrollTo(0, 0)").await;
    page.screenshot(&artifact("page.png")).await;

    // After a reload the page remembers, by asking the platform.
    page.evaluate("location.reload()").await;
    page.until("document.querySelector('#link')?.dataset.state === 'on'").await;
    page.until("document.querySelectorAll('#earlier .item').length === 1").await;
    let earlier = page.text("document.querySelector('#earlier').innerText").await;
    assert!(earlier.contains("Volvo"), "{earlier}");

    assert_eq!(page.complaints(), Vec::<String>::new());
    let origin = house.host.url().to_owned();
    let outside =
        |url: &String| !url.starts_with(&origin) && !url.starts_with("blob:") && !url.starts_with("data:");
    let outside: Vec<_> =
        page.requested().into_iter().filter(outside).filter(|url| url != "about:blank").collect();
    assert_eq!(outside, Vec::<String>::new(), "resources from outside");
    house.host.stop().await;
}

#[tokio::test]
async fn on_a_phone_a_photo_that_cannot_be_read_says_why_and_another_can_follow() {
    let house = House::new().await;
    let mut page = house.page(390, 844).await;
    page.choose("#pick", &sample("damaged.jpg")).await;
    page.until(ENDED).await;
    assert_eq!(page.text(KIND).await, "failed");
    let result = page.text(RESULT).await;
    assert!(result.contains("incomplete"), "{result}");

    page.choose("#pick", &sample("empty-yard.webp")).await;
    page.until(&format!("{KIND} === 'unsure'")).await;
    let wide = page.evaluate("document.documentElement.scrollWidth > innerWidth").await;
    assert_eq!(wide, false, "the page is wider than the phone");
    page.screenshot(&artifact("page-phone.png")).await;
    assert_eq!(page.complaints(), Vec::<String>::new());
    house.host.stop().await;
}

#[tokio::test]
async fn everything_is_reached_with_the_keyboard_and_what_has_the_focus_is_seen() {
    let house = House::new().await;
    let mut page = house.page(1280, 900).await;
    let mut reached = Vec::new();
    for _ in 0..12 {
        page.press("Tab").await;
        reached.push(page.text("document.activeElement?.id ?? ''").await);
    }
    for control in ["pick", "account", "refresh"] {
        assert!(reached.iter().any(|id| id == control), "`{control}` is not reached: {reached:?}");
    }
    page.evaluate("document.querySelector('#pick').focus()").await;
    let outline = page.text("getComputedStyle(document.querySelector('#pick-label')).outlineStyle").await;
    assert_ne!(outline, "none", "the focus cannot be seen");
    house.host.stop().await;
}

#[tokio::test]
async fn the_policy_of_the_page_allows_nothing_from_outside_and_no_inline_script() {
    let house = House::new().await;
    let mut page = house.page(1280, 900).await;
    let policy = page.text("fetch('/').then(answer => answer.headers.get('content-security-policy'))").await;
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        !policy.contains("unsafe-inline") && !policy.contains("unsafe-eval") && !policy.contains("http:"),
        "{policy}"
    );
    // What the policy says it also does.
    page.evaluate(
        "globalThis.ran = false; const script = document.createElement('script'); \
         try { script.text = 'globalThis.ran = true'; document.head.append(script); } catch { }",
    )
    .await;
    assert_eq!(page.evaluate("globalThis.ran").await, false);
    house.host.stop().await;
}
