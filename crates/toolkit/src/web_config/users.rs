//! `basic_auth_users`: user names and the bcrypt hashes of their passwords.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::secret::Secret;
use crate::yaml::problem::Report;
use crate::yaml::raw::{Node, Read, Told};

/// The bcrypt hash of each user's password.
pub type Users = BTreeMap<String, Secret>;

/// At cost 18 a check takes seconds. Each step doubles that; 31 would take days.
const MOST_COST: u32 = 18;

pub(super) fn read_users(node: &Node<'_>, report: &mut Report) -> Read<Users> {
    let expected = "a mapping of user names to bcrypt hashes";
    let mut users = Users::new();
    for (name, hash) in node.entries(expected, report)? {
        // In a request the name ends at the first colon.
        if name.contains(':') || name.chars().any(char::is_control) {
            let what = "a user name must not have colons or control characters";
            let Told = hash.place.complain(what, report);
            continue;
        }
        let Ok(text) = hash.hidden_text("the bcrypt hash of a password", report) else {
            continue;
        };
        match check(text) {
            Ok(()) => {
                users.insert(name.to_owned(), Secret::new(text.to_owned()));
            }
            Err(what) => {
                let Told = hash.place.complain(what, report);
            }
        }
    }
    Ok(users)
}

/// Checks a hash. A problem never repeats the text, which may be the password itself.
fn check(hash: &str) -> Result<(), String> {
    let malformed = "expected the bcrypt hash of a password, as `htpasswd -nBC 10 \"\"` prints it; \
                     found another text, not repeated as it may be a password";
    let is_known = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| hash.starts_with(prefix));
    if !is_known {
        return Err(malformed.to_owned());
    }
    let parts = bcrypt::HashParts::from_str(hash).map_err(|_| malformed.to_owned())?;
    let cost = parts.get_cost();
    if !(4..=MOST_COST).contains(&cost) {
        return Err(format!(
            "expected a hash with a cost from 4 to {MOST_COST}, found {cost}"
        ));
    }
    Ok(())
}
