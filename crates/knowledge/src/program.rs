//! Programs that are met on hosts, and what a listener is when its host is seen from within. Pure.
//!
//! A process can be called anything: two marks that do not hang on each other (the port, and the process or the installed
//! program) make a service likely, one makes it possible, and only all three prove it.

use jiff::Timestamp;
use portcullis_model::{Identification, Port, Program, ServiceName, Untrusted, sanitize};
use serde::Deserialize;

use crate::{
    Knowledge, KnowledgeError, Reference, Service,
    combine::{Kind, Piece, Source, combine},
    error::unreadable,
};

/// Name and text of each file of `knowledge/programs`.
const FILES: [(&str, &str); 2] = [
    (
        "moxa-device-manager.toml",
        include_str!("../../../knowledge/programs/moxa-device-manager.toml"),
    ),
    (
        "mxview.toml",
        include_str!("../../../knowledge/programs/mxview.toml"),
    ),
];

/// A program that is known, as its data file says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownProgram {
    /// Its name, that of the file.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Who makes it.
    pub vendor: String,
    /// What stands in its `DisplayName` in the registry of Windows, in any case.
    #[serde(default)]
    pub display_names: Vec<String>,
    /// Names under which advisories know it.
    pub models: Vec<String>,
    /// The service that it is when it listens.
    pub listens_as: ServiceName,
    /// Names of its listening process, without `.exe`.
    #[serde(default)]
    pub processes: Vec<String>,
    /// Short names of its services of Windows.
    #[serde(default)]
    pub system_services: Vec<String>,
    /// Where all this comes from.
    #[serde(rename = "reference")]
    pub references: Vec<Reference>,
}

/// A listener and its host, as the host's own tools tell of them.
#[derive(Debug, Clone, Copy)]
pub struct Within<'a> {
    /// Where it listens.
    pub port: Port,
    /// The name of its process.
    pub process: Option<&'a Untrusted>,
    /// The services of the system that its process runs.
    pub system_services: &'a [Untrusted],
    /// What is installed on the host.
    pub programs: &'a [Program],
}

/// The programs that are compiled in.
///
/// # Errors
/// None unless the build was made from broken data files.
pub fn builtin() -> Result<Vec<KnownProgram>, KnowledgeError> {
    let read = |(file, text): &(&str, &str)| {
        toml::from_str(text).map_err(|error| KnowledgeError::Read {
            problems: vec![unreadable(file, text, &error)],
            own: false,
        })
    };
    FILES.iter().map(read).collect()
}

impl KnownProgram {
    /// Whether an installed program is this one.
    pub fn is(&self, installed: &Program) -> bool {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_lowercase)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let name = words(installed.name.raw());
        let named = self.display_names.iter().any(|own| name.contains(&words(own)));
        // Not every program names its publisher; one that names another is another program.
        let published = installed.publisher.as_ref().is_none_or(|publisher| {
            let publisher = publisher.raw().to_lowercase();
            let mut words = publisher.split(|letter: char| !letter.is_alphanumeric());
            publisher.trim().is_empty() || words.any(|word| word == self.vendor.to_lowercase())
        });
        named && published
    }

    /// Why a process is taken for this program.
    fn mark(&self, within: &Within<'_>) -> Option<String> {
        let named = within.process.filter(|process| {
            let process = process.raw().to_lowercase();
            let stem = process.strip_suffix(".exe").unwrap_or(&process);
            self.processes.iter().any(|own| own.to_lowercase() == stem)
        });
        if let Some(process) = named {
            return Some(format!(
                "its process is named {process}, as {} calls itself",
                self.title
            ));
        }
        let service = within.system_services.iter().find(|service| {
            self.system_services
                .iter()
                .any(|own| own.eq_ignore_ascii_case(service.raw()))
        })?;
        Some(format!(
            "its process runs the service {service}, which is of {}",
            self.title
        ))
    }
}

/// What a listener may be, strongest first. `moved` lists where the site says a service also listens.
pub fn identify(
    knowledge: &Knowledge,
    known: &[KnownProgram],
    within: &Within<'_>,
    moved: &[(ServiceName, Port)],
) -> Vec<Identification> {
    let usual = |service: &Service| {
        let here = moved.contains(&(service.name.clone(), within.port));
        here || service.ports.contains(&within.port)
    };
    let found = knowledge.services().filter_map(|service| {
        let usual = usual(service);
        let pieces: Vec<Piece> = usual
            .then(|| {
                let because = format!("it listens on {}, where this service is usual", within.port);
                (Kind::Place, Source::Port, because)
            })
            .into_iter()
            .chain(
                evidence(known, within, service, usual).map(|(kind, because)| (kind, Source::Host, because)),
            )
            .map(|(kind, source, because)| Piece {
                kind,
                source,
                at: Timestamp::UNIX_EPOCH,
                because,
            })
            .collect();
        let assessment = combine(&pieces)?;
        let maker = known
            .iter()
            .find(|program| program.listens_as == service.name && program.mark(within).is_some());
        let vendor = maker.map(|program| ("vendor".to_owned(), Untrusted::new(program.vendor.as_str())));
        Some(Identification {
            service: service.name.clone(),
            grade: assessment.grade,
            reasons: assessment.raised_by,
            fields: vendor.into_iter().collect(),
        })
    });
    let mut found: Vec<Identification> = found.collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.grade));
    found
}

