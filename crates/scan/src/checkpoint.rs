//! The checkpoint of a scan: a header with everything that decides what the scan does, then one line for each thing that
//! became known. Pure: text out, text in; who keeps the file is the caller's business.
//!
//! Each line begins with a digest of itself and of all lines before it, so that one that was altered, removed or moved
//! is noticed. It is no signature: whoever may write the file may also begin a scan of his own.
//!
//! The file may end in the middle of a line, because the program may be killed while it writes: that line is left out,
//! and what it said is found out again. A broken line anywhere else is damage.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use portcullis_model::{Digest, Exit, Fault, Loss, Observation, Port, RunId, ServiceName, Vantage, sanitize};
use serde::{Deserialize, Serialize};

/// Names the shape of the file; another number is another shape.
const SCHEMA: &str = "portcullis.scan-checkpoint/3";

/// The shape of the file, in its first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(String);

impl Default for Schema {
    /// The shape that this version writes.
    fn default() -> Self {
        Self(SCHEMA.into())
    }
}

/// Everything that decides what a scan does. A resumed scan takes all of it from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Shape of the file.
    pub schema: Schema,
    /// The run; it also decides the order.
    pub run: RunId,
    /// When it was begun.
    pub started: Timestamp,
    /// Where it looks from.
    pub vantage: Vantage,
    /// Targets as typed, for people.
    pub targets: Vec<String>,
    /// The addresses, resolved.
    pub addresses: Vec<IpAddr>,
    /// The interfaces of link-local addresses.
    pub scopes: Vec<(IpAddr, u32)>,
    /// The ports.
    pub ports: Vec<Port>,
    /// Where the site says a service also listens.
    pub moved: Vec<(ServiceName, Port)>,
    /// Services that are asked wherever they may be.
    pub services: Vec<ServiceName>,
    /// Whether a service that has answered is asked once more.
    pub second_look: bool,
    /// `connect` or `syn`.
    pub mode: Mode,
    /// Packets per second in all.
    pub packets_per_second: u32,
    /// Packets per second to one host.
    pub per_host: u32,
    /// Packets per second to one network; 0 is no limit of its own.
    pub per_subnet: u32,
    /// Neighbours that are watched.
    pub guards: Vec<String>,
    /// Path of the permission file, if there is one.
    pub permission: Option<String>,
    /// Path of the list of allowed signers, if signatures are checked.
    pub signers: Option<String>,
    /// Digest of the permission, of the site and of what is known of services: a resumed scan must find the same.
    pub basis: Basis,
}

/// How a scan looks at a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By a full connection, and by asking what the service is.
    #[default]
    Connect,
    /// By the first packet of a connection only; services are not named.
    Syn,
}

/// Something that became known. Hosts and ports are named by their places in the sorted lists of the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A port answered.
    Seen(Box<SeenPort>),
    /// Ports of hosts were asked and stayed silent.
    Silent {
        /// At which look, from 1.
        look: u32,
        /// Host and port of each.
        places: Vec<(u32, u32)>,
    },
    /// All turns of a look before this one were taken, so long ago that no answer can come any more.
    Reached {
        /// The look, from 1.
        look: u32,
        /// The round.
        round: u64,
        /// The turn in it.
        turn: u64,
    },
    /// Ports of hosts that were not asked.
    Refused {
        /// Host and port of each.
        places: Vec<(u32, u32)>,
        /// Why not.
        reason: String,
    },
    /// A port that had answered was asked again, to measure loss.
    Canary {
        /// Of which host.
        host: u32,
        /// Packets that went to it.
        packets: u32,
        /// Connections that it accepted.
        connections: u32,
    },
    /// Loss as the canaries have shown it so far.
    Loss(Loss),
    /// A host is left alone.
    Left {
        /// Which.
        host: u32,
        /// Why.
        reason: String,
    },
}

