//! What must fit between the values of a platform file. Takes the file as it was read,
//! reports what does not fit, and builds the plan if nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::component;
use monopod_core::name::{ComponentName, TopicName};

use crate::brokers;
use crate::instances;
use crate::plan::{self, Marks, Plan, Source};
use crate::platform::{Component, Edge, File, Grants, Graphql, Identity};
use crate::report::{Report, nearest, suggest};
use crate::section::At;
use crate::value::{Each, Set};
use crate::words::{Header, PolicyName, Text};

/// Paths the front door answers itself.
const RESERVED: [&str; 4] = ["/graphql", "/identity", "/health", "/blobs"];

/// The time that a budget is for, where the file does not say: as rate limits are mostly told.
const BUDGET_INTERVAL: Duration = Duration::from_secs(60);

/// What the host appends to the name of a topic whose messages nobody could handle.
const DEAD: &str = ".dead";

/// The plan, if nothing is wrong with the file.
pub(crate) fn plan(raw: &File, report: &mut Report<'_>) -> Option<Plan> {
    // Half a file would seem to lack what its other half has.
    if report.is_garbled() {
        return None;
    }
    if !report.is_broken(&["edge"]) {
        edge(&raw.edge.value, report);
    }
    if !report.is_broken(&["admin"]) {
        admin(raw, report);
    }
    if let Some(at) = raw.identity.as_ref().filter(|_| !report.is_broken(&["identity"])) {
        identity(at, &raw.edge.value, report);
    }
    documents(&raw.graphql.value, report);
    graphql(raw, report);
    services(raw, report);
    if let Some(telemetry) = raw.telemetry.as_ref().map(|at| &at.value) {
        twice("[telemetry]", &telemetry.headers.value, &telemetry.secrets.value, report);
    }
    for (name, policy) in &raw.policies.value.entries {
        if let Some(scopes) = policy.value.scopes.as_ref().filter(|s| s.value.0.is_empty()) {
            let message = format!("policy `{name}` has no scopes, so that it would admit everybody");
            report.at(scopes.span.clone(), message, Some("write:  scopes = [\"analysis\"]".into()));
        } else if policy.value.scopes.is_none() && policy.value.allow.is_none() {
            let message = format!("policy `{name}` asks for nothing, so that it would admit everybody");
            report.at(policy.key.clone(), message, Some("add:  scopes = [\"analysis\"]".into()));
        }
    }
    for (topic, at) in &raw.topics.value.entries {
        if topic.as_str().ends_with(DEAD) {
            let message = format!(
                "topic `{topic}` has the name of a dead-letter topic, which the platform keeps itself"
            );
            report.at(at.key.clone(), message, Some("remove it, or choose another name".into()));
        }
    }
    brokers::check(raw, report);
    for (name, at) in &raw.components.value.entries {
        grants(name, &at.value.grants.value, raw, report);
        instances::check(name, &at.value, report);
    }
    prefixes(&raw.components.value, report);
    if report.is_clean() { build(raw, report) } else { None }
}

fn documents(graphql: &Graphql, report: &mut Report<'_>) {
    let required = &graphql.documents_required;
    if required.value && graphql.documents.is_none() {
        let message = "only trusted documents are answered, and there are none";
        report.at(required.span.clone(), message.to_owned(), Some("add:  documents = \"documents\"".into()));
    }
    let automatic = &graphql.documents_automatic;
    if required.value && automatic.value {
        let message = "clients cannot register documents where only trusted ones are answered";
        report.at(automatic.span.clone(), message.to_owned(), Some("leave one of the two out".into()));
    }
}

fn graphql(raw: &File, report: &mut Report<'_>) {
    let graphql = &raw.graphql.value;
    if let Some(graphiql) = graphql.graphiql.as_ref().filter(|at| at.value && !graphql.introspection.value) {
        let message = "GraphiQL shows the schema, and `introspection` keeps it from clients";
        let help = "leave one of the two out";
        report.at(graphiql.span.clone(), message.to_owned(), Some(help.into()));
    }
    if let Some(policy) = &graphql.administrators {
        scopes_alone(raw, policy, "[graphql] `administrators`", report);
    }
    match (&graphql.budget, &graphql.budget_interval) {
        (Some(budget), _) if budget.value.0 < graphql.max_cost.value.0 => {
            let max = graphql.max_cost.value.0;
            let message =
                format!("an operation may cost {max} (`max-cost`), more than this budget ever holds");
            let help = format!("write a budget of at least {max}, or lower `max-cost`");
            report.at(budget.span.clone(), message, Some(help));
        }
        (None, Some(interval)) => {
            let message = "there is no `budget` that this interval could be of".to_owned();
            report.at(interval.key.clone(), message, Some("add:  budget = 10000".into()));
        }
        _ => {}
    }
}

