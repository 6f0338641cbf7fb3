//! A host as its own tools tell of it: sockets, processes and installed programs, brought here as texts.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use portcullis_knowledge::{
    Knowledge,
    program::{self, KnownProgram, Within},
};
use portcullis_model::{
    Coverage, Digest, HostEvidence, HostListener, Listener, Port, Program, Run, RunId, ServiceName,
    Transport, Vantage, sanitize,
};
use portcullis_scan::{
    host::{self, HostText, Task},
    listing::{self, Listing, ListingError},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    Desk, OpsError,
    advised::{AdvisedProduct, Advisories, AssetAdvisory},
    check::Checked,
};

/// An installed program, with the advisories of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdvisedProgram {
    /// The program.
    #[serde(flatten)]
    pub program: Program,
    /// What is known of it.
    pub advisories: Vec<AssetAdvisory>,
}

/// What the texts of one host hold, put together.
#[derive(Debug, Clone, Default)]
struct Gathered {
    documents: Vec<String>,
    digests: Vec<Digest>,
    modified: Option<Timestamp>,
    listing: Option<Listing>,
    text: HostText,
}

/// Reads the texts of one host. `-` stands for standard input.
///
/// # Errors
/// When one of them cannot be read, or is of no known kind.
pub fn read(paths: &[PathBuf], knowledge: &Knowledge, advisories: &Advisories) -> Result<Checked, OpsError> {
    checked(gather(paths)?, knowledge, &[], advisories)
}

/// The same, and keeps it as what is known of this address from within.
///
/// # Errors
/// As [`read`]; a store that cannot be written.
pub async fn keep(desk: &Desk, paths: &[PathBuf], address: IpAddr) -> Result<Checked, OpsError> {
    let address = address.to_canonical();
    let gathered = gather(paths)?;
    let (digests, modified) = (gathered.digests.clone(), gathered.modified);
    let checked = checked(
        gathered,
        &desk.knowledge,
        &desk.moved(),
        &Advisories::of(desk).await?,
    )?;
    let now = (desk.now)();
    let settings = json!({ "address": address, "documents": checked.documents, "digests": digests });
    let said = format!("{address} from {}", checked.documents.join(", "));
    desk.record("check.import", said, settings.clone()).await?;
    let digits: Vec<String> = digests.iter().map(Digest::to_string).collect();
    let mut run = Run {
        id: RunId::of(&[
            b"check",
            address.to_string().as_bytes(),
            digits.concat().as_bytes(),
        ]),
        command: "check".into(),
        vantage: Vantage::import("host", Some(&address.to_string())),
        started: now,
        ended: None,
        settings,
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
    run.ended = Some(now);
    run.coverage.host = Some(HostEvidence {
        address,
        at: modified.unwrap_or(now),
        documents: checked.documents.clone(),
        listeners: checked.host_listeners.clone(),
        programs: checked
            .programs
            .iter()
            .map(|advised| advised.program.clone())
            .collect(),
    });
    desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
    Ok(Checked {
        kept_for: Some(address),
        ..checked
    })
}

fn gather(paths: &[PathBuf]) -> Result<Gathered, OpsError> {
    let mut gathered = Gathered::default();
    for path in paths {
        gathered.add(path)?;
    }
    let programs = &mut gathered.text.programs;
    programs.sort();
    // Both views of the registry, and those of users, may name the same program.
    programs.dedup();
    Ok(gathered)
}

impl Gathered {
    fn add(&mut self, path: &Path) -> Result<(), OpsError> {
        let failed = |source| OpsError::Read {
            path: path.into(),
            source,
        };
        let listing_failed = |source| OpsError::Listing {
            path: path.into(),
            source,
        };
        let limit = listing::MAX_BYTES as u64 + 1;
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            std::io::stdin()
                .take(limit)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
        } else {
            let file = File::open(path).map_err(failed)?;
            let modified = file.metadata().ok().and_then(|about| about.modified().ok());
            let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
            self.modified = self.modified.max(modified);
            file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        }
        let text = host::parse(&bytes).map_err(listing_failed)?;
        let listing = match listing::parse(&bytes) {
            Ok(listing) => Some(listing),
            Err(ListingError::UnknownFormat) if !text.is_empty() => None,
            Err(error) => return Err(listing_failed(error)),
        };
        let mut kinds: Vec<String> = listing.iter().map(|listing| listing.format.to_string()).collect();
        kinds.extend((!text.tasks.is_empty()).then(|| "tasklist".to_owned()));
        kinds.extend((!text.programs.is_empty()).then(|| "uninstall keys".to_owned()));
        self.documents.push(format!(
            "{} ({})",
            sanitize(&path.to_string_lossy()),
            kinds.join(", ")
        ));
        self.digests.push(Digest::of(&bytes));
        self.text.tasks.extend(text.tasks);
        self.text.programs.extend(text.programs);
        match (&mut self.listing, listing) {
            (Some(all), Some(more)) => {
                all.listeners.extend(more.listeners);
                all.connections.extend(more.connections);
                all.unreadable.extend(more.unreadable);
            }
            (None, Some(first)) => self.listing = Some(first),
            (_, None) => {}
        }
        Ok(())
    }
}

