//! `make cluster CONTEXT=name`: the platform in a cluster that is there already, by one of the
//! contexts of this user's kubectl.
//!
//! That cluster is somebody's: nothing in it is changed or removed that was not made here. What
//! is in the way is named, with what can be done about it.

use super::node::Node;
use super::place::{Spot, Which};
use super::tools::{self, Clients, Tools};
use super::{install, load, pki, told, with_step};
use crate::image::{self, SAMPLE};
use crate::place::{Place, SAMPLES};
use crate::process;
use crate::ui::{self, Step};
use crate::{json, run};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The label of a namespace that was made here, with its value.
pub const MADE: (&str, &str) = ("app.kubernetes.io/created-by", "monopod-make-cluster");
/// How long the API server may take for one answer.
const ANSWER: &str = "--request-timeout=15s";
/// From this minor version on, image volumes are there by default.
const IMAGE_VOLUMES: u32 = 35;
/// Between two looks at the pod while Helm waits for it.
const LOOK: Duration = Duration::from_secs(2);
/// The machine's end of the forwarded port, in the commands to type.
const PORT: u16 = 8443;

/// What the user said, by variables of make's command line.
pub struct Wish {
    context: String,
    namespace: String,
    registry: Option<String>,
    values: Option<PathBuf>,
}

impl Wish {
    /// None where no context was named.
    pub fn new() -> Option<Self> {
        let word = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self {
            context: word("CONTEXT")?,
            namespace: word("NAMESPACE").unwrap_or_else(|| install::RELEASE.to_owned()),
            registry: word("REGISTRY").map(|registry| registry.trim_end_matches('/').to_owned()),
            values: word("VALUES").map(PathBuf::from),
        })
    }
}

/// A cluster, as its clients reach it.
struct Cluster {
    clients: Clients,
    context: String,
    namespace: String,
}

impl Cluster {
    fn open(place: &Place, wish: &Wish, step: &mut Step) -> Result<Self> {
        let clients = tools::clients(place, step)?;
        let ask = |arguments: &[&str]| {
            process::ask(Command::new(&clients.kubectl).args(arguments), None, &mut || {})
        };
        let context = if wish.context == "current" {
            let answer = ask(&["config", "current-context"])?;
            if !answer.ending.ok() {
                bail!("kubectl has no current context: {}", answer.err.trim());
            }
            answer.out.trim().to_owned()
        } else {
            let known = ask(&["config", "get-contexts", "--output=name"])?.out;
            if !known.lines().any(|name| name == wish.context) {
                let known: Vec<_> = known.lines().collect();
                bail!("kubectl has no context `{}`. It has: {}", wish.context, known.join(" "));
            }
            wish.context.clone()
        };
        Ok(Self { clients, context, namespace: wish.namespace.clone() })
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.clients.kubectl);
        command.args(["--context", &self.context, ANSWER]);
        command
    }

    fn helm(&self) -> Command {
        let mut command = Command::new(&self.clients.helm);
        command.args(["--kube-context", &self.context, "--namespace", &self.namespace]);
        command
    }

    /// An object; none if it is not there.
    fn find(&self, kind: &str, name: &str, step: &mut Step) -> Result<Option<Value>> {
        let mut command = self.kubectl();
        command.args([
            "--namespace",
            &self.namespace,
            "get",
            kind,
            name,
            "--ignore-not-found",
            "--output=json",
        ]);
        let said = told(&mut command, step, &format!("looking for the {kind} {name}"))?;
        if said.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&said)?)) }
    }

    fn get(&self, arguments: &[&str], step: &mut Step, text: &str) -> Result<Value> {
        let said = told(self.kubectl().args(arguments), step, text)?;
        serde_json::from_str(&said).with_context(|| format!("{text}: no JSON came"))
    }

    /// Makes an object that is not there. It never changes one.
    fn create(&self, object: &Value, folder: &Spot, step: &mut Step) -> Result<()> {
        let file = folder.conf().join("object.json");
        fs::create_dir_all(folder.conf())
            .with_context(|| format!("cannot make {}", folder.conf().display()))?;
        fs::write(&file, object.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = self.kubectl();
        command.args(["--namespace", &self.namespace, "create", "--filename"]).arg(&file);
        let made = told(&mut command, step, "making objects").map(|_| ());
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        made
    }

    /// The chart of the release, as `monopod-0.1.0`; none if there is no release.
    fn release(&self, step: &mut Step) -> Result<Option<String>> {
        let filter = format!("^{}$", install::RELEASE);
        let mut command = self.helm();
        command.args(["list", "--all", "--filter", &filter, "--output", "json"]);
        let releases: Value = serde_json::from_str(&told(&mut command, step, "looking for the release")?)?;
        Ok(json::text(&releases, "/0/chart").map(str::to_owned))
    }

    /// Refuses a release of the same name that is of another chart.
    fn is_ours(&self, chart: &str) -> Result<()> {
        if chart.rsplit_once('-').is_some_and(|(name, _)| name == "monopod") {
            return Ok(());
        }
        bail!(
            "the release {} in the namespace {} is of the chart {chart}, not of monopod, and is left alone. \
             Another namespace: NAMESPACE=name",
            install::RELEASE,
            self.namespace
        )
    }
}

