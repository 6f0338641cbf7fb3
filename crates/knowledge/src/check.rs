//! The rules that service files must keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use portcullis_model::ServiceName;

use crate::{
    Hazard, Reference, Request, Role, Service,
    judge::Judge,
    service::{Banner, Page},
};

/// Longest silence that a probe may wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A request that does not fit into one packet everywhere is no gentle request (IPv6 minimum MTU less headers).
const LONGEST_REQUEST: usize = 1200;
/// Shorter marks are found in the answers of strangers.
const SHORTEST_MARK: usize = 4;

/// Every broken rule, each with the place of its service in the list, of which the first ones are compiled in.
pub(crate) fn broken(services: &[Service], builtin: usize) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    let mut names = BTreeMap::new();
    let (compiled_in, _) = services.split_at(builtin.min(services.len()));
    for (place, service) in services.iter().enumerate() {
        let taken = names.get(&service.name).map(|first| match *first < builtin {
            true => "a service of this name is built in: choose another name",
            false => "there are two files of this name",
        });
        names.entry(&service.name).or_insert(place);
        let strange = (place >= builtin && asks_a_controller(service, compiled_in)).then_some(
            "a port of a control service that is built in gets that service's own request and no other",
        );
        let broken = rules(service, services).chain(taken).chain(strange);
        problems.extend(broken.map(|rule| (place, format!("{}: {rule}", service.name))));
    }
    problems
}

/// Whether a service would put a request on the usual port of a controller that is not the controller's own: how that one
/// takes it nobody has said.
fn asks_a_controller(service: &Service, compiled_in: &[Service]) -> bool {
    let asks = service.request.is_some() || service.judge.needs_community();
    let strange = |other: &&Service| {
        other.role == Role::Control
            && (other.request != service.request || service.judge.needs_community())
            && other.ports.iter().any(|port| service.ports.contains(port))
    };
    asks && compiled_in.iter().any(|other| strange(&other))
}

fn rules<'a>(service: &'a Service, services: &'a [Service]) -> impl Iterator<Item = &'static str> + 'a {
    let asks = service.hazard == Hazard::ReadOnlyRequest;
    let may_ask = asks || service.hazard == Hazard::OptIn;
    // Told of both: whose file it is that has to give way the rules cannot know.
    let shares_silent_port = services.iter().any(|other| {
        let one_is_silent = (service.hazard == Hazard::Silent) != (other.hazard == Hazard::Silent);
        one_is_silent && other.ports.iter().any(|port| service.ports.contains(port))
    });
    let mut ports = BTreeSet::new();
    let empty_reference =
        |reference: &Reference| reference.source.trim().is_empty() || reference.says.trim().is_empty();
    let rules = [
        (
            ServiceName::new(service.name.as_str()).is_none(),
            "the name may hold lower-case letters, digits and hyphens only",
        ),
        (
            service.title.trim().is_empty() || service.purpose.trim().is_empty(),
            "title and purpose must not be empty",
        ),
        (
            service
                .maker
                .as_ref()
                .is_some_and(|maker| maker.trim().is_empty()),
            "maker must not be empty",
        ),
        (
            service.ports.is_empty() != service.judge.is_below_ip()
                || service.ports.iter().any(|port| port.number == 0),
            "it needs ports from 1 to 65535",
        ),
        (
            !service.ports.iter().all(|port| ports.insert(*port)),
            "a port is listed twice",
        ),
        (
            service.references.is_empty() || service.references.iter().any(empty_reference),
            "it needs references, each with source and says",
        ),
        (
            asks && service.request.is_none(),
            "hazard read-only-request needs a request",
        ),
        (
            !may_ask && service.request.is_some(),
            "only hazards read-only-request and opt-in may have a request",
        ),
        (
            service.request.is_some() && service.wait.is_zero(),
            "a request needs the time to wait for its reply",
        ),
        (
            service.listen_first > LONGEST_WAIT || service.wait > LONGEST_WAIT,
            "no wait may be longer than 10 s",
        ),
        (
            shares_silent_port,
            "the port of a silent service may belong to no other service",
        ),
        (
            service.connecting_is_use && (service.hazard != Hazard::Silent || service.by_default),
            "a service that is used by connecting must be silent and not looked at by default",
        ),
    ];
    let broken = |(broken, rule): (bool, &'static str)| broken.then_some(rule);
    rules
        .into_iter()
        .chain(rules_of_requests(service))
        .chain(rules_of_marks(service))
        .filter_map(broken)
}