/// A port that answered, and what that took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPort {
    /// At which look it answered, from 1.
    pub look: u32,
    /// Packets that went to it.
    pub packets: u32,
    /// Connections that it accepted.
    pub connections: u32,
    /// What was seen.
    pub observation: Observation,
}

/// What a scan rests on beside its own options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// Digest of the permission's text.
    pub permission: Option<Digest>,
    /// Digest of the site's text.
    pub site: Option<Digest>,
    /// Digest of the user's own service files; `None` without any.
    #[serde(default)]
    pub knowledge: Option<Digest>,
    /// Version of the program, with which comes what is known of services.
    pub program: String,
}

/// A checkpoint that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the scan does.
    pub header: Header,
    /// What has become known so far.
    pub entries: Vec<Entry>,
    /// Length in bytes of what could be read: a further line is to be written here.
    pub length: usize,
    /// Makes the further lines.
    pub writer: Writer,
}

/// Makes the lines of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Digest of all lines so far.
    so_far: Digest,
}

impl Writer {
    /// Begins a file: its first line.
    pub fn begin(header: &Header) -> (Self, String) {
        let mut writer = Self { so_far: Digest::ZERO };
        let line = writer.line(header);
        (writer, line)
    }

    /// A further line.
    pub fn entry(&mut self, entry: &Entry) -> String {
        self.line(entry)
    }

    fn line(&mut self, value: &impl Serialize) -> String {
        let text = serde_json::to_string(value).unwrap_or_default();
        self.so_far = self.digest_with(&text);
        format!("{} {text}\n", self.so_far)
    }

    fn digest_with(&self, text: &str) -> Digest {
        Digest::of_parts([self.so_far.as_bytes().as_slice(), text.as_bytes()])
    }

    /// What stands in a line, if the line is the next one.
    fn next<'t>(&mut self, line: &'t str) -> Result<&'t str, String> {
        let parts = line
            .split_once(' ')
            .and_then(|(digest, text)| Some((digest.parse().ok()?, text)));
        let (digest, text): (Digest, &str) = parts.ok_or("it does not begin with a digest")?;
        if digest != self.digest_with(text) {
            return Err("it is not as it was written, or a line before it is gone".into());
        }
        self.so_far = digest;
        Ok(text)
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The header is missing or of another shape.
    #[error("this is no checkpoint of a scan that this version can resume: {0}")]
    Header(String),
    /// A line in the middle cannot be read, or belongs to another scan.
    #[error("the checkpoint is damaged at line {line}: {why}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Something that matters is not what it was.
    #[error("{what} changed since the scan was begun")]
    Changed {
        /// What.
        what: &'static str,
    },
}

impl Fault for CheckpointError {
    fn code(&self) -> &'static str {
        match self {
            Self::Header(_) => "SC030",
            Self::Damaged { .. } => "SC031",
            Self::Changed { .. } => "SC032",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Changed { .. } => {
                "begin the scan anew; what it had seen until then stays in the file, a line for each".into()
            }
            Self::Header(_) | Self::Damaged { .. } => "begin the scan anew".into(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Header(_) | Self::Damaged { .. } => Exit::Usage,
            Self::Changed { .. } => Exit::Refused,
        }
    }
}

impl Header {
    /// Refuses when something that matters is not what it was.
    ///
    /// # Errors
    /// What changed.
    pub fn holds(&self, basis: &Basis, vantage: &Vantage) -> Result<(), CheckpointError> {
        let same = [
            (self.basis.permission == basis.permission, "the permission"),
            (self.basis.site == basis.site, "site.toml"),
            (
                self.basis.knowledge == basis.knowledge,
                "the folder of own services (--knowledge)",
            ),
            (self.basis.program == basis.program, "the version of portcullis"),
            (&self.vantage == vantage, "the place to look from"),
        ];
        match same.iter().find(|(same, _)| !same) {
            Some((_, what)) => Err(CheckpointError::Changed { what }),
            None => Ok(()),
        }
    }
}

