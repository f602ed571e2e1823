//! What is set up for Huawei's tools: variables and the profile file. Asks nobody.

use std::path::PathBuf;

use super::super::endpoint;
use crate::config::Secret;
use crate::provider::credentials::place::{self, Read, given, keys, needed};
use crate::provider::credentials::variables::Variables;
use crate::provider::credentials::{ChainGround, Keys, Lack, Lifetime, Outlook};

/// How keys are got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// They are here.
    Keys(Keys),
    /// Whoever has the token takes an agency.
    AssumeAgency(Agency),
    /// The token of an identity provider is changed into keys.
    Federated(Federation),
    /// The machine has an agency.
    InstanceAgency,
    /// A helper on the node of this pod gives keys.
    PodIdentity { uri: Secret, token_file: PathBuf },
}

/// The agency to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agency {
    pub urn: String,
    /// The identity provider that it trusts.
    pub provider_urn: String,
    pub id_token: IdToken,
    pub session: String,
    pub seconds: u32,
    pub policy: Option<String>,
    pub policy_ids: Vec<String>,
    pub sts_endpoint: String,
}

/// Where the token of an identity provider stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdToken {
    Variable(Secret),
    File(PathBuf),
}

/// An identity provider and its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Federation {
    pub provider_id: String,
    pub token_file: PathBuf,
    pub iam_endpoint: String,
}

/// The variables that say how the others are meant.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// From the configuration.
    configured_iam: Option<String>,
    /// From the environment, else the usual one.
    usual_iam: Result<Option<String>, Lack>,
    region: String,
    profile_file: Result<PathBuf, Lack>,
}

/// Said of the identity of a pod; the address of the helper may hold a password.
pub(super) const POD_IDENTITY: &str = "the pod identity in HC_CONTAINER_CREDENTIALS_FULL_URI";

/// Asked whatever the region, as the SDK does.
const STS_ENDPOINT: &str = "https://sts.cn-north-4.myhuaweicloud.com";

impl Settings {
    pub(super) fn of(ground: &ChainGround<'_>) -> Self {
        let variables = ground.variables();
        let profile_file = match variables.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE") {
            Some(path) => Ok(PathBuf::from(path)),
            None => variables.at_home(".huaweicloud/credentials"),
        };
        Self {
            configured_iam: ground.iam_endpoint(),
            usual_iam: variables.endpoint("HUAWEICLOUD_SDK_IAM_ENDPOINT"),
            region: ground.region().to_owned(),
            profile_file,
        }
    }

    /// The IAM to ask: what the configuration names, else the profile, else the environment, else that of the region.
    fn iam_endpoint(&self, of_profile: Option<String>) -> Result<String, Lack> {
        if let Some(endpoint) = self.configured_iam.clone().or(of_profile) {
            return Ok(endpoint);
        }
        let usual = self.usual_iam.clone()?;
        Ok(usual.unwrap_or_else(|| endpoint::iam(&self.region)))
    }

    fn federation(
        &self,
        provider_id: String,
        token_file: String,
        iam_of_profile: Option<String>,
    ) -> Result<Plan, Lack> {
        Ok(Plan::Federated(Federation {
            provider_id,
            token_file: token_file.into(),
            iam_endpoint: self.iam_endpoint(iam_of_profile)?,
        }))
    }
}

