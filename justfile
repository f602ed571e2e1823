# Shorthands; each line can as well be typed without `just`. CONTRIBUTING.md says more.

# While one works: format, lints, tests and documentation.
check: lint test

# Everything that has to hold before a change is merged.
gate:
    .ci/run

test:
    cargo test --workspace

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --no-default-features --lib --bins -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, sources, banned crates, and known vulnerabilities; the last needs a connection to their database.
deny:
    cargo deny check bans licenses sources
    cargo deny check advisories

# Simulated clouds and the exporter on them, at http://localhost:19110/.
demo:
    cargo run --release -- demo

# Memory, time of a scrape, time to be ready; the calls of a sweep; the status page of a thousand instances.
figures:
    benches/idle/run
    benches/sweep/run
    benches/status_page/run

# The tables of docs/performance.md and docs/polling.md; these take an hour and a quiet machine.
performance:
    benches/scrape/run --prometheus
    benches/memory/run --large
    benches/limit/run
    benches/cadence/run

# Restarts, hostile weather, fuzzers.
robustness:
    tests/kill/run
    tests/disk/run
    tests/soak/run
    tests/soak/run --binary
    fuzz/run 60

# What needs the release binary most: the demo, watched by a real Prometheus, and alerts delivered by a real Alertmanager.
e2e:
    tests/end_to_end/run
    tests/alerts/run
    tests/replicas/run
    tests/decode/run

# What is put around the exporter: rules, runbooks, dashboards, units, the chart.
around:
    tests/rules/run
    tests/runbooks/run
    tests/dashboards/run
    tests/deploy/run
    tests/chart/run

# The HTTP server: TLS and passwords, a browser, attacks.
web:
    tests/web_config/run
    tests/browser/run
    tests/abuse/run

# What a release consists of, in target/release-files.
release:
    deploy/release/build
