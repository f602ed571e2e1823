//! `client_auth_type`, `client_ca`, `client_ca_file`, `client_allowed_sans`: the policy for client certificates.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::key_pair::read_pem;
use super::sources::Sources;
use super::tls::ClientCertificates;
use crate::yaml::problem::Report;
use crate::yaml::raw::{Mapping, Read, Told, listed, quoted};

/// The names of Go's `tls.ClientAuthType` and an old one of exporter-toolkit, whether a certificate is required, and whether
/// it is verified.
const POLICIES: [(&str, bool, bool); 5] = [
    ("RequestClientCert", false, false),
    ("RequireAnyClientCert", true, false),
    ("RequireClientCert", true, false),
    ("VerifyClientCertIfGiven", false, true),
    ("RequireAndVerifyClientCert", true, true),
];

const NO_POLICY: &str = "NoClientCert";

pub(super) fn read_client_certificates(
    section: &Mapping<'_>,
    folder: &Path,
    sources: &mut Sources,
    report: &mut Report,
) -> Read<Option<ClientCertificates>> {
    let policy = read_policy(section, report);
    let authorities = read_authorities(section, folder, sources, report);
    let allowed_names = read_allowed_names(section, report);
    let policy = policy?;
    if allowed_names != Ok(None)
        && !matches!(policy, Some((_, true, _)))
        && let Some(names) = section.get("client_allowed_sans")
    {
        let what = "this needs a `client_auth_type` that requires a certificate: `RequireAndVerifyClientCert` or \
                    `RequireAnyClientCert`";
        let Told = names.place.complain(what, report);
    }
    let Some((name, is_required, is_verified)) = policy else {
        for key in ["client_ca", "client_ca_file"] {
            if let Some(node) = section.get(key)
                && authorities.as_ref().is_ok_and(|found| !found.is_empty())
            {
                let what = "this needs a `client_auth_type` that asks for certificates, such as \
                            `RequireAndVerifyClientCert`";
                let Told = node.place.complain(what, report);
            }
        }
        return Ok(None);
    };
    let (authorities, allowed_names) = (authorities?, allowed_names?);
    if is_verified && authorities.is_empty() {
        let expected =
            format!("the authorities of the clients' certificates, as `{name}` verifies");
        return Err(section.missing("client_ca_file", &expected, report));
    }
    Ok(Some(ClientCertificates {
        is_required,
        is_verified,
        authorities,
        allowed_names,
    }))
}

fn read_policy(
    section: &Mapping<'_>,
    report: &mut Report,
) -> Read<Option<(&'static str, bool, bool)>> {
    let Some(node) = section.get("client_auth_type") else {
        return Ok(None);
    };
    let text = node.text("a text", report)?;
    if text.is_empty() || text == NO_POLICY {
        return Ok(None);
    }
    let found = POLICIES.into_iter().find(|(name, ..)| *name == text);
    found.map(Some).ok_or_else(|| {
        let names: Vec<_> = POLICIES.iter().map(|(name, ..)| *name).collect();
        let (others, found) = (listed(&names), quoted(text));
        let what = format!("expected one of `{NO_POLICY}`, {others}; found {found}");
        node.place.complain(what, report)
    })
}

fn read_authorities(
    section: &Mapping<'_>,
    folder: &Path,
    sources: &mut Sources,
    report: &mut Report,
) -> Read<Vec<CertificateDer<'static>>> {
    let keys = ["client_ca", "client_ca_file"];
    let Some(pem) = read_pem(section, keys, folder, sources, report)? else {
        return Ok(Vec::new());
    };
    let certificates = pem.certificates(report)?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        if let Err(error) = store.add(certificate.clone()) {
            let number = index + 1;
            let what = format!("holds as number {number} a certificate that is of no use: {error}");
            return Err(pem.complain(&what, report));
        }
    }
    Ok(certificates)
}

fn read_allowed_names(section: &Mapping<'_>, report: &mut Report) -> Read<Option<Vec<String>>> {
    let Some(node) = section.get("client_allowed_sans") else {
        return Ok(None);
    };
    let mut names = Vec::new();
    let elements = node.texts("a list of names", "a text", report)?;
    for (_, element) in elements {
        names.push(element?.to_owned());
    }
    if names.is_empty() {
        let what =
            "the list is empty, so that no client could connect; leave it out to allow every name";
        return Err(node.place.complain(what, report));
    }
    Ok(Some(names))
}
