//! What the listener without TLS needs: by which names it may be called.
//!
//! At the front door a certificate stops a page that lets its own name point to this machine
//! (DNS rebinding). Without TLS the `Host` header has to: a browser always sends the name that
//! the page was loaded from. Asked by `door` for each request that came without TLS.

use std::net::IpAddr;

use axum::http::uri::Authority;

/// The names of this machine's listener without TLS: its own, and the public one, which a proxy
/// in front of it may hand on.
#[derive(Debug)]
pub(crate) struct Names {
    public: String,
}

impl Names {
    /// `public_url` is that of the platform, `https://host[:port]`.
    pub(crate) fn new(public_url: &str) -> Self {
        let authority = public_url.strip_prefix("https://").unwrap_or(public_url);
        let host = authority.parse::<Authority>().map_or_else(|_| String::new(), |a| a.host().to_owned());
        Self { public: host }
    }

    /// Whether a request with this `Host` is meant for us.
    pub(crate) fn include(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || (!name.is_empty() && name.eq_ignore_ascii_case(&self.public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_points_its_name_here_is_not_meant() {
        let names = Names::new("https://graphql.local:8443");
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::1]",
            "graphql.local:1",
        ] {
            assert!(names.include(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "10.0.0.1",
            "127.0.0.1.evil",
        ] {
            assert!(!names.include(host), "{host}");
        }
    }
}
