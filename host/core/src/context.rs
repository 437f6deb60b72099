//! What travels along with every call: who, which action, until when.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::identity::Principal;
use crate::name::ComponentName;

/// How many calls may be nested in one another before a circle is assumed.
pub const MAX_DEPTH: u8 = 8;

/// The context of one call.
#[derive(Debug, Clone)]
pub struct Context {
    /// On whose behalf.
    pub principal: Principal,
    /// Ties together all that one client action set off.
    pub correlation: CorrelationId,
    /// The W3C trace it belongs to.
    pub trace: TraceId,
    /// The caller does not wait longer than this.
    pub deadline: Instant,
    /// The component calls that are open above this one.
    pub callers: Callers,
}

impl Context {
    /// A context for `principal` that ends after `time`, with new ids.
    pub fn new(principal: Principal, time: Duration) -> Self {
        Self {
            principal,
            correlation: CorrelationId::new(),
            trace: TraceId::new(),
            deadline: Instant::now() + time,
            callers: Callers::default(),
        }
    }

    /// The time left until the deadline; zero when it has passed.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// The component calls that are open above a call, each of which holds a place and waits:
/// who would wait for one of them again would wait for itself.
#[derive(Debug, Clone, Default)]
pub struct Callers(Option<Arc<Caller>>);

#[derive(Debug)]
struct Caller {
    component: ComponentName,
    depth: u8,
    above: Callers,
}

impl Callers {
    /// These, and `component` below them.
    #[must_use]
    pub fn with(&self, component: ComponentName) -> Self {
        let depth = self.depth().saturating_add(1);
        Self(Some(Arc::new(Caller { component, depth, above: self.clone() })))
    }

    /// How many they are.
    pub fn depth(&self) -> u8 {
        self.0.as_ref().map_or(0, |caller| caller.depth)
    }

    /// Whether `component` is one of them.
    pub fn contains(&self, component: &ComponentName) -> bool {
        self.iter().any(|name| name == component)
    }

    /// Their names, innermost first.
    pub fn iter(&self) -> impl Iterator<Item = &ComponentName> {
        std::iter::successors(self.0.as_deref(), |caller| caller.above.0.as_deref())
            .map(|caller| &caller.component)
    }
}

/// 1 to 64 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CorrelationId(Arc<str>);

impl CorrelationId {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "two are never equal; a default would suggest so")]
    pub fn new() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self(Arc::from(&*uuid::Uuid::now_v7().simple().encode_lower(&mut buffer)))
    }

    /// `text` if it has the right shape. A client may send its own.
    pub fn parse(text: &str) -> Option<Self> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (!text.is_empty() && text.len() <= 64 && text.bytes().all(good)).then(|| Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The trace id of W3C Trace Context: 32 lower-case hexadecimal digits, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "two are never equal; a default would suggest so")]
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }

    /// The trace id of a `traceparent` header (`00-<trace>-<span>-<flags>`).
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        (version.len() == 2 && version != "ff").then_some(())?;
        Self::parse(trace)
    }

    /// The trace id of its 32 digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let good = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (digits.len() == 32 && digits.bytes().all(good)).then_some(())?;
        u128::from_str_radix(digits, 16).ok().filter(|id| *id != 0).map(Self)
    }

    /// A `traceparent` header of this trace with a span id of its own. Written by hand: every
    /// call of a component carries one.
    pub fn traceparent(self) -> [u8; 55] {
        let span = uuid::Uuid::new_v4().as_u64_pair().0 | 1;
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        let digits = self.0.to_be_bytes().into_iter().chain(span.to_be_bytes());
        let (head, tail) = text.split_at_mut(36);
        let places = head.iter_mut().skip(3).take(32).chain(tail.iter_mut().take(16));
        let nibbles = digits.flat_map(|byte| [byte >> 4, byte & 15]);
        for (place, nibble) in places.zip(nibbles) {
            *place = if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
        }
        text
    }
}

macro_rules! text {
    ($name:ty, |$it:ident, $f:ident| $body:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $it = self;
                $body
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
text!(CorrelationId, |id, f| f.write_str(&id.0));
text!(TraceId, |id, f| write!(f, "{:032x}", id.0));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_gives_its_trace_and_nothing_else_does() {
        let id = TraceId::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(id.map(|id| id.to_string()).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        let header = id.map(|id| String::from_utf8(id.traceparent().to_vec()).unwrap()).unwrap();
        assert_eq!(TraceId::from_traceparent(&header), id);
        assert!(
            header.len() == 55 && header.ends_with("-01") && !header.contains("-0000000000000000-"),
            "{header}"
        );
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-0-01",
        ] {
            assert_eq!(TraceId::from_traceparent(bad), None, "{bad}");
        }
    }

    #[test]
    fn callers_are_known_by_name_and_number() {
        let none = Callers::default();
        let two = none.with("a".parse().unwrap()).with("b".parse().unwrap());
        assert_eq!((none.depth(), two.depth()), (0, 2));
        assert_eq!(two.iter().map(ComponentName::as_str).collect::<Vec<_>>(), ["b", "a"]);
        assert!(two.contains(&"a".parse().unwrap()) && !two.contains(&"c".parse().unwrap()));
        assert!(!none.contains(&"a".parse().unwrap()));
    }

    #[test]
    fn a_correlation_id_from_a_client_is_bounded_text() {
        assert!(CorrelationId::parse("phone-1.2_3").is_some());
        for bad in ["", "a b", "a\n", "ä", &"x".repeat(65)] {
            assert!(CorrelationId::parse(bad).is_none(), "{bad:?}");
        }
    }
}