/// What a listener says for or against one service, as evidence; `usual` tells whether the port is one of the service's.
/// `None` when no program is known that listens as this service, or nothing is known of the process.
pub fn evidence(
    known: &[KnownProgram],
    within: &Within<'_>,
    service: &Service,
    usual: bool,
) -> Option<(Kind, String)> {
    // A process has other ports beside that of its service, and what it does there is another thing.
    let own: Vec<&KnownProgram> = known
        .iter()
        .filter(|one| one.listens_as == service.name)
        .collect();
    let transports = service.ports.iter().map(|port| port.transport);
    if !transports.into_iter().any(|own| own == within.port.transport) {
        return None;
    }
    let mark = own.iter().find_map(|one| one.mark(within));
    let installed = within
        .programs
        .iter()
        .find(|program| own.iter().any(|one| one.is(program)))
        .map(|program| format!("{} is installed on this host", shown(program)));
    match (mark, installed, usual) {
        (Some(mark), Some(installed), true) => Some((Kind::Process, format!("{mark}, and {installed}"))),
        (Some(mark), None, true) => Some((Kind::Program, mark)),
        (Some(mark), _, false) => Some((Kind::Named, mark)),
        (None, Some(installed), true) => Some((Kind::Program, installed)),
        // How the process of a program that is installed is called need not be known.
        (None, Some(_), false) => None,
        (None, None, _) => {
            let process = within.process.filter(|_| !own.is_empty())?;
            let other = format!(
                "the process that listens there is named {process}, which is no name of the service's"
            );
            Some((Kind::OtherProcess, other))
        }
    }
}

/// The installed program that a process belongs to, with its version, when its name or its services tell.
pub fn package(known: &[KnownProgram], within: &Within<'_>) -> Option<Untrusted> {
    let program = known.iter().find(|program| program.mark(within).is_some())?;
    let installed = within.programs.iter().find(|installed| program.is(installed))?;
    Some(Untrusted::new(shown(installed)))
}

fn shown(program: &Program) -> String {
    match &program.version {
        Some(version) => sanitize(&format!("{} {}", program.name.raw(), version.raw())),
        None => program.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Grade;

    use super::*;

    fn grade(
        port: u16,
        process: Option<&str>,
        system_service: Option<&str>,
        installed: Option<&str>,
    ) -> Option<(String, Grade)> {
        let (knowledge, known) = (Knowledge::builtin().unwrap(), builtin().unwrap());
        let process = process.map(Untrusted::new);
        let system_services: Vec<Untrusted> = system_service.into_iter().map(Untrusted::new).collect();
        let programs: Vec<Program> = installed
            .into_iter()
            .map(|name| Program {
                name: Untrusted::new(name),
                version: Some(Untrusted::new("2.1")),
                publisher: None,
                location: None,
            })
            .collect();
        let within = Within {
            port: Port::tcp(port),
            process: process.as_ref(),
            system_services: &system_services,
            programs: &programs,
        };
        let found = identify(&knowledge, &known, &within, &[]);
        found.first().map(|one| (one.service.to_string(), one.grade))
    }

    #[test]
    fn the_list_is_the_folder_and_names_known_services() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../knowledge/programs");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name.to_owned()));
        let knowledge = Knowledge::builtin().unwrap();
        for program in builtin().unwrap() {
            assert!(
                knowledge.service(&program.listens_as).is_some(),
                "{}",
                program.name
            );
            assert!(names.contains(&format!("{}.toml", program.name)));
            assert!(!program.references.is_empty());
        }
    }

    #[test]
    fn two_marks_make_it_likely_and_only_three_prove_it() {
        let gateway = |grade| Some(("moxa-mdm-gateway".to_owned(), grade));
        assert_eq!(grade(54321, None, None, None), gateway(Grade::Possible));
        assert_eq!(
            grade(54321, Some("java.exe"), None, None),
            gateway(Grade::Possible)
        );
        assert_eq!(
            grade(54321, Some("mdmgw.exe"), None, None),
            gateway(Grade::Likely)
        );
        assert_eq!(
            grade(54321, None, Some("MDM2_Gateway"), None),
            gateway(Grade::Likely)
        );
        assert_eq!(
            grade(54321, None, None, Some("MOXA Device Manager 2")),
            gateway(Grade::Likely)
        );
        assert_eq!(
            grade(5001, Some("MDMGw.exe"), None, None),
            gateway(Grade::Possible)
        );
        assert_eq!(
            grade(5001, Some("MDMGwX.exe"), None, Some("MOXA Device Manager")),
            None
        );
        let all = |port| grade(port, Some("MDMGw.exe"), None, Some("MOXA Device Manager"));
        assert_eq!(all(54321), gateway(Grade::Proven));
        assert_eq!(all(5001), gateway(Grade::Possible), "another port of the process");
    }
}