/// What goes out on the wire.
fn rules_of_requests(service: &Service) -> [(bool, &'static str); 5] {
    let requests = service.request.iter().chain(&service.further);
    let mut lengths = requests.filter_map(|request| match request {
        Request::Bytes { bytes } => Some(bytes.len()),
        Request::HttpGet | Request::HttpGetPath { .. } | Request::OpcUaHello => None,
    });
    let judge = service.judge;
    [
        (
            lengths.any(|length| length == 0 || length > LONGEST_REQUEST),
            "a request must have 1 to 1200 bytes",
        ),
        (
            service
                .request
                .as_ref()
                .is_some_and(|request| !judge.permits(request)),
            "the request is none of those that its judge permits: a file cannot make Portcullis send other bytes",
        ),
        (
            !service
                .further
                .iter()
                .all(|request| judge.permits_further(request)),
            "a further request is none of those that its judge permits: a file cannot make Portcullis send other bytes",
        ),
        (
            judge.is_opt_in() && service.hazard != Hazard::OptIn,
            "what its judge asks costs the device something: the hazard must be opt-in",
        ),
        (
            !service.further.is_empty() && service.request.is_none(),
            "further requests need a first one",
        ),
    ]
}

/// What an answer is recognised by.
fn rules_of_marks(service: &Service) -> [(bool, &'static str); 6] {
    let is_short = |mark: &str| mark.trim().len() < SHORTEST_MARK;
    let page_is_vague = |page: &Page| {
        let marks = [&page.server, &page.server_names, &page.header, &page.title];
        let mut marks = marks
            .into_iter()
            .filter(|mark| !mark.is_empty())
            .chain(&page.contains)
            .peekable();
        marks.peek().is_none() || marks.any(|mark| is_short(mark))
    };
    let banner_is_vague = |banner: &Banner| {
        let begins = Some(&banner.begins).filter(|begins| !begins.is_empty());
        let mut marks = begins.into_iter().chain(&banner.contains).peekable();
        marks.peek().is_none() || marks.any(|mark| is_short(mark))
    };
    [
        (
            (service.judge == Judge::Page) == service.pages.is_empty(),
            "judge page needs [[page]], and no other judge may have it",
        ),
        (
            service.pages.iter().any(page_is_vague),
            "each page needs marks, and each mark 4 letters at least",
        ),
        (
            service
                .pages
                .iter()
                .any(|page| !page.header.is_empty() && !page.header.contains(": ")),
            "the header of a page is written `Name: value`",
        ),
        (
            (service.judge == Judge::Banner) != service.banner.is_some(),
            "judge banner needs [banner], and no other judge may have it",
        ),
        (
            service.banner.as_ref().is_some_and(banner_is_vague),
            "a banner needs marks, and each mark 4 letters at least",
        ),
        (
            service.judge != Judge::Dsci && !service.hardware.is_empty(),
            "only judge dsci may have [[hardware]]",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use crate::{Knowledge, KnowledgeError};

    const SILENT: &str = "name='a'\ntitle='A'\npurpose='p'\nrole='control'\nhazard='silent'\njudge='port'\n\
        ports=['tcp/9']\nlisten_first_ms=1\n[[reference]]\nsource='s'\nsays='t'\n";
    const MODBUS: &str = "name='a'\ntitle='A'\npurpose='p'\nrole='control'\nhazard='read-only-request'\n\
        judge='modbus'\nports=['tcp/9']\nlisten_first_ms=1\nwait_ms=9\n[request]\nkind='bytes'\n\
        bytes=[0,0,0,0,0,5,1,0x2b,0x0e,1,0]\n[[reference]]\nsource='s'\nsays='t'\n";
    const PAGE: &str = "name='a'\ntitle='A'\npurpose='p'\nrole='management'\nhazard='read-only-request'\n\
        judge='page'\nports=['tcp/9']\nlisten_first_ms=1\nwait_ms=9\n[request]\nkind='http-get'\n\
        [[page]]\nserver='Acme/'\n[[reference]]\nsource='s'\nsays='t'\n";
    const BANNER: &str = "name='a'\ntitle='A'\npurpose='p'\nrole='management'\nhazard='banner'\njudge='banner'\n\
        ports=['tcp/9']\nlisten_first_ms=1\n[banner]\nbegins='Acme'\n[[reference]]\nsource='s'\nsays='t'\n";

    fn problems(text: &str) -> Vec<String> {
        match Knowledge::read(&[("a.toml", text)]) {
            Ok(_) => Vec::new(),
            Err(KnowledgeError::Invalid { problems, .. }) => problems,
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn broken_rules_are_reported_together_with_their_service() {
        let asking = SILENT
            .replace("hazard='silent'", "hazard='read-only-request'")
            .replace("'A'", "''");
        let error = Knowledge::read(&[("a.toml", SILENT), ("b.toml", &asking)]).unwrap_err();
        let KnowledgeError::Invalid { problems, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.contains(".toml:1: a: ")));
        assert!(problems.iter().any(|problem| problem.starts_with("b.toml:")));
    }

    #[test]
    fn whole_files_pass() {
        for text in [SILENT, MODBUS, PAGE, BANNER] {
            assert_eq!(problems(text), Vec::<String>::new());
        }
    }

    #[test]
    fn every_broken_file_is_refused_with_what_is_wrong() {
        for (whole, part, broken, says) in [
            (SILENT, "ports=['tcp/9']", "ports=[]", "needs ports"),
            (
                SILENT,
                "ports=['tcp/9']",
                "ports=['tcp/0']",
                "a.toml:7:7: `0` is not a port",
            ),
            (
                SILENT,
                "ports=['tcp/9']",
                "ports=['tcp/9','tcp/9']",
                "listed twice",
            ),
            (SILENT, "name='a'", "name='A b'", "lower-case letters"),
            (SILENT, "purpose='p'", "purpose=' '", "purpose must not be empty"),
            (SILENT, "says='t'", "says=''", "needs references"),
            (
                SILENT,
                "listen_first_ms=1",
                "listen_first_ms=10001",
                "longer than 10 s",
            ),
            (SILENT, "judge='port'", "judge='guess'", "unknown variant"),
            (
                SILENT,
                "role='control'",
                "role='control'\npayload=[1]",
                "unknown field",
            ),
            (
                SILENT,
                "role='control'",
                "role='control'\nconnecting_is_use=true",
                "not looked at by default",
            ),
            (
                SILENT,
                "[[reference]]",
                "[request]\nkind='bytes'\nbytes=[1]\n[[reference]]",
                "may have a request",
            ),
            (
                SILENT,
                "[[reference]]",
                "[[hardware]]\nid=1\nname='x'\n[[reference]]",
                "only judge dsci",
            ),
            (MODBUS, "judge='modbus'", "judge='codesys'", "must be opt-in"),
            (MODBUS, "wait_ms=9", "wait_ms=0", "time to wait"),
            (MODBUS, "5,1,0x2b", "5,2,0x2b", "judge permits"),
            (MODBUS, "0x2b,0x0e,1,0]", "5,0,1,0xff,0]", "judge permits"),
            (
                MODBUS,
                "bytes=[0,0,0,0,0,5,1,0x2b,0x0e,1,0]",
                "bytes=[]",
                "1 to 1200 bytes",
            ),
            (
                MODBUS,
                "bytes=[0,0,0,0,0,5,1,0x2b,0x0e,1,0]",
                "bytes='00000000000501'",
                "expected a list of numbers from 0 to 255 such as [0x05, 0x64]",
            ),
            (
                MODBUS,
                "kind='bytes'\nbytes=[0,0,0,0,0,5,1,0x2b,0x0e,1,0]",
                "kind='http-get'",
                "judge permits",
            ),
            (
                MODBUS,
                "wait_ms=9",
                "wait_ms=9\nfurther=[{kind='bytes',bytes=[1]}]",
                "further request",
            ),
            (PAGE, "[[page]]\nserver='Acme/'\n", "", "needs [[page]]"),
            (PAGE, "server='Acme/'", "server='Ac'", "4 letters"),
            (PAGE, "server='Acme/'", "vendor='Acme'", "each page needs marks"),
            (PAGE, "server='Acme/'", "header='X-Acme'", "written `Name: value`"),
            (
                PAGE,
                "kind='http-get'",
                "kind='http-get-path'\npath='/reboot'",
                "judge permits",
            ),
            (
                PAGE,
                "kind='http-get'",
                "kind='bytes'\nbytes=[80,79,83,84]",
                "judge permits",
            ),
            (BANNER, "[banner]\nbegins='Acme'\n", "", "needs [banner]"),
            (BANNER, "begins='Acme'", "contains=['a']", "4 letters"),
            (BANNER, "judge='banner'", "judge='ssh'", "no other judge"),
        ] {
            assert!(whole.contains(part), "{part}");
            let found = problems(&whole.replace(part, broken));
            assert!(
                found.iter().any(|problem| problem.contains(says)),
                "{broken}: {found:#?}"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_name_of_its_file() {
        let text = format!("\n payload=[1]\n{SILENT}");
        let error = Knowledge::read(&[("a.toml", &text), ("b.toml", SILENT), ("c.toml", "=")]).unwrap_err();
        let KnowledgeError::Read { problems, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].starts_with("a.toml:2:2: unknown field `payload`"),
            "{problems:?}"
        );
        assert!(problems[1].starts_with("c.toml:1:1: "), "{problems:?}");
    }

    #[test]
    fn the_port_of_a_silent_service_belongs_to_nobody_else() {
        let other = BANNER.replace("name='a'", "name='b'");
        let error = Knowledge::read(&[("a.toml", SILENT), ("b.toml", &other)]).unwrap_err();
        assert!(error.to_string().contains("may belong to no other service"));
    }

    fn with_builtin(text: &str) -> Vec<String> {
        match Knowledge::builtin_with(&[("own.toml", text)]) {
            Ok(_) => Vec::new(),
            Err(error @ KnowledgeError::Read { .. }) => vec![error.to_string()],
            Err(KnowledgeError::Invalid { problems, own }) => {
                assert!(own, "{problems:?}");
                problems
            }
        }
    }

    #[test]
    fn a_service_of_ones_own_asks_no_controller_in_another_language() {
        let page = PAGE.replace("name='a'", "name='acme'");
        assert_eq!(with_builtin(&page), Vec::<String>::new());
        for port in ["tcp/102", "tcp/502", "tcp/2404", "tcp/44818", "tcp/5094"] {
            let broken = with_builtin(&page.replace("tcp/9", port));
            assert_eq!(broken.len(), 1, "{port}: {broken:?}");
            assert!(
                broken[0].starts_with("own.toml:1: acme: a port of a control service that is built in"),
                "{port}: {broken:?}"
            );
            // Opt-in is no way round.
            let on_demand = page.replace("read-only-request", "opt-in").replace("tcp/9", port);
            assert_eq!(with_builtin(&on_demand).len(), 1, "{port}");
        }
        // What asks the very same, or nothing, may share the port; and so may all on the port of what does not control.
        let modbus = MODBUS
            .replace("name='a'", "name='acme'")
            .replace("tcp/9", "tcp/502");
        let banner = BANNER
            .replace("name='a'", "name='acme'")
            .replace("tcp/9", "tcp/502");
        for text in [modbus, banner, page.replace("tcp/9", "tcp/80")] {
            assert_eq!(with_builtin(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_taken_name_says_who_has_it_and_ones_own_files_are_no_damage() {
        use portcullis_model::Fault;

        let taken = PAGE.replace("name='a'", "name='http'");
        assert_eq!(
            with_builtin(&taken),
            ["own.toml:1: http: a service of this name is built in: choose another name"]
        );
        let twice = Knowledge::builtin_with(&[("a.toml", PAGE), ("b.toml", PAGE)]).unwrap_err();
        let said = twice.to_string();
        assert!(
            said.contains("b.toml:1: a: there are two files of this name") && !said.contains("built in"),
            "{said}"
        );
        for error in [twice, Knowledge::builtin_with(&[("a.toml", "=")]).unwrap_err()] {
            let hint = error.hint().unwrap();
            assert!(!hint.contains("damaged"), "{hint}");
        }
        let damaged = KnowledgeError::Read {
            problems: Vec::new(),
            own: false,
        };
        assert!(damaged.hint().unwrap().contains("damaged"));
    }
}
