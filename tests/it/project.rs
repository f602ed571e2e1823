//! The promises that the project makes about itself: one direction, and documents that are true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which module of the exporter may name which; the same table stands in ARCHITECTURE.md.
const MAY_NAME: [(&str, &[&str]); 17] = [
    ("backup", &[]),
    ("log_chain", &["backup"]),
    ("target", &["backup"]),
    ("vendor", &["backup"]),
    ("clock", &[]),
    ("config", &["backup", "target", "vendor"]),
    (
        "provider",
        &["backup", "clock", "config", "target", "vendor"],
    ),
    ("facts", &["backup", "log_chain", "provider", "target"]),
    ("tally", &["backup", "provider"]),
    (
        "poll",
        &[
            "backup", "clock", "config", "facts", "provider", "tally", "target", "vendor",
        ],
    ),
    ("posture", &["backup", "facts", "log_chain", "target"]),
    (
        "metrics",
        &["backup", "facts", "posture", "tally", "target"],
    ),
    ("report", &["facts", "metrics", "posture"]),
    (
        "web",
        &[
            "backup", "clock", "facts", "metrics", "posture", "report", "tally",
        ],
    ),
    ("args", &["web"]),
    (
        "app",
        &[
            "args", "backup", "clock", "config", "facts", "metrics", "poll", "posture", "provider",
            "report", "tally", "target", "web",
        ],
    ),
    ("main", &["app", "args"]),
];

/// Libraries that a module must not touch: the pure ones do no I/O, and only `provider` talks to a cloud.
const MUST_NOT_USE: [(&str, &[&str]); 10] = [
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

/// The code of each module, without that which is compiled for tests alone.
fn sources() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let source = root().join("src");
    let files: Vec<_> = files_below(&source, "rs")
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect();
    let only_for_tests: BTreeSet<_> = files
        .iter()
        .flat_map(|(_, text)| words_after(text, "#[cfg(test)]\nmod "))
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
    for (module, files) in sources() {
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
            for named in words_after(&code, "crate::").chain(words_after(&code, own)) {
                if named != module && !may_name.contains(&named) {
                    wrong.push(format!("{} names {named}", path.display()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn pure_modules_do_no_input_or_output() {
    let mut wrong = Vec::new();
    let modules = sources();
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
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
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
    let catalogue: BTreeSet<_> = cloud_backup_exporter::metrics::catalogue::CATALOGUE
        .iter()
        .map(|row| row.name)
        .collect();
    let mut pages = vec![
        root().join("README.md"),
        root().join("ARCHITECTURE.md"),
        root().join("CHANGELOG.md"),
    ];
    pages.extend(files_below(&root().join("docs"), "md"));
    for page in pages {
        let text = std::fs::read_to_string(&page);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", page.display()));
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
