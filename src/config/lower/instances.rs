//! The section `instances` of an account.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::key_path::KeyPath;
use super::super::raw::{KeyNames, Mapping, Node, Place, Read, Told, listed, nearest, quoted};
use super::objectives::Promises;
use super::products::Products;
use super::{LONGEST_NAME, Lowering, all};
use crate::backup::ListingKind;
use crate::target::{InstanceKey, Target, is_region};
use crate::vendor::Vendor;

pub(crate) const INSTANCE_KEYS: [&str; 7] = [
    "id",
    "product",
    "region",
    "name",
    "backup_regions",
    "objectives",
    "listings",
];

const ID: &str = "the provider's id of the instance, without white space";

pub(super) const REGION: &str =
    "a region such as `cn-hangzhou`, of lower-case letters, digits and `-`";

impl<'a> Lowering<'a> {
    /// Reads every instance of an account, also of one whose name or provider is wrong. There may be none: either they are
    /// looked for, or it is doubted that this was meant.
    pub(super) fn targets(
        &mut self,
        account: &Mapping<'_>,
        name: Result<&Arc<str>, &Told>,
        provider: Read<Vendor>,
        products: Read<&Products<'a>>,
        promises: Promises,
    ) -> Read<Vec<Arc<Target>>> {
        let Some(node) = account.get("instances") else {
            return Ok(Vec::new());
        };
        let nodes = node.list("a list of instances", &mut self.report);
        self.inherits_retention |= nodes.is_err();
        let mut ids = HashMap::new();
        all(nodes?.iter().map(|node| {
            self.target(node, (name, provider), products, promises, &mut ids)
                .map(Arc::new)
        }))
    }

    fn target(
        &mut self,
        node: &Node<'_>,
        (account, provider): (Result<&Arc<str>, &Told>, Read<Vendor>),
        products: Read<&Products<'a>>,
        inherited: Promises,
        ids: &mut HashMap<String, KeyPath>,
    ) -> Read<Target> {
        let instance = node.mapping(&INSTANCE_KEYS, KeyNames::Shown, &mut self.report)?;
        let id = self.id(&instance, ids);
        let region = self.own_region(&instance);
        let name = instance
            .get("name")
            .map(|node| self.name(&node))
            .transpose();
        let backup_regions = self.backup_regions(&instance, region);
        let spec = self.product_of(&instance, id, products);
        let known = spec.map_or(&ListingKind::ALL[..], |spec| spec.listings);
        let promises = self.instance_promises(&instance, inherited.within(known));
        let listings = self.listings(&instance, known);
        Ok(Target {
            key: InstanceKey {
                provider: provider?.label(),
                account: account.map_err(|told| *told)?.clone(),
                source_region: region?.into(),
                instance_id: id?.into(),
                service: spec?.service,
            },
            name: name?.map(str::to_owned),
            backup_regions: backup_regions?,
            objectives: promises.objectives,
            listings: listings?,
        })
    }

    fn id<'n>(
        &mut self,
        instance: &Mapping<'n>,
        ids: &mut HashMap<String, KeyPath>,
    ) -> Read<&'n str> {
        let node = instance.require("id", ID, &mut self.report)?;
        let id = node.text(ID, &mut self.report)?;
        let is_id = !id.is_empty()
            && id.chars().count() <= LONGEST_NAME
            && !id.contains(|character: char| character.is_whitespace() || character.is_control());
        let id = self.expect(is_id, id, ID, &node.place)?;
        self.unique(id, "id", &node.place, &instance.place.path, ids)
    }

    fn own_region<'n>(&mut self, instance: &Mapping<'n>) -> Read<&'n str> {
        let node = instance.require("region", REGION, &mut self.report)?;
        let region = node.text(REGION, &mut self.report)?;
        self.region(region, &node.place)
    }

    /// Checks a region, which becomes a part of a host name: nothing else than a region may come into that.
    pub(super) fn region<'n>(&mut self, region: &'n str, place: &Place<'_>) -> Read<&'n str> {
        self.expect(is_region(region), region, REGION, place)
    }

    fn backup_regions(&mut self, instance: &Mapping<'_>, own: Read<&str>) -> Read<Vec<String>> {
        let Some(node) = instance.get("backup_regions") else {
            return Ok(Vec::new());
        };
        let texts = node.texts("a list of regions", REGION, &mut self.report)?;
        let mut seen = Vec::new();
        all(texts.into_iter().map(|(place, text)| {
            let region = self.region(text?, &place)?;
            if own == Ok(region) {
                let what = format!("{} is the instance's own region", quoted(region));
                return Err(place.complain(what, &mut self.report));
            }
            self.once(region, &mut seen, region, &place)?;
            Ok(region.to_owned())
        }))
    }

    pub(super) fn listings(
        &mut self,
        instance: &Mapping<'_>,
        known: &[ListingKind],
    ) -> Read<Vec<ListingKind>> {
        let Some(node) = instance.get("listings") else {
            return Ok(known.to_vec());
        };
        let labels: Vec<&str> = known.iter().map(|listing| listing.label()).collect();
        let expected = format!("one of {}", listed(&labels));
        let texts = node.texts("a list of listings", &expected, &mut self.report)?;
        if texts.is_empty() {
            let what = format!("expected at least {expected}, found none");
            return Err(node.place.complain(what, &mut self.report));
        }
        let mut seen = Vec::new();
        all(texts.into_iter().map(|(place, text)| {
            let text = text?;
            let listing = ListingKind::from_label(text).filter(|listing| known.contains(listing));
            let Some(listing) = listing else {
                let advice = match nearest(text, &labels) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("expected {expected}"),
                };
                let what = format!("unknown listing {}; {advice}", quoted(text));
                return Err(place.complain(what, &mut self.report));
            };
            self.once(listing, &mut seen, text, &place)?;
            Ok(listing)
        }))
    }

    /// Reports an element of a list that stands in it already.
    pub(super) fn once<T: PartialEq>(
        &mut self,
        element: T,
        seen: &mut Vec<T>,
        text: &str,
        place: &Place<'_>,
    ) -> Read<()> {
        if seen.contains(&element) {
            let what = format!("{} is named twice", quoted(text));
            return Err(place.complain(what, &mut self.report));
        }
        seen.push(element);
        Ok(())
    }
}
