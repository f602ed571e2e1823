//! The JSON body of a Redis operation, and the rules that the pages state for its keys.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use super::refusal::{Refusal, bad_parameter, missing_parameter};

/// Keys of the two listings of backups; `Status` is for the copies only.
const LISTING_KEYS: [&str; 10] = [
    "Scope",
    "InstanceId",
    "StartTime",
    "EndTime",
    "BackupStrategyList",
    "BackupPointName",
    "BackupPointId",
    "ProjectName",
    "PageSize",
    "PageNumber",
];

/// Keys that do something only when the whole account is asked for.
const ACCOUNT_WIDE_KEYS: [&str; 3] = ["BackupPointName", "BackupPointId", "ProjectName"];

/// A listing of backups, where the two operations differ in their rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    CrossRegion,
    Local,
}

/// Whose backups are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    OneInstance(String),
    AccountInstances,
    /// In the vendor's clients, but on no page.
    DestroyedInstances,
}

/// The rows that are asked for; without it all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) number: usize,
    pub(super) size: usize,
}

/// Start and end, both included.
type Range = (DateTime<Utc>, DateTime<Utc>);

/// A listing as it is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) scope: Scope,
    pub(super) page: Option<Page>,
    range: Option<Range>,
    strategies: Vec<String>,
    status: Option<String>,
    name: Option<String>,
    id: Option<String>,
    project: Option<String>,
    /// Rules that are broken without consequences.
    pub(super) notes: Vec<String>,
}

impl Asked {
    pub(super) fn read(listing: Listing, body: Body<'_>) -> Result<Self, Refusal> {
        let mut keys = LISTING_KEYS.to_vec();
        if listing == Listing::CrossRegion {
            keys.push("Status");
        }
        body.only(&keys)?;
        let scope = scope(body)?;
        let mut asked = Self {
            page: page(body)?,
            range: range(body)?,
            strategies: strategies(body)?,
            status: one_of(
                body,
                "Status",
                &["Creating", "Available", "Unavailable", "Deleting"],
            )?,
            name: owned(body.text("BackupPointName")?),
            id: owned(body.text("BackupPointId")?),
            project: owned(body.text("ProjectName")?),
            notes: Vec::new(),
            scope,
        };
        if matches!(asked.scope, Scope::OneInstance(_)) {
            // The page says that they take no effect then, not that they are refused.
            let idle = ACCOUNT_WIDE_KEYS
                .into_iter()
                .filter(|key| body.0.contains_key(*key));
            asked.notes = idle
                .map(|key| format!("{key} takes no effect with Scope OneInstance"))
                .collect();
            (asked.name, asked.id, asked.project) = (None, None, None);
        }
        Ok(asked)
    }

    /// Whether a row is asked for that begins then, by what it says of itself. A row whose start cannot be read is in
    /// every range. What it says is looked at only where that matters.
    pub(super) fn wants(
        &self,
        start: Option<DateTime<Utc>>,
        row: impl FnOnce() -> Map<String, Value>,
    ) -> bool {
        let in_range = match (self.range, start) {
            (Some((from, to)), Some(start)) => from <= start && start <= to,
            _ => true,
        };
        let all =
            self.strategies.is_empty() || self.strategies.iter().any(|one| one == "AllStrategy");
        let has_filter = !all
            || [&self.status, &self.project, &self.name, &self.id]
                .into_iter()
                .any(Option::is_some);
        in_range && (!has_filter || self.lets_pass(&row()))
    }

    fn lets_pass(&self, row: &Map<String, Value>) -> bool {
        let text = |field: &str| row.get(field).and_then(Value::as_str);
        let is = |wanted: &Option<String>, field: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| text(field) == Some(wanted))
        };
        let holds = |wanted: &Option<String>, field: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| text(field).is_some_and(|text| text.contains(wanted)))
        };
        let strategy = text("BackupStrategy").unwrap_or_default();
        let mut strategies = self.strategies.iter();
        (self.strategies.is_empty()
            || strategies.any(|wanted| wanted == strategy || wanted == "AllStrategy"))
            && is(&self.status, "Status")
            && is(&self.project, "ProjectName")
            && holds(&self.name, "BackupPointName")
            && holds(&self.id, "BackupPointId")
    }
}

/// The body with the types that its keys must have. Null counts as another type, because the pages
/// ask to leave out what is not set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Body<'a> {
    /// Refuses every key that the operation does not document.
    pub(super) fn only(self, keys: &[&str]) -> Result<(), Refusal> {
        match self.0.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(unknown) => Err(bad_parameter(format!("unknown key {unknown}"))),
            None => Ok(()),
        }
    }

    /// A text; an empty one is as good as none.
    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(bad_parameter(format!("{key} is {other}, and no string"))),
        }
    }

    pub(super) fn mandatory(self, key: &str) -> Result<&'a str, Refusal> {
        self.text(key)?.ok_or_else(|| missing_parameter(key))
    }

    /// A whole number within these bounds.
    pub(super) fn number(
        self,
        key: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, Refusal> {
        let Some(value) = self.0.get(key) else {
            return Ok(None);
        };
        let number = value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(bad_parameter(format!(
                "{key} is {value}, and no integer from {least} to {most}"
            ))),
        }
    }

    fn texts(self, key: &str) -> Result<Vec<&'a str>, Refusal> {
        let wrong =
            |value: &Value| bad_parameter(format!("{key} is {value}, and no list of strings"));
        match self.0.get(key) {
            None => Ok(Vec::new()),
            Some(list @ Value::Array(entries)) => entries
                .iter()
                .map(|entry| entry.as_str().ok_or_else(|| wrong(list)))
                .collect(),
            Some(other) => Err(wrong(other)),
        }
    }
}

