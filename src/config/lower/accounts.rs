//! The section `accounts`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::key_path::KeyPath;
use super::super::raw::{KeyNames, Mapping, Node, Read, listed, quoted};
use super::super::{AccountConfig, CaFile, EndpointTemplate, RateLimit};
use super::objectives::Promises;
use super::{Lowering, all};
use crate::vendor::Vendor;

pub(crate) const ACCOUNT_KEYS: [&str; 13] = [
    "name",
    "provider",
    "products",
    "credentials",
    "endpoint",
    "endpoints",
    "iam_endpoint",
    "metadata_endpoint",
    "rate_limit",
    "ca_file",
    "projects",
    "discover",
    "instances",
];

/// Project ids have 32 characters; what is longer was meant for another key.
const MOST_CHARACTERS: usize = 100;

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
        let products = self.products(&account, provider);
        let products = products.as_ref().map_err(|told| *told);
        let endpoints = self.endpoints(&account, products);
        let iam_endpoint = self.optional(&account, "iam_endpoint", EndpointTemplate::parse);
        let metadata_endpoint =
            self.optional(&account, "metadata_endpoint", EndpointTemplate::parse);
        let rate_limit = self.optional(&account, "rate_limit", RateLimit::parse);
        let ca_file = self.ca_file(&account);
        let projects = self.projects(&account, provider);
        let discover = self.discover(&account, products, promises);
        let targets = self.targets(&account, name.as_ref(), provider, products, promises);
        Ok(AccountConfig {
            name: name?,
            provider: provider?,
            credentials: credentials?,
            services: products?.services()?,
            endpoints: endpoints?,
            iam_endpoint: iam_endpoint?,
            metadata_endpoint: metadata_endpoint?,
            rate_limit: rate_limit?,
            ca_file: ca_file?.or_else(|| self.ca_file.clone()),
            projects: projects?,
            discover: discover?,
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

    /// Reads a file of certificates, for an account or for all of them.
    pub(super) fn ca_file(&mut self, mapping: &Mapping<'_>) -> Read<Option<CaFile>> {
        let Some(node) = mapping.get("ca_file") else {
            return Ok(None);
        };
        let expected = "the path of a file with PEM certificates";
        let path = node.text(expected, &mut self.report)?;
        let path = self.expect(!path.is_empty(), path, expected, &node.place)?;
        match CaFile::read(&self.folder.join(path)) {
            Ok(file) => Ok(Some(file)),
            Err(what) => Err(node.place.complain(what, &mut self.report)),
        }
    }

    /// Reads the ids of projects by their regions.
    fn projects(
        &mut self,
        account: &Mapping<'_>,
        provider: Read<Vendor>,
    ) -> Read<BTreeMap<String, Arc<str>>> {
        let Some(node) = account.get("projects") else {
            return Ok(BTreeMap::new());
        };
        if provider.is_ok_and(|provider| !provider.has_projects()) {
            let what = "this provider has no projects";
            return Err(node.place.complain(what, &mut self.report));
        }
        let entries = node.entries("a mapping of regions to project ids", &mut self.report)?;
        let projects = all(entries.into_iter().map(|(region, node)| {
            let region = self.region(region, &node.place).map(str::to_owned);
            let expected = "the id of a project, of letters, digits, `-` and `_`";
            let id = node.text(expected, &mut self.report)?;
            let is_id = (1..=MOST_CHARACTERS).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            let id = self.expect(is_id, id, expected, &node.place)?;
            Ok((region?, Arc::from(id)))
        }))?;
        Ok(projects.into_iter().collect())
    }

    /// Reads a text that need not be there, and that has a parser of its own.
    pub(super) fn optional<T>(
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
