//! Volcengine's own credential chain, in the order of its Python SDK: environment, OIDC, the profile of its command line,
//! the IAM role of the machine.
//!
//! This file knows the order, the token service and the metadata service; `plan` reads what is set up. Only the names of
//! the current SDKs are looked at: the older ones, and those of other tools, are spelled differently and contradict them.

mod plan;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use self::plan::{Plan, Role};
use super::sign;
use crate::clock::Clock;
use crate::config::SecretSource;
use crate::provider::canonical::{self, encode};
use crate::provider::credentials::exchange::{
    Direct, Given, TOKEN_SERVICE_TIMEOUT, accepted, json, send,
};
use crate::provider::credentials::metadata::{Metadata, word};
use crate::provider::credentials::place::{Carry, Place};
use crate::provider::credentials::{Chain, ChainGround, Credential, Fetching, Keys};
use crate::provider::error::VendorWord;
use crate::provider::http::{Answer, HttpClient, Method, Outgoing, authority, path_of};

const METADATA_ENDPOINT: &str = "http://100.96.0.96";
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
const TOKEN_PATH: &str = "/latest/api/token";
const ROLES_PATH: &str = "/volcstack/latest/iam/security_credentials";

/// The SDKs renew keys of the token service so long before they expire, and those of the machine so long.
const MARGIN: Duration = Duration::from_secs(60);
const METADATA_MARGIN: Duration = Duration::from_secs(300);

const STS_VERSION: &str = "2018-01-01";

/// The token service is the same for all regions; its requests are signed for this one.
const STS_REGION: &str = "cn-beijing";

/// Where keys are looked for when the configuration names none.
pub(in crate::provider) fn chain(ground: &ChainGround<'_>) -> Chain {
    let variables = ground.variables();
    let endpoint = ground.metadata_endpoint();
    let carrier = Arc::new(Carrier {
        http: ground.http.clone(),
        clock: ground.clock.clone(),
        metadata: Metadata::new(
            endpoint.unwrap_or_else(|| METADATA_ENDPOINT.to_owned()),
            METADATA_TIMEOUT,
            Direct::beside(ground.http),
        ),
    });
    let settings = plan::Settings::of(ground);
    ground.chain(vec![
        Place::fixed("environment", &carrier, plan::environment(variables)),
        Place::fixed("OIDC", &carrier, plan::oidc(variables, &settings)),
        Place::changing("CLI profile", &carrier, move || plan::cli(&settings)),
        Place::fixed(
            "instance metadata",
            &carrier,
            plan::instance_role(variables),
        ),
    ])
}

/// Carries out what was planned.
#[derive(Debug)]
struct Carrier {
    http: HttpClient,
    clock: Clock,
    metadata: Metadata,
}

impl Carry for Carrier {
    type Plan = Plan;

    fn carry_out<'a>(&'a self, plan: &'a Plan) -> Fetching<'a> {
        Box::pin(async move {
            match plan {
                Plan::Keys(keys) => Ok(keys.clone()),
                Plan::AssumeRole { by, role } => self.assume_role(role, by).await,
                Plan::AssumeRoleWithOidc { role, token_file } => {
                    self.assume_role_with_oidc(role, token_file).await
                }
                Plan::InstanceRole(name) => self.instance_role(name.as_deref()).await,
            }
        })
    }
}

impl Carrier {
    /// Keys for a role that these keys may take.
    async fn assume_role(&self, role: &Role, by: &Credential) -> Result<Keys, String> {
        let operation = "AssumeRole";
        let mut query = parameters(role);
        query.push(("Action", operation.to_owned()));
        query.push(("Version", STS_VERSION.to_owned()));
        let query = canonical::query(&query);
        let mut headers = sign::sign(
            &sign::Request {
                method: "GET",
                path: &format!("{}/", path_of(&role.endpoint)),
                host: &authority(&role.endpoint),
                query: &query,
                content_type: "text/plain",
                body: "",
                region: STS_REGION,
                service: "sts",
                date: self.clock.now(),
            },
            by,
        );
        headers.push(("accept", "application/json".to_owned()));
        let outgoing = Outgoing {
            method: Method::GET,
            url: format!("{}/?{query}", role.endpoint),
            headers,
            body: String::new(),
        };
        self.ask(operation, outgoing).await
    }