/// `yyyy-MM-ddTHH:mm:ssZ`, and nothing else.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    // The format alone would also accept fewer digits.
    if text.len() != 20 {
        return None;
    }
    let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").ok()?;
    Some(parsed.and_utc())
}

fn scope(body: Body<'_>) -> Result<Scope, Refusal> {
    let instance = body.text("InstanceId")?;
    let alone = |scope: Scope| match instance {
        Some(_) => Err(bad_parameter(
            "InstanceId together with a Scope of many instances",
        )),
        None => Ok(scope),
    };
    match body.text("Scope")?.unwrap_or("OneInstance") {
        "OneInstance" => match instance {
            Some(id) => Ok(Scope::OneInstance(id.to_owned())),
            None => Err(missing_parameter("InstanceId")),
        },
        "AccountInstances" => alone(Scope::AccountInstances),
        "DestroyedInstances" => alone(Scope::DestroyedInstances),
        other => Err(bad_parameter(format!("Scope is {other:?}"))),
    }
}

/// Both keys or neither.
fn page(body: Body<'_>) -> Result<Option<Page>, Refusal> {
    let size = body.number("PageSize", 1, 100)?;
    let number = body.number("PageNumber", 1, i32::MAX as usize)?;
    match (number, size) {
        (Some(number), Some(size)) => Ok(Some(Page { number, size })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing_parameter("PageSize")),
        (None, Some(_)) => Err(missing_parameter("PageNumber")),
    }
}

/// Both ends or neither, the later one last. The pages do not say which time the range is about;
/// here it is the start of the backup, both ends included.
fn range(body: Body<'_>) -> Result<Option<Range>, Refusal> {
    let read = |key: &str| match body.text(key)? {
        None => Ok(None),
        Some(text) => match time(text) {
            Some(time) => Ok(Some(time)),
            None => Err(Refusal::product(
                "TimeFormatInvalid",
                format!("The format of {key} is invalid."),
            )
            .because(format!("{key} is {text:?}"))),
        },
    };
    match (read("StartTime")?, read("EndTime")?) {
        (Some(from), Some(to)) if from < to => Ok(Some((from, to))),
        (Some(from), Some(to)) => Err(Refusal::product(
            "TimeIntervalInvalid",
            "The end time must be later than the start time.",
        )
        .because(format!("EndTime {to} is not after StartTime {from}"))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing_parameter("EndTime")),
        (None, Some(_)) => Err(missing_parameter("StartTime")),
    }
}

fn strategies(body: Body<'_>) -> Result<Vec<String>, Refusal> {
    const KNOWN: [&str; 4] = [
        "ManualBackup",
        "AutomatedBackup",
        "DataFlashBack",
        "AllStrategy",
    ];
    let strategies = body.texts("BackupStrategyList")?;
    match strategies.iter().find(|strategy| !KNOWN.contains(strategy)) {
        Some(unknown) => Err(bad_parameter(format!(
            "BackupStrategyList holds {unknown:?}"
        ))),
        None => Ok(strategies.into_iter().map(str::to_owned).collect()),
    }
}

