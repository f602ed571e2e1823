//! Volcengine's face.

use crate::exchange::{Delivery, Exchange, Received, RecordedRequest, Reply, Verdict};
use crate::state::State;
use crate::world::Vendor;

/// Answers a request, or lets the fault in force do so.
pub(crate) fn answer(_state: &mut State, received: &Received) -> Exchange {
    Exchange {
        delivery: Delivery::Whole(Reply {
            status: 404,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        }),
        record: RecordedRequest {
            at: received.at,
            vendor: Vendor::Volcengine,
            operation: String::new(),
            region: None,
            instance: None,
            access_key_id: None,
            method: received.method.clone(),
            params: std::collections::BTreeMap::new(),
            verdict: Verdict {
                status: Some(404),
                code: None,
            },
            nonce: None,
            signature_valid: false,
        },
        violations: vec![format!("{} has no face yet", received.path)],
    }
}

/// Name by which the permission to list a whole account is denied.
pub(crate) const ACCOUNT_WIDE: &str = "Scope=AccountInstances";

/// Full name of a role.
pub fn role_trn(account: &str, role: &str) -> String {
    let number = 2_100_000_000 + crate::world::draw(account, 0, "account number") % 100_000_000;
    format!("trn:iam::{number}:role/{role}")
}
