//! What a server says, held against the judges.

use std::{net::IpAddr, sync::OnceLock};

use portcullis_knowledge::{Further, Knowledge, Overheard, Seen};
use portcullis_model::{Port, ServiceName};

pub(crate) fn knowledge() -> &'static Knowledge {
    static KNOWLEDGE: OnceLock<Knowledge> = OnceLock::new();
    KNOWLEDGE.get_or_init(|| Knowledge::builtin().expect("the data files are whole"))
}

/// A line with service and port, a letter for how it was seen, and the bytes: `f` spoken first, `r` the reply, `o`
/// overheard from the beginning, `m` from the middle, `a` only the answer. Somebody else's question stands before what is
/// overheard, with its length. Judged by all services, and asked on.
pub(crate) fn judge(data: &[u8]) {
    let knowledge = knowledge();
    let (head, rest) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let head = crate::text(head);
    let mut words = head.split(' ');
    let name = words.next().and_then(ServiceName::new);
    let service = name.and_then(|name| knowledge.service(&name));
    let own = service.and_then(|service| service.ports.first().copied());
    let told = words.next().and_then(|port| port.parse().ok());
    let port = told.or(own).unwrap_or(Port::tcp(502));
    let [how, bytes @ ..] = rest.get(1..).unwrap_or_default() else {
        return;
    };
    let request = match service {
        Some(service) if service.name.as_str() == "snmp" => Knowledge::snmp_request("plant7"),
        Some(service) => service.request.clone(),
        None => None,
    };
    let request = request.map(|request| request.bytes_for(IpAddr::from([127, 0, 0, 1]), port));
    let mut seen = Seen::default();
    match how {
        b'f' => seen.spoke_first = bytes.to_vec(),
        b'o' | b'm' => {
            let [length, rest @ ..] = bytes else { return };
            let (asked, reply) = rest.split_at(usize::from(*length).min(rest.len()));
            (seen.request, seen.reply) = (Some(asked.to_vec()), reply.to_vec());
        }
        b'a' => seen.reply = bytes.to_vec(),
        _ => (seen.request, seen.reply) = (request, bytes.to_vec()),
    }
    seen.overheard = match how {
        b'o' => Some(Overheard::FromTheBeginning),
        b'm' => Some(Overheard::MidStream),
        b'a' => Some(Overheard::AnswerOnly),
        _ => None,
    };
    seen.closed_by_peer = bytes.len() % 5 == 4;
    // The same bytes answer whatever is asked further; no service has so many questions.
    for _ in 0..8 {
        check(knowledge, port, &seen);
        let Some(request) = knowledge.further(port, &[], &seen) else {
            return;
        };
        seen.further.push(Further {
            request: request.bytes_for(IpAddr::from([127, 0, 0, 1]), port),
            reply: bytes.to_vec(),
        });
    }
    panic!("it is asked without end");
}

fn check(knowledge: &Knowledge, port: Port, seen: &Seen) {
    for found in knowledge.identify(port, &[], seen) {
        assert!(!found.reasons.is_empty(), "{found:?} has no reason");
        for value in found.fields.values() {
            let shown = value.to_string();
            assert!(
                !shown.chars().any(char::is_control),
                "{shown:?} reaches a terminal"
            );
        }
    }
}
