//! Temporary keys: the roles that stand behind them, whom the cloud believes when it is asked for
//! one, and every key that it has handed out. The vendors' token services and instance metadata
//! read and feed this; how a role, a key or an expiry is spelled is theirs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{SessionToken, Vendor, World, draw};

/// A temporary key that the cloud has handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedKey {
    /// Whose cloud it is for.
    pub vendor: Vendor,
    /// Name of the role that it acts for.
    pub role: String,
    /// What the client called to get it.
    pub operation: String,
    /// Public half of the key.
    pub access_key_id: String,
    /// Secret half of the key.
    pub secret: String,
    /// Session token that goes with it.
    pub token: String,
    /// When it was handed out.
    pub issued: DateTime<Utc>,
    /// When the cloud stops to accept it.
    pub expires: DateTime<Utc>,
}

/// Which callers the instance metadata answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMode {
    /// Those with a token of its own and those without.
    TokenOptional,
    /// Only those with a token.
    TokenRequired,
    /// It is older than its tokens, and hands out none.
    TokenUnknown,
}

/// A key that a face is about to hand out.
#[derive(Debug)]
pub(crate) struct Issue<'a> {
    pub(crate) vendor: Vendor,
    pub(crate) role: &'a str,
    pub(crate) operation: &'a str,
    /// How the vendor's temporary keys begin.
    pub(crate) prefix: &'a str,
    /// What the client asks for; the role may have a lifetime of its own.
    pub(crate) lifetime: Duration,
}

/// What the cloud thinks of somebody else's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OidcVerdict {
    Accepted,
    /// It was accepted once.
    Expired,
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct Issued {
    roles: BTreeMap<(Vendor, String), Role>,
    machines: BTreeMap<Vendor, Machine>,
    keys: VecDeque<IssuedKey>,
    /// Keys and metadata tokens handed out so far, from which the next one is made.
    count: i64,
}

#[derive(Debug)]
struct Role {
    account: String,
    oidc_tokens: BTreeSet<String>,
    former_oidc_tokens: BTreeSet<String>,
    lifetime: Option<Duration>,
}

/// The machine that the exporter runs on, as its vendor's metadata service sees it.
#[derive(Debug, Default)]
struct Machine {
    role: Option<String>,
    mode: Option<MetadataMode>,
    /// Metadata tokens and when they expire.
    tokens: BTreeMap<String, DateTime<Utc>>,
    /// The key that is handed to every caller until it grows old.
    key: Option<IssuedKey>,
}

/// Keys that a test may look back on; a cloud that is watched for days forgets the older ones.
const KEPT: usize = 10_000;

impl World {
    /// Adds a role to an account; answers the account's vendor, or nothing if there is no such
    /// account.
    pub(crate) fn add_role(&mut self, account: &str, name: &str) -> Option<Vendor> {
        let vendor = self.accounts.get(account)?.vendor;
        let role = Role {
            account: account.to_owned(),
            oidc_tokens: BTreeSet::new(),
            former_oidc_tokens: BTreeSet::new(),
            lifetime: None,
        };
        self.issued.roles.insert((vendor, name.to_owned()), role);
        Some(vendor)
    }

    pub(crate) fn remove_role(&mut self, vendor: Vendor, name: &str) -> bool {
        let removed = self.issued.roles.remove(&(vendor, name.to_owned()));
        removed.is_some()
    }

    /// The account of a role.
    pub(crate) fn role_account(&self, vendor: Vendor, name: &str) -> Option<&str> {
        let role = self.issued.roles.get(&(vendor, name.to_owned()))?;
        Some(&role.account)
    }

    /// Makes these the only tokens with which the role can be had.
    pub(crate) fn set_oidc_tokens(&mut self, vendor: Vendor, role: &str, tokens: &[&str]) -> bool {
        let Some(role) = self.role_mut(vendor, role) else {
            return false;
        };
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        let former = std::mem::replace(&mut role.oidc_tokens, tokens);
        role.former_oidc_tokens.extend(former);
        true
    }

    pub(crate) fn judge_oidc_token(&self, vendor: Vendor, role: &str, token: &str) -> OidcVerdict {
        match self.issued.roles.get(&(vendor, role.to_owned())) {
            Some(role) if role.oidc_tokens.contains(token) => OidcVerdict::Accepted,
            Some(role) if role.former_oidc_tokens.contains(token) => OidcVerdict::Expired,
            _ => OidcVerdict::Unknown,
        }
    }

    /// Keys of this role last so long from now on, whatever the client asks for.
    pub(crate) fn set_key_lifetime(
        &mut self,
        vendor: Vendor,
        role: &str,
        lifetime: Option<Duration>,
    ) -> bool {
        let Some(state) = self.role_mut(vendor, role) else {
            return false;
        };
        state.lifetime = lifetime;
        // The machine's key would otherwise outlast the change.
        self.machine_mut(vendor).key = None;
        true
    }

