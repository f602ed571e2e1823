//! The handle that a test or the demo holds: starts the simulated cloud and changes it while it
//! runs. Each verb is one change; none waits, and no lock is held over an await.

mod roles;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::SimClock;
use crate::exchange::{Answer, Delivery, Received, RecordedRequest, Undelivered};
use crate::fault::Fault;
use crate::scenario::Scenario;
use crate::server::{self, Shared};
use crate::state::State;
use crate::world::{
    Account, CrossRegionSet, Destination, Instance, LocalSet, Quirk, SessionToken, Truth, Vendor,
};
use crate::{alibaba, huawei, volcengine};

/// A running simulated cloud; it stops when it is dropped.
///
/// Verbs that name an instance or a key answer whether it exists, so that a misspelt id in a test
/// does not pass in silence.
#[derive(Debug)]
pub struct Cloud {
    pub(crate) shared: Arc<Shared>,
    addresses: BTreeMap<Vendor, SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Mutex<Vec<JoinHandle<()>>>,
}

impl Cloud {
    /// Starts the scenario on a free port of the loopback interface.
    pub async fn start(scenario: Scenario) -> io::Result<Self> {
        Self::start_on(scenario, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Starts the scenario on `address`, which must be a loopback one: the secrets of a simulated
    /// cloud are public. The vendors' ports follow each other in the order of [`Vendor::ALL`],
    /// unless the port is 0: then each takes a free one.
    pub async fn start_on(scenario: Scenario, address: SocketAddr) -> io::Result<Self> {
        let refused = |problem: String| io::Error::new(io::ErrorKind::InvalidInput, problem);
        if !address.ip().is_loopback() {
            return Err(refused(format!(
                "{address} is not a loopback address, and a simulated cloud serves no others"
            )));
        }
        let mut listeners = Vec::new();
        for (vendor, step) in Vendor::ALL.into_iter().zip(0..) {
            let port = match address.port() {
                0 => 0,
                first => first.checked_add(step).ok_or_else(|| {
                    refused(format!(
                        "there is no port for {} after {first}",
                        vendor.name()
                    ))
                })?,
            };
            let listener = TcpListener::bind((address.ip(), port)).await?;
            listeners.push((vendor, listener.local_addr()?, listener));
        }
        let clock = SimClock::default();
        if scenario.stands_still {
            clock.hold_the_world();
        }
        let state = State::new(&scenario, clock.world());
        let shared = Arc::new(Shared::new(clock, state));
        let (stop, stopped) = watch::channel(false);
        let mut addresses = BTreeMap::new();
        let mut servers = Vec::new();
        for (vendor, address, listener) in listeners {
            addresses.insert(vendor, address);
            servers.push(tokio::spawn(server::serve(
                listener,
                Arc::clone(&shared),
                face(vendor),
                stopped.clone(),
            )));
        }
        Ok(Self {
            shared,
            addresses,
            stop,
            servers: Mutex::new(servers),
        })
    }

    /// Alibaba Cloud's API.
    pub fn url(&self) -> String {
        self.url_of(Vendor::Alibaba)
    }

    /// A vendor's API, with its token service and its instance metadata.
    pub fn url_of(&self, vendor: Vendor) -> String {
        // Every vendor got an address at the start.
        let address = self.addresses.get(&vendor);
        address.map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// The cloud's time.
    pub fn clock(&self) -> SimClock {
        self.shared.clock.clone()
    }

    /// Stops serving; connections end, and their requests stay without an answer.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let servers =
            std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        for server in servers {
            // It has no result; a panic in it has been reported on standard error.
            let _ = server.await;
        }
    }

    /// Adds an instance, or replaces the one with its id. Its troubles are counted back from now.
    pub fn add_instance(&self, instance: Instance) {
        let now = self.shared.clock.world();
        self.shared.state().world.add_instance(instance, now);
    }

    /// Removes an instance and all that there is of it, as if it had never been.
    pub fn remove_instance(&self, id: &str) -> bool {
        self.shared.state().world.remove_instance(id)
    }

    /// Releases an instance at its vendor: it is gone, and so are its local sets, but its copies
    /// are still listed until they expire. Volcengine lists either for the whole account only.
    pub fn release_instance(&self, id: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.release_instance(id, now)
    }

    /// Adds a row to the local listing of a Volcengine instance, and sends it as it stands.
    pub fn add_volcengine_local_row(&self, instance: &str, row: Value) -> bool {
        self.shared.state().world.add_local_row(instance, row)
    }

    /// Adds a row to the cross-region listing of a Volcengine instance, and sends it as it stands.
    pub fn add_volcengine_cross_region_row(&self, instance: &str, row: Value) -> bool {
        self.shared
            .state()
            .world
            .add_cross_region_row(instance, row)
    }

    /// Adds a row to the local listing of an instance.
    pub fn add_local_set(&self, instance: &str, set: LocalSet) -> bool {
        self.shared.state().world.add_local_set(instance, set)
    }

    /// Adds a row to the cross-region listing of an instance.
    pub fn add_cross_region_set(&self, instance: &str, set: CrossRegionSet) -> bool {
        self.shared
            .state()
            .world
            .add_cross_region_set(instance, set)
    }

    /// Makes the scheduled backup fail whose slot contains `at`; on an instance without a schedule
    /// a failed set appears at that moment.
    pub fn fail_backup(&self, instance: &str, at: DateTime<Utc>) -> bool {
        self.shared.state().world.fail_backup(instance, at)
    }

    /// Scheduled backups that end from now on are not copied.
    pub fn stop_copies(&self, instance: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.stop_copies(instance, now)
    }

    /// Scheduled backups that end from now on are copied again; those in between never are.
    pub fn resume_copies(&self, instance: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.resume_copies(instance, now)
    }

    /// Scheduled backups that start from then on are like this; `from` may lie in the past.
    pub fn begin_quirk(&self, instance: &str, quirk: Quirk, from: DateTime<Utc>) -> bool {
        self.shared.state().world.begin_quirk(instance, quirk, from)
    }

    /// Scheduled backups that start from now on are not like this any more; those in between stay.
    pub fn end_quirk(&self, instance: &str, quirk: Quirk) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.end_quirk(instance, quirk, now)
    }

    /// No log backup of the instance is made from now on.
    pub fn stop_logs(&self, instance: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.stop_logs(instance, now)
    }

    /// Log backups are made again from now on; the gap stays.
    pub fn resume_logs(&self, instance: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.resume_logs(instance, now)
    }

    /// Log backups that hold anything of the time from `from` to `to` were never copied to another
    /// region, which leaves a hole. Those at home are not concerned.
    pub fn lose_logs(&self, instance: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        self.shared.state().world.lose_logs(instance, from, to)
    }

    /// Switches the cross-region policy of an instance off: what ends from now on is not copied,
    /// and the copies that exist stay. Huawei deletes those of log backups at once.
    pub fn switch_policy_off(&self, instance: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.switch_policy_off(instance, now)
    }

    /// Switches the policy on again; what ended in between is never copied. An instance without a
    /// destination has no policy, and stays so.
    pub fn switch_policy_on(&self, instance: &str) -> bool {
        let now = self.shared.clock.world();
        self.shared.state().world.switch_policy_on(instance, now)
    }

    /// Switches one destination of an instance off, while the others stay as they are.
    pub fn switch_destination_off(&self, instance: &str, region: &str) -> bool {
        let now = self.shared.clock.world();
        let mut state = self.shared.state();
        state.world.switch_destination_off(instance, region, now)
    }

    /// Switches one destination on again; what ended in between is never copied there.
    pub fn switch_destination_on(&self, instance: &str, region: &str) -> bool {
        let now = self.shared.clock.world();
        let mut state = self.shared.state();
        state.world.switch_destination_on(instance, region, now)
    }

    /// What ended after `until` is no longer copied to a region, and the copies that are there stay. Policies go on naming
    /// it as switched off, or name it no more.
    pub fn leave_destination(
        &self,
        instance: &str,
        region: &str,
        until: DateTime<Utc>,
        is_named: bool,
    ) -> bool {
        let mut state = self.shared.state();
        let left = (until, is_named);
        state.world.leave_destination(instance, region, left)
    }

    /// Copies an instance to another region as well, `lag` after each local backup.
    pub fn add_destination(&self, instance: &str, region: &str, lag: Duration) -> bool {
        let destination = Destination {
            region: region.to_owned(),
            lag,
            until: None,
            is_named: false,
        };
        self.shared
            .state()
            .world
            .add_destination(instance, destination)
    }

    /// Nothing has been written to the database since then, so that its log backups hold nothing
    /// newer; `None` ends that.
    pub fn set_idle(&self, instance: &str, since: Option<DateTime<Utc>>) -> bool {
        self.shared.state().world.set_idle(instance, since)
    }

    /// What there really is of an instance now, whatever answers say; nothing of one that was removed.
    pub fn truth(&self, instance: &str) -> Option<Truth> {
        let now = self.shared.clock.world();
        self.shared.state().world.truth(instance, now)
    }

    /// Answers one request without a socket, for tests whose time is simulated. It is counted and
    /// recorded like any other. Names of headers are given in any case; `host` is not added.
    pub fn ask(
        &self,
        vendor: Vendor,
        method: &str,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Undelivered> {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        let headers = headers.iter();
        let received = Received {
            at: self.shared.clock.now(),
            world: self.shared.clock.world(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned()))
                .collect(),
            body: Bytes::copy_from_slice(body),
        };
        match server::exchange(&self.shared, face(vendor), &received) {
            Delivery::Whole(reply) => Ok(reply.into()),
            Delivery::Late(reply, wait) => Err(Undelivered::Late(reply.into(), wait)),
            Delivery::Half(reply) => Err(Undelivered::Half(reply.into())),
            Delivery::Huge(reply, length) => Err(Undelivered::Huge(reply.into(), length)),
            Delivery::Never => Err(Undelivered::Never),
            Delivery::Reset => Err(Undelivered::Reset),
        }
    }

    /// Puts a fault in force, after those that are.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.inject(fault);
    }

