//! Where the IAM of a region is: it changes tokens into keys, and knows the projects.

/// The endpoint. Some regions have none of their own, and the SDK sends them to the one for all; that would be the wrong
/// partition for the European site, which has its own.
pub(super) fn of_region(region: &str) -> String {
    match region {
        "eu-west-101" => "https://iam.eu-west-101.myhuaweicloud.eu".to_owned(),
        "" | "af-north-1" | "ap-southeast-5" | "cn-north-11" | "cn-south-4" | "cn-southwest-3"
        | "ru-northwest-2" => "https://iam.myhuaweicloud.com".to_owned(),
        region => format!("https://iam.{region}.myhuaweicloud.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_own_iam_or_the_one_for_all() {
        for (region, expected) in [
            ("cn-north-4", "https://iam.cn-north-4.myhuaweicloud.com"),
            ("af-north-1", "https://iam.myhuaweicloud.com"),
            ("eu-west-101", "https://iam.eu-west-101.myhuaweicloud.eu"),
            ("", "https://iam.myhuaweicloud.com"),
        ] {
            assert_eq!(of_region(region), expected);
        }
    }
}
