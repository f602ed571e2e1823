//! What must be timed: one test at a time, in a program that cargo runs by itself, so that no other test is what takes
//! the time.
//!
//! A bound leaves room for a machine that is busy with other things: it tells right from wrong, and not fast from slow.

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

use tokio::sync::{Mutex, MutexGuard};

mod chains;
#[expect(dead_code, reason = "the tests that are not timed use the rest")]
#[path = "../it/harness.rs"]
mod harness;
mod pace;

/// Waits until no other test runs, and keeps it so.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