/// Installs or upgrades, waits until it is ready, and says what to type next.
pub fn up(place: &Place, wish: &Wish) -> Result<()> {
    let (cluster, version) = with_step("context", "reached", |step| {
        let cluster = Cluster::open(place, wish, step)?;
        let text = format!("asking the cluster of the context {}", cluster.context);
        let version = cluster.get(&["version", "--output=json"], step, &text)?;
        Ok((cluster, version))
    })?;
    let version = json::text(&version, "/serverVersion/gitVersion").unwrap_or("unknown").to_owned();
    ui::note(&format!("{}, Kubernetes {version}, namespace {}", cluster.context, cluster.namespace));
    // A folder for what belongs to this installation: the certificate's key, above all.
    let folder = Spot::in_context(place, &cluster.context, &cluster.namespace);
    let host = images(place, &cluster, wish)?;
    with_step("namespace", &cluster.namespace, |step| namespace(&cluster, &folder, step))?;
    with_step("secret", install::SECRET, |step| secret(&cluster, &folder, step))?;
    with_step("chart", "ready", |step| chart(place, &cluster, wish, &version, step))?;
    next(&cluster, &folder, &host)
}

/// Takes the release away, and nothing else.
pub fn down(place: &Place, wish: &Wish) -> Result<()> {
    let cluster = with_step("release", "uninstalled", |step| {
        let cluster = Cluster::open(place, wish, step)?;
        let Some(chart) = cluster.release(step)? else {
            bail!(
                "the context {} has no release {} in the namespace {}",
                cluster.context,
                install::RELEASE,
                cluster.namespace
            );
        };
        cluster.is_ours(&chart)?;
        let mut helm = cluster.helm();
        told(
            helm.args(["uninstall", install::RELEASE, "--wait", "--timeout", "120s"]),
            step,
            "helm uninstall",
        )?;
        Ok(cluster)
    })?;
    let kubectl = format!("  {} --context {}", cluster.clients.kubectl.display(), cluster.context);
    ui::note(
        "What stays: the claim with everything that was accepted, the secret, the namespace. With all of it:",
    );
    super::say(&[format!("{kubectl} delete namespace {}", cluster.namespace)]);
    Ok(())
}

/// Sees to it that the cluster can have the images; the host's program for the last command.
fn images(place: &Place, cluster: &Cluster, wish: &Wish) -> Result<PathBuf> {
    if wish.registry.is_some() {
        return Ok(place.host());
    }
    let mut config = cluster.kubectl();
    config.args(["config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"]);
    let server = process::line(&mut config).unwrap_or_default();
    let nodes =
        [Which::Made, Which::Tested].map(|which| Node::at(Spot::new(place, which), Tools::new(place)));
    let Some(node) = nodes.into_iter().find(|node| node.runs() && server == node.server()) else {
        bail!("{}", without_images(&cluster.context));
    };
    let host = run::build(place, false)?;
    let images = image::all(place, &host)?;
    with_step("load", &format!("{} images", images.len()), |step| load(&node, &images, step))?;
    Ok(host)
}

/// What is missing where the images would have to come from nowhere.
fn without_images(context: &str) -> String {
    format!(
        "the nodes behind `{context}` have to get the images from somewhere, and no registry was named.\n  \
         1. make image\n  \
         2. push target/images/*.tar to a registry that they pull from, for example\n     \
         skopeo copy oci-archive:target/images/localhost_monopod_{version}.tar docker://registry.example.com/team/monopod:{version}\n     \
         skopeo copy oci-archive:target/images/localhost_trackunit_web_{version}.tar docker://registry.example.com/team/trackunit/web:{version}\n     \
         and so on for each bundle\n  \
         3. make cluster CONTEXT={context} REGISTRY=registry.example.com/team\n  \
         Or load them into the nodes (kind load image-archive, minikube image load, ctr images import), and say REGISTRY=localhost",
        version = env!("CARGO_PKG_VERSION")
    )
}

