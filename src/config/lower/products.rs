//! What an account says of products: `products` and `endpoints`, and `product` of its instances.

use std::collections::BTreeMap;

use super::super::EndpointTemplate;
use super::super::raw::{Mapping, Node, Place, Read, Told, listed, nearest, quoted};
use super::{Lowering, all};
use crate::service::{Service, ServiceSpec, UNLISTED};
use crate::vendor::Vendor;

/// The services of an account.
#[derive(Debug, Clone)]
pub(super) struct Products<'a> {
    vendor: Vendor,
    /// Those that its provider has.
    known: Vec<&'a ServiceSpec>,
    /// Those of the account; never empty. What is wrong with them is in the report.
    chosen: Read<Vec<&'a ServiceSpec>>,
}

impl<'a> Products<'a> {
    pub(super) fn chosen(&self) -> Read<&[&'a ServiceSpec]> {
        self.chosen.as_deref().map_err(|told| *told)
    }

    pub(super) fn services(&self) -> Read<Vec<Service>> {
        let chosen = self.chosen()?.iter();
        Ok(chosen.map(|spec| spec.service).collect())
    }

    fn named(&self, product: &str) -> Option<&'a ServiceSpec> {
        named(&self.known, product)
    }

    /// What is wrong with a product that is none of those that are known.
    fn why_not(&self, product: &str) -> String {
        let known = names(&self.known);
        let expected = format!("expected one of {}", listed(&known));
        let mut unlisted = UNLISTED.iter();
        let unlisted = unlisted.find(|row| (row.vendor, row.product) == (self.vendor, product));
        match (unlisted, nearest(product, &known)) {
            (Some(row), _) => {
                let product = quoted(product);
                format!(
                    "the product {product} cannot be watched: {}; {expected}",
                    row.why
                )
            }
            (None, Some(nearest)) => {
                let product = quoted(product);
                format!("unknown product {product}; did you mean `{nearest}`?")
            }
            (None, None) => format!("unknown product {}; {expected}", quoted(product)),
        }
    }
}

fn named<'a>(specs: &[&'a ServiceSpec], product: &str) -> Option<&'a ServiceSpec> {
    let mut specs = specs.iter().copied();
    specs.find(|spec| spec.product == product)
}

fn names<'a>(specs: &[&'a ServiceSpec]) -> Vec<&'a str> {
    specs.iter().map(|spec| spec.product).collect()
}

const PRODUCT: &str = "the name of a product";

