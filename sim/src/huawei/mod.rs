//! Huawei Cloud's face: RDS v3 behind its gateway, and what leads to a key for it: the identity
//! service, the token service, the metadata of a machine and the endpoint of pods. All of them are
//! one address, and a region in front of a path stands for that region's own host.
//!
//! ```text
//! route ─> authenticate (sign) ─> quota, project, policy ─> listing · instances · policy · restore
//!    └───> iam · temporary · metadata ─> a key in the world
//! ```
//!
//! The sources disagree in places and are silent in others; each choice is commented where it is
//! made, and README.md lists them.

mod authenticate;
mod iam;
mod instances;
mod listing;
mod memory;
mod metadata;
mod mishap;
mod oddity;
mod parameters;
mod policy;
mod project;
mod refusal;
mod restore;
mod route;
mod rows;
mod sign;
mod site;
mod temporary;
mod verbs;

use serde_json::{Value, json};

use crate::exchange::{Delivery, Exchange, Received, RecordedRequest, Reply, Verdict};
use crate::fault::{FaultKind, Subject};
use crate::scenario::Scenario;
use crate::state::State;
use crate::world::{Account, Vendor};
use parameters::{Parameters, optional};
use project::Found;
use refusal::Refusal;
use route::{Operation, Route};
use site::Site;

pub(crate) use memory::Memory;
pub use memory::Metadata;
pub use oddity::{Oddity, Shape};
pub use project::project_id;
pub use temporary::{id_token, identity_provider, pod_token};

/// Path of the endpoint at which pods get their keys; the vendor states it in an environment
/// variable only.
pub const POD_IDENTITY_PATH: &str = "/pod-identity/credentials";

/// One account of this vendor with one key, and nothing else.
pub fn empty_scenario() -> Scenario {
    Scenario {
        name: "empty-huawei".to_owned(),
        description: "One account without instances".to_owned(),
        accounts: vec![Account {
            name: "test".to_owned(),
            vendor: Vendor::Huawei,
            access_key_id: "HUAWEISIMULATEDTEST1".to_owned(),
            access_key_secret: "SimulatedHuaweiTestSecret000000000000001".to_owned(),
            ..Account::default()
        }],
        ..Scenario::default()
    }
}

/// A request as far as this face understands it.
#[derive(Debug)]
struct Call {
    route: Route,
    parameters: Parameters,
    access_key_id: Option<String>,
    /// Region that was addressed, as far as that is clear before anything is checked.
    region: Option<String>,
    signature_valid: bool,
    request_id: String,
    /// Documented rules that the request breaks without being refused for it.
    breaches: Vec<String>,
    oldest_first: bool,
}

impl Call {
    fn read(state: &mut State, received: &Received) -> Self {
        let route = route::read(&received.method, &received.path);
        let header = received.header("authorization");
        let authorization = header.and_then(sign::authorization);
        let access_key_id = authorization.map(|authorization| authorization.credential);
        let parameters: Parameters = sign::pairs(&received.query, sign::Plus::Blank)
            .into_iter()
            .collect();
        // 32 digits.
        let [high, low] = state.next_request("huawei request");
        let mut call = Self {
            region: None,
            route,
            parameters,
            access_key_id,
            signature_valid: false,
            request_id: format!("{high:016x}{low:016x}"),
            breaches: Vec::new(),
            oldest_first: false,
        };
        call.region = call.addressed(state, received);
        call
    }

    /// The region of the host, else that of the project, else that which is asked about.
    fn addressed(&self, state: &State, received: &Received) -> Option<String> {
        let of_project = || {
            let key = state
                .world
                .key(Vendor::Huawei, self.access_key_id.as_deref()?)?;
            let project = self.project(received)?;
            let found = state
                .huawei
                .projects
                .find(&state.world, &key.account, project)?;
            Some(found.region().to_owned())
        };
        let host = self.route.host_region.clone();
        host.or_else(of_project).or_else(|| {
            let named = optional(&self.parameters, "name")?;
            (self.route.operation == Some(Operation::KeystoneListProjects))
                .then(|| named.to_owned())
        })
    }

    /// The project that is addressed: in the path, else in the header.
    fn project<'a>(&'a self, received: &'a Received) -> Option<&'a str> {
        let in_path = self.route.project.as_deref();
        in_path.or_else(|| received.header("x-project-id"))
    }

