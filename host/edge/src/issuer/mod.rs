//! The built-in issuer: an OpenID Connect provider for development. Anybody who reaches
//! it can be anybody, which is why it answers this machine alone: the socket is on a
//! loopback address, the peer must be, the name it is called by must be, and a page of
//! another origin is turned away.
//!
//! Its tokens are verified by the same code as anybody else's.

mod device;
mod form;
mod key;
mod page;
mod token;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, Method, StatusCode, header, request};
use bytes::Bytes;
use serde_json::json;

use crate::Error;
use crate::answer::{self, Answer};
use crate::body::Inbound;
use device::{Devices, Poll};
use form::Form;
use key::SigningKey;
use token::Wish;

/// The `aud` of its tokens.
pub(crate) const AUDIENCE: &str = "monopod";

/// The grant type of the device flow (RFC 8628).
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(crate) struct Issuer {
    name: String,
    key: SigningKey,
    devices: Mutex<Devices>,
}

/// An error of OAuth 2 (RFC 6749, section 5.2): its code and a text for people.
struct Wrong(StatusCode, &'static str, String);

impl Wrong {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, code, text.into())
    }
}

impl From<Wrong> for Answer {
    fn from(Wrong(status, code, text): Wrong) -> Self {
        answer::json(status, &json!({ "error": code, "error_description": text }))
    }
}

impl Issuer {
    /// The issuer of `public_url`, with its key from `folder`, made if there is none.
    pub(crate) fn open(folder: &Path, public_url: &str) -> Result<Self, Error> {
        let name = format!("{public_url}/identity");
        Ok(Self { name, key: SigningKey::open(folder)?, devices: Mutex::default() })
    }

    /// Its `iss`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its public keys, as others fetch them.
    pub(crate) fn key_set(&self) -> Bytes {
        self.key.public().clone()
    }

    /// Answers everything below `/identity`.
    pub(crate) async fn answer(
        &self,
        parts: &request::Parts,
        path: &str,
        body: Inbound,
        peer: SocketAddr,
    ) -> Answer {
        if let Err(why) = from_this_machine(parts, peer) {
            return answer::error(StatusCode::FORBIDDEN, "FORBIDDEN", why);
        }
        let get = parts.method == Method::GET;
        let post = parts.method == Method::POST;
        match path.strip_prefix("/identity").unwrap_or(path) {
            "/.well-known/openid-configuration" if get => self.discovery(),
            "/jwks" if get => self.jwks(),
            "/device" if get => page::ask(parts.uri.query().unwrap_or_default()),
            "/device" if post => match Form::read(parts, body).await {
                Ok(form) => self.decide(&form),
                Err(wrong) => wrong.into(),
            },
            "/token" if post => match Form::read(parts, body).await {
                Ok(form) => self.token(&form).unwrap_or_else(Into::into),
                Err(wrong) => wrong.into(),
            },
            "/device_authorization" if post => match Form::read(parts, body).await {
                Ok(form) => self.begin(&form).unwrap_or_else(Into::into),
                Err(wrong) => wrong.into(),
            },
            "/.well-known/openid-configuration" | "/jwks" => answer::method("GET"),
            "/token" | "/device_authorization" => answer::method("POST"),
            "/device" => answer::method("GET, POST"),
            _ => answer::unknown(),
        }
    }

