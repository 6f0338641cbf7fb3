//! Where somebody looks from, by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::sanitize;

/// Where we look from: a short name such as `this-host` or `lab:office`. What another program looked at is
/// `import:TOOL`, or `import:TOOL@PLACE` when it is known where it stood; whose packets were overheard is
/// `capture@CLIENT`. Nothing of our own is ever called so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vantage(String);

impl Vantage {
    /// The host that runs Portcullis, talking through its own network stack.
    pub fn this_host() -> Self {
        Self("this-host".into())
    }

    /// A host of the miniature plant.
    pub fn lab(host: &str) -> Self {
        Self(format!("lab:{host}"))
    }

    /// The host's name if this is a host of the miniature plant.
    pub fn lab_host(&self) -> Option<&str> {
        self.0.strip_prefix("lab:")
    }

    /// Another host that is reached over ssh, as `ssh://user@host`.
    pub fn ssh(target: &str) -> Self {
        Self(target.into())
    }

    /// How another host is reached over ssh, if this is one.
    pub fn ssh_target(&self) -> Option<&str> {
        self.0.starts_with(SSH).then_some(self.0.as_str())
    }

    /// A sensor: a host in another network that looks for this one.
    pub fn sensor(name: &SensorName) -> Self {
        Self(format!("{SENSOR}{name}"))
    }

    /// The sensor, if this is one.
    pub fn sensor_name(&self) -> Option<SensorName> {
        self.0.strip_prefix(SENSOR)?.parse().ok()
    }

    /// Another program, by its short name, and the zone or address that it looked from.
    pub fn import(tool: &str, seen_from: Option<&str>) -> Self {
        Self(match seen_from {
            Some(place) => format!("import:{tool}@{place}"),
            None => format!("import:{tool}"),
        })
    }

    /// The program that looked, and from where if that is known, when it was not Portcullis.
    pub fn imported(&self) -> Option<(&str, Option<&str>)> {
        let name = self.0.strip_prefix("import:")?;
        Some(match name.split_once('@') {
            Some((tool, place)) => (tool, Some(place)),
            None => (name, None),
        })
    }

    /// A capture of packets, and the client whose conversation was overheard.
    pub fn capture(client: Option<&str>) -> Self {
        Self(match client {
            Some(client) => format!("capture@{client}"),
            None => "capture".into(),
        })
    }

    /// Whether somebody else's packets were overheard.
    pub fn is_capture(&self) -> bool {
        self.0 == "capture" || self.0.starts_with("capture@")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const SSH: &str = "ssh://";
const SENSOR: &str = "sensor:";

/// The name of a sensor: 1 to 32 letters, digits and hyphens, so that it can stand in a subject of NATS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SensorName(String);

impl SensorName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SensorName> for String {
    fn from(name: SensorName) -> Self {
        name.0
    }
}

impl TryFrom<String> for SensorName {
    type Error = SensorNameError;
    fn try_from(text: String) -> Result<Self, SensorNameError> {
        text.parse()
    }
}

/// A text that is not the name of a sensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the name of a sensor: use 1 to 32 letters, digits and hyphens", sanitize(.0))]
pub struct SensorNameError(String);

impl FromStr for SensorName {
    type Err = SensorNameError;
    fn from_str(text: &str) -> Result<Self, SensorNameError> {
        if is_name(text) && text.len() <= 32 {
            Ok(Self(text.into()))
        } else {
            Err(SensorNameError(text.into()))
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A text that is not the name of a vantage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a vantage: use this-host, lab:HOST, sensor:NAME or ssh://user@host")]
pub struct VantageError(String);

impl FromStr for Vantage {
    type Err = VantageError;
    fn from_str(text: &str) -> Result<Self, VantageError> {
        if let Some(name) = text.strip_prefix(SENSOR) {
            let name = name.parse().map_err(|_| VantageError(text.into()))?;
            return Ok(Self::sensor(&name));
        }
        match text.strip_prefix("lab:") {
            Some(host) if is_name(host) => Ok(Self::lab(host)),
            None if text == "this-host" => Ok(Self::this_host()),
            None if text.len() > SSH.len() && text.starts_with(SSH) => Ok(Self::ssh(text)),
            _ => Err(VantageError(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_vantage_is_never_one_to_look_from() {
        let nmap = Vantage::import("nmap", Some("2001:db8::1"));
        assert_eq!(nmap.to_string(), "import:nmap@2001:db8::1");
        assert_eq!(nmap.imported(), Some(("nmap", Some("2001:db8::1"))));
        assert_eq!(Vantage::import("zeek", None).imported(), Some(("zeek", None)));
        assert_eq!(Vantage::lab("office").imported(), None);
        assert!("import:nmap".parse::<Vantage>().is_err());
        assert!("capture@10.7.20.5".parse::<Vantage>().is_err());
        assert!(
            Vantage::capture(Some("10.7.20.5")).is_capture() && !Vantage::import("zeek", None).is_capture()
        );
        assert_ne!(Vantage::import("nmap", None), nmap);
    }

    #[test]
    fn a_sensor_is_named_so_that_its_name_can_stand_in_a_subject() {
        let vantage: Vantage = "sensor:office-2".parse().unwrap();
        assert_eq!(vantage.sensor_name().unwrap().as_str(), "office-2");
        for wrong in [
            "sensor:",
            "sensor:a.b",
            "sensor:*",
            "sensor:>",
            "sensor:a b",
            "sensor:\u{1b}[m",
        ] {
            assert!(wrong.parse::<Vantage>().is_err(), "{wrong}");
        }
        let long = "a".repeat(33);
        assert!(long.parse::<SensorName>().is_err());
        assert!(serde_json::from_str::<SensorName>("\"a.b\"").is_err());
        assert_eq!("lab:office".parse::<Vantage>().unwrap().sensor_name(), None);
    }
}
