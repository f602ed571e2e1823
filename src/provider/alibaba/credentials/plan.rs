//! What is set up for Alibaba's tools: variables, the profiles of its command line, the profile file. Asks nobody.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::config::Secret;
use crate::provider::credentials::ini::Ini;
use crate::provider::credentials::place::{self, Read, given, keys, needed};
use crate::provider::credentials::variables::Variables;
use crate::provider::credentials::{ChainGround, Keys, Lack, Lifetime, Outlook};

/// How keys are got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// They are here.
    Keys(Keys),
    /// These keys take a role.
    AssumeRole { by: Box<Self>, role: Role },
    /// Whoever has the token takes a role.
    AssumeRoleWithOidc {
        role: Role,
        provider_arn: String,
        token_file: PathBuf,
    },
    /// The machine has a role, of this name if it is known.
    InstanceRole(Option<String>),
    /// An address gives keys. It may hold a password.
    Address(Secret),
}

/// The role to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub arn: String,
    pub session: String,
    pub seconds: u64,
    pub policy: Option<String>,
    pub external_id: Option<String>,
    /// The token service to ask.
    pub endpoint: String,
}

/// The variables that say how the others are meant.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    profile: Option<String>,
    session: String,
    /// From the configuration.
    sts_endpoint: Option<String>,
    sts_region: Option<String>,
    sts_in_vpc: bool,
    cli_file: Result<PathBuf, Lack>,
    profile_files: Result<Vec<PathBuf>, Lack>,
}

/// Said of keys from an address; the address itself may hold a password.
pub(super) const ADDRESS: &str = "the address in ALIBABA_CLOUD_CREDENTIALS_URI";

/// An hour; longer would have to be allowed for the role.
const USUAL_SECONDS: u64 = 3600;
const FEWEST_SECONDS: u64 = 900;

/// More sources one upon the other are taken for a circle.
const DEEPEST_SOURCE: usize = 8;

impl Settings {
    pub(super) fn of(ground: &ChainGround<'_>) -> Self {
        let variables = ground.variables();
        let cli_file = if variables.is_true("ALIBABA_CLOUD_CLI_PROFILE_DISABLED") {
            Err(Lack::absent("ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true"))
        } else {
            match variables.get("ALIBABA_CLOUD_CONFIG_FILE") {
                Some(path) => Ok(PathBuf::from(path)),
                None => variables.at_home(".aliyun/config.json"),
            }
        };
        let profile_files = match variables.get("ALIBABA_CLOUD_CREDENTIALS_FILE") {
            Some(path) => Ok(vec![PathBuf::from(path)]),
            // The Go and Node SDKs read the first, the Python SDK the second.
            None => [".alibabacloud/credentials", ".alibabacloud/credentials.ini"]
                .into_iter()
                .map(|path| variables.at_home(path))
                .collect(),
        };
        Self {
            profile: variables.get("ALIBABA_CLOUD_PROFILE"),
            session: variables
                .get("ALIBABA_CLOUD_ROLE_SESSION_NAME")
                .unwrap_or_else(|| "cloud-backup-exporter".to_owned()),
            sts_endpoint: ground.iam_endpoint(),
            sts_region: variables.get("ALIBABA_CLOUD_STS_REGION"),
            sts_in_vpc: variables.is_true("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"),
            cli_file,
            profile_files,
        }
    }

    /// The token service: what the configuration names, else that of a region, else the one for all.
    fn sts_endpoint(&self, region: Option<&str>, in_vpc: Option<bool>) -> String {
        if let Some(endpoint) = &self.sts_endpoint {
            return endpoint.clone();
        }
        match region.or(self.sts_region.as_deref()) {
            Some(region) if in_vpc.unwrap_or(self.sts_in_vpc) => {
                format!("https://sts-vpc.{region}.aliyuncs.com")
            }
            Some(region) => format!("https://sts.{region}.aliyuncs.com"),
            None => "https://sts.aliyuncs.com".to_owned(),
        }
    }

    fn role(&self, arn: String) -> Role {
        Role {
            arn,
            session: self.session.clone(),
            seconds: USUAL_SECONDS,
            policy: None,
            external_id: None,
            endpoint: self.sts_endpoint(None, None),
        }
    }
}

