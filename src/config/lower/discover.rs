//! The section `discover` of an account.

use std::sync::Arc;

use super::super::raw::{KeyNames, Mapping, Node, Read, quoted};
use super::super::{Discover, Pattern};
use super::instances::REGION;
use super::objectives::Promises;
use super::{Lowering, all};
use crate::vendor::Vendor;

pub(crate) const DISCOVER_KEYS: [&str; 4] = ["regions", "include", "exclude", "listings"];

impl Lowering<'_> {
    /// Reads where instances are looked for, if they are.
    pub(super) fn discover(
        &mut self,
        account: &Mapping<'_>,
        provider: Read<Vendor>,
        promises: Promises,
    ) -> Read<Option<Discover>> {
        let Some(node) = account.get("discover") else {
            return Ok(None);
        };
        // Instances that are found have the promises of the top.
        self.inherits_retention = true;
        let discover = node.mapping(&DISCOVER_KEYS, KeyNames::Shown, &mut self.report)?;
        let regions = self.regions(&discover);
        let include = self.patterns(&discover, "include");
        let exclude = self.patterns(&discover, "exclude");
        let listings = self.listings(&discover, provider);
        Ok(Some(Discover {
            regions: regions?,
            include: include?,
            exclude: exclude?,
            objectives: promises.objectives,
            listings: listings?,
        }))
    }

    fn regions(&mut self, discover: &Mapping<'_>) -> Read<Vec<Arc<str>>> {
        let nodes = self.elements(discover, "regions", "a list of at least one region")?;
        let mut seen = Vec::new();
        all(nodes.iter().map(|node| {
            let region = node.text(REGION, &mut self.report)?;
            let region = self.region(region, &node.place)?;
            self.once(region, &mut seen, region, &node.place)?;
            Ok(Arc::from(region))
        }))
    }

    fn patterns(&mut self, discover: &Mapping<'_>, key: &str) -> Read<Vec<Pattern>> {
        let Some(node) = discover.get(key) else {
            return Ok(Vec::new());
        };
        let nodes = node.list("a list of regular expressions", &mut self.report)?;
        all(nodes.iter().map(|node| self.pattern(node)))
    }

    fn pattern(&mut self, node: &Node<'_>) -> Read<Pattern> {
        let expected = "a regular expression such as `^rm-`";
        let text = node.text(expected, &mut self.report)?;
        Pattern::parse(text).map_err(|why| {
            let what = format!(
                "expected {expected}, found the text {}: {why}",
                quoted(text)
            );
            node.place.complain(what, &mut self.report)
        })
    }
}
