//! Asking the stations of a segment who they are, below IP: one question to a group, which only reads (PROFINET DCP,
//! Identify-All).

use std::time::{Duration, Instant};

use jiff::Timestamp;
use portcullis_knowledge::profinet;
use portcullis_model::{Exit, Fault, Introduction, MacAddress, sanitize};
use portcullis_sys::{
    SysError,
    host::setcap_line,
    packet::{Receiver, Sender, filter::everything, route::interfaces},
};

/// Answers are waited for so long: a station may wait 40 ms by its own choice, and some are slow.
pub const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// The shortest frame of Ethernet, without its checksum.
const SHORTEST_FRAME: usize = 60;
/// More stations than a segment can have are an attack.
const MOST_STATIONS: usize = 4096;

/// Who answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Each station once.
    pub stations: Vec<Introduction>,
    /// Whether more of them answered than a segment can have; those beyond are left out.
    pub too_many: bool,
}

impl Answers {
    fn add(&mut self, station: Introduction) {
        if self.stations.iter().any(|known| known.mac == station.mac) {
            return;
        }
        if self.stations.len() < MOST_STATIONS {
            self.stations.push(station);
        } else {
            self.too_many = true;
        }
    }
}

/// Asks once, and takes the answers that come until the time is over or `stop` says so. Needs CAP_NET_RAW.
///
/// # Errors
/// Before anything is sent: without that right, without the interface or with one that is no Ethernet.
pub fn ask(
    interface: &str,
    transaction: u32,
    wait: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<Answers, SegmentError> {
    let known = interfaces().map_err(SegmentError::System)?;
    let shown = || sanitize(interface);
    let found = known.iter().find(|one| one.name == interface);
    let found = found.ok_or_else(|| SegmentError::NoInterface { name: shown() })?;
    let own = found.ethernet.filter(|_| found.up);
    let own = own.ok_or_else(|| SegmentError::NoEthernet { name: shown() })?;
    let mut receiver = Receiver::open(found.index, profinet::ETHERTYPE, &everything()).map_err(opening)?;
    let mut sender = Sender::open(found.index).map_err(opening)?;
    let frame = question(own, transaction);
    if let Some(room) = sender.room(frame.len()) {
        room.copy_from_slice(&frame);
    }
    sender.send().map_err(SegmentError::System)?;
    let mut answers = Answers::default();
    let begin = Instant::now();
    while begin.elapsed() < wait && !stop() {
        let left = wait.saturating_sub(begin.elapsed());
        let heard = receiver.hear(left.min(Duration::from_millis(100)), &mut |heard| {
            if let Some(station) = answer(heard.bytes, transaction) {
                answers.add(station);
            }
        });
        heard.map_err(SegmentError::System)?;
    }
    answers
        .stations
        .sort_by_key(|station| (station.address, station.mac));
    Ok(answers)
}

/// The question as a frame.
fn question(own: [u8; 6], transaction: u32) -> Vec<u8> {
    let mut frame = profinet::GROUP.to_vec();
    frame.extend(own);
    frame.extend(profinet::ETHERTYPE.to_be_bytes());
    frame.extend(profinet::identify_all(transaction));
    frame.resize(SHORTEST_FRAME.max(frame.len()), 0);
    frame
}

/// Reads a frame: an answer to our question. A group cannot answer (IEEE 802, the lowest bit of the first byte).
fn answer(frame: &[u8], transaction: u32) -> Option<Introduction> {
    let mac: [u8; 6] = frame.get(6..12)?.try_into().ok()?;
    if mac.first()? & 1 != 0 {
        return None;
    }
    let station =
        profinet::station(frame.get(14..)?).filter(|station| station.answers == Some(transaction))?;
    Some(Introduction {
        address: station.address.map(Into::into),
        mac: Some(MacAddress::new(mac)),
        identification: station.identification()?,
        at: Timestamp::now(),
    })
}

/// Why a segment cannot be asked. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Without the right to send frames.
    #[error("asking a segment needs the right to send and receive raw packets (CAP_NET_RAW)")]
    Privilege(#[source] SysError),
    /// There is none of that name.
    #[error("this host has no interface `{name}`")]
    NoInterface {
        /// As typed, harmless to show.
        name: String,
    },
    /// It is none that PROFINET could be behind.
    #[error("interface `{name}` is down, or no Ethernet")]
    NoEthernet {
        /// As typed, harmless to show.
        name: String,
    },
    /// The system did not do what is needed.
    #[error("cannot ask the segment")]
    System(#[source] SysError),
}

/// An error of opening a packet socket.
fn opening(source: SysError) -> SegmentError {
    if source.is_denied() {
        SegmentError::Privilege(source)
    } else {
        SegmentError::System(source)
    }
}

impl Fault for SegmentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Privilege(_) => "SC064",
            Self::NoInterface { .. } => "SC065",
            Self::NoEthernet { .. } => "SC066",
            Self::System(_) => "SC067",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Privilege(_) => Some(format!("`{}`, or run it as root", setcap_line("cap_net_raw+ep"))),
            Self::NoInterface { .. } => Some("`ip -brief link` lists them".into()),
            Self::NoEthernet { .. } => Some("name the interface that is plugged into the segment".into()),
            Self::System(source) => source.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoInterface { .. } | Self::NoEthernet { .. } => Exit::Usage,
            Self::Privilege(_) | Self::System(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_so_many_are_kept_and_the_rest_is_told() {
        let mut answers = Answers::default();
        for number in 0..=MOST_STATIONS as u32 {
            assert!(!answers.too_many);
            let [.., high, low] = number.to_be_bytes();
            let station = Introduction {
                address: None,
                mac: Some(MacAddress::new([2, 0, 0, 0, high, low])),
                identification: portcullis_model::Identification {
                    service: portcullis_model::ServiceName::new(profinet::SERVICE).unwrap(),
                    grade: portcullis_model::Grade::Proven,
                    reasons: Vec::new(),
                    fields: std::collections::BTreeMap::new(),
                },
                at: Timestamp::UNIX_EPOCH,
            };
            answers.add(station.clone());
            answers.add(station);
        }
        assert_eq!((answers.stations.len(), answers.too_many), (MOST_STATIONS, true));
    }

    #[test]
    fn the_question_goes_to_the_group_and_is_as_long_as_a_frame_must_be() {
        let frame = question([2, 0, 0, 0, 0, 1], 7);
        assert_eq!(frame.len(), 60);
        assert_eq!(
            &frame[..14],
            [1, 0x0e, 0xcf, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0x88, 0x92]
        );
        assert_eq!(answer(&frame, 7), None, "our own question is no answer");
    }
}
