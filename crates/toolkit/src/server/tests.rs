//! Talks to a real server over real sockets, in real time: tokio's paused clock and sockets do not go together.
//!
//! Where a test is about one limit, that one is short and all others are long, so that a slow machine cannot mix them up.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::listen::{self, ListenAddress};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
/// Passes while a test looks on, and leaves a busy machine time for what is meant to be in time.
pub(super) const SHORT: Duration = Duration::from_secs(1);
pub(super) const LONG: Duration = Duration::from_secs(300);

/// All limits of time are too long to matter.
pub(super) const PATIENT: Limits = Limits {
    head_bytes: 16 * 1024,
    headers: 100,
    head_time: LONG,
    idle_time: LONG,
    response_time: LONG,
    stall_time: LONG,
    connections: 512,
};

/// A test that waits for what does not come fails instead of hanging.
pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), future)
        .await
        .expect("what was awaited came in time")
}

struct Server {
    addresses: Vec<SocketAddr>,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start<H, F>(limits: Limits, handler: H) -> Self
    where
        H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let any = ListenAddress::parse("127.0.0.1:0").unwrap();
        let listeners = listen::bind(&[any.clone(), any]).await.unwrap();
        let addresses = listeners.iter().map(Listener::local_address).collect();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(listeners, limits, None, handler, shutdown.clone()));
        Self {
            addresses,
            shutdown,
            ended,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(self.addresses[0]).await.unwrap()
    }
}

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// In lower case, a line each.
    headers: Vec<String>,
    body: String,
}

impl Answer {
    fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|line| line == header)
    }
}

impl Client {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = within(TcpStream::connect(address)).await?;
        let received = Vec::new();
        Ok(Self { stream, received })
    }

    async fn send(&mut self, text: &str) {
        within(self.stream.write_all(text.as_bytes()))
            .await
            .unwrap();
    }

    async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        self.read_answer(true).await.expect("an answer")
    }

    async fn answer_without_body(&mut self) -> Answer {
        self.read_answer(false).await.expect("an answer")
    }

    /// Nothing when the connection ends before the answer is complete.
    async fn read_answer(&mut self, with_body: bool) -> Option<Answer> {
        let head_end = loop {
            let found = self.received.windows(4).position(|end| end == b"\r\n\r\n");
            match found {
                Some(position) => break position + 4,
                None => self.read_more().await?,
            }
        };
        let head: Vec<u8> = self.received.drain(..head_end).collect();
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let mut lines = head.lines().map(str::to_owned);
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        let length = headers
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let length = if with_body { length } else { 0 };
        while self.received.len() < length {
            self.read_more().await?;
        }
        let body = self.received.drain(..length).collect();
        let body = String::from_utf8(body).unwrap();
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    async fn read_more(&mut self) -> Option<()> {
        let read = within(self.stream.read_buf(&mut self.received)).await;
        read.is_ok_and(|count| count > 0).then_some(())
    }

    /// Reads until the server has sent all it will.
    async fn proper_end(&mut self) {
        let read = within(self.stream.read_to_end(&mut self.received)).await;
        read.expect("an end, and not a reset");
        assert_eq!(self.received, b"", "came after the last answer");
    }

    /// The same where the server has not read all that was sent: a client that is still sending is not met with a reset,
    /// which could cost it the answer.
    async fn gentle_end(&mut self) {
        self.proper_end().await;
        // Only the second would fail: a reset is the answer to the first.
        self.send("more").await;
        self.send("more").await;
    }

    /// Reads until the server ends the connection, properly or not, and returns what came before.
    async fn rest(mut self) -> Vec<u8> {
        while self.read_more().await.is_some() {}
        self.received
    }
}

async fn hello(_request: Request<()>) -> Response<Body> {
    Response::new(Body::from("hello"))
}

async fn echo_path(request: Request<()>) -> Response<Body> {
    let pieces = ["path", " ", "", request.uri().path()].map(|piece| Bytes::from(piece.to_owned()));
    Response::new(pieces.into_iter().collect())
}

