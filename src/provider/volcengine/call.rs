//! The words of each question.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::provider::error::{ListError, Reason};
use crate::provider::pages::{Position, Window};
use crate::provider::{Call, Parameter};
use crate::service::volcengine_redis::INSTANCES;
use crate::target::Target;

/// The largest page that all revisions of the pages allow.
pub(super) const PAGE_SIZE: usize = 100;

/// The two editions of Redis. The vendor takes the first for granted and does not list one with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    Community,
    Enterprise,
}

impl Edition {
    pub(super) const ALL: [Self; 2] = [Self::Community, Self::Enterprise];

    /// Whether this refusal of a list says that there is no such edition here. The enterprise edition is young, and not
    /// sold everywhere. Only the vendor's own code says so: a gateway knows nothing of editions.
    pub(super) fn is_unknown(self, error: &ListError) -> bool {
        let denies = match error.reason {
            Reason::BadRequest | Reason::NotFound | Reason::Unsupported => true,
            Reason::Credentials
            | Reason::Permission
            | Reason::Throttled
            | Reason::Server
            | Reason::Timeout
            | Reason::Network
            | Reason::Malformed => false,
        };
        self == Self::Enterprise && denies && error.code.is_some()
    }

    const fn service_type(self) -> &'static str {
        match self {
            Self::Community => "Basic",
            Self::Enterprise => "Enterprise",
        }
    }
}

/// The question for one page of sets, about one instance or about all of the account in the region.
pub(super) fn sets_page(
    operation: &'static str,
    region: &Arc<str>,
    one: Option<&Target>,
    window: Window,
    position: Position,
) -> Call {
    let time = |time: DateTime<Utc>| Parameter::Text(time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let mut parameters = match one {
        Some(target) => vec![
            ("Scope", Parameter::text("OneInstance")),
            ("InstanceId", Parameter::text(&*target.key.instance_id)),
        ],
        None => vec![("Scope", Parameter::text("AccountInstances"))],
    };
    parameters.extend([
        // The end is a little ahead, so that a set that ends right now is not cut off.
        ("StartTime", time(window.from())),
        ("EndTime", time(window.now + chrono::Duration::minutes(1))),
    ]);
    parameters.extend(page(position));
    Call {
        operation,
        instance: one.map_or_else(all_instances, |target| Arc::clone(&target.key.instance_id)),
        region: Arc::clone(region),
        project: None,
        parameters,
    }
}

/// The question for one page of the instances of a region.
pub(super) fn instances_page(region: &Arc<str>, edition: Edition, position: Position) -> Call {
    let mut parameters = vec![
        ("RegionId", Parameter::text(&**region)),
        ("ServiceType", Parameter::text(edition.service_type())),
    ];
    parameters.extend(page(position));
    Call {
        operation: INSTANCES,
        instance: all_instances(),
        region: Arc::clone(region),
        project: None,
        parameters,
    }
}

/// A question that takes no more than the instance.
pub(super) fn about(target: &Target, operation: &'static str) -> Call {
    let id = &target.key.instance_id;
    Call {
        operation,
        instance: Arc::clone(id),
        region: Arc::clone(&target.key.source_region),
        project: None,
        parameters: vec![("InstanceId", Parameter::text(&**id))],
    }
}

/// The parameters as the body of a request.
pub(super) fn body(parameters: &[(&'static str, Parameter)]) -> String {
    let value = |parameter: &Parameter| match parameter {
        Parameter::Text(text) => Value::from(text.as_str()),
        Parameter::Number(number) => Value::from(*number),
    };
    let members = parameters
        .iter()
        .map(|(name, parameter)| ((*name).to_owned(), value(parameter)));
    Value::Object(members.collect()).to_string()
}

/// Neither comes without the other.
fn page(position: Position) -> [(&'static str, Parameter); 2] {
    [
        ("PageNumber", Parameter::Number(position.page.into())),
        ("PageSize", Parameter::Number(PAGE_SIZE as u64)),
    ]
}

fn all_instances() -> Arc<str> {
    Arc::from("all instances")
}