/// A token of an identity provider, for the token service.
pub(super) fn oidc(variables: Variables<'_>) -> Read<Plan> {
    let [provider_urn, agency_urn] = variables.together([
        "HUAWEICLOUD_OIDC_PROVIDER_URN",
        "HUAWEICLOUD_OIDC_AGENCY_URN",
    ])?;
    let file = variables.get("HUAWEICLOUD_OIDC_TOKEN_FILE");
    let (id_token, place) = match (variables.secret("HUAWEICLOUD_OIDC_ID_TOKEN"), file) {
        (Some(token), _) => (
            IdToken::Variable(token),
            "the OIDC token in HUAWEICLOUD_OIDC_ID_TOKEN".to_owned(),
        ),
        (None, Some(file)) => {
            let place = format!("the OIDC token file {file}");
            (IdToken::File(file.into()), place)
        }
        (None, None) => {
            let why = "neither HUAWEICLOUD_OIDC_ID_TOKEN nor HUAWEICLOUD_OIDC_TOKEN_FILE is set";
            return Err(Lack::unusable(why));
        }
    };
    let seconds = "HUAWEICLOUD_OIDC_DURATION_SECONDS";
    let seconds = match variables.get(seconds).map(|text| text.trim().parse()) {
        None => 3600,
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => return Err(Lack::unusable(format!("{seconds} is no number"))),
    };
    let policy_ids = variables.get("HUAWEICLOUD_OIDC_POLICY_IDS");
    let policy_ids = policy_ids.as_deref().unwrap_or_default().split(',');
    let words = format!("{place} for agency {agency_urn}");
    let plan = Plan::AssumeAgency(Agency {
        urn: agency_urn,
        provider_urn,
        id_token,
        session: variables
            .get("HUAWEICLOUD_OIDC_SESSION_NAME")
            .unwrap_or_else(|| "cloud-backup-exporter".to_owned()),
        seconds,
        policy: variables.get("HUAWEICLOUD_OIDC_POLICY"),
        policy_ids: policy_ids.filter_map(|id| given(Some(id))).collect(),
        sts_endpoint: variables
            .endpoint("HUAWEICLOUD_SDK_STS_ENDPOINT")?
            .unwrap_or_else(|| STS_ENDPOINT.to_owned()),
    });
    Ok((plan, Outlook::Sure(words)))
}

/// An identity provider in variables, else keys in variables.
pub(super) fn environment(variables: Variables<'_>, settings: &Settings) -> Read<Plan> {
    let provider = ["HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE"];
    let federation = variables.together(provider);
    if let Ok([provider_id, token_file]) = federation {
        let words = format!("the OIDC token file {token_file} for provider {provider_id}");
        let plan = settings.federation(provider_id, token_file, None)?;
        return Ok((plan, Outlook::Sure(words)));
    }
    let name = "HUAWEICLOUD_SDK_AK";
    match (variables.together([name, "HUAWEICLOUD_SDK_SK"]), federation) {
        (Ok([id, secret]), _) => {
            let token = variables.get("HUAWEICLOUD_SDK_SECURITY_TOKEN");
            let plan = Plan::Keys(keys(id, secret, token, Lifetime::Process));
            Ok((plan, Outlook::Sure(format!("the environment ({name})"))))
        }
        // Half a provider tells more than no keys.
        (Err(Lack::Absent(_)), Err(half @ Lack::Unusable(_))) => Err(half),
        (Err(lack), _) => Err(lack),
    }
}

/// The section `[basic]` of the profile file.
pub(super) fn profile_file(settings: &Settings) -> Read<Plan> {
    let path = settings.profile_file.as_ref().map_err(Clone::clone)?;
    let place = format!("section \"basic\" of {}", path.display());
    let complain = |why: String| Lack::unusable(format!("{place}: {why}"));
    let ini = place::ini(path)?;
    let section = ini
        .section("basic")
        .ok_or_else(|| complain("there is no such section".to_owned()))?;
    let value = |name: &str| given(section.get(name));
    let plan =
        if let (Some(provider_id), Some(token_file)) = (value("idp_id"), value("id_token_file")) {
            let iam_endpoint = value("iam_endpoint")
                .map(|text| place::endpoint(&text, "iam_endpoint"))
                .transpose()
                .map_err(complain)?;
            settings.federation(provider_id, token_file, iam_endpoint)?
        } else {
            let need = |name: &str| needed(section.get(name), name).map_err(complain);
            let token = value("security_token");
            Plan::Keys(keys(need("ak")?, need("sk")?, token, Lifetime::File))
        };
    Ok((plan, Outlook::Sure(place)))
}

/// The agency of the machine, if it has one.
pub(super) fn instance_agency() -> (Plan, Outlook) {
    let words = "the instance metadata service, if this machine has an agency";
    (Plan::InstanceAgency, Outlook::Perhaps(words.to_owned()))
}

/// The identity of a pod.
pub(super) fn pod_identity(variables: Variables<'_>) -> Read<Plan> {
    let [uri, token_file] = variables.together([
        "HC_CONTAINER_CREDENTIALS_FULL_URI",
        "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ])?;
    let plan = Plan::PodIdentity {
        uri: Secret::new(uri),
        token_file: token_file.into(),
    };
    Ok((plan, Outlook::Sure(POD_IDENTITY.to_owned())))
}
