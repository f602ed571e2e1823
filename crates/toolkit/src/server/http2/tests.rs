//! Talks HTTP/2 over real sockets without TLS, with a client that does what it is told, however bad that is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use hyper::HeaderMap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::Limits;
use super::super::slot::ConnectionSlot;
use super::super::tests::{LONG, PATIENT, SHORT, within};
use super::super::timer::ConnectionTimer;
use super::*;

/// One served connection, and its client.
struct Pair {
    requests: SendRequest<Bytes>,
    /// Ends with the connection, as the client sees it.
    client: JoinHandle<Result<(), h2::Error>>,
    server: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Pair {
    async fn start<H, F>(limits: Limits, window: u32, handler: H) -> Self
    where
        H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let (stream, server) = serve(limits, handler, shutdown.clone()).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (requests, connection) = within(builder.handshake(stream)).await.unwrap();
        Self {
            requests,
            client: tokio::spawn(connection),
            server,
            shutdown,
        }
    }

    /// Begins a request.
    async fn begin(&mut self, request: Request<()>) -> Result<ResponseFuture, h2::Error> {
        let mut ready = within(self.requests.clone().ready()).await?;
        Ok(ready.send_request(request, true)?.0)
    }

    async fn ask(&mut self, request: Request<()>) -> Result<(u16, HeaderMap, usize), h2::Error> {
        let response = self.begin(request).await?;
        within(take(response)).await
    }
}

/// Serves one connection, and connects to it.
async fn serve<H, F>(
    limits: Limits,
    handler: H,
    shutdown: CancellationToken,
) -> (TcpStream, JoinHandle<()>)
where
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (accepted, peer) = listener.accept().await.unwrap();
    let client = Client {
        peer,
        limits,
        shutdown,
        timer: ConnectionTimer::new(limits, ConnectionSlot::new()),
    };
    let serving = async move { serve_connection(accepted, &handler, &client).await };
    (stream, tokio::spawn(serving))
}

/// Status, headers and length of an answer.
async fn take(response: ResponseFuture) -> Result<(u16, HeaderMap, usize), h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        length += piece.len();
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok((head.status.as_u16(), head.headers, length))
}

fn get(path: &str) -> Request<()> {
    let uri = format!("http://test{path}");
    Request::get(uri).body(()).unwrap()
}

/// As many bytes as the path says.
async fn sized(request: Request<()>) -> Response<Body> {
    let size = request.uri().path()[1..].parse().unwrap();
    Response::new(Body::from(vec![b'x'; size]))
}

const WINDOW: u32 = 65_535;

/// Between two things that a client does, so that they do not go out together.
const PAUSE: Duration = Duration::from_millis(2);

#[tokio::test]
async fn answers_of_every_size_arrive_whole_also_at_once() {
    let mut pair = Pair::start(PATIENT, WINDOW, sized).await;
    let sizes = [0, 1, 2, 65_535, 65_536, 65_537, 3_000_000];
    let mut answers = Vec::new();
    for size in sizes {
        answers.push(pair.begin(get(&format!("/{size}"))).await.unwrap());
    }
    for (size, answer) in sizes.into_iter().zip(answers) {
        let (status, headers, length) = within(take(answer)).await.unwrap();
        assert_eq!((status, length), (200, size));
        if size > 0 {
            assert_eq!(headers["content-length"], size.to_string());
        }
    }
    let head = Request::head("http://test/1234").body(()).unwrap();
    let (status, headers, length) = pair.ask(head).await.unwrap();
    assert_eq!((status, length), (200, 0));
    assert_eq!(headers["content-length"], "1234");
}

