//! Huawei's own credential chain, in the order of its Python SDK: OIDC with the token service, environment, profile file,
//! the agency of the machine, the identity of a pod.
//!
//! This file knows the order and the services; `plan` reads what is set up.

mod plan;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use self::plan::{Agency, Federation, IdToken, Plan};
use crate::config::{Secret, SecretSource};
use crate::provider::credentials::exchange::{self, Given, TOKEN_SERVICE_TIMEOUT, accepted, send};
use crate::provider::credentials::metadata::{Metadata, word};
use crate::provider::credentials::place::{Carry, Place};
use crate::provider::credentials::{Chain, ChainGround, Fetching, Keys};
use crate::provider::http::{Answer, HttpClient, Method, Outgoing};

const METADATA_ENDPOINT: &str = "http://169.254.169.254";
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
const TOKEN_PATH: &str = "/meta-data/latest/api/token";
const KEYS_PATH: &str = "/openstack/latest/securitykey";

/// Said with a 401 by a machine that has no agency; any other 401 is about the token.
const NO_AGENCY: &[u8] = b"Please configure Cloud Service Agency first";

const POD_IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// The SDKs renew keys so long before they expire.
const MARGIN: Duration = Duration::from_secs(40 * 60);

/// What the SDKs ask for when they change a token into keys.
const FEDERATED_SECONDS: u32 = 6 * 3600;

/// Where keys are looked for when the configuration names none.
pub(in crate::provider) fn chain(ground: &ChainGround<'_>) -> Chain {
    let variables = ground.variables();
    let endpoint = ground.metadata_endpoint();
    let carrier = Arc::new(Carrier {
        http: ground.http.clone(),
        metadata: Metadata::new(
            endpoint.unwrap_or_else(|| METADATA_ENDPOINT.to_owned()),
            METADATA_TIMEOUT,
            exchange::Direct::beside(ground.http),
        ),
        direct: exchange::Direct::beside(ground.http),
    });
    let settings = plan::Settings::of(ground);
    ground.chain(vec![
        Place::fixed("OIDC", &carrier, plan::oidc(variables)),
        Place::fixed(
            "environment",
            &carrier,
            plan::environment(variables, &settings),
        ),
        Place::changing("profile file", &carrier, move || {
            plan::profile_file(&settings)
        }),
        Place::fixed("instance metadata", &carrier, Ok(plan::instance_agency())),
        Place::fixed("pod identity", &carrier, plan::pod_identity(variables)),
    ])
}

/// Carries out what was planned.
#[derive(Debug)]
struct Carrier {
    http: HttpClient,
    metadata: Metadata,
    direct: exchange::Direct,
}

impl Carry for Carrier {
    type Plan = Plan;

    fn carry_out<'a>(&'a self, plan: &'a Plan) -> Fetching<'a> {
        Box::pin(async move {
            match plan {
                Plan::Keys(keys) => Ok(keys.clone()),
                Plan::AssumeAgency(agency) => self.assume_agency(agency).await,
                Plan::Federated(federation) => self.federated(federation).await,
                Plan::InstanceAgency => self.instance_agency().await,
                Plan::PodIdentity { uri, token_file } => self.pod_identity(uri, token_file).await,
            }
        })
    }
}

impl Carrier {
    /// Keys for an agency that whoever has this token may take.
    async fn assume_agency(&self, agency: &Agency) -> Result<Keys, String> {
        let token = match &agency.id_token {
            IdToken::Variable(token) => token.clone(),
            IdToken::File(path) => read_token(path)?,
        };
        let mut body = json!({
            "provider_urn": agency.provider_urn,
            "agency_urn": agency.urn,
            "agency_session_name": agency.session,
            "id_token": token.expose(),
            "duration_seconds": agency.seconds,
        });
        if let Some(policy) = &agency.policy {
            body["policy"] = policy.as_str().into();
        }
        if !agency.policy_ids.is_empty() {
            body["policy_ids"] = agency.policy_ids.clone().into();
        }
        let url = format!("{}/v5/agencies/assume-with-oidc", agency.sts_endpoint);
        let answer = self.post(url, body.to_string(), None).await;
        answer
            .and_then(|answer| given(&answer)?.keys(MARGIN, "assume-with-oidc"))
            .map_err(|why| format!("assume-with-oidc: {why}"))
    }

