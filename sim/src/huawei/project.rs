//! Projects: how this vendor divides an account, first by region. Every region has one without
//! anybody's doing; a customer may make more below it, whose names begin with the region's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::route::looks_like_a_region;
use crate::world::{Account, Project, Vendor, World, draw};

/// Regions in which the vendor's clients know the database service.
const REGIONS: [&str; 34] = [
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
    "tr-west-1",
];

/// Id of the project that an account has in a region, and of any other that states none: made up,
/// and always the same.
pub fn project_id(account: &str, name: &str) -> String {
    digits(&format!("{account}/{name}"), "project")
}

/// Id of the account itself.
pub(super) fn domain_id(account: &str) -> String {
    digits(account, "domain")
}

/// 32 hexadecimal digits.
fn digits(id: &str, purpose: &str) -> String {
    format!("{:016x}{:016x}", draw(id, 0, purpose), draw(id, 1, purpose))
}

/// A project that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) enabled: bool,
}

impl Found {
    fn of(account: &str, project: &Project) -> Self {
        let made_up = || project_id(account, &project.name);
        Self {
            id: project.id.clone().unwrap_or_else(made_up),
            name: project.name.clone(),
            enabled: project.enabled,
        }
    }

    /// The region that the project is of.
    pub(super) fn region(&self) -> &str {
        self.name.split('_').next().unwrap_or_default()
    }

    /// The project is the region's, and no division of it: instances are in these.
    pub(super) fn is_of_a_region(&self) -> bool {
        !self.name.contains('_')
    }
}

/// What has been said and asked about projects, by account.
#[derive(Debug, Default)]
pub(crate) struct Projects(BTreeMap<String, OfAccount>);

#[derive(Debug, Default)]
struct OfAccount {
    stated: Vec<Project>,
    removed: BTreeSet<String>,
    asked_for: BTreeSet<String>,
}

impl Projects {
    pub(super) fn new(accounts: &[Account]) -> Self {
        let mut projects = Self::default();
        let of_this = accounts
            .iter()
            .filter(|account| account.vendor == Vendor::Huawei);
        for account in of_this {
            projects
                .of(&account.name)
                .stated
                .clone_from(&account.projects);
        }
        projects
    }

    pub(super) fn add(&mut self, account: &str, project: Project) {
        self.of(account).stated.push(project);
    }

    /// Removes every project of a name, also the one that a region has by itself.
    pub(super) fn remove(&mut self, account: &str, name: &str) {
        let projects = self.of(account);
        projects.stated.retain(|project| project.name != name);
        projects.removed.insert(name.to_owned());
    }

    /// A name was asked for: if it is a region's, the account has a project there from now on.
    pub(super) fn ask_for(&mut self, account: &str, name: &str) {
        if looks_like_a_region(name) {
            self.of(account).asked_for.insert(name.to_owned());
        }
    }

    /// The account's projects: those that were stated, and one for each region that it uses or has
    /// asked for. A stated one with the made-up id stands for that one.
    pub(super) fn list(&self, world: &World, account: &str) -> Vec<Found> {
        let mut regions = BTreeSet::new();
        for holding in world.holdings(account) {
            regions.insert(holding.instance.region.as_str());
            let destinations = holding.instance.destinations.iter();
            regions.extend(destinations.map(|destination| destination.region.as_str()));
        }
        if let Some(own) = self.0.get(account) {
            regions.extend(own.asked_for.iter().map(String::as_str));
        }
        self.with(account, regions)
    }

    /// The project of an id, if the account has it, in whichever region.
    pub(super) fn find(&self, world: &World, account: &str, id: &str) -> Option<Found> {
        let among = |projects: Vec<Found>| projects.into_iter().find(|found| found.id == id);
        // Every request asks for one, and the known regions are fewer than the account's instances.
        let known = self.with(account, REGIONS.into_iter().collect());
        among(known).or_else(|| among(self.list(world, account)))
    }