/// A policy that is asked where a field's arguments are not: it has scopes and nothing else.
fn scopes_alone(raw: &File, policy: &At<PolicyName>, key: &str, report: &mut Report<'_>) {
    let name = policy.value.0.as_str();
    let policies: Vec<&str> = raw.policies.value.entries.keys().map(|name| name.0.as_str()).collect();
    let named = raw.policies.value.entries.get(&policy.value);
    if named.is_some_and(|at| at.value.allow.is_some() || at.value.scopes.is_none()) {
        let message = format!("{key} names `{name}`, which is more than scopes");
        let help = "name a policy with `scopes` alone: there are no arguments to look at";
        report.at(policy.span.clone(), message, Some(help.into()));
    }
    if !policies.contains(&name) && !report.is_broken(&["policies", name]) {
        let message = format!("{key} names `{name}`, which no [policies] entry declares");
        report.at(policy.span.clone(), message, Some(suggest(name, "policies", &policies)));
    }
}

/// The scopes of a policy that has nothing else.
fn scopes_of(raw: &File, policy: &At<PolicyName>) -> Option<BTreeSet<String>> {
    let scopes = raw.policies.value.entries.get(&policy.value)?.value.scopes.as_ref()?;
    Some(scopes.value.0.iter().map(|(scope, _)| scope.0.clone()).collect())
}

fn services(raw: &File, report: &mut Report<'_>) {
    for (name, at) in &raw.services.value.entries {
        if raw.components.value.entries.contains_key(name) {
            let message = format!("service `{name}` has the name of a component, and `to` could mean both");
            report.at(at.key.clone(), message, Some("give one of them another name".into()));
        }
        let (headers, secrets) = (&at.value.headers.value, &at.value.secrets.value);
        twice(&format!("service `{name}`"), headers, secrets, report);
    }
}

/// A header that is given in the clear and in a file, too.
fn twice(of: &str, headers: &Each<Header, Text>, secrets: &Each<Header, PathBuf>, report: &mut Report<'_>) {
    for header in secrets.entries.keys() {
        if let Some(twice) = headers.entries.get(header) {
            let message = format!("{of} has the header `{}` twice", header.0);
            report.at(twice.key.clone(), message, Some("leave it out of `headers` or of `secrets`".into()));
        }
    }
}

fn edge(edge: &Edge, report: &mut Report<'_>) {
    let listen = &edge.listen.value;
    match (&edge.certificate, &edge.key) {
        (Some(alone), None) => {
            let message = "`certificate` of [edge] has no `key` beside it".to_owned();
            report.at(alone.key.clone(), message, Some("add:  key = \"tls.key\"".into()));
        }
        (None, Some(alone)) => {
            let message = "`key` of [edge] has no `certificate` beside it".to_owned();
            report.at(alone.key.clone(), message, Some("add:  certificate = \"tls.crt\"".into()));
        }
        (None, None) if !listen.ip().is_loopback() => {
            let message = format!(
                "`{listen}` is not a loopback address, and a self-signed certificate is for loopback only"
            );
            let help = "add:  certificate = \"tls.crt\" and key = \"tls.key\"";
            report.at(edge.listen.span.clone(), message, Some(help.into()));
        }
        _ => {}
    }
    if edge.public_url.is_none() && !listen.ip().is_loopback() {
        let message = format!("[edge] has no `public-url`, and clients cannot be told to use `{listen}`");
        let help = "add:  public-url = \"https://<host that clients use>\"";
        report.at(edge.listen.span.clone(), message, Some(help.into()));
    }
    if let Some(health) = edge.health.as_ref().filter(|health| collide(&health.value, listen)) {
        let message = format!("`health` of [edge] is the front door's own address `{listen}`");
        report.at(health.span.clone(), message, Some("give it another port, for example 8080".into()));
    }
    let Some(plain) = &edge.plain else { return };
    let at = &plain.value;
    let (message, help) = if !at.ip().is_loopback() {
        (
            format!("`{at}` is not a loopback address, and tokens must not cross a network in the clear"),
            format!("write:  plain = \"127.0.0.1:{}\", or let clients use `listen`, with TLS", at.port()),
        )
    } else if collide(at, listen) || edge.health.as_ref().is_some_and(|health| collide(at, &health.value)) {
        (
            format!("`plain` of [edge] has the address of another listener, `{at}`"),
            "give it another port, for example 8081".to_owned(),
        )
    } else {
        return;
    };
    report.at(plain.span.clone(), message, Some(help));
}

