//! What the suites `charts` and `cluster` stand on: an API server alone, or a whole node with
//! the images of the product. It ends when it is dropped, also after a failure.

use super::control::Alone;
use super::install::HOST;
use super::node::{Node, obstacle};
use super::place::{Spot, Which};
use super::{load, pki, system, tools};
use crate::image::{self, Buildah};
use crate::place::Place;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// The component of which there is a second version, that version, and the guest of the
/// tests that is it.
const NEXT: (&str, &str, &str) = ("media-access", "0.2.0", "media-access-next");

/// What a suite stands on.
pub enum Ground {
    /// Nothing of this kind.
    None,
    /// An API server.
    Control(Alone),
    /// A node.
    Whole(Node),
}

impl Ground {
    /// Starts what `suite` needs.
    pub fn of(suite: &str, place: &Place, host: Option<&Path>, step: &mut Step) -> Result<Self> {
        match suite {
            "charts" => {
                let tools = tools::control(place, step)?;
                Ok(Self::Control(Alone::start(Spot::new(place, Which::Tested), &tools, step)?))
            }
            "cluster" => {
                let host = host.context("the host was not built")?;
                Self::whole(place, host, true, step)
            }
            _ => Ok(Self::None),
        }
    }

    /// A node with everything but the platform itself; with `next`, it has a second version of
    /// a bundle as well.
    pub fn whole(place: &Place, host: &Path, next: bool, step: &mut Step) -> Result<Self> {
        if let Some(why) = obstacle() {
            bail!("{why}");
        }
        let tools = tools::node(place, step)?;
        let mut images = image::quietly(place, host, step)?;
        if next {
            let (name, version, guest) = NEXT;
            let bundle = place.bundles().join(guest);
            images.push(image::of_bundle(&Buildah::new(place)?, &bundle, name, version, step)?);
        }
        let node = Node::at(Spot::new(place, Which::Tested), tools);
        // From here on it has to be ended, whatever comes.
        let ground = Self::Whole(node.clone());
        node.start(place, step)?;
        system(place, &node, step)?;
        // For the front door of whatever is installed.
        pki::public(&node.spot, "front", &format!("DNS:{HOST}"))?;
        load(&node, &images, step)?;
        Ok(ground)
    }

    /// Tells a test program where it is.
    pub fn tell(&self, place: &Place, command: &mut Command) {
        let (spot, node) = match self {
            Self::None => return,
            Self::Control(alone) => (&alone.spot, None),
            Self::Whole(node) => (&node.spot, Some(node)),
        };
        let tools = tools::Tools::new(place);
        command
            .env("KUBECONFIG", spot.kubeconfig("admin"))
            .env("MONOPOD_KUBECTL", tools.kubernetes("kubectl"))
            .env("MONOPOD_HELM", tools.helm())
            .env("MONOPOD_GATEWAY", tools.gateway())
            .env("HELM_CACHE_HOME", spot.run.join("helm/cache"))
            .env("HELM_CONFIG_HOME", spot.run.join("helm/config"))
            .env("HELM_DATA_HOME", spot.run.join("helm/data"));
        if let Some(node) = node {
            command
                .env("MONOPOD_BALANCER", node.spot.balancer())
                .env("MONOPOD_CLUSTER", &node.spot.run)
                .envs(std::env::current_exe().map(|program| ("MONOPOD_TASK", program)))
                .env("MONOPOD_NEXT", format!("{}={}", NEXT.0, NEXT.1));
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Self::Whole(node) = self
            && let Err(error) = node.stop(&mut Step::begin("cluster"))
        {
            eprintln!("the cluster of the suite could not be ended: {error:#}");
        }
    }
}
