//! Tokens of every bad kind, and issuers on bad days.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://login.microsoftonline.com/7c1a/v2.0";
const AUDIENCE: &str = "api://trackunit";

/// An issuer under test: what it answers, and how often it was asked.
struct Fake {
    answer: Mutex<Result<Bytes, String>>,
    fetches: AtomicUsize,
}

impl Source for Arc<Fake> {
    fn fetch(&self) -> BoxFuture<'_, Result<Bytes, String>> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

impl Fake {
    fn new(keys: &[&Signer]) -> Arc<Self> {
        let fake = Arc::new(Self { answer: Mutex::new(Err(String::new())), fetches: AtomicUsize::new(0) });
        fake.publish(keys);
        fake
    }

    fn publish(&self, keys: &[&Signer]) {
        let set = JwkSet { keys: keys.iter().map(|key| key.public.clone()).collect() };
        *self.answer.lock().unwrap() = Ok(serde_json::to_vec(&set).unwrap().into());
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    public: Jwk,
    pair: KeyPair,
}

impl Signer {
    fn new(id: &str, algorithm: Algorithm) -> Self {
        let (pair, key) = match algorithm {
            Algorithm::ES256 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
                let key = EncodingKey::from_ec_der(pair.serialized_der());
                (pair, key)
            }
            _ => {
                let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
                let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
                (pair, key)
            }
        };
        let mut public = Jwk::from_encoding_key(&key, algorithm).unwrap();
        public.common.key_id = Some(id.to_owned());
        // Entra ID publishes no `alg`.
        public.common.key_algorithm = None;
        Self { key, algorithm, public, pair }
    }

    fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = self.public.common.key_id.clone();
        header
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }
}

fn now() -> u64 {
    monopod_core::now() / 1_000
}

/// A good token's claims, with some changed; `null` removes one.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "ada", "aud": AUDIENCE, "exp": now() + 3_600, "nbf": now(), "scp": "analysis read",
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn verifier(fake: &Arc<Fake>) -> Verifier {
    Verifier::new(ISSUER, AUDIENCE, fake.clone(), Pace::default())
}

fn paced(fake: &Arc<Fake>, pace: Pace) -> Verifier {
    Verifier::new(ISSUER, AUDIENCE, fake.clone(), pace)
}

#[tokio::test]
async fn a_good_token_names_its_user_with_any_kind_of_key() {
    for algorithm in [Algorithm::ES256, Algorithm::RS256] {
        let signer = Signer::new("k", algorithm);
        let verifier = verifier(&Fake::new(&[&signer]));
        let user =
            verifier.verify(&signer.sign(&claims(json!({ "preferred_username": "Ada" })))).await.unwrap();
        assert_eq!((&*user.owner.issuer, &*user.owner.subject), (ISSUER, "ada"));
        assert_eq!(
            (user.name.as_deref(), user.scopes.as_slice()),
            (Some("Ada"), &["analysis".into(), "read".into()][..])
        );
    }
}

#[tokio::test]
async fn scopes_come_as_text_or_list_under_either_name() {
    let signer = Signer::new("k", Algorithm::ES256);
    let verifier = verifier(&Fake::new(&[&signer]));
    for (changes, expect) in [
        (json!({ "scp": "a b" }), vec!["a", "b"]),
        (json!({ "scp": ["a", "b c"] }), vec!["a", "b", "c"]),
        (json!({ "scp": null, "scope": "a" }), vec!["a"]),
        (json!({ "scp": null, "scope": ["a"] }), vec!["a"]),
        (json!({ "scp": null }), vec![]),
        (json!({ "scp": "" }), vec![]),
    ] {
        let user = verifier.verify(&signer.sign(&claims(changes.clone()))).await.unwrap();
        assert_eq!(user.scopes, expect, "{changes}");
    }
}

