//! The database of countries that the operator has on disk.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use portcullis_logs::Countries;

use crate::OpsError;

/// A database of countries for the whole world has less than a tenth of that.
const LARGEST_DATABASE: u64 = 1 << 30;

/// Reads a database of countries.
///
/// # Errors
/// A file that cannot be read, or is none.
pub fn countries(path: &Path) -> Result<Countries, OpsError> {
    let failed = |source| OpsError::Read {
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST_DATABASE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST_DATABASE {
        let why = "it is larger than 1 GiB, or has no end";
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, why)));
    }
    Countries::read(bytes).map_err(|source| OpsError::Countries {
        path: path.into(),
        source,
    })
}