#[tokio::test]
async fn one_answer_is_made_at_a_time_whatever_is_reset() {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), Notify::new()));
    let shared = Arc::clone(&counts);
    let handler = move |_| {
        let shared = Arc::clone(&shared);
        async move {
            let (at_once, most, go_on) = &*shared;
            let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            go_on.notified().await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            Response::new(Body::from("done"))
        }
    };
    let mut pair = Pair::start(PATIENT, WINDOW, handler).await;
    for _ in 0..50 {
        // Dropping the answer resets the stream. The pause lets the server see both, one after the other.
        let response = pair.begin(get("/")).await.unwrap();
        tokio::time::sleep(PAUSE).await;
        drop(response);
        tokio::time::sleep(PAUSE).await;
    }
    let last = pair.begin(get("/")).await.unwrap();
    let answered = take(last);
    let mut answered = pin!(answered);
    let letting_go = async {
        loop {
            counts.2.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (status, _, length) = within(async {
        tokio::select! {
            answer = &mut answered => answer.unwrap(),
            () = letting_go => unreachable!(),
        }
    })
    .await;
    assert_eq!((status, length), (200, 4));
    assert_eq!(counts.1.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_flood_of_requests_that_are_given_up_ends_the_connection() {
    let answer = |_| async {
        tokio::time::sleep(LONG).await;
        Response::new(Body::empty())
    };
    // Those that come one by one are counted here, those that come at once by h2.
    for pause in [Some(PAUSE), None] {
        let mut pair = Pair::start(PATIENT, WINDOW, answer).await;
        let mut begun = 0;
        while begun < 10_000 {
            let Ok(response) = pair.begin(get("/")).await else {
                break;
            };
            begun += 1;
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => tokio::task::yield_now().await,
            }
            drop(response);
        }
        assert!(begun < 10_000, "{begun} were taken");
        within(&mut pair.server).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let limits = Limits {
        response_time: SHORT,
        ..PATIENT
    };
    let stalled = Limits {
        stall_time: SHORT,
        ..PATIENT
    };
    // The last byte is what there is no room for.
    for (limits, window, size) in [
        (limits, 10, 1000),
        (limits, 999, 1000),
        (limits, WINDOW, 65_536),
        (stalled, 10, 1000),
        (stalled, 999, 1000),
    ] {
        let mut pair = Pair::start(limits, window, sized).await;
        let response = pair.begin(get(&format!("/{size}"))).await.unwrap();
        // The head comes; of the body no more is asked for.
        let _body = within(response).await.unwrap();
        within(&mut pair.server).await.unwrap();
        assert!(
            within(pair.client).await.unwrap().is_err(),
            "it is no proper end"
        );
    }
}

#[tokio::test]
async fn a_handler_that_takes_too_long_costs_the_connection() {
    let limits = Limits {
        response_time: SHORT,
        ..PATIENT
    };
    let never = |_| std::future::pending();
    let mut pair = Pair::start(limits, WINDOW, never).await;
    assert!(pair.ask(get("/")).await.is_err());
    within(pair.server).await.unwrap();
}

#[tokio::test]
async fn a_resting_connection_is_ended_properly_and_a_silent_one_is_cut() {
    let limits = Limits {
        idle_time: SHORT,
        ..PATIENT
    };
    let mut pair = Pair::start(limits, WINDOW, sized).await;
    assert_eq!(pair.ask(get("/1000")).await.unwrap().0, 200);
    within(pair.server).await.unwrap();
    assert!(within(pair.client).await.unwrap().is_ok());

    let limits = Limits {
        head_time: SHORT,
        ..PATIENT
    };
    let pair = Pair::start(limits, WINDOW, sized).await;
    within(pair.server).await.unwrap();
    // Not even the beginning of the protocol.
    let (_stream, server) = serve(limits, sized, CancellationToken::new()).await;
    within(server).await.unwrap();
}

#[tokio::test]
async fn at_the_end_the_requests_in_flight_are_answered() {
    let asked = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let (told, awaited) = (Arc::clone(&asked), Arc::clone(&go_on));
    let handler = move |_| {
        let (told, awaited) = (Arc::clone(&told), Arc::clone(&awaited));
        async move {
            told.notify_one();
            awaited.notified().await;
            Response::new(Body::from("late"))
        }
    };
    let mut pair = Pair::start(PATIENT, WINDOW, handler).await;
    let response = pair.begin(get("/")).await.unwrap();
    let answer = tokio::spawn(take(response));
    within(asked.notified()).await;
    pair.shutdown.cancel();
    go_on.notify_one();
    let (status, _, length) = within(answer).await.unwrap().unwrap();
    assert_eq!((status, length), (200, 4));
    within(pair.server).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_agree_to_the_end_is_cut_soon() {
    let pair = Pair::start(PATIENT, WINDOW, sized).await;
    // From now on nobody reads what the server says.
    pair.client.abort();
    pair.shutdown.cancel();
    within(pair.server).await.unwrap();
}

#[tokio::test]
async fn a_panic_loses_its_stream_and_no_other() {
    let handler = |request: Request<()>| async move {
        assert_ne!(
            request.uri().path(),
            "/panic",
            "this panic is a part of the test"
        );
        Response::new(Body::from("fine"))
    };
    let mut pair = Pair::start(PATIENT, WINDOW, handler).await;
    assert!(pair.ask(get("/panic")).await.is_err());
    assert_eq!(pair.ask(get("/")).await.unwrap().0, 200);
}

#[tokio::test]
async fn heads_have_limits_and_requests_no_bodies() {
    let mut pair = Pair::start(PATIENT, WINDOW, sized).await;
    let mut many = get("/1");
    for number in 0..101 {
        let name: hyper::header::HeaderName = format!("x-{number}").parse().unwrap();
        many.headers_mut()
            .insert(name, HeaderValue::from_static("x"));
    }
    assert_eq!(pair.ask(many).await.unwrap().0, 431);
    let mut large = get("/1");
    let value = HeaderValue::from_str(&"x".repeat(17 * 1024)).unwrap();
    large.headers_mut().insert("x-large", value);
    // h2 answers with 431 itself; whether that or the reset after it is seen first is up to the client.
    if let Ok((status, ..)) = pair.ask(large).await {
        assert_eq!(status, 431);
    }
    assert_eq!(pair.ask(get("/1")).await.unwrap().0, 200);

    let mut ready = within(pair.requests.clone().ready()).await.unwrap();
    let (response, mut body) = ready.send_request(get("/1"), false).unwrap();
    body.send_data(Bytes::from_static(b"body"), true).unwrap();
    assert_eq!(within(take(response)).await.unwrap().0, 400);
    assert_eq!(pair.ask(get("/1")).await.unwrap().0, 200);
}