/// Reads a checkpoint.
///
/// # Errors
/// Another shape, or damage before the last line.
pub fn read(text: &str) -> Result<Checkpoint, CheckpointError> {
    // What stands behind the last line end was being written when the program was killed.
    let length = text.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = text.get(..length).unwrap_or_default().lines();
    let wrong = CheckpointError::Header;
    let first = lines.next().ok_or_else(|| {
        wrong(
            if text.is_empty() {
                "it is empty"
            } else {
                "it is cut off in its first line"
            }
            .into(),
        )
    })?;
    let mut writer = Writer { so_far: Digest::ZERO };
    let first = writer
        .next(first)
        .map_err(|why| wrong(format!("its first line: {why}")))?;
    let header: Header = serde_json::from_str(first).map_err(|error| wrong(shown(&error)))?;
    if header.schema != Schema::default() {
        return Err(CheckpointError::Header(format!(
            "its shape is `{}`",
            sanitize(&header.schema.0)
        )));
    }
    let mut entries = Vec::new();
    for (line, text) in (2..).zip(lines) {
        let damaged = |why: String| CheckpointError::Damaged { line, why };
        let text = writer.next(text).map_err(damaged)?;
        let entry: Entry = serde_json::from_str(text).map_err(|error| damaged(shown(&error)))?;
        if matches!(&entry, Entry::Seen(seen) if seen.observation.run != header.run) {
            return Err(damaged("it belongs to another scan".into()));
        }
        entries.push(entry);
    }
    Ok(Checkpoint {
        header,
        entries,
        length,
        writer,
    })
}

