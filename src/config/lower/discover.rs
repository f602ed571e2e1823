//! The section `discover` of an account.

use std::sync::Arc;

use super::super::raw::{KeyNames, Mapping, Node, Read, quoted};
use super::super::{Discover, Pattern};
use super::instances::REGION;
use super::objectives::Promises;
use super::products::Products;
use super::{Lowering, all};
use crate::backup::ListingKind;
use crate::service::ServiceSpec;

pub(crate) const DISCOVER_KEYS: [&str; 5] =
    ["regions", "products", "include", "exclude", "listings"];

impl<'a> Lowering<'a> {
    /// Reads where instances are looked for, if they are.
    pub(super) fn discover(
        &mut self,
        account: &Mapping<'_>,
        products: Read<&Products<'a>>,
        promises: Promises,
    ) -> Read<Option<Discover>> {
        let Some(node) = account.get("discover") else {
            return Ok(None);
        };
        let discover = node.mapping(&DISCOVER_KEYS, KeyNames::Shown, &mut self.report);
        self.inherits_retention |= discover.is_err();
        let discover = discover?;
        let regions = self.regions(&discover);
        let include = self.patterns(&discover, "include");
        let exclude = self.patterns(&discover, "exclude");
        let specs = self.searched_products(&discover, products);
        let mut known = Vec::new();
        for listing in specs.iter().flatten().flat_map(|spec| spec.listings) {
            if !known.contains(listing) {
                known.push(*listing);
            }
        }
        if specs.is_err() {
            known = ListingKind::ALL.to_vec();
        }
        let listings = self.listings(&discover, &known);
        // Instances that are found have the promises of the top.
        self.inherits_retention |= known.contains(&ListingKind::CrossRegion);
        Ok(Some(Discover {
            regions: regions?,
            services: specs?.iter().map(|spec| spec.service).collect(),
            include: include?,
            exclude: exclude?,
            objectives: promises.objectives,
            listings: listings?,
        }))
    }

    /// Reads of which products instances are looked for: of all of the account's, unless some are named.
    fn searched_products(
        &mut self,
        discover: &Mapping<'_>,
        products: Read<&Products<'a>>,
    ) -> Read<Vec<&'a ServiceSpec>> {
        let Some(node) = discover.get("products") else {
            return Ok(products?.chosen()?.to_vec());
        };
        self.product_list(&node, products?, Self::own_product)
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
