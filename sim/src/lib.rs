//! Simulated clouds: a second, independent reading of the vendors' pages, for tests and for the
//! demo.
//!
//! ```text
//! scenarios/*.toml ─> Scenario ─> world (accounts, instances, sets; pure) ─> a vendor (signatures, rules, wire) ─> server (loopback)
//!                                   ▲ clock, faults                                                                 │
//!                  control ─> Cloud: the test's verbs <──────────── journal: what was asked, and how it broke the rules
//! ```
//!
//! Invariant: nothing here depends on the exporter, so that a misreading on one side does not
//! cancel itself out on the other. Each vendor has one folder, which reads the world and knows no
//! other vendor.

pub mod alibaba;
mod clock;
mod cloud;
pub mod control;
mod exchange;
mod fault;
pub mod huawei;
mod journal;
mod metadata;
mod mishap;
mod query;
mod role;
mod scenario;
mod server;
mod signature;
mod span;
mod state;
pub mod volcengine;
mod world;

pub use clock::SimClock;
pub use cloud::Cloud;
pub use exchange::{Answer, RecordedRequest, Undelivered, Verdict};
pub use fault::{Fault, FaultKind, FewerRows, NoRows, ThrottleHeader};
pub use scenario::{Scenario, ScenarioError};
pub use world::{
    Account, CrossRegionSet, Destination, Engine, Instance, IssuedKey, LocalSet, LogFile, Logs,
    MetadataMode, Project, Quirk, Restorable, Schedule, SessionToken, Trouble, Truth, Vendor,
};
