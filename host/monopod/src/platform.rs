//! From a platform file to everything that can be known before anything starts: the
//! plan, the opened bundles, the components, the composed schema; or every mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use monopod_bundle::Bundle;
use monopod_config::{Component as Planned, Manifest, Plan};
use monopod_core::component::Component;
use monopod_core::diagnostic::Diagnostic;
use monopod_core::name::{ComponentName, TopicName};
use monopod_graph::Contribution;

/// Where bundles are looked for when neither the command line nor the file says.
const BUNDLES: &str = "bundles";

/// A platform that could start.
pub struct Platform {
    /// What the file says.
    pub plan: Plan,
    /// The components with code, settings, grants and limits.
    pub components: Vec<Component>,
    /// All schemas as one; none where no component has one.
    pub schema: Option<monopod_graph::Schema>,
    /// The bundles together, in bytes.
    pub size: u64,
    /// The headers of what is pushed to the collector, if there is one.
    pub telemetry: Option<HeaderMap>,
}

/// Why there is none.
pub enum Failed {
    /// The files are wrong; every mistake found.
    Mistakes(Vec<Diagnostic>),
    /// A bundle cannot be opened.
    Bundle(ComponentName, monopod_bundle::Error),
}

/// Reads and checks all of it. Starts nothing, writes nothing.
pub fn load(file: &Path, bundles: Option<&Path>) -> Result<Platform, Failed> {
    let plan = monopod_config::load(file).map_err(Failed::Mistakes)?;
    let folder = bundles.map_or_else(|| bundles_folder(&plan, file), Path::to_owned);
    let opened = open(&plan, &folder)?;

    let mut mistakes = Vec::new();
    let manifests = manifests(&plan, &opened, &mut mistakes);
    let settings = monopod_config::check_needs(&plan, &manifests)
        .map_err(|found| mistakes.extend(found))
        .unwrap_or_default();
    let documents = documents(&plan, &mut mistakes);
    let services = services(&plan, &mut mistakes);
    let policies = policies(&plan, &mut mistakes);
    let telemetry = plan.telemetry.as_ref().map(|to| {
        let of = " of [telemetry]";
        headers(of, "telemetry", &to.headers, &to.secrets, &mut mistakes).into_iter().collect()
    });
    let contributions = contributions(&plan, &opened);
    let mut schema = None;
    if !contributions.is_empty() {
        match monopod_graph::compose(&contributions, &graph(&plan, documents, services, policies)) {
            Ok(composed) => schema = Some(composed),
            Err(found) => mistakes.extend(found),
        }
    }
    if !mistakes.is_empty() {
        return Err(Failed::Mistakes(mistakes));
    }

    let size = opened.values().map(|bundle| bundle.size).sum();
    let component = |(name, planned): (&ComponentName, &Planned)| {
        let bundle = opened.get(name)?;
        Some(Component {
            name: name.clone(),
            version: bundle.version.clone(),
            wasm: bundle.wasm.clone(),
            digest: bundle.wasm_digest.clone(),
            schema: bundle.schema.clone(),
            settings: settings.get(name).cloned().unwrap_or_default(),
            grants: planned.grants.clone(),
            limits: planned.limits.clone(),
            instances: planned.instances.clone(),
        })
    };
    let components: Vec<Component> = plan.components.iter().filter_map(component).collect();
    let refused: Vec<Diagnostic> =
        monopod_engine::check(&components).iter().flat_map(|refusal| about(&plan, refusal)).collect();
    if !refused.is_empty() {
        return Err(Failed::Mistakes(refused));
    }
    Ok(Platform { components, schema, size, telemetry, plan })
}

/// What the engine holds against a component, at the place where the file names its bundle.
fn about(plan: &Plan, refusal: &monopod_engine::Refusal) -> Vec<Diagnostic> {
    let name = &refusal.component;
    let one = |problem: &monopod_engine::Problem| {
        let message = format!("component `{name}` cannot be loaded: {}", problem.what);
        plan.about_bundle(name, message, Some(problem.fix.clone()))
    };
    refusal.problems.iter().map(one).collect()
}

fn bundles_folder(plan: &Plan, file: &Path) -> PathBuf {
    let beside = || file.parent().unwrap_or(Path::new("")).join(BUNDLES);
    plan.bundles.clone().unwrap_or_else(beside)
}

