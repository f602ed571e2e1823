//! The promises that the project makes about itself: one direction, and documents that are true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cloud_backup_exporter::config::Config;
use cloud_backup_exporter::metrics::catalogue::CATALOGUE;
use cloud_backup_exporter::service::{Service, ServiceSpec};

/// Which module of the exporter may name which; the same table stands in ARCHITECTURE.md.
const MAY_NAME: [(&str, &[&str]); 20] = [
    ("backup", &[]),
    ("log_chain", &["backup"]),
    ("target", &["backup", "service"]),
    ("vendor", &[]),
    ("service", &["backup", "vendor"]),
    ("clock", &[]),
    ("shard", &[]),
    (
        "config",
        &["backup", "service", "target", "toolkit", "vendor"],
    ),
    (
        "provider",
        &["backup", "clock", "config", "service", "target", "vendor"],
    ),
    (
        "facts",
        &["backup", "log_chain", "provider", "service", "target"],
    ),
    (
        "storage",
        &[
            "backup",
            "clock",
            "facts",
            "log_chain",
            "provider",
            "service",
            "shard",
            "tally",
            "target",
        ],
    ),
    ("tally", &["backup", "provider"]),
    (
        "poll",
        &[
            "backup", "clock", "config", "facts", "provider", "service", "shard", "tally", "target",
        ],
    ),
    ("posture", &["backup", "facts", "log_chain", "target"]),
    (
        "metrics",
        &[
            "backup", "facts", "posture", "shard", "tally", "target", "toolkit",
        ],
    ),
    ("report", &["facts", "metrics", "posture", "shard"]),
    (
        "web",
        &[
            "backup", "clock", "config", "facts", "metrics", "posture", "report", "shard", "tally",
            "toolkit",
        ],
    ),
    ("args", &["toolkit"]),
    (
        "app",
        &[
            "args", "backup", "clock", "config", "facts", "metrics", "poll", "posture", "provider",
            "report", "service", "shard", "storage", "tally", "target", "toolkit", "web",
        ],
    ),
    ("main", &["app", "args"]),
];