#[tokio::test]
async fn every_listener_is_served() {
    let server = Server::start(PATIENT, hello).await;
    assert_eq!(server.addresses.len(), 2);
    for _ in 0..3 {
        for address in &server.addresses {
            let answer = Client::connect(*address).await.unwrap().ask(GET).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
        }
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests_even_sent_at_once() {
    let server = Server::start(PATIENT, echo_path).await;
    let mut client = server.client().await;
    let request = |number| format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n");
    let requests = (0..100).map(request).collect::<Vec<_>>().concat();
    for _ in 0..3 {
        client.send(&requests).await;
        for number in 0..100 {
            let answer = client.answer().await;
            assert_eq!(answer.body, format!("path /{number}"));
        }
    }
}

#[tokio::test]
async fn the_answer_to_head_has_the_length_and_not_the_body() {
    let server = Server::start(PATIENT, hello).await;
    let mut client = server.client().await;
    client
        .send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.answer_without_body().await;
    assert!(answer.has("content-length: 5"), "{answer:?}");
    // Had there been a body, the next answer would not begin here.
    assert_eq!(client.answer().await.body, "hello");
    client.proper_end().await;
}

#[tokio::test]
async fn a_head_that_arrives_too_slowly_is_cut_off() {
    let limits = Limits {
        head_time: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits, hello).await;
    for beginning in ["", "G", "GET / HTTP/1.1\r\nHost: te", "\r\n"] {
        let mut client = server.client().await;
        client.send(beginning).await;
        assert_eq!(client.rest().await, b"", "{beginning:?}");
    }
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_extend_the_time_of_a_head() {
    let limits = Limits {
        head_time: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits, hello).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nX: ").await;
    within(async {
        // Ends once the server has closed the connection and its kernel says so.
        while client.stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_later_head_has_its_time_from_its_first_byte() {
    let limits = Limits {
        head_time: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits, hello).await;
    let mut client = server.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    // Resting for longer than a head may take is no offence.
    tokio::time::sleep(limits.head_time * 2).await;
    assert_eq!(client.ask(GET).await.status, 200);
    client.send("GET / HT").await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed() {
    let limits = Limits {
        idle_time: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits, hello).await;
    let mut client = server.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    client.proper_end().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_so() {
    let server = Server::start(PATIENT, hello).await;
    let large_value = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(16 * 1024));
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100 * 1024));
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20 * 1024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(101));
    for head in [large_value, endless, long_path, many] {
        let mut client = server.client().await;
        let answer = client.ask(&head).await;
        assert_eq!(answer.status, 431, "{}", &head[..30]);
        assert!(answer.has("connection: close"), "{answer:?}");
        client.gentle_end().await;
    }
    let just_fits = format!(
        "GET / HTTP/1.1\r\nHost: test\r\n{}\r\n",
        "X: x\r\n".repeat(99)
    );
    assert_eq!(server.client().await.ask(&just_fits).await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_not_http_is_told_so() {
    let server = Server::start(PATIENT, hello).await;
    for head in [
        "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9\r\n\r\n",
    ] {
        let mut client = server.client().await;
        assert_eq!(client.ask(head).await.status, 400, "{head:?}");
        client.gentle_end().await;
    }
}

#[tokio::test]
async fn a_request_body_is_not_read() {
    let called = Arc::new(AtomicUsize::new(0));
    let handler = {
        let called = Arc::clone(&called);
        move |request| {
            called.fetch_add(1, Ordering::Relaxed);
            hello(request)
        }
    };
    let server = Server::start(PATIENT, handler).await;
    let check = async |request: String, status: u16, calls: usize| {
        let mut client = server.client().await;
        let answer = client.ask(&request).await;
        assert_eq!(answer.status, status, "{request:.60}");
        assert_eq!(called.swap(0, Ordering::Relaxed), calls, "{request:.60}");
        assert!(answer.has("connection: close"), "{answer:?}");
        client.gentle_end().await;
    };
    let body = "x".repeat(50_000);
    let large = format!("Content-Length: 50000\r\n\r\n{body}");
    check(format!("GET / HTTP/1.1\r\nHost: test\r\n{large}"), 400, 0).await;
    check(format!("POST / HTTP/1.1\r\nHost: test\r\n{large}"), 200, 1).await;
    let endless = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    check(format!("GET / HTTP/1.1\r\nHost: test\r\n{endless}"), 400, 0).await;
    check(
        format!("POST / HTTP/1.1\r\nHost: test\r\n{endless}"),
        200,
        1,
    )
    .await;
    let asks_first = "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    check(
        format!("POST / HTTP/1.1\r\nHost: test\r\n{asks_first}"),
        200,
        1,
    )
    .await;

    // A body of no bytes is none.
    let mut client = server.client().await;
    for _ in 0..2 {
        let empty = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(client.ask(empty).await.status, 200);
    }
}

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A handler that answers `/wait` only when the gate is opened, and a signal that it was asked.
fn gated() -> (
    Arc<Notify>,
    Arc<Notify>,
    impl Fn(Request<()>) -> Answering + Clone + Send + Sync,
) {
    let (asked, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&gate));
    let handler = move |request: Request<()>| -> Answering {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        Box::pin(async move {
            if request.uri().path() == "/wait" {
                tell.notify_one();
                wait.notified().await;
            }
            hello(request).await
        })
    };
    (asked, gate, handler)
}

const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test]
async fn connections_are_refused_while_all_are_being_answered() {
    let limits = Limits {
        connections: 2,
        ..PATIENT
    };
    let (asked, gate, handler) = gated();
    let server = Server::start(limits, handler).await;
    let mut busy = [server.client().await, server.client().await];
    for client in &mut busy {
        client.send(WAIT).await;
        within(asked.notified()).await;
    }
    for _ in 0..3 {
        let mut third = server.client().await;
        let answer = third.ask(GET).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "too many connections\n");
        assert!(answer.has("connection: close"), "{answer:?}");
        assert!(answer.has("x-content-type-options: nosniff"), "{answer:?}");
        assert!(answer.has("cache-control: no-store"), "{answer:?}");
        third.gentle_end().await;
    }
    for client in &mut busy {
        gate.notify_one();
        assert_eq!(client.answer().await.status, 200, "is not disturbed");
    }
    // Both rest now, and one of them makes room.
    assert_eq!(server.client().await.ask(GET).await.status, 200);
}

#[tokio::test]
async fn who_rests_longest_makes_room_then_who_is_longest_without_a_request() {
    let limits = Limits {
        connections: 4,
        ..PATIENT
    };
    let (asked, gate, handler) = gated();
    let server = Server::start(limits, handler).await;
    let mut busy = server.client().await;
    busy.send(WAIT).await;
    within(asked.notified()).await;
    let mut silent = server.client().await;
    // Connections are accepted in their order, so an answer to the next says that this one was.
    let mut rests_longest = server.client().await;
    assert_eq!(rests_longest.ask(GET).await.status, 200);
    let mut rests = server.client().await;
    assert_eq!(rests.ask(GET).await.status, 200);

    let mut fifth = server.client().await;
    fifth.send("GET / HTTP/1.1\r\nHost: ").await;
    rests_longest.proper_end().await;
    let mut sixth = server.client().await;
    sixth.send("GET / HTTP/1.1\r\nHost: ").await;
    rests.proper_end().await;
    // Nobody rests any more.
    let mut seventh = server.client().await;
    silent.proper_end().await;
    let eighth = server.client().await;
    assert_eq!(fifth.rest().await, b"");
    drop(eighth);
    sixth.send("test\r\n\r\n").await;
    assert_eq!(sixth.answer().await.status, 200);
    assert_eq!(seventh.ask(GET).await.status, 200);
    gate.notify_one();
    assert_eq!(busy.answer().await.status, 200);
}

#[tokio::test]
async fn silent_connections_shut_nobody_out() {
    let limits = Limits {
        connections: 8,
        ..PATIENT
    };
    let server = Server::start(limits, hello).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(server.client().await);
        assert_eq!(server.client().await.ask(GET).await.status, 200);
    }
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off_and_who_takes_it_slowly_is_not() {
    let limits = Limits {
        stall_time: SHORT,
        ..PATIENT
    };
    let large: Body = std::iter::repeat_n(Bytes::from(vec![b'x'; 1 << 20]), 16).collect();
    let server = Server::start(limits, move |_| {
        std::future::ready(Response::new(large.clone()))
    })
    .await;
    let mut client = server.client().await;
    client.send(GET).await;
    let began = Instant::now();
    let mut count = 0;
    // Longer than the client may pause, and without a pause.
    while count < 8 << 20 || began.elapsed() < limits.stall_time * 3 {
        let mut part = vec![0; 64 * 1024];
        let read = within(client.stream.read(&mut part)).await.unwrap();
        assert_ne!(read, 0, "after {count} bytes");
        count += read;
        tokio::time::sleep(SHORT / 40).await;
        if count > 15 << 20 {
            break;
        }
    }
    let mut idler = server.client().await;
    idler.send(GET).await;
    tokio::time::sleep(limits.stall_time * 3).await;
    let read = within(idler.stream.read_to_end(&mut idler.received)).await;
    let error = read.expect_err("it was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_closes_its_half_gets_the_answer_to_what_it_asked() {
    let (asked, gate, handler) = gated();
    let server = Server::start(PATIENT, handler).await;
    let mut client = server.client().await;
    client.send(WAIT).await;
    within(asked.notified()).await;
    client.stream.shutdown().await.unwrap();
    gate.notify_one();
    assert_eq!(client.answer().await.body, "hello");
    client.proper_end().await;
    for beginning in ["", "GET / HTTP/1.1\r\nHost"] {
        let mut client = server.client().await;
        client.send(beginning).await;
        client.stream.shutdown().await.unwrap();
        client.rest().await;
    }
}

#[tokio::test]
async fn every_refusal_says_why_and_is_not_sniffed() {
    let server = Server::start(PATIENT, hello).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    // After a good request as well, in the same piece of what is sent.
    for before in ["", GET] {
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
                400,
            ),
            ("GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
            (&long, 431),
        ] {
            let mut client = server.client().await;
            client.send(&format!("{before}{request}")).await;
            if !before.is_empty() {
                assert_eq!(client.answer().await.status, 200);
            }
            let answer = client.answer().await;
            assert_eq!(answer.status, status, "{request:.60}");
            assert!(answer.body.ends_with('\n'), "{answer:?}");
            for header in [
                "content-type: text/plain; charset=utf-8",
                "cache-control: no-store",
                "x-content-type-options: nosniff",
                "connection: close",
            ] {
                assert!(answer.has(header), "{header}: {answer:?}");
            }
            client.proper_end().await;
        }
    }
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(server.client().await.ask(old).await.status, 200);
    let absolute = "GET http://other/ HTTP/1.1\r\nHost: test\r\n\r\n";
    assert_eq!(server.client().await.ask(absolute).await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    /// Says when the server has let go of the response.
    struct Piece(Vec<u8>, Arc<Notify>);
    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Piece {
        fn drop(&mut self) {
            self.1.notify_one();
        }
    }

    let limits = Limits {
        response_time: SHORT,
        ..PATIENT
    };
    let released = Arc::new(Notify::new());
    let large = Bytes::from_owner(Piece(vec![b'x'; 1 << 20], Arc::clone(&released)));
    // Far more than the kernel keeps for a connection.
    let large: Body = std::iter::repeat_n(large, 64).collect();
    assert_eq!(large.len(), 64 << 20);
    // Handed out once, so that its pieces live no longer than the response.
    let large = Arc::new(Mutex::new(Some(large)));
    let handler = move |_request| {
        let body = large.lock().unwrap().take().unwrap_or_default();
        std::future::ready(Response::new(body))
    };
    let server = Server::start(limits, handler).await;
    let mut client = server.client().await;
    client.send(GET).await;
    within(released.notified()).await;
    let read = within(client.stream.read_to_end(&mut client.received)).await;
    let error = read.expect_err("what the kernel still had was thrown away");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(server.client().await.ask(GET).await.status, 200);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_cut_off() {
    let limits = Limits {
        response_time: SHORT,
        ..PATIENT
    };
    let handler = async |request: Request<()>| {
        if request.uri().path() == "/wait" {
            std::future::pending::<()>().await;
        }
        hello(request).await
    };
    let server = Server::start(limits, handler).await;
    let slow = "GET /wait HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut client = server.client().await;
    client.send(slow).await;
    assert_eq!(client.rest().await, b"");
    let mut client = server.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    client.send(slow).await;
    assert_eq!(client.rest().await, b"", "a later one has no more time");
}

#[tokio::test]
async fn a_panic_in_the_handler_costs_only_its_connection() {
    let handler = async |request: Request<()>| {
        assert_ne!(request.uri().path(), "/panic", "this panic is wanted");
        hello(request).await
    };
    let server = Server::start(PATIENT, handler).await;
    let mut bystander = server.client().await;
    assert_eq!(bystander.ask(GET).await.status, 200);
    let mut victim = server.client().await;
    victim
        .send("GET /panic HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    assert_eq!(victim.rest().await, b"");
    assert_eq!(bystander.ask(GET).await.status, 200);
    assert_eq!(server.client().await.ask(GET).await.status, 200);
}

#[tokio::test]
async fn the_end_waits_for_requests_in_flight_and_for_nothing_else() {
    let started = Arc::new(Notify::new());
    let gate = Arc::new(Notify::new());
    let handler = {
        let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
        move |request: Request<()>| {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            async move {
                if request.uri().path() == "/wait" {
                    started.notify_one();
                    gate.notified().await;
                }
                hello(request).await
            }
        }
    };
    let server = Server::start(PATIENT, handler).await;
    let mut silent = server.client().await;
    let mut resting = server.client().await;
    assert_eq!(resting.ask(GET).await.status, 200);
    let mut busy = server.client().await;
    busy.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await;
    within(started.notified()).await;

    server.shutdown.cancel();
    silent.proper_end().await;
    resting.proper_end().await;
    for address in &server.addresses {
        let refused = Client::connect(*address).await;
        assert!(refused.is_err(), "nothing listens any more");
    }
    assert!(!server.ended.is_finished(), "one request is in flight");

    gate.notify_one();
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert!(answer.has("connection: close"), "{answer:?}");
    busy.proper_end().await;
    within(server.ended).await.unwrap();
}

#[tokio::test]
async fn dropping_the_server_ends_requests_in_flight() {
    let server = Server::start(PATIENT, |_request| std::future::pending()).await;
    let mut client = server.client().await;
    client.send(GET).await;
    server.ended.abort();
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn an_error_of_accept_never_ends_the_server() {
    let any = ListenAddress::parse("127.0.0.1:0").unwrap();
    let listeners = listen::bind(&[any]).await.unwrap();
    let address = listeners[0].local_address();
    // EMFILE, ECONNABORTED, ENOMEM, something nobody thought of.
    let mut errors = [24, 103, 12, 9999]
        .map(io::Error::from_raw_os_error)
        .into_iter();
    let mut turn = 0;
    let accept = move |context: &mut Context<'_>| match errors.next() {
        Some(error) => Poll::Ready(Err(error)),
        None => accept_any(&listeners, &mut turn, context),
    };
    let connections = Connections::new(PATIENT, None, hello, CancellationToken::new());
    let serving = serve_from(accept, connections);
    let asking = async {
        let mut client = Client::connect(address).await.unwrap();
        assert_eq!(client.ask(GET).await.status, 200);
    };
    tokio::select! {
        () = serving => panic!("the server ended"),
        () = asking => {}
    }
}

#[test]
fn accept_errors_of_one_connection_are_told_from_those_of_the_machine() {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, Interrupted, NetworkDown, Other, OutOfMemory,
        PermissionDenied, QuotaExceeded,
    };
    for kind in [ConnectionAborted, ConnectionReset, Interrupted, NetworkDown] {
        assert!(concerns_one_connection(&kind.into()), "{kind}");
    }
    for kind in [OutOfMemory, PermissionDenied, QuotaExceeded, Other] {
        assert!(!concerns_one_connection(&kind.into()), "{kind}");
    }
}
