//! The section `credentials` of an account.

use super::super::raw::{KeyNames, Mapping, Node, Read};
use super::super::{CredentialsConfig, SecretSource};
use super::Lowering;

pub(crate) const CREDENTIALS_KEYS: [&str; 6] = [
    "access_key_id",
    "access_key_id_file",
    "access_key_secret",
    "access_key_secret_file",
    "security_token",
    "security_token_file",
];

impl Lowering<'_> {
    /// Reads how an account signs.
    pub(super) fn credentials(&mut self, account: &Mapping<'_>) -> Read<CredentialsConfig> {
        let Some(node) = account.get("credentials") else {
            return Ok(CredentialsConfig::Standard);
        };
        let mapping = node.mapping(&CREDENTIALS_KEYS, KeyNames::Guarded, &mut self.report)?;
        let access_key_id = self.secret(&mapping, "access_key_id", "access_key_id_file");
        let access_key_secret =
            self.secret(&mapping, "access_key_secret", "access_key_secret_file");
        let security_token = self.secret(&mapping, "security_token", "security_token_file");
        let secrets = [&access_key_id, &access_key_secret, &security_token];
        if secrets.iter().all(|secret| matches!(secret, Ok(None))) {
            return Ok(CredentialsConfig::Standard);
        }
        let access_key_id = self.needed(&mapping, "access_key_id", access_key_id);
        let access_key_secret = self.needed(&mapping, "access_key_secret", access_key_secret);
        Ok(CredentialsConfig::Keys {
            access_key_id: access_key_id?,
            access_key_secret: access_key_secret?,
            security_token: security_token?,
        })
    }

    fn needed(
        &mut self,
        credentials: &Mapping<'_>,
        key: &str,
        secret: Read<Option<SecretSource>>,
    ) -> Read<SecretSource> {
        let expected = format!("this or `{key}_file`, as other credentials are given");
        match secret? {
            Some(secret) => Ok(secret),
            None => Err(credentials.missing(key, &expected, &mut self.report)),
        }
    }

    /// Reads one secret under either of its keys, if one is there.
    ///
    /// A null is an empty secret here, not an absent one: it is what a template makes of a value that it lacks, and
    /// then other credentials than those that were meant would be used without a word.
    fn secret(
        &mut self,
        credentials: &Mapping<'_>,
        key: &str,
        file_key: &str,
    ) -> Read<Option<SecretSource>> {
        let inline = credentials.get_even_null(key);
        let file = credentials.get_even_null(file_key);
        if let (Some(_), Some(file)) = (&inline, &file) {
            let what = format!("`{key}` is given too; expected one of the two");
            file.place.complain(what, &mut self.report);
        }
        let inline = inline.map(|node| node.secret(&mut self.report).map(SecretSource::Inline));
        let file = file.map(|node| self.secret_file(&node));
        inline.or(file).transpose()
    }

    fn secret_file(&mut self, node: &Node<'_>) -> Read<SecretSource> {
        let expected = "the path of a file";
        let path = node.text(expected, &mut self.report)?;
        if path.is_empty() {
            let what = format!("expected {expected}, found an empty text");
            return Err(node.place.complain(what, &mut self.report));
        }
        let source = SecretSource::File(self.folder.join(path));
        match source.read() {
            Ok(_) => Ok(source),
            Err(error) => Err(node.place.complain(error.to_string(), &mut self.report)),
        }
    }
}
