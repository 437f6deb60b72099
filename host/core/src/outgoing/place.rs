//! The allow-list: where a component may send requests, and whether one goes there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

use super::address::Network;
use crate::name::ComponentName;

/// The longest host name (RFC 1035).
const MAX_HOST: usize = 253;

/// Where a component may send requests, as its grant says:
/// `https://vision.example/v1/`, `https://*.vision.example/`, `http://127.0.0.1:9000/`,
/// `http://search.default.svc:9200/ at 10.96.0.0/12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    secure: bool,
    host: Pattern,
    port: u16,
    /// Begins with `/`. Without a `/` at its end it means itself and what is below it.
    path: String,
    /// Where its name may lead; empty: to public addresses.
    networks: Vec<Network>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    /// Exactly this one.
    One(Host),
    /// One label or more, and then this.
    Below(String),
}

/// A server: an address, or a name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Nothing needs to be resolved.
    Address(IpAddr),
    /// Letters, digits, `-`, `_` and `.`; never one that a resolver would take for an
    /// address (`127.1`, `0x7f000001`).
    Name(Arc<str>),
}

/// A server and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Over TLS.
    pub secure: bool,
    /// Which one.
    pub host: Host,
    /// At which port.
    pub port: u16,
}

/// A request that may be sent. Only [`permit`] makes one, from the address as it was parsed
/// for the last time: whoever has it asks nobody else where the request goes.
#[derive(Debug, Clone)]
pub struct Permit {
    destination: Destination,
    target: http::uri::PathAndQuery,
    networks: Arc<[Network]>,
}

impl Permit {
    /// The server.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Path and query, as they go into the request line.
    pub fn target(&self) -> &http::uri::PathAndQuery {
        &self.target
    }

    /// Where the server's name may lead; empty: to public addresses.
    pub fn networks(&self) -> &Arc<[Network]> {
        &self.networks
    }
}

/// Why a request may not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it was to go: without query and credentials, which are nobody's business.
    pub to: String,
    /// Why not.
    pub why: &'static str,
    /// What would allow it: a place to grant, or what to do instead.
    pub fix: Fix,
}

/// What would allow a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// This place as a grant.
    Grant(String),
    /// Something else.
    Instead(&'static str),
}

/// The line of a platform file that grants `place` to a component, besides what it has.
pub fn grant_line<'p>(
    component: &ComponentName,
    granted: impl IntoIterator<Item = &'p Place>,
    place: &str,
) -> String {
    let granted = granted.into_iter().map(Place::to_string);
    let all: Vec<String> = granted.chain([place.to_owned()]).map(|it| format!("{it:?}")).collect();
    format!("[components.{component}.grants] http = [{}]", all.join(", "))
}

/// The one decision about a request's address. `uri` is absolute.
pub fn permit<'p>(uri: &Uri, granted: impl IntoIterator<Item = &'p Place>) -> Result<Permit, Refusal> {
    let refused = |to: String, why, instead| Err(Refusal { to, why, fix: Fix::Instead(instead) });
    let Some((secure, default)) = scheme(uri.scheme_str()) else {
        return refused("?".to_owned(), "neither http nor https", "use an http:// or https:// address");
    };
    let authority = uri.authority().map_or("", |it| it.as_str());
    if authority.contains('@') {
        let instead = "send credentials in an Authorization header";
        return refused(shown(secure, "?", uri.path()), "credentials in the address", instead);
    }
    let Some((host, port)) = split(authority, default) else {
        return refused(
            shown(secure, "?", uri.path()),
            "not an address",
            "write it as scheme://host:port/path, with the host in plain letters",
        );
    };
    let destination = Destination { secure, host, port };
    let path = uri.path();
    let mut tricky = false;
    for place in granted {
        if !place.admits(&destination) {
            continue;
        }
        // Where all paths are granted it does not matter how a server reads them.
        if place.path != "/" && is_tricky(path) {
            tricky = true;
            continue;
        }
        if !place.covers_path(path) {
            continue;
        }
        // It came out of a URI: only an empty path is not a target yet.
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let Ok(target) = format!("{path}{query}").parse() else { continue };
        return Ok(Permit { target, networks: place.networks.as_slice().into(), destination });
    }
    let to = format!("{destination}{path}");
    if tricky {
        return refused(to, "its path climbs out of what is granted", "send the path without `.` and `..`");
    }
    // Up to the last `/`: requests seldom come alone.
    let folder = path.rfind('/').and_then(|end| path.get(..=end)).filter(|it| is_plain(it)).unwrap_or("/");
    let at = match &destination.host {
        Host::Name(name) if is_inside(name) => " at <its network, for example 10.96.0.0/12>",
        _ => "",
    };
    Err(Refusal { to, why: "not granted", fix: Fix::Grant(format!("{destination}{folder}{at}")) })
}