/// Uses a namespace that was made here, or makes it.
fn namespace(cluster: &Cluster, folder: &Spot, step: &mut Step) -> Result<()> {
    let name = &cluster.namespace;
    if let Some(found) = cluster.find("namespace", name, step)? {
        return may_use(&found, name);
    }
    cluster.create(&install::namespace_object(name), folder, step)
}

fn may_use(found: &Value, name: &str) -> Result<()> {
    let (label, value) = MADE;
    let labels = json::at(found, "/metadata/labels");
    if labels.get(label).and_then(Value::as_str) == Some(value) {
        return Ok(());
    }
    bail!(
        "the namespace {name} was not made by `make cluster`, and is left alone. Another one: NAMESPACE=name; \
         or, if it may be used: kubectl label namespace {name} {label}={value}"
    )
}

/// Uses the secret that is there, or makes one with a certificate that signs itself.
fn secret(cluster: &Cluster, folder: &Spot, step: &mut Step) -> Result<()> {
    let name = install::SECRET;
    if cluster.find("secret", name, step)?.is_some() {
        return Ok(());
    }
    pki::alone(folder, name, &format!("DNS:{}", install::HOST))?;
    let read = |file: String| {
        let file = folder.pki().join(file);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "labels": {MADE.0: MADE.1}},
        "stringData": {
            "tls.crt": read(format!("{name}.crt"))?,
            "tls.key": read(format!("{name}.key"))?,
            "ca.crt": read("ca.crt".into())?,
        },
    });
    cluster.create(&object, folder, step)
}

fn chart(place: &Place, cluster: &Cluster, wish: &Wish, version: &str, step: &mut Step) -> Result<()> {
    if let Some(chart) = cluster.release(step)? {
        cluster.is_ours(&chart)?;
    }
    let chart = place.root.join("charts/monopod");
    let mut helm = cluster.helm();
    helm.args(["upgrade", "--install", install::RELEASE]).arg(&chart);
    helm.arg("--values").arg(chart.join("values-development.yaml"));
    let volumes = minor(version).is_some_and(|minor| minor >= IMAGE_VOLUMES);
    helm.args(["--set", &format!("bundles.delivery={}", if volumes { "volume" } else { "copy" })]);
    if let Some(registry) = &wish.registry {
        helm.args([
            "--set",
            &format!("image.repository={registry}/monopod,bundles.repository={registry}/trackunit"),
        ]);
    }
    match &wish.values {
        // Whoever has values of their own says where the tokens come from, and where volumes do.
        Some(values) => _ = helm.arg("--values").arg(values),
        None => {
            helm.args(issuer(cluster, step)?);
            storage(&cluster.get(
                &["get", "storageclasses", "--output=json"],
                step,
                "looking for volumes",
            )?)?;
        }
    }
    helm.args(["--wait", "--timeout", "120s"]);
    let mut looked = Instant::now();
    let mut text = "helm upgrade --install".to_owned();
    let answer = process::ask(&mut helm, None, &mut || {
        if looked.elapsed() > LOOK {
            text = format!("helm upgrade --install: {}", waits(&pods(cluster)));
            looked = Instant::now();
        }
        step.tick(&text);
    })?;
    if answer.ending.ok() {
        return Ok(());
    }
    bail!("{}\nthe pod: {}", answer.err.trim(), waits(&pods(cluster)))
}

/// 35 of `v1.35.4`.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

/// The cluster as the issuer of tokens: where it says that its keys are, and how its policies
/// see its API server.
fn issuer(cluster: &Cluster, step: &mut Step) -> Result<Vec<String>> {
    let found =
        cluster.get(&["get", "--raw", "/.well-known/openid-configuration"], step, "asking for the issuer");
    let found =
        found.context("the cluster does not say who issues its tokens; name an issuer with VALUES=file")?;
    let slice = [
        "--namespace=default",
        "get",
        "endpointslices",
        "--selector=kubernetes.io/service-name=kubernetes",
        "--output=json",
    ];
    let slices = cluster.get(&slice, step, "asking for the API server's port")?;
    tokens(&found, &slices)
}

