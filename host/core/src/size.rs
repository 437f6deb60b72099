//! Sizes with units, and the same for durations: as people write them in files.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1,024 bytes.
    pub const fn kibibytes(kibibytes: u64) -> Self {
        Self(kibibytes << 10)
    }

    /// So many times 1,048,576 bytes.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In bytes, for an index; as large as the machine can address.
    pub const fn as_usize(self) -> usize {
        if self.0 > usize::MAX as u64 { usize::MAX } else { self.0 as usize }
    }

    /// Reads `64MiB`, `10 MB`, `512B`. A number without a unit is refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let factor: u64 = match unit {
            "B" => 1,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => {
                return Err(format!(
                    "`{text}` is not a size: write a whole number with B, KB, MB, GB, KiB, MiB or GiB, for example \"64MiB\""
                ));
            }
        };
        number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).map(Self).ok_or_else(|| {
            format!("`{text}` is not a size: write a whole number with its unit, for example \"64MiB\"")
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => write!(f, "{} MiB", b >> 20),
            b @ 0x400..0x10_0000 if b.is_multiple_of(1 << 10) => write!(f, "{} KiB", b >> 10),
            b if b >= 1_000_000 => write!(f, "{:.1} MB", b as f64 / 1e6),
            b if b >= 1_000 => write!(f, "{} KB", b / 1_000),
            b => write!(f, "{b} B"),
        }
    }
}

/// Reads `20s`, `300 ms`, `7d`. A number without a unit is refused.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(format!(
                "`{text}` is not a duration: write a whole number with ms, s, m, h or d, for example \"20s\""
            ));
        }
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(millis)).map(Duration::from_millis).ok_or_else(
        || format!("`{text}` is not a duration: write a whole number with its unit, for example \"20s\""),
    )
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_a_unit() {
        assert_eq!(Size::parse("64MiB"), Ok(Size::mebibytes(64)));
        assert_eq!(Size::parse("10 MB"), Ok(Size::bytes(10_000_000)));
        assert_eq!(parse_duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_duration("7 d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "64", "MiB", "-1s", "1.5s", "64mib", "99999999999999999999GiB"] {
            assert!(Size::parse(bad).is_err(), "{bad}");
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