fn admin(raw: &File, report: &mut Report<'_>) {
    let (admin, edge) = (&raw.admin.value, &raw.edge.value);
    if let Some(listen) = admin.listen.as_ref().filter(|listen| !listen.value.ip().is_loopback()) {
        let message =
            format!("`{}` is not a loopback address, and [admin] `listen` has no TLS", listen.value);
        let help =
            "write 127.0.0.1 and come by `ssh -L` or `kubectl port-forward`; for Prometheus use `metrics`";
        report.at(listen.span.clone(), message, Some(help.into()));
    }
    if let Some(policy) = &admin.policy {
        if admin.listen.is_none() {
            let message = "[admin] has a `policy` but no `listen` that it could guard".to_owned();
            report.at(policy.key.clone(), message, Some("add:  listen = \"127.0.0.1:9443\"".into()));
        }
        scopes_alone(raw, policy, "[admin] `policy`", report);
    }
    let mut taken = vec![("`listen` of [edge]", edge.listen.value)];
    taken.extend(edge.plain.as_ref().map(|at| ("`plain` of [edge]", at.value)));
    taken.extend(edge.health.as_ref().map(|at| ("`health` of [edge]", at.value)));
    for (key, at) in [("listen", &admin.listen), ("metrics", &admin.metrics)] {
        let Some(at) = at else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, address)| collide(&at.value, address)) {
            let message = format!("`{key}` of [admin] is the address of {other}");
            report.at(at.span.clone(), message, Some("give it another port".into()));
        }
        taken.push(("`listen` of [admin]", at.value));
    }
}

/// Whether two listeners would ask for one port. Port 0 is a new one each time.
fn collide(one: &SocketAddr, other: &SocketAddr) -> bool {
    let same = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same
}

fn identity(at: &At<Identity>, edge: &Edge, report: &mut Report<'_>) {
    let Identity { development, issuer, audience, ca, subjects } = &at.value;
    let own = [
        issuer.as_ref().map(|at| &at.key),
        audience.as_ref().map(|at| &at.key),
        ca.as_ref().map(|at| &at.key),
        subjects.value.entries.values().next().map(|at| &at.key),
    ];
    let listen = &edge.listen.value;
    if development.value && !listen.ip().is_loopback() {
        let message = format!(
            "the development issuer gives a token to anybody, and `{listen}` is not a loopback address"
        );
        let help = "give `issuer` and `audience` instead, or listen on 127.0.0.1";
        report.at(development.span.clone(), message, Some(help.into()));
    }
    for (subject, caller) in &subjects.value.entries {
        if let Some(scopes) = caller.value.scopes.as_ref().filter(|scopes| scopes.value.0.is_empty()) {
            let message = format!("subject `{subject}` is given no scope, so that the entry does nothing");
            report.at(
                scopes.span.clone(),
                message,
                Some("write:  scopes = [\"analysis\"], or remove it".into()),
            );
        }
    }
    match (development.value, issuer, audience) {
        (true, _, _) => {
            if let Some(key) = own.into_iter().flatten().next() {
                let message = "[identity] has both the development issuer and one of its own".to_owned();
                let help = "keep either `development = true`, or `issuer` and `audience`";
                report.at(key.clone(), message, Some(help.into()));
            }
        }
        (false, None, None) => {
            let message = "[identity] names no issuer, so that no token could be accepted".to_owned();
            let help = "write `development = true`, or give `issuer` and `audience`";
            report.at(at.span.clone(), message, Some(help.into()));
        }
        (false, Some(issuer), None) => {
            let message = "[identity] has no `audience`, so that tokens for other programs would be accepted"
                .to_owned();
            report.at(issuer.key.clone(), message, Some("add:  audience = \"api://<this platform>\"".into()));
        }
        (false, None, Some(audience)) => {
            let message = "[identity] has an `audience` but no `issuer`".to_owned();
            report.at(audience.key.clone(), message, Some("add:  issuer = \"https://<issuer>\"".into()));
        }
        (false, Some(_), Some(_)) => {}
    }
}

