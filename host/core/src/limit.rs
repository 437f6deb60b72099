//! Every limit on what a component may use up, in one table: how it is called in metrics,
//! which key sets it, what is said when it is reached, and which test shows that it holds.
//! `engine` enforces them, `config` reads their keys, `docs/limits.md` is generated from here.

use std::fmt;

use crate::name::ComponentName;
use crate::size::Size;

/// The deepest stack of a guest: deep enough for recursive-descent parsers, shallow enough
/// that a guest that recurses for ever is stopped before it touches much memory.
pub const STACK: Size = Size::kibibytes(512);
/// Core modules that one component may be made of. Those that toolchains produce have up
/// to about ten (adapters, shims, libraries).
pub const CORE_INSTANCES: u32 = 30;
/// Instances alive at once, over all components. Each reserves address space only; memory
/// is used by those that run.
pub const INSTANCES: u32 = 1_000;
/// How many calls of one component may wait for a place, as a multiple of its
/// `concurrency`. More than a few rounds of waiting would end at the deadline anyway.
pub const QUEUE: u32 = 8;
/// What a guest may hand to the host in one host call, as lists and strings: sixteen times
/// the largest value of the state.
pub const HOST_CALL: Size = Size::mebibytes(16);
/// Random bytes in one call: a thousand times what the largest key takes.
pub const RANDOM: Size = Size::mebibytes(1);
/// What one call may print: a page of text.
pub const OUTPUT: Size = Size::kibibytes(16);
/// Keys that one unit may have read, scans included: each is remembered until it commits.
pub const READS: u32 = 10_000;

/// What subscriptions may hold of the messages they have not read.
pub mod watchers {
    use crate::size::Size;

    /// How many messages of one topic and one user a watcher may fall behind: several seconds
    /// of the greatest rate one writer commits.
    pub const RING: u32 = 1_024;
    /// And how many bytes: what one user may hold in memory for each topic. One message stays
    /// in any case.
    pub const RING_BYTES: Size = Size::mebibytes(4);
    /// And all rings together: some tens of slow users. Beyond it every ring keeps one message.
    pub const ALL_BYTES: Size = Size::mebibytes(64);
}

/// What a broker behind topics may hold of ours, and we of its.
pub mod brokers {
    use crate::size::Size;

    /// Messages on their way to a broker at once: with a confirmation in 3 ms that is far more
    /// than one writer commits.
    pub const UNDER_WAY: u32 = 256;
    /// And their bytes: what a slow broker may hold of our memory.
    pub const UNDER_WAY_BYTES: Size = Size::mebibytes(32);
    /// Tries for one message that the broker refuses, the first included: two minutes with the
    /// waits between them, as for components. While a broker is away nothing is counted.
    pub const ATTEMPTS: u32 = 8;
    /// Messages that RabbitMQ sends ahead for one queue. It bounds them by number only; with the
    /// largest message that a topic takes (1 MiB) that is 64 MiB for each queue.
    pub const PREFETCH: u16 = 64;
    /// Messages of one unit of work that a taker commits.
    pub const TAKEN: u32 = 256;
    /// And their bytes, well below what a unit may have.
    pub const TAKEN_BYTES: Size = Size::mebibytes(4);
}

/// A bound of the host's own, that no component reaches alone and no key changes.
#[derive(Debug)]
pub struct Bound {
    /// What is bounded.
    pub what: &'static str,
    /// By how much.
    pub most: Fixed,
    /// What happens there.
    pub then: &'static str,
}

/// The host's own bounds on messages, for `docs/limits.md`.
pub const BOUNDS: &[Bound] = &[
    Bound {
        what: "messages that a subscription may fall behind, for each topic and user",
        most: Fixed::Count(watchers::RING),
        then: "the oldest are passed over, and the subscriber is told how many",
    },
    Bound {
        what: "their bytes",
        most: Fixed::Size(watchers::RING_BYTES),
        then: "the same; the newest message stays in any case",
    },
    Bound {
        what: "bytes that all subscriptions together hold",
        most: Fixed::Size(watchers::ALL_BYTES),
        then: "the same; each topic and user keeps the newest message",
    },
    Bound {
        what: "messages on their way to a broker, not confirmed yet",
        most: Fixed::Count(brokers::UNDER_WAY),
        then: "the next wait in the state",
    },
    Bound {
        what: "their bytes",
        most: Fixed::Size(brokers::UNDER_WAY_BYTES),
        then: "the next wait in the state",
    },
    Bound {
        what: "tries for a message that a broker refuses",
        most: Fixed::Count(brokers::ATTEMPTS),
        then: "it becomes a dead letter",
    },
    Bound {
        what: "messages that RabbitMQ sends ahead for one queue",
        most: Fixed::Count(brokers::PREFETCH as u32),
        then: "the next stay at RabbitMQ",
    },
    Bound {
        what: "messages from a broker in one unit of work",
        most: Fixed::Count(brokers::TAKEN),
        then: "the next go into another unit",
    },
    Bound {
        what: "their bytes",
        most: Fixed::Size(brokers::TAKEN_BYTES),
        then: "the next go into another unit",
    },
];

