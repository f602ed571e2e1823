//! Arguments -> logging -> runtime -> app -> exit code; nothing else.

use std::process::ExitCode;

use clap::Parser;
use cloud_backup_exporter::app;
use cloud_backup_exporter::args::Arguments;

fn main() -> ExitCode {
    app::main(Arguments::parse())
}
