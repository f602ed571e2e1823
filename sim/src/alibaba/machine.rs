//! What a machine learns about itself at the metadata address, spelled as this vendor does, and the
//! address that hands out a key to whoever knows it.

use std::time::Duration;

use serde_json::json;

use super::token_service::{KEY_PREFIX, credentials as spelled, spell};
use crate::exchange::{Exchange, Received, Reply};
use crate::metadata::{self, Refused, Service};
use crate::state::State;
use crate::world::{Issue, IssuedKey, MetadataMode, Vendor};

/// Path of the credentials URI, which hands out a key of the machine's role.
const CREDENTIALS_PATH: &str = "/credentials-uri";

const SERVICE: Service = Service {
    vendor: Vendor::Alibaba,
    token_path: "/latest/api/token",
    lifetime_header: "x-aliyun-ecs-metadata-token-ttl-seconds",
    token_header: "x-aliyun-ecs-metadata-token",
    directory: "/latest/meta-data/ram/security-credentials",
    usual_mode: MetadataMode::TokenOptional,
    key_prefix: KEY_PREFIX,
    key_lifetime: Duration::from_secs(6 * 3600),
    roles,
    credentials,
};

/// Answers a request to one of these addresses; nothing if it is for another service.
pub(super) fn answer(state: &mut State, received: &Received) -> Option<Exchange> {
    if received.path == CREDENTIALS_PATH {
        let operation = "credentials-uri";
        let vendor = Vendor::Alibaba;
        return Some(metadata::exchange(
            vendor,
            operation,
            state,
            received,
            |state| key_of_uri(state, received, operation),
        ));
    }
    metadata::answer(&SERVICE, state, received)
}

fn key_of_uri(state: &mut State, received: &Received, operation: &str) -> Result<Reply, Refused> {
    if received.method != "GET" {
        return Err(Refused::client(
            405,
            format!("method {} instead of GET", received.method),
        ));
    }
    let missing = || Refused::world(404, "no role");
    let role = state.world.machine_role(Vendor::Alibaba);
    let role = role.ok_or_else(missing)?.to_owned();
    let issue = Issue {
        vendor: Vendor::Alibaba,
        role: &role,
        operation,
        prefix: KEY_PREFIX,
        lifetime: SERVICE.key_lifetime,
    };
    let key = state.world.machine_key(&issue, received.at);
    key.map(|key| credentials(&key)).ok_or_else(missing)
}

/// One role at most, by its bare name.
fn roles(role: Option<&str>, _received: &Received) -> Result<Reply, Refused> {
    role.map(|role| metadata::text(200, role))
        .ok_or_else(|| Refused::world(404, "the machine has no role"))
}

fn credentials(key: &IssuedKey) -> Reply {
    let mut body = spelled(key);
    body["Code"] = json!("Success");
    body["LastUpdated"] = json!(spell(key.issued));
    metadata::json(&body)
}
