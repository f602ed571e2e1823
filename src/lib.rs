//! Is there a usable backup in another region, how old is it, and would we notice if that stopped being true?

pub mod backup;
pub mod clock;
pub mod config;
pub mod facts;
pub mod metrics;
pub mod poll;
pub mod posture;
pub mod provider;
pub mod tally;
pub mod target;
pub mod web;
