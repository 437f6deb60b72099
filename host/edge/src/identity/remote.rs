//! Another's OpenID Connect issuer: discovery and key set, over HTTPS.
//!
//! Followed nowhere it did not name itself: no redirects, no proxies, bounded in bytes
//! and time.

use std::path::Path;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use monopod_core::BoxFuture;
use serde::Deserialize;
use tokio::time::timeout;

use super::Source;
use crate::client::Connector;
use crate::limits::{KEYS_SIZE, KEYS_TIME};
use crate::{Error, tls};

pub(super) struct Remote {
    issuer: String,
    connector: Connector,
}

impl Remote {
    /// Checks what can be known of the issuer without asking it.
    pub(super) fn new(issuer: &str, ca: Option<&Path>) -> Result<Self, Error> {
        let wrong = |why| Error::Issuer { issuer: issuer.to_owned(), why };
        let uri: Uri =
            issuer.parse().map_err(|_| wrong("write its full address, as in its tokens' `iss`"))?;
        if !trustworthy(&uri) {
            return Err(wrong("it must begin with https:// (http:// only on this machine)"));
        }
        if uri.query().is_some() {
            return Err(wrong("an issuer has no query"));
        }
        // Its discovery document names `{tenantid}` instead of an issuer; and a token of
        // any tenant at all would be let in.
        let first = uri.path().split('/').nth(1).unwrap_or_default();
        if uri.host() == Some("login.microsoftonline.com")
            && ["common", "organizations", "consumers"].contains(&first)
        {
            return Err(wrong("name the tenant: https://login.microsoftonline.com/<tenant id>/v2.0"));
        }
        let roots = ca.map(tls::read_roots).transpose()?.unwrap_or_default();
        let connector = Connector::trusting(roots, &[tls::HTTP1]).map_err(Error::Client)?;
        Ok(Self { issuer: issuer.to_owned(), connector })
    }

    async fn keys(&self) -> Result<Bytes, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document = self.get(&address).await?;
        let discovery: Discovery = serde_json::from_slice(&document)
            .map_err(|e| format!("{address} is not a discovery document: {e}"))?;
        if discovery.issuer != self.issuer {
            return Err(format!("{address} is of the issuer `{}`", discovery.issuer));
        }
        self.get(&discovery.jwks_uri).await
    }

    async fn get(&self, address: &str) -> Result<Bytes, String> {
        let failed = |why: &dyn std::fmt::Display| format!("{address}: {why}");
        let uri: Uri = address.parse().map_err(|e| failed(&e))?;
        if !trustworthy(&uri) {
            return Err(failed(&"not an https address"));
        }
        let stream = self.connector.connect(&uri).await.map_err(|e| failed(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
        let request = http::Request::get(uri.path_and_query().map_or("/", |it| it.as_str()))
            .header("host", uri.authority().map_or("", |it| it.as_str()))
            // Key sets have a type of their own (RFC 7517), which some issuers insist on.
            .header("accept", "application/json, application/jwk-set+json")
            .body(Empty::<Bytes>::new())
            .map_err(|e| failed(&e))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
            if response.status() != http::StatusCode::OK {
                return Err(failed(&response.status()));
            }
            let body = Limited::new(response.into_body(), KEYS_SIZE);
            Ok(body.collect().await.map_err(|e| failed(&e))?.to_bytes())
        };
        // Driven here and not in a task: both end together.
        let mut exchange = std::pin::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

impl Source for Remote {
    fn fetch(&self) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async {
            let seconds = KEYS_TIME.as_secs();
            timeout(KEYS_TIME, self.keys())
                .await
                .unwrap_or_else(|_| Err(format!("{} did not answer within {seconds} s", self.issuer)))
        })
    }
}

/// Whether nobody in between can change what is said there.
fn trustworthy(uri: &Uri) -> bool {
    match uri.scheme_str() {
        Some("https") => uri.host().is_some_and(|host| !host.is_empty()),
        Some("http") => uri.host().is_some_and(crate::issuer::is_loopback),
        _ => false,
    }
}