/// Keys in variables. `ALICLOUD_*` is Terraform's, and not looked at.
pub(super) fn environment(variables: Variables<'_>) -> Read<Plan> {
    let name = "ALIBABA_CLOUD_ACCESS_KEY_ID";
    let [id, secret] = variables.together([name, "ALIBABA_CLOUD_ACCESS_KEY_SECRET"])?;
    let token = variables.get("ALIBABA_CLOUD_SECURITY_TOKEN");
    let plan = Plan::Keys(keys(id, secret, token, Lifetime::Process));
    Ok((plan, Outlook::Sure(format!("the environment ({name})"))))
}

/// A token in a file, as a cluster mounts it.
pub(super) fn oidc(variables: Variables<'_>, settings: &Settings) -> Read<Plan> {
    let [arn, provider_arn, token_file] = variables.together([
        "ALIBABA_CLOUD_ROLE_ARN",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    ])?;
    let words = format!("the OIDC token file {token_file} for role {arn}");
    let plan = Plan::AssumeRoleWithOidc {
        role: settings.role(arn),
        provider_arn,
        token_file: token_file.into(),
    };
    Ok((plan, Outlook::Sure(words)))
}

/// The role of the machine, if it has one.
pub(super) fn instance_role(variables: Variables<'_>) -> Read<Plan> {
    let switch = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
    if variables.is_true(switch) {
        return Err(Lack::absent(format!("{switch} is true")));
    }
    let name = variables.get("ALIBABA_CLOUD_ECS_METADATA");
    let words = "the instance metadata service, if this machine has a role";
    Ok((Plan::InstanceRole(name), Outlook::Perhaps(words.to_owned())))
}

/// An address that gives keys.
pub(super) fn address(variables: Variables<'_>) -> Read<Plan> {
    let [uri] = variables.together(["ALIBABA_CLOUD_CREDENTIALS_URI"])?;
    let plan = Plan::Address(Secret::new(uri));
    Ok((plan, Outlook::Sure(ADDRESS.to_owned())))
}

/// The profile of the command line that is named in the environment, or that is current.
pub(super) fn cli(settings: &Settings) -> Read<Plan> {
    let path = settings.cli_file.as_ref().map_err(Clone::clone)?;
    let file = place::json(path)?;
    let current = given(file.get("current").and_then(Value::as_str));
    let Some(name) = settings.profile.as_deref().or(current.as_deref()) else {
        let path = path.display();
        return Err(Lack::unusable(format!("{path} names no current profile")));
    };
    let (plan, mode) = cli_profile(&file, name, settings, DEEPEST_SOURCE)
        .map_err(|why| Lack::unusable(format!("{} of {}: {why}", profile(name), path.display())))?;
    let words = format!("{} of {} (mode {mode})", profile(name), path.display());
    Ok((plan, Outlook::Sure(words)))
}

fn profile(name: &str) -> String {
    format!("profile {name:?}")
}

/// A profile as the command line writes it. No `Debug`: it holds secrets.
#[derive(Deserialize)]
struct CliProfile {
    mode: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    sts_token: Option<String>,
    ram_role_arn: Option<String>,
    ram_session_name: Option<String>,
    role_session_name: Option<String>,
    expired_seconds: Option<u64>,
    policy: Option<String>,
    external_id: Option<String>,
    sts_region: Option<String>,
    enable_vpc: Option<bool>,
    ram_role_name: Option<String>,
    source_profile: Option<String>,
    oidc_provider_arn: Option<String>,
    oidc_token_file: Option<String>,
}

fn cli_profile(
    file: &Value,
    name: &str,
    settings: &Settings,
    deepest: usize,
) -> Result<(Plan, String), String> {
    let profiles = file.get("profiles").and_then(Value::as_array);
    let is_meant = |profile: &&Value| profile.get("name").and_then(Value::as_str) == Some(name);
    let found = profiles.and_then(|profiles| profiles.iter().find(is_meant));
    let found = found.ok_or_else(|| "there is no such profile".to_owned())?;
    // The error of the parser is not repeated, because it quotes what it found.
    let profile = CliProfile::deserialize(found)
        .map_err(|_| "a value is of another kind than the command line writes".to_owned())?;
    let mode = profile.mode.clone().unwrap_or_default();
    let plan = match mode.as_str() {
        "AK" => profile.keys(None)?,
        "StsToken" => {
            let token = needed(profile.sts_token.as_deref(), "sts_token")?;
            profile.keys(Some(token))?
        }
        "RamRoleArn" => Plan::AssumeRole {
            by: Box::new(profile.keys(None)?),
            role: profile.role(settings)?,
        },
        "ChainableRamRoleArn" => {
            let source = needed(profile.source_profile.as_deref(), "source_profile")?;
            let deeper = deepest
                .checked_sub(1)
                .ok_or_else(|| "source_profile leads in a circle".to_owned())?;
            let (by, _) = cli_profile(file, &source, settings, deeper)
                .map_err(|why| format!("its source {}: {why}", self::profile(&source)))?;
            Plan::AssumeRole {
                by: Box::new(by),
                role: profile.role(settings)?,
            }
        }
        "EcsRamRole" => Plan::InstanceRole(given(profile.ram_role_name.as_deref())),
        "OIDC" => Plan::AssumeRoleWithOidc {
            role: profile.role(settings)?,
            provider_arn: needed(profile.oidc_provider_arn.as_deref(), "oidc_provider_arn")?,
            token_file: needed(profile.oidc_token_file.as_deref(), "oidc_token_file")?.into(),
        },
        // The others want a person with a browser, or a program to run.
        _ => return Err(format!("the mode {mode:?} is not supported")),
    };
    Ok((plan, mode))
}

