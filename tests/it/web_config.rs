//! `--web.config.file`: TLS, who may connect, who may ask, and what happens when the file changes.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use reqwest::{Client, Identity, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use toolkit::web_config;

use super::harness::{Configuration, Exporter, Folder, cloud, command, hourly, patiently, run};

/// Of the passwords `secret` and `other`, at the least cost.
const SECRET: &str = "$2b$04$wMDJTQl5YaI0zDDKUm.0DuRZwk3tVyO4FUq9p7rMy7lu.adMBNk5a";
const OTHER: &str = "$2b$04$8g/wcE1cTqDu071oFJ9lu.wUpbaVJBph2KRN/TEvXSoPAZmpjnKJ.";

const PAIR: &str = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";

/// An authority of the server's certificates and one of the clients'.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "test authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = self.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        identity(&certificate, &key)
    }
}

fn identity(certificate: &Certificate, key: &KeyPair) -> Identity {
    let pem = certificate.pem() + &key.serialize_pem();
    Identity::from_pem(pem.as_bytes()).unwrap()
}

/// The files beside a web configuration, and an exporter that serves by it.
struct Protected {
    exporter: Exporter,
    files: Folder,
    authority: Authority,
    _cloud: sim::Cloud,
}

impl Protected {
    async fn start(yaml: &str) -> Self {
        Self::start_with(yaml, |_| {}).await
    }

    /// `write` adds more files to the folder of the web configuration.
    async fn start_with(yaml: &str, write: impl FnOnce(&Folder)) -> Self {
        let cloud = cloud().await;
        cloud.add_instance(hourly("rm-orders"));
        let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
        configuration.poll = "interval: 1h, lookback: 8d".to_owned();
        let (files, authority) = (Folder::new(), Authority::new());
        install(&files, &authority);
        write(&files);
        let file = files.write("web.yml", yaml);
        let flag = format!("--web.config.file={}", file.display());
        let exporter = Exporter::start_with(&configuration, &[&flag], &[]).await;
        Self {
            exporter,
            files,
            authority,
            _cloud: cloud,
        }
    }

    fn address(&self) -> String {
        let url = self.exporter.url("");
        url.trim_start_matches("http://").to_owned()
    }

    fn url(&self, path: &str) -> String {
        let port = self.address().rsplit(':').next().unwrap().to_owned();
        format!("https://localhost:{port}{path}")
    }

    /// A client that trusts the authority of the server.
    fn client(&self, identity: Option<Identity>) -> Client {
        // Sets up the cryptography.
        let _plain = super::harness::client();
        let root = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        let mut builder = Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .pool_max_idle_per_host(0);
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        builder.build().unwrap()
    }

    /// The status of a page over TLS; nothing if there is no connection.
    async fn status(&self, identity: Option<Identity>) -> Option<u16> {
        let answer = self
            .client(identity)
            .get(self.url("/-/healthy"))
            .send()
            .await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// The status of a page without TLS, asked for with these credentials.
    async fn asked_as(&self, user: &str, password: &str) -> u16 {
        let client = super::harness::client();
        let request = client.get(self.exporter.url("/metrics"));
        let answer = request.basic_auth(user, Some(password)).send().await;
        answer.unwrap().status().as_u16()
    }

    /// The certificate that the server shows.
    async fn shown(&self) -> CertificateDer<'static> {
        let (_, session) = self.connect(&[]).await.into_inner();
        session.peer_certificates().unwrap()[0].clone().into_owned()
    }

    async fn connect(&self, protocols: &[&[u8]]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let _plain = super::harness::client();
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        connecting.await.unwrap()
    }

    async fn stop(self) -> String {
        self.exporter.stop().await
    }
}

/// Gives the server a new certificate.
fn install(files: &Folder, authority: &Authority) -> CertificateDer<'static> {
    let (certificate, key) = authority.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    // The key goes first, as a pair that does not fit is refused and not used.
    files.write("server.key", &key.serialize_pem());
    files.write("server.pem", &certificate.pem());
    certificate.der().clone()
}

