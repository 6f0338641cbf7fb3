//! Files that are named twice: a log counts once, whatever it is called.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// One of the names of each file, in the order in which they were given, and what was left out, in plain words. Of a link and its file
/// the file stays: its name shows which series it is of. What is no file, or is not there, stays as it is; standard input stays once.
pub fn distinct(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    let mut kept: BTreeMap<Identity, usize> = BTreeMap::new();
    let mut distinct: Vec<PathBuf> = Vec::new();
    let mut notes = Vec::new();
    for path in paths {
        let Some(identity) = identity(path) else {
            distinct.push(path.clone());
            continue;
        };
        let place = *kept.entry(identity).or_insert(distinct.len());
        let Some(before) = distinct.get_mut(place) else {
            distinct.push(path.clone());
            continue;
        };
        let left_out = if path.is_symlink() || !before.is_symlink() {
            path.clone()
        } else {
            std::mem::replace(before, path.clone())
        };
        notes.push(format!(
            "{} is the same file as {} and is read once",
            left_out.display(),
            before.display()
        ));
    }
    (distinct, notes)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Input,
    /// Device and number of the file on it.
    File(u64, u64),
}

fn identity(path: &Path) -> Option<Identity> {
    if path == Path::new("-") {
        return Some(Identity::Input);
    }
    let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Identity::File(data.dev(), data.ino()))
}
