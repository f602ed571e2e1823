//! Overrides from the environment: `CLOUD_BACKUP_EXPORTER__POLL__INTERVAL=1m` stands for `poll.interval`.
//!
//! Not `config::Environment`: it knows no lists, and makes a table of each list that it is to change.

use config::{Map, Value, ValueKind};

use super::key_path::KeyPath;
use super::problem::Report;
use super::raw::told_from;

/// What every variable begins with that is meant for this program. With a single `_` it is not: Kubernetes sets
/// `CLOUD_BACKUP_EXPORTER_PORT` and more for a service of this name.
const PREFIX: &str = "CLOUD_BACKUP_EXPORTER__";

const SEPARATOR: &str = "__";

/// A whole configuration is seven names deep; the tree is dropped by recursion.
const MOST_SEGMENTS: usize = 16;

/// Puts the variables that are meant for this program into the tree.
pub(super) fn merge(
    tree: &mut Value,
    environment: impl IntoIterator<Item = (String, String)>,
    report: &mut Report,
) {
    let mut overrides: Vec<Override> = environment
        .into_iter()
        .filter_map(|(variable, text)| Override::new(variable, text))
        .collect();
    // The environment has no order. In this one `…__9` comes before `…__10`, and a list grows from its end.
    overrides
        .sort_by(|left, right| (&left.place, &left.variable).cmp(&(&right.place, &right.variable)));
    let mut before: Option<&Override> = None;
    for change in &overrides {
        match before {
            Some(before) if before.place == change.place => {
                change.complain(
                    &change.place,
                    &format!("{} says this too", before.variable),
                    report,
                );
            }
            _ => change.apply(tree, report),
        }
        before = Some(change);
    }
}

/// One variable that is meant for this program.
struct Override {
    variable: String,
    segments: Vec<String>,
    place: KeyPath,
    text: String,
}

impl Override {
    fn new(variable: String, text: String) -> Option<Self> {
        let path = variable.strip_prefix(PREFIX)?.to_lowercase();
        let segments: Vec<String> = path.split(SEPARATOR).map(str::to_owned).collect();
        let place =
            segments
                .iter()
                .take(MOST_SEGMENTS)
                .fold(KeyPath::default(), |place, segment| match index(segment) {
                    Some(index) => place.index(index),
                    None => place.key(segment),
                });
        Some(Self {
            variable,
            segments,
            place,
            text,
        })
    }

    fn apply(&self, tree: &mut Value, report: &mut Report) {
        if self.segments.len() > MOST_SEGMENTS {
            return self.complain(&self.place, "no key is so deep", report);
        }
        if self.segments.iter().any(String::is_empty) {
            return self.complain(&self.place, "a name between two `__` is empty", report);
        }
        let mut place = KeyPath::default();
        let mut value = tree;
        for segment in &self.segments {
            let Some(inner) = self.step(value, segment, &mut place, report) else {
                return;
            };
            value = inner;
        }
        *value = Value::new(Some(&self.variable), self.text.clone());
    }

    /// Goes one level down, to a value that is made if there is none.
    fn step<'a>(
        &self,
        value: &'a mut Value,
        segment: &str,
        place: &mut KeyPath,
        report: &mut Report,
    ) -> Option<&'a mut Value> {
        if value.kind == ValueKind::Nil {
            let kind = match index(segment) {
                Some(_) => ValueKind::Array(Vec::new()),
                None => ValueKind::Table(Map::new()),
            };
            *value = Value::new(Some(&self.variable), kind);
        }
        let origin = value.origin().map(told_from).unwrap_or_default();
        match (&mut value.kind, index(segment)) {
            (ValueKind::Table(table), _) => {
                *place = place.key(segment);
                Some(table.entry(segment.to_owned()).or_default())
            }
            (ValueKind::Array(array), Some(index)) => {
                let length = array.len();
                if index > length {
                    let what =
                        format!("the next element of this list would have the index {length}");
                    self.complain(&place.index(index), &what, report);
                    return None;
                }
                if index == length {
                    array.push(Value::default());
                }
                *place = place.index(index);
                array.get_mut(index)
            }
            (ValueKind::Array(_), None) => {
                let what = "this is an element of a list; expected its index, such as `0`";
                self.complain(&place.key(segment), what, report);
                None
            }
            (_, _) => {
                let what =
                    format!("there is a single value already{origin}, which cannot hold another");
                self.complain(place, &what, report);
                None
            }
        }
    }

    fn complain(&self, place: &KeyPath, what: &str, report: &mut Report) {
        report.add(place, format!("{what}{}", told_from(&self.variable)));
    }
}

