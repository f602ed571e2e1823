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
//! The modules below are declared in the order in which they are best read.

pub mod app;
pub mod args;
pub mod backup;
pub mod clock;
pub mod config;
#[cfg(test)]
mod example;
pub mod facts;
pub mod metrics;
pub mod poll;
pub mod posture;
pub mod provider;
pub mod report;
pub mod tally;
pub mod target;
pub mod web;
