//! The regions of each vendor, as its own lists have them: so that one that is misspelt is told from one that is not. A vendor
//! opens regions, so that one which is missing here is doubted and never refused.

use super::Vendor;

/// Alibaba Cloud's list of regions, those of its finance and government clouds and of its partners included, and the
/// endpoint table of RDS (page "api-rds-2014-08-15-endpoint").
const ALIBABA: [&str; 42] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "cn-beijing",
    "cn-beijing-finance-1",
    "cn-chengdu",
    "cn-fuzhou",
    "cn-guangzhou",
    "cn-hangzhou",
    "cn-hangzhou-finance",
    "cn-heyuan",
    "cn-heyuan-acdr-1",
    "cn-hongkong",
    "cn-huhehaote",
    "cn-nanjing",
    "cn-north-2-gov-1",
    "cn-qingdao",
    "cn-shanghai",
    "cn-shanghai-finance-1",
    "cn-shenzhen",
    "cn-shenzhen-finance-1",
    "cn-wuhan",
    "cn-wuhan-lr",
    "cn-wulanchabu",
    "cn-wulanchabu-acdr-1",
    "cn-zhangjiakou",
    "cn-zhengzhou-jva",
    "cn-zhongwei",
    "eu-central-1",
    "eu-west-1",
    "me-central-1",
    "me-east-1",
    "na-south-1",
    "us-east-1",
    "us-southeast-1",
    "us-west-1",
];

/// The regions that Huawei Cloud's SDKs know for RDS, and `tr-central-201`, which its pages name.
const HUAWEI: [&str; 35] = [
    "ae-ad-1",
    "af-north-1",
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-1",
    "cn-north-11",
    "cn-north-12",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    "eu-west-0",
    "eu-west-101",
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "ru-northwest-2",
    "sa-brazil-1",
    "tr-central-201",
    "tr-west-1",
];

/// The regions of Volcengine's endpoint table for Redis (document 65743), and those that its SDKs know besides.
const VOLCENGINE: [&str; 10] = [
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "cn-beijing",
    "cn-beijing-autodriving",
    "cn-beijing-selfdrive",
    "cn-guangzhou",
    "cn-hongkong",
    "cn-shanghai",
    "cn-shanghai-autodriving",
];

/// What one may have meant by a region that the vendor is not known to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// It is a zone of this region.
    ZoneOf(&'static str),
    /// These are spelled nearly so; never empty.
    OneOf(Vec<&'static str>),
    /// Another vendor has it.
    At(Vendor),
    /// Nothing is like it.
    Unknown,
}

/// So many letters at the most are wrong in a region that is misspelt.
const MOST_TYPOS: usize = 2;

impl Vendor {
    /// The regions that the vendor is known to have, in the order of their names.
    pub const fn regions(self) -> &'static [&'static str] {
        match self {
            Self::Alibaba => &ALIBABA,
            Self::Huawei => &HUAWEI,
            Self::Volcengine => &VOLCENGINE,
        }
    }

    /// What was meant by this region; `None` where the vendor is known to have it.
    pub fn meant_by(self, region: &str) -> Option<Meant> {
        if self.has(region) {
            return None;
        }
        if let Some(whole) = self.region_of_zone(region) {
            return Some(Meant::ZoneOf(whole));
        }
        let mut others = Self::ALL.into_iter();
        if let Some(other) = others.find(|other| other.has(region)) {
            return Some(Meant::At(other));
        }
        let near = self.nearest_to(region);
        Some(if near.is_empty() {
            Meant::Unknown
        } else {
            Meant::OneOf(near)
        })
    }

    fn has(self, region: &str) -> bool {
        self.regions().contains(&region)
    }

    /// The region of a zone: `cn-hangzhou-h`, `ap-southeast-1a`.
    fn region_of_zone(self, zone: &str) -> Option<&'static str> {
        let mut known = self.regions().iter().copied();
        known.find(|region| {
            let zone = zone.strip_prefix(region).unwrap_or_default();
            let letter = zone.strip_prefix('-').unwrap_or(zone);
            letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    }

    /// The regions from which this one differs by the fewest letters, if by few.
    fn nearest_to(self, region: &str) -> Vec<&'static str> {
        // Measuring takes long where a name is long, and a region is not.
        const LONGEST: usize = 40;
        if region.len() > LONGEST {
            return Vec::new();
        }
        let known = self.regions().iter();
        let measured = known.map(|known| (strsim::damerau_levenshtein(region, known), *known));
        let near: Vec<_> = measured.filter(|(typos, _)| *typos <= MOST_TYPOS).collect();
        let fewest = near.iter().map(|(typos, _)| *typos).min();
        let nearest = near.into_iter().filter(|(typos, _)| Some(*typos) == fewest);
        nearest.map(|(_, known)| known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::is_region;

    use Vendor::{Alibaba, Huawei, Volcengine};

    #[test]
    fn the_tables_are_in_order_and_hold_regions_only() {
        for vendor in Vendor::ALL {
            let regions = vendor.regions();
            assert!(regions.is_sorted_by(|one, next| one < next), "{vendor:?}");
            assert!(regions.iter().all(|region| is_region(region)));
            for region in regions {
                assert_eq!(vendor.meant_by(region), None, "{region}");
            }
        }
    }

    #[test]
    fn a_region_that_the_vendor_does_not_have_is_told_with_what_was_meant() {
        let one_of = |regions: &[&'static str]| Meant::OneOf(regions.to_vec());
        for (vendor, region, expected) in [
            (Alibaba, "cn-hangzou", one_of(&["cn-hangzhou"])),
            (Alibaba, "cn-hanghzou", one_of(&["cn-hangzhou"])),
            (Alibaba, "cn-hangzhou-1", one_of(&["cn-hangzhou"])),
            (Alibaba, "cn-shangai", one_of(&["cn-shanghai"])),
            (Alibaba, "eu-central1", one_of(&["eu-central-1"])),
            (Alibaba, "us-west-2", one_of(&["us-west-1"])),
            (Alibaba, "cn-hangzhou-h", Meant::ZoneOf("cn-hangzhou")),
            (Alibaba, "ap-southeast-1a", Meant::ZoneOf("ap-southeast-1")),
            (Alibaba, "cn-north-4", Meant::At(Huawei)),
            (Alibaba, "cn-beijing-selfdrive", Meant::At(Volcengine)),
            (Alibaba, "mars-1", Meant::Unknown),
            (Alibaba, "", Meant::Unknown),
            (Huawei, "cn-north-4a", Meant::ZoneOf("cn-north-4")),
            (Huawei, "cn-hangzhou", Meant::At(Alibaba)),
            (Huawei, "cn-eastt-3", one_of(&["cn-east-3"])),
            (
                Huawei,
                "cn-south-3",
                one_of(&["cn-south-1", "cn-south-2", "cn-south-4"]),
            ),
            (Volcengine, "cn-beijing-a", Meant::ZoneOf("cn-beijing")),
            (Volcengine, "cn-beijin", one_of(&["cn-beijing"])),
            (Volcengine, "cn-north-4", Meant::At(Huawei)),
        ] {
            assert_eq!(vendor.meant_by(region), Some(expected), "{region}");
        }
        assert_eq!(
            Alibaba.meant_by(&"cn-hangzhou".repeat(5)),
            Some(Meant::Unknown)
        );
    }
}
