//! The real binary, driven over real sockets against the simulated cloud.
//!
//! One binary for all integration tests, so that they link once. Tests speak to the cloud in the words of the field and
//! read a scrape with a parser.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; its helper functions are tests as well"
)]
#![expect(
    clippy::float_cmp,
    reason = "counts and truth values are small whole numbers, which floats hold exactly"
)]
#![expect(
    clippy::assigning_clones,
    reason = "a test's configuration is changed for its words, not for its speed"
)]

mod accounts;
mod command_line;
mod coverage;
mod credentials;
mod destinations;
mod discovery;
mod emptiness;
mod faults;
mod harness;
mod huawei;
mod listings;
mod logging;
mod network;
mod outage;
mod pace;
mod project;
mod reload;
mod shards;
mod status_page;
mod storage;
mod trial;
mod volcengine;
mod web;
mod web_config;
mod worth;