    /// Gives the machine a role, or takes its role away.
    pub(crate) fn set_machine_role(&mut self, vendor: Vendor, role: Option<&str>) -> bool {
        let known = role.is_none_or(|role| self.role_account(vendor, role).is_some());
        if known {
            let machine = self.machine_mut(vendor);
            machine.role = role.map(str::to_owned);
            machine.key = None;
        }
        known
    }

    pub(crate) fn machine_role(&self, vendor: Vendor) -> Option<&str> {
        self.issued.machines.get(&vendor)?.role.as_deref()
    }

    pub(crate) fn set_metadata_mode(&mut self, vendor: Vendor, mode: MetadataMode) {
        self.machine_mut(vendor).mode = Some(mode);
    }

    /// The mode that a test has chosen.
    pub(crate) fn metadata_mode(&self, vendor: Vendor) -> Option<MetadataMode> {
        self.issued.machines.get(&vendor)?.mode
    }

    /// A new token of the metadata service.
    pub(crate) fn issue_metadata_token(
        &mut self,
        vendor: Vendor,
        lifetime: Duration,
        now: DateTime<Utc>,
    ) -> String {
        self.issued.count += 1;
        let token = format!(
            "{:016x}{:016x}==",
            draw("metadata", self.issued.count, "high"),
            draw("metadata", self.issued.count, "low")
        );
        let machine = self.machine_mut(vendor);
        machine.tokens.retain(|_, expires| *expires > now);
        machine.tokens.insert(token.clone(), now + lifetime);
        token
    }

    pub(crate) fn accepts_metadata_token(
        &self,
        vendor: Vendor,
        token: &str,
        now: DateTime<Utc>,
    ) -> bool {
        let expires = self
            .issued
            .machines
            .get(&vendor)
            .and_then(|machine| machine.tokens.get(token));
        expires.is_some_and(|expires| *expires > now)
    }

    /// Hands out a key of a role; nothing if there is no such role.
    pub(crate) fn issue(&mut self, issue: &Issue<'_>, now: DateTime<Utc>) -> Option<IssuedKey> {
        let role = self
            .issued
            .roles
            .get(&(issue.vendor, issue.role.to_owned()))?;
        let account = role.account.clone();
        let lifetime = role.lifetime.unwrap_or(issue.lifetime);
        self.issued.count += 1;
        let part = |purpose: &str| format!("{:016x}", draw(issue.role, self.issued.count, purpose));
        let key = IssuedKey {
            vendor: issue.vendor,
            role: issue.role.to_owned(),
            operation: issue.operation.to_owned(),
            access_key_id: format!("{}Simulated{}", issue.prefix, part("id")),
            secret: format!("Simulated{}{}", part("secret high"), part("secret low")),
            // With all that a client might forget to encode.
            token: format!("Simulated+{}/{}==", part("token high"), part("token low")),
            issued: now,
            expires: now + lifetime,
        };
        let token = SessionToken {
            value: key.token.clone(),
            expires: Some(key.expires),
        };
        self.forget_old_keys(now);
        self.add_key(&account, &key.access_key_id, &key.secret, Some(token));
        self.issued.keys.push_back(key.clone());
        let surplus = self.issued.keys.len().saturating_sub(KEPT);
        self.issued.keys.drain(..surplus);
        Some(key)
    }

    /// The machine's key: the same one until half of its life is over, as the vendors do it.
    pub(crate) fn machine_key(
        &mut self,
        issue: &Issue<'_>,
        now: DateTime<Utc>,
    ) -> Option<IssuedKey> {
        let current = self.machine_mut(issue.vendor).key.clone();
        let fresh = current.filter(|key| {
            let usable = self
                .keys
                .get(&key.access_key_id)
                .is_some_and(|known| known.active);
            key.role == issue.role && usable && now < key.issued + (key.expires - key.issued) / 2
        });
        let key = match fresh {
            Some(key) => key,
            None => self.issue(issue, now)?,
        };
        self.machine_mut(issue.vendor).key = Some(key.clone());
        Some(key)
    }

    /// A mark for [`World::withdraw_keys_since`].
    pub(crate) fn keys_mark(&self) -> Option<String> {
        let newest = self.issued.keys.back()?;
        Some(newest.access_key_id.clone())
    }

    /// Takes back the keys handed out since the mark, because their answer was never sent.
    pub(crate) fn withdraw_keys_since(&mut self, mark: Option<&str>) {
        while let Some(newest) = self.issued.keys.back()
            && Some(newest.access_key_id.as_str()) != mark
        {
            let machine = self.issued.machines.entry(newest.vendor).or_default();
            machine.key.take_if(|key| key == newest);
            self.keys.remove(&newest.access_key_id);
            self.issued.keys.pop_back();
        }
    }