    /// Which fault, counted from 0, the last request used up; nothing where none had its last time.
    pub fn spent_fault(&self) -> Option<usize> {
        self.shared.state().faults.spent()
    }

    /// Ends all faults, those of the scenario too. An answer that is already held back stays so.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// Requests in the order in which they were read; of more than 10 000 the newest.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().journal.requests()
    }

    /// How many requests there were for an operation.
    pub fn request_count(&self, operation: &str) -> usize {
        self.shared.state().journal.count(operation)
    }

    /// Remembers no more than the newest requests from now on, where nobody will ask for them.
    pub fn keep_requests(&self, newest: usize) {
        self.shared.state().journal.keep(newest);
    }

    /// Forgets requests and counts. What was unexpected stays, so that a test can ask for it at its
    /// end.
    pub fn clear_requests(&self) {
        let mut state = self.shared.state();
        state.journal.clear();
        self.shared.recorded.send_replace(0);
    }

    /// Waits until there are `count` requests, counted like [`Cloud::requests`].
    pub async fn wait_for_requests(&self, count: usize) {
        let mut recorded = self.shared.recorded.subscribe();
        // The sender lives in `shared`, so the wait cannot fail.
        let _ = recorded.wait_for(|recorded| *recorded >= count).await;
    }

    /// Waits until there are `count` requests for an operation, counted like
    /// [`Cloud::request_count`].
    pub async fn wait_for_operation(&self, operation: &str, count: usize) {
        let mut recorded = self.shared.recorded.subscribe();
        while self.request_count(operation) < count {
            // As above.
            let _ = recorded.changed().await;
        }
    }

    /// Requests that break a documented rule, one sentence each: unknown operations, missing
    /// parameters, bad page sizes and time forms, bad signatures, reused nonces.
    pub fn unexpected(&self) -> Vec<String> {
        self.shared.state().journal.unexpected()
    }

    /// Gives a key another secret. Signatures with the old one are refused, but not counted as
    /// unexpected.
    pub fn set_secret(&self, access_key_id: &str, secret: &str) -> bool {
        self.shared.state().world.set_secret(access_key_id, secret)
    }

    /// Disables a key for good.
    pub fn disable_key(&self, access_key_id: &str) -> bool {
        self.shared.state().world.disable_key(access_key_id)
    }

    /// Adds an account, or replaces the one of its name and the key of its id.
    pub fn add_account(&self, account: &Account) {
        let now = self.shared.clock.now();
        self.shared.state().world.add_account(account, now);
    }

    /// Gives an account another key, or replaces the key of this id; makes the account if there is
    /// none of this name.
    pub fn add_key(
        &self,
        account: &str,
        access_key_id: &str,
        secret: &str,
        token: Option<SessionToken>,
    ) {
        self.shared
            .state()
            .world
            .add_key(account, access_key_id, secret, token);
    }

    /// Limits how often an account may call each operation in a minute, at Huawei all of them
    /// together; `None` lifts the limit.
    pub fn set_rate_limit(&self, account: &str, per_operation_per_minute: Option<u32>) {
        self.shared
            .state()
            .world
            .set_rate_limit(account, per_operation_per_minute);
    }

    /// The account's policy no longer allows an operation.
    pub fn deny(&self, account: &str, operation: &str) {
        self.shared.state().world.deny(account, operation);
    }

    /// The account's policy allows an operation again.
    pub fn allow(&self, account: &str, operation: &str) {
        self.shared.state().world.allow(account, operation);
    }

    /// The account's policy is limited to single instances or projects: listings of the whole
    /// account are no longer allowed, where a vendor has them. `allow_account_wide` takes it back.
    pub fn deny_account_wide(&self, account: &str) {
        self.deny(account, volcengine::ACCOUNT_WIDE);
    }

    /// The account's policy allows listings of the whole account again.
    pub fn allow_account_wide(&self, account: &str) {
        self.allow(account, volcengine::ACCOUNT_WIDE);
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn face(vendor: Vendor) -> server::Face {
    match vendor {
        Vendor::Alibaba => alibaba::answer,
        Vendor::Huawei => huawei::answer,
        Vendor::Volcengine => volcengine::answer,
    }
}