/// Names that never lead to public addresses.
fn is_inside(name: &str) -> bool {
    !name.contains('.')
        || [".local", ".svc", ".localhost", ".internal", ".home.arpa"].iter().any(|end| name.ends_with(end))
}

impl Place {
    fn admits(&self, to: &Destination) -> bool {
        self.secure == to.secure
            && self.port == to.port
            && match (&self.host, &to.host) {
                (Pattern::One(granted), host) => granted == host,
                (Pattern::Below(end), Host::Name(name)) => name
                    .strip_suffix(end.as_str())
                    .is_some_and(|label| label.len() > 1 && label.ends_with('.')),
                (Pattern::Below(_), Host::Address(_)) => false,
            }
    }

    fn covers_path(&self, path: &str) -> bool {
        let path = if path.is_empty() { "/" } else { path };
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| self.path.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether all that `need` asks for is granted here; where names lead is no part of a need.
    pub fn covers(&self, need: &Self) -> bool {
        let host = match (&self.host, &need.host) {
            (Pattern::Below(end), Pattern::Below(needed)) => {
                needed == end || needed.strip_suffix(end.as_str()).is_some_and(|label| label.ends_with('.'))
            }
            (Pattern::One(_), Pattern::Below(_)) => false,
            (_, Pattern::One(host)) => {
                let to = Destination { secure: need.secure, host: host.clone(), port: need.port };
                self.admits(&to)
            }
        };
        host && self.secure == need.secure && self.port == need.port && self.covers_path(&need.path)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The addresses it leads to, if they are known: its own, or the networks it is granted.
    /// None: any public one.
    pub fn addresses(&self) -> Option<&[Network]> {
        (!self.networks.is_empty()).then_some(&self.networks)
    }

    /// Whether its name must be resolved.
    pub fn is_named(&self) -> bool {
        !matches!(self.host, Pattern::One(Host::Address(_)))
    }
}

/// Whether a server that decodes or tidies a path might see another folder than is written:
/// `.` and `..` as segments, plain, encoded, encoded twice, behind `\` or with `;parameters`.
fn is_tricky(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    // Once for the server, once for what stands behind it, once more for both being careless.
    for _ in 0..3 {
        let segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        let dots = |segment: &[u8]| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or(segment);
            matches!(name, b"." | b"..")
        };
        if segments.into_iter().any(dots) || path.contains(&0) {
            return true;
        }
        let decoded = decode(&path);
        if decoded == path {
            return false;
        }
        path = decoded;
    }
    // Encoded over and over: nobody means well by it.
    true
}

/// `%xx` as the byte it stands for.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                rest = ahead;
            }
            _ => decoded.push(*byte),
        }
    }
    decoded
}

fn scheme(text: Option<&str>) -> Option<(bool, u16)> {
    match text {
        Some("https") => Some((true, 443)),
        Some("http") => Some((false, 80)),
        _ => None,
    }
}

/// `host`, `host:port`, `[address]`, `[address]:port`.
fn split(authority: &str, default: u16) -> Option<(Host, u16)> {
    let end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    let colon = authority.get(end..)?.find(':').map(|at| at + end);
    let (host, port) = match colon {
        None => (authority, default),
        Some(colon) => {
            let port = authority.get(colon + 1..)?;
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            (authority.get(..colon)?, digits.then(|| port.parse().ok())??)
        }
    };
    (port > 0).then_some((host.parse().ok()?, port))
}