#[tokio::test]
async fn a_token_with_wrong_claims_is_refused() {
    let signer = Signer::new("k", Algorithm::ES256);
    let verifier = verifier(&Fake::new(&[&signer]));
    let far = now() + 3_600;
    for changes in [
        json!({ "iss": "https://login.microsoftonline.com/other/v2.0" }),
        json!({ "iss": null }),
        json!({ "iss": [ISSUER, "https://evil.example"] }),
        json!({ "aud": "api://other" }),
        json!({ "aud": ["x", "y"] }),
        json!({ "aud": null }),
        json!({ "aud": 7 }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": "a\nb" }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "exp": null }),
        json!({ "exp": far.to_string() }),
        json!({ "exp": -1 }),
        json!({ "nbf": far }),
        json!({ "nbf": "0" }),
        json!({ "nbf": (now() - 10).to_string() }),
        json!({ "scp": 7 }),
    ] {
        let refused = verifier.verify(&signer.sign(&claims(changes.clone()))).await.unwrap_err();
        assert!(matches!(refused, Refused::Invalid(_)), "{changes}: {refused}");
    }
    let expired = claims(json!({ "exp": now() - 61 }));
    assert_eq!(verifier.verify(&signer.sign(&expired)).await.unwrap_err(), Refused::Expired);
    for changes in
        [json!({ "exp": now() - 50 }), json!({ "nbf": now() + 50 }), json!({ "aud": ["x", AUDIENCE] })]
    {
        assert!(verifier.verify(&signer.sign(&claims(changes))).await.is_ok(), "a minute is forgiven");
    }
}

#[tokio::test]
async fn a_token_with_another_algorithm_than_its_key_is_refused() {
    let (ec, rsa) = (Signer::new("ec", Algorithm::ES256), Signer::new("rsa", Algorithm::RS256));
    let fake = Fake::new(&[&ec, &rsa]);
    let verifier = verifier(&fake);
    let good = claims(json!({}));
    let payload = URL_SAFE_NO_PAD.encode(good.to_string());
    let unsigned = |header: Value| format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(header.to_string()));

    // HMAC with what everybody knows: the public key, in each of its forms.
    let mut tokens = Vec::new();
    for signer in [&ec, &rsa] {
        let mut header = signer.header();
        header.alg = Algorithm::HS256;
        for secret in
            [signer.pair.public_key_pem().into_bytes(), signer.pair.public_key_raw().to_vec(), Vec::new()]
        {
            tokens.push(encode(&header, &good, &EncodingKey::from_secret(&secret)).unwrap());
        }
    }
    for none in ["none", "None", "NONE", "nOnE", ""] {
        tokens.push(unsigned(json!({ "alg": none, "kid": "ec" })));
    }
    // The one key's name over the other key's signature.
    let mut header = rsa.header();
    header.kid = Some("ec".to_owned());
    tokens.push(encode(&header, &good, &rsa.key).unwrap());
    // A key brought along, or pointed at.
    let stranger = Signer::new("ec", Algorithm::ES256);
    tokens.push(stranger.sign(&good));
    let mut header = stranger.header();
    header.jwk = Some(stranger.public.clone());
    header.jku = Some("https://evil.example/jwks".to_owned());
    tokens.push(encode(&header, &good, &stranger.key).unwrap());
    for kid in ["../../dev/null", "https://evil.example/key", "' or 1=1", &"k".repeat(10_000)] {
        header.kid = Some(kid.to_owned());
        tokens.push(encode(&header, &good, &stranger.key).unwrap());
    }
    // An extension nobody here knows; another kind of token.
    let mut header = ec.header();
    header.crit = Some(vec!["b64".to_owned()]);
    tokens.push(encode(&header, &good, &ec.key).unwrap());
    let mut header = ec.header();
    header.typ = Some("logout+jwt".to_owned());
    tokens.push(encode(&header, &good, &ec.key).unwrap());
    // Damage.
    let token = ec.sign(&good);
    tokens.extend([String::new(), "a.b.c".to_owned(), "...".to_owned(), token[..token.len() - 4].to_owned()]);
    tokens.push("x".repeat(TOKEN_SIZE + 1));

    for token in &tokens {
        let refused = verifier.verify(token).await.unwrap_err();
        assert!(matches!(refused, Refused::Invalid(_)), "{token}: {refused}");
    }
    assert!(verifier.verify(&token).await.is_ok());
    assert!(fake.fetches() <= 2, "one for the first token, one for all the unknown keys");
}

