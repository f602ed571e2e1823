//! A courier that answers from a script, so that a provider can be tested without a network and without waiting.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;

use super::error::ListError;
use super::http::{Answer, HttpClient};
use super::{Call, Courier, Environment, Premises};
use crate::backup::{Listing, Reading};
use crate::clock::Clock;
use crate::config::{AccountConfig, CredentialsConfig, PollConfig, PollMode};
use crate::example::LOOKBACK;
use crate::vendor::Vendor;

/// Answers each call with the next of its lines, and writes down what it was asked.
#[derive(Default)]
pub(super) struct Script {
    pub(super) answers: Mutex<VecDeque<Answer>>,
    pub(super) calls: Mutex<Vec<Call>>,
}

impl Script {
    pub(super) fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            calls: Mutex::default(),
        }
    }

    /// What was asked; fails if an answer was not asked for.
    pub(super) fn calls(self) -> Vec<Call> {
        assert_eq!(
            self.answers.into_inner().unwrap().len(),
            0,
            "unused answers"
        );
        self.calls.into_inner().unwrap()
    }
}

impl Courier for Script {
    async fn send<T: Send>(
        &self,
        call: impl Fn() -> Call + Send + Sync,
        read: impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync,
    ) -> Result<T, ListError> {
        let call = call();
        self.calls.lock().unwrap().push(call.clone());
        let answer = self.answers.lock().unwrap().pop_front();
        read(
            &call,
            &answer.unwrap_or_else(|| panic!("the script has no answer to {call:?}")),
        )
    }
}

/// A script whose every call stands in line for ten minutes.
pub(super) struct LongLine(pub(super) Script, pub(super) Clock);

impl Courier for LongLine {
    async fn send<T: Send>(
        &self,
        call: impl Fn() -> Call + Send + Sync,
        read: impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync,
    ) -> Result<T, ListError> {
        // The lane is chosen by the operation when the call takes its place.
        let operation = call().operation;
        self.1.advance(Duration::from_secs(600));
        assert_eq!(call().operation, operation);
        self.0.send(call, read).await
    }
}

/// A row with some fields changed; `null` stands for a field that is not there at all.
pub(super) fn changed(mut row: Value, changes: &Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        row[field] = value.clone();
    }
    row.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    row
}

/// The answer with one header field more.
pub(super) fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    let name = HeaderName::from_static(name);
    answer.headers.insert(name, value.parse().unwrap());
    answer
}

/// The sets that were read.
pub(super) fn sets(reading: impl Borrow<Reading>) -> Listing {
    match reading.borrow() {
        Reading::Sets(listing) => listing.clone(),
        other => panic!("no sets: {other:?}"),
    }
}

/// An answer without header fields.
pub(super) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer {
        status,
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

/// An account without instances and without keys.
pub(super) fn account(provider: Vendor) -> AccountConfig {
    AccountConfig {
        name: "prod".into(),
        provider,
        credentials: CredentialsConfig::Standard,
        services: vec![provider.founding()],
        endpoints: std::collections::BTreeMap::new(),
        iam_endpoint: None,
        metadata_endpoint: None,
        rate_limit: None,
        ca_file: None,
        projects: std::collections::BTreeMap::new(),
        discover: None,
        targets: Vec::new(),
    }
}

/// Makes something from the account and this clock.
pub(super) fn with_premises<T>(
    account: &AccountConfig,
    clock: &Clock,
    make: impl FnOnce(&Premises<'_>) -> T,
) -> T {
    static HTTP: OnceLock<HttpClient> = OnceLock::new();
    make(&Premises {
        account,
        poll: &PollConfig {
            mode: PollMode::Fixed,
            interval: Duration::from_secs(300),
            max_interval: Duration::from_secs(3600),
            policy_interval: Duration::from_secs(3600),
            discovery_interval: Duration::from_secs(600),
            timeout: Duration::from_secs(30),
            lookback: LOOKBACK,
            max_concurrency: 16,
        },
        http: HTTP.get_or_init(|| HttpClient::new().unwrap()),
        clock,
        environment: &Environment::new(),
    })
}