fn shown(error: &impl fmt::Display) -> String {
    sanitize(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_model::PortState;

    fn header() -> Header {
        Header {
            schema: Schema::default(),
            run: RunId::of(&[b"run"]),
            started: Timestamp::UNIX_EPOCH,
            vantage: Vantage::this_host(),
            targets: vec!["10.7.10.0/30".into()],
            addresses: vec!["10.7.10.1".parse().unwrap(), "10.7.10.2".parse().unwrap()],
            ports: vec![Port::tcp(54321), Port::udp(4800)],
            moved: Vec::new(),
            scopes: Vec::new(),
            services: Vec::new(),
            second_look: false,
            mode: Mode::Connect,
            packets_per_second: 1000,
            per_host: 20,
            per_subnet: 0,
            guards: Vec::new(),
            permission: None,
            signers: None,
            basis: Basis {
                permission: None,
                site: Some(Digest::of("site")),
                knowledge: None,
                program: "0.1.0".into(),
            },
        }
    }

    fn observation(last: u8) -> Observation {
        let header = header();
        let address = std::net::Ipv4Addr::new(10, 7, 10, last).into();
        Observation {
            id: Observation::id_of(header.run, &header.vantage, address, Port::tcp(54321)),
            run: header.run,
            at: Timestamp::UNIX_EPOCH,
            vantage: header.vantage,
            source: None,
            address,
            port: Port::tcp(54321),
            state: PortState::Closed,
            because: "reset".into(),
            confidence: None,
            identifications: Vec::new(),
            evidence: Vec::new(),
        }
    }

    fn entries() -> Vec<Entry> {
        let places = vec![(0, 1), (1, 0)];
        vec![
            Entry::Seen(Box::new(seen(1))),
            Entry::Silent {
                look: 1,
                places: places.clone(),
            },
            Entry::Reached {
                look: 1,
                round: 0,
                turn: 7,
            },
            Entry::Refused {
                places,
                reason: "expired".into(),
            },
            Entry::Canary {
                host: 1,
                packets: 4,
                connections: 1,
            },
            Entry::Loss(Loss { asked: 9, lost: 1 }),
            Entry::Left {
                host: 1,
                reason: "it stopped answering".into(),
            },
            Entry::Seen(Box::new(seen(2))),
        ]
    }

    fn seen(last: u8) -> SeenPort {
        SeenPort {
            look: 1,
            packets: 1,
            connections: 0,
            observation: observation(last),
        }
    }

    fn file() -> String {
        written(&header(), &entries())
    }

    fn written(header: &Header, entries: &[Entry]) -> String {
        let (mut writer, mut text) = Writer::begin(header);
        entries.iter().for_each(|entry| text += &writer.entry(entry));
        text
    }

    #[test]
    fn what_was_written_is_read() {
        let checkpoint = read(&file()).unwrap();
        assert_eq!(checkpoint.header, header());
        assert_eq!(checkpoint.entries, entries());
        assert_eq!(checkpoint.length, file().len());
    }

    #[test]
    fn cut_off_anywhere_it_is_a_checkpoint_of_less_or_none_at_all() {
        let whole = file();
        let first = written(&header(), &[]).len();
        for end in 0..whole.len() {
            match read(&whole[..end]) {
                Ok(checkpoint) => {
                    assert!(end >= first);
                    assert!(whole.starts_with(&whole[..checkpoint.length]) && checkpoint.length <= end);
                    assert!(checkpoint.entries.len() <= entries().len());
                }
                Err(error) => assert!(
                    end < first && matches!(error, CheckpointError::Header(_)),
                    "{end}: {error}"
                ),
            }
        }
    }

    #[test]
    fn damage_in_the_middle_and_lines_of_another_scan_are_refused() {
        let broken = file().replacen("{\"seen\"", "{\"half\"", 1);
        assert!(matches!(
            read(&broken),
            Err(CheckpointError::Damaged { line: 2, .. })
        ));
        let mut stranger = seen(1);
        stranger.observation.run = RunId::of(&[b"other"]);
        let mixed = written(&header(), &[Entry::Seen(Box::new(stranger))]);
        assert!(matches!(
            read(&mixed),
            Err(CheckpointError::Damaged { line: 2, .. })
        ));
        assert!(matches!(read("{}\n"), Err(CheckpointError::Header(_))));
    }

    #[test]
    fn what_was_altered_by_hand_is_noticed() {
        let whole = file();
        for (from, to) in [
            ("\"per_host\":20", "\"per_host\":90"),
            ("\"state\":\"closed\"", "\"state\":\"open\""),
            ("\"lost\":1", "\"lost\":0"),
        ] {
            assert!(whole.contains(from), "{from}");
            assert!(read(&whole.replacen(from, to, 1)).is_err(), "{from} became {to}");
        }
        let lines: Vec<&str> = whole.lines().collect();
        let without = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
        assert!(matches!(
            read(&without),
            Err(CheckpointError::Damaged { line: 3, .. })
        ));
        // It goes on where it was read to.
        let mut read_half = read(&(lines[..3].join("\n") + "\n")).unwrap();
        let rest: String = entries()[2..]
            .iter()
            .map(|entry| read_half.writer.entry(entry))
            .collect();
        assert_eq!(lines[..3].join("\n") + "\n" + &rest, whole);
    }

    #[test]
    fn it_is_refused_when_anything_that_matters_changed() {
        let (header, here) = (header(), Vantage::this_host());
        assert_eq!(header.holds(&header.basis, &here), Ok(()));
        let changed = |change: fn(&mut Basis)| {
            let mut basis = header.basis.clone();
            change(&mut basis);
            header.holds(&basis, &here).unwrap_err().to_string()
        };
        assert!(changed(|basis| basis.permission = Some(Digest::ZERO)).starts_with("the permission"));
        assert!(changed(|basis| basis.site = None).starts_with("site.toml"));
        assert!(changed(|basis| basis.knowledge = Some(Digest::ZERO)).contains("--knowledge"));
        assert!(changed(|basis| basis.program = "0.2.0".into()).starts_with("the version"));
        let elsewhere = header.holds(&header.basis, &Vantage::lab("office")).unwrap_err();
        assert!(elsewhere.to_string().starts_with("the place"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(at in 0..900usize, noise in "\\PC{0,20}") {
            let mut text = file();
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, &noise);
            let _ = read(&text);
        }
    }
}
