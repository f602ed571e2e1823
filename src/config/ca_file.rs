//! Certificates that an account trusts beside those of the system: of a private link, or of a proxy that opens TLS.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A file of certificates, as it was when the configuration was read: a reload reads it again.
#[derive(Clone, PartialEq, Eq)]
pub struct CaFile {
    path: PathBuf,
    pem: Vec<u8>,
}

/// A bundle of every public authority has a quarter of a MiB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

impl CaFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the file and says why it is of no use.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |what: String| format!("the file `{}` {what}", path.display());
        let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => told("does not exist".to_owned()),
            _ => told(format!("cannot be read: {error}")),
        })?;
        if !metadata.is_file() {
            return Err(told("is no regular file".to_owned()));
        }
        if metadata.len() > MOST_BYTES {
            return Err(told(format!("is larger than {} MiB", MOST_BYTES >> 20)));
        }
        let pem = std::fs::read(path).map_err(|error| told(format!("cannot be read: {error}")))?;
        let file = Self {
            path: path.to_owned(),
            pem,
        };
        file.check().map_err(told)?;
        Ok(file)
    }

    /// The certificates as they stand in the file.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    fn check(&self) -> Result<(), String> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.pem) {
            let certificate =
                certificate.map_err(|_| "is no sound PEM file of certificates".to_owned())?;
            store.add(certificate).map_err(|error| {
                let number = store.len() + 1;
                format!("holds something else than a certificate as number {number}: {error}")
            })?;
        }
        if store.is_empty() {
            return Err("holds no certificate in PEM form".to_owned());
        }
        Ok(())
    }
}

/// The content is no secret, but long.
impl fmt::Debug for CaFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CaFile({})", self.path.display())
    }
}
