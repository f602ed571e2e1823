//! The place that a request is about: a region of an account, and what is there.

use chrono::{DateTime, Utc};

use super::memory::{Extras, Memory};
use super::refusal::{Refusal, hidden_instance, no_instance, replica};
use crate::world::{Holding, World};

/// A region of an account at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) world: &'a World,
    pub(super) memory: &'a Memory,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    /// The project is the region's own one, which the instances are in; its divisions are empty.
    pub(super) has_instances: bool,
    pub(super) now: DateTime<Utc>,
    /// A fault turns the order of the rows.
    pub(super) oldest_first: bool,
}

impl<'a> Site<'a> {
    /// The instance, in whichever region it runs or ran: its copies outlive it.
    pub(super) fn holding(&self, id: &str) -> Result<&'a Holding, Refusal> {
        let holding = match self.world.holding_or_released(self.account, id) {
            Some(holding) if self.has_instances => holding,
            None if self.world.has_instance(id) => return Err(hidden_instance()),
            _ => return Err(no_instance()),
        };
        if holding.instance.read_replica_of.is_some() {
            return Err(replica());
        }
        Ok(holding)
    }

    /// The instance, if it runs in this region.
    pub(super) fn holding_here(&self, id: &str) -> Result<&'a Holding, Refusal> {
        let holding = self.holding(id)?;
        if holding.instance.region == self.region && !holding.is_released() {
            Ok(holding)
        } else {
            Err(no_instance())
        }
    }

    /// What a test has said about the instance.
    pub(super) fn extras(&self, id: &str) -> Option<&'a Extras> {
        self.memory.extras.get(id)
    }
}
