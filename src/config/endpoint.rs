//! Where an account's requests go when its configuration says so.

/// `scheme://host[:port][/path]`, in which `{region}` stands for the region that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointTemplate(String);

impl EndpointTemplate {
    /// Checks a template: `http` or `https`, a host, perhaps a path, no query and no user. The path is signed as it is
    /// sent, so whatever takes it away has to sign anew.
    ///
    /// # Errors
    /// Says in words what was expected, and never repeats the template: it may hold a password.
    pub fn parse(template: &str) -> Result<Self, String> {
        let expected = "expected `https://host[:port][/path]` or the like with `http`, in which `{region}` is filled in";
        let template = template.strip_suffix('/').unwrap_or(template);
        let filled_in = template.replace("{region}", "region");
        // `Url` repairs what a browser would repair: it drops line breaks and turns `\` around. The template is used
        // as it is written, so what would need a repair is refused.
        let repaired = |character: char| {
            character.is_whitespace() || character.is_control() || matches!(character, '\\' | '@')
        };
        if filled_in.contains(repaired) {
            return Err(expected.to_owned());
        }
        if filled_in.contains(['{', '}']) {
            return Err(format!("`{{region}}` is the only placeholder; {expected}"));
        }
        let url = url::Url::parse(&filled_in).map_err(|error| format!("{error}; {expected}"))?;
        let plain = matches!(url.scheme(), "http" | "https")
            && (template.starts_with("http://") || template.starts_with("https://"))
            && url.has_host()
            && !template.ends_with('/')
            && is_plain_path(url.path())
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if plain {
            Ok(Self(template.to_owned()))
        } else {
            Err(expected.to_owned())
        }
    }

    /// The endpoint of a region, without a slash at the end.
    pub fn for_region(&self, region: &str) -> String {
        self.0.replace("{region}", region)
    }
}

/// Whether the path is the same in every spelling: no empty segment, nothing that has to be encoded.
fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    !path.contains("//") && path.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host() {
        let check = |template: &str, expected: Option<&str>| {
            let endpoint = EndpointTemplate::parse(template).ok();
            let endpoint = endpoint.map(|endpoint| endpoint.for_region("cn-hangzhou"));
            assert_eq!(endpoint.as_deref(), expected, "{template:?}");
        };
        check("https://rds.aliyuncs.com", Some("https://rds.aliyuncs.com"));
        check(
            "https://rds.aliyuncs.com/",
            Some("https://rds.aliyuncs.com"),
        );
        check(
            "https://rds-vpc.{region}.aliyuncs.com",
            Some("https://rds-vpc.cn-hangzhou.aliyuncs.com"),
        );
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080"));
        check(
            "http://127.0.0.1:8080/clouds/{region}/",
            Some("http://127.0.0.1:8080/clouds/cn-hangzhou"),
        );
        check("http://[::1]:8080", Some("http://[::1]:8080"));
        for refused in [
            "",
            "rds.aliyuncs.com",
            "ftp://rds.aliyuncs.com",
            "https://",
            "https:/rds.aliyuncs.com",
            "https:\\\\rds.aliyuncs.com",
            "https://rds.aliyuncs.com/a path",
            "https://rds.aliyuncs.com/a%20path",
            "https://rds.aliyuncs.com/a//path",
            "https://rds.aliyuncs.com/path//",
            "https://rds.aliyuncs.com//",
            "https://rds.aliyuncs.com?query",
            "https://rds.aliyuncs.com#fragment",
            "https://user:password@rds.aliyuncs.com",
            "https://@rds.aliyuncs.com",
            "https://rds.{zone}.aliyuncs.com",
            "https://rds.{region.aliyuncs.com",
            "https://rds.\naliyuncs.com",
            " https://rds.aliyuncs.com",
            "https://rds.aliyuncs.com:99999",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn an_endpoint_with_a_password_is_not_repeated() {
        let problem = EndpointTemplate::parse("https://user:hunter2@host").unwrap_err();
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
