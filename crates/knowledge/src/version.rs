//! Versions of firmware and software as vendors write them: `1.13.11`, `v2.6`, `2.9 Build 17030709`. Pure.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    numbers: Vec<u64>,
    build: Option<u64>,
}

/// A text that is no version, or one whose letters nobody can order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a version such as 1.13.11 or 2.9 Build 17030709")]
pub struct VersionError;

/// More digits than this is no version.
const LONGEST: usize = 60;

impl Version {
    /// Which comes first. Missing numbers are zero: `1.0` is `1.0.0`. `None` when the numbers are equal and only one of
    /// the two tells its build.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let length = self.numbers.len().max(other.numbers.len());
        let number = |version: &Self, at: usize| version.numbers.get(at).copied().unwrap_or_default();
        let numbers = (0..length)
            .map(|at| number(self, at).cmp(&number(other, at)))
            .find(|order| order.is_ne());
        match (numbers, self.build, other.build) {
            (Some(order), ..) => Some(order),
            (None, Some(own), Some(others)) => Some(own.cmp(&others)),
            (None, None, None) => Some(Ordering::Equal),
            (None, ..) => None,
        }
    }

    /// The same version whatever its build.
    pub fn without_build(&self) -> Self {
        Self {
            numbers: self.numbers.clone(),
            build: None,
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads numbers with dots, after `v`, `ver`, `version` or `firmware`, and a build after `build` or `b`. Anything else
    /// (`2.0-beta`, `3.x`) is refused, because it cannot be ordered.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() || text.len() > LONGEST {
            return Err(VersionError);
        }
        let mut rest = text.as_str();
        for word in ["firmware", "version", "ver", "v"] {
            if let Some(after) = rest.strip_prefix(word) {
                rest = after.trim_start_matches(['.', ':', ' ']);
            }
        }
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let (numbers, build) = rest.split_at(end);
        let numbers: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
        let build = match build.trim().trim_matches(['(', ')']).trim() {
            "" => None,
            build => {
                let digits = ["build", "b"].iter().find_map(|word| build.strip_prefix(word));
                let digits = digits.ok_or(VersionError)?.trim_start_matches(['.', ':', ' ']);
                Some(digits.parse().map_err(|_| VersionError)?)
            }
        };
        Ok(Self {
            numbers: numbers.map_err(|_| VersionError)?,
            build,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        match self.build {
            Some(build) => write!(f, " Build {build}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(one: &str, other: &str) -> Option<Ordering> {
        one.parse::<Version>().unwrap().compare(&other.parse().unwrap())
    }

    #[test]
    fn numbers_are_not_text() {
        assert_eq!(order("1.13.11", "1.9"), Some(Ordering::Greater));
        assert_eq!(order("2.10", "2.9"), Some(Ordering::Greater));
        assert_eq!(order("3.2.2", "3.2.4"), Some(Ordering::Less));
        assert_eq!(order("1.0", "1.0.0"), Some(Ordering::Equal));
        assert_eq!(order("Ver2.6", "v2.6"), Some(Ordering::Equal));
    }

    #[test]
    fn a_build_counts_when_both_tell_it() {
        assert_eq!(order("2.9 Build 17030709", "2.9 b17030710"), Some(Ordering::Less));
        assert_eq!(order("2.9", "2.9 Build 17030709"), None);
        assert_eq!(order("2.10", "2.9 Build 17030709"), Some(Ordering::Greater));
        assert_eq!(
            order("2.9 (Build 17030709)", "2.9 Build 17030709"),
            Some(Ordering::Equal)
        );
    }

    #[test]
    fn what_cannot_be_ordered_is_no_version() {
        for text in [
            "",
            "3.x",
            "2.0-beta",
            "latest",
            "1..2",
            "1.2.",
            ".",
            "2.9 Build",
            "99999999999999999999.1",
        ] {
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<Version>();
        }

        #[test]
        fn what_is_shown_is_read_and_the_order_is_one(
            versions in prop::collection::vec((prop::collection::vec(0u64..30, 1..5), prop::option::of(0u64..100)), 3)) {
            let versions: Vec<Version> = versions.into_iter().map(|(numbers, build)| Version { numbers, build }).collect();
            for one in &versions {
                prop_assert_eq!(&one.to_string().parse::<Version>().unwrap(), one);
                for other in &versions {
                    prop_assert_eq!(one.compare(other), other.compare(one).map(Ordering::reverse));
                    for third in &versions {
                        if one.compare(other) == Some(Ordering::Less) && other.compare(third) == Some(Ordering::Less) {
                            prop_assert_eq!(one.compare(third), Some(Ordering::Less));
                        }
                    }
                }
            }
        }
    }
}
