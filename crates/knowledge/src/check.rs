//! The rules that service files must keep.

use std::{collections::BTreeSet, time::Duration};

use portcullis_model::{ServiceName, Transport};

use crate::{Hazard, KnowledgeError, Request, Service};

/// Longest silence that a probe may wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A request that does not fit into one packet everywhere is no gentle request (IPv6 minimum MTU less headers).
const LONGEST_REQUEST: usize = 1200;

/// Reports every broken rule at once.
pub(crate) fn check(services: &[Service]) -> Result<(), KnowledgeError> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for service in services {
        if !names.insert(&service.name) {
            problems.push(format!("{}: there are two files of this name", service.name));
        }
        let broken = rules(service, services);
        problems.extend(broken.map(|rule| format!("{}: {rule}", service.name)));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(KnowledgeError::Invalid { problems })
}

fn rules<'a>(service: &'a Service, services: &'a [Service]) -> impl Iterator<Item = &'static str> + 'a {
    let asks = service.hazard == Hazard::ReadOnlyRequest;
    let transports: BTreeSet<Transport> = service.ports.iter().map(|port| port.transport).collect();
    let shares_silent_port = service.hazard == Hazard::Silent
        && services.iter().any(|other| {
            other.hazard != Hazard::Silent && other.ports.iter().any(|port| service.ports.contains(port))
        });
    let request_length = match &service.request {
        Some(Request::Bytes { bytes }) => Some(bytes.len()),
        Some(Request::HttpGet) | None => None,
    };
    [
        (
            ServiceName::new(service.name.as_str()).is_none(),
            "the name may hold lower-case letters, digits and hyphens only",
        ),
        (
            service.title.trim().is_empty() || service.purpose.trim().is_empty(),
            "title and purpose must not be empty",
        ),
        (
            service.ports.is_empty() || service.ports.iter().any(|port| port.number == 0),
            "it needs ports from 1 to 65535",
        ),
        (transports.len() > 1, "its ports must be of one transport"),
        (
            service.references.is_empty()
                || service
                    .references
                    .iter()
                    .any(|reference| reference.source.trim().is_empty() || reference.says.trim().is_empty()),
            "it needs references, each with source and says",
        ),
        (
            asks && service.request.is_none(),
            "hazard read-only-request needs a request",
        ),
        (
            !asks && service.request.is_some(),
            "only hazard read-only-request may have a request",
        ),
        (
            asks && service.wait.is_zero(),
            "a request needs the time to wait for its reply",
        ),
        (
            request_length.is_some_and(|length| length == 0 || length > LONGEST_REQUEST),
            "the request must have 1 to 1200 bytes",
        ),
        (
            service.listen_first > LONGEST_WAIT || service.wait > LONGEST_WAIT,
            "no wait may be longer than 10 s",
        ),
        (
            shares_silent_port,
            "the port of a silent service may belong to no other service",
        ),
    ]
    .into_iter()
    .filter_map(|(broken, rule)| broken.then_some(rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Knowledge;

    const SILENT: &str = "name='a'\ntitle='A'\npurpose='p'\nrole='control'\nhazard='silent'\njudge='mdm'\n\
        ports=['tcp/9']\nlisten_first_ms=1\n[[reference]]\nsource='s'\nsays='t'\n";

    #[test]
    fn broken_rules_are_reported_together_with_their_service() {
        let asking = SILENT
            .replace("hazard='silent'", "hazard='read-only-request'")
            .replace("'A'", "''");
        let error = Knowledge::read(&[("a.toml", SILENT), ("b.toml", &asking)]).unwrap_err();
        let KnowledgeError::Invalid { problems } = error else {
            panic!("{error}")
        };
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.starts_with("a: ")));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = format!("payload=[1]\n{SILENT}");
        let error = Knowledge::read(&[("a.toml", &text)]).unwrap_err();
        assert!(matches!(error, KnowledgeError::Read { file, .. } if file == "a.toml"));
    }

    #[test]
    fn a_silent_service_may_not_get_a_request() {
        let text = SILENT.replace(
            "[[reference]]",
            "[request]\nkind='bytes'\nbytes=[1]\n[[reference]]",
        );
        assert!(Knowledge::read(&[("a.toml", &text)]).is_err());
    }
}
