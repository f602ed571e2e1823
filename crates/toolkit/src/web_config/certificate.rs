//! Reads some fields of a certificate: names, validity, extended key usage, public key.
//!
//! `rustls` verifies chains and signatures. It does not give the names that `client_allowed_sans` compares, and parses
//! X.509 version 3 only, while servers have older certificates in use. Nothing is verified here.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::NaiveDateTime;

/// Some fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The start of its validity, in seconds since 1970.
    pub not_before: i64,
    /// The end of its validity, inclusive.
    pub not_after: i64,
    /// The encoded public key with its algorithm (`SubjectPublicKeyInfo`).
    pub public_key: &'a [u8],
    /// The subject alternative names: hosts, e-mail addresses, IP addresses and URIs.
    pub names: Vec<String>,
    /// Whether it is valid for client authentication: it says so, or has no extended key usage.
    pub is_for_clients: bool,
}

// Tags of DER, and the object identifiers of RFC 5280 below their common beginning `id-ce`.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37, 0];
const CLIENT_AUTHENTICATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

impl<'a> Certificate<'a> {
    /// Reads a certificate in DER; `None` if it is not one.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let mut fields = Der(Der(der).content(SEQUENCE)?);
        let mut fields = Der(fields.content(SEQUENCE)?);
        fields.optional(VERSION);
        fields.content(INTEGER)?;
        fields.content(SEQUENCE)?;
        let _issuer = fields.content(SEQUENCE)?;
        let mut validity = Der(fields.content(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let _subject = fields.content(SEQUENCE)?;
        let public_key = fields.element()?;
        let mut certificate = Self {
            not_before,
            not_after,
            public_key: public_key.whole,
            names: Vec::new(),
            is_for_clients: true,
        };
        fields.optional(ISSUER_ID);
        fields.optional(SUBJECT_ID);
        if let Some(extensions) = fields.optional(EXTENSIONS) {
            let mut extensions = Der(Der(extensions).content(SEQUENCE)?);
            while !extensions.0.is_empty() {
                certificate.read_extension(Der(extensions.content(SEQUENCE)?))?;
            }
        }
        Some(certificate)
    }

    fn read_extension(&mut self, mut extension: Der<'a>) -> Option<()> {
        let id = extension.content(OBJECT)?;
        extension.optional(BOOLEAN);
        let value = extension.content(OCTETS)?;
        if id == SUBJECT_ALTERNATIVE_NAME {
            let mut names = Der(Der(value).content(SEQUENCE)?);
            while !names.0.is_empty() {
                let Element { tag, content, .. } = names.element()?;
                self.names.extend(name(tag, content));
            }
        } else if id == EXTENDED_KEY_USAGE {
            let mut uses = Der(Der(value).content(SEQUENCE)?);
            self.is_for_clients = false;
            while !uses.0.is_empty() {
                let found = uses.content(OBJECT)?;
                self.is_for_clients |=
                    found == CLIENT_AUTHENTICATION || found == ANY_EXTENDED_KEY_USAGE;
            }
        }
        Some(())
    }
}

/// Go's exporter-toolkit compares no other kinds of names either.
fn name(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        EMAIL | DNS | URI => String::from_utf8(content.to_owned()).ok(),
        ADDRESS => match content.len() {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?).to_string()),
            16 => {
                let address = Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?);
                Some(address.to_canonical().to_string())
            }
            _ => None,
        },
        _ => None,
    }
}

/// The unread rest of a DER encoding.
struct Der<'a>(&'a [u8]);

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Der<'a> {
    /// Takes the next element, whatever it is.
    fn element(&mut self) -> Option<Element<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            // No certificate needs a longer length; 0x80 is the indefinite form, which DER does not have.
            0x81..=0x84 => {
                let (length, after) = rest.split_at_checked(usize::from(first - 0x80))?;
                rest = after;
                let digits = length.iter();
                digits.fold(0, |length: usize, &digit| length << 8 | usize::from(digit))
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        let whole = &all[..all.len() - after.len()];
        Some(Element {
            tag,
            content,
            whole,
        })
    }

    /// Takes the content of the next element, which must have this tag.
    fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        let element = self.element()?;
        (element.tag == tag).then_some(element.content)
    }

    /// Takes the content of the next element if it has this tag.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.content(tag)
    }

    fn time(&mut self) -> Option<i64> {
        let Element { tag, content, .. } = self.element()?;
        let text = std::str::from_utf8(content).ok()?;
        let text = match tag {
            // RFC 5280, section 4.1.2.5.1.
            UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
            UTC_TIME => format!("19{text}"),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let time = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?;
        Some(time.and_utc().timestamp())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{
        CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd,
        string::Ia5String,
    };
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn certificate(params: &CertificateParams) -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        (key, der)
    }

    #[test]
    fn the_fields_of_a_certificate_are_read() {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2050, 1, 1);
        let text = |text: &str| Ia5String::try_from(text).unwrap();
        params.subject_alt_names = vec![
            SanType::DnsName(text("scraper.example.com")),
            SanType::Rfc822Name(text("ops@example.com")),
            SanType::URI(text("spiffe://example.com/prometheus")),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (key, der) = certificate(&params);
        let read = Certificate::read(&der).unwrap();
        assert_eq!(
            read.names,
            [
                "scraper.example.com",
                "ops@example.com",
                "spiffe://example.com/prometheus",
                "192.0.2.7",
                "2001:db8::7",
            ]
        );
        assert_eq!(read.not_before, 1_709_164_800);
        // From 2050 on the year has four digits.
        assert_eq!(read.not_after, 2_524_608_000);
        assert_eq!(
            read.public_key,
            rcgen::PublicKeyData::subject_public_key_info(&key)
        );
        assert!(!read.is_for_clients);

        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
        let (_, der) = certificate(&params);
        assert!(Certificate::read(&der).unwrap().is_for_clients);
        let (_, der) = certificate(&CertificateParams::default());
        let read = Certificate::read(&der).unwrap();
        assert!(read.is_for_clients, "it does not say what it is for");
        assert!(read.names.is_empty());
    }

    #[test]
    fn a_part_of_a_certificate_is_none() {
        let (_, der) = certificate(&CertificateParams::new(["a.example".to_owned()]).unwrap());
        for end in 0..der.len() {
            assert_eq!(Certificate::read(&der[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::read(&der);
        }

        #[test]
        fn no_changed_certificate_makes_it_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let pem = include_bytes!("../../../../tests/fixtures/tls/server.pem");
            let mut der = CertificateDer::from_pem_slice(pem).unwrap().to_vec();
            let at = at.index(der.len());
            der[at] = to;
            let _ = Certificate::read(&der);
        }
    }
}
