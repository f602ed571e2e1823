//! Alibaba's token service, version 2015-04-01: keys for a role.
//!
//! `AssumeRole` is signed as the credential SDKs sign it, a `GET` with HMAC-SHA1 (see `rpc`). `AssumeRoleWithOIDC` is not
//! signed: the token is the proof.

use std::path::Path;

use serde::Deserialize;

use super::super::rpc;
use super::MARGIN;
use super::plan::Role;
use crate::clock::Clock;
use crate::config::SecretSource;
use crate::provider::canonical;
use crate::provider::credentials::exchange::{Given, TOKEN_SERVICE_TIMEOUT, accepted, json, send};
use crate::provider::credentials::{Credential, Keys};
use crate::provider::http::{HttpClient, Method, Outgoing};

const VERSION: &str = "2015-04-01";

/// Asks the token service.
#[derive(Debug)]
pub(super) struct Sts {
    http: HttpClient,
    clock: Clock,
}

impl Sts {
    pub(super) fn new(http: HttpClient, clock: Clock) -> Self {
        Self { http, clock }
    }

    /// Keys for a role that these keys may take.
    pub(super) async fn assume_role(&self, role: &Role, by: &Credential) -> Result<Keys, String> {
        let mut parameters = parameters(role);
        parameters.extend(
            role.external_id
                .clone()
                .map(|external_id| ("ExternalId", external_id)),
        );
        parameters.push(("Action", "AssumeRole".to_owned()));
        parameters.push(("Version", VERSION.to_owned()));
        let stamp = rpc::Stamp {
            date: &self.date(),
            nonce: &hex::encode(rand::random::<[u8; 16]>()),
        };
        let query = rpc::signed_query("GET", &parameters, &stamp, by);
        let outgoing = Outgoing {
            method: Method::GET,
            url: format!("{}/?{query}", role.endpoint),
            headers: vec![("accept", "application/json".to_owned())],
            body: String::new(),
        };
        self.ask("AssumeRole", outgoing).await
    }

    /// Keys for a role that whoever has this token may take. The token is read anew: it is replaced every hour or so.
    pub(super) async fn assume_role_with_oidc(
        &self,
        role: &Role,
        provider_arn: &str,
        token_file: &Path,
    ) -> Result<Keys, String> {
        let token = SecretSource::File(token_file.to_owned()).read();
        let token = token.map_err(|error| error.to_string())?;
        let query = canonical::query(&[
            ("Action", "AssumeRoleWithOIDC".to_owned()),
            ("Format", "JSON".to_owned()),
            ("Timestamp", self.date()),
            ("Version", VERSION.to_owned()),
        ]);
        // In the body, and not in the query as the Python SDK does it: an address is logged on its way.
        let mut parameters = parameters(role);
        parameters.push(("OIDCProviderArn", provider_arn.to_owned()));
        parameters.push(("OIDCToken", token.expose().to_owned()));
        let outgoing = Outgoing {
            method: Method::POST,
            url: format!("{}/?{query}", role.endpoint),
            headers: vec![
                ("accept", "application/json".to_owned()),
                (
                    "content-type",
                    "application/x-www-form-urlencoded".to_owned(),
                ),
            ],
            body: canonical::query(&parameters),
        };
        self.ask("AssumeRoleWithOIDC", outgoing).await
    }

    fn date(&self) -> String {
        self.clock.now().format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    async fn ask(&self, operation: &str, outgoing: Outgoing) -> Result<Keys, String> {
        let answer = send(&self.http, outgoing, TOKEN_SERVICE_TIMEOUT).await;
        let given = answer.and_then(accepted).and_then(|answer| {
            let assumed: AssumedRole = json(&answer)?;
            Given::from(assumed.credentials).keys(MARGIN, operation)
        });
        given.map_err(|why| format!("{operation}: {why}"))
    }
}

fn parameters(role: &Role) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("DurationSeconds", role.seconds.to_string()),
        ("RoleArn", role.arn.clone()),
        ("RoleSessionName", role.session.clone()),
    ];
    parameters.extend(role.policy.clone().map(|policy| ("Policy", policy)));
    parameters
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRole {
    credentials: GivenKeys,
}

/// Keys as all of Alibaba's services give them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GivenKeys {
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
    expiration: Option<String>,
}

impl From<GivenKeys> for Given {
    fn from(keys: GivenKeys) -> Self {
        Self {
            access_key_id: keys.access_key_id,
            access_key_secret: keys.access_key_secret,
            security_token: keys.security_token,
            expires: keys.expiration,
        }
    }
}
