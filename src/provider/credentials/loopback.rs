//! What tests of sources need: a scene with an environment and files, and a tiny HTTP server that answers as it is told
//! and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Chain, ChainGround, Credential, test_environment};
use crate::clock::Clock;
use crate::config::{AccountConfig, EndpointTemplate, Scratch, Secret};
use crate::example::{now, target};
use crate::provider::Environment;
use crate::provider::http::HttpClient;
use crate::provider::script::account;
use crate::vendor::Vendor;

/// A machine on which an exporter looks for keys. Its home is an empty folder.
pub(crate) struct Scene {
    pub(crate) clock: Clock,
    pub(crate) home: Scratch,
    account: AccountConfig,
    http: HttpClient,
    environment: Environment,
}

impl Scene {
    /// `test` tells the scenes of one process apart.
    pub(crate) fn new(test: &str, variables: &[(&str, &str)]) -> Self {
        let home = Scratch::new(test);
        let mut environment = test_environment(variables);
        let path = home.path("").display().to_string();
        environment.insert("HOME".to_owned(), path.trim_end_matches('/').to_owned());
        Self {
            clock: Clock::set_by_hand(now()),
            home,
            account: AccountConfig {
                targets: vec![Arc::new(target("rm-1"))],
                ..account(Vendor::Alibaba)
            },
            http: HttpClient::without_proxy().unwrap(),
            environment,
        }
    }

    /// Token services are found at this server.
    pub(crate) fn tokens_from(mut self, server: &Loopback) -> Self {
        self.account.iam_endpoint = EndpointTemplate::parse(server.url()).ok();
        self
    }

    /// The metadata service is found at this server.
    pub(crate) fn metadata_from(mut self, server: &Loopback) -> Self {
        self.account.metadata_endpoint = EndpointTemplate::parse(server.url()).ok();
        self
    }

    /// Sets one more variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file below the home folder, and gives its path.
    pub(crate) fn write(&self, path: &str, content: &str) -> String {
        let file = self.home.path(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        file.display().to_string()
    }

    pub(crate) fn ground(&self) -> ChainGround<'_> {
        ChainGround {
            account: &self.account,
            http: &self.http,
            clock: &self.clock,
            environment: &self.environment,
        }
    }

    /// A whole account is gone over: keys, or why there are none, with the folder of the scene left out.
    pub(crate) async fn ask(&self, chain: &Chain) -> Result<[String; 3], String> {
        chain
            .current()
            .await
            .map(shown)
            .map_err(|why| self.homely(&why))
    }

    /// Leaves the folder of the scene out of a text.
    pub(crate) fn homely(&self, text: &str) -> String {
        text.replace(self.environment["HOME"].as_str(), "~")
    }
}

/// The parts of a credential; no token is an empty one.
pub(crate) fn shown(credential: Credential) -> [String; 3] {
    let Credential {
        access_key_id: id,
        access_key_secret: secret,
        security_token: token,
    } = credential;
    let token = token.unwrap_or_else(|| Secret::new(String::new()));
    [id, secret, token].map(|secret| secret.expose().to_owned())
}

/// The parts of keys whose names end alike.
pub(crate) fn keys(suffix: &str) -> [String; 3] {
    ["id", "secret", "token"].map(|part| format!("{part}-{suffix}"))
}

/// A time after the present of all examples, as the vendors write it.
pub(crate) fn in_minutes(minutes: i64) -> String {
    let time = now() + chrono::Duration::minutes(minutes);
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Method, path and query: `GET /latest?a=b`.
    pub(crate) line: String,
    /// The fields, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    header: Option<(&'static str, &'static str)>,
    body: String,
    delay: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            header: None,
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::new(200, body)
    }

    pub(crate) fn with(self, name: &'static str, value: &'static str) -> Self {
        let header = Some((name, value));
        Self { header, ..self }
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// An answer that never comes.
    pub(crate) fn silence() -> Self {
        Self::ok("").after(Duration::from_secs(3600))
    }
}

/// The server; it ends with its owner.
pub(crate) struct Loopback {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Loopback {
    /// Starts to answer.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, &log, &*answer).await });
            }
        });
        Self {
            url,
            asked,
            serving,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of what was asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked) -> Reply + ?Sized),
) {
    let Some(asked) = read(&mut stream).await else {
        return;
    };
    log.lock().unwrap().push(asked.clone());
    let reply = answer(&asked);
    tokio::time::sleep(reply.delay).await;
    let header = reply
        .header
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let whole = format!(
        "HTTP/1.1 {} Said\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n{}",
        reply.status,
        reply.body.len(),
        header.unwrap_or_default(),
        reply.body
    );
    // The client may have lost patience.
    let _ = stream.write_all(whole.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        line,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