    fn operation(&self) -> &'static str {
        self.route.operation.map_or("", Operation::name)
    }

    fn instance(&self) -> Option<&str> {
        let in_path = self.route.instance.as_deref();
        in_path.or_else(|| optional(&self.parameters, "instance_id"))
    }

    fn breach(&mut self, rule: String) {
        self.breaches.push(rule);
    }

    /// As if a row had come in since the page before.
    fn begin_a_row_earlier(&mut self) {
        let Some(offset) = self.parameters.get_mut("offset") else {
            return;
        };
        let row = offset.parse::<u32>().ok();
        if let Some(earlier) = row.and_then(|row| row.checked_sub(1)) {
            *offset = earlier.to_string();
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            operation: Some(self.operation()),
            instance: self.instance(),
            region: self.region.as_deref(),
            access_key: self.access_key_id.as_deref(),
        }
    }

    /// The outcome as the client gets it.
    fn reply(&self, outcome: &Result<Success, Refusal>) -> Reply {
        let (status, mut headers, (kind, body)) = match outcome {
            Ok(success) => {
                let body = match &success.content {
                    Content::Json(answer) => ("application/json", answer.to_string()),
                    Content::Text(text) => ("text/plain", text.clone()),
                };
                (success.status, success.headers.clone(), body)
            }
            Err(refusal) => (
                refusal.status,
                refusal.headers.clone(),
                refusal.body(&self.request_id),
            ),
        };
        headers.push(("content-type", kind.to_owned()));
        headers.push(("x-request-id", self.request_id.clone()));
        Reply {
            status,
            headers,
            body: body.into(),
        }
    }
}

/// An answer without an error.
#[derive(Debug)]
struct Success {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Json(Value),
    Text(String),
}

impl Success {
    fn json(answer: Value) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content: Content::Json(answer),
        }
    }

    fn text(text: String) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content: Content::Text(text),
        }
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Answers a request, or lets the fault in force do so.
pub(crate) fn answer(state: &mut State, received: &Received) -> Exchange {
    let mut call = Call::read(state, received);
    let fault = state.faults.take(&call.subject());
    let asked_for = call.parameters.clone();
    match &fault {
        Some(FaultKind::PageLoop) => {
            call.parameters.insert("offset".to_owned(), "0".to_owned());
        }
        Some(FaultKind::RepeatedRow) => call.begin_a_row_earlier(),
        Some(FaultKind::Huawei(Oddity::OldestFirst)) => call.oldest_first = true,
        _ => {}
    }
    // Also when a fault replaces the outcome: the client's own mistakes are to be seen all the
    // same.
    let outcome = perform(state, received, &mut call, &asked_for);
    let mut breaches = std::mem::take(&mut call.breaches);
    if let Err(refusal) = &outcome {
        breaches.extend(refusal.violation.as_deref().map(str::to_owned));
    }
    let (delivery, code) = match fault {
        None => (
            Delivery::Whole(call.reply(&outcome)),
            outcome.err().map(|refusal| refusal.code),
        ),
        Some(fault) => mishap::deliver(&fault, &call, outcome),
    };
    let status = delivery.status();
    let name = match call.operation() {
        "" => format!("{} {}", received.method, received.path),
        operation => operation.to_owned(),
    };
    let record = RecordedRequest {
        at: received.at,
        vendor: Vendor::Huawei,
        operation: call.operation().to_owned(),
        region: call.region.clone(),
        instance: call.instance().map(str::to_owned),
        access_key_id: call.access_key_id,
        method: received.method.clone(),
        params: asked_for,
        verdict: Verdict { status, code },
        nonce: None,
        signature_valid: call.signature_valid,
    };
    Exchange {
        delivery,
        record,
        violations: breaches
            .into_iter()
            .map(|rule| format!("{name}: {rule}"))
            .collect(),
    }
}