impl CliProfile {
    fn keys(&self, token: Option<String>) -> Result<Plan, String> {
        let id = needed(self.access_key_id.as_deref(), "access_key_id")?;
        let secret = needed(self.access_key_secret.as_deref(), "access_key_secret")?;
        Ok(Plan::Keys(keys(id, secret, token, Lifetime::File)))
    }

    fn role(&self, settings: &Settings) -> Result<Role, String> {
        let arn = needed(self.ram_role_arn.as_deref(), "ram_role_arn")?;
        let session = given(self.ram_session_name.as_deref());
        let session = session.or_else(|| given(self.role_session_name.as_deref()));
        let seconds = match self.expired_seconds {
            None | Some(0) => USUAL_SECONDS,
            Some(seconds @ FEWEST_SECONDS..) => seconds,
            Some(_) => return Err(format!("expired_seconds is below {FEWEST_SECONDS}")),
        };
        let region = given(self.sts_region.as_deref());
        Ok(Role {
            session: session.unwrap_or_else(|| settings.session.clone()),
            seconds,
            policy: given(self.policy.as_deref()),
            external_id: given(self.external_id.as_deref()),
            endpoint: settings.sts_endpoint(region.as_deref(), self.enable_vpc),
            ..settings.role(arn)
        })
    }
}

/// The section of the profile file that is named in the environment, or `default`.
pub(super) fn profile_file(settings: &Settings) -> Read<Plan> {
    let paths = settings.profile_files.as_ref().map_err(Clone::clone)?;
    let mut first_missing = None;
    for path in paths {
        match place::ini(path) {
            Err(Lack::Absent(why)) => {
                first_missing.get_or_insert(why);
            }
            Err(unusable) => return Err(unusable),
            Ok(ini) => return profile_section(path, &ini, settings),
        }
    }
    Err(Lack::absent(first_missing.unwrap_or_default()))
}

fn profile_section(path: &Path, ini: &Ini, settings: &Settings) -> Read<Plan> {
    let name = settings.profile.as_deref().unwrap_or("default");
    let place = format!("section {name:?} of {}", path.display());
    let complain = |why: String| Lack::unusable(format!("{place}: {why}"));
    let section = ini
        .section(name)
        .ok_or_else(|| complain("there is no such section".to_owned()))?;
    // The Python SDK ends a value at `#`.
    let value = |name: &str| given(section.get(name)?.split('#').next());
    let need = |name: &str| needed(value(name).as_deref(), name).map_err(complain);
    let role = |arn| Role {
        session: value("role_session_name").unwrap_or_else(|| settings.session.clone()),
        policy: value("policy"),
        ..settings.role(arn)
    };
    let own_keys = || {
        let (id, secret) = (need("access_key_id")?, need("access_key_secret")?);
        Ok(Plan::Keys(keys(id, secret, None, Lifetime::File)))
    };
    let kind = need("type")?;
    let plan = match kind.as_str() {
        "access_key" => own_keys()?,
        "ram_role_arn" => Plan::AssumeRole {
            by: Box::new(own_keys()?),
            role: role(need("role_arn")?),
        },
        "oidc_role_arn" => Plan::AssumeRoleWithOidc {
            role: role(need("role_arn")?),
            provider_arn: need("oidc_provider_arn")?,
            token_file: need("oidc_token_file_path")?.into(),
        },
        "ecs_ram_role" => Plan::InstanceRole(value("role_name")),
        _ => return Err(complain(format!("the type {kind:?} is not supported"))),
    };
    Ok((plan, Outlook::Sure(format!("{place} (type {kind})"))))
}
