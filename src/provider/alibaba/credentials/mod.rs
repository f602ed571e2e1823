//! Alibaba's own credential chain, in the order of its Python and Go SDKs: environment, OIDC (RRSA), the profile of its
//! command line, the profile file, the RAM role of the machine, an address that gives keys.
//!
//! This file knows the order and the metadata service. `plan` reads what is set up, `sts` asks the token service.

mod plan;
mod sts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use self::plan::Plan;
use self::sts::Sts;
use crate::config::Secret;
use crate::provider::canonical::encode;
use crate::provider::credentials::exchange::{Given, TOKEN_SERVICE_TIMEOUT, accepted, json, send};
use crate::provider::credentials::metadata::{Metadata, word};
use crate::provider::credentials::place::{Carry, Place};
use crate::provider::credentials::{Chain, ChainGround, Fetching, Keys, exchange};
use crate::provider::http::{Answer, Method, Outgoing};

const METADATA_ENDPOINT: &str = "http://100.100.100.200";
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
const TOKEN_PATH: &str = "/latest/api/token";
const ROLES_PATH: &str = "/latest/meta-data/ram/security-credentials/";

/// The SDKs call keys stale so long before they expire.
const MARGIN: Duration = Duration::from_secs(15 * 60);

/// Where keys are looked for when the configuration names none.
pub(in crate::provider) fn chain(ground: &ChainGround<'_>) -> Chain {
    let variables = ground.variables();
    let endpoint = ground.metadata_endpoint();
    let carrier = Arc::new(Carrier {
        sts: Sts::new(ground.http.clone(), ground.clock.clone()),
        metadata: Metadata::new(
            endpoint.unwrap_or_else(|| METADATA_ENDPOINT.to_owned()),
            METADATA_TIMEOUT,
            exchange::Direct::beside(ground.http),
        ),
        old_metadata: !variables.is_true("ALIBABA_CLOUD_IMDSV1_DISABLED"),
        direct: exchange::Direct::beside(ground.http),
    });
    let settings = plan::Settings::of(ground);
    let files = settings.clone();
    ground.chain(vec![
        Place::fixed("environment", &carrier, plan::environment(variables)),
        Place::fixed("OIDC", &carrier, plan::oidc(variables, &settings)),
        Place::changing("CLI profile", &carrier, move || plan::cli(&settings)),
        Place::changing("profile file", &carrier, move || plan::profile_file(&files)),
        Place::fixed(
            "instance metadata",
            &carrier,
            plan::instance_role(variables),
        ),
        Place::fixed("credentials URI", &carrier, plan::address(variables)),
    ])
}

/// Carries out what was planned.
#[derive(Debug)]
struct Carrier {
    sts: Sts,
    metadata: Metadata,
    /// Whether the metadata service may be asked without a token.
    old_metadata: bool,
    direct: exchange::Direct,
}

impl Carry for Carrier {
    type Plan = Plan;

    fn carry_out<'a>(&'a self, plan: &'a Plan) -> Fetching<'a> {
        Box::pin(async move {
            match plan {
                Plan::Keys(keys) => Ok(keys.clone()),
                Plan::AssumeRole { by, role } => {
                    let by = self.carry_out(by).await?;
                    self.sts.assume_role(role, &by.credential).await
                }
                Plan::AssumeRoleWithOidc {
                    role,
                    provider_arn,
                    token_file,
                } => {
                    let sts = &self.sts;
                    sts.assume_role_with_oidc(role, provider_arn, token_file)
                        .await
                }
                Plan::InstanceRole(name) => self.instance_role(name.as_deref()).await,
                Plan::Address(uri) => self.address(uri).await,
            }
        })
    }
}

impl Carrier {
    /// Keys of the machine's role. Whether it has one is not known before.
    async fn instance_role(&self, name: Option<&str>) -> Result<Keys, String> {
        let token = match self.metadata_token().await {
            Ok(token) => Some(token),
            Err(_) if self.old_metadata => None,
            Err(why) => return Err(why),
        };
        let header = || {
            let token = token.clone();
            token.map(|token| ("x-aliyun-ecs-metadata-token", token))
        };
        let name = if let Some(name) = name {
            name.to_owned()
        } else {
            let answer = self.metadata.get(ROLES_PATH, header()).await?;
            word(&answer, "name of a role")?
        };
        let path = format!("{ROLES_PATH}{}", encode(&name));
        let answer = self.metadata.get(&path, header()).await?;
        let from = format!("the role {name} of the instance metadata service");
        given(&answer)?.keys(MARGIN, from)
    }

    async fn metadata_token(&self) -> Result<String, String> {
        let lifetime = (
            "x-aliyun-ecs-metadata-token-ttl-seconds",
            "21600".to_owned(),
        );
        let answer = self
            .metadata
            .ask(Method::PUT, TOKEN_PATH, Some(lifetime))
            .await;
        word(&answer.and_then(accepted)?, "token")
    }

    /// Keys from an address, which is a helper on the same machine as a rule: no proxy could reach that.
    async fn address(&self, uri: &Secret) -> Result<Keys, String> {
        let outgoing = Outgoing {
            method: Method::GET,
            url: uri.expose().to_owned(),
            headers: vec![("accept", "application/json".to_owned())],
            body: String::new(),
        };
        let answer = send(self.direct.client()?, outgoing, TOKEN_SERVICE_TIMEOUT).await;
        given(&accepted(answer?)?)?.keys(MARGIN, plan::ADDRESS)
    }
}

/// What the metadata service and the address answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GivenAtOnce {
    code: Option<String>,
    #[serde(flatten)]
    keys: sts::GivenKeys,
}

fn given(answer: &Answer) -> Result<Given, String> {
    let given: GivenAtOnce = json(answer)?;
    match given.code.as_deref() {
        None | Some("Success") => Ok(given.keys.into()),
        Some(_) => Err("the answer says that there are no keys".to_owned()),
    }
}