    /// Keys handed out so far, oldest first.
    pub(crate) fn issued_keys(&self, vendor: Vendor) -> Vec<IssuedKey> {
        let keys = self.issued.keys.iter();
        keys.filter(|key| key.vendor == vendor).cloned().collect()
    }

    /// A key that is long expired need not be told from one that never was.
    fn forget_old_keys(&mut self, now: DateTime<Utc>) {
        const REMEMBERED: TimeDelta = TimeDelta::days(1);
        let issued = &self.issued.keys;
        let old = issued
            .iter()
            .take_while(|key| now - key.expires > REMEMBERED);
        for key in old {
            self.keys.remove(&key.access_key_id);
        }
    }

    fn role_mut(&mut self, vendor: Vendor, name: &str) -> Option<&mut Role> {
        self.issued.roles.get_mut(&(vendor, name.to_owned()))
    }

    fn machine_mut(&mut self, vendor: Vendor) -> &mut Machine {
        self.issued.machines.entry(vendor).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Account;

    const HOUR: Duration = Duration::from_secs(3600);

    fn world() -> World {
        let account = Account {
            name: "prod".to_owned(),
            vendor: Vendor::Volcengine,
            access_key_id: "k".to_owned(),
            ..Account::default()
        };
        let mut world = World::new(&[account], &[], DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
        assert_eq!(world.add_role("prod", "reader"), Some(Vendor::Volcengine));
        world
    }

    fn issue(role: &str) -> Issue<'_> {
        Issue {
            vendor: Vendor::Volcengine,
            role,
            operation: "AssumeRole",
            prefix: "AKTP",
            lifetime: HOUR,
        }
    }

    #[test]
    fn an_issued_key_is_a_key_of_the_roles_account() {
        let mut world = world();
        let now = DateTime::UNIX_EPOCH;
        let key = world.issue(&issue("reader"), now).unwrap();
        let known = world.key(Vendor::Volcengine, &key.access_key_id).unwrap();
        assert_eq!(
            (&known.secret, known.account.as_str()),
            (&key.secret, "prod")
        );
        assert_eq!(
            known.token.as_ref().unwrap().expires,
            Some(now + HOUR),
            "as long as was asked for"
        );
        assert!(world.key(Vendor::Alibaba, &key.access_key_id).is_none());
        assert!(world.issue(&issue("nobody"), now).is_none());
        assert!(world.set_key_lifetime(Vendor::Volcengine, "reader", Some(HOUR / 60)));
        let short = world.issue(&issue("reader"), now).unwrap();
        assert_eq!(short.expires, now + HOUR / 60);
        assert_eq!(world.issued_keys(Vendor::Volcengine), [key.clone(), short]);
        world.issue(&issue("reader"), now + HOUR * 48);
        assert!(world.key(Vendor::Volcengine, &key.access_key_id).is_none());
    }

    #[test]
    fn a_token_that_was_replaced_has_expired() {
        let mut world = world();
        let vendor = Vendor::Volcengine;
        assert!(world.set_oidc_tokens(vendor, "reader", &["a", "b"]));
        assert!(world.set_oidc_tokens(vendor, "reader", &["b"]));
        let judge = |token| world.judge_oidc_token(vendor, "reader", token);
        assert_eq!(judge("a"), OidcVerdict::Expired);
        assert_eq!(judge("b"), OidcVerdict::Accepted);
        assert_eq!(judge("c"), OidcVerdict::Unknown);
    }

    #[test]
    fn the_machine_keeps_its_key_for_half_of_its_life() {
        let mut world = world();
        let now = DateTime::UNIX_EPOCH;
        let mut at = |after: Duration| {
            let key = world.machine_key(&issue("reader"), now + after).unwrap();
            (key.access_key_id, key.expires)
        };
        let first = at(Duration::ZERO);
        assert_eq!(at(Duration::from_secs(1799)), first);
        let second = at(HOUR / 2);
        assert_ne!(second, first);
        assert!(world.disable_key(&second.0));
        let third = world.machine_key(&issue("reader"), now + HOUR / 2).unwrap();
        assert_ne!(third.access_key_id, second.0, "a disabled key is replaced");
    }

    #[test]
    fn keys_that_were_never_sent_are_taken_back() {
        let mut world = world();
        let now = DateTime::UNIX_EPOCH;
        world.withdraw_keys_since(None);
        let kept = world.issue(&issue("reader"), now).unwrap();
        let mark = world.keys_mark();
        let lost = world.machine_key(&issue("reader"), now).unwrap();
        world.withdraw_keys_since(mark.as_deref());
        assert_eq!(world.issued_keys(Vendor::Volcengine), [kept]);
        assert!(world.key(Vendor::Volcengine, &lost.access_key_id).is_none());
        let again = world.machine_key(&issue("reader"), now).unwrap();
        assert_ne!(again, lost);
    }
}