/// When a component that fails is left alone.
pub mod circuit {
    use std::time::Duration;

    /// So many traps and timeouts within [`WINDOW`] open the circuit, if they are at least
    /// half of the calls: one bad input among many good ones is not the component's end, and
    /// one message that is tried again and again does not come to so many.
    pub const FAILURES: u32 = 10;
    /// The time in which they are counted.
    pub const WINDOW: Duration = Duration::from_secs(10);
    /// How long it is left alone at first: what failed for a moment is back soon.
    pub const FIRST: Duration = Duration::from_secs(1);
    /// At most: what was mended is noticed within a minute.
    pub const MOST: Duration = Duration::from_secs(60);
}

/// What is said of a limit.
#[derive(Debug)]
pub struct About {
    /// Its label in metrics.
    pub name: &'static str,
    /// Its key in `[components.<name>.limits]`; none: it is the same for all.
    pub key: Option<&'static str>,
    /// Its value, where that is the same for all.
    pub fixed: Option<Fixed>,
    /// What it bounds.
    pub what: &'static str,
    /// What happens at the limit.
    pub then: &'static str,
    /// How the message begins that the value ends.
    pub said: &'static str,
    /// The test that shows it: `<file>::<function>`, the file from the root.
    pub test: &'static str,
}

/// A value that no key changes.
#[derive(Debug, Clone, Copy)]
pub enum Fixed {
    /// So many.
    Count(u32),
    /// So much.
    Size(Size),
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Size(size) => size.fmt(f),
        }
    }
}

macro_rules! limits {
    ($(
        $limit:ident $name:literal $kind:ident($value:expr):
        $what:literal, $then:literal, $said:literal, $file:literal :: $test:ident;
    )+) => {
        /// A limit that a component can reach.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Limit {
            $(
                #[doc = $what]
                $limit,
            )+
        }

        impl Limit {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$limit),+];

            /// What is said of it.
            pub const fn about(self) -> &'static About {
                match self {
                    $(Self::$limit => &About {
                        name: $name,
                        key: limits!(@key $kind($value)),
                        fixed: limits!(@fixed $kind($value)),
                        what: $what,
                        then: $then,
                        said: $said,
                        test: concat!($file, "::", stringify!($test)),
                    },)+
                }
            }
        }
    };
    (@key key($value:expr)) => { Some($value) };
    (@key fixed($value:expr)) => { None };
    (@fixed key($value:expr)) => { None };
    (@fixed fixed($value:expr)) => { Some($value) };
}

