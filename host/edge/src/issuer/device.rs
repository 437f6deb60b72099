//! The device flow's state (RFC 8628): codes waiting for a person. In memory, for ten
//! minutes; the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use monopod_core::Millis;

use super::{Wish, Wrong};

/// How long a code waits for a person.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// How long a client waits between two tries; the RFC's default.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// The most codes at once: this is one person's machine.
const MAX_CODES: usize = 1_000;
/// A bit less than the interval, for clients whose clock is a little fast.
const TOLERANCE: Duration = Duration::from_millis(500);
/// No vowels, so no words; nothing that looks like something else (RFC 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Codes by their device code.
#[derive(Default)]
pub(super) struct Devices(HashMap<String, Device>);

struct Device {
    user_code: String,
    wish: Wish,
    ends: Millis,
    interval: Duration,
    tried: Option<Millis>,
    decided: Option<Decision>,
}

enum Decision {
    Approved(String),
    Denied,
}

/// What a client is told when it begins.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) device_code: String,
    pub(super) user_code: String,
}

/// What a client is told when it tries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// By whom, for what: told once.
    Approved(String, Wish),
    Pending,
    SlowDown,
    Denied,
    Expired,
    Unknown,
}

fn random<const N: usize>() -> Result<[u8; N], Wrong> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Wrong::new("server_error", "no randomness"))?;
    Ok(bytes)
}

fn user_code() -> Result<String, Wrong> {
    // 256 is no multiple of 20; the bias costs less than a bit of 34.
    let letters =
        random::<8>()?.map(|byte| LETTERS.get(usize::from(byte) % LETTERS.len()).copied().unwrap_or(b'B'));
    let text: String = letters.iter().map(|b| char::from(*b)).collect();
    let (first, second) = text.split_at(4);
    Ok(format!("{first}-{second}"))
}

/// A user code as people type it: any case, with or without the dash.
pub(super) fn tidy(code: &str) -> Option<String> {
    let letters: String =
        code.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    let good = letters.len() == 8 && letters.bytes().all(|b| LETTERS.contains(&b));
    good.then(|| format!("{}-{}", letters.get(..4).unwrap_or_default(), letters.get(4..).unwrap_or_default()))
}

impl Devices {
    /// A new pair of codes.
    pub(super) fn begin(&mut self, wish: Wish, now: Millis) -> Result<Begun, Wrong> {
        // Kept a while after their end, so that the client learns that it has come.
        self.0.retain(|_, device| device.ends + LIFE.as_millis() as u64 > now);
        if self.0.len() >= MAX_CODES {
            return Err(Wrong::new("temporarily_unavailable", "too many codes wait already; try later"));
        }
        let begun = Begun { device_code: URL_SAFE_NO_PAD.encode(random::<32>()?), user_code: user_code()? };
        let device = Device {
            user_code: begun.user_code.clone(),
            wish,
            ends: now + LIFE.as_millis() as u64,
            interval: INTERVAL,
            tried: None,
            decided: None,
        };
        self.0.insert(begun.device_code.clone(), device);
        Ok(begun)
    }

    /// A person approves, with a name, or denies. False if no such code waits.
    pub(super) fn decide(&mut self, code: &str, name: Option<String>, now: Millis) -> bool {
        let Some(code) = tidy(code) else { return false };
        let waiting =
            self.0.values_mut().find(|it| it.user_code == code && it.ends > now && it.decided.is_none());
        let Some(device) = waiting else { return false };
        device.decided = Some(name.map_or(Decision::Denied, Decision::Approved));
        true
    }

    /// A client tries its code.
    pub(super) fn poll(&mut self, device_code: &str, now: Millis) -> Poll {
        let Some(device) = self.0.get_mut(device_code) else { return Poll::Unknown };
        if device.ends <= now {
            return Poll::Expired;
        }
        let least = device.interval.saturating_sub(TOLERANCE).as_millis() as u64;
        let early = device.tried.is_some_and(|tried| now.saturating_sub(tried) < least);
        device.tried = Some(now);
        if early {
            device.interval += INTERVAL;
            return Poll::SlowDown;
        }
        match &device.decided {
            None => Poll::Pending,
            Some(Decision::Denied) => {
                self.0.remove(device_code);
                Poll::Denied
            }
            Some(Decision::Approved(name)) => {
                let told = Poll::Approved(name.clone(), device.wish.clone());
                self.0.remove(device_code);
                told
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = 1_000_000;

    fn begun() -> (Devices, Begun, Wish) {
        let mut devices = Devices::default();
        let wish = Wish { scope: "analysis".to_owned(), lasts: 60 };
        let begun = devices.begin(wish.clone(), START).unwrap_or_else(|_| panic!("it begins"));
        (devices, begun, wish)
    }

    #[test]
    fn a_code_is_pending_until_approved_and_gives_its_token_once() {
        let (mut devices, begun, wish) = begun();
        assert_eq!(devices.poll(&begun.device_code, START), Poll::Pending);
        assert!(!devices.decide("BBBB-BBBB", Some("ada".to_owned()), START));
        let typed = begun.user_code.to_lowercase().replace('-', " ");
        assert!(devices.decide(&typed, Some("ada".to_owned()), START));
        assert!(!devices.decide(&begun.user_code, None, START), "decided once");
        assert_eq!(devices.poll(&begun.device_code, START + 5_000), Poll::Approved("ada".to_owned(), wish));
        assert_eq!(devices.poll(&begun.device_code, START + 10_000), Poll::Unknown);
    }

    #[test]
    fn who_polls_too_fast_is_slowed_down_each_time_more() {
        let (mut devices, begun, _) = begun();
        assert_eq!(devices.poll(&begun.device_code, START), Poll::Pending);
        assert_eq!(devices.poll(&begun.device_code, START + 1_000), Poll::SlowDown);
        assert_eq!(devices.poll(&begun.device_code, START + 7_000), Poll::SlowDown);
        assert_eq!(devices.poll(&begun.device_code, START + 22_000), Poll::Pending);
    }

    #[test]
    fn a_code_ends_by_denial_or_by_time() {
        let (mut devices, begun, _) = begun();
        assert!(devices.decide(&begun.user_code, None, START));
        assert_eq!(devices.poll(&begun.device_code, START), Poll::Denied);

        let (mut devices, begun, wish) = self::begun();
        let end = START + LIFE.as_millis() as u64;
        assert!(!devices.decide(&begun.user_code, Some("ada".to_owned()), end));
        assert_eq!(devices.poll(&begun.device_code, end), Poll::Expired);
        assert!(devices.begin(wish, end + LIFE.as_millis() as u64).is_ok());
        assert_eq!(devices.poll(&begun.device_code, end), Poll::Unknown);
    }

    #[test]
    fn the_number_of_codes_is_bounded() {
        let (mut devices, _, wish) = begun();
        for _ in 1..MAX_CODES {
            assert!(devices.begin(wish.clone(), START).is_ok());
        }
        assert!(devices.begin(wish, START).is_err());
    }
}
