//! The section `accounts`.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::key_path::KeyPath;
use super::super::raw::{KeyNames, Mapping, Node, Read, listed, quoted};
use super::super::{AccountConfig, EndpointTemplate, RateLimit};
use super::objectives::Promises;
use super::{Lowering, all};
use crate::vendor::Vendor;

pub(crate) const ACCOUNT_KEYS: [&str; 8] = [
    "name",
    "provider",
    "credentials",
    "endpoint",
    "iam_endpoint",
    "metadata_endpoint",
    "rate_limit",
    "instances",
];

impl Lowering<'_> {
    /// Reads every account.
    pub(super) fn accounts(
        &mut self,
        top: &Mapping<'_>,
        promises: Promises,
    ) -> Read<Vec<AccountConfig>> {
        let nodes = self.elements(top, "accounts", "a list of at least one account");
        // As long as nobody says for whom, the promises at the top are checked as if for somebody.
        self.inherits_retention |= nodes.is_err();
        let mut names = HashMap::new();
        all(nodes?
            .iter()
            .map(|node| self.account(node, promises, &mut names)))
    }

    fn account(
        &mut self,
        node: &Node<'_>,
        promises: Promises,
        names: &mut HashMap<String, KeyPath>,
    ) -> Read<AccountConfig> {
        let account = node.mapping(&ACCOUNT_KEYS, KeyNames::Shown, &mut self.report)?;
        let name: Read<Arc<str>> = self.account_name(&account, names).map(Arc::from);
        let provider = self.provider(&account);
        let credentials = self.credentials(&account);
        let endpoint = self.optional(&account, "endpoint", EndpointTemplate::parse);
        let iam_endpoint = self.optional(&account, "iam_endpoint", EndpointTemplate::parse);
        let metadata_endpoint =
            self.optional(&account, "metadata_endpoint", EndpointTemplate::parse);
        let rate_limit = self.optional(&account, "rate_limit", RateLimit::parse);
        let targets = self.targets(&account, name.as_ref(), provider, promises);
        Ok(AccountConfig {
            name: name?,
            provider: provider?,
            credentials: credentials?,
            endpoint: endpoint?,
            iam_endpoint: iam_endpoint?,
            metadata_endpoint: metadata_endpoint?,
            rate_limit: rate_limit?,
            targets: targets?,
        })
    }

    fn account_name<'n>(
        &mut self,
        account: &Mapping<'n>,
        names: &mut HashMap<String, KeyPath>,
    ) -> Read<&'n str> {
        let node = account.require("name", "a text that names the account", &mut self.report)?;
        let name = self.name(&node)?;
        self.unique(name, "name", &node.place, &account.place.path, names)
    }

    fn provider(&mut self, account: &Mapping<'_>) -> Read<Vendor> {
        let known = Vendor::ALL.map(Vendor::label);
        let expected = format!("one of {}", listed(&known));
        let node = account.require("provider", &expected, &mut self.report)?;
        let label = node.text(&expected, &mut self.report)?;
        Vendor::from_label(label).ok_or_else(|| {
            let what = format!("unknown provider {}; expected {expected}", quoted(label));
            node.place.complain(what, &mut self.report)
        })
    }

    /// Reads a text that need not be there, and that has a parser of its own.
    fn optional<T>(
        &mut self,
        account: &Mapping<'_>,
        key: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Read<Option<T>> {
        let Some(node) = account.get(key) else {
            return Ok(None);
        };
        let text = node.text("a text", &mut self.report)?;
        match parse(text) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(what) => Err(node.place.complain(what, &mut self.report)),
        }
    }
}
