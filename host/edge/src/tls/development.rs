//! A certificate for development: a certificate authority that signs one leaf and is
//! forgotten.
//!
//! The authority's key never touches the disk, so trusting `ca.pem` trusts this one
//! leaf and nothing anybody could ever sign with it. Both are kept across restarts and
//! renewed together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::{Identity, parse_chain, provider};
use crate::{Error, files};

/// The names of the machine itself.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The longest that current browsers accept of a leaf.
const LIFE_DAYS: i64 = 397;
/// Renewed when it has less left than this: nobody's run is longer.
const RENEW: Duration = Duration::from_secs(30 * 86_400);
/// Valid from an hour ago, for clocks that are behind.
const BACKDATE_HOURS: i64 = 1;

/// The file that clients trust, in the folder of a self-signed certificate.
pub fn development_ca(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// The certificate in `folder`, made or renewed if needed.
pub(super) fn certificate(folder: &Path) -> Result<Identity, Error> {
    files::folder(folder)?;
    let (leaf, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let ca = development_ca(folder);
    let kept = match (files::read_private(&key)?, files::read_private(&leaf)?, files::read_private(&ca)?) {
        (Some(key), Some(leaf), Some(ca)) => usable(&key, &leaf, &ca),
        _ => None,
    };
    if let Some(kept) = kept {
        return Ok(kept);
    }
    let made = make().map_err(|e| Error::Tls(format!("no certificate could be made: {e}")))?;
    // A crash in between leaves files that do not fit together: they are made anew.
    files::write_private(&key, made.key.as_bytes())?;
    files::write_private(&leaf, made.leaf.as_bytes())?;
    files::write_private(&ca, made.ca.as_bytes())?;
    tracing::info!(ca = %ca.display(), "a new development certificate was made; clients trust it by this file");
    usable(made.key.as_bytes(), made.leaf.as_bytes(), made.ca.as_bytes())
        .ok_or_else(|| Error::Tls("the new development certificate does not verify".to_owned()))
}

struct Made {
    key: String,
    leaf: String,
    ca: String,
}

fn make() -> Result<Made, rcgen::Error> {
    let now = time::OffsetDateTime::now_utc();
    let lasts = |params: &mut CertificateParams| {
        params.not_before = now - time::Duration::hours(BACKDATE_HOURS);
        params.not_after = now + time::Duration::days(LIFE_DAYS);
    };

    let mut ca = CertificateParams::default();
    lasts(&mut ca);
    ca.distinguished_name.push(DnType::CommonName, "monopod development, this machine only");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    ca.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V4(Ipv4Addr::LOCALHOST), 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)),
        ],
        excluded_subtrees: Vec::new(),
    });
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;

    let mut leaf = CertificateParams::new(NAMES.map(str::to_owned).to_vec())?;
    lasts(&mut leaf);
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;

    Ok(Made { key: key.serialize_pem(), leaf: certificate.pem(), ca: ca_certificate.pem() })
}

/// The kept files, if a client that trusts `ca` will still accept them in a month's time
/// under every name. That also tells a damaged file, or one of another pair.
fn usable(key: &[u8], leaf: &[u8], ca: &[u8]) -> Option<Identity> {
    let key = PrivateKeyDer::from_pem_slice(key).ok()?;
    let chain = parse_chain(leaf)?;
    let ca = parse_chain(ca)?.into_iter().next()?;
    let leaf = chain.first()?;
    rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()).ok()?;
    verifies(leaf, ca).then_some((chain, key))
}

fn verifies(leaf: &CertificateDer<'_>, ca: CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    if roots.add(ca).is_err() {
        return false;
    }
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()
    else {
        return false;
    };
    let then = UnixTime::since_unix_epoch(Duration::from_millis(monopod_core::now()) + RENEW);
    NAMES.iter().all(|name| {
        ServerName::try_from(*name)
            .is_ok_and(|name| verifier.verify_server_cert(leaf, &[], &name, &[], then).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_certificate_stays_across_restarts_and_its_authority_cannot_sign_again() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = certificate(folder.path()).unwrap();
        let ca = fs::read(development_ca(folder.path())).unwrap();
        let (second, _) = certificate(folder.path()).unwrap();
        assert_eq!(first, second);
        assert_eq!(ca, fs::read(development_ca(folder.path())).unwrap());
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["ca.pem", "certificate.pem", "key.pem"], "and so no key of the authority");
    }

    #[test]
    fn a_damaged_or_foreign_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path()).unwrap();
        let other = make().unwrap();
        for (file, content) in [
            ("certificate.pem", "nonsense"),
            ("certificate.pem", other.leaf.as_str()),
            ("key.pem", other.key.as_str()),
            ("ca.pem", other.ca.as_str()),
            ("key.pem", ""),
        ] {
            files::write_private(&folder.path().join(file), content.as_bytes()).unwrap();
            let (chain, _) = certificate(folder.path()).unwrap();
            let ca = fs::read(development_ca(folder.path())).unwrap();
            let ca = parse_chain(&ca).unwrap().remove(0);
            assert!(verifies(&chain[0], ca), "{file}");
        }
    }
}