limits! {
    Memory "memory" key("memory"):
        "linear memory of one instance, all its memories together",
        "the memory does not grow; most guests then trap",
        "its memory would have grown beyond",
        "tests/hostile/limits.rs"::memory_stops_growing_at_the_limit;
    Tables "tables" key("tables"):
        "elements of one instance's tables together: references to functions",
        "the table does not grow",
        "its tables would have grown beyond",
        "tests/hostile/limits.rs"::tables_stop_growing_at_the_limit;
    Stack "stack" fixed(Fixed::Size(STACK)):
        "stack of one instance", "a trap",
        "it used up its stack of",
        "tests/hostile/limits.rs"::a_guest_that_recurses_for_ever_is_told_its_stack;
    Instances "instances" fixed(Fixed::Count(INSTANCES)):
        "instances alive at once, over all components", "the call is refused as overloaded",
        "all instances are taken; there are at most",
        "tests/hostile/limits.rs"::the_pool_of_instances_is_bounded;
    CoreInstances "core-instances" fixed(Fixed::Count(CORE_INSTANCES)):
        "core modules that one component is made of", "the component is refused at load",
        "it is made of more core modules than",
        "tests/hostile/limits.rs"::a_component_of_too_many_modules_is_refused;
    Deadline "deadline" key("deadline"):
        "time for one call, waiting included", "the call is stopped and answered with an error",
        "it did not answer within",
        "tests/hostile/limits.rs"::a_call_that_waits_too_long_is_stopped;
    Cpu "cpu" key("cpu"):
        "processor time of one call", "a trap",
        "it used more processor time than",
        "tests/hostile/limits.rs"::a_call_that_computes_too_long_is_stopped_before_its_deadline;
    CpuShare "cpu-share" key("cpu-share"):
        "processor time of all calls together, in percent of all cores", "calls wait until it is under its share again",
        "it used more of the processors than its share of, in percent,",
        "tests/hostile/limits.rs"::a_component_is_held_to_its_share_of_the_processors;
    Concurrency "concurrency" key("concurrency"):
        "calls at once", "calls wait in the queue",
        "its calls at once reached",
        "tests/hostile/limits.rs"::calls_beyond_the_places_wait_and_are_counted;
    Queue "queue" fixed(Fixed::Count(QUEUE)):
        "calls that wait for a place, as a multiple of `concurrency`", "the call is refused as overloaded",
        "as many calls wait for it as its `concurrency` times",
        "tests/hostile/limits.rs"::calls_beyond_the_queue_are_refused_and_counted;
    HostCalls "host-calls" key("host-calls"):
        "calls from one call of the guest to the host", "a trap",
        "it called the host more often than",
        "tests/hostile/limits.rs"::a_storm_of_host_calls_is_stopped;
    HostCallSize "host-call-size" fixed(Fixed::Size(HOST_CALL)):
        "what is handed to the host in one of them", "a trap",
        "it handed the host more at once than",
        "tests/hostile/limits.rs"::the_host_takes_no_more_in_one_call_than_its_limit;
    Handles "handles" key("handles"):
        "handles open at once: requests, bodies, streams, and resources of the guest's own", "a trap",
        "it held more handles than",
        "tests/hostile/limits.rs"::handles_that_are_never_closed_end_at_the_limit;
    Random "random" fixed(Fixed::Size(RANDOM)):
        "random bytes in one host call", "a trap",
        "it asked for more random bytes at once than",
        "tests/hostile/limits.rs"::random_bytes_are_bounded;
    Body "body" key("body"):
        "body of a request, and of a response",
        "a request is answered with 413; a response is an error",
        "its response body is larger than",
        "tests/hostile/limits.rs"::bodies_are_bounded_both_ways_and_counted;
    Headers "headers" key("headers"):
        "headers of a request or response that the guest makes", "an error",
        "it made more headers than",
        "tests/hostile/limits.rs"::headers_are_bounded_in_number_and_size;
    HeaderSize "header-size" key("header-size"):
        "names and values of those headers together", "an error",
        "it made headers larger than",
        "tests/hostile/limits.rs"::headers_are_bounded_in_number_and_size;
    Connections "connections" key("connections"):
        "connections to servers outside at once, idle ones included",
        "requests wait; beyond eight times as many they are refused",
        "eight times as many of its requests to servers outside wait as it may have connections, which is",
        "tests/hostile/outgoing.rs"::requests_beyond_the_connections_wait_and_beyond_those_are_refused_and_counted;
    OutgoingBody "outgoing-body" key("outgoing-body"):
        "body of a request to a server outside, and of its response",
        "an error; the connection is closed",
        "a body between it and a server outside is larger than",
        "tests/hostile/outgoing.rs"::bodies_from_servers_outside_are_bounded_and_counted;
    Log "log" key("log"):
        "log lines of all calls together, for each second", "the line is dropped and counted",
        "it logs more for each second than",
        "tests/hostile/limits.rs"::a_component_is_held_to_its_log_rate;
    Output "output" fixed(Fixed::Size(OUTPUT)):
        "what one call prints", "the rest is dropped",
        "it printed more in one call than",
        "tests/hostile/limits.rs"::what_one_call_prints_is_cut_and_counted;
    Changes "changes" key("changes"):
        "writes, messages and timers of one unit of work", "the guest gets the error `too-large`",
        "one unit of work has more writes, messages and timers than",
        "tests/hostile/limits.rs"::changes_of_a_unit_are_bounded_by_the_key;
    Unit "unit" key("unit"):
        "bytes of one unit of work", "the guest gets the error `too-large`",
        "one unit of work is larger than",
        "tests/hostile/limits.rs"::the_size_of_a_unit_is_bounded_by_the_key;
    Reads "reads" fixed(Fixed::Count(READS)):
        "keys that one unit of work reads, scans included", "the guest gets the error `too-large`",
        "one unit of work read more keys than",
        "tests/hostile/limits.rs"::what_a_unit_reads_is_bounded;
}

impl Limit {
    /// What a log or an error says when `component` reached this limit, whose value is `max`:
    /// with the key that changes it.
    pub fn reached(self, component: &ComponentName, max: impl fmt::Display) -> String {
        let said = self.about().said;
        match self.about().key {
            Some(key) => format!("{said} {max}; the limit is `{key}` in [components.{component}.limits]"),
            None => format!("{said} {max}; this limit is the same for all"),
        }
    }

    /// Its place in a list of as many as there are.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_keys_are_names() {
        let names: std::collections::BTreeSet<_> = Limit::ALL.iter().map(|l| l.about().name).collect();
        assert_eq!(names.len(), Limit::ALL.len());
        for (at, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(limit.index(), at);
            let about = limit.about();
            assert!(about.key.is_none_or(|key| key == about.name), "{limit:?}");
            assert_ne!(about.key.is_some(), about.fixed.is_some(), "{limit:?}");
        }
    }

    #[test]
    fn a_message_names_the_key() {
        let name = "photos".parse().unwrap();
        let said = Limit::Memory.reached(&name, Size::mebibytes(64));
        assert_eq!(
            said,
            "its memory would have grown beyond 64 MiB; the limit is `memory` in [components.photos.limits]"
        );
    }
}