fn checked(
    gathered: Gathered,
    knowledge: &Knowledge,
    moved: &[(ServiceName, Port)],
    advisories: &Advisories,
) -> Result<Checked, OpsError> {
    let known = program::builtin().map_err(OpsError::Knowledge)?;
    let HostText { tasks, programs } = gathered.text;
    let has_listing = gathered.listing.is_some();
    let listing = gathered.listing.unwrap_or(Listing {
        format: listing::ListingFormat::NetstatWindows,
        listeners: Vec::new(),
        connections: Vec::new(),
        unreadable: Vec::new(),
    });
    let covers = [Transport::Tcp, Transport::Udp].into_iter().filter(|transport| {
        let connected = *transport == Transport::Tcp && !listing.connections.is_empty();
        connected
            || listing
                .listeners
                .iter()
                .any(|listener| listener.transport == *transport)
    });
    let covers = covers.collect();
    let tasks = by_pid(tasks);
    let of_interest = programs
        .iter()
        .filter(|program| known.iter().any(|known| known.is(program)));
    let of_interest: Vec<Program> = of_interest.cloned().collect();
    let host_listeners: Vec<HostListener> = listing
        .listeners
        .into_iter()
        .map(|listener| found(listener, &tasks, &of_interest, knowledge, &known, moved))
        .collect();
    Ok(Checked {
        source: gathered.documents.join(", "),
        listeners: host_listeners
            .iter()
            .map(|found| found.listener.clone())
            .collect(),
        connections: listing.connections,
        covers,
        unreadable_processes: 0,
        unreadable_lines: listing.unreadable,
        host_listeners,
        programs: programs
            .into_iter()
            .map(|program| AdvisedProgram {
                advisories: advisories_of(&program, &known, advisories),
                program,
            })
            .collect(),
        documents: gathered.documents,
        without_listing: !has_listing,
        kept_for: None,
    })
}

/// `tasklist /v` tells the user and `/svc` the services of the same process.
fn by_pid(tasks: Vec<Task>) -> HashMap<u32, Task> {
    let mut all: HashMap<u32, Task> = HashMap::new();
    for task in tasks {
        match all.entry(task.pid) {
            Entry::Vacant(free) => {
                free.insert(task);
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.user = known.user.take().or(task.user);
                if known.services.is_empty() {
                    known.services = task.services;
                }
            }
        }
    }
    all
}

/// A listener with the name of its process, and what it may be.
fn found(
    mut listener: Listener,
    tasks: &HashMap<u32, Task>,
    programs: &[Program],
    knowledge: &Knowledge,
    known: &[KnownProgram],
    moved: &[(ServiceName, Port)],
) -> HostListener {
    let pid = listener
        .process
        .as_ref()
        .map(|process| process.pid)
        .filter(|pid| *pid != 0);
    let task = pid.and_then(|pid| tasks.get(&pid));
    if let (Some(task), Some(process)) = (task, listener.process.as_mut()) {
        process.name.get_or_insert_with(|| task.name.clone());
        process.user = process.user.take().or_else(|| task.user.clone());
    }
    let services = task.map(|task| task.services.clone()).unwrap_or_default();
    let name = listener.process.as_ref().and_then(|process| process.name.clone());
    let within = Within {
        port: listener.port(),
        process: name.as_ref(),
        system_services: &services,
        programs,
    };
    let identifications = program::identify(knowledge, known, &within, moved);
    let package = program::package(known, &within);
    if let Some(process) = listener.process.as_mut().filter(|_| package.is_some()) {
        process.package = package;
    }
    HostListener {
        listener,
        services,
        identifications,
    }
}

/// What is known of an installed program, under each name by which advisories know it.
pub(crate) fn advisories_of(
    program: &Program,
    known: &[KnownProgram],
    advisories: &Advisories,
) -> Vec<AssetAdvisory> {
    let mut products = vec![(
        program.publisher.as_ref().map(ToString::to_string),
        without_version(&program.name.to_string()),
    )];
    for known in known.iter().filter(|known| known.is(program)) {
        products.extend(
            known
                .models
                .iter()
                .map(|model| (Some(known.vendor.clone()), model.clone())),
        );
    }
    let mut found: Vec<AssetAdvisory> = Vec::new();
    for (vendor, model) in products {
        let product = AdvisedProduct {
            vendor,
            model,
            version: program.version.as_ref().map(ToString::to_string),
            installed: true,
        };
        for advisory in advisories.hold(&product) {
            let twice = |other: &AssetAdvisory| other.id == advisory.id && other.cves == advisory.cves;
            if !found.iter().any(twice) {
                found.push(advisory);
            }
        }
    }
    found
}

/// `MXview One 1.4.0` is `MXview One`.
fn without_version(name: &str) -> String {
    let is_number = |word: &str| {
        let word = word.trim_start_matches(['(', 'v', 'V']);
        word.starts_with(|letter: char| letter.is_ascii_digit())
            && word.contains('.')
            && word
                .chars()
                .all(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ')'))
    };
    let mut words: Vec<&str> = name.split_whitespace().collect();
    while words
        .last()
        .is_some_and(|word| is_number(word) || word.eq_ignore_ascii_case("version"))
    {
        words.pop();
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use portcullis_model::Untrusted;

    use super::*;

    #[test]
    fn what_several_lists_say_of_a_process_is_put_together() {
        let task = |services: &[&str], user: Option<&str>| Task {
            pid: 7,
            name: Untrusted::new("a.exe"),
            services: services.iter().map(|name| Untrusted::new(*name)).collect(),
            user: user.map(Untrusted::new),
        };
        let both = by_pid(vec![task(&[], Some("ola")), task(&["MXViewService"], None)]);
        assert_eq!(both[&7], task(&["MXViewService"], Some("ola")));
    }

    #[test]
    fn a_version_at_the_end_belongs_to_no_name() {
        for (name, plain) in [
            ("MXview One 1.4.0", "MXview One"),
            ("MXview version 2.8", "MXview"),
            ("NPort 5110", "NPort 5110"),
            ("Suite (v3.1)", "Suite"),
        ] {
            assert_eq!(without_version(name), plain);
        }
    }
}
