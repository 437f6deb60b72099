//! What this host offers to components, by package: one table, from which imports are judged.
//! `capability::linker` must link each line.

use crate::capability::drafts::names;

/// What must be granted before a component may import something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Nothing: it reaches nothing that is not the component's own. Outgoing HTTP is among these,
    /// since the HTTP worlds of most toolchains import it whether it is used or not; each request
    /// is held against the grants.
    None,
    /// A bucket.
    Buckets,
    /// A topic to publish to.
    Publish,
    /// A container of blobs.
    Blobs,
    /// Timers.
    Timers,
}

/// Interfaces of one package that are offered.
pub(crate) struct Offer {
    pub(crate) package: &'static str,
    /// `0.2` stands for all releases of 0.2, anything longer for itself alone.
    pub(crate) versions: &'static [&'static str],
    pub(crate) interfaces: &'static [&'static str],
    pub(crate) grant: Grant,
}

const fn free(
    package: &'static str,
    versions: &'static [&'static str],
    interfaces: &'static [&'static str],
) -> Offer {
    Offer { package, versions, interfaces, grant: Grant::None }
}

const fn granted(package: &'static str, interface: &'static [&'static str], grant: Grant) -> Offer {
    Offer { package, versions: &["0.1.0"], interfaces: interface, grant }
}

pub(crate) const OFFERS: &[Offer] = &[
    free(
        "wasi:cli",
        &["0.2"],
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    free(
        "wasi:cli",
        &["0.3"],
        &[
            "types",
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    free("wasi:clocks", &["0.2"], &["monotonic-clock", "wall-clock"]),
    free("wasi:clocks", &["0.3"], &["types", "monotonic-clock", "system-clock"]),
    free("wasi:filesystem", &["0.2", "0.3"], &["types", "preopens"]),
    free("wasi:http", &["0.2"], &["types", "outgoing-handler"]),
    free("wasi:http", &["0.3"], &["types", "client"]),
    free("wasi:io", &["0.2"], &["error", "poll", "streams"]),
    free("wasi:random", &["0.2", "0.3"], &["random", "insecure", "insecure-seed"]),
    free(
        "wasi:sockets",
        &["0.2"],
        &[
            "network",
            "instance-network",
            "udp",
            "udp-create-socket",
            "tcp",
            "tcp-create-socket",
            "ip-name-lookup",
        ],
    ),
    free("wasi:sockets", &["0.3"], &["types", "ip-name-lookup"]),
    free("wasi:config", names::CONFIG, names::CONFIG_INTERFACES),
    free("wasi:logging", names::LOGGING, &["logging"]),
    free("wasi:otel", names::OTEL, &["types", "tracing", "logs"]),
    Offer {
        package: "wasi:keyvalue",
        versions: names::KEYVALUE,
        interfaces: &["store", "atomics", "batch"],
        grant: Grant::Buckets,
    },
    Offer {
        package: "wasi:keyvalue",
        versions: names::KEYVALUE_2,
        interfaces: &["store", "atomics", "batch"],
        grant: Grant::Buckets,
    },
    granted("monopod:identity", &["caller"], Grant::None),
    granted("monopod:messaging", &["types"], Grant::None),
    granted("monopod:graph", &["types"], Grant::None),
    granted("monopod:state", &["buckets"], Grant::Buckets),
    granted("monopod:messaging", &["publisher"], Grant::Publish),
    granted("monopod:timers", &["timers"], Grant::Timers),
    granted("monopod:blobs", &["blobs"], Grant::Blobs),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_on_components_names_all_of_it() {
        let page = include_str!("../../../../docs/components.md");
        for offer in OFFERS {
            for version in offer.versions {
                let line = page.lines().find(|line| {
                    line.contains(&format!("`{}`", offer.package)) && line.contains(&format!("`{version}`"))
                });
                let line = line.unwrap_or_else(|| panic!("no line has {} {version}", offer.package));
                for interface in offer.interfaces.iter().filter(|_| offer.grant != Grant::None) {
                    assert!(line.contains(interface), "{line} lacks {interface}");
                }
            }
        }
    }
}