impl FromStr for Host {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(address) = text.strip_prefix('[') {
            let address = address.strip_suffix(']').ok_or(())?;
            return address.parse().map(|it| Self::Address(IpAddr::V6(it))).map_err(|_| ());
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let text = text.to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let last = text.rsplit('.').next().unwrap_or_default();
        // What resolvers take for an address, in the manner of inet_aton.
        let number = last.bytes().all(|b| b.is_ascii_digit())
            || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if text.len() > MAX_HOST || number || !text.split('.').all(label) {
            return Err(());
        }
        Ok(Self::Name(text.into()))
    }
}

/// Letters that mean themselves in a path, and no segment that means another.
fn is_plain(path: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&b);
    path.starts_with('/') && path.bytes().all(good) && !path.contains("//") && !is_tricky(path)
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("`{text}` {why}: write scheme, host and path, for example \"https://vision.example/v1/\"")
        };
        let (address, networks) = match text.split_once(" at ") {
            Some((address, networks)) => (address, Some(networks)),
            None => (text, None),
        };
        let (name, rest) = address.split_once("://").ok_or_else(|| wrong("is not an address"))?;
        let (secure, default) =
            scheme(Some(name)).ok_or_else(|| wrong("begins with neither http:// nor https://"))?;
        let slash = rest.find('/').ok_or_else(|| wrong("has no path; `/` means all of them"))?;
        let (authority, path) = rest.split_at(slash);
        if authority.contains('@') {
            return Err(wrong("has credentials in it; they are a component's settings"));
        }
        if path.contains(['?', '#']) {
            return Err(wrong("has a query, which is not looked at"));
        }
        if !is_plain(path) {
            return Err(wrong("has a path with `%`, `.`, `..`, `//` or strange letters in it"));
        }
        let (host, port) = match authority.strip_prefix("*.") {
            Some(below) => match split(below, default) {
                // All of `.com` is nobody's.
                Some((Host::Name(name), port)) if name.contains('.') => {
                    (Pattern::Below(name.to_string()), port)
                }
                _ => return Err(wrong("has a `*` above fewer than two labels")),
            },
            None if authority.contains('*') => {
                return Err(wrong("has a `*` that is not the whole first label of a name"));
            }
            None => match split(authority, default) {
                Some((host, port)) => (Pattern::One(host), port),
                None => return Err(wrong("has no host and port that can be understood")),
            },
        };
        if let Pattern::One(Host::Name(name)) = &host
            && name.ends_with(".internal")
            && !secure
        {
            return Err(format!(
                "`{text}` is another component's address: grant it by name, call = [\"{}\"]",
                name.trim_end_matches(".internal")
            ));
        }
        let networks = match (&host, networks) {
            (Pattern::One(Host::Address(_)), Some(_)) => {
                return Err(format!("`{text}` is an address already: leave out what follows it"));
            }
            (Pattern::One(Host::Address(address)), None) => vec![Network::of(*address)],
            (_, None) => Vec::new(),
            (_, Some(networks)) => {
                networks.split(',').map(|it| it.trim().parse()).collect::<Result<_, String>>()?
            }
        };
        Ok(Self { secure, host, port, path: path.to_owned(), networks })
    }
}

fn shown(secure: bool, host: &str, path: &str) -> String {
    format!("{}://{host}{path}", if secure { "https" } else { "http" })
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Destination {
    /// What goes into `Host` and `:authority`.
    pub fn authority(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port == default { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// As an address, without a path.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.secure, &self.authority(), ""))
    }
}

/// As the grant is written.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, below) = match &self.host {
            Pattern::One(host) => (host.clone(), ""),
            Pattern::Below(end) => (Host::Name(end.as_str().into()), "*."),
        };
        let to = Destination { secure: self.secure, host, port: self.port };
        write!(f, "{}", shown(self.secure, &format!("{below}{}", to.authority()), &self.path))?;
        if self.is_named() && !self.networks.is_empty() {
            let networks: Vec<String> = self.networks.iter().map(ToString::to_string).collect();
            write!(f, " at {}", networks.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
