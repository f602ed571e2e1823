//! What a machine learns about itself at the metadata address, spelled as this vendor does.

use std::time::Duration;

use serde_json::json;

use super::token_service::{KEY_PREFIX, spell};
use crate::exchange::{Exchange, Received, Reply};
use crate::metadata::{self, Refused, Service};
use crate::query;
use crate::state::State;
use crate::world::{IssuedKey, MetadataMode, Vendor};

const SERVICE: Service = Service {
    vendor: Vendor::Volcengine,
    token_path: "/latest/api/token",
    lifetime_header: "x-volc-ecs-metadata-token-ttl-seconds",
    token_header: "x-volc-ecs-metadata-token",
    directory: "/volcstack/latest/iam/security_credentials",
    usual_mode: MetadataMode::TokenRequired,
    key_prefix: KEY_PREFIX,
    key_lifetime: Duration::from_secs(6 * 3600),
    roles,
    credentials,
};

/// Answers a request to the metadata address; nothing if it is for another service.
pub(super) fn answer(state: &mut State, received: &Received) -> Option<Exchange> {
    metadata::answer(&SERVICE, state, received)
}

/// The machine's roles as JSON, if that is asked for, and as lines otherwise. Without a role the
/// list is empty.
fn roles(role: Option<&str>, received: &Received) -> Result<Reply, Refused> {
    let asked = query::pairs(&received.query);
    let is = |name: &str, value: &str| {
        asked
            .iter()
            .any(|(given, with)| given == name && with == value)
    };
    if !is("type", "user") {
        return Err(Refused::client(400, "type=user is missing"));
    }
    Ok(if is("format", "json") {
        metadata::json(&json!(role.into_iter().collect::<Vec<_>>()))
    } else {
        metadata::text(200, role.unwrap_or_default())
    })
}

fn credentials(key: &IssuedKey) -> Reply {
    metadata::json(&json!({
        "CurrentTime": spell(key.issued),
        "ExpiredTime": spell(key.expires),
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.token,
    }))
}
