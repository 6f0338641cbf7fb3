//! What other programs have found becomes observations: each file a run of its own, never mixed with our own looks. An
//! advisory becomes something that assets are held against.

mod advisory;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::{self, Seek, SeekFrom},
    net::IpAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use portcullis_model::{
    Coverage, Digest, Neighbour, Observation, Port, PortState, Run, RunId, Vantage, sanitize,
};
use portcullis_scan::import::{self, Conversations, Format, Item, PassedOver, PortSeen, Source, Unread};
use serde::Serialize;
use serde_json::json;

pub use advisory::ImportedAdvisory;

use crate::{Desk, OpsError, clock::Clock};

/// How many observations are stored at once.
const BATCH: usize = 1000;
/// How many things that could not be read are named; all are counted.
const NAMED: usize = 100;
/// How many neighbours of one file are kept, and how many hosts and ports are told apart when they are counted.
const MOST: usize = 262_144;

/// What to import.
#[derive(Debug, Clone)]
pub struct Request {
    /// The files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// What they are written in, when it shall not be found out.
    pub format: Option<Format>,
    /// The zone or the address that the other program looked from.
    pub seen_from: Option<String>,
}

/// What one file held.
#[derive(Debug, Clone, Serialize)]
pub struct Imported {
    /// Its name, as it may be shown.
    pub file: String,
    /// What it is written in.
    pub format: String,
    /// The run that it became; the same file from the same place is the same run.
    pub run: RunId,
    /// When the same file was imported before.
    pub before: Option<Timestamp>,
    /// The programs, and where they stood if that is known: the first hundred.
    pub vantages: Vec<Vantage>,
    /// Hosts with at least one port or hardware address.
    pub hosts: usize,
    /// Ports that were open.
    pub open_ports: usize,
    /// Records of ports, open ones and others. Two that say the same of the same moment are one observation.
    pub records: u64,
    /// Records whose time is only that of the file, or of this import.
    pub without_time: u64,
    /// How many times lay in the future, and were taken as of now.
    pub in_the_future: u64,
    /// Stations with a hardware address.
    pub neighbours: usize,
    /// Those of them whose hardware address is registered to Moxa.
    pub moxa: Vec<Neighbour>,
    /// What was read and claims nothing, with the reason and the number.
    pub passed_over: BTreeMap<String, u64>,
    /// How much could not be read.
    pub unread: u64,
    /// The first of it, each with its line.
    pub unread_lines: Vec<String>,
    /// Whether there was more than is counted or kept.
    pub too_many: bool,
}

/// What was imported, and what could not be.
#[derive(Debug)]
pub struct Outcome {
    /// One for each file that was read.
    pub imported: Vec<Imported>,
    /// One for each advisory.
    pub advisories: Vec<ImportedAdvisory>,
    /// One for each that was not.
    pub failures: Vec<OpsError>,
}

/// Imports files, one after the other. One that cannot be read does not stop the others.
///
/// # Errors
/// A place that is neither an address nor a zone of the site. Nothing was read then.
pub async fn import(desk: &Desk, request: &Request) -> Result<Outcome, OpsError> {
    let place = request.seen_from.as_deref();
    let place = place.map(|place| place_of(desk, place)).transpose()?;
    let mut outcome = Outcome {
        imported: Vec::new(),
        advisories: Vec::new(),
        failures: Vec::new(),
    };
    for path in &request.files {
        match file(desk, path, request.format, place.as_deref()).await {
            Ok(Read::Records(read)) => outcome.imported.push(*read),
            Ok(Read::Advisory(read)) => outcome.advisories.push(*read),
            Err(error) => outcome.failures.push(error),
        }
    }
    Ok(outcome)
}

/// What a file turned out to be.
enum Read {
    Records(Box<Imported>),
    Advisory(Box<ImportedAdvisory>),
}

