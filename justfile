# Shorthands; each line can as well be typed without `just`. CONTRIBUTING.md says more.

# Everything that has to hold before a change is merged.
check:
    .ci/run

test:
    cargo test --workspace

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --no-default-features --lib --bins -- -D warnings

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, sources and banned crates.
deny:
    cargo deny check bans licenses sources

# Known vulnerabilities; needs a connection to the advisory database.
advisories:
    cargo deny check advisories

# Simulated clouds and the exporter on them, at http://localhost:19110/.
demo:
    cargo run --release -- demo

# Memory, time of a scrape, time to be ready.
figures:
    benches/idle/run

# The calls of one sweep over three vendors, beside the least that there could be.
sweep:
    benches/sweep/run

# The demo, watched by a real Prometheus.
e2e:
    tests/end_to_end/run
