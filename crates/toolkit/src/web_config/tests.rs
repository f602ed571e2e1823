//! Whole files, and all that is wrong with them.

use std::fmt::Write as _;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};

use super::*;
use crate::scratch::Scratch;

/// Of the password `hunter2`, at the least cost.
const HASH: &str = "$2y$04$qIRoWcPfzaHB2IjbA7Uox.YY6IWhqATfqFTn0DbANwkd8cJR4Ok2i";

/// A folder with the files that a web configuration names.
struct Folder(Scratch);

impl Folder {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(&format!("web-{test}"));
        for name in ["server", "other"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            scratch.write(&format!("{name}.pem"), certificate.pem());
            scratch.write(&format!("{name}.key"), key.serialize_pem());
        }
        scratch.write("empty.pem", "");
        scratch.write("broken.pem", "-----BEGIN CERTIFICATE-----\nMIIB*\n");
        scratch.write(
            "noise.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        scratch.write(
            "encrypted.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        scratch.write(
            "strange.key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        );
        Self(scratch)
    }

    fn load(&self, yaml: &str) -> Result<WebConfig, Vec<String>> {
        let path = self.0.write("web.yml", yaml);
        let (config, _) = load(&path);
        config.map_err(|problems| {
            let folder = format!("{}", self.0.path("").display());
            let lines = problems.0.iter().map(ToString::to_string);
            lines.map(|line| line.replace(&folder, "")).collect()
        })
    }

    /// With a key pair, and more keys of the same section.
    fn load_tls(&self, more: &str) -> Result<Tls, Vec<String>> {
        let pair = "cert_file: server.pem, key_file: server.key";
        let config = self.load(&format!("tls_server_config: {{{pair}, {more}}}"))?;
        Ok(config.tls.unwrap())
    }

    fn check(&self, yaml: &str, expected: &[&str]) {
        let problems = self.load(yaml).err().unwrap_or_default();
        assert_eq!(problems, expected, "{yaml}");
    }
}

#[test]
fn a_file_without_values_asks_nothing_of_anybody() {
    let folder = Folder::new("empty");
    for yaml in [
        "",
        "# nothing\n",
        "{}",
        "tls_server_config:\nhttp_server_config: {}\nbasic_auth_users:\nrate_limit: {}\n",
        "tls_server_config: {}\nrate_limit: {interval: 0, burst: 0}",
        "rate_limit: {interval: 0s}\nhttp_server_config: {headers: {X-XSS-Protection: \"\"}}",
    ] {
        let config = folder.load(yaml).unwrap();
        assert!(config.tls.is_none(), "{yaml}");
        assert!(config.http2);
        assert_eq!(config.headers, []);
        assert!(config.users.is_empty());
        assert_eq!(config.rate_limit, None);
    }
}

#[test]
fn every_key_is_read() {
    let folder = Folder::new("all");
    let yaml = format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: other.pem\n  \
         client_allowed_sans: [scraper, 192.0.2.1]\n  min_version: TLS12\n  max_version: TLS13\n  \
         cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n  \
         prefer_server_cipher_suites: false\n  curve_preferences: [CurveP384, X25519]\n\
         http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    \
         Strict-Transport-Security: max-age=63072000\nbasic_auth_users:\n  alice: {HASH}\n  \
         Bob: {HASH}\nrate_limit: {{interval: 1m30s, burst: 5}}\n"
    );
    let config = folder.load(&yaml).unwrap();
    let tls = config.tls.as_ref().unwrap();
    let clients = tls.clients.as_ref().unwrap();
    assert!(clients.is_required && clients.is_verified);
    assert_eq!(clients.authorities.len(), 1);
    let names = ["scraper".to_owned(), "192.0.2.1".to_owned()];
    assert_eq!(clients.allowed_names.as_deref(), Some(&names[..]));
    assert_eq!(tls.versions.len(), 2);
    // One of TLS 1.2, and all of TLS 1.3.
    assert_eq!(tls.provider.cipher_suites.len(), 4);
    let groups = tls.provider.kx_groups.iter().map(|group| group.name());
    let expected = [rustls::NamedGroup::secp384r1, rustls::NamedGroup::X25519];
    assert_eq!(groups.collect::<Vec<_>>(), expected);
    assert!(!config.http2);
    let headers: Vec<_> = config.headers.iter().map(|header| header.name).collect();
    assert_eq!(headers, ["Strict-Transport-Security", "X-Frame-Options"]);
    assert_eq!(config.users.keys().collect::<Vec<_>>(), ["Bob", "alice"]);
    let limit = config.rate_limit.unwrap();
    assert_eq!((limit.interval.as_secs(), limit.burst), (90, 5));
    let shown = format!("{config:?}");
    assert!(!shown.contains("$2y$"), "{shown}");
}

