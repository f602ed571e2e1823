//! The first link of Alibaba's own credential chain: the environment variables that its SDKs read.

use crate::config::Secret;
use crate::provider::Environment;
use crate::provider::credentials::Credential;

/// The keys in the environment. An empty variable counts as unset, as in the SDKs; `ALICLOUD_*` is Terraform's.
pub(super) fn from_environment(environment: &Environment) -> Option<Credential> {
    let variable = |name: &str| {
        environment
            .get(name)
            .filter(|value| !value.is_empty())
            .map(|value| Secret::new(value.clone()))
    };
    Some(Credential {
        access_key_id: variable("ALIBABA_CLOUD_ACCESS_KEY_ID")?,
        access_key_secret: variable("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?,
        security_token: variable("ALIBABA_CLOUD_SECURITY_TOKEN"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Option<(&str, &str, Option<&str>)>) {
        let environment: Environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let found = from_environment(&environment);
        let found = found.as_ref().map(|credential| {
            (
                credential.access_key_id.expose(),
                credential.access_key_secret.expose(),
                credential.security_token.as_ref().map(Secret::expose),
            )
        });
        assert_eq!(found, expected, "{variables:?}");
    }

    #[test]
    fn the_environment_needs_an_id_and_a_secret_and_may_add_a_token() {
        let id = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI");
        let secret = ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush");
        check(&[id, secret], Some(("LTAI", "hush", None)));
        check(
            &[id, secret, ("ALIBABA_CLOUD_SECURITY_TOKEN", "CAIS")],
            Some(("LTAI", "hush", Some("CAIS"))),
        );
        check(
            &[id, secret, ("ALIBABA_CLOUD_SECURITY_TOKEN", "")],
            Some(("LTAI", "hush", None)),
        );
        check(&[id], None);
        check(&[id, ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")], None);
        check(&[("ALICLOUD_ACCESS_KEY", "LTAI")], None);
    }
}
