//! A folder for one test, removed after it.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "it is compiled for tests alone"
)]

use std::path::{Path, PathBuf};

/// Removes its folder when it goes out of scope.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder; `test` tells the tests of one process apart.
    pub fn new(test: &str) -> Self {
        let name = format!("cloud-backup-exporter-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The path of a file in the folder, whether or not it exists.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the folder for temporary files is the system's to remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
