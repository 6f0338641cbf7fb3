//! What is known of services: those compiled in, and the user's own from a folder.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use portcullis_knowledge::Knowledge;
use portcullis_model::{Digest, sanitize};

use crate::{OpsError, desk::read_regular};

/// What is known, and what of it is the user's own.
#[derive(Debug)]
pub struct Services {
    /// All services together.
    pub knowledge: Knowledge,
    /// The user's own; `None` without a folder.
    pub own: Option<OwnServices>,
}

/// No description of a service is longer; what is longer is not read at all.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Services that were read from a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnServices {
    /// The folder.
    pub folder: PathBuf,
    /// Its files as they may be shown, in their order.
    pub files: Vec<String>,
    /// Digest of all their texts: whether two runs knew the same.
    pub digest: Digest,
}

/// Reads the services that are compiled in and those of a folder, each of its `*.toml` one. Folders below are not read.
///
/// # Errors
/// A folder or a file that cannot be read; all files of the wrong shape; all broken rules.
pub fn read(folder: Option<&Path>) -> Result<Services, OpsError> {
    let Some(folder) = folder else {
        let knowledge = Knowledge::builtin().map_err(OpsError::Knowledge)?;
        return Ok(Services { knowledge, own: None });
    };
    let texts = texts(folder)?;
    if texts.is_empty() {
        return Err(OpsError::NoServices(folder.into()));
    }
    let files: Vec<(&str, &str)> = texts
        .iter()
        .map(|(file, text)| (file.as_str(), text.as_str()))
        .collect();
    let knowledge = Knowledge::builtin_with(&files).map_err(OpsError::Knowledge)?;
    // The length goes before each text, so that no other cutting gives the same.
    let lengths: Vec<[u8; 8]> = texts
        .values()
        .map(|text| (text.len() as u64).to_be_bytes())
        .collect();
    let parts = lengths.iter().zip(texts.values());
    let digest = Digest::of_parts(parts.flat_map(|(length, text)| [length.as_slice(), text.as_bytes()]));
    Ok(Services {
        knowledge,
        own: Some(OwnServices {
            folder: folder.into(),
            files: texts.into_keys().collect(),
            digest,
        }),
    })
}

fn not_too_long(path: &Path) -> Result<(), OpsError> {
    let failed = |source| OpsError::Read {
        path: path.into(),
        source,
    };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > LONGEST_FILE {
        let why = format!("it has {length} bytes, and a service file has {LONGEST_FILE} at most");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, why)));
    }
    Ok(())
}

/// The service files of a folder by their shown names.
fn texts(folder: &Path) -> Result<BTreeMap<String, String>, OpsError> {
    let failed = |source| OpsError::Read {
        path: folder.into(),
        source,
    };
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            not_too_long(&path)?;
            texts.insert(sanitize(&path.to_string_lossy()), read_regular(&path)?);
        }
    }
    Ok(texts)
}
