//! Huawei Cloud RDS: its keys, and how its requests are signed.

#[cfg_attr(not(test), expect(dead_code, reason = "the listings come next"))]
mod credentials;
mod iam;
#[cfg_attr(not(test), expect(dead_code, reason = "the listings come next"))]
mod sign;
