//! What a platform keeps from its start to its end, because sockets, files, brokers or the store
//! were opened by it. Whoever changes it is told, instead of finding that it did nothing.

use std::collections::{BTreeMap, BTreeSet};

use monopod_config::{Component, Plan};
use monopod_core::name::{ComponentName, TopicName};

/// What of it is otherwise in `new`, each with the fix.
pub fn changed(old: &Plan, new: &Plan) -> Vec<String> {
    let kept = [
        ("`name` of [platform]", old.name != new.name),
        ("`state` of [platform]", old.state != new.state),
        ("[edge]", old.edge != new.edge),
        ("[admin]", old.admin != new.admin),
        ("[identity]", old.identity != new.identity),
        ("`ca` of [outgoing]", old.outgoing_ca != new.outgoing_ca),
        ("[brokers]", old.brokers != new.brokers),
        ("[topics]", old.topics != new.topics),
    ];
    let mut found: Vec<_> = kept.iter().filter(|(_, changed)| *changed).map(|(what, _)| told(what)).collect();
    let (before, after) = (handlers(old), handlers(new));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    found.extend(names.into_iter().filter(|name| before.get(*name) != after.get(*name)).map(|name| {
        told(&format!(
            "what component `{name}` consumes, its timers, and how many of them and how often they are tried"
        ))
    }));
    found
}

fn told(what: &str) -> String {
    format!(
        "{what} cannot be changed while the platform runs\n  fix: start it again, or put back what it was"
    )
}

/// Who handles messages and timers, and how: the store counts deliveries for them.
fn handlers(plan: &Plan) -> BTreeMap<&ComponentName, (&BTreeSet<TopicName>, bool, u32, u32)> {
    let handles = |component: &Component| !component.grants.consume.is_empty() || component.grants.timers;
    let components = plan.components.iter().filter(|(_, component)| handles(component));
    components
        .map(|(name, component)| {
            let (grants, limits) = (&component.grants, &component.limits);
            (name, (&grants.consume, grants.timers, limits.concurrency, limits.attempts))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLATFORM: &str = "[platform]\nname = \"one\"\n[identity]\ndevelopment = true\n[topics.done]\n[components.a]\nbundle = \"a\"\n";

    fn plan(text: &str) -> Plan {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("platform.toml");
        std::fs::write(&file, text).unwrap();
        monopod_config::load(&file).unwrap()
    }

    #[test]
    fn what_cannot_be_changed_is_named_and_the_rest_is_not() {
        let old = plan(PLATFORM);
        let with = |more: &str| changed(&old, &plan(&format!("{PLATFORM}{more}")));
        assert_eq!(changed(&old, &old), Vec::<String>::new());
        assert_eq!(with("[components.b]\nbundle = \"b\"\nexpose = \"/b\"\n"), Vec::<String>::new());
        assert_eq!(with("[components.a.limits]\nmemory = \"32MiB\"\n[graphql]\nmax-depth = 3\n").len(), 0);
        for (more, what) in [
            ("[edge]\ndrain = \"1s\"\n", "[edge]"),
            ("[admin]\nlisten = \"127.0.0.1:9\"\n", "[admin]"),
            ("[topics.more]\n", "[topics]"),
            ("[components.a.grants]\nconsume = [\"done\"]\n", "component `a`"),
            ("[components.a.grants]\ntimers = true\n", "component `a`"),
            ("[components.b]\nbundle = \"b\"\n[components.b.grants]\ntimers = true\n", "component `b`"),
        ] {
            let found = with(more);
            assert!(found.len() == 1 && found[0].contains(what), "{more}: {found:?}");
        }
    }
}