/// What the cloud answers when nothing is wrong with it.
fn perform(
    state: &mut State,
    received: &Received,
    call: &mut Call,
    asked_for: &Parameters,
) -> Result<Success, Refusal> {
    let Some(operation) = call.route.operation else {
        let message = "The API does not exist or has not been published in the environment";
        return Err(Refusal::gateway(404, "APIGW.0101", message).because("there is no such API"));
    };
    let known = operation.parameters();
    for name in asked_for
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
    {
        call.breach(format!("unknown parameter {name:?}"));
    }
    match operation {
        Operation::CreateMetadataToken => metadata::token(state, received, call),
        Operation::GetSecurityKey => metadata::security_key(state, received, call),
        Operation::GetPodIdentityCredentials => temporary::pod_identity(state, received),
        Operation::AssumeAgencyWithOidc => temporary::assume_agency(state, received),
        Operation::CreateTokenWithIdToken => iam::exchange_id_token(state, received),
        Operation::CreateTemporaryAccessKeyByToken => iam::key_for_token(state, received),
        _ => signed(state, received, call, operation),
    }
}

/// An operation that is signed with a key, and counts against the quota of its owner.
fn signed(
    state: &mut State,
    received: &Received,
    call: &mut Call,
    operation: Operation,
) -> Result<Success, Refusal> {
    let account = authenticate::authenticate(state, received, call)?;
    if let Some(limit) = state.world.rate_limit(&account) {
        // One user's calls are counted together, whichever operations they are for.
        let admitted = state.limiter.admit(&account, "", limit, received.at);
        admitted.map_err(|_| refusal::throttled(limit))?;
    }
    let denied = state.world.is_denied(&account, operation.name());
    if let Operation::KeystoneListProjects | Operation::KeystoneListAuthProjects = operation {
        if denied {
            let message =
                "You are not authorized to perform the requested action: identity:list_projects.";
            return Err(Refusal::keystone(403, message));
        }
        for name in ["x-project-id", "x-domain-id"] {
            if received.header(name).is_some() {
                call.breach(format!("header {name} is there"));
            }
        }
        if operation == Operation::KeystoneListProjects {
            return Ok(iam::projects(state, call, &account));
        }
        return Ok(iam::auth_projects(state, call, &account));
    }
    let project = project(state, received, call, &account)?;
    if denied {
        return Err(forbidden());
    }
    let site = Site {
        world: &state.world,
        memory: &state.huawei,
        account: &account,
        region: project.region(),
        has_instances: project.is_of_a_region(),
        now: received.world,
        oldest_first: call.oldest_first,
    };
    database(&site, operation, call).map(Success::json)
}

/// An operation of the database service.
fn database(site: &Site<'_>, operation: Operation, call: &Call) -> Result<Value, Refusal> {
    let parameters = &call.parameters;
    let instance = call.instance().unwrap_or_default();
    match operation {
        Operation::ListBackups => listing::local(site, parameters),
        Operation::ListOffSiteBackups => listing::off_site(site, parameters),
        Operation::ListOffSiteInstances => instances::off_site(site, parameters),
        Operation::ListRestoreTimes => restore::local(site, instance, parameters),
        Operation::ListOffSiteRestoreTimes => restore::off_site(site, instance, parameters),
        Operation::ShowBackupPolicy => policy::local(site, instance),
        Operation::ShowOffSiteBackupPolicy => policy::off_site(site, instance),
        _ => instances::list(site, parameters),
    }
}

/// The project that a call is about. A foreign one and one of another region are the doing of
/// whoever configured the client, so they break no rule.
fn project(
    state: &State,
    received: &Received,
    call: &mut Call,
    account: &str,
) -> Result<Found, Refusal> {
    let Some(id) = call.project(received).map(str::to_owned) else {
        // Without it nothing says whose instances are meant, because the path names no project.
        return Err(refusal::bad_parameter("header x-project-id is missing"));
    };
    if received
        .header("x-project-id")
        .is_some_and(|sent| sent != id)
    {
        call.breach("x-project-id is not the project in the path".to_owned());
    }
    let elsewhere = || {
        let message = format!("The IAM user is not allowed to access the API: project {id}");
        Refusal::gateway(403, "APIGW.0302", message)
    };
    let found = state.huawei.projects.find(&state.world, account, &id);
    let found = found
        .filter(|project| project.enabled)
        .ok_or_else(elsewhere)?;
    match &call.route.host_region {
        Some(host) if host != found.region() => Err(elsewhere()),
        _ => Ok(found),
    }
}

/// The account's policy does not allow the operation.
fn forbidden() -> Refusal {
    refusal::hidden_instance().detail(
        "encoded_authorization_message",
        json!("AQIBIAAAAAD0ZXN0U2ltdWxhdGVk"),
    )
}