fn one_of(body: Body<'_>, key: &str, known: &[&str]) -> Result<Option<String>, Refusal> {
    match body.text(key)? {
        Some(text) if !known.contains(&text) => Err(bad_parameter(format!("{key} is {text:?}"))),
        text => Ok(owned(text)),
    }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(listing: Listing, body: &Value) -> Result<Asked, (String, bool)> {
        let refused = |refusal: Refusal| (refusal.code, refusal.violation.is_some());
        Asked::read(listing, Body(body.as_object().unwrap())).map_err(refused)
    }

    fn stated(row: Value) -> Map<String, Value> {
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn what_the_pages_allow_is_understood() {
        let check = |body: Value, scope: Scope, page: Option<(usize, usize)>| {
            for listing in [Listing::CrossRegion, Listing::Local] {
                let asked = asked(listing, &body).unwrap();
                assert_eq!(asked.scope, scope, "{body}");
                let page = page.map(|(number, size)| Page { number, size });
                assert_eq!(asked.page, page, "{body}");
                assert_eq!(asked.notes, Vec::<String>::new());
            }
        };
        let one = || Scope::OneInstance("r".to_owned());
        check(json!({ "InstanceId": "r" }), one(), None);
        check(
            json!({ "InstanceId": "r", "Scope": "OneInstance", "PageNumber": 2, "PageSize": 100 }),
            one(),
            Some((2, 100)),
        );
        check(
            json!({ "Scope": "AccountInstances", "BackupPointName": "", "ProjectName": "default" }),
            Scope::AccountInstances,
            None,
        );
        check(
            json!({ "Scope": "DestroyedInstances", "BackupStrategyList": ["ManualBackup"] }),
            Scope::DestroyedInstances,
            None,
        );
        let body = json!({ "InstanceId": "r", "StartTime": "2025-04-11T08:46:00Z", "EndTime": "2025-04-11T08:46:01Z" });
        check(body, one(), None);
    }

    #[test]
    fn what_the_pages_forbid_is_refused_and_a_violation() {
        let check = |body: Value, code: &str| {
            for listing in [Listing::CrossRegion, Listing::Local] {
                let refused = asked(listing, &body).map(|asked| asked.scope);
                assert_eq!(refused, Err((code.to_owned(), true)), "{body}");
            }
        };
        check(json!({}), "MissingParameter");
        check(json!({ "Scope": "OneInstance" }), "MissingParameter");
        check(json!({ "Scope": "Everything" }), "ParamError");
        check(
            json!({ "Scope": "AccountInstances", "InstanceId": "r" }),
            "ParamError",
        );
        check(json!({ "InstanceId": 5 }), "ParamError");
        check(json!({ "InstanceId": null }), "ParamError");
        check(json!({ "InstanceId": "r", "Region": "x" }), "ParamError");
        check(
            json!({ "InstanceId": "r", "PageSize": 10 }),
            "MissingParameter",
        );
        check(
            json!({ "InstanceId": "r", "PageNumber": 1 }),
            "MissingParameter",
        );
        for (number, size) in [
            (json!(0), json!(10)),
            (json!(1), json!(101)),
            (json!("1"), json!(10)),
        ] {
            let body = json!({ "InstanceId": "r", "PageNumber": number, "PageSize": size });
            check(body, "ParamError");
        }
        let times = |start: &str, end: &str| json!({ "InstanceId": "r", "StartTime": start, "EndTime": end });
        check(times("2025-04-11T08:46:00Z", ""), "MissingParameter");
        check(times("", "2025-04-11T08:46:00Z"), "MissingParameter");
        check(
            times("2025-04-11T08:46Z", "2025-04-11T08:46:00Z"),
            "TimeFormatInvalid",
        );
        check(
            times("2025-04-11T08:46:00Z", "2025-04-11T08:46:00Z"),
            "TimeIntervalInvalid",
        );
        check(
            json!({ "InstanceId": "r", "BackupStrategyList": "ManualBackup" }),
            "ParamError",
        );
        check(
            json!({ "InstanceId": "r", "BackupStrategyList": ["Manual"] }),
            "ParamError",
        );
        check(
            json!({ "InstanceId": "r", "Status": "Failed" }),
            "ParamError",
        );
    }

    #[test]
    fn a_status_can_be_asked_of_copies_only() {
        let body = json!({ "InstanceId": "r", "Status": "Available" });
        assert!(asked(Listing::CrossRegion, &body).is_ok());
        let refused = asked(Listing::Local, &body).map(|asked| asked.scope);
        assert_eq!(refused, Err(("ParamError".to_owned(), true)));
    }

    #[test]
    fn keys_for_the_whole_account_do_nothing_for_one_instance() {
        let body = json!({ "InstanceId": "r", "BackupPointId": "b", "ProjectName": "p" });
        let asked = asked(Listing::Local, &body).unwrap();
        assert_eq!(asked.notes.len(), 2);
        assert!(asked.wants(None, || stated(json!({ "BackupPointId": "x" }))));
    }

    #[test]
    fn rows_are_chosen_by_what_they_say() {
        let row = json!({
            "BackupPointId": "b-cn02abc",
            "BackupPointName": "nightly",
            "BackupStrategy": "AutomatedBackup",
            "ProjectName": "default",
            "StartTime": "2025-04-11T08:46:00Z",
            "Status": "Available",
        });
        let check = |key: &str, value: Value, expected: bool| {
            let mut body = json!({ "Scope": "AccountInstances" });
            body[key] = value.clone();
            if key == "StartTime" {
                body["EndTime"] = json!("2025-05-01T00:00:00Z");
            }
            let asked = asked(Listing::CrossRegion, &body).unwrap();
            let start = row["StartTime"].as_str().and_then(time);
            let wanted = asked.wants(start, || stated(row.clone()));
            assert_eq!(wanted, expected, "{key} {value}");
        };
        check("BackupPointId", json!("02ab"), true);
        check("BackupPointId", json!("02xy"), false);
        check("BackupPointName", json!("night"), true);
        check("ProjectName", json!("def"), false);
        check("ProjectName", json!("default"), true);
        check("Status", json!("Creating"), false);
        check("BackupStrategyList", json!(["ManualBackup"]), false);
        check("BackupStrategyList", json!(["AllStrategy"]), true);
        check("StartTime", json!("2025-04-11T08:46:00Z"), true);
        check("StartTime", json!("2025-04-11T08:46:01Z"), false);
    }
}