#[tokio::test]
async fn the_port_speaks_tls_and_both_versions_of_http() {
    let protected = Protected::start(PAIR).await;
    assert_eq!(protected.status(None).await, Some(200));

    let stream = protected.connect(&[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(protected.url("/metrics"))
        .body(())
        .unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    let (head, mut body) = answer.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let mut page = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        page.extend(piece);
    }
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("cloud_backup_exporter_build_info"), "{page}");
    connection.abort();

    protected.files.write(
        "web.yml",
        &format!("{PAIR}http_server_config: {{http2: false}}"),
    );
    let stream = protected.connect(&[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let log = protected.stop().await;
    assert!(log.contains("tls=true"), "{log}");
}

#[tokio::test]
async fn a_request_without_tls_is_told_so_in_words() {
    let protected = Protected::start(PAIR).await;
    let mut stream = TcpStream::connect(protected.address()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    patiently("the answer", reading).await.unwrap();
    assert_eq!(
        answer,
        "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n\
         Client sent an HTTP request to an HTTPS server.\n"
    );
    protected.stop().await;
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_restart_and_a_bad_one_is_not_used() {
    let protected = Protected::start(PAIR).await;
    let first = protected.shown().await;
    let second = install(&protected.files, &protected.authority);
    assert_ne!(first, second);
    assert_eq!(protected.shown().await, second);

    protected.files.write("server.pem", "no certificate");
    for _ in 0..5 {
        assert_eq!(protected.shown().await, second);
    }
    let third = install(&protected.files, &protected.authority);
    assert_eq!(protected.shown().await, third);
    let log = protected.stop().await;
    let told = log.matches("holds no certificate in PEM form").count();
    assert_eq!(told, 1, "{log}");
    assert!(!log.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn clients_show_the_certificates_that_are_asked_of_them() {
    let (trusted, strange) = (Authority::new(), Authority::new());
    // Signed by nobody else, as many make them by hand, and able to sign others.
    let own_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["own".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&own_key).unwrap();
    let authorities = trusted.pem() + &own.pem();
    let protected = Protected::start_with(PAIR, |files| {
        files.write("clients.pem", &authorities);
    })
    .await;
    let with = |policy: &str| {
        let pair = PAIR.trim_end().trim_end_matches('}');
        protected
            .files
            .write("web.yml", &format!("{pair}, client_auth_type: {policy}}}"));
    };
    let mut statuses = Vec::new();
    for policy in [
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "VerifyClientCertIfGiven, client_ca_file: clients.pem",
        "RequireAndVerifyClientCert, client_ca_file: clients.pem",
        "RequireAndVerifyClientCert, client_ca_file: clients.pem, client_allowed_sans: [scraper]",
        "RequireAnyClientCert, client_allowed_sans: [scraper]",
    ] {
        with(policy);
        statuses.push([
            protected.status(None).await.is_some(),
            protected
                .status(Some(trusted.identity("scraper")))
                .await
                .is_some(),
            protected
                .status(Some(trusted.identity("other")))
                .await
                .is_some(),
            protected
                .status(Some(strange.identity("scraper")))
                .await
                .is_some(),
            protected
                .status(Some(identity(&own, &own_key)))
                .await
                .is_some(),
        ]);
    }
    assert_eq!(
        statuses,
        [
            [true, true, true, true, true],
            [true, true, true, true, true],
            [false, true, true, true, true],
            [true, true, true, false, true],
            [false, true, true, false, true],
            [false, true, false, false, false],
            [false, true, false, true, false],
        ]
    );
    protected.stop().await;
}

#[tokio::test]
async fn old_versions_are_refused_where_the_file_says_so() {
    let pair = PAIR.trim_end().trim_end_matches('}');
    let protected = Protected::start(&format!("{pair}, min_version: TLS13}}")).await;
    let stream = protected.connect(&[]).await;
    let version = stream.get_ref().1.protocol_version().unwrap();
    assert_eq!(format!("{version:?}"), "TLSv1_3");
    protected
        .files
        .write("web.yml", &format!("{pair}, max_version: TLS12}}"));
    let stream = protected.connect(&[]).await;
    let version = stream.get_ref().1.protocol_version().unwrap();
    assert_eq!(format!("{version:?}"), "TLSv1_2");
    protected.stop().await;
}

#[tokio::test]
async fn every_path_asks_for_a_password() {
    let yaml = format!("basic_auth_users: {{alice: {SECRET}, bob: {OTHER}}}");
    let protected = Protected::start(&yaml).await;
    for path in [
        "/",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/api/v1/instances",
        "/nothing",
    ] {
        let answer = protected.exporter.get(path).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.headers()["www-authenticate"], "Basic");
        assert_eq!(answer.text().await.unwrap(), "unauthorized\n");
    }
    let client = super::harness::client();
    let reload = client.post(protected.exporter.url("/-/reload"));
    assert_eq!(
        reload.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    for (user, password, expected) in [
        ("alice", "secret", 200),
        ("bob", "other", 200),
        ("alice", "other", 401),
        ("alice", "", 401),
        ("carol", "secret", 401),
        ("", "", 401),
        ("Alice", "secret", 401),
    ] {
        assert_eq!(protected.asked_as(user, password).await, expected, "{user}");
    }
    for value in [
        "Basic",
        "Basic ???",
        "Basic YWxpY2U=",
        "Bearer YWxpY2U6c2VjcmV0",
    ] {
        let request = client.get(protected.exporter.url("/"));
        let answer = request.header("authorization", value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{value}");
    }
    let log = protected.stop().await;
    assert!(!log.contains("$2") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_password_costs_its_time_once_and_a_wrong_one_each_time() {
    // About a fifth of a second on a usual machine.
    let hash = bcrypt::hash("slow", 12).unwrap();
    let protected = Protected::start(&format!("basic_auth_users: {{alice: {hash}}}")).await;
    let cost = async |user: &str, password: &str, expected: u16| {
        let before = protected.exporter.processor_ticks();
        assert_eq!(protected.asked_as(user, password).await, expected);
        protected.exporter.processor_ticks() - before
    };
    let first = cost("alice", "slow", 200).await;
    let mut again = u64::MAX;
    for _ in 0..5 {
        again = again.min(cost("alice", "slow", 200).await);
    }
    let mut costs = Vec::new();
    for user in ["alice", "nobody"] {
        let mut least = u64::MAX;
        for _ in 0..5 {
            least = least.min(cost(user, "wrong", 401).await);
        }
        costs.push(least);
    }
    assert!(again < first / 3, "{again} after {first}");
    let (known, unknown) = (costs[0], costs[1]);
    assert!(
        again < known / 3 && again < unknown / 3,
        "{again} {costs:?}"
    );
    assert!(known < unknown * 2 && unknown < known * 2, "{costs:?}");

    // Whoever guesses does not keep those waiting who are known.
    let guesses: Vec<_> = (0..30)
        .map(|number| {
            let url = protected.exporter.url("/metrics");
            let request = super::harness::client()
                .get(url)
                .basic_auth("alice", Some(number));
            tokio::spawn(async move { request.send().await.unwrap().status() })
        })
        .collect();
    assert_eq!(protected.asked_as("alice", "slow").await, 200);
    assert!(guesses.iter().any(|guess| !guess.is_finished()));
    for guess in guesses {
        assert_eq!(guess.await.unwrap(), StatusCode::UNAUTHORIZED);
    }
    protected.stop().await;
}

#[tokio::test]
async fn users_change_without_a_restart_and_are_never_all_lost() {
    let protected = Protected::start(&format!("basic_auth_users: {{alice: {SECRET}}}")).await;
    assert_eq!(protected.asked_as("alice", "secret").await, 200);
    let change = |yaml: &str| protected.files.write("web.yml", yaml);
    change(&format!(
        "basic_auth_users: {{alice: {OTHER}, bob: {SECRET}}}"
    ));
    assert_eq!(protected.asked_as("alice", "secret").await, 401);
    assert_eq!(protected.asked_as("alice", "other").await, 200);
    assert_eq!(protected.asked_as("bob", "secret").await, 200);

    for bad in [
        "",
        "basic_auth_users: {}",
        "basic_auth_users: {bob: hunter2}",
        "tls_server_config: {cert_file: server.pem, key_file: server.key}\n",
        "rate_limits: {}",
    ] {
        change(bad);
        assert_eq!(protected.asked_as("", "").await, 401, "{bad}");
        assert_eq!(protected.asked_as("alice", "other").await, 200, "{bad}");
    }
    std::fs::remove_file(protected.files.path("web.yml")).unwrap();
    assert_eq!(protected.asked_as("", "").await, 401);
    change(&format!("basic_auth_users: {{bob: {SECRET}}}"));
    assert_eq!(protected.asked_as("alice", "other").await, 401);
    assert_eq!(protected.asked_as("bob", "secret").await, 200);
    let log = protected.stop().await;
    for told in [
        "the last user is not removed while the program runs",
        "TLS is not switched on or off while the program runs",
        "unknown key `rate_limits`",
        "web.yml` does not exist",
    ] {
        assert!(log.contains(told), "{told} is missing in\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_reload_answers_with_what_is_wrong_with_either_file() {
    let protected = Protected::start("").await;
    let reload = async || {
        let request = super::harness::client().post(protected.exporter.url("/-/reload"));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(reload().await, (200, "reloaded\n".to_owned()));
    protected
        .files
        .write("web.yml", "rate_limit: {burst: many}\ncolour: red\n");
    let (status, body) = reload().await;
    assert_eq!(status, 400);
    for problem in [
        "rate_limit.burst: expected an integer",
        "colour: unknown key",
    ] {
        assert!(body.contains(problem), "{problem} is missing in\n{body}");
    }
    let failed = "cloud_backup_exporter_config_last_reload_successful";
    assert_eq!(
        protected.exporter.scrape().await.value(failed, &[]),
        Some(0.0)
    );
    protected.files.write(
        "web.yml",
        "http_server_config: {headers: {X-Frame-Options: deny}}",
    );
    protected.exporter.signal("HUP");
    protected
        .exporter
        .until("SIGHUP reads it", |scrape| {
            scrape.value(failed, &[]) == Some(1.0)
        })
        .await;
    let answer = protected.exporter.get("/-/healthy").await;
    assert_eq!(answer.headers()["x-frame-options"], "deny");
    protected.stop().await;
}

#[tokio::test]
async fn more_requests_than_the_rate_are_told_so() {
    let protected = Protected::start("rate_limit: {interval: 1h, burst: 3}").await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(protected.exporter.get("/-/healthy").await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    // Another change does not fill the bucket, another rate does.
    let rate = |burst, more: &str| format!("rate_limit: {{interval: 1h, burst: {burst}}}\n{more}");
    protected
        .files
        .write("web.yml", &rate(3, "http_server_config: {http2: false}"));
    assert_eq!(protected.exporter.get("/-/healthy").await.status(), 429);
    protected.files.write("web.yml", &rate(1, ""));
    assert_eq!(protected.exporter.get("/-/healthy").await.status(), 200);
    assert_eq!(protected.exporter.get("/-/healthy").await.status(), 429);
    protected.stop().await;
}

#[tokio::test]
async fn a_bad_file_ends_the_start_with_all_problems_of_both_files() {
    let folder = Folder::new();
    let web = folder.write(
        "web.yml",
        "rate_limit: {interval: x}\ntls_server_config: {key_file: none}\n",
    );
    let config = folder.write("exporter.yml", "poll: {interval: soon}\n");
    let web = format!("--web.config.file={}", web.display());
    let config = format!("--config.file={}", config.display());
    for arguments in [vec![&*web, &*config], vec!["check", &*web, &*config]] {
        let (code, out, errors) = run(&arguments, &[]).await;
        assert_eq!((code, out.as_str()), (2, ""));
        for problem in [
            "poll.interval: ",
            "accounts: ",
            "rate_limit.interval: ",
            "rate_limit.burst: ",
            "tls_server_config.cert_file: missing",
            "tls_server_config.key_file: the file `",
        ] {
            assert!(
                errors.contains(problem),
                "{problem} is missing in\n{errors}"
            );
        }
    }
    let (code, _, errors) = run(&["demo", &web], &[]).await;
    assert_eq!(code, 2, "{errors}");
}

#[tokio::test]
async fn the_demo_is_protected_as_well() {
    let (files, authority) = (Folder::new(), Authority::new());
    install(&files, &authority);
    let file = files.write("web.yml", PAIR);
    let mut command = command(&[]);
    command
        .arg("demo")
        .arg("--web.listen-address=127.0.0.1:0")
        .arg(format!("--web.config.file={}", file.display()))
        .stdout(std::process::Stdio::piped());
    let exporter = Exporter::spawn(command, files).await;
    let _plain = super::harness::client();
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let url = exporter.url("/-/healthy");
    let url = url.replace("http://127.0.0.1", "https://localhost");
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    exporter.stop().await;
}

/// Below the folder with the files that the examples name.
fn load(yaml: &str, test: &Folder) -> web_config::WebConfig {
    let authority = Authority::new();
    install(test, &authority);
    test.write("clients-ca.pem", &authority.pem());
    let (config, _) = web_config::load(&test.write("web.yml", yaml));
    config.unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

#[test]
fn the_example_and_those_of_the_page_are_good() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = root.join("deploy/web/web-config.example.yml");
    let example = std::fs::read_to_string(example).unwrap();
    let folder = Folder::new();
    let config = load(&example, &folder);
    let hash = config.users["prometheus"].expose();
    assert!(bcrypt::verify("change-me", hash).unwrap());

    let page = std::fs::read_to_string(root.join("docs/web-configuration.md")).unwrap();
    let blocks: Vec<_> = page
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 1);
    let mut keys = 0;
    for block in &blocks {
        load(block, &folder);
    }
    // The page's table has every key of the example.
    let lines = example
        .lines()
        .map(|line| line.trim().trim_start_matches("# "));
    for key in lines
        .filter_map(|line| line.split_once(':'))
        .map(|(key, _)| key)
    {
        let is_key = key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if is_key && !["prometheus", "TLS", "Default"].contains(&key) {
            assert!(page.contains(&format!("`{key}`")), "{key} is missing");
            keys += 1;
        }
    }
    assert!(keys > 20, "{keys}");
}
