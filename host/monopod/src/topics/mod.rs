//! Topics by hand: `monopod topics`, `tail`, `publish`, `dlq`, `replay`, `seek`. Asks the
//! running platform through its admin socket and prints what it says; see `serve` for the
//! other side. Knows nothing of how anything is stored.

mod options;
mod serve;
mod show;
mod words;

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod_core::name::TopicName;
use monopod_core::topics::{PAGE, Place, Replayed, Selection, TopicStatus};
use monopod_core::unit::MAX_VALUE;
use serde::de::DeserializeOwned;

use crate::{FAILED, screen};
pub use options::{At, Dead, List, Publish, Replay, Seek, Tail};
pub use serve::{Desk, PATH, router};
use words::{Ask, View};

/// Between two looks of `tail --follow`: a person does not notice half a second.
const LOOK: Duration = Duration::from_millis(500);
/// What a topic of dead letters is called.
const DEAD: &str = ".dead";

/// One command of this module.
pub enum Command<'a> {
    List(&'a List),
    Tail(&'a Tail),
    Publish(&'a Publish),
    Dead(&'a Dead),
    Replay(&'a Replay),
    Seek(&'a Seek),
}

pub fn run(command: &Command<'_>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            screen::error(&format!("the runtime cannot start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let done = runtime.block_on(async {
        match command {
            Command::List(options) => list(options).await,
            Command::Tail(options) => tail(options).await,
            Command::Publish(options) => publish(options).await,
            Command::Dead(Dead::List { topic, at }) => dead_letters(topic.as_ref(), at).await,
            Command::Dead(Dead::Show { number, at }) => show_one(*number, at).await,
            Command::Dead(Dead::Retry { numbers, topic, at, .. }) => retry(numbers, topic.as_ref(), at).await,
            Command::Replay(options) => replay(options).await,
            Command::Seek(options) => seek(options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::error(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

async fn ask<T: DeserializeOwned>(at: &At, ask: &Ask) -> anyhow::Result<T> {
    let body = serde_json::to_vec(ask)?;
    let (status, answer) = crate::admin::post(&at.state, PATH, body).await?;
    if !status.is_success() {
        bail!("{}", String::from_utf8_lossy(&answer));
    }
    serde_json::from_slice(&answer).context("the platform's answer cannot be read; is it of this version?")
}

async fn list(options: &List) -> anyhow::Result<()> {
    let topics: Vec<TopicStatus> = ask(&options.at, &Ask::Topics).await?;
    show::topics(&topics, options.at.json)
}

async fn tail(options: &Tail) -> anyhow::Result<()> {
    let at = &options.at;
    let of = options.which.selection();
    let limit = options.lines.min(PAGE);
    let mut last: Vec<View> = ask(at, &Ask::Newest { of: of.clone(), limit }).await?;
    last.reverse();
    show::messages(&last, at.json)?;
    if !options.follow {
        return Ok(());
    }
    let mut after = match last.last() {
        Some(view) => view.place(),
        // None shown: from the newest on, if there is one.
        None => {
            let newest: Vec<View> = ask(at, &Ask::Newest { of: of.clone(), limit: 1 }).await?;
            newest.first().map_or_else(Place::default, View::place)
        }
    };
    loop {
        let ended = tokio::time::timeout(LOOK, tokio::signal::ctrl_c()).await;
        if ended.is_ok() {
            return Ok(());
        }
        let more: Vec<View> = ask(at, &Ask::Messages { of: of.clone(), after, limit: PAGE }).await?;
        show::messages(&more, at.json)?;
        after = more.last().map_or(after, View::place);
    }
}

async fn publish(options: &Publish) -> anyhow::Result<()> {
    let payload = match &options.text {
        Some(text) => text.clone().into_bytes(),
        None => {
            let mut bytes = Vec::new();
            // One more than is allowed, so that the platform says what is too much.
            std::io::stdin().take(MAX_VALUE as u64 + 1).read_to_end(&mut bytes)?;
            bytes
        }
    };
    let wish = Ask::Publish {
        topic: options.topic.clone(),
        key: options.key.clone(),
        headers: options.headers.clone(),
        payload: BASE64.encode(payload),
    };
    let id: String = ask(&options.at, &wish).await?;
    if options.at.json {
        screen::print(&serde_json::json!({ "id": id }).to_string());
    } else {
        screen::print(&format!("published {id}"));
    }
    Ok(())
}

/// All dead letters, oldest first; of one topic, if it is named.
async fn letters(topic: Option<&TopicName>, at: &At) -> anyhow::Result<Vec<View>> {
    let topics: Vec<TopicStatus> = ask(at, &Ask::Topics).await?;
    let wanted = |status: &TopicStatus| {
        let name = status.topic.as_str();
        name.ends_with(DEAD)
            && topic
                .is_none_or(|topic| *topic == status.topic || name.strip_suffix(DEAD) == Some(topic.as_str()))
    };
    let mut found = Vec::new();
    for status in topics.into_iter().filter(wanted) {
        let of = Selection { topic: status.topic, from: None, to: None, key: None, id: None };
        let mut after = Place::default();
        loop {
            let page: Vec<View> = ask(at, &Ask::Messages { of: of.clone(), after, limit: PAGE }).await?;
            let Some(last) = page.last() else { break };
            after = last.place();
            found.extend(page);
        }
    }
    found.sort_by_key(View::place);
    Ok(found)
}

async fn dead_letters(topic: Option<&TopicName>, at: &At) -> anyhow::Result<()> {
    show::letters(&letters(topic, at).await?, at.json)
}

async fn show_one(sequence: u64, at: &At) -> anyhow::Result<()> {
    let found: Option<View> = ask(at, &Ask::Message { sequence }).await?;
    let found = found.with_context(|| format!("there is no message {sequence}; see `monopod dlq list`"))?;
    show::one(&found, at.json)
}

async fn retry(numbers: &[u64], topic: Option<&TopicName>, at: &At) -> anyhow::Result<()> {
    let numbers = if numbers.is_empty() {
        letters(topic, at).await?.iter().map(|letter| letter.sequence).collect()
    } else {
        numbers.to_vec()
    };
    let mut refused = 0;
    let mut retried = 0;
    for sequence in numbers {
        match ask::<()>(at, &Ask::Retry { sequence }).await {
            Ok(()) => retried += 1,
            Err(error) => {
                refused += 1;
                screen::error(&format!("{sequence}: {error:#}"));
            }
        }
    }
    if at.json {
        screen::print(&serde_json::json!({ "retried": retried, "refused": refused }).to_string());
    } else {
        screen::print(&format!("{retried} delivered again"));
    }
    if refused > 0 { bail!("{refused} could not be delivered again") } else { Ok(()) }
}

async fn replay(options: &Replay) -> anyhow::Result<()> {
    let mut of = options.which.selection();
    // What is published from now on is delivered anyhow; without an end the replay would
    // run after it.
    of.to = Some(of.to.unwrap_or_else(monopod_core::now));
    let wish = |after| Ask::Replay {
        of: of.clone(),
        consumer: options.consumer.clone(),
        again: options.again,
        after,
    };
    let done = steps(&options.at, wish).await?;
    show::replayed(&done, options.at.json)
}

async fn seek(options: &Seek) -> anyhow::Result<()> {
    let Seek { topic, consumer, to, at } = options;
    let now = monopod_core::now();
    let to = (*to).min(now);
    let skip = |_| Ask::Skip { topic: topic.clone(), consumer: consumer.clone(), to };
    let mut done = steps(at, skip).await?;
    let of = Selection { topic: topic.clone(), from: Some(to), to: Some(now), key: None, id: None };
    let wish = |after| Ask::Replay { of: of.clone(), consumer: Some(consumer.clone()), again: true, after };
    add(&mut done, &steps(at, wish).await?);
    show::replayed(&done, at.json)
}

/// Asks step by step until there is no next one.
async fn steps(at: &At, wish: impl Fn(Place) -> Ask) -> anyhow::Result<Replayed> {
    let mut all = Replayed::default();
    let mut after = Place::default();
    loop {
        let done: Replayed = ask(at, &wish(after)).await?;
        add(&mut all, &done);
        match done.next {
            Some(next) => after = next,
            None => return Ok(all),
        }
    }
}

fn add(all: &mut Replayed, step: &Replayed) {
    all.delivered += step.delivered;
    all.handled += step.handled;
    all.waiting += step.waiting;
    all.dropped += step.dropped;
}
