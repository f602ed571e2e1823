//! `tls_server_config`: TLS versions, cipher suites, curves and certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use super::authorities::read_client_certificates;
use super::key_pair::read_key_pair;
use super::sources::Sources;
use crate::yaml::problem::Report;
use crate::yaml::raw::{KeyNames, Mapping, Node, Read, Told, listed, quoted};

/// The checked TLS configuration.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's certificate chain and private key.
    pub key_pair: Arc<CertifiedKey>,
    /// The policy for client certificates; `None` if none is requested.
    pub clients: Option<ClientCertificates>,
    /// With the configured cipher suites and groups only.
    pub provider: Arc<CryptoProvider>,
    /// Never empty.
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

/// The policy for client certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether a client without a certificate is rejected.
    pub is_required: bool,
    /// Whether an authority must have signed it.
    pub is_verified: bool,
    /// The authorities that may have.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The subject alternative names of which it must have one; `None` allows any.
    pub allowed_names: Option<Vec<String>>,
}

const KEYS: [&str; 13] = [
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

pub(super) fn read_tls(
    node: &Node<'_>,
    folder: &Path,
    sources: &mut Sources,
    report: &mut Report,
) -> Read<Option<Tls>> {
    let section = node.mapping(&KEYS, KeyNames::Guarded, report)?;
    if KEYS.iter().all(|key| section.get(key).is_none()) {
        return Ok(None);
    }
    let mut provider = ring::default_provider();
    let key_pair = read_key_pair(&section, &provider, folder, sources, report);
    let clients = read_client_certificates(&section, folder, sources, report);
    let versions = read_versions(&section, report);
    let suites = read_cipher_suites(&section, report);
    let groups = read_groups(&section, report);
    if let Some(node) = section.get("prefer_server_cipher_suites") {
        // It has no effect, as in Go since 1.17.
        node.boolean(report)?;
    }
    let (versions, suites) = (versions?, suites?);
    if let Some(suites) = suites {
        provider.cipher_suites.retain(|suite| {
            // Those of TLS 1.3 are not configurable, as in Go.
            suite.version() == &TLS13 || suites.contains(suite)
        });
        let is_usable = |suite: &SupportedCipherSuite| versions.contains(&suite.version());
        if !provider.cipher_suites.iter().any(is_usable) {
            let what = "none of these is for TLS 1.2, and `max_version` allows no later one";
            let place = section.get("cipher_suites").map(|node| node.place);
            return Err(place.map_or(Told, |place| place.complain(what, report)));
        }
    }
    if let Some(groups) = groups? {
        provider.kx_groups = groups;
    }
    Ok(Some(Tls {
        key_pair: key_pair?,
        clients: clients?,
        provider: Arc::new(provider),
        versions,
    }))
}

fn read_versions(
    section: &Mapping<'_>,
    report: &mut Report,
) -> Read<Vec<&'static SupportedProtocolVersion>> {
    let known = [("TLS12", &TLS12), ("TLS13", &TLS13)];
    let mut read = |key: &str, default: usize| {
        let Some(node) = section.get(key) else {
            return Ok(default);
        };
        let text = node.text("`TLS12` or `TLS13`", report)?;
        if text.is_empty() {
            return Ok(default);
        }
        let position = known.iter().position(|(name, _)| *name == text);
        position.ok_or_else(|| {
            let what = match text {
                "TLS10" | "TLS11" => format!(
                    "found `{text}`, which is not secure (RFC 8996) and which this program does not speak; expected \
                     `TLS12` or `TLS13`"
                ),
                _ => format!("expected `TLS12` or `TLS13`, found {}", quoted(text)),
            };
            node.place.complain(what, report)
        })
    };
    let (from, to) = (read("min_version", 0), read("max_version", 1));
    let (from, to) = (from?, to?);
    if from > to {
        let what = "expected no later version than `max_version`";
        let place = section.get("min_version").map(|node| node.place);
        return Err(place.map_or(Told, |place| place.complain(what, report)));
    }
    Ok(known[from..=to]
        .iter()
        .map(|(_, version)| *version)
        .collect())
}

/// Go's names of the suites that both it and rustls have.
fn cipher_suites() -> [(&'static str, SupportedCipherSuite); 9] {
    use ring::cipher_suite as suite;
    [
        (
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        (
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
        ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
        (
            "TLS_CHACHA20_POLY1305_SHA256",
            suite::TLS13_CHACHA20_POLY1305_SHA256,
        ),
    ]
}

/// `None` without a list or with an empty one, which means all of them.
fn read_cipher_suites(
    section: &Mapping<'_>,
    report: &mut Report,
) -> Read<Option<Vec<SupportedCipherSuite>>> {
    read_names(section, "cipher_suites", &cipher_suites(), report)
}

fn read_groups(
    section: &Mapping<'_>,
    report: &mut Report,
) -> Read<Option<Vec<&'static dyn SupportedKxGroup>>> {
    let known = [
        ("CurveP256", NamedGroup::secp256r1),
        ("CurveP384", NamedGroup::secp384r1),
        ("X25519", NamedGroup::X25519),
    ];
    let names = read_names(section, "curve_preferences", &known, report)?;
    let group = |name: NamedGroup| {
        let mut all = ring::ALL_KX_GROUPS.iter();
        all.find(|group| group.name() == name).copied()
    };
    Ok(names.map(|names| names.into_iter().filter_map(group).collect()))
}

/// Reads a list of known names, and gives what they stand for.
fn read_names<T: Copy>(
    section: &Mapping<'_>,
    key: &str,
    known: &[(&'static str, T)],
    report: &mut Report,
) -> Read<Option<Vec<T>>> {
    let Some(node) = section.get(key) else {
        return Ok(None);
    };
    let mut found = Vec::new();
    let mut outcome = Ok(());
    for (place, text) in node.texts("a list of names", "a text", report)? {
        let Ok(text) = text else {
            outcome = Err(Told);
            continue;
        };
        if let Some((_, meaning)) = known.iter().find(|(name, _)| *name == text) {
            found.push(*meaning);
            continue;
        }
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let (text, names) = (quoted(text), listed(&names));
        let what = format!("{text} is not supported by this program; expected one of {names}");
        outcome = Err(place.complain(what, report));
    }
    outcome?;
    Ok((!found.is_empty()).then_some(found))
}