fn open(plan: &Plan, folder: &Path) -> Result<BTreeMap<ComponentName, Bundle>, Failed> {
    plan.components
        .iter()
        .map(|(name, component)| {
            let bundle = monopod_bundle::open(&folder.join(&component.bundle))
                .map_err(|error| Failed::Bundle(name.clone(), error))?;
            Ok((name.clone(), bundle))
        })
        .collect()
}

fn manifests(
    plan: &Plan,
    opened: &BTreeMap<ComponentName, Bundle>,
    mistakes: &mut Vec<Diagnostic>,
) -> BTreeMap<ComponentName, Manifest> {
    let mut manifests = BTreeMap::new();
    for (name, bundle) in opened {
        match Manifest::parse(&format!("{}/component.toml", bundle.name), &bundle.manifest) {
            Ok(manifest) if manifest.name == *name => {
                manifests.insert(name.clone(), manifest);
            }
            Ok(manifest) => mistakes.push(plan.about_bundle(
                name,
                format!("the bundle holds component `{}`, not `{name}`", manifest.name),
                Some(format!("[components.{}], or another bundle", manifest.name)),
            )),
            Err(found) => mistakes.extend(found),
        }
    }
    manifests
}

fn contributions(plan: &Plan, opened: &BTreeMap<ComponentName, Bundle>) -> Vec<Contribution> {
    let topics: BTreeSet<TopicName> = plan.topics.keys().cloned().collect();
    let contribution = |(name, bundle): (&ComponentName, &Bundle)| {
        let Planned { grants, limits, .. } = plan.components.get(name)?;
        Some(Contribution {
            component: name.clone(),
            schema: bundle.schema.clone()?,
            may_call: grants.call.clone(),
            may_watch: topics.clone(),
            may_send: grants.http.clone(),
            limits: limits.clone(),
        })
    };
    opened.iter().filter_map(contribution).collect()
}

/// The trusted documents: the `*.graphql` files of their folder.
fn documents(plan: &Plan, mistakes: &mut Vec<Diagnostic>) -> monopod_graph::Trusted {
    let limits = &plan.graphql;
    let (required, automatic) = (limits.documents_required, limits.documents_automatic);
    let mut trusted = monopod_graph::Trusted { documents: Vec::new(), required, automatic };
    let Some(folder) = &limits.documents else { return trusted };
    let read = || -> std::io::Result<Vec<Arc<str>>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "graphql") {
                files.push(std::fs::read_to_string(path)?.into());
            }
        }
        Ok(files)
    };
    match read() {
        Ok(files) => trusted.documents = files,
        Err(error) => mistakes.push(Diagnostic {
            file: folder.display().to_string(),
            place: None,
            message: format!("the trusted documents cannot be read: {error}"),
            help: Some("`documents` in [graphql] names their folder".to_owned()),
        }),
    }
    trusted
}

/// What `@policy` may name, with conditions compiled.
fn policies(plan: &Plan, mistakes: &mut Vec<Diagnostic>) -> BTreeMap<String, monopod_graph::Policy> {
    let mut policies = BTreeMap::new();
    for (name, policy) in &plan.policies {
        let compiled = policy.allow.as_deref().map(monopod_graph::Condition::new).transpose();
        let condition = compiled.unwrap_or_else(|why| {
            let help =
                "write it in the Common Expression Language, for example \"caller.subject == args.owner\"";
            let message = format!("the condition of policy `{name}` cannot be used: {why}");
            mistakes.push(plan.about_condition(name, message, Some(help.to_owned())));
            None
        });
        let policy =
            monopod_graph::Policy { scopes: policy.scopes.clone(), condition: condition.map(Arc::new) };
        policies.insert(name.clone(), policy);
    }
    policies
}

/// The servers outside that schemas may name, with their secrets read: a secret that is not
/// there is a mistake now, and not a failing field later.
fn services(plan: &Plan, mistakes: &mut Vec<Diagnostic>) -> BTreeMap<String, monopod_graph::Service> {
    let mut services = BTreeMap::new();
    for (name, service) in &plan.services {
        let (of, section) = (format!(" of service `{name}`"), format!("services.{name}"));
        let headers = headers(&of, &section, &service.headers, &service.secrets, mistakes);
        let service = monopod_graph::Service { url: service.url.clone(), headers: headers.into() };
        services.insert(name.to_string(), service);
    }
    services
}

