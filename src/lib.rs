//! Is there a usable backup in another region, how old is it, and would we notice if that stopped being true?
//!
//! A Prometheus exporter for the backups of managed cloud databases. Data flows one way:
//!
//! ```text
//! poll ──asks──> provider/* ──wire → normalise──> Listing ──> facts
//!                                                             │ read at a scrape
//! /metrics  /  /api <── web <── metrics, report <── posture::assess(facts, now)
//! ```
//!
//! The modules below are grouped in the order in which they are best read.

// The words that everything else speaks.
pub mod backup;
pub mod log_chain;
pub mod service;
pub mod target;
pub mod vendor;

// What is given: the configuration, the time, and which part of the instances is ours.
pub mod clock;
pub mod config;
pub mod shard;

// Asking, and keeping what was found.
pub mod facts;
pub mod poll;
pub mod provider;
pub mod storage;
pub mod tally;

// Judging, and showing the judgement.
pub mod metrics;
pub mod posture;
pub mod report;
pub mod web;

// The program around it.
pub mod app;
pub mod args;

#[cfg(test)]
mod example;
#[cfg(test)]
mod soak;

// The bodies of the fuzz targets name this crate as anybody else would; the tests replay their corpora.
#[cfg(test)]
extern crate self as cloud_backup_exporter;
#[cfg(test)]
#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "in fuzz/ it is a crate of its own")]
mod fuzz_targets;
