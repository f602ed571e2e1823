//! The simulated clouds over real sockets, one module for each face. The clients are written by
//! hand: they sign as the vendors' pages say, know nothing of the simulator's insides, and send
//! what a careful client never would.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod alibaba;
mod client;
mod huawei;
mod volcengine;
