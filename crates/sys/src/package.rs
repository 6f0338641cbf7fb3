//! Which Debian package a file belongs to, read from dpkg's own database (deb-files are listed one path a line).

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

const INFO: &str = "/var/lib/dpkg/info";
const STATUS: &str = "/var/lib/dpkg/status";

/// Package and version that own an executable, e.g. `openssh-server 1:9.2p1-2`; `None` on other systems and for files
/// that no package owns.
pub(crate) fn owner_of(executable: &Path) -> Option<String> {
    let path = executable.to_str()?;
    // On a merged /usr the same file may be listed without its /usr.
    let names = [path, path.strip_prefix("/usr").unwrap_or(path)];
    let package = fs::read_dir(INFO).ok()?.flatten().find_map(|entry| {
        let file = entry.path();
        let list = file.file_name()?.to_str()?.strip_suffix(".list")?;
        lists(&file, &names).then(|| list.to_owned())
    })?;
    let name = package.split(':').next().unwrap_or(&package);
    Some(
        match version_of(name, &fs::read_to_string(STATUS).unwrap_or_default()) {
            Some(version) => format!("{name} {version}"),
            None => name.to_owned(),
        },
    )
}

fn lists(file: &Path, names: &[&str]) -> bool {
    let Ok(file) = fs::File::open(file) else {
        return false;
    };
    BufReader::new(file)
        .lines()
        .map_while(Result::ok)
        .any(|line| names.contains(&line.as_str()))
}

fn version_of(package: &str, status: &str) -> Option<String> {
    let mut inside = false;
    for line in status.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            inside = name == package;
        } else if inside && let Some(version) = line.strip_prefix("Version: ") {
            return Some(version.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_itself() {
        let status = "Package: ssh\nVersion: 1\n\nPackage: openssh-server\nStatus: x\nVersion: 1:9.2p1-2\n";
        assert_eq!(version_of("openssh-server", status).as_deref(), Some("1:9.2p1-2"));
        assert_eq!(version_of("openssh", status), None);
    }

    #[test]
    fn a_file_that_no_package_owns_has_no_owner() {
        assert_eq!(owner_of(Path::new("/nonexistent/program")), None);
    }
}
