//! What is set up for Volcengine's tools: variables and the profiles of its command line. Asks nobody.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::provider::credentials::place::{self, Read, given, keys, needed};
use crate::provider::credentials::variables::Variables;
use crate::provider::credentials::{ChainGround, Credential, Keys, Lack, Lifetime, Outlook};

/// How keys are got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// They are here.
    Keys(Keys),
    /// These keys take a role.
    AssumeRole { by: Credential, role: Role },
    /// Whoever has the token takes a role.
    AssumeRoleWithOidc { role: Role, token_file: PathBuf },
    /// The machine has a role, of this name if it is known.
    InstanceRole(Option<String>),
}

/// The role to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub trn: String,
    pub session: String,
    pub policy: Option<String>,
    /// The token service to ask.
    pub endpoint: String,
}

/// The variables that say how the others are meant.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    profile: Option<String>,
    session: String,
    policy: Option<String>,
    sts_endpoint: Result<String, Lack>,
    cli_file: Result<PathBuf, Lack>,
}

impl Settings {
    pub(super) fn of(ground: &ChainGround<'_>) -> Self {
        let variables = ground.variables();
        let named = match ground.iam_endpoint() {
            Some(endpoint) => Ok(Some(endpoint)),
            None => variables.endpoint("VOLCENGINE_OIDC_STS_ENDPOINT"),
        };
        let cli_file = match variables.get("VOLCENGINE_CLI_CONFIG_FILE") {
            Some(path) => Ok(PathBuf::from(path)),
            None => variables.at_home(".volcengine/config.json"),
        };
        Self {
            profile: variables.get("VOLCENGINE_PROFILE"),
            session: variables
                .get("VOLCENGINE_OIDC_ROLE_SESSION_NAME")
                .unwrap_or_else(|| "cloud-backup-exporter".to_owned()),
            policy: variables.get("VOLCENGINE_OIDC_ROLE_POLICY"),
            sts_endpoint: named.map(|endpoint| {
                endpoint.unwrap_or_else(|| "https://sts.volcengineapi.com".to_owned())
            }),
            cli_file,
        }
    }

    fn role(&self, trn: String) -> Result<Role, Lack> {
        Ok(Role {
            trn,
            session: self.session.clone(),
            policy: self.policy.clone(),
            endpoint: self.sts_endpoint.clone()?,
        })
    }
}

/// Keys in variables.
pub(super) fn environment(variables: Variables<'_>) -> Read<Plan> {
    let name = "VOLCENGINE_ACCESS_KEY";
    let [id, secret] = variables.together([name, "VOLCENGINE_SECRET_KEY"])?;
    let token = variables.get("VOLCENGINE_SESSION_TOKEN");
    let plan = Plan::Keys(keys(id, secret, token, Lifetime::Process));
    Ok((plan, Outlook::Sure(format!("the environment ({name})"))))
}

/// A token in a file, as a cluster mounts it.
pub(super) fn oidc(variables: Variables<'_>, settings: &Settings) -> Read<Plan> {
    let [trn, token_file] =
        variables.together(["VOLCENGINE_OIDC_ROLE_TRN", "VOLCENGINE_OIDC_TOKEN_FILE"])?;
    let words = format!("the OIDC token file {token_file} for role {trn}");
    let plan = Plan::AssumeRoleWithOidc {
        role: settings.role(trn)?,
        token_file: token_file.into(),
    };
    Ok((plan, Outlook::Sure(words)))
}

/// The role of the machine, if it has one.
pub(super) fn instance_role(variables: Variables<'_>) -> Read<Plan> {
    let switch = "VOLCENGINE_ECS_METADATA_DISABLED";
    if variables.is_true(switch) {
        return Err(Lack::absent(format!("{switch} is true")));
    }
    let name = variables.get("VOLCENGINE_ECS_METADATA");
    let words = "the instance metadata service, if this machine has a role";
    Ok((Plan::InstanceRole(name), Outlook::Perhaps(words.to_owned())))
}

/// The profile of the command line that is named in the environment, or that is current, or `default`.
pub(super) fn cli(settings: &Settings) -> Read<Plan> {
    let path = settings.cli_file.as_ref().map_err(Clone::clone)?;
    let file = place::json(path)?;
    let current = given(file.get("current").and_then(Value::as_str));
    let name = settings.profile.clone().or(current);
    let name = name.unwrap_or_else(|| "default".to_owned());
    let place = format!("profile {name:?} of {}", path.display());
    let complain = |why: String| Lack::unusable(format!("{place}: {why}"));
    let found = file.get("profiles").and_then(|all| all.get(&name));
    let found = found.ok_or_else(|| complain("there is no such profile".to_owned()))?;
    // The error of the parser is not repeated, because it quotes what it found.
    let profile = CliProfile::deserialize(found).map_err(|_| {
        complain("a value is of another kind than the command line writes".to_owned())
    })?;
    let mode = given(profile.mode.as_deref()).unwrap_or_else(|| "AK".to_owned());
    let plan = profile.plan(&mode, settings).map_err(complain)?;
    Ok((plan, Outlook::Sure(format!("{place} (mode {mode})"))))
}

/// A profile as the command line writes it. No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CliProfile {
    mode: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
    role_name: Option<String>,
    account_id: Option<String>,
    role_trn: Option<String>,
    oidc_token_file: Option<String>,
    policy: Option<String>,
}

impl CliProfile {
    fn plan(&self, mode: &str, settings: &Settings) -> Result<Plan, String> {
        let role = |trn| settings.role(trn).map_err(Lack::why);
        Ok(match mode.to_ascii_lowercase().as_str() {
            "ak" => Plan::Keys(self.keys(given(self.session_token.as_deref()))?),
            "ststoken" => {
                let token = needed(self.session_token.as_deref(), "session-token")?;
                Plan::Keys(self.keys(Some(token))?)
            }
            "ramrolearn" => {
                let name = needed(self.role_name.as_deref(), "role-name")?;
                let account = needed(self.account_id.as_deref(), "account-id")?;
                Plan::AssumeRole {
                    by: self.keys(None)?.credential,
                    // The variables for OIDC do not speak of this role.
                    role: Role {
                        policy: given(self.policy.as_deref()),
                        ..role(format!("trn:iam::{account}:role/{name}"))?
                    },
                }
            }
            "oidc" => {
                let trn = needed(self.role_trn.as_deref(), "role-trn")?;
                let token_file = needed(self.oidc_token_file.as_deref(), "oidc-token-file")?;
                let policy = given(self.policy.as_deref());
                Plan::AssumeRoleWithOidc {
                    role: Role {
                        policy: policy.or_else(|| settings.policy.clone()),
                        ..role(trn)?
                    },
                    token_file: token_file.into(),
                }
            }
            "ecsrole" => Plan::InstanceRole(Some(needed(self.role_name.as_deref(), "role-name")?)),
            // The others want a person with a browser.
            _ => return Err(format!("the mode {mode:?} is not supported")),
        })
    }

    fn keys(&self, token: Option<String>) -> Result<Keys, String> {
        let id = needed(self.access_key.as_deref(), "access-key")?;
        let secret = needed(self.secret_key.as_deref(), "secret-key")?;
        Ok(keys(id, secret, token, Lifetime::File))
    }
}