#[tokio::test]
async fn a_symmetric_or_encryption_key_in_the_set_is_never_used() {
    let signer = Signer::new("k", Algorithm::ES256);
    let mut encryption = signer.public.clone();
    encryption.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Encryption);
    let secret = URL_SAFE_NO_PAD.encode("secret");
    let set = json!({ "keys": [
        { "kty": "oct", "kid": "h", "k": secret, "alg": "HS256" },
        { "kty": "new-kind", "kid": "n" },
        serde_json::to_value(encryption).unwrap(),
    ] });
    let fake = Fake::new(&[]);
    *fake.answer.lock().unwrap() = Ok(set.to_string().into());
    let verifier = verifier(&fake);
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("h".to_owned());
    let forged = encode(&header, &claims(json!({})), &EncodingKey::from_secret(b"secret")).unwrap();
    for token in [forged, signer.sign(&claims(json!({})))] {
        assert!(verifier.verify(&token).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_unknown_keys_costs_the_issuer_one_fetch() {
    let (known, stranger) = (Signer::new("known", Algorithm::ES256), Signer::new("other", Algorithm::ES256));
    let fake = Fake::new(&[&known]);
    let verifier = Arc::new(verifier(&fake));
    let storm: Vec<_> = (0..200)
        .map(|n| {
            let mut header = stranger.header();
            header.kid = Some(format!("unknown-{n}"));
            let token = encode(&header, &claims(json!({})), &stranger.key).unwrap();
            let verifier = verifier.clone();
            tokio::spawn(async move { verifier.verify(&token).await })
        })
        .collect();
    for verified in storm {
        assert!(matches!(verified.await.unwrap(), Err(Refused::Invalid(_))));
    }
    assert_eq!(fake.fetches(), 1);
    assert!(verifier.verify(&known.sign(&claims(json!({})))).await.is_ok(), "the known key still works");
}

#[tokio::test]
async fn a_new_key_is_accepted_at_once_and_a_withdrawn_one_is_not() {
    let (old, new) = (Signer::new("old", Algorithm::ES256), Signer::new("new", Algorithm::ES256));
    let fake = Fake::new(&[&old]);
    let verifier = verifier(&fake);
    assert!(verifier.verify(&old.sign(&claims(json!({})))).await.is_ok());
    fake.publish(&[&new]);
    assert!(verifier.verify(&new.sign(&claims(json!({})))).await.is_ok());
    let other = old.sign(&claims(json!({ "sub": "bob" })));
    assert!(verifier.verify(&other).await.is_err(), "not among the keys any more");
    assert_eq!(fake.fetches(), 2);
}

#[tokio::test]
async fn known_keys_are_believed_through_an_outage_but_not_for_ever() {
    let signer = Signer::new("k", Algorithm::ES256);
    let fake = Fake::new(&[&signer]);
    let hour = Duration::from_secs(3_600);
    let pace = Pace { cooldown: Duration::ZERO, fresh: Duration::ZERO, stale: hour };
    let verifier = paced(&fake, pace);
    let token = |n: u32| signer.sign(&claims(json!({ "sub": n.to_string() })));
    assert!(verifier.verify(&token(1)).await.is_ok());
    *fake.answer.lock().unwrap() = Err("connection refused".to_owned());
    assert!(verifier.verify(&token(2)).await.is_ok());

    let pace = Pace { stale: Duration::ZERO, ..pace };
    let fake = Fake::new(&[&signer]);
    let verifier = paced(&fake, pace);
    assert!(verifier.verify(&token(1)).await.is_ok());
    *fake.answer.lock().unwrap() = Err("connection refused".to_owned());
    assert!(matches!(verifier.verify(&token(2)).await, Err(Refused::Unavailable(_))));
    fake.publish(&[&signer]);
    assert!(verifier.verify(&token(3)).await.is_ok());
}

#[tokio::test]
async fn an_issuer_without_usable_keys_makes_tokens_unverifiable_not_invalid() {
    let signer = Signer::new("k", Algorithm::ES256);
    for answer in ["", "{}", "[]", "{\"keys\":[]}", "{\"keys\":7}", "<html>"] {
        let fake = Fake::new(&[]);
        *fake.answer.lock().unwrap() = Ok(answer.into());
        let verifier = verifier(&fake);
        for _ in 0..3 {
            let refused = verifier.verify(&signer.sign(&claims(json!({})))).await.unwrap_err();
            assert!(matches!(refused, Refused::Unavailable(_)), "{answer}");
        }
        assert_eq!(fake.fetches(), 1, "and is not asked again at once");
    }
}

#[tokio::test]
async fn a_verified_token_is_not_checked_again_and_a_changed_one_is() {
    let signer = Signer::new("k", Algorithm::ES256);
    let fake = Fake::new(&[&signer]);
    let verifier = verifier(&fake);
    let token = signer.sign(&claims(json!({})));
    assert!(verifier.remembered(&token).is_none());
    let user = verifier.verify(&token).await.unwrap();
    assert_eq!(verifier.remembered(&token).unwrap(), user);
    assert_eq!(verifier.bearer(&token).await.unwrap(), user);
    assert!(verifier.remembered(&format!("{token}x")).is_none());
}

#[test]
fn an_issuer_that_cannot_be_trusted_is_refused_before_anything_runs() {
    for (issuer, why) in [
        ("", "full address"),
        ("example.org", "https"),
        ("http://example.org", "https"),
        ("ftp://example.org", "https"),
        ("https://example.org/?a=b", "query"),
        ("https://login.microsoftonline.com/common/v2.0", "tenant"),
        ("https://login.microsoftonline.com/organizations/v2.0", "tenant"),
    ] {
        let error = Verifier::remote(issuer, AUDIENCE, None).err().unwrap().to_string();
        assert!(error.contains(why), "{issuer}: {error}");
    }
    for issuer in [ISSUER, "http://127.0.0.1:5556/dex", "http://[::1]:1", "https://localhost:8443/identity"] {
        assert!(Verifier::remote(issuer, AUDIENCE, None).is_ok(), "{issuer}");
    }
}
