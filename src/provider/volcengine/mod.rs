//! Volcengine Cache for Redis: how its requests are signed.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the listings that are signed come next")
)]
mod sign;