/// The index that a segment stands for. More digits than any list has elements are no index, but a strange name.
fn index(segment: &str) -> Option<usize> {
    let is_number = segment.bytes().all(|byte| byte.is_ascii_digit());
    segment.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document;

    /// Merges into a tree, and compares problems, and one text afterwards.
    fn check(yaml: &str, environment: &[(&str, &str)], expected: &[&str]) -> Value {
        let mut tree = document::parse(yaml, "accounts").unwrap();
        let mut report = Report::default();
        let environment = environment
            .iter()
            .map(|(variable, text)| ((*variable).to_owned(), (*text).to_owned()));
        merge(&mut tree, environment, &mut report);
        let problems: Vec<String> = report
            .into_problems()
            .0
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(problems, expected);
        tree
    }

    fn shown(value: &Value) -> String {
        match &value.kind {
            ValueKind::Table(table) => {
                let mut entries: Vec<String> = table
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", shown(value)))
                    .collect();
                entries.sort();
                format!("{{{}}}", entries.join(", "))
            }
            ValueKind::Array(array) => {
                format!(
                    "[{}]",
                    array.iter().map(shown).collect::<Vec<_>>().join(", ")
                )
            }
            scalar => scalar.to_string(),
        }
    }

    #[test]
    fn a_variable_replaces_or_adds_one_value() {
        let check = |yaml: &str, environment: &[(&str, &str)], expected: &str| {
            assert_eq!(shown(&check(yaml, environment, &[])), expected);
        };
        let interval = ("CLOUD_BACKUP_EXPORTER__POLL__INTERVAL", "1m");
        check("{}", &[interval], "{poll: {interval: 1m}}");
        check("poll:", &[interval], "{poll: {interval: 1m}}");
        check(
            "poll: {interval: 5m, timeout: 1s}",
            &[interval],
            "{poll: {interval: 1m, timeout: 1s}}",
        );
        check(
            "a: [x, y]",
            &[("CLOUD_BACKUP_EXPORTER__A__1", "z")],
            "{a: [x, z]}",
        );
        check("a: [x, y]", &[("CLOUD_BACKUP_EXPORTER__A", "z")], "{a: z}");
        check(
            "accounts: [{instances: [{id: a}]}]",
            &[(
                "CLOUD_BACKUP_EXPORTER__ACCOUNTS__0__INSTANCES__1__REGION",
                "r",
            )],
            "{accounts: [{instances: [{id: a}, {region: r}]}]}",
        );
        // In the order of the texts, 10 would come before 9 and be past the end.
        let names: Vec<String> = (0..=10)
            .map(|index| format!("CLOUD_BACKUP_EXPORTER__A__{index}"))
            .collect();
        let all: Vec<(&str, &str)> = names
            .iter()
            .rev()
            .map(|name| (name.as_str(), "x"))
            .collect();
        check("{}", &all, "{a: [x, x, x, x, x, x, x, x, x, x, x]}");
    }

    #[test]
    fn variables_of_other_programs_are_ignored() {
        let tree = check(
            "{}",
            &[
                ("PATH", "/bin"),
                ("CLOUD_BACKUP_EXPORTER_PORT", "tcp://10.0.0.1:9100"),
                ("cloud_backup_exporter__poll__interval", "1m"),
                ("CLOUD_BACKUP_EXPORTER", "x"),
                ("", ""),
            ],
            &[],
        );
        assert_eq!(shown(&tree), "{}");
    }

    #[test]
    fn a_variable_that_fits_nowhere_is_told() {
        check(
            "a: [x]\npoll: 5",
            &[
                ("CLOUD_BACKUP_EXPORTER__A__2", "x"),
                ("CLOUD_BACKUP_EXPORTER__A__B", "x"),
                ("CLOUD_BACKUP_EXPORTER__POLL__INTERVAL", "x"),
                ("CLOUD_BACKUP_EXPORTER__B____C", "x"),
                ("CLOUD_BACKUP_EXPORTER__C", "x"),
                ("CLOUD_BACKUP_EXPORTER__C__D", "x"),
                ("CLOUD_BACKUP_EXPORTER__E", "x"),
                ("CLOUD_BACKUP_EXPORTER__e", "y"),
            ],
            &[
                "a.b: this is an element of a list; expected its index, such as `0` \
                 (from the environment variable CLOUD_BACKUP_EXPORTER__A__B)",
                "a[2]: the next element of this list would have the index 1 \
                 (from the environment variable CLOUD_BACKUP_EXPORTER__A__2)",
                "b..c: a name between two `__` is empty (from the environment variable CLOUD_BACKUP_EXPORTER__B____C)",
                "c: there is a single value already (from the environment variable CLOUD_BACKUP_EXPORTER__C), \
                 which cannot hold another (from the environment variable CLOUD_BACKUP_EXPORTER__C__D)",
                "e: CLOUD_BACKUP_EXPORTER__E says this too (from the environment variable CLOUD_BACKUP_EXPORTER__e)",
                "poll: there is a single value already, which cannot hold another \
                 (from the environment variable CLOUD_BACKUP_EXPORTER__POLL__INTERVAL)",
            ],
        );
    }

    #[test]
    fn a_variable_cannot_exhaust_stack_or_memory() {
        let deep = format!("CLOUD_BACKUP_EXPORTER{}", "__A".repeat(100_000));
        let mut tree = document::parse("a: []", "accounts").unwrap();
        let mut report = Report::default();
        let far = "CLOUD_BACKUP_EXPORTER__A__18446744073709551615".to_owned();
        let farther = "CLOUD_BACKUP_EXPORTER__A__99999999999999999999".to_owned();
        merge(
            &mut tree,
            [
                (deep, String::new()),
                (far, String::new()),
                (farther, String::new()),
            ],
            &mut report,
        );
        let problems = report.into_problems().0;
        assert_eq!(problems.len(), 3);
        assert!(
            problems
                .iter()
                .all(|problem| problem.to_string().len() < 500)
        );
        assert_eq!(shown(&tree), "{a: []}");
    }
}
