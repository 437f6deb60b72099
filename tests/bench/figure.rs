//! A figure: repeats, their median and spread, a peer's, a goal, and how it is written.

use serde_json::Value;

/// What is aimed at, for the median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// No more than.
    AtMost(f64),
    /// No less than.
    AtLeast(f64),
    /// No less than so many times as good as the peer.
    Ratio(f64),
    /// Nothing: it stands there to be known.
    None,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Times and sizes.
    Lower,
}

/// The same of something that is known.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Which, with its version.
    pub name: String,
    /// Its repeats, interleaved with ours.
    pub values: Vec<f64>,
}

/// A figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured.
    pub metric: &'static str,
    /// The repeats: five or more.
    pub values: Vec<f64>,
    /// Of all of them.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// In the same run.
    pub peer: Option<Peer>,
    /// What is aimed at.
    pub goal: Goal,
    /// How it was measured, and what it leaves out.
    pub about: String,
}

impl Figure {
    /// The median of the repeats.
    pub fn value(&self) -> f64 {
        median(&self.values)
    }

    /// The least and the greatest of the repeats.
    pub fn spread(&self) -> [f64; 2] {
        let of = |pick: fn(f64, f64) -> f64| self.values.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        [of(f64::min), of(f64::max)]
    }

    /// Against the peer; higher is better.
    pub fn ratio(&self) -> Option<f64> {
        let peer = median(&self.peer.as_ref()?.values);
        Some(match self.better {
            Better::Higher => self.value() / peer,
            Better::Lower => peer / self.value(),
        })
    }

    /// Whether the goal is met, if there is one.
    pub fn met(&self) -> Option<bool> {
        match self.goal {
            Goal::AtMost(most) => Some(self.value() <= most),
            Goal::AtLeast(least) => Some(self.value() >= least),
            Goal::Ratio(least) => self.ratio().map(|ratio| ratio >= least),
            Goal::None => None,
        }
    }

    /// The goal in words.
    pub fn goal(&self) -> Option<String> {
        match self.goal {
            Goal::AtMost(most) => Some(format!("<= {most}")),
            Goal::AtLeast(least) => Some(format!(">= {least}")),
            Goal::Ratio(least) => Some(format!("ratio >= {least}")),
            Goal::None => None,
        }
    }

    /// One line of JSON, in the order in which people read it, with `more` behind it.
    pub fn line(&self, bench: &str, more: &[(&str, Value)]) -> String {
        let [least, greatest] = self.spread().map(round);
        let mut fields: Vec<(&str, Value)> = vec![
            ("bench", bench.into()),
            ("metric", self.metric.into()),
            ("value", round(self.value())),
            ("unit", self.unit.into()),
            ("spread", Value::Array(vec![least, greatest])),
        ];
        if let (Some(peer), Some(ratio)) = (&self.peer, self.ratio()) {
            fields.push(("peer", peer.name.as_str().into()));
            fields.push(("peer_value", round(median(&peer.values))));
            fields.push(("ratio", round(ratio)));
        }
        if let (Some(goal), Some(met)) = (self.goal(), self.met()) {
            fields.push(("goal", goal.into()));
            fields.push(("met", met.into()));
        }
        fields.push(("repeats", self.values.len().into()));
        fields.push(("about", self.about.as_str().into()));
        fields.extend(more.iter().cloned());
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// The middle one, or the mean of the two middle ones.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        n => sorted[n / 2],
    }
}

/// The value that `share` (0 to 1) of them do not exceed: the nearest rank, nothing in between.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank below the length")]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// As many digits as mean something: three or four.
pub fn round(value: f64) -> Value {
    let digits = if value.abs() >= 100.0 {
        1.0
    } else if value.abs() >= 10.0 {
        10.0
    } else {
        100.0
    };
    let rounded = (value * digits).round() / digits;
    if rounded.fract() == 0.0 {
        #[allow(clippy::cast_possible_truncation, reason = "a whole number of everyday size")]
        return Value::from(rounded as i64);
    }
    Value::from(rounded)
}
