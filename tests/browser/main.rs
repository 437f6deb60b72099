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

/// What stands in one of GraphiQL's editors, by its place.
fn editor(place: usize) -> String {
    format!("document.querySelectorAll('.graphiql-container .CodeMirror')[{place}].CodeMirror")
}

const RUN: &str = "document.querySelector('.graphiql-execute-button').click()";
const ANSWER: &str = "(document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() ?? '')";

#[tokio::test]
async fn graphiql_asks_completes_and_watches_as_whoever_logs_in_and_needs_nothing_from_outside() {
    let house = House::new().await;
    let mut page = Chromium::start(1280, 900).await;
    page.open(&format!("{}/graphql", house.host.url())).await;
    page.until("document.querySelectorAll('.graphiql-container .CodeMirror').length >= 2").await;

    // Nobody is logged in: what needs a right says so.
    let query = "{ upload(id: \"none\") { state } }";
    page.evaluate(&format!("{}.setValue('{query}')", editor(0))).await;
    page.evaluate(RUN).await;
    page.until(&format!("{ANSWER}.includes('UNAUTHENTICATED')")).await;
    page.evaluate("document.querySelector('#sign-in').click()").await;
    page.until("document.querySelector('#caller').textContent.startsWith('visitor')").await;
    page.evaluate(RUN).await;
    page.until(&format!("{ANSWER}.includes('data') && !{ANSWER}.includes('UNAUTHENTICATED')")).await;

    // Completion comes from the schema that is served, and so does its documentation.
    let at = format!("{0}.setValue('{{ pin }}'); {0}.focus(); {0}.setCursor(0, 5);", editor(0));
    page.evaluate(&format!("{at} {}.execCommand('autocomplete')", editor(0))).await;
    page.until("document.querySelector('.CodeMirror-hints')?.innerText.includes('ping')").await;
    page.screenshot(&artifact("graphiql-completion.png")).await;
    page.evaluate(&format!("{}.closeHint()", editor(0))).await;
    page.evaluate("document.querySelector('[aria-label=\"Show Documentation Explorer\"]').click()").await;
    page.until("document.querySelector('.graphiql-doc-explorer')?.innerText.includes('Subscription')").await;

    // A subscription shows the event of a photo that the page of the platform sends meanwhile.
    page.evaluate(&format!("{}.setValue('subscription {{ onAnalysisStarted {{ uploadId }} }}')", editor(0)))
        .await;
    page.until(&format!("{}.documentAST?.definitions[0].operation === 'subscription'", editor(0))).await;
    page.evaluate(RUN).await;
    page.until(
        "document.querySelector('.graphiql-execute-button').getAttribute('aria-label').startsWith('Stop')",
    )
    .await;
    let watching = "fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json', \
        authorization: `Bearer ${sessionStorage.getItem('monopod.graphiql.token')}`}, body: JSON.stringify({query: \
        'mutation {startUpload(filename: \"a.jpg\", contentType: \"image/jpeg\") {imageUploadPayload {uploadId putUrl}}}'})}) \
        .then(answer => answer.json()).then(answer => JSON.stringify(answer))";
    let begun: serde_json::Value = serde_json::from_str(&page.text(watching).await).unwrap();
    let begun = begun["data"]["startUpload"]["imageUploadPayload"].clone();
    let photo = std::fs::read(sample("empty-yard.webp")).unwrap();
    let bytes = serde_json::to_string(&photo).unwrap();
    let checksum = format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&photo)));
    let (id, put) = (begun["uploadId"].as_str().unwrap(), begun["putUrl"].as_str().unwrap());
    let send = format!(
        "fetch({put:?}, {{method: 'PUT', headers: {{'content-type': 'image/jpeg'}}, body: new Uint8Array({bytes})}}) \
         .then(() => fetch('/graphql', {{method: 'POST', headers: {{'content-type': 'application/json', \
         authorization: `Bearer ${{sessionStorage.getItem('monopod.graphiql.token')}}`}}, body: JSON.stringify({{query: \
         'mutation {{confirmUpload(uploadId: {id:?}, bytes: {length}, checksum: {checksum:?}) {{status}}}}'}})}})) \
         .then(answer => answer.text())",
        length = photo.len(),
    );
    let confirmed = page.text(&send).await;
    page.until(&format!("{ANSWER}.includes({id:?})")).await;
    assert!(!confirmed.contains("errors"), "{confirmed}");
    page.screenshot(&artifact("graphiql.png")).await;
    // Left, it is closed: the button runs again.
    page.evaluate(RUN).await;
    page.until(
        "document.querySelector('.graphiql-execute-button').getAttribute('aria-label').startsWith('Execute')",
    )
    .await;

    // Parts that float make style elements, which the policy lets in by their word.
    page.evaluate("document.querySelector('[aria-label=\"Open settings dialog\"]').click()").await;
    page.until("document.querySelector('.graphiql-dialog')?.innerText.includes('Theme')").await;
    page.evaluate("document.querySelector('#sign-out').click()").await;
    assert_eq!(
        page.evaluate("sessionStorage.getItem('monopod.graphiql.token')").await,
        serde_json::Value::Null
    );

    // A refused operation is answered with a status of its own, which the browser notes.
    let noted = |complaint: &String| !complaint.contains("status of 401");
    let complaints: Vec<_> = page.complaints().into_iter().filter(noted).collect();
    assert_eq!(complaints, Vec::<String>::new());
    let origin = house.host.url().to_owned();
    let outside =
        |url: &String| !url.starts_with(&origin) && !url.starts_with("data:") && url != "about:blank";
    let outside: Vec<_> = page.requested().into_iter().filter(outside).collect();
    assert_eq!(outside, Vec::<String>::new(), "resources from outside");
    house.host.stop().await;
}