    /// Changes the token of an identity provider into one of Huawei's, and that into keys.
    async fn federated(&self, federation: &Federation) -> Result<Keys, String> {
        let token = read_token(&federation.token_file)?;
        let body = json!({"auth": {"id_token": {"id": token.expose()}}});
        let url = format!("{}/v3.0/OS-AUTH/id-token/tokens", federation.iam_endpoint);
        let provider = ("x-idp-id", federation.provider_id.clone());
        let answer = self.post(url, body.to_string(), Some(provider)).await;
        let token = answer
            .and_then(|answer| {
                let token = answer.headers.get("x-subject-token");
                let token = token.and_then(|token| token.to_str().ok());
                token
                    .map(str::to_owned)
                    .ok_or_else(|| "the answer has no token".to_owned())
            })
            .map_err(|why| format!("OS-AUTH/id-token/tokens: {why}"))?;

        let body = json!({"auth": {"identity": {
            "methods": ["token"],
            "token": {"id": token, "duration_seconds": FEDERATED_SECONDS},
        }}});
        let url = format!(
            "{}/v3.0/OS-CREDENTIAL/securitytokens",
            federation.iam_endpoint
        );
        let answer = self.post(url, body.to_string(), None).await;
        answer
            .and_then(|answer| given(&answer)?.keys(MARGIN, "securitytokens"))
            .map_err(|why| format!("OS-CREDENTIAL/securitytokens: {why}"))
    }

    async fn post(
        &self,
        url: String,
        body: String,
        header: Option<(&'static str, String)>,
    ) -> Result<Answer, String> {
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("content-type", "application/json;charset=UTF-8".to_owned()),
        ];
        headers.extend(header);
        let outgoing = Outgoing {
            method: Method::POST,
            url,
            headers,
            body,
        };
        let answer = send(&self.http, outgoing, TOKEN_SERVICE_TIMEOUT).await;
        answer.and_then(accepted)
    }

    /// Keys of the machine's agency. Whether it has one is not known before.
    async fn instance_agency(&self) -> Result<Keys, String> {
        let token = self.metadata_token().await?;
        let mut answer = self.ask_for_keys(token).await?;
        if answer.status == 401 && !contains(&answer.body, NO_AGENCY) {
            // The token has been spent; there has to be one now.
            let token = self.metadata_token().await?;
            answer = self.ask_for_keys(token).await?;
        }
        let from = "the agency of the instance metadata service";
        given(&accepted(answer)?)?.keys(MARGIN, from)
    }

    async fn ask_for_keys(&self, token: Option<String>) -> Result<Answer, String> {
        let header = token.map(|token| ("x-metadata-token", token));
        self.metadata.ask(Method::GET, KEYS_PATH, header).await
    }

    /// A token; `None` where the service is of the first version, which knows none.
    async fn metadata_token(&self) -> Result<Option<String>, String> {
        let lifetime = ("x-metadata-token-ttl-seconds", "21600".to_owned());
        let answer = self.metadata.ask(Method::PUT, TOKEN_PATH, Some(lifetime));
        match answer.await? {
            Answer {
                status: 404 | 405 | 503,
                ..
            } => Ok(None),
            answer => word(&accepted(answer)?, "token").map(Some),
        }
    }

    /// Keys for the service account of a pod, from a helper on its node: no proxy could reach that.
    async fn pod_identity(&self, uri: &Secret, token_file: &Path) -> Result<Keys, String> {
        let outgoing = Outgoing {
            method: Method::POST,
            url: uri.expose().to_owned(),
            headers: vec![
                ("accept", "application/json".to_owned()),
                ("authorization", read_token(token_file)?.expose().to_owned()),
                ("content-type", "application/json".to_owned()),
            ],
            body: "{}".to_owned(),
        };
        let answer = send(self.direct.client()?, outgoing, POD_IDENTITY_TIMEOUT).await;
        given(&accepted(answer?)?)?.keys(MARGIN, plan::POD_IDENTITY)
    }
}

fn read_token(path: &Path) -> Result<Secret, String> {
    let token = SecretSource::File(path.to_owned()).read();
    token.map_err(|error| error.to_string())
}

fn contains(body: &[u8], words: &[u8]) -> bool {
    body.windows(words.len()).any(|window| window == words)
}

/// Each of the services has its own name for the whole and for its parts.
#[derive(Deserialize)]
struct GivenBySomebody {
    #[serde(alias = "credentials")]
    credential: Option<GivenKeys>,
    #[serde(flatten)]
    at_the_top: GivenKeys,
}

#[derive(Default, Deserialize)]
struct GivenKeys {
    #[serde(alias = "accessKeyId", alias = "access_key_id")]
    access: Option<String>,
    #[serde(alias = "secretAccessKey", alias = "secret_access_key")]
    secret: Option<String>,
    #[serde(alias = "securityToken", alias = "security_token")]
    securitytoken: Option<String>,
    #[serde(alias = "expiration")]
    expires_at: Option<String>,
}

fn given(answer: &Answer) -> Result<Given, String> {
    let given: GivenBySomebody = exchange::json(answer)?;
    let keys = given.credential.unwrap_or(given.at_the_top);
    Ok(Given {
        access_key_id: keys.access,
        access_key_secret: keys.secret,
        security_token: keys.securitytoken,
        expires: keys.expires_at,
    })
}