fn grants(name: &ComponentName, grants: &Grants, raw: &File, report: &mut Report<'_>) {
    let components = &raw.components.value.entries;
    for (callee, span) in &grants.call.value.0 {
        if callee == name {
            let message = format!("component `{name}` is granted to call itself, which would never end");
            report.at(span.clone(), message, Some("remove it".into()));
        } else if !components.contains_key(callee) && !report.is_broken(&["components", callee.as_str()]) {
            let others: Vec<&str> =
                components.keys().filter(|c| *c != name).map(ComponentName::as_str).collect();
            let message =
                format!("component `{name}` calls `{callee}`, which is not a component of this platform");
            report.at(span.clone(), message, Some(suggest(callee.as_str(), "other components", &others)));
        }
    }
    for (topic, span) in &grants.publish.value.0 {
        if topic.as_str().ends_with(DEAD) {
            let message = format!(
                "component `{name}` publishes to `{topic}`, where only the platform puts dead letters"
            );
            report.at(span.clone(), message, Some("remove it".into()));
        } else {
            declared(name, "publishes to", topic, span, raw, report);
        }
    }
    for (topic, span) in &grants.consume.value.0 {
        if !is_dead_letters(topic, raw) {
            declared(name, "consumes", topic, span, raw, report);
        }
    }
}

/// Whether `topic` is where the platform puts the dead letters of a topic or of a
/// component's timers.
fn is_dead_letters(topic: &TopicName, raw: &File) -> bool {
    let Some(of) = topic.as_str().strip_suffix(DEAD) else { return false };
    let timers = of.strip_prefix("timers.").is_some_and(|c| raw.components.value.entries.contains_key(c));
    timers || raw.topics.value.entries.contains_key(of)
}

fn declared(
    name: &ComponentName,
    does: &str,
    topic: &TopicName,
    span: &Range<usize>,
    raw: &File,
    report: &mut Report<'_>,
) {
    let topics = &raw.topics.value.entries;
    if topics.contains_key(topic) || report.is_broken(&["topics", topic.as_str()]) {
        return;
    }
    let add = format!("add:  [topics.\"{topic}\"]");
    let help = match nearest(topic.as_str(), topics.keys().map(TopicName::as_str)) {
        Some(meant) => format!("did you mean `{meant}`? Or {add}"),
        None => add,
    };
    let message = format!("component `{name}` {does} topic `{topic}`, which no [topics] entry declares");
    report.at(span.clone(), message, Some(help));
}