/// The headers of a section, with those whose values are in files.
fn headers(
    of: &str,
    section: &str,
    plain: &BTreeMap<String, String>,
    secrets: &BTreeMap<String, PathBuf>,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut wrong = |file: String, message: String, help: String| {
        mistakes.push(Diagnostic { file, place: None, message, help: Some(help) });
    };
    let mut headers = Vec::new();
    for (header, value) in plain {
        match (HeaderName::try_from(header), HeaderValue::from_str(value)) {
            (Ok(header), Ok(value)) => headers.push((header, value)),
            _ => wrong(
                format!("[{section}.headers]"),
                format!("`{header}` cannot have this value"),
                "write one line of plain letters".to_owned(),
            ),
        }
    }
    for (header, file) in secrets {
        let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let value = read.and_then(|text| {
            HeaderValue::from_str(text.trim_end()).map_err(|_| "it holds no single line of text".to_owned())
        });
        match (HeaderName::try_from(header), value) {
            (Ok(header), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.push((header, value));
            }
            (_, Err(why)) => wrong(
                file.display().to_string(),
                format!("the secret `{header}`{of} cannot be read: {why}"),
                format!("[{section}.secrets] names its file"),
            ),
            (Err(_), _) => {}
        }
    }
    headers
}

fn graph(
    plan: &Plan,
    documents: monopod_graph::Trusted,
    services: BTreeMap<String, monopod_graph::Service>,
    policies: BTreeMap<String, monopod_graph::Policy>,
) -> monopod_graph::Settings {
    let limits = &plan.graphql;
    let sent_only = plan.topics.iter().filter_map(|(name, topic)| {
        let backend = topic.backend.as_ref()?;
        backend.queue.is_none().then(|| name.clone())
    });
    let many = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    monopod_graph::Settings {
        policies,
        services,
        sent_only: sent_only.collect(),
        introspection: limits.introspection,
        graphiql: limits.graphiql.then_some(match plan.identity {
            monopod_config::Identity::Development => monopod_graph::Login::Development,
            monopod_config::Identity::Issuer { .. } => monopod_graph::Login::Token,
        }),
        administrators: limits.administrators.clone(),
        show_cost: limits.show_cost,
        filter: limits.filter,
        budget: limits
            .budget
            .map(|(units, interval)| monopod_graph::Budget { units: units.into(), interval }),
        max_document: limits.max_document.as_usize(),
        max_tokens: many(limits.max_tokens),
        max_depth: many(limits.max_depth),
        max_aliases: many(limits.max_aliases),
        max_fields: many(limits.max_fields),
        max_cost: limits.max_cost.into(),
        max_calls: many(limits.max_calls),
        max_operations: many(limits.max_operations),
        max_batch: many(limits.max_batch),
        documents,
        ..monopod_graph::Settings::default()
    }
}

impl Failed {
    /// Says it on standard error: all of it, with the fix.
    pub fn print(&self) {
        let (mistakes, end) = self.told("Nothing was started.");
        mistakes.iter().for_each(crate::screen::mistake);
        crate::screen::error(&end);
    }

    /// All of it in words, each mistake by itself and a line that ends with `consequence`.
    pub fn told(&self, consequence: &str) -> (Vec<String>, String) {
        match self {
            Self::Mistakes(mistakes) => {
                let errors = if mistakes.len() == 1 { "error" } else { "errors" };
                let end = format!("{} {errors}. {consequence}", mistakes.len());
                (mistakes.iter().map(ToString::to_string).collect(), end)
            }
            Self::Bundle(name, error) => {
                let mistake = error.diagnostic();
                (Vec::new(), format!("component `{name}`: {mistake}\n{consequence}"))
            }
        }
    }

    /// The exit code: wrong files are the user's to mend, a damaged bundle is a failed start.
    pub fn code(&self) -> u8 {
        match self {
            Self::Mistakes(_) => crate::USAGE,
            Self::Bundle(..) => crate::FAILED,
        }
    }
}
