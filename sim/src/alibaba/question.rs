//! What an operation is asked, and of which instance.

use chrono::{DateTime, Utc};

use super::parameters::{Parameters, mandatory, optional};
use super::refusal::Refusal;
use crate::world::{Holding, Instance, World};

/// Who asks what, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) world: &'a World,
    pub(super) account: &'a str,
    pub(super) parameters: &'a Parameters,
    pub(super) now: DateTime<Utc>,
    /// Pages after the first begin so many rows too early.
    pub(super) repeated: usize,
}

impl<'a> Question<'a> {
    pub(super) fn mandatory(&self, name: &str) -> Result<&'a str, Refusal> {
        mandatory(self.parameters, name)
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        optional(self.parameters, name)
    }

    /// The instance whose copies are asked for. They outlive it, so it may have been released.
    pub(super) fn copied_instance(&self) -> Result<&'a Holding, Refusal> {
        let id = self.mandatory("DBInstanceId")?;
        let region = self.optional("RegionId");
        let holding = self.world.holding_or_released(self.account, id);
        let holding = holding
            .filter(|holding| region.is_none_or(|region| holding.instance.region == region))
            .ok_or_else(|| {
                let message = "Specified instance does not exist or not support.";
                Refusal::new(404, "InvalidDBInstance.NotFound", message)
            })?;
        refuse_replica(&holding.instance)?;
        if holding.instance.cross_region_unsupported {
            return Err(copies_unsupported());
        }
        Ok(holding)
    }

    /// The instance whose local sets are asked for: they are gone with it. Its region is that of a
    /// parameter, if that is given.
    pub(super) fn present_instance(&self, region: &str) -> Result<&'a Holding, Refusal> {
        let id = self.mandatory("DBInstanceId")?;
        let region = self.optional(region);
        let holding = self.world.holding(self.account, id);
        let holding = holding
            .filter(|holding| region.is_none_or(|region| holding.instance.region == region))
            .ok_or_else(|| {
                let message = "The database instance does not exist.";
                Refusal::new(404, "InvalidDBInstanceName.NotFound", message)
            })?;
        refuse_replica(&holding.instance)?;
        Ok(holding)
    }
}

/// The vendor does not copy this instance to other regions.
pub(super) fn copies_unsupported() -> Refusal {
    Refusal::new(
        403,
        "CrossBackupNotSupport",
        "Specified region not support cross region backup.",
    )
}

/// The operation is not for instances of this engine.
pub(super) fn wrong_engine() -> Refusal {
    Refusal::new(
        403,
        "IncorrectDBInstanceEngine",
        "Current DB instance engine does not support this operation.",
    )
}

/// Read-only replicas have no backups. The pages name the code, but no status.
fn refuse_replica(instance: &Instance) -> Result<(), Refusal> {
    if instance.read_replica_of.is_none() {
        return Ok(());
    }
    let message = "Read-only DB instances do not support this operation.";
    Err(Refusal::new(400, "ReadDBInstanceNotSupport", message))
}