    /// Id of the project in which the account's instances of a region are.
    pub(super) fn id_of_region(&self, account: &str, region: &str) -> String {
        self.with(account, BTreeSet::from([region]))
            .into_iter()
            .find(|project| project.name == region)
            .map_or_else(|| project_id(account, region), |project| project.id)
    }

    fn with(&self, account: &str, regions: BTreeSet<&str>) -> Vec<Found> {
        let none = OfAccount::default();
        let own = self.0.get(account).unwrap_or(&none);
        let stated = own.stated.iter().map(|project| Found::of(account, project));
        let mut projects: Vec<Found> = stated.collect();
        for region in regions {
            let project = Found::of(account, &Project::new(region));
            let replaced = projects.iter().any(|stated| stated.id == project.id);
            if !replaced && !own.removed.contains(region) {
                projects.push(project);
            }
        }
        projects
    }

    fn of(&mut self, account: &str) -> &mut OfAccount {
        self.0.entry(account.to_owned()).or_default()
    }
}

/// The project as IAM lists it.
pub(super) fn row(account: &str, project: &Found) -> Value {
    let domain = domain_id(account);
    let parent = if project.is_of_a_region() {
        domain.clone()
    } else {
        project_id(account, project.region())
    };
    json!({
        "id": project.id,
        "name": project.name,
        "description": "",
        "domain_id": domain,
        "parent_id": parent,
        "enabled": project.enabled,
        "is_domain": false,
        "links": { "self": format!("https://iam.myhuaweicloud.com/v3/projects/{}", project.id) },
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::world::Instance;

    #[test]
    fn a_project_is_there_for_each_region_in_use_and_for_those_that_were_stated() {
        let instance = Instance::new("i", "cn-north-4")
            .account("a")
            .copied_to("cn-east-3", std::time::Duration::ZERO);
        let account = Account {
            name: "a".to_owned(),
            vendor: Vendor::Huawei,
            projects: vec![Project::new("cn-north-4_team")],
            ..Account::default()
        };
        let world = World::new(
            std::slice::from_ref(&account),
            &[instance],
            DateTime::UNIX_EPOCH,
            DateTime::UNIX_EPOCH,
        );
        let mut projects = Projects::new(&[account]);
        let names = |projects: &Projects| -> Vec<String> {
            let listed = projects.list(&world, "a").into_iter();
            listed.map(|project| project.name).collect()
        };
        assert_eq!(
            names(&projects),
            ["cn-north-4_team", "cn-east-3", "cn-north-4"]
        );
        projects.ask_for("a", "tr-central-201");
        projects.ask_for("a", "nonsense");
        projects.remove("a", "cn-east-3");
        assert_eq!(
            names(&projects),
            ["cn-north-4_team", "cn-north-4", "tr-central-201"]
        );
        let found = |id: &str| projects.find(&world, "a", id).map(|project| project.name);
        assert_eq!(
            found(&project_id("a", "eu-west-0")).as_deref(),
            Some("eu-west-0")
        );
        assert_eq!(found(&project_id("a", "cn-east-3")), None);
        assert_eq!(found(&project_id("b", "eu-west-0")), None);
        let team = projects.list(&world, "a").remove(0);
        assert_eq!(
            (team.region(), team.is_of_a_region()),
            ("cn-north-4", false)
        );
    }

    #[test]
    fn a_stated_project_takes_the_place_of_a_regions_or_stands_beside_it() {
        let world = World::default();
        let mut projects = Projects::default();
        projects.ask_for("a", "cn-north-4");
        let disabled = Project {
            enabled: false,
            ..Project::new("cn-north-4")
        };
        projects.add("a", disabled);
        let listed = projects.list(&world, "a");
        assert_eq!((listed.len(), listed[0].enabled), (1, false));
        let second = Project {
            id: Some("second".to_owned()),
            ..Project::new("cn-north-4")
        };
        projects.add("a", second);
        assert_eq!(projects.list(&world, "a").len(), 2);
    }
}
