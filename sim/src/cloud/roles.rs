//! Verbs about temporary keys: roles, who may take them on, the machine's own role, and what has
//! been handed out. The same for every vendor.

use std::time::Duration;

use super::Cloud;
use crate::world::{IssuedKey, MetadataMode, Vendor};
use crate::{alibaba, volcengine};

impl Cloud {
    /// Adds a role to an account, or replaces the one of its name; answers its full name in the
    /// vendor's spelling, by which clients ask for it. `None` if there is no such account.
    ///
    /// Every key of the vendor may take the role on; [`Cloud::deny`] of `AssumeRole` forbids it to
    /// an account.
    pub fn add_role(&self, account: &str, role: &str) -> Option<String> {
        let vendor = self.shared.state().world.add_role(account, role)?;
        Some(match vendor {
            Vendor::Alibaba => alibaba::role_arn(account, role),
            Vendor::Volcengine => volcengine::role_trn(account, role),
            // An agency is asked for by its name alone.
            Vendor::Huawei => role.to_owned(),
        })
    }

    /// Removes a role; keys that were handed out for it stay valid.
    pub fn remove_role(&self, vendor: Vendor, role: &str) -> bool {
        self.shared.state().world.remove_role(vendor, role)
    }

    /// Makes these the only OIDC tokens with which the role can be taken on. Those that were
    /// accepted before count as expired.
    pub fn set_oidc_tokens(&self, vendor: Vendor, role: &str, tokens: &[&str]) -> bool {
        self.shared
            .state()
            .world
            .set_oidc_tokens(vendor, role, tokens)
    }

    /// Keys of this role last so long from now on, whatever the client asks for; `None` lets the
    /// client choose again.
    pub fn set_key_lifetime(&self, vendor: Vendor, role: &str, lifetime: Option<Duration>) -> bool {
        self.shared
            .state()
            .world
            .set_key_lifetime(vendor, role, lifetime)
    }

    /// Gives the machine this role, which its metadata service then hands keys for.
    pub fn attach_role(&self, vendor: Vendor, role: &str) -> bool {
        self.shared
            .state()
            .world
            .set_machine_role(vendor, Some(role))
    }

    /// Takes the machine's role away.
    pub fn detach_role(&self, vendor: Vendor) {
        self.shared.state().world.set_machine_role(vendor, None);
    }

    /// Which callers the machine's metadata service answers.
    pub fn set_metadata_mode(&self, vendor: Vendor, mode: MetadataMode) {
        self.shared.state().world.set_metadata_mode(vendor, mode);
    }

    /// Keys that the token service and the metadata service have handed out, oldest first; of more
    /// than 10 000 the newest.
    pub fn issued_keys(&self, vendor: Vendor) -> Vec<IssuedKey> {
        self.shared.state().world.issued_keys(vendor)
    }
}
