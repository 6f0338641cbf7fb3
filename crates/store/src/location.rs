//! Where a store is: a path or a URL, as typed.

use std::path::PathBuf;

use crate::StoreError;

/// The file behind `sqlite:PATH`, `sqlite://PATH` or a plain path.
pub(crate) fn database_path(url: &str) -> Result<PathBuf, StoreError> {
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if scheme == "sqlite" || rest.starts_with("//") => (scheme, rest),
        _ => ("", url),
    };
    // A URL of another kind may carry a password, so that only its scheme may go into a message.
    let path = match scheme {
        "" => rest,
        "sqlite" => rest.strip_prefix("//").unwrap_or(rest),
        "postgres" | "postgresql" => return Err(StoreError::NoPostgres),
        other => {
            return Err(StoreError::UnknownScheme { scheme: other.into() });
        }
    };
    let reason = if path.is_empty() {
        "it names no file"
    } else if path == ":memory:" {
        "what is kept only in memory is not kept"
    } else if !scheme.is_empty() && path.contains('?') {
        "it takes no parameters after `?`"
    } else if path.contains('\0') {
        "a file name cannot hold a NUL character"
    } else {
        return Ok(path.into());
    };
    Err(StoreError::BadLocation {
        given: portcullis_model::sanitize(url),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_both_spellings_of_the_url_name_a_file() {
        for (url, path) in [
            ("plant.db", "plant.db"),
            ("/var/lib/p/plant.db", "/var/lib/p/plant.db"),
            ("sqlite:plant.db", "plant.db"),
            ("sqlite://plant.db", "plant.db"),
            ("sqlite:///var/lib/plant.db", "/var/lib/plant.db"),
            ("odd:name.db", "odd:name.db"),
        ] {
            assert_eq!(database_path(url).unwrap(), PathBuf::from(path), "{url}");
        }
    }

    #[test]
    fn what_this_build_cannot_open_is_refused_without_printing_a_password() {
        for url in [
            "postgres://ola:secret@db/plant",
            "postgresql://ola:secret@db/plant",
        ] {
            let error = database_path(url).unwrap_err();
            assert!(matches!(error, StoreError::NoPostgres));
            assert!(!error.to_string().contains("secret"));
        }
        let error = database_path("mysql://ola:secret@db/plant").unwrap_err();
        assert_eq!(error.to_string(), "cannot open a store of the kind `mysql`");
    }

    #[test]
    fn a_url_without_a_lasting_file_is_refused() {
        for url in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:a.db?mode=ro",
            "a\0b",
        ] {
            let error = database_path(url).unwrap_err();
            assert!(matches!(error, StoreError::BadLocation { .. }), "{url:?}");
        }
    }
}
