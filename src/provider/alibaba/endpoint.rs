//! Which host answers for a region, after Alibaba's endpoint table for RDS (page "api-rds-2014-08-15-endpoint", November 2025).

/// The regions that share the central endpoint. The SDK's own map is longer and differs from the table for
/// `ap-southeast-1`, `us-east-1` and `us-west-1`, which have endpoints of their own; we follow the table.
const CENTRAL: [&str; 11] = [
    "cn-beijing",
    "cn-beijing-finance-1",
    "cn-hangzhou",
    "cn-heyuan",
    "cn-hongkong",
    "cn-north-2-gov-1",
    "cn-qingdao",
    "cn-shanghai",
    "cn-shanghai-finance-1",
    "cn-shenzhen",
    "cn-wuhan",
];

/// The public endpoint of RDS for the region of an instance. Its copies in other regions are asked for here as well.
pub(super) fn of_region(region: &str) -> String {
    if CENTRAL.contains(&region) {
        "https://rds.aliyuncs.com".to_owned()
    } else if region == "cn-hangzhou-finance" {
        "https://rds-vpc.cn-hangzhou-finance.aliyuncs.com".to_owned()
    } else {
        format!("https://rds.{region}.aliyuncs.com")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_asked_at_the_endpoint_of_the_vendors_table() {
        for (region, expected) in [
            ("cn-hangzhou", "https://rds.aliyuncs.com"),
            ("cn-hongkong", "https://rds.aliyuncs.com"),
            ("ap-southeast-1", "https://rds.ap-southeast-1.aliyuncs.com"),
            ("us-west-1", "https://rds.us-west-1.aliyuncs.com"),
            ("cn-zhangjiakou", "https://rds.cn-zhangjiakou.aliyuncs.com"),
            ("eu-central-1", "https://rds.eu-central-1.aliyuncs.com"),
            (
                "cn-shenzhen-finance-1",
                "https://rds.cn-shenzhen-finance-1.aliyuncs.com",
            ),
            (
                "cn-hangzhou-finance",
                "https://rds-vpc.cn-hangzhou-finance.aliyuncs.com",
            ),
            // A region that was opened after this was written.
            ("cn-moon-1", "https://rds.cn-moon-1.aliyuncs.com"),
        ] {
            assert_eq!(of_region(region), expected, "{region}");
        }
    }
}
