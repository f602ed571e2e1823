//! Which hosts answer for a region, after the endpoint lists of Huawei's SDKs.

/// The one region outside of the common domain.
const EUROPE: &str = "eu-west-101";

/// RDS in a region.
pub(super) fn rds(region: &str) -> String {
    let domain = domain(region);
    format!("https://rds.{region}.{domain}")
}

/// Regions that Huawei's SDKs ask the global host of IAM about.
const AT_THE_GLOBAL_IAM: [&str; 6] = [
    "af-north-1",
    "ap-southeast-5",
    "cn-north-11",
    "cn-south-4",
    "cn-southwest-3",
    "ru-northwest-2",
];

/// IAM for a region, or for none. The SDKs send the European one to the global host as well, which belongs to another partition; it
/// has a host of its own.
pub(super) fn iam(region: &str) -> String {
    if region.is_empty() || AT_THE_GLOBAL_IAM.contains(&region) {
        return "https://iam.myhuaweicloud.com".to_owned();
    }
    let domain = domain(region);
    format!("https://iam.{region}.{domain}")
}

fn domain(region: &str) -> &'static str {
    if region == EUROPE {
        "myhuaweicloud.eu"
    } else {
        "myhuaweicloud.com"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_hosts() {
        assert_eq!(
            rds("cn-north-4"),
            "https://rds.cn-north-4.myhuaweicloud.com"
        );
        assert_eq!(
            iam("cn-north-4"),
            "https://iam.cn-north-4.myhuaweicloud.com"
        );
        assert_eq!(iam("cn-south-4"), "https://iam.myhuaweicloud.com");
        assert_eq!(
            rds("eu-west-101"),
            "https://rds.eu-west-101.myhuaweicloud.eu"
        );
        assert_eq!(
            iam("eu-west-101"),
            "https://iam.eu-west-101.myhuaweicloud.eu"
        );
    }
}