/// Libraries that a module must not touch: the pure ones do no I/O, and only `provider` talks to a cloud.
const MUST_NOT_USE: [(&str, &[&str]); 11] = [
    ("shard", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("log_chain", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("backup", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("target", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("config", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("facts", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("tally", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("posture", &["tokio", "reqwest", "hyper", "prometheus"]),
    ("metrics", &["tokio", "reqwest", "hyper"]),
    ("web", &["reqwest", "prometheus"]),
    ("report", &["tokio", "reqwest", "hyper", "prometheus"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder);
    for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files
}

/// The code of each module of a crate, without that which is compiled for tests alone.
fn sources(folder: &str) -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let source = root().join(folder);
    let files: Vec<_> = files_below(&source, "rs")
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect();
    let only_for_tests: BTreeSet<_> = files
        .iter()
        .flat_map(|(_, text)| {
            let own = words_after(text, "#[cfg(test)]\nmod ");
            own.chain(words_after(text, "#[cfg(test)]\npub(crate) mod "))
        })
        .collect();
    let mut modules: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (path, text) in &files {
        let relative = path.strip_prefix(&source).unwrap();
        // A module for tests may have modules of its own below it.
        let mut names = relative.iter().map(|name| {
            let name = Path::new(name).file_stem().unwrap();
            name.to_str().unwrap()
        });
        let first = relative.components().next().unwrap().as_os_str();
        let module = first.to_str().unwrap().trim_end_matches(".rs");
        if !names.any(|name| only_for_tests.contains(name)) {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let module = modules.entry(module.to_owned()).or_default();
            module.push((path.clone(), code.to_owned()));
        }
    }
    modules
}

fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn data_flows_one_way() {
    let allowed: BTreeMap<_, _> = MAY_NAME.into_iter().collect();
    let mut wrong = Vec::new();
    for (module, files) in sources("src") {
        // `lib` only declares.
        if module == "lib" {
            continue;
        }
        let may_name = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} is not in the table"));
        for (path, code) in files {
            assert!(
                !code.contains("crate::{"),
                "{}: name one module a line",
                path.display()
            );
            let own = "cloud_backup_exporter::";
            let toolkit = code.contains("toolkit::").then_some("toolkit");
            let named = words_after(&code, "crate::").chain(words_after(&code, own));
            for named in named.chain(toolkit) {
                if named != module && !may_name.contains(&named) {
                    wrong.push(format!("{} names {named}", path.display()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_toolkit_depends_on_no_other_crate_of_the_workspace() {
    let manifest = page("crates/toolkit/Cargo.toml");
    assert!(!manifest.contains("path ="), "{manifest}");
}

#[test]
fn pure_modules_do_no_input_or_output() {
    let mut wrong = Vec::new();
    let modules = sources("src");
    for (module, forbidden) in MUST_NOT_USE {
        for (path, code) in &modules[module] {
            for library in forbidden {
                // The process metrics come from the `prometheus` crate, and from nowhere else.
                let named = code.contains(&format!("use {library}::"))
                    || code.contains(&format!(" {library}::"));
                if named {
                    wrong.push(format!("{} uses {library}", path.display()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn one_provider_does_not_name_another() {
    let providers = root().join("src/provider");
    let folders: Vec<_> = std::fs::read_dir(&providers)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    // What the vendors share has a folder too, and names none of them; a vendor is whoever signs.
    let is_vendor = |folder: &&PathBuf| folder.join("sign.rs").is_file();
    let vendors: Vec<_> = folders.iter().filter(is_vendor).collect();
    assert!(vendors.len() > 1);
    for folder in &folders {
        for path in files_below(folder, "rs") {
            let code = std::fs::read_to_string(&path).unwrap();
            for other in vendors.iter().filter(|other| **other != folder) {
                let name = other.file_name().unwrap().to_str().unwrap();
                assert!(
                    !code.contains(&format!("provider::{name}")),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_architecture_page_carries_the_same_table() {
    let page = page("ARCHITECTURE.md");
    for (module, may_name) in MAY_NAME {
        let named = may_name
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>();
        let named = if named.is_empty() {
            "–".to_owned()
        } else {
            named.join(", ")
        };
        let row = format!("| `{module}` | {named} |");
        assert!(page.contains(&row), "ARCHITECTURE.md lacks the row\n{row}");
    }
}

#[test]
fn every_metric_that_a_document_names_exists() {
    let catalogue: BTreeSet<_> = CATALOGUE.iter().map(|row| row.name).collect();
    let mut pages = vec![
        root().join("README.md"),
        root().join("ARCHITECTURE.md"),
        root().join("CHANGELOG.md"),
    ];
    pages.extend(files_below(&root().join("docs"), "md"));
    for page in pages {
        let text = self::page(page.to_str().unwrap());
        for rest in words_after(&text, "cloud_backup_").filter(|rest| !rest.is_empty()) {
            let name = format!("cloud_backup_{rest}");
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(&name);
            let known = catalogue.contains(family)
                || name == "cloud_backup_exporter"
                || name.ends_with('_');
            assert!(known, "{} names {name}", page.display());
        }
    }
}

/// The contents of a page's code blocks in this language, without their indentation.
fn code_blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some((indent, found)) = line.split_once("```") else {
            continue;
        };
        let block: Vec<_> = lines
            .by_ref()
            .take_while(|line| line.trim() != "```")
            .map(|line| line.strip_prefix(indent).unwrap_or(line))
            .collect();
        if found == language {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

#[test]
fn the_policies_allow_what_is_asked_and_no_more() {
    let files = files_below(&root().join("deploy/permissions"), "json");
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    // Those of a founding service begin with its vendor, those of another with its product besides.
    let is_of = |name: &str, service: Service| {
        let spec = service.spec();
        let vendor = format!("{}-", spec.vendor.label());
        let product = |spec: &ServiceSpec| format!("{vendor}{}-", spec.product);
        if spec.vendor.founding() != service {
            return name.starts_with(&product(spec));
        }
        let mut others = ServiceSpec::all()
            .into_iter()
            .filter(|other| other.vendor == spec.vendor && other.service != service);
        name.starts_with(&vendor) && !others.any(|other| name.starts_with(&product(other)))
    };
    for service in Service::ALL {
        let mut allowed = BTreeSet::new();
        for path in &files {
            let name = name(path);
            if !(is_of(&name, service) && name.ends_with("-policy.json")) {
                continue;
            }
            let policy = std::fs::read_to_string(path).unwrap();
            let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
            for statement in policy["Statement"].as_array().unwrap() {
                assert_eq!(statement["Effect"], "Allow", "{name}");
                let actions = statement["Action"].as_array().unwrap().iter();
                allowed.extend(actions.map(|action| action.as_str().unwrap().to_owned()));
            }
        }
        let operations = service.spec().operations.iter();
        let asked = operations.map(|operation| operation.right);
        let asked: BTreeSet<_> = asked.map(str::to_owned).collect();
        assert_eq!(allowed, asked, "{service:?}");
    }
}

#[test]
fn the_configurations_that_documents_show_are_good() {
    for name in ["README.md", "docs/providers.md", "docs/credentials.md"] {
        for block in code_blocks(&page(name), "yaml") {
            // The reader has such a file, the test has none.
            let block = block.replace("_file: /run/secrets/", ": ");
            if block.starts_with("accounts:") || block.starts_with("poll:") {
                let config = Config::parse(&block, []);
                assert!(config.is_ok(), "{name}: {:?}\n{block}", config.err());
            }
        }
    }
}

/// The names in backticks.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn operations_of(service: Service) -> BTreeSet<&'static str> {
    let operations = service.spec().operations.iter();
    operations.map(|operation| operation.name).collect()
}

#[test]
fn the_coverage_page_says_of_every_metric_which_call_feeds_it() {
    let page = page("docs/coverage.md");
    let tables: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect();
    let header =
        ServiceSpec::all().map(|spec| format!("`{} {}`", spec.vendor.label(), spec.product));
    let mut covered = Vec::new();
    let mut told: BTreeMap<Service, BTreeSet<&str>> = BTreeMap::new();
    let rows = tables
        .iter()
        .filter(|row| names(row[0]).any(|name| name.starts_with("cloud_backup_")));
    for row in rows {
        covered.extend(names(row[0]));
        // The metrics of the exporter itself stand in a row without services.
        if row.len() == 2 {
            continue;
        }
        assert_eq!(row.len(), 1 + Service::ALL.len(), "{row:?}");
        for (service, cell) in Service::ALL.into_iter().zip(&row[1..]) {
            assert!(!cell.is_empty(), "{row:?}");
            let known = operations_of(service);
            for operation in names(cell) {
                assert!(known.contains(operation), "{row:?}");
                told.entry(service).or_default().insert(operation);
            }
        }
    }
    let services = tables.iter().filter(|row| row[1..] == header).count();
    assert!(services > 0, "no table has the services in their order");
    let catalogue: Vec<_> = CATALOGUE.iter().map(|row| row.name).collect();
    assert_eq!(covered, catalogue, "each metric once, in their order");
    for service in Service::ALL {
        let asked = operations_of(service);
        assert_eq!(told[&service], asked, "each call feeds something");
    }
}

/// The text of a macro's call that begins at the start of `text`, up to its closing parenthesis.
fn call(text: &str) -> &str {
    let (mut depth, mut in_text, mut escaped) = (1, false, false);
    let end = text.find(|character| {
        match character {
            '"' if !escaped => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn the_page_about_the_log_has_every_event_and_no_other() {
    let mut logged = BTreeSet::new();
    let crates = [sources("src"), sources("crates/toolkit/src")];
    let modules = crates.into_iter().flat_map(BTreeMap::into_values);
    for (_, source) in modules.flatten() {
        for level in ["error!(", "warn!(", "info!("] {
            for (at, _) in source.match_indices(level) {
                let call = call(&source[at + level.len()..]);
                let message = call.rsplit('"').nth(1).unwrap_or_default();
                logged.insert((level.trim_end_matches("!("), message.to_owned()));
            }
        }
    }
    let page = page("docs/logging.md");
    let mut told = BTreeSet::new();
    for level in ["error", "warn", "info"] {
        let rows = page.lines().filter_map(|line| {
            let row = line.strip_prefix(&format!("| {level} | "))?;
            row.split('|').next()
        });
        told.extend(
            rows.flat_map(|row| names(row).map(move |message| (level, message.to_owned()))),
        );
    }
    assert!(logged.len() > 20, "{logged:?}");
    assert_eq!(told, logged);
}