fn prefixes(components: &Each<ComponentName, Component>, report: &mut Report<'_>) {
    let mut taken: Vec<(&str, &ComponentName, Range<usize>)> = Vec::new();
    for (name, at) in &components.entries {
        let Some(expose) = &at.value.expose else { continue };
        let prefix = expose.value.0.as_str();
        let reserved = RESERVED
            .iter()
            .find(|r| prefix.strip_prefix(**r).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        if let Some(reserved) = reserved {
            let message = format!(
                "component `{name}` is exposed at `{prefix}`, but `{reserved}` belongs to the front door"
            );
            report.at(expose.span.clone(), message, Some("choose another prefix".into()));
        }
        taken.push((prefix, name, expose.span.clone()));
    }
    // In the order of the file, so that the later one is the one complained about.
    taken.sort_by_key(|(_, _, span)| span.start);
    let mut first: BTreeMap<&str, &ComponentName> = BTreeMap::new();
    for (prefix, name, span) in taken {
        if let Some(other) = first.insert(prefix, name) {
            first.insert(prefix, other);
            let message = format!("component `{name}` is exposed at `{prefix}`, where `{other}` is already");
            report.at(span, message, Some("give each its own prefix".into()));
        }
    }
}

fn build(raw: &File, report: &Report<'_>) -> Option<Plan> {
    let (file, text) = report.source();
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let beside = |path: &PathBuf| folder.join(path);
    let platform = &raw.platform.as_ref()?.value;
    let edge = &raw.edge.value;
    let tls = match (&edge.certificate, &edge.key) {
        (Some(certificate), Some(key)) => {
            Some(plan::Tls { certificate: beside(&certificate.value), key: beside(&key.value) })
        }
        _ => None,
    };
    let identity = &raw.identity.as_ref()?.value;
    let identity = match (&identity.issuer, &identity.audience) {
        (Some(issuer), Some(audience)) => plan::Identity::Issuer {
            issuer: issuer.value.0.clone(),
            audience: audience.value.0.clone(),
            ca: identity.ca.as_ref().map(|at| beside(&at.value)),
            subjects: each(&identity.subjects.value, |subject, caller| {
                let scopes = &caller.scopes.as_ref()?.value.0;
                Some((subject.0.clone(), scopes.iter().map(|(scope, _)| scope.0.clone()).collect()))
            })?,
        },
        _ => plan::Identity::Development,
    };
    let development = identity == plan::Identity::Development;
    let graphql = &raw.graphql.value;
    let conditions = raw
        .policies
        .value
        .entries
        .iter()
        .filter_map(|(name, policy)| Some((name.0.clone(), policy.value.allow.as_ref()?.span.clone())));
    let conditions = conditions.collect();
    let mut components = BTreeMap::new();
    let mut marks = BTreeMap::new();
    for (name, at) in &raw.components.value.entries {
        marks.insert(name.clone(), component_marks(at)?);
        components.insert(name.clone(), component(&at.value)?);
    }
    Some(Plan {
        name: platform.name.as_ref()?.value.to_string(),
        state: platform.state.value.clone(),
        bundles: platform.bundles.as_ref().map(|at| beside(&at.value)),
        edge: plan::Edge {
            listen: edge.listen.value,
            public_url: edge.public_url.as_ref().map(|at| at.value.0.clone()),
            drain: edge.drain.value.0,
            tls,
            health: edge.health.as_ref().map(|at| at.value),
            plain: edge.plain.as_ref().map(|at| at.value),
            connections: edge.connections.value.0,
        },
        admin: plan::Admin {
            listen: raw.admin.value.listen.as_ref().map(|at| at.value),
            policy: raw.admin.value.policy.as_ref().and_then(|at| scopes_of(raw, at)),
            metrics: raw.admin.value.metrics.as_ref().map(|at| at.value),
        },
        telemetry: match &raw.telemetry {
            None => None,
            Some(at) => {
                let from = &at.value;
                Some(plan::Telemetry {
                    endpoint: from.endpoint.as_ref()?.value.0.clone(),
                    interval: from.interval.value.0,
                    ca: from.ca.as_ref().map(|at| beside(&at.value)),
                    headers: each(&from.headers.value, |name, text| Some((name.0.clone(), text.0.clone())))?,
                    secrets: each(&from.secrets.value, |name, file| Some((name.0.clone(), beside(file))))?,
                })
            }
        },
        identity,
        outgoing_ca: raw.outgoing.value.ca.as_ref().map(|at| beside(&at.value)),
        services: each(&raw.services.value, |name, service| {
            let headers = each(&service.headers.value, |name, text| Some((name.0.clone(), text.0.clone())))?;
            let secrets = each(&service.secrets.value, |name, file| Some((name.0.clone(), beside(file))))?;
            Some((
                name.clone(),
                plan::Service { url: service.url.as_ref()?.value.0.clone(), headers, secrets },
            ))
        })?,
        policies: each(&raw.policies.value, |name, policy| {
            let scopes = policy.scopes.iter().flat_map(|at| at.value.0.iter());
            let scopes = scopes.map(|(scope, _)| scope.0.clone()).collect();
            let allow = policy.allow.as_ref().map(|at| at.value.0.clone());
            Some((name.0.clone(), plan::Policy { scopes, allow }))
        })?,
        graphql: plan::Graphql {
            introspection: graphql.introspection.value,
            // A page that anybody may open belongs where anybody may be anybody.
            graphiql: graphql
                .graphiql
                .as_ref()
                .map_or(development && graphql.introspection.value, |at| at.value),
            administrators: graphql.administrators.as_ref().and_then(|at| scopes_of(raw, at)),
            show_cost: graphql.show_cost.value,
            filter: graphql.authorization.value.0 == "filter",
            budget: graphql.budget.as_ref().map(|budget| {
                let interval = graphql.budget_interval.as_ref();
                (budget.value.0, interval.map_or(BUDGET_INTERVAL, |at| at.value.0))
            }),
            max_document: graphql.max_document.value.0,
            max_tokens: graphql.max_tokens.value.0,
            max_depth: graphql.max_depth.value.0,
            max_aliases: graphql.max_aliases.value.0,
            max_fields: graphql.max_fields.value.0,
            max_cost: graphql.max_cost.value.0,
            max_calls: graphql.max_calls.value.0,
            max_operations: graphql.max_operations.value.0,
            max_batch: graphql.max_batch.value.0,
            documents: graphql.documents.as_ref().map(|at| beside(&at.value)),
            documents_required: graphql.documents_required.value,
            documents_automatic: graphql.documents_automatic.value,
        },
        brokers: each(&raw.brokers.value, |name, broker| {
            Some((
                name.clone(),
                plan::Broker {
                    url: broker.url.as_ref()?.value.0.clone(),
                    user: broker.user.value.0.clone(),
                    password: broker.password_file.as_ref().map(|at| beside(&at.value)),
                    ca: broker.ca.as_ref().map(|at| beside(&at.value)),
                },
            ))
        })?,
        topics: each(&raw.topics.value, |name, topic| {
            Some((
                name.clone(),
                plan::Topic {
                    retention: topic.retention.value.0,
                    compact: topic.compact.value,
                    backend: brokers::backend(name, topic),
                },
            ))
        })?,
        components,
        source: Source { file: file.into(), text: text.into(), marks, conditions },
    })
}

fn each<K, V, L: Ord, W>(from: &Each<K, V>, to: impl Fn(&K, &V) -> Option<(L, W)>) -> Option<BTreeMap<L, W>> {
    from.entries.iter().map(|(key, at)| to(key, &at.value)).collect()
}

fn component(raw: &Component) -> Option<plan::Component> {
    let limits = &raw.limits.value;
    Some(plan::Component {
        bundle: PathBuf::from(&raw.bundle.as_ref()?.value.0),
        expose: raw.expose.as_ref().map(|at| at.value.0.clone()),
        settings: each(&raw.settings.value, |name, text| Some((name.0.clone(), text.0.clone())))?,
        grants: granted(&raw.grants.value),
        limits: component::Limits {
            memory: limits.memory.value.0,
            tables: limits.tables.value.0,
            deadline: limits.deadline.value.0,
            cpu: limits.cpu.value.0,
            cpu_share: limits.cpu_share.value.0,
            concurrency: limits.concurrency.value.0,
            host_calls: limits.host_calls.value.0,
            handles: limits.handles.value.0,
            body: limits.body.value.0,
            headers: limits.headers.value.0,
            header_size: limits.header_size.value.0,
            log: limits.log.value.0,
            changes: limits.changes.value.0,
            unit: limits.unit.value.0,
            attempts: limits.attempts.value.0,
            connections: limits.connections.value.0,
            outgoing_body: limits.outgoing_body.value.0,
        },
        instances: instances::plan(&raw.instances.value),
    })
}

fn component_marks(at: &At<Component>) -> Option<Marks> {
    let grants = &at.value.grants.value;
    let spans = [
        ("call", &grants.call.span),
        ("http", &grants.http.span),
        ("publish", &grants.publish.span),
        ("consume", &grants.consume.span),
        ("buckets", &grants.buckets.span),
        ("blobs", &grants.blobs.span),
        ("timers", &grants.timers.span),
    ];
    Some(Marks {
        header: at.span.clone(),
        bundle: at.value.bundle.as_ref()?.span.clone(),
        grants: spans.into_iter().filter(|(_, s)| !s.is_empty()).map(|(k, s)| (k, s.clone())).collect(),
        settings: at
            .value
            .settings
            .value
            .entries
            .iter()
            .map(|(name, at)| (name.0.clone(), (at.key.clone(), at.span.clone())))
            .collect(),
    })
}

/// Grants, or the needs that are written in the same way.
pub(crate) fn granted(raw: &Grants) -> component::Grants {
    fn set<T: Clone + Ord>(from: &At<Set<T>>) -> std::collections::BTreeSet<T> {
        from.value.0.iter().map(|(item, _)| item.clone()).collect()
    }
    component::Grants {
        call: set(&raw.call),
        http: set(&raw.http),
        publish: set(&raw.publish),
        consume: set(&raw.consume),
        buckets: set(&raw.buckets),
        blobs: set(&raw.blobs),
        timers: raw.timers.value,
    }
}
