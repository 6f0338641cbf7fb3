//! What is said between one who asks and a sensor, and whether it may be believed.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{Evidence, Identification, Port, PortState, RunId, SensorName, Untrusted, sanitize};
use serde::{Deserialize, Serialize};

/// Addresses in one look: those of one host, or of some hosts behind a router.
pub const MOST_ADDRESSES: usize = 256;

/// Bytes that say who asks, and letters of what is wrong with a message.
const LONGEST_NAME: usize = 256;

/// The version of these messages; who hears another one says so.
const VERSION: u32 = 1;

/// A look at one port that a sensor is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedLook {
    version: u32,
    /// The run that it belongs to.
    pub run: RunId,
    /// Who asks, and on which host.
    pub asked_by: Untrusted,
    /// The port.
    pub port: Port,
    /// Where.
    pub targets: Vec<Target>,
}

/// One address, and what should answer there beside the port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The address.
    pub address: IpAddr,
    /// A TCP port that should be open, as positive control.
    pub control: Option<u16>,
}

/// What a sensor says to a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    version: u32,
    /// The run of the look.
    pub run: RunId,
    /// The sensor.
    pub sensor: SensorName,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// What was seen at each address.
    Looked(Vec<Looked>),
    /// The permission or the site of the sensor does not have it.
    Refused(Untrusted),
    /// It could not be done there.
    Failed(Untrusted),
}

/// What a sensor saw at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// The address that was asked.
    pub address: IpAddr,
    /// The sensor's own address in the exchange, when known.
    pub source: Option<IpAddr>,
    /// What the port answered.
    pub state: PortState,
    /// Why that is its state.
    pub because: String,
    /// Whether the positive control answered; `None` when there was none.
    pub control: Option<bool>,
    /// The services that were considered.
    pub identifications: Vec<Identification>,
    /// The bytes and circumstances behind it.
    pub evidence: Vec<Evidence>,
    /// Packets that were sent.
    pub packets: u32,
}

/// A sensor that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its name.
    pub sensor: SensorName,
    /// The host that it runs on, as that calls itself.
    pub host: Untrusted,
    /// The version of Portcullis there.
    pub version: Untrusted,
    /// Since when, by its own clock.
    pub since: Timestamp,
    /// Whether that was its last word.
    pub gone: bool,
}

impl Presence {
    /// Reads what stands under the name of a sensor; what somebody else has written there is none.
    pub(crate) fn read(text: &[u8], sensor: &SensorName) -> Option<Self> {
        let said: Self = serde_json::from_slice(text).ok()?;
        (said.sensor == *sensor && !said.gone).then_some(said)
    }
}

impl AskedLook {
    /// A look.
    pub fn new(run: RunId, asked_by: &str, port: Port, targets: Vec<Target>) -> Self {
        Self {
            version: VERSION,
            run,
            asked_by: Untrusted::new(asked_by),
            port,
            targets,
        }
    }

    /// Reads what somebody asked for.
    ///
    /// # Errors
    /// In plain words, why it is not a look that can be made.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let asked: Self = serde_json::from_slice(text).map_err(|error| in_short(&error))?;
        match asked {
            Self { version, .. } if version != VERSION => Err(other_version(version)),
            Self { targets, .. } if targets.is_empty() => Err("it names no address".into()),
            Self { targets, .. } if targets.len() > MOST_ADDRESSES => Err(format!(
                "it names {} addresses, and {MOST_ADDRESSES} are the most",
                targets.len()
            )),
            Self { asked_by, .. } if asked_by.raw().len() > LONGEST_NAME => {
                Err("it says at too great length who asks".into())
            }
            asked => Ok(asked),
        }
    }

    /// The id under which the server keeps one message of this look by this sensor.
    pub(crate) fn id(&self, sensor: &SensorName) -> String {
        format!("{}.{sensor}", self.run)
    }

    /// The answer of a sensor.
    pub(crate) fn answered(&self, sensor: SensorName, outcome: Outcome) -> Answer {
        Answer {
            version: VERSION,
            run: self.run,
            sensor,
            outcome,
        }
    }
}

impl Looked {
    /// An address at which nobody looked.
    pub fn not_tested(address: IpAddr, because: String) -> Self {
        Self {
            address,
            source: None,
            state: PortState::NotTested,
            because,
            control: None,
            identifications: Vec::new(),
            evidence: Vec::new(),
            packets: 0,
        }
    }
}

impl Answer {
    /// Reads the answer to a look: it must be of the one who was asked, about no more and no less than he was asked for.
    ///
    /// # Errors
    /// In plain words, why it cannot be used.
    pub fn read(text: &[u8], asked: &AskedLook, sensor: &SensorName) -> Result<Self, String> {
        let mut answer: Self = serde_json::from_slice(text).map_err(|error| in_short(&error))?;
        if answer.version != VERSION {
            return Err(other_version(answer.version));
        }
        if answer.run != asked.run || answer.sensor != *sensor {
            return Err("it answers another look".into());
        }
        if let Outcome::Looked(looked) = &mut answer.outcome {
            let told = looked.iter().map(|looked| looked.address);
            if !told.eq(asked.targets.iter().map(|target| target.address)) {
                return Err("it is not about the addresses that were asked for".into());
            }
            for looked in looked {
                looked.because = sanitize(&looked.because);
                for evidence in &mut looked.evidence {
                    evidence.note = sanitize(&evidence.note);
                }
            }
        }
        Ok(answer)
    }
}

