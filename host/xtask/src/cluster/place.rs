//! Where a cluster is: its folder, its addresses. Two may run at once, the one of `make
//! cluster` and the one of the suites, and neither meets the other or the machine's own.

use crate::place::Place;
use std::path::PathBuf;

/// Addresses inside the cluster: its own network namespace, so every cluster has the same.
pub const PODS: &str = "10.244.0.0/24";
/// Of services.
pub const SERVICES: &str = "10.96.0.0/16";
/// Of the API server's service: the first one.
pub const API_SERVICE: &str = "10.96.0.1";
/// Of the name server.
pub const NAMES: &str = "10.96.0.10";
/// The node's name.
pub const NODE: &str = "node";
/// The node's end of the cable, inside.
pub const CABLE: &str = "outside";

/// Which cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// That of `make cluster`: it stays until `make cluster-down`.
    Made,
    /// That of a suite or a bench: it ends with it.
    Tested,
}

/// A cluster's folder and addresses.
#[derive(Debug, Clone)]
pub struct Spot {
    /// Everything it writes.
    pub run: PathBuf,
    number: u8,
}

impl Spot {
    /// The spot of a cluster of this user.
    pub fn new(place: &Place, which: Which) -> Self {
        let (name, number) = match which {
            Which::Made => ("made", 0),
            Which::Tested => ("tested", 1),
        };
        Self { run: place.cache.join("cluster").join(name), number }
    }

    /// The same by its number, as it is handed over to the process inside.
    pub fn numbered(place: &Place, number: &str) -> Self {
        Self::new(place, if number == "0" { Which::Made } else { Which::Tested })
    }

    /// The folder of an installation in a cluster of somebody else's, by one of kubectl's
    /// contexts: only certificates and files, no addresses.
    pub fn in_context(place: &Place, context: &str, namespace: &str) -> Self {
        // Contexts are named as anybody likes, with slashes too.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = format!("{context}.{namespace}").chars().map(plain).collect();
        Self { run: place.cache.join("cluster/contexts").join(name), number: 0 }
    }

    /// Its number.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The node's address; the machine's end of the cable has the one before it.
    pub fn node(&self) -> String {
        format!("10.199.{}.2", self.number * 2)
    }

    /// The machine's address on the cable.
    pub fn machine(&self) -> String {
        format!("10.199.{}.1", self.number * 2)
    }

    /// Addresses for services of type LoadBalancer.
    pub fn balancers(&self) -> String {
        format!("10.199.{}.0/24", self.number * 2 + 1)
    }

    /// The first of them.
    pub fn balancer(&self) -> String {
        format!("10.199.{}.10", self.number * 2 + 1)
    }

    /// The machine's end of the cable.
    pub fn cable(&self) -> String {
        format!("monopod{}", self.number)
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.run.join("pki")
    }

    /// Configuration files of the parts.
    pub fn conf(&self) -> PathBuf {
        self.run.join("conf")
    }

    /// A part's log.
    pub fn log(&self, part: &str) -> PathBuf {
        self.run.join("log").join(format!("{part}.log"))
    }

    /// The configuration of a client: `admin`, or a part's name.
    pub fn kubeconfig(&self, who: &str) -> PathBuf {
        self.conf().join(format!("{who}.kubeconfig"))
    }
}