#[test]
fn a_key_pair_may_stand_in_the_file_itself() {
    let folder = Folder::new("inline");
    let mut yaml = "tls_server_config:\n  cert_file: ''\n  key_file:\n".to_owned();
    for (key, name) in [("cert", "server.pem"), ("key", "server.key")] {
        let pem = std::fs::read_to_string(folder.0.path(name)).unwrap();
        writeln!(
            yaml,
            "  {key}: |\n    {}",
            pem.trim().replace('\n', "\n    ")
        )
        .unwrap();
    }
    assert!(folder.load(&yaml).unwrap().tls.is_some());
    let both = format!("{yaml}  client_ca: x\n").replace("key_file:", "key_file: server.key");
    folder.check(
        &both,
        &[
            "tls_server_config.client_ca: the text holds no certificate in PEM form",
            "tls_server_config.key: given beside `key_file`; expected one of the two",
        ],
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let folder = Folder::new("problems");
    folder.check(
        "tls_server_config:\n  cert_file: missing.pem\n  client_auth_type: Always\n  min_version: TLS11\n  \
         max_version: SSL30\n  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA, 5]\n  \
         curve_preferences: [CurveP521]\n  prefer_server_cipher_suites: 1\n  client_allowed_sans: []\n  \
         certfile: x\nhttp_server_config:\n  http2: often\n  http3: true\n  headers:\n    Server: x\n    \
         X-Frame-Options: allow\nbasic_auth_users:\n  alice: hunter2\n  \"a:b\": x\n  bob: 5\n\
         rate_limit:\n  interval: 1 fortnight\nauth_excluded_paths: [/]\n",
        &[
            "auth_excluded_paths: unknown key `auth_excluded_paths`; known here are `tls_server_config`, \
             `http_server_config`, `basic_auth_users`, `rate_limit`",
            "basic_auth_users.a:b: a user name must not have colons or control characters",
            "basic_auth_users.alice: expected the bcrypt hash of a password, as `htpasswd -nBC 10 \"\"` prints it; \
             found another text, not repeated as it may be a password",
            "basic_auth_users.bob: expected the bcrypt hash of a password, found an integer; put it in quotes, as YAML \
             may have changed it",
            "http_server_config.headers.Server: this header cannot be set; those that can are \
             `Content-Security-Policy`, `Strict-Transport-Security`, `X-Content-Type-Options`, `X-Frame-Options`, \
             `X-XSS-Protection`",
            "http_server_config.headers.X-Frame-Options: expected one of `deny`, `sameorigin`, found `allow`",
            "http_server_config.http2: expected `true` or `false`, found the text `often`",
            "http_server_config.http3: unknown key `http3`; did you mean `http2`?",
            "rate_limit.burst: missing; expected how many requests may come at once",
            "rate_limit.interval: expected a duration such as `5m`, found the text `1 fortnight`",
            "tls_server_config.cert_file: the file `missing.pem` does not exist",
            "tls_server_config.certfile: unknown key `certfile`; did you mean `cert_file`?",
            "tls_server_config.cipher_suites[0]: `TLS_RSA_WITH_AES_128_CBC_SHA` is not supported by this program; \
             expected one of `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`, `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, \
             `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`, `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`, \
             `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`, `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`, \
             `TLS_AES_128_GCM_SHA256`, `TLS_AES_256_GCM_SHA384`, `TLS_CHACHA20_POLY1305_SHA256`",
            "tls_server_config.cipher_suites[1]: expected a text, found the integer 5; put it in quotes, as YAML may \
             have changed it",
            "tls_server_config.client_allowed_sans: the list is empty, so that no client could connect; leave it out \
             to allow every name",
            "tls_server_config.client_auth_type: expected one of `NoClientCert`, `RequestClientCert`, \
             `RequireAnyClientCert`, `RequireClientCert`, `VerifyClientCertIfGiven`, `RequireAndVerifyClientCert`; \
             found `Always`",
            "tls_server_config.curve_preferences[0]: `CurveP521` is not supported by this program; expected one of \
             `CurveP256`, `CurveP384`, `X25519`",
            "tls_server_config.key_file: missing; expected the path of a file in PEM form, or `key`",
            "tls_server_config.max_version: expected `TLS12` or `TLS13`, found `SSL30`",
            "tls_server_config.min_version: found `TLS11`, which is not secure (RFC 8996) and which this program does \
             not speak; expected `TLS12` or `TLS13`",
            "tls_server_config.prefer_server_cipher_suites: expected `true` or `false`, found the integer 1",
        ],
    );
}

#[test]
fn a_file_that_is_none_is_told_by_its_name() {
    let folder = Folder::new("whole");
    folder.check(
        "- a",
        &[
            "the web configuration `web.yml`: the configuration is a list; expected a mapping with the key \
             `tls_server_config`",
        ],
    );
    folder.check(
        "a: [",
        &[
            "the web configuration `web.yml`: not valid YAML: while parsing a node, did not find expected node content \
             at line 2, column 1",
        ],
    );
    let (config, sources) = load(&folder.0.path("none.yml"));
    let told = config.unwrap_err().to_string();
    assert!(told.ends_with("none.yml` does not exist"), "{told}");
    assert!(!sources.have_changed());
    folder.0.write("none.yml", "{}");
    assert!(sources.have_changed(), "it is there now");
}

#[test]
fn keys_and_certificates_have_to_fit() {
    let folder = Folder::new("pairs");
    let check = |cert: &str, key: &str, expected: &[&str]| {
        let yaml = format!("tls_server_config: {{cert_file: {cert}, key_file: {key}}}");
        folder.check(&yaml, expected);
    };
    check("server.pem", "server.key", &[]);
    check(
        "server.pem",
        "other.key",
        &[
            "tls_server_config.key_file: the file `other.key` holds a private key that does not belong to the \
             certificate",
        ],
    );
    check(
        "empty.pem",
        "empty.pem",
        &[
            "tls_server_config.cert_file: the file `empty.pem` holds no certificate in PEM form",
            "tls_server_config.key_file: the file `empty.pem` holds no private key in PEM form",
        ],
    );
    check(
        "broken.pem",
        "encrypted.key",
        &[
            "tls_server_config.cert_file: the file `broken.pem` is not sound PEM",
            "tls_server_config.key_file: the file `encrypted.key` holds a private key that is encrypted; expected one \
             without a pass phrase",
        ],
    );
    check(
        "noise.pem",
        "server.key",
        &[
            "tls_server_config.cert_file: the file `noise.pem` holds something else than a certificate as number 1",
        ],
    );
    check(
        "server.pem",
        "strange.key",
        &[
            "tls_server_config.key_file: the file `strange.key` holds a private key of a kind that is not supported; \
             expected RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519",
        ],
    );
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let bundle = certificate.pem() + &key.serialize_pem();
    folder.0.write("bundle.pem", bundle);
    check("bundle.pem", "bundle.pem", &[]);
}

#[test]
fn what_is_asked_of_clients_has_to_make_sense() {
    let folder = Folder::new("clients");
    let told = |more: &str| folder.load_tls(more).err().unwrap_or_default();
    let policy = |more: &str| {
        let clients = folder.load_tls(more).unwrap().clients;
        clients.map(|clients| (clients.is_required, clients.is_verified))
    };
    assert_eq!(policy("client_auth_type: NoClientCert"), None);
    assert_eq!(policy("client_auth_type: ''"), None);
    assert_eq!(
        policy("client_auth_type: RequestClientCert"),
        Some((false, false))
    );
    assert_eq!(
        policy("client_auth_type: RequireAnyClientCert"),
        Some((true, false))
    );
    assert_eq!(
        policy("client_auth_type: RequireClientCert"),
        Some((true, false))
    );
    let given = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: other.pem";
    assert_eq!(policy(given), Some((false, true)));

    assert_eq!(
        told("client_ca_file: other.pem"),
        [
            "tls_server_config.client_ca_file: this needs a `client_auth_type` that asks for certificates, such as \
             `RequireAndVerifyClientCert`"
        ]
    );
    assert_eq!(
        told("client_auth_type: RequireAndVerifyClientCert"),
        [
            "tls_server_config.client_ca_file: missing; expected the authorities of the clients' certificates, as \
             `RequireAndVerifyClientCert` verifies"
        ]
    );
    for policy in ["NoClientCert", "RequestClientCert"] {
        assert_eq!(
            told(&format!(
                "client_auth_type: {policy}, client_allowed_sans: [a]"
            )),
            [
                "tls_server_config.client_allowed_sans: this needs a `client_auth_type` that requires a certificate: \
                 `RequireAndVerifyClientCert` or `RequireAnyClientCert`"
            ]
        );
    }
    assert_eq!(
        told("client_auth_type: RequireAndVerifyClientCert, client_ca_file: noise.pem"),
        [
            "tls_server_config.client_ca_file: the file `noise.pem` holds something else than a certificate as number 1"
        ]
    );
}

#[test]
fn versions_and_suites_have_to_leave_something() {
    let folder = Folder::new("versions");
    let told = |more: &str| folder.load_tls(more).err().unwrap_or_default();
    assert_eq!(
        told("min_version: TLS13, max_version: TLS12"),
        ["tls_server_config.min_version: expected no later version than `max_version`"]
    );
    assert_eq!(
        told("max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]"),
        [
            "tls_server_config.cipher_suites: none of these is for TLS 1.2, and `max_version` allows no later one"
        ]
    );
    assert_eq!(
        folder
            .load_tls("min_version: TLS13")
            .unwrap()
            .versions
            .len(),
        1
    );
    let all = folder
        .load_tls("cipher_suites: [], curve_preferences: []")
        .unwrap();
    assert_eq!(all.provider.cipher_suites.len(), 9);
    assert_eq!(all.provider.kx_groups.len(), 3);
}

#[test]
fn a_hash_is_one_that_can_be_checked_in_time() {
    let folder = Folder::new("hashes");
    let check = |hash: &str, expected: Option<&str>| {
        let told = folder
            .load(&format!("basic_auth_users: {{a: '{hash}'}}"))
            .err();
        let told = told.map(|told| told.join("\n"));
        match expected {
            None => assert_eq!(told, None, "{hash}"),
            Some(part) => assert!(told.as_ref().unwrap().contains(part), "{hash}: {told:?}"),
        }
        assert!(!told.unwrap_or_default().contains("qIRo"));
    };
    for version in ["2a", "2b", "2y"] {
        check(&HASH.replace("2y", version), None);
    }
    check(&HASH.replace("2y", "2x"), Some("expected the bcrypt hash"));
    check(&HASH.replace("$04$", "$03$"), Some("found 3"));
    check(&HASH.replace("$04$", "$18$"), None);
    check(
        &HASH.replace("$04$", "$19$"),
        Some("from 4 to 18, found 19"),
    );
    check(&HASH[..59], Some("expected the bcrypt hash"));
    check(&HASH.replace('W', "é"), Some("expected the bcrypt hash"));
    check("{SHA}qIRo", Some("expected the bcrypt hash"));
}

#[test]
fn a_rate_has_an_interval_and_a_burst() {
    let folder = Folder::new("rate");
    let check = |rate: &str, expected: &[&str]| {
        folder.check(&format!("rate_limit: {{{rate}}}"), expected);
    };
    check("interval: 100ms, burst: 1", &[]);
    check(
        "interval: 1s, burst: 0",
        &["rate_limit.burst: expected an integer from 1 to 1000000, found the integer 0"],
    );
    check(
        "interval: 5, burst: 1",
        &["rate_limit.interval: expected a duration such as `5m`, found the integer 5"],
    );
    check(
        "interval: 2d, burst: 1",
        &["rate_limit.interval: expected at most 1d, found the text `2d`"],
    );
}
