//! What must fit between brokers, topics and components. Part of `check`, which calls it.

use monopod_core::name::{ComponentName, TopicName};

use crate::plan::Backend;
use crate::platform::{File, Topic};
use crate::report::{Report, suggest};

/// Reports what does not fit.
pub(crate) fn check(raw: &File, report: &mut Report<'_>) {
    let (brokers, components) = (&raw.brokers.value.entries, &raw.components.value.entries);
    for (name, at) in brokers {
        if components.contains_key(name) {
            let message =
                format!("broker `{name}` has the name of a component, and both have messages waiting");
            report.at(at.key.clone(), message, Some("give one of them another name".into()));
        }
        let Some(url) = &at.value.url else { continue };
        let host = url.value.0.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        let local = matches!(host.as_deref(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if at.value.password_file.is_none() && !local {
            let message = format!("broker `{name}` is on another machine and has no password");
            let help = "add:  user = \"<name>\" and password-file = \"<file>\"";
            report.at(url.span.clone(), message, Some(help.into()));
        }
    }
    for (topic, at) in &raw.topics.value.entries {
        backed(topic, &at.value, raw, report);
    }
    for (name, at) in components {
        for (topic, span) in &at.value.grants.value.consume.value.0 {
            let Some(declared) = raw.topics.value.entries.get(topic) else { continue };
            if declared.value.backend.is_some() && declared.value.queue.is_none() {
                let message = format!(
                    "component `{name}` consumes `{topic}`, which is only published to its broker: it has no queue"
                );
                let help = format!("add to [topics.\"{topic}\"]:  queue = \"{name}.{topic}\"");
                report.at(span.clone(), message, Some(help));
            }
        }
    }
}

fn backed(topic: &TopicName, at: &Topic, raw: &File, report: &mut Report<'_>) {
    let Some(backend) = &at.backend else {
        let keys = [
            ("exchange", at.exchange.as_ref().map(|at| &at.key)),
            ("exchange-kind", at.exchange_kind.as_ref().map(|at| &at.key)),
            ("routing-key", at.routing_key.as_ref().map(|at| &at.key)),
            ("queue", at.queue.as_ref().map(|at| &at.key)),
        ];
        if let Some((key, span)) = keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
            let message = format!("topic `{topic}` has `{key}` but no `backend`, so that it is embedded");
            report.at(span.clone(), message, Some("add:  backend = \"<name in [brokers]>\"".into()));
        }
        return;
    };
    let (name, brokers) = (&backend.value, &raw.brokers.value.entries);
    if !brokers.contains_key(name) && !report.is_broken(&["brokers", name.as_str()]) {
        let known: Vec<&str> = brokers.keys().map(ComponentName::as_str).collect();
        let message = format!("topic `{topic}` has the backend `{name}`, which no [brokers] entry declares");
        report.at(backend.span.clone(), message, Some(suggest(name.as_str(), "brokers", &known)));
    }
    if at.quorum.value && at.queue.is_none() {
        let message = format!("topic `{topic}` asks for a quorum queue and has no queue");
        report.at(at.quorum.span.clone(), message, Some(format!("add:  queue = \"{topic}\"")));
    }
}

/// Where a topic is at its broker.
pub(crate) fn backend(topic: &TopicName, at: &Topic) -> Option<Backend> {
    let broker = at.backend.as_ref()?.value.clone();
    let kind = at.exchange_kind.as_ref().map_or("fanout", |at| at.value.0.as_str());
    let key = || if kind == "fanout" { String::new() } else { topic.to_string() };
    Some(Backend {
        broker,
        exchange: at.exchange.as_ref().map_or_else(|| topic.to_string(), |at| at.value.0.clone()),
        routing_key: at.routing_key.as_ref().map_or_else(key, |at| at.value.0.clone()),
        kind: kind.to_owned(),
        queue: at.queue.as_ref().map(|at| at.value.0.clone()),
        quorum: at.quorum.value,
    })
}