/// What is wrong with a text may hold much of it.
fn in_short(error: &serde_json::Error) -> String {
    error.to_string().chars().take(LONGEST_NAME).collect()
}

fn other_version(version: u32) -> String {
    format!("it is of version {version} of these messages, and this program speaks version {VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> AskedLook {
        let target = |last| Target {
            address: IpAddr::from([10, 7, 10, last]),
            control: Some(40_000),
        };
        AskedLook::new(
            RunId::of(&[b"one"]),
            "operator on gateway",
            Port::tcp(54_321),
            vec![target(1), target(2)],
        )
    }

    fn looked(address: IpAddr) -> Looked {
        Looked {
            state: PortState::NoAnswer,
            control: Some(true),
            packets: 4,
            ..Looked::not_tested(address, "no \x1b[31manswer".into())
        }
    }

    fn answer(outcome: Outcome) -> Vec<u8> {
        let office: SensorName = "office".parse().unwrap();
        serde_json::to_vec(&asked().answered(office, outcome)).unwrap()
    }

    #[test]
    fn a_look_is_read_as_it_was_written() {
        let text = serde_json::to_vec(&asked()).unwrap();
        assert_eq!(AskedLook::read(&text), Ok(asked()));
    }

    #[test]
    fn a_look_that_is_too_large_empty_or_of_another_version_is_refused() {
        let mut many = asked();
        many.targets = vec![many.targets[0].clone(); MOST_ADDRESSES + 1];
        let none = AskedLook {
            targets: Vec::new(),
            ..asked()
        };
        let newer = AskedLook {
            version: 2,
            ..asked()
        };
        for (asked, why) in [
            (many, "257 addresses"),
            (none, "no address"),
            (newer, "version 2"),
        ] {
            let text = serde_json::to_vec(&asked).unwrap();
            let error = AskedLook::read(&text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(AskedLook::read(b"{").is_err());
    }

    #[test]
    fn an_answer_is_about_just_the_addresses_that_were_asked_for() {
        let office: SensorName = "office".parse().unwrap();
        let (one, two) = (asked().targets[0].address, asked().targets[1].address);
        let other = IpAddr::from([10, 7, 10, 9]);
        let right = answer(Outcome::Looked(vec![looked(one), looked(two)]));
        let read = Answer::read(&right, &asked(), &office).unwrap();
        let Outcome::Looked(seen) = read.outcome else {
            panic!("it looked")
        };
        assert_eq!(seen[0].because, "no \\u{1b}[31manswer", "no terminal obeys it");
        for wrong in [
            vec![],
            vec![looked(one)],
            vec![looked(two), looked(one)],
            vec![looked(one), looked(other)],
        ] {
            let text = answer(Outcome::Looked(wrong));
            assert!(Answer::read(&text, &asked(), &office).is_err());
        }
    }

    #[test]
    fn who_is_there_says_so_in_its_own_name() {
        let north: SensorName = "north".parse().unwrap();
        let said = |gone: bool| {
            let said = Presence {
                sensor: north.clone(),
                host: Untrusted::new("pc"),
                version: Untrusted::new("1"),
                since: Timestamp::UNIX_EPOCH,
                gone,
            };
            serde_json::to_vec(&said).unwrap()
        };
        assert!(Presence::read(&said(false), &north).is_some());
        assert!(Presence::read(&said(false), &"south".parse().unwrap()).is_none());
        assert!(Presence::read(&said(true), &north).is_none());
        assert!(Presence::read(b"{", &north).is_none());
    }

    #[test]
    fn who_asks_says_so_shortly() {
        let long = AskedLook {
            asked_by: Untrusted::new("x".repeat(257)),
            ..asked()
        };
        assert!(AskedLook::read(&serde_json::to_vec(&long).unwrap()).is_err());
        let junk = format!("{{\"version\":\"{}\"}}", "y".repeat(10_000));
        assert!(AskedLook::read(junk.as_bytes()).unwrap_err().len() <= 4 * LONGEST_NAME);
    }

    #[test]
    fn an_answer_of_somebody_else_or_to_another_look_is_none() {
        let text = answer(Outcome::Failed(Untrusted::new("no route")));
        let (office, plant) = ("office".parse().unwrap(), "plant".parse().unwrap());
        assert!(Answer::read(&text, &asked(), &office).is_ok());
        assert!(Answer::read(&text, &asked(), &plant).is_err());
        let later = AskedLook {
            run: RunId::of(&[b"two"]),
            ..asked()
        };
        assert!(Answer::read(&text, &later, &office).is_err());
    }
}
