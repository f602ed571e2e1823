//! The verbs of the handle that make sense at this vendor only.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::memory::{Extras, Metadata};
use crate::cloud::Cloud;
use crate::world::Project;

impl Cloud {
    /// Adds a row to the local listing of an instance, as it is to be sent.
    pub fn add_huawei_local_row(&self, instance: &str, row: Value) -> bool {
        self.change_extras(instance, |extras| extras.local.push(row))
    }

    /// Adds a row to the off-site listing of an instance in a region, as it is to be sent.
    pub fn add_huawei_offsite_row(&self, instance: &str, region: &str, row: Value) -> bool {
        self.change_extras(instance, |extras| {
            extras.offsite.push((region.to_owned(), row));
        })
    }

    /// A person starts a full backup at that moment, which takes ten minutes. Only those of SQL
    /// Server are copied.
    pub fn add_huawei_manual_backup(&self, instance: &str, start: DateTime<Utc>) -> bool {
        self.change_extras(instance, |extras| extras.manual.push(start))
    }

    /// Replaces fields of an instance in the list of instances, such as `type` or `status`.
    pub fn change_huawei_instance(&self, instance: &str, fields: Map<String, Value>) -> bool {
        self.change_extras(instance, |extras| extras.fields.extend(fields))
    }

    /// Adds a project to an account, beside those that its regions have by themselves. One that
    /// states no id and has the name of a region stands for that region's.
    pub fn add_huawei_project(&self, account: &str, project: Project) {
        self.shared.state().huawei.projects.add(account, project);
    }

    /// Removes every project of this name from an account, also a region's own.
    pub fn remove_huawei_project(&self, account: &str, name: &str) {
        self.shared.state().huawei.projects.remove(account, name);
    }

    /// Gives the machine the agency of another account, or takes it away. At the start it has that
    /// of the first account.
    pub fn set_huawei_agency(&self, account: Option<&str>) {
        let mut state = self.shared.state();
        state.huawei.agency = account.map(str::to_owned);
        state.huawei.machine_key = None;
    }

    /// Says how the machine's metadata service behaves from now on.
    pub fn set_huawei_metadata(&self, metadata: Metadata) {
        self.shared.state().huawei.metadata = metadata;
    }

    /// Tokens that the metadata and the identity service have given out end now.
    pub fn expire_huawei_tokens(&self) {
        self.shared.state().huawei.tokens.clear();
    }

    /// Keys that machines and pods get from now on live so long. A new one is given out when half
    /// of that is left, or an hour.
    pub fn set_huawei_key_lifetime(&self, lifetime: Duration) {
        let mut state = self.shared.state();
        state.huawei.lifetime = lifetime;
        state.huawei.machine_key = None;
    }

    /// The identity provider of an account vouches for another ID token, and no longer for the last
    /// one.
    pub fn set_huawei_id_token(&self, account: &str, token: impl Into<String>) {
        let mut state = self.shared.state();
        state
            .huawei
            .id_tokens
            .insert(account.to_owned(), token.into());
    }

    /// The pods of an account have another token, and no longer the last one.
    pub fn set_huawei_pod_token(&self, account: &str, token: impl Into<String>) {
        let mut state = self.shared.state();
        state
            .huawei
            .pod_tokens
            .insert(account.to_owned(), token.into());
    }

    fn change_extras(&self, instance: &str, change: impl FnOnce(&mut Extras)) -> bool {
        let mut state = self.shared.state();
        if !state.world.has_instance(instance) {
            return false;
        }
        change(state.huawei.extras(instance));
        true
    }
}
