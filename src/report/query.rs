//! Which instances are shown, in which order: the parameters that the status page and `/api/v1/instances` share.

use url::form_urlencoded::{Serializer, parse};

use crate::metrics::Assessed;
use crate::posture::State;

/// Longer texts match nothing that exists.
const LONGEST_FILTER: usize = 200;

/// A parsed query string. What cannot be understood is left out and noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `q`: words that all have to be found.
    pub filter: String,
    /// `state`: only instances of which this holds.
    pub state: Option<State>,
    /// `sort`: the order.
    pub sort: Option<Sort>,
    /// `instance`: only this id.
    pub instance: Option<String>,
    /// `page`: from 1.
    pub page: Option<usize>,
    /// `sets`: whether the single sets are wanted.
    pub sets: bool,
    /// What was not understood, in words.
    pub problems: Vec<String>,
}

/// An order of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// What needs somebody most comes first.
    State,
    /// The oldest recovery point comes first, after those without any.
    Age,
    /// By name, else by id.
    Name,
}

impl Sort {
    /// Every order, the page's own first.
    pub const ALL: [Self; 3] = [Self::State, Self::Age, Self::Name];

    /// Its name in queries.
    pub const fn label(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Age => "age",
            Self::Name => "name",
        }
    }
}

impl Query {
    /// Reads a query string. Parameters that are not known are passed over, as everywhere on the web; values that are not
    /// are noted.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in parse(text.as_bytes()) {
            let value = value.trim();
            match &*name {
                // The form sends what was left empty as well.
                _ if value.is_empty() => {}
                "q" => {
                    let filter: String = value.chars().take(LONGEST_FILTER).collect();
                    // A link to the same page would lose what is blank at the end.
                    filter.trim_end().clone_into(&mut query.filter);
                    if value.len() > query.filter.len() {
                        query.note("q", &format!("has more than {LONGEST_FILTER} characters"));
                    }
                }
                "instance" => query.instance = Some(value.to_owned()),
                "state" => {
                    query.state = State::from_label(value);
                    if query.state.is_none() {
                        query.note("state", &one_of(value, &State::ALL.map(State::label)));
                    }
                }
                "sort" => {
                    query.sort = Sort::ALL.into_iter().find(|sort| sort.label() == value);
                    if query.sort.is_none() {
                        query.note("sort", &one_of(value, &Sort::ALL.map(Sort::label)));
                    }
                }
                "page" => {
                    query.page = value.parse().ok().filter(|page| *page > 0);
                    if query.page.is_none() {
                        query.note(
                            "page",
                            &format!("is {value:?}, which is no number of a page"),
                        );
                    }
                }
                "sets" => {
                    query.sets = value == "true";
                    if !matches!(value, "true" | "false") {
                        query.note("sets", &one_of(value, &["true", "false"]));
                    }
                }
                _ => {}
            }
        }
        query
    }

    fn note(&mut self, name: &str, what: &str) {
        self.problems.push(format!("{name} {what}"));
    }

    /// The query string that asks for this, with its question mark.
    pub fn link(&self) -> String {
        let mut link = Serializer::new(String::new());
        let page = self
            .page
            .filter(|page| *page > 1)
            .map(|page| page.to_string());
        for (name, value) in [
            ("q", Some(self.filter.as_str())),
            ("state", self.state.map(State::label)),
            ("sort", self.sort.map(Sort::label)),
            ("instance", self.instance.as_deref()),
            ("page", page.as_deref()),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                link.append_pair(name, value);
            }
        }
        format!("?{}", link.finish())
    }

    /// The instances that are asked for, in the order that is asked for, else in that of `sort`, else in their own.
    pub fn select<'a>(&self, instances: &'a [Assessed], sort: Option<Sort>) -> Vec<&'a Assessed> {
        let filter = self.filter.to_lowercase();
        let words: Vec<_> = filter.split_whitespace().collect();
        let is_asked_for = |instance: &&Assessed| {
            let id = &*instance.facts.target.key.instance_id;
            self.instance.as_ref().is_none_or(|wanted| wanted == id)
                && self
                    .state
                    .is_none_or(|state| instance.posture.states().contains(&state))
                && (words.is_empty() || has_all(instance, &words))
        };
        let mut selected: Vec<_> = instances.iter().filter(is_asked_for).collect();
        match self.sort.or(sort) {
            None => {}
            Some(Sort::Name) => selected.sort_by_cached_key(|instance| name(instance)),
            Some(Sort::Age) => selected.sort_by_cached_key(|instance| {
                (instance.posture.furthest_behind(), name(instance))
            }),
            Some(Sort::State) => selected.sort_by_cached_key(|instance| {
                let posture = &instance.posture;
                // What nobody wants copied is less of a surprise than a copy that does not come.
                let is_unprotected = posture.protected == Some(false);
                // Among healthy instances age says nothing.
                let age = Some(posture.furthest_behind()).filter(|_| !posture.troubles.is_empty());
                (posture.state().rank(), is_unprotected, age, name(instance))
            }),
        }
        selected
    }
}

fn one_of(value: &str, known: &[&str]) -> String {
    let value: String = value.chars().take(LONGEST_FILTER).collect();
    format!("is {value:?}, and has to be one of {}", known.join(", "))
}

fn name(Assessed { facts, posture }: &Assessed) -> (String, String) {
    let id = &facts.target.key.instance_id;
    let name = if posture.name.is_empty() {
        id
    } else {
        &*posture.name
    };
    (name.to_lowercase(), id.to_string())
}

/// Whether each word is part of something by which one would look for an instance.
fn has_all(Assessed { facts, posture }: &Assessed, words: &[&str]) -> bool {
    let key = &facts.target.key;
    let places = posture
        .copies
        .iter()
        .map(|copy| copy.place.backup_region.as_str());
    let regions = posture.expected_regions.iter().map(String::as_str);
    let known: Vec<_> = [
        &*key.instance_id,
        &posture.name,
        &key.account,
        &key.source_region,
        key.provider,
        &posture.engine,
        &posture.engine_version,
    ]
    .into_iter()
    .chain(places)
    .chain(regions)
    .map(str::to_lowercase)
    .collect();
    words
        .iter()
        .all(|word| known.iter().any(|known| known.contains(word)))
}