    fn discovery(&self) -> Answer {
        let name = &self.name;
        answer::json(
            StatusCode::OK,
            &json!({
                "issuer": name,
                "jwks_uri": format!("{name}/jwks"),
                "token_endpoint": format!("{name}/token"),
                "device_authorization_endpoint": format!("{name}/device_authorization"),
                "grant_types_supported": [DEVICE_GRANT, "client_credentials"],
                "token_endpoint_auth_methods_supported": ["none"],
                "response_types_supported": [],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "scopes_supported": ["analysis"],
                "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nbf", "scp", "name"],
            }),
        )
    }

    fn jwks(&self) -> Answer {
        let mut response = answer::json(StatusCode::OK, &serde_json::Value::Null);
        *response.body_mut() = self.key_set().into();
        response
    }

    /// The token endpoint.
    fn token(&self, form: &Form) -> Result<Answer, Wrong> {
        let grant = match form
            .get("grant_type")?
            .ok_or(Wrong::new("invalid_request", "grant_type is missing"))?
        {
            "client_credentials" => {
                let name =
                    form.get("client_id")?.ok_or(Wrong::new("invalid_request", "client_id is missing"))?;
                let lasts = form.get("expires_in")?.map(token::parse_life).transpose()?;
                (token::parse_name(name)?, Wish::new(form.get("scope")?, lasts)?)
            }
            DEVICE_GRANT => {
                let code = form
                    .get("device_code")?
                    .ok_or(Wrong::new("invalid_request", "device_code is missing"))?;
                match self.devices().poll(code, monopod_core::now()) {
                    Poll::Approved(name, wish) => (name, wish),
                    Poll::Pending => {
                        return Err(Wrong::new("authorization_pending", "nobody has approved yet"));
                    }
                    Poll::SlowDown => {
                        return Err(Wrong::new("slow_down", "wait 5 seconds longer between tries"));
                    }
                    Poll::Denied => return Err(Wrong::new("access_denied", "it was denied")),
                    Poll::Expired => {
                        return Err(Wrong::new("expired_token", "the code has expired; begin anew"));
                    }
                    Poll::Unknown => return Err(Wrong::new("invalid_grant", "there is no such device code")),
                }
            }
            other => {
                let text = format!("`{other}` is not known here; use client_credentials or {DEVICE_GRANT}");
                return Err(Wrong::new("unsupported_grant_type", text));
            }
        };
        let (name, wish) = grant;
        self.key.issue(&self.name, &name, &wish, monopod_core::now() / 1_000)
    }

    /// The device authorization endpoint.
    fn begin(&self, form: &Form) -> Result<Answer, Wrong> {
        let lasts = form.get("expires_in")?.map(token::parse_life).transpose()?;
        let wish = Wish::new(form.get("scope")?, lasts)?;
        let begun = self.devices().begin(wish, monopod_core::now())?;
        let page = format!("{}/device", self.name);
        Ok(answer::json(
            StatusCode::OK,
            &json!({
                "device_code": begun.device_code,
                "user_code": begun.user_code,
                "verification_uri": page,
                "verification_uri_complete": format!("{page}?user_code={}", begun.user_code),
                "expires_in": device::LIFE.as_secs(),
                "interval": device::INTERVAL.as_secs(),
            }),
        ))
    }

    /// What the page sent.
    fn decide(&self, form: &Form) -> Answer {
        let read = || -> Result<_, Wrong> {
            let code = form.get("user_code")?.unwrap_or_default();
            let denied = form.get("action")? == Some("deny");
            let name =
                if denied { None } else { Some(token::parse_name(form.get("name")?.unwrap_or_default())?) };
            Ok((code, name))
        };
        match read() {
            Ok((code, name)) => {
                let known = self.devices().decide(code, name.clone(), monopod_core::now());
                page::decided(known, name.as_deref())
            }
            Err(Wrong(_, _, text)) => page::wrong(&text),
        }
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a host, without its port, is this machine by name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A name that resolves to loopback is not enough: anybody can give out such names, and a
/// browser would then send what a page of theirs asks for.
fn from_this_machine(parts: &request::Parts, peer: SocketAddr) -> Result<(), &'static str> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err("the development issuer answers this machine alone");
    }
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(|it| it.as_str()).or(host).unwrap_or_default();
    let authority: http::uri::Authority =
        authority.parse().map_err(|_| "the development issuer must be called by name")?;
    if !is_loopback(authority.host()) || host.is_some_and(|host| host != authority.as_str()) {
        return Err("the development issuer must be called localhost, 127.0.0.1 or [::1]");
    }
    same_origin(&parts.headers, authority.as_str())
}

fn same_origin(headers: &HeaderMap, authority: &str) -> Result<(), &'static str> {
    match headers.get(header::ORIGIN) {
        Some(origin) if origin.as_bytes() != format!("https://{authority}").as_bytes() => {
            Err("the development issuer answers pages of its own origin alone")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, host: &str, origin: Option<&str>) -> bool {
        let mut request = axum::http::Request::get("/identity/jwks").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        from_this_machine(&parts, peer.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_this_machine_by_its_own_name_is_answered() {
        for host in ["localhost:8443", "LOCALHOST", "127.0.0.1:8443", "[::1]:8443", "127.1.2.3"] {
            assert!(check("127.0.0.1:5", host, None), "{host}");
        }
        for host in
            ["", "example.org", "localhost.example.org", "127.0.0.1.nip.io", "10.0.0.1", "localhost@evil"]
        {
            assert!(!check("127.0.0.1:5", host, None), "{host}");
        }
        assert!(check("[::1]:5", "localhost", None));
        assert!(check("[::ffff:127.0.0.1]:5", "localhost", None));
        assert!(!check("10.0.0.7:5", "localhost", None));
    }

    #[test]
    fn a_page_of_another_origin_is_turned_away() {
        assert!(check("127.0.0.1:5", "localhost:8443", Some("https://localhost:8443")));
        for origin in ["https://evil.example", "null", "http://localhost:8443", "https://localhost:9000"] {
            assert!(!check("127.0.0.1:5", "localhost:8443", Some(origin)), "{origin}");
        }
    }
}