fn tokens(discovery: &Value, slices: &Value) -> Result<Vec<String>> {
    let (Some(issuer), Some(keys)) = (json::text(discovery, "/issuer"), json::text(discovery, "/jwks_uri"))
    else {
        bail!("the cluster's discovery document names no issuer; name one with VALUES=file");
    };
    let authority = |url: &str| url.split('/').nth(2).unwrap_or_default().to_owned();
    let port = |url: &str| authority(url).rsplit_once(':').and_then(|(_, port)| port.parse::<u64>().ok());
    let server = json::at(slices, "/items/0/ports/0/port").as_u64();
    let ports: std::collections::BTreeSet<u64> =
        [Some(443), port(issuer), port(keys), server].into_iter().flatten().collect();
    let ports: Vec<_> = ports.into_iter().map(|port| json!({"protocol": "TCP", "port": port})).collect();
    // Only an issuer inside of the cluster needs to be opened for a pod without a token.
    let host = authority(issuer);
    let inside =
        host.split(':').next().is_some_and(|host| host.ends_with(".svc") || host.ends_with(".cluster.local"));
    Ok(vec![
        "--set-string".into(),
        format!("identity.kubernetes.issuer={issuer}"),
        "--set".into(),
        format!("identity.kubernetes.publicDiscovery={inside}"),
        "--set-json".into(),
        format!("networkPolicy.extraEgress={}", json!([{"ports": ports}])),
    ])
}

/// Whether a claim would be given a volume.
fn storage(classes: &Value) -> Result<()> {
    let default = "storageclass.kubernetes.io/is-default-class";
    let mut all = json::list(classes, "/items");
    if all.any(|class| {
        json::at(class, "/metadata/annotations").get(default).and_then(Value::as_str) == Some("true")
    }) {
        return Ok(());
    }
    let names: Vec<_> =
        json::list(classes, "/items").filter_map(|class| json::text(class, "/metadata/name")).collect();
    bail!(
        "the cluster has no default storage class. Name one with VALUES=file: state: {{storageClass: NAME}}; it has: {}",
        names.join(" ")
    )
}

fn pods(cluster: &Cluster) -> Value {
    let mut command = cluster.kubectl();
    let selector =
        format!("--selector=app.kubernetes.io/instance={},app.kubernetes.io/name=monopod", install::RELEASE);
    command.args(["--namespace", &cluster.namespace, "get", "pods", &selector, "--output=json"]);
    let answer = process::ask(&mut command, None, &mut || {});
    answer.ok().and_then(|answer| serde_json::from_str(&answer.out).ok()).unwrap_or_default()
}

/// What a pod waits for, in the cluster's own words.
fn waits(pods: &Value) -> String {
    let Some(pod) = json::list(pods, "/items").next() else { return "there is no pod yet".into() };
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    for container in containers.into_iter().flat_map(|path| json::list(pod, path)) {
        for state in ["/lastState/terminated", "/state/waiting"] {
            let (reason, message) = (format!("{state}/reason"), format!("{state}/message"));
            if let (Some(reason), Some(message)) =
                (json::text(container, &reason), json::text(container, &message))
            {
                return format!("{reason}: {}", message.trim());
            }
        }
    }
    let conditions = json::list(pod, "/status/conditions");
    let missing = conditions.filter(|it| json::text(it, "/status") == Some("False"));
    let said = missing.filter_map(|it| json::text(it, "/message")).last();
    said.map_or_else(|| "it starts".into(), str::to_owned)
}

