//! What is served: metrics, status page, health, readiness, reload.
//!
//! A request reads facts and counters and judges them; it never causes a call to a cloud. How connections are served is
//! `server`'s business, and who may ask is `protection`'s.

mod metrics_page;
mod rendering;
mod status_page;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY,
    VARY, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};
use toolkit::negotiate;
use toolkit::response::{compressed, set_headers, text};
use toolkit::server::Body;

use self::metrics_page::{Form, MetricsPage};
use self::rendering::Rendering;
use crate::backup::Lookback;
use crate::clock::Clock;
use crate::facts::{Facts, InstanceFacts, RegionFacts};
use crate::metrics::{self, Assessed, Format, ReloadState, Scrape};
use crate::posture;
use crate::report::Report;
use crate::report::emptiness::why_nothing_is_watched;
use crate::report::query::Query;
use crate::shard::Shard;
use crate::tally::Tally;

/// Asks whoever holds the configuration to load it again, and waits for what came of it.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// Everything that the pages are made from.
#[derive(Debug)]
pub struct Site {
    facts: Arc<Facts>,
    tally: Arc<Tally>,
    clock: Clock,
    metrics: MetricsPage,
    settings: RwLock<Settings>,
    reload: mpsc::Sender<ReloadRequest>,
    was_ready: AtomicBool,
    rendering: Rendering<PageKey, Response<Body>>,
}

/// All that a page depends on but the facts and the time: its path, its query as far as it matters, and how it is written.
type PageKey = (String, Option<String>, Format, bool);

/// How many pages are made at a time. They are polled for and served from the same processors.
const PAGES_AT_A_TIME: usize = 4;

/// What a reload changes, and which shard this is, which none does.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How far back sets are counted.
    pub lookback: Lookback,
    /// How loading the configuration went.
    pub reload: ReloadState,
    /// Which part of the instances is watched.
    pub shard: Shard,
}

