//! Writes down what is being built, for `--version` and `cloud_backup_exporter_build_info`.

use std::path::Path;
use std::process::Command;

fn main() {
    // A source archive has no git; whoever builds from one can name the revision.
    println!("cargo::rerun-if-env-changed=BUILD_REVISION");
    // A path that does not exist would count as changed, and have everything built anew each time.
    for reference in ["HEAD", "refs/heads"] {
        let path = output(Command::new("git").args(["rev-parse", "--git-path", reference]));
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let revision = std::env::var("BUILD_REVISION")
        .ok()
        .or_else(|| output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"])))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(Command::new(compiler).arg("--version"))
        .and_then(|text| text.split(' ').nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_RUST_VERSION={version}");
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