/// The address, and the commands to type.
fn next(cluster: &Cluster, folder: &Spot, host: &std::path::Path) -> Result<()> {
    let mut step = Step::begin("address");
    let objects = install::OBJECTS;
    // A secret that somebody else made may have no authority of its own.
    let ca = folder.run.join("ca.crt");
    let secret = cluster.find("secret", install::SECRET, &mut step)?.is_some();
    let mut read = cluster.kubectl();
    let template = r#"--output=go-template={{with index .data "ca.crt"}}{{. | base64decode}}{{end}}"#;
    read.args(["--namespace", &cluster.namespace, "get", "secret", install::SECRET, template]);
    let authority =
        if secret { told(&mut read, &mut step, "reading the certificate")? } else { String::new() };
    let mut trust = String::new();
    if !authority.is_empty() {
        fs::create_dir_all(&folder.run).with_context(|| format!("cannot make {}", folder.run.display()))?;
        fs::write(&ca, authority).with_context(|| format!("cannot write {}", ca.display()))?;
        trust = format!(" --ca {}", ca.display());
    }
    let service = cluster.find("service", objects, &mut step)?.unwrap_or_default();
    let kubectl = format!(
        "{} --context {} -n {}",
        cluster.clients.kubectl.display(),
        cluster.context,
        cluster.namespace
    );
    let balancer = ["ip", "hostname"]
        .iter()
        .find_map(|kind| json::text(&service, &format!("/status/loadBalancer/ingress/0/{kind}")));
    let (address, forward) = match balancer {
        Some(address) => (format!("{address}:443"), format!("  {kubectl} get service {objects}")),
        None => {
            (format!("127.0.0.1:{PORT}"), format!("  {kubectl} port-forward service/{objects} {PORT}:443 &"))
        }
    };
    let token = match cluster.find("serviceaccount", install::CALLER, &mut step)? {
        Some(_) => format!("$({kubectl} create token {} --audience {})", install::CALLER, install::AUDIENCE),
        None => "TOKEN   # of your issuer".to_owned(),
    };
    step.done(&format!("https://{} at {address}", install::HOST));
    ui::note("");
    ui::note("Type next:");
    super::say(&[
        forward,
        format!("  export MONOPOD_TOKEN={token}"),
        format!(
            "  {} try {SAMPLES}/{SAMPLE} --url https://{} --connect {address}{trust}",
            host.display(),
            install::HOST
        ),
    ]);
    let namespace = match cluster.namespace.as_str() {
        install::RELEASE => String::new(),
        other => format!(" NAMESPACE={other}"),
    };
    ui::note(&format!("And in the end: make cluster-down CONTEXT={}{namespace}", cluster.context));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_somebody_else_is_left_alone() {
        assert!(may_use(&install::namespace_object("trackunit"), "trackunit").is_ok());
        let said = may_use(&json!({"metadata": {"name": "prod"}}), "prod").unwrap_err().to_string();
        assert!(said.contains("NAMESPACE=name") && said.contains("kubectl label namespace prod"), "{said}");
    }

    #[test]
    fn a_cluster_without_our_images_is_told_where_to_get_them() {
        let said = without_images("prod");
        assert!(
            said.contains("make cluster CONTEXT=prod REGISTRY=") && said.contains("REGISTRY=localhost"),
            "{said}"
        );
    }

    #[test]
    fn an_issuer_inside_is_opened_for_the_pod_and_one_outside_is_not() {
        let slices = json!({"items": [{"ports": [{"port": 6443}]}]});
        let inside = json!({"issuer": "https://kubernetes.default.svc.cluster.local", "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks"});
        let said = tokens(&inside, &slices).unwrap().join(" ");
        assert!(said.contains("publicDiscovery=true") && said.contains(r#""port":6443"#), "{said}");
        let outside = json!({"issuer": "https://oidc.example.com/id/A", "jwks_uri": "https://oidc.example.com:8443/id/A/keys"});
        let said = tokens(&outside, &slices).unwrap().join(" ");
        assert!(said.contains("publicDiscovery=false") && said.contains(r#""port":8443"#), "{said}");
        assert!(tokens(&json!({}), &slices).unwrap_err().to_string().contains("VALUES=file"));
    }

    #[test]
    fn a_cluster_that_gives_no_volumes_by_itself_is_named() {
        let class = |default: &str| json!({"items": [{"metadata": {"name": "slow", "annotations": {"storageclass.kubernetes.io/is-default-class": default}}}]});
        assert!(storage(&class("true")).is_ok());
        let said = storage(&class("false")).unwrap_err().to_string();
        assert!(said.contains("storageClass: NAME") && said.contains("slow"), "{said}");
    }

    #[test]
    fn what_a_pod_waits_for_is_said_in_the_clusters_words() {
        let pod = |status: Value| json!({"items": [{"status": status}]});
        assert_eq!(waits(&json!({})), "there is no pod yet");
        let waiting = pod(
            json!({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}]}),
        );
        assert_eq!(waits(&waiting), "ErrImagePull: no such image");
        let ended = pod(json!({"containerStatuses": [{
            "lastState": {"terminated": {"reason": "Error", "message": "platform.toml:3:1: unknown key"}},
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        }]}));
        assert_eq!(waits(&ended), "Error: platform.toml:3:1: unknown key");
        let unscheduled =
            pod(json!({"conditions": [{"status": "False", "message": "0/1 nodes are available"}]}));
        assert_eq!(waits(&unscheduled), "0/1 nodes are available");
    }

    #[test]
    fn the_minor_version_is_read_from_what_a_server_says() {
        assert_eq!((minor("v1.35.4"), minor("v1.34.1-gke.5"), minor("unknown")), (Some(35), Some(34), None));
    }
}
