//! Lists of instances: those of a region, and those that are copied from or to it.

use serde_json::{Value, json};

use super::parameters::{Page, Parameters, optional};
use super::policy::{keep_days, window};
use super::refusal::Refusal;
use super::rows::{engine, spell};
use super::site::Site;
use crate::world::{Destination, Holding, Instance};

/// `ListInstances`.
pub(super) fn list(site: &Site<'_>, parameters: &Parameters) -> Result<Value, Refusal> {
    let page = Page::read(parameters)?;
    let holdings = site.world.holdings(site.account);
    let here = holdings
        .filter(|holding| site.has_instances && holding.instance.region == site.region)
        .filter(|holding| !holding.is_released());
    let mut rows: Vec<Value> = here.map(|holding| row(site, holding)).collect();
    let filters = [
        ("id", "/id"),
        ("type", "/type"),
        ("datastore_type", "/datastore/type"),
    ];
    for (parameter, field) in filters {
        if let Some(wanted) = optional(parameters, parameter) {
            rows.retain(|row| row.pointer(field).and_then(Value::as_str) == Some(wanted));
        }
    }
    if let Some(wanted) = optional(parameters, "name") {
        rows.retain(|row| {
            let name = row["name"].as_str().unwrap_or_default();
            match wanted.strip_prefix('*') {
                Some(part) => name.contains(part),
                None => name == wanted,
            }
        });
    }
    if site.oldest_first {
        rows.reverse();
    }
    Ok(json!({ "instances": page.of(&rows), "total_count": rows.len() }))
}

/// `ListOffSiteInstances`: answered on both sides; of a released instance at the destination only,
/// for as long as that keeps anything of it.
pub(super) fn off_site(site: &Site<'_>, parameters: &Parameters) -> Result<Value, Refusal> {
    let page = Page::read(parameters)?;
    let mut rows = Vec::new();
    for holding in site.world.holdings(site.account) {
        let instance = &holding.instance;
        // No page says whether an instance stays listed after its policy was switched off.
        if !site.has_instances || !holding.is_protected() {
            continue;
        }
        let in_use = |destination: &&Destination| destination.is_in_use();
        for destination in instance.destinations.iter().filter(in_use) {
            let region = destination.region.as_str();
            let at_source = instance.region == site.region && !holding.is_released();
            let at_destination =
                region == site.region && (!holding.is_released() || has_copies(site, holding));
            if at_source || at_destination {
                rows.push(off_site_row(site, instance, region));
            }
        }
    }
    if site.oldest_first {
        rows.reverse();
    }
    Ok(json!({ "offsite_backup_instances": page.of(&rows), "total_count": rows.len() }))
}

fn has_copies(site: &Site<'_>, holding: &Holding) -> bool {
    let copies = holding.copies(site.now);
    copies.iter().any(|copy| copy.region == site.region)
}

fn off_site_row(site: &Site<'_>, instance: &Instance, destination: &str) -> Value {
    let project = |region: &str| site.memory.projects.id_of_region(site.account, region);
    json!({
        "id": instance.id,
        "name": instance.name,
        "source_region": instance.region,
        "source_project_id": project(&instance.region),
        "datastore": datastore(instance),
        "destination_region": destination,
        "destination_project_id": project(destination),
        "keep_days": keep_days(instance),
    })
}

fn row(site: &Site<'_>, holding: &Holding) -> Value {
    let instance = &holding.instance;
    let created = spell(
        instance,
        chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(19_000),
    );
    let mut row = json!({
        "id": instance.id,
        "name": instance.name,
        "status": "ACTIVE",
        "type": kind(instance),
        "region": instance.region,
        "datastore": datastore(instance),
        "backup_strategy": { "start_time": window(instance), "keep_days": keep_days(instance) },
        "created": created,
        "updated": created,
        "enterprise_project_id": "0",
        "related_instance": related(site, instance),
        "private_ips": ["192.168.0.10"],
        "public_ips": [],
        "port": 3306,
        "volume": { "type": "CLOUDSSD", "size": 100 },
        "time_zone": "UTC+08:00",
    });
    if let (Some(fields), Some(extras)) = (row.as_object_mut(), site.extras(&instance.id)) {
        fields.extend(extras.fields.clone());
    }
    row
}

fn kind(instance: &Instance) -> &'static str {
    match instance.read_replica_of {
        Some(_) => "Replica",
        None if instance.single_node => "Single",
        None => "Ha",
    }
}

/// A replica names its primary, and a primary its replicas.
fn related(site: &Site<'_>, instance: &Instance) -> Vec<Value> {
    if let Some(primary) = &instance.read_replica_of {
        return vec![json!({ "id": primary, "type": "replica_of" })];
    }
    let replicas = site.world.replicas_of(instance);
    replicas
        .map(|replica| json!({ "id": replica.id, "type": "replica" }))
        .collect()
}

fn datastore(instance: &Instance) -> Value {
    json!({ "type": engine(instance.engine), "version": instance.engine_version })
}