/// An address in its one form, or the name of a declared zone.
fn place_of(desk: &Desk, text: &str) -> Result<String, OpsError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().to_string());
    }
    let zone = desk.site.as_ref().and_then(|site| site.zone(text));
    let zone = zone.ok_or_else(|| OpsError::SeenFrom(sanitize(text)))?;
    Ok(zone.name.clone())
}

async fn file(
    desk: &Desk,
    path: &Path,
    format: Option<Format>,
    place: Option<&str>,
) -> Result<Read, OpsError> {
    let failed = |source| OpsError::Read {
        path: path.into(),
        source,
    };
    let now = (desk.now)();
    let (mut content, modified) = open(path).map_err(failed)?;
    if format.is_none() && advisory::is_one(&mut content).map_err(failed)? {
        return Ok(Read::Advisory(Box::new(
            advisory::import(desk, path, content).await?,
        )));
    }
    let digest = Digest::of_reader(&mut content).map_err(failed)?;
    content.seek(SeekFrom::Start(0)).map_err(failed)?;
    let document = import::read(content, format).map_err(|source| OpsError::Import {
        path: path.into(),
        source,
    })?;
    let shown = sanitize(&path.to_string_lossy());
    let (format, vantage) = (
        document.format,
        Vantage::import(&document.format.to_string(), place),
    );
    let digits = digest.to_string();
    let run = Run {
        id: RunId::of(&[b"import", vantage.as_str().as_bytes(), digits.as_bytes()]),
        command: "import".into(),
        vantage,
        started: now,
        ended: None,
        settings: json!({ "file": shown, "digest": digest, "format": format.to_string(), "seen_from": place }),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    let known = desk.store.run(run.id).await.map_err(OpsError::Store)?;
    let before = known.as_ref().and_then(|run| run.ended);
    // The time of a file that names none is that of its first import, so that it stays the same fact.
    let otherwise_at = known.map_or(modified.unwrap_or(now), |run| otherwise_at(&run, modified));
    let mut run = run;
    if let Some(settings) = run.settings.as_object_mut() {
        settings.insert("otherwise_at".into(), json!(otherwise_at));
    }
    desk.record("import", format!("{shown} ({format})"), run.settings.clone())
        .await?;
    desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
    let source = Source {
        run: run.id,
        document: &shown,
        seen_from: place,
        otherwise_at,
    };
    let mut gathered = Gathered::new(desk, source);
    for item in document {
        gathered.add(item);
        gathered.store(BATCH).await?;
    }
    gathered.end().await?;
    run.ended = Some((desk.now)());
    run.coverage.neighbours = std::mem::take(&mut gathered.neighbours).into_iter().collect();
    desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
    Ok(Read::Records(Box::new(gathered.report(format, &run, before))))
}

fn otherwise_at(earlier: &Run, modified: Option<Timestamp>) -> Timestamp {
    let written = earlier.settings.get("otherwise_at").and_then(|at| at.as_str());
    let written = written.and_then(|at| at.parse().ok());
    written.or(modified).unwrap_or(earlier.started)
}

/// Opens a file, and tells when it was changed last. What can be read only once, standard input or a pipe, is put into a
/// file without a name first: it is read twice, and may be larger than the memory.
fn open(path: &Path) -> io::Result<(File, Option<Timestamp>)> {
    if path == Path::new("-") {
        return Ok((spooled(io::stdin().lock())?, None));
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return Ok((spooled(file)?, None));
    }
    let modified = about.modified().ok();
    Ok((file, modified.and_then(|time| Timestamp::try_from(time).ok())))
}

fn spooled(mut reader: impl io::Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut reader, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// What has been read of a file so far.
struct Gathered<'a> {
    desk: &'a Desk,
    source: Source<'a>,
    moved: Vec<(portcullis_model::ServiceName, Port)>,
    conversations: Conversations,
    waiting: Vec<Observation>,
    neighbours: Vec<Neighbour>,
    vantages: BTreeSet<Vantage>,
    hosts: HashSet<IpAddr>,
    open: HashSet<(IpAddr, Port)>,
    records: u64,
    without_time: u64,
    clock: Clock,
    passed_over: BTreeMap<PassedOver, u64>,
    unread: Vec<Unread>,
    unread_count: u64,
    too_many: bool,
}

impl<'a> Gathered<'a> {
    fn new(desk: &'a Desk, source: Source<'a>) -> Self {
        Self {
            desk,
            source,
            moved: desk.moved(),
            conversations: Conversations::default(),
            waiting: Vec::new(),
            neighbours: Vec::new(),
            vantages: BTreeSet::new(),
            hosts: HashSet::new(),
            open: HashSet::new(),
            records: 0,
            without_time: 0,
            clock: Clock::at((desk.now)()),
            passed_over: BTreeMap::new(),
            unread: Vec::new(),
            unread_count: 0,
            too_many: false,
        }
    }

    fn add(&mut self, item: Item) {
        match item {
            Item::Port(seen) => {
                for seen in self.conversations.add(*seen) {
                    self.port(&seen);
                }
            }
            Item::Neighbour(seen) => {
                self.host(seen.address);
                let mut neighbour = import::neighbour(&seen, self.source.otherwise_at);
                self.clock.hold(&mut neighbour.at);
                if self.neighbours.len() < MOST {
                    self.neighbours.push(neighbour);
                } else {
                    self.too_many = true;
                }
            }
            Item::PassedOver(reason, count) => {
                let known = self.passed_over.entry(reason).or_default();
                *known = known.saturating_add(count);
            }
            Item::Unread(unread) => {
                self.unread_count += 1;
                if self.unread.len() < NAMED {
                    self.unread.push(unread);
                }
            }
        }
    }

    fn host(&mut self, address: Option<IpAddr>) {
        match address {
            Some(address) if self.hosts.len() < MOST => {
                self.hosts.insert(address);
            }
            Some(_) => self.too_many = true,
            None => {}
        }
    }

    fn port(&mut self, seen: &PortSeen) {
        let mut observation = import::observation(seen, self.source, &self.desk.knowledge, &self.moved);
        self.clock.hold(&mut observation.at);
        self.host(Some(seen.address));
        self.records += 1;
        self.without_time += u64::from(seen.at.is_none());
        if self.vantages.len() < NAMED {
            self.vantages.insert(observation.vantage.clone());
        }
        if seen.state == PortState::Open {
            if self.open.len() < MOST {
                self.open.insert((seen.address, seen.port));
            } else {
                self.too_many = true;
            }
        }
        self.waiting.push(observation);
    }

    /// Hands over what waits once there is so much of it.
    async fn store(&mut self, least: usize) -> Result<(), OpsError> {
        if self.waiting.len() >= least.max(1) {
            let stored = self.desk.store.add_observations(&self.waiting).await;
            stored.map_err(OpsError::Store)?;
            self.waiting.clear();
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), OpsError> {
        for seen in self.conversations.take() {
            self.port(&seen);
            self.store(BATCH).await?;
        }
        self.store(1).await
    }

    fn report(self, format: Format, run: &Run, before: Option<Timestamp>) -> Imported {
        let neighbours = &run.coverage.neighbours;
        let moxa = neighbours.iter().filter(|neighbour| neighbour.mac.is_moxa());
        let passed_over = self.passed_over.iter();
        Imported {
            file: self.source.document.to_owned(),
            format: format.to_string(),
            run: run.id,
            before,
            vantages: self.vantages.into_iter().collect(),
            hosts: self.hosts.len(),
            open_ports: self.open.len(),
            records: self.records,
            without_time: self.without_time,
            in_the_future: self.clock.later,
            neighbours: neighbours.len(),
            moxa: moxa.cloned().collect(),
            passed_over: passed_over
                .map(|(reason, count)| (reason.to_string(), *count))
                .collect(),
            unread: self.unread_count,
            unread_lines: self.unread.iter().map(Unread::to_string).collect(),
            too_many: self.too_many,
        }
    }
}
