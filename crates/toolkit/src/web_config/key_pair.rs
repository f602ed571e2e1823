//! `cert`, `cert_file`, `key`, `key_file`: the certificate of the server and its private key.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::sources::Sources;
use crate::yaml::problem::Report;
use crate::yaml::raw::{Mapping, Place, Read, Told};

/// A text in PEM, and the place of the value that it comes from.
pub(super) struct Pem<'a> {
    pub(super) place: Place<'a>,
    content: Vec<u8>,
    /// How a problem with the content begins.
    subject: String,
}

impl Pem<'_> {
    pub(super) fn complain(&self, what: &str, report: &mut Report) -> Told {
        let what = format!("{} {what}", self.subject);
        self.place.complain(what, report)
    }

    /// The certificates that it holds, at least one.
    pub(super) fn certificates(&self, report: &mut Report) -> Read<Vec<CertificateDer<'static>>> {
        let certificates: Result<Vec<_>, Error> =
            CertificateDer::pem_slice_iter(&self.content).collect();
        let Ok(certificates) = certificates else {
            return Err(self.complain("is not sound PEM", report));
        };
        if certificates.is_empty() {
            return Err(self.complain("holds no certificate in PEM form", report));
        }
        for (index, certificate) in certificates.iter().enumerate() {
            if Certificate::read(certificate).is_none() {
                let number = index + 1;
                let what = format!("holds something else than a certificate as number {number}");
                return Err(self.complain(&what, report));
            }
        }
        Ok(certificates)
    }

    fn private_key(&self, report: &mut Report) -> Read<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(&self.content).map_err(|_| {
            let is_encrypted = self.content.windows(9).any(|part| part == b"ENCRYPTED");
            let what = if is_encrypted {
                "holds a private key that is encrypted; expected one without a pass phrase"
            } else {
                "holds no private key in PEM form"
            };
            self.complain(what, report)
        })
    }
}

/// Reads a text that is given in the configuration (`key`) or in a file of its own (`key_file`).
pub(super) fn read_pem<'a>(
    section: &Mapping<'a>,
    [inline, in_file]: [&str; 2],
    folder: &Path,
    sources: &mut Sources,
    report: &mut Report,
) -> Read<Option<Pem<'a>>> {
    let written = |key: &str, expected: &str, report: &mut Report| {
        let Some(node) = section.get(key) else {
            return Ok(None);
        };
        let text = node.hidden_text(expected, report)?;
        // As in Go's exporter-toolkit, where an empty text counts as none.
        Ok((!text.is_empty()).then_some((node.place, text)))
    };
    let content = written(inline, "a text in PEM form", report);
    let path = written(in_file, "the path of a file in PEM form", report);
    match (content?, path?) {
        (None, None) => Ok(None),
        (Some((place, content)), None) => Ok(Some(Pem {
            place,
            content: content.as_bytes().to_owned(),
            subject: "the text".to_owned(),
        })),
        (None, Some((place, path))) => {
            let path = folder.join(path);
            let content = sources.read(&path);
            let content = content.map_err(|what| place.complain(what, report))?;
            Ok(Some(Pem {
                place,
                content,
                subject: format!("the file `{}`", path.display()),
            }))
        }
        (Some((place, _)), Some(_)) => {
            let what = format!("given beside `{in_file}`; expected one of the two");
            Err(place.complain(what, report))
        }
    }
}

pub(super) fn read_key_pair(
    section: &Mapping<'_>,
    provider: &CryptoProvider,
    folder: &Path,
    sources: &mut Sources,
    report: &mut Report,
) -> Read<Arc<CertifiedKey>> {
    let mut pem = |keys: [&str; 2], report: &mut Report| match read_pem(
        section, keys, folder, sources, report,
    ) {
        Ok(None) => {
            let expected = format!("the path of a file in PEM form, or `{}`", keys[0]);
            Err(section.missing(keys[1], &expected, report))
        }
        Ok(Some(pem)) => Ok(pem),
        Err(Told) => Err(Told),
    };
    let chain =
        pem(["cert", "cert_file"], report).and_then(|pem| Ok((pem.certificates(report)?, pem)));
    let key = pem(["key", "key_file"], report).and_then(|pem| Ok((pem.private_key(report)?, pem)));
    let ((chain, _), (key, pem)) = (chain?, key?);
    let Ok(key) = provider.key_provider.load_private_key(key) else {
        let what = "holds a private key of a kind that is not supported; expected RSA of 2048 bits or more, \
                    ECDSA on P-256 or P-384, or Ed25519";
        return Err(pem.complain(what, report));
    };
    // Not with rustls, which rejects certificates of X.509 version 1, and servers still have those.
    let of_key = key.public_key();
    let of_certificate = chain.first().and_then(|first| Certificate::read(first));
    if let (Some(of_key), Some(of_certificate)) = (of_key, of_certificate)
        && *of_key != *of_certificate.public_key
    {
        let what = "holds a private key that does not belong to the certificate";
        return Err(pem.complain(what, report));
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}