impl<'a> Lowering<'a> {
    /// Reads which services an account has: those that it names, else the founding one of its provider, and those that an
    /// instance names.
    pub(super) fn products(
        &mut self,
        account: &Mapping<'_>,
        provider: Read<Vendor>,
    ) -> Read<Products<'a>> {
        let node = account.get("products");
        let Ok(vendor) = provider else {
            // Nobody knows which products there are, but these have to be texts anyway.
            if let Some(node) = node {
                let _told = node.texts("a list of products", PRODUCT, &mut self.report);
            }
            return Err(Told);
        };
        let of_vendor = self.services.iter().copied();
        let known: Vec<_> = of_vendor.filter(|spec| spec.vendor == vendor).collect();
        let founding = known.iter().copied();
        let mut products = Products {
            vendor,
            chosen: Ok(founding
                .filter(|spec| spec.service == vendor.founding())
                .collect()),
            known,
        };
        if let Some(node) = node {
            products.chosen = self.product_list(&node, &products, Self::product_named);
        }
        let Ok(chosen) = &mut products.chosen else {
            return Ok(products);
        };
        // What is wrong with these is told where the instances are read.
        let instances = account.get("instances");
        for instance in instances.iter().flat_map(Node::elements) {
            let product = instance.entry("product");
            let product = product.and_then(|product| named(&products.known, product.as_text()?));
            if let Some(spec) = product.filter(|spec| !chosen.contains(spec)) {
                chosen.push(spec);
            }
        }
        Ok(products)
    }

    /// Reads a list of products, each as `read` does.
    pub(super) fn product_list(
        &mut self,
        node: &Node<'_>,
        products: &Products<'a>,
        read: fn(&mut Self, &str, &Products<'a>, &Place<'_>) -> Read<&'a ServiceSpec>,
    ) -> Read<Vec<&'a ServiceSpec>> {
        let texts = node.texts("a list of products", PRODUCT, &mut self.report)?;
        if texts.is_empty() {
            let what = "expected a list of at least one product, found none";
            return Err(node.place.complain(what, &mut self.report));
        }
        let mut seen = Vec::new();
        all(texts.into_iter().map(|(place, text)| {
            let text = text?;
            let spec = read(self, text, products, &place)?;
            self.once(text, &mut seen, text, &place)?;
            Ok(spec)
        }))
    }

    fn product_named(
        &mut self,
        product: &str,
        products: &Products<'a>,
        place: &Place<'_>,
    ) -> Read<&'a ServiceSpec> {
        products
            .named(product)
            .ok_or_else(|| place.complain(products.why_not(product), &mut self.report))
    }

    /// Reads a product that has to be one of the account's.
    pub(super) fn own_product(
        &mut self,
        product: &str,
        products: &Products<'a>,
        place: &Place<'_>,
    ) -> Read<&'a ServiceSpec> {
        let spec = self.product_named(product, products, place)?;
        if products.chosen()?.contains(&spec) {
            return Ok(spec);
        }
        let what = format!(
            "{} is not among the `products` of this account",
            quoted(product)
        );
        Err(place.complain(what, &mut self.report))
    }

    /// Reads whose instance it is: the product that it names, else the account's only one, else the one that its id tells.
    pub(super) fn product_of(
        &mut self,
        instance: &Mapping<'_>,
        id: Read<&str>,
        products: Read<&Products<'a>>,
    ) -> Read<&'a ServiceSpec> {
        if let Some(node) = instance.get("product") {
            let product = node.text(PRODUCT, &mut self.report)?;
            return self.product_named(product, products?, &node.place);
        }
        let chosen = products?.chosen()?;
        if let [only] = chosen[..] {
            return Ok(only);
        }
        ServiceSpec::of_id(chosen, id?).ok_or_else(|| {
            let own = names(chosen);
            let expected = format!(
                "one of {}, since the id does not tell which it is",
                listed(&own)
            );
            instance.missing("product", &expected, &mut self.report)
        })
    }

    /// Reads what replaces the endpoints of the services: `endpoint` where there is only one, else `endpoints`.
    pub(super) fn endpoints(
        &mut self,
        account: &Mapping<'_>,
        products: Read<&Products<'a>>,
    ) -> Read<BTreeMap<Service, EndpointTemplate>> {
        let alone = self.optional(account, "endpoint", EndpointTemplate::parse);
        let each = self.endpoint_of_each(account, products);
        let (alone, each, chosen) = (alone?, each?, products?.chosen()?);
        let Some(alone) = alone else {
            return Ok(each);
        };
        if let [only] = chosen[..]
            && each.is_empty()
        {
            return Ok([(only.service, alone)].into());
        }
        let keys = chosen.iter();
        let keys: Vec<_> = keys
            .map(|spec| format!("endpoints.{}", spec.product))
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let what = format!(
            "it is not told whose endpoint this is; write {} instead",
            listed(&keys)
        );
        let place = account.place_of("endpoint");
        Err(place.complain(what, &mut self.report))
    }

    fn endpoint_of_each(
        &mut self,
        account: &Mapping<'_>,
        products: Read<&Products<'a>>,
    ) -> Read<BTreeMap<Service, EndpointTemplate>> {
        let Some(node) = account.get("endpoints") else {
            return Ok(BTreeMap::new());
        };
        let entries = node.entries("a mapping of products to endpoints", &mut self.report)?;
        let endpoints = all(entries.into_iter().map(|(product, node)| {
            let spec = match products {
                Ok(products) => self.own_product(product, products, &node.place),
                Err(told) => Err(told),
            };
            let text = node.text("a text", &mut self.report)?;
            let template = EndpointTemplate::parse(text)
                .map_err(|what| node.place.complain(what, &mut self.report));
            Ok((spec?.service, template?))
        }))?;
        Ok(endpoints.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::ListingKind;
    use crate::config::{AccountConfig, Config};
    use crate::service::Together;
    use crate::target::Objective;

    /// A product of Alibaba's that is made up: it lists backups and policies, and no copies.
    const KV: ServiceSpec = ServiceSpec {
        vendor: Vendor::Alibaba,
        product: "kv",
        stored_as: "alibaba/kv",
        id_prefixes: &["kv-"],
        listings: &[ListingKind::Local, ListingKind::Policy],
        together: &[(ListingKind::Local, Together::All)],
        ..*Service::VolcengineRedis.spec()
    };

    const RDS: Service = Service::AlibabaRds;

    fn parse(account: &str) -> Result<AccountConfig, Vec<String>> {
        let yaml = format!("accounts: [{{name: a, provider: alibaba, {account}}}]");
        let services = [RDS.spec(), &KV, Service::HuaweiRds.spec()];
        match Config::parse_with(&services, &yaml) {
            Ok(mut config) => Ok(config.accounts.remove(0)),
            Err(problems) => Err(problems.0.iter().map(ToString::to_string).collect()),
        }
    }

    #[track_caller]
    fn check(account: &str, expected: &[&str]) {
        let problems = parse(account).unwrap_err();
        let expected = expected.iter().map(|line| format!("accounts[0].{line}"));
        assert_eq!(problems, expected.collect::<Vec<_>>(), "{account}");
    }

    const ONE: &str = "instances: [{id: rm-1, region: cn-a}]";

    #[test]
    fn an_account_has_the_products_that_it_or_an_instance_of_it_names_else_the_founding_one() {
        for (products, instance, expected) in [
            ("", "", vec![RDS]),
            ("products: ~,", "", vec![RDS]),
            ("products: [rds],", "", vec![RDS]),
            ("products: [kv],", "", vec![KV.service]),
            ("products: [kv, rds],", "", vec![KV.service, RDS]),
            ("", ", product: kv", vec![RDS, KV.service]),
            ("products: [kv],", ", product: kv", vec![KV.service]),
            ("products: [kv],", ", product: rds", vec![KV.service, RDS]),
        ] {
            let account = parse(&format!(
                "{products} instances: [{{id: x, region: cn-a{instance}}}]"
            ));
            // The id tells nothing where there are several.
            match account {
                Ok(account) => assert_eq!(account.services, expected, "{products} {instance}"),
                Err(problems) => {
                    assert!(expected.len() == 2 && instance.is_empty(), "{problems:?}");
                }
            }
        }
        let account = parse(&format!("products: [kv, rds], {ONE}")).unwrap();
        assert_eq!(account.services, [KV.service, RDS]);
    }

    #[test]
    fn an_instance_is_of_the_product_that_it_names_else_of_the_only_one_else_of_what_its_id_tells()
    {
        for (products, instance, expected) in [
            ("rds", "id: kv-1", RDS),
            ("rds", "id: x", RDS),
            ("rds, kv", "id: rm-1", RDS),
            ("rds, kv", "id: pgm-1", RDS),
            ("rds, kv", "id: kv-1", KV.service),
            ("rds, kv", "id: kv-1, product: rds", RDS),
            ("rds", "id: rm-1, product: kv", KV.service),
        ] {
            let yaml = format!("products: [{products}], instances: [{{region: cn-a, {instance}}}]");
            let account = parse(&yaml).unwrap();
            let key = &account.targets[0].key;
            assert_eq!((key.service, key.provider), (expected, "alibaba"), "{yaml}");
        }
        check(
            "products: [rds, kv], instances: [{id: rm-1, region: cn-a}, {id: x, region: cn-a}]",
            &[
                "instances[1].product: missing; expected one of `rds`, `kv`, since the id does not tell which it is",
            ],
        );
    }

    #[test]
    fn what_a_product_does_not_list_is_neither_read_nor_promised_by_default() {
        let account = parse(
            "discover: {regions: [cn-a]}, instances: [{id: kv-1, region: cn-a, product: kv}, \
             {id: kv-2, region: cn-a, product: kv, objectives: {retention: 2d}}, {id: rm-1, region: cn-a}]",
        )
        .unwrap();
        let promised = |place: usize| {
            let objectives = account.targets[place].objectives;
            let all = Objective::ALL.into_iter();
            all.filter(|objective| objectives.get(*objective).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(account.targets[0].listings, KV.listings);
        assert_eq!(promised(0), [Objective::BackupAge]);
        // Who asks for more gets it.
        assert_eq!(promised(1), [Objective::BackupAge, Objective::Retention]);
        assert_eq!(promised(2), Objective::ALL);
        assert_eq!(account.targets[2].listings, ListingKind::ALL);
        check(
            "products: [kv], instances: [{id: x, region: cn-a, listings: [locall, cross_region]}]",
            &[
                "instances[0].listings[0]: unknown listing `locall`; did you mean `local`?",
                "instances[0].listings[1]: unknown listing `cross_region`; expected one of `local`, `policy`",
            ],
        );
    }

    #[test]
    fn a_retention_that_no_look_back_covers_is_no_problem_where_none_is_promised() {
        let yaml = "{poll: {lookback: 1d}, accounts: [{name: a, provider: alibaba, products: [kv], \
                    discover: {regions: [cn-a]}, instances: [{id: kv-1, region: cn-a}]}]}";
        let parsed = |services: &[&ServiceSpec], yaml: &str| Config::parse_with(services, yaml);
        parsed(&[RDS.spec(), &KV], yaml).unwrap();
        let other = parsed(&[RDS.spec(), &KV], &yaml.replace("[kv]", "[rds]"));
        let problems = other.unwrap_err().0;
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "objectives.retention");
    }

    #[test]
    fn instances_are_looked_for_of_every_product_or_of_those_that_are_named() {
        let discover = |account: &str| parse(account).unwrap().discover.unwrap();
        let all = discover("products: [rds, kv], discover: {regions: [cn-a]}");
        assert_eq!(all.services, [RDS, KV.service]);
        assert_eq!(all.listings, ListingKind::ALL);
        let one = discover("products: [rds, kv], discover: {regions: [cn-a], products: [kv]}");
        assert_eq!(
            (one.services, &*one.listings),
            (vec![KV.service], KV.listings)
        );
        check(
            "products: [rds], discover: {regions: [cn-a], products: [kv, rds, rds, x, 1]}",
            &[
                "discover.products[0]: `kv` is not among the `products` of this account",
                "discover.products[2]: `rds` is named twice",
                "discover.products[3]: unknown product `x`; expected one of `rds`, `kv`",
                "discover.products[4]: expected the name of a product, found the integer 1; put it in quotes, as YAML may have changed it",
            ],
        );
        check(
            "discover: {regions: [cn-a], products: []}",
            &["discover.products: expected a list of at least one product, found none"],
        );
    }

    #[test]
    fn every_product_that_does_not_exist_is_told_with_what_was_meant() {
        check(
            "products: [rds, rsd, mongo, rds, 7, tair], \
             instances: [{id: rm-1, region: cn-a, product: kvv}, {id: rm-2, region: cn-a, product: []}]",
            &[
                "instances[0].product: unknown product `kvv`; expected one of `rds`, `kv`",
                "instances[1].product: expected the name of a product, found a list",
                "products[1]: unknown product `rsd`; did you mean `rds`?",
                "products[2]: unknown product `mongo`; expected one of `rds`, `kv`",
                "products[3]: `rds` is named twice",
                "products[4]: expected the name of a product, found the integer 7; put it in quotes, as YAML may have changed it",
                "products[5]: the product `tair` cannot be watched: its API lists backups in the instance's own region only; \
                 expected one of `rds`, `kv`",
            ],
        );
        check(
            &format!("products: [], {ONE}"),
            &["products: expected a list of at least one product, found none"],
        );
        check(
            &format!("products: rds, {ONE}"),
            &["products: expected a list of products, found a text"],
        );
    }

    #[test]
    fn products_are_checked_as_far_as_can_be_where_the_provider_is_wrong() {
        let yaml = "accounts: [{name: a, provider: azure, products: [rds, 1], endpoints: {rds: ftp}, \
                    instances: [{id: rm-1, region: cn-a, product: 2}]}]";
        let problems = Config::parse(yaml, []).unwrap_err().0;
        let keys: Vec<_> = problems.iter().map(|problem| &*problem.key).collect();
        let expected = [
            "accounts[0].endpoints.rds",
            "accounts[0].instances[0].product",
            "accounts[0].products[1]",
            "accounts[0].provider",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn each_product_has_its_own_endpoint() {
        let endpoints = |account: &str| {
            let account = parse(account).unwrap();
            let of = |service| Some(account.endpoint(service)?.for_region("cn-a"));
            (of(RDS), of(KV.service))
        };
        let told = |text: &str| Some(text.to_owned());
        let alone = format!("endpoint: 'https://r.{{region}}.test', {ONE}");
        assert_eq!(endpoints(&alone), (told("https://r.cn-a.test"), None));
        let only = format!("products: [kv], endpoint: 'https://k.test', {ONE}");
        assert_eq!(endpoints(&only), (None, told("https://k.test")));
        let both = format!(
            "products: [rds, kv], endpoints: {{rds: 'https://r.test', kv: 'https://k.{{region}}.test'}}, {ONE}"
        );
        let expected = (told("https://r.test"), told("https://k.cn-a.test"));
        assert_eq!(endpoints(&both), expected);
        let one_of_two = format!("products: [rds, kv], endpoints: {{kv: 'https://k.test'}}, {ONE}");
        assert_eq!(endpoints(&one_of_two), (None, told("https://k.test")));
    }

    #[test]
    fn an_endpoint_that_may_be_anybodys_is_a_problem_that_names_the_keys_to_use() {
        let several = "endpoint: it is not told whose endpoint this is; write `endpoints.rds`, `endpoints.kv` instead";
        check(
            &format!("products: [rds, kv], endpoint: 'https://r.test', {ONE}"),
            &[several],
        );
        check(
            "endpoint: 'https://r.test', instances: [{id: rm-1, region: cn-a}, {id: kv-1, region: cn-a, product: kv}]",
            &[several],
        );
        check(
            &format!("endpoint: 'https://r.test', endpoints: {{rds: 'https://r.test'}}, {ONE}"),
            &["endpoint: it is not told whose endpoint this is; write `endpoints.rds` instead"],
        );
        let expected = "expected `https://host[:port][/path]` or the like with `http`, in which `{region}` is filled in";
        check(
            &format!(
                "endpoints: {{rds: 'https://u:hunter2@h', kv: 'https://k.test', kw: 1}}, {ONE}"
            ),
            &[
                "endpoints.kv: `kv` is not among the `products` of this account",
                "endpoints.kw: unknown product `kw`; expected one of `rds`, `kv`",
                "endpoints.kw: expected a text, found the integer 1; put it in quotes, as YAML may have changed it",
                &format!("endpoints.rds: {expected}"),
            ],
        );
        check(
            &format!("endpoints: [x], {ONE}"),
            &["endpoints: expected a mapping of products to endpoints, found a list"],
        );
    }
}