    /// Keys for a role that whoever has this token may take. The token is read anew: it is replaced every hour or so.
    async fn assume_role_with_oidc(&self, role: &Role, token_file: &Path) -> Result<Keys, String> {
        let operation = "AssumeRoleWithOIDC";
        let token = SecretSource::File(token_file.to_owned()).read();
        let token = token.map_err(|error| error.to_string())?;
        let mut parameters = parameters(role);
        parameters.push(("OIDCToken", token.expose().to_owned()));
        let outgoing = Outgoing {
            method: Method::POST,
            url: format!(
                "{}/?Action={operation}&Version={STS_VERSION}",
                role.endpoint
            ),
            headers: vec![
                ("accept", "application/json".to_owned()),
                (
                    "content-type",
                    "application/x-www-form-urlencoded".to_owned(),
                ),
            ],
            body: canonical::query(&parameters),
        };
        self.ask(operation, outgoing).await
    }

    async fn ask(&self, operation: &str, outgoing: Outgoing) -> Result<Keys, String> {
        let answer = send(&self.http, outgoing, TOKEN_SERVICE_TIMEOUT).await;
        let keys = answer
            .and_then(accepted)
            .and_then(|answer| assumed(&answer)?.keys(MARGIN, operation));
        keys.map_err(|why| format!("{operation}: {why}"))
    }

    /// Keys of the machine's role. Whether it has one is not known before.
    async fn instance_role(&self, name: Option<&str>) -> Result<Keys, String> {
        let lifetime = ("x-volc-ecs-metadata-token-ttl-seconds", "21600".to_owned());
        let answer = self
            .metadata
            .ask(Method::PUT, TOKEN_PATH, Some(lifetime))
            .await;
        let token = word(&answer.and_then(accepted)?, "token")?;
        let header = || Some(("x-volc-ecs-metadata-token", token.clone()));
        let name = if let Some(name) = name {
            name.to_owned()
        } else {
            let path = format!("{ROLES_PATH}?type=user&format=json");
            first_role(&self.metadata.get(&path, header()).await?)?
        };
        let path = format!("{ROLES_PATH}/{}", encode(&name));
        let answer = self.metadata.get(&path, header()).await?;
        let given: GivenKeys = json(&answer)?;
        let from = format!("the role {name} of the instance metadata service");
        Given::from(given).keys(METADATA_MARGIN, from)
    }
}

fn parameters(role: &Role) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("DurationSeconds", "3600".to_owned()),
        ("RoleSessionName", role.session.clone()),
        ("RoleTrn", role.trn.clone()),
    ];
    parameters.extend(role.policy.clone().map(|policy| ("Policy", policy)));
    parameters
}

/// The roles of the machine are a list in JSON. There may be several, of which the SDKs take the first.
fn first_role(answer: &Answer) -> Result<String, String> {
    let roles: Vec<String> = json(answer)?;
    let is_name = |role: &&str| {
        !role.is_empty() && role.chars().all(|character| character.is_ascii_graphic())
    };
    let first = roles.iter().map(|role| role.trim()).find(is_name);
    first
        .map(str::to_owned)
        .ok_or_else(|| "this machine has no role".to_owned())
}

/// What the token service answers; a refusal may come with status 200.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    response_metadata: Option<Value>,
    result: Option<AssumedResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedResult {
    credentials: GivenKeys,
}

/// Keys as all of Volcengine's services give them, but for the name of the time.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GivenKeys {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    expiration: Option<String>,
    expired_time: Option<String>,
}

fn assumed(answer: &Answer) -> Result<Given, String> {
    let assumed: Assumed = json(answer)?;
    let metadata = assumed.response_metadata.as_ref();
    if let Some(error) = metadata.and_then(|metadata| metadata.get("Error")) {
        let code = error.get("Code").and_then(Value::as_str);
        return Err(match code.and_then(VendorWord::new) {
            Some(code) => code.to_string(),
            None => "refused".to_owned(),
        });
    }
    match assumed.result {
        Some(result) => Ok(result.credentials.into()),
        None => Err("the answer has no keys".to_owned()),
    }
}

impl From<GivenKeys> for Given {
    fn from(keys: GivenKeys) -> Self {
        Self {
            access_key_id: keys.access_key_id,
            access_key_secret: keys.secret_access_key,
            security_token: keys.session_token,
            expires: keys.expiration.or(keys.expired_time),
        }
    }
}