impl Site {
    /// A site over these facts; requests to reload are sent to `reload`.
    pub fn new(
        facts: Arc<Facts>,
        tally: Arc<Tally>,
        clock: Clock,
        settings: Settings,
        reload: mpsc::Sender<ReloadRequest>,
    ) -> Self {
        let metrics = MetricsPage::new(
            Arc::clone(&facts),
            Arc::clone(&tally),
            clock.clone(),
            settings.shard,
        );
        Self {
            facts,
            tally,
            clock,
            metrics,
            settings: RwLock::new(settings),
            reload,
            was_ready: AtomicBool::new(false),
            rendering: Rendering::new(PAGES_AT_A_TIME),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        *self.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the settings.
    pub fn set_settings(&self, settings: Settings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Every instance, judged now.
    pub fn assess(&self) -> Vec<Assessed> {
        let (now, lookback) = (self.clock.now(), self.settings().lookback);
        let assess = |facts: Arc<InstanceFacts>| Assessed {
            posture: posture::assess(&facts, lookback, now),
            facts,
        };
        self.facts.all().into_iter().map(assess).collect()
    }

    /// Everything that is known and what it means, as of now.
    pub fn report(&self) -> Report {
        self.report_on(&Query::default())
    }

    fn report_on(&self, query: &Query) -> Report {
        let now = self.clock.now();
        let shard = self.settings().shard;
        Report::new(&self.assess(), &self.facts.regions(), shard, query, now)
    }

    /// Whether every region was listed the last time that instances were looked for there.
    pub fn are_instances_found(&self) -> bool {
        let regions = self.facts.regions();
        regions.iter().all(|(_, found)| {
            let attempt = found.last_attempt.as_ref();
            attempt.is_some_and(|attempt| attempt.failure.is_none())
        })
    }

    /// Keeps what `/metrics` says up to date, for ever: without this running there is no answer.
    pub async fn keep_metrics_up_to_date(&self) {
        self.metrics.keep_up(|| self.settings().lookback).await;
    }

    /// The metrics as of now, written from the beginning.
    pub fn scrape(&self, format: Format) -> Vec<u8> {
        let scrape = Scrape {
            now: self.clock.now(),
            instances: &self.assess(),
            regions: &self.facts.regions(),
            counts: &self.tally.counts(),
            reload: self.settings().reload,
            shard: self.settings().shard,
        };
        metrics::render(&scrape, self.metrics.process(), format)
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, request: Request<()>) -> Response<Body> {
        let get = [Method::GET, Method::HEAD];
        let post = [Method::POST, Method::PUT];
        let (allowed, allow) = match request.uri().path() {
            "/-/reload" => (&post[..], "POST, PUT"),
            "/" | "/metrics" | "/api/v1/instances" | "/-/healthy" | "/-/ready" => {
                (&get[..], "GET, HEAD")
            }
            _ => return text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if !allowed.contains(request.method()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            let allow = HeaderValue::from_static(allow);
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        match request.uri().path() {
            "/-/healthy" => text(StatusCode::OK, "healthy\n"),
            "/-/ready" => self.readiness().await,
            "/-/reload" if is_of_another_site(request.headers()) => text(
                StatusCode::FORBIDDEN,
                "a page of another site cannot reload the configuration\n",
            ),
            "/-/reload" => self.request_reload().await,
            "/metrics" => self.metrics_page(request).await,
            _ => self.page(request).await,
        }
    }

    async fn readiness(&self) -> Response<Body> {
        // In this order: what a search finds is watched a moment after it is known to have ended.
        let regions = self.facts.regions();
        let is_all_adopted = self.facts.is_all_adopted();
        let facts = self.facts.all();
        let attempted = facts.iter().filter(|facts| facts.is_attempted()).count();
        // What is found later on is polled at once, and does not make the rest less ready.
        let was_ready = self.was_ready.load(Ordering::Relaxed);
        let is_awaited =
            |facts: &&Arc<InstanceFacts>| !(facts.is_attempted() || facts.is_found && was_ready);
        let awaited = facts.iter().filter(is_awaited).count();
        let is_searched = |(_, found): &&(_, Arc<RegionFacts>)| found.is_attempted();
        let searched = regions.iter().filter(is_searched).count();
        let status = if awaited == 0 && searched == regions.len() && is_all_adopted {
            if !was_ready {
                // Whoever waits for this scrapes next, and wants to see it all.
                self.metrics.catch_up().await;
            }
            self.was_ready.store(true, Ordering::Relaxed);
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let mut answer = format!("{attempted} of {} instances attempted\n", facts.len());
        if !regions.is_empty() {
            let all = regions.len();
            let searched = [&searched.to_string(), " of ", &all.to_string()].concat();
            answer.push_str(&(searched + " regions searched for instances\n"));
        }
        let all = facts.iter().map(|facts| &**facts);
        for reason in why_nothing_is_watched(all, &regions, self.settings().shard) {
            answer.push_str(&["nothing is watched: ", &reason, "\n"].concat());
        }
        text(status, answer)
    }

    async fn request_reload(&self) -> Response<Body> {
        let (request, outcome) = oneshot::channel();
        let outcome = match self.reload.send(request).await {
            Ok(()) => outcome.await.ok(),
            Err(_) => None,
        };
        match outcome {
            Some(Ok(())) => {
                self.metrics.catch_up().await;
                text(StatusCode::OK, "reloaded\n")
            }
            Some(Err(problems)) => text(
                StatusCode::BAD_REQUEST,
                format!("the configuration was not changed:\n{problems}\n"),
            ),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        }
    }

    /// What was made in this second is given again. Otherwise little has to be added to the newest edition, but for as many
    /// ages as there are it takes longer than the threads that serve can spare.
    async fn metrics_page(self: Arc<Self>, request: Request<()>) -> Response<Body> {
        let headers = request.headers();
        let form = Form {
            format: negotiate::format(headers),
            gzip: negotiate::accepts_gzip(headers),
        };
        if let Some(body) = self.metrics.made(form, self.settings().reload) {
            return metrics_response(form, body);
        }
        let Some(edition) = self.metrics.newest().await else {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "no metrics are written yet\n",
            );
        };
        let this = Arc::clone(&self);
        let make = move || {
            let body = this.metrics.make(&edition, form, this.settings().reload);
            metrics_response(form, body)
        };
        self.rendered(page_key(&request), make).await
    }

    /// The pages that take time to make.
    async fn page(self: Arc<Self>, request: Request<()>) -> Response<Body> {
        let this = Arc::clone(&self);
        self.rendered(page_key(&request), move || this.make_page(&request))
            .await
    }

    async fn rendered(
        &self,
        key: PageKey,
        make: impl FnOnce() -> Response<Body> + Send + 'static,
    ) -> Response<Body> {
        self.rendering
            .page(key, make)
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a page could not be made; please report this");
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
            })
    }

    fn make_page(&self, request: &Request<()>) -> Response<Body> {
        let headers = request.headers();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        match request.uri().path() {
            "/api/v1/instances" => self.instances(&query, headers),
            _ => self.status_page(&query, headers),
        }
    }
}

fn page_key(request: &Request<()>) -> PageKey {
    let (headers, uri) = (request.headers(), request.uri());
    // A query does not make the metrics different.
    let query = uri.query().filter(|_| uri.path() != "/metrics");
    (
        uri.path().to_owned(),
        query.map(str::to_owned),
        negotiate::format(headers),
        negotiate::accepts_gzip(headers),
    )
}

/// Whether a browser says that it asks on behalf of a page that somebody else has written. Other clients say nothing.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.any(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"))
}

impl Site {
    /// A program that asks wrongly is told so, rather than answered with something else than it asked for.
    fn instances(&self, query: &Query, headers: &HeaderMap) -> Response<Body> {
        if !query.problems.is_empty() {
            return text(StatusCode::BAD_REQUEST, query.problems.join("\n") + "\n");
        }
        match self.report_on(query).json() {
            Ok(json) => compressed(headers, json, "application/json"),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// A person who asks wrongly is shown what can be shown, with a note.
    fn status_page(&self, query: &Query, headers: &HeaderMap) -> Response<Body> {
        let lookback = self.settings().lookback;
        let page = status_page::Page {
            instances: &self.assess(),
            regions: &self.facts.regions(),
            shard: self.settings().shard,
            lookback,
            query,
            now: self.clock.now(),
        };
        let mut response = compressed(headers, page.render(), "text/html; charset=utf-8");
        let headers = response.headers_mut();
        let policy = HeaderValue::try_from(status_page::content_security_policy(lookback));
        // Of a hash in base64 and of words that are known to fit.
        debug_assert!(policy.is_ok());
        if let Ok(policy) = policy {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn metrics_response(form: Form, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    set_headers(headers, form.format.content_type());
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if form.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
