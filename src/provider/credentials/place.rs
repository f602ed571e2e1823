//! A source in two steps: reading what is set up makes a plan, and carrying it out makes keys of it.
//!
//! The first step is free and may be taken at any time, to say where keys would come from. The second may ask a service.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::Credential;
use super::chain::{Fetching, Keys, Lack, Lifetime, Outlook, Source};
use super::ini::Ini;
use crate::config::{EndpointTemplate, Secret, read_secrets};

/// What a place says, and what it would give.
pub(in crate::provider) type Read<Plan> = Result<(Plan, Outlook), Lack>;

/// Reads a profile file in the INI format.
pub(in crate::provider) fn ini(path: &Path) -> Result<Ini, Lack> {
    Ini::parse(&text(path)?).map_err(|why| Lack::unusable(format!("{}: {why}", path.display())))
}

/// Reads a profile file in the JSON format.
pub(in crate::provider) fn json(path: &Path) -> Result<Value, Lack> {
    serde_json::from_str(&text(path)?).map_err(|error| {
        let (path, line, column) = (path.display(), error.line(), error.column());
        Lack::unusable(format!("{path}: no JSON at line {line} column {column}"))
    })
}

fn text(path: &Path) -> Result<String, Lack> {
    read_secrets(path).map_err(|error| {
        if error.is_missing() {
            Lack::absent(error.to_string())
        } else {
            Lack::unusable(error.to_string())
        }
    })
}

/// A value of a profile; an empty one counts as none.
pub(in crate::provider) fn given(value: Option<&str>) -> Option<String> {
    value
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

/// A value that a profile cannot do without.
pub(in crate::provider) fn needed(value: Option<&str>, name: &str) -> Result<String, String> {
    given(value).ok_or_else(|| format!("{name} is not set"))
}

/// An address such as `https://sts.example.com`, or without the scheme, as some of the SDKs want it.
pub(in crate::provider) fn endpoint(text: &str, name: &str) -> Result<String, String> {
    let text = text.trim();
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    EndpointTemplate::parse(&url)
        .map(|endpoint| endpoint.for_region(""))
        .map_err(|_| format!("{name} is no address of the form https://host"))
}

/// Keys that are here already.
pub(in crate::provider) fn keys(
    id: String,
    secret: String,
    token: Option<String>,
    lifetime: Lifetime,
) -> Keys {
    Keys {
        credential: Credential {
            access_key_id: Secret::new(id),
            access_key_secret: Secret::new(secret),
            security_token: token.map(Secret::new),
        },
        lifetime,
        from: String::new(),
    }
}

/// Makes keys of a vendor's plans.
pub(in crate::provider) trait Carry:
    fmt::Debug + Send + Sync + 'static
{
    /// What can be read without asking anybody.
    type Plan: Clone + Send + Sync + 'static;

    /// Carries a plan out.
    fn carry_out<'a>(&'a self, plan: &'a Self::Plan) -> Fetching<'a>;
}

/// A place that is read once or each time.
pub(in crate::provider) struct Place<C: Carry> {
    name: &'static str,
    content: Content<C::Plan>,
    carrier: Arc<C>,
}

enum Content<Plan> {
    Fixed(Read<Plan>),
    Changing(Box<dyn Fn() -> Read<Plan> + Send + Sync>),
}

impl<C: Carry> Place<C> {
    /// A place that never changes, such as a variable.
    pub(in crate::provider) fn fixed(
        name: &'static str,
        carrier: &Arc<C>,
        content: Read<C::Plan>,
    ) -> Box<dyn Source> {
        Self::boxed(name, carrier, Content::Fixed(content))
    }

    /// A place that may have changed each time that it is looked at, such as a file.
    pub(in crate::provider) fn changing(
        name: &'static str,
        carrier: &Arc<C>,
        read: impl Fn() -> Read<C::Plan> + Send + Sync + 'static,
    ) -> Box<dyn Source> {
        Self::boxed(name, carrier, Content::Changing(Box::new(read)))
    }

    fn boxed(name: &'static str, carrier: &Arc<C>, content: Content<C::Plan>) -> Box<dyn Source> {
        Box::new(Self {
            name,
            content,
            carrier: Arc::clone(carrier),
        })
    }

    fn read(&self) -> Read<C::Plan> {
        match &self.content {
            Content::Fixed(read) => read.clone(),
            Content::Changing(read) => read(),
        }
    }
}

impl<C: Carry> Source for Place<C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn outlook(&self) -> Result<Outlook, Lack> {
        self.read().map(|(_, outlook)| outlook)
    }

    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async move {
            let (plan, outlook) = self.read().map_err(Lack::why)?;
            let keys = self.carrier.carry_out(&plan).await?;
            Ok(match outlook {
                Outlook::Sure(from) => Keys { from, ..keys },
                // Only the service itself could say what it has given.
                Outlook::Perhaps(_) => keys,
            })
        })
    }
}

impl<C: Carry> fmt::Debug for Place<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was read may be a key.
        formatter.debug_tuple("Place").field(&self.name).finish()
    }
}
