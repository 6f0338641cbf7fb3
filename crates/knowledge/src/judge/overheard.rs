//! What the answer to somebody else's question shows. Its number was not chosen by us, so that it never proves more than
//! `likely`: question and answer fit each other and the protocol, on a port of the service.

use portcullis_model::{Grade, Transport};

use super::{
    Judge, Subject, Verdict, dsci,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

/// Judges a service whose client begins, when the request is none of ours.
pub(super) fn judge(subject: &Subject<'_>, seen: &Seen, name: &str, place: String) -> Option<Verdict> {
    let judge = subject.service.judge;
    if judge == Judge::Dsci
        && let Some(verdict) = dsci::overheard(subject, seen)
    {
        return Some(verdict);
    }
    let mut turns = std::iter::once((seen.request.as_deref(), seen.reply.as_slice()))
        .chain(
            seen.further
                .iter()
                .map(|turn| (Some(turn.request.as_slice()), turn.reply.as_slice())),
        )
        .filter_map(|(request, reply)| Some((request?, reply)));
    if let Some(shown) = turns.find_map(|(request, reply)| fits(judge, request, reply)) {
        return Some(Verdict::new(Grade::Likely, [format!("{shown} ({name})"), place]));
    }
    if let Some(said) = Speech::of(&seen.reply).described() {
        return Some(Verdict::new(
            Grade::RuledOut,
            [format!("the server answers in {said}")],
        ));
    }
    // A single datagram of a port, without what it answers, speaks for nothing.
    if seen.request.is_none() && subject.port.transport == Transport::Udp {
        return None;
    }
    let answer = if judge == Judge::Dsci {
        // Some of its replies carry passwords.
        "answered somebody else with something that is not looked into".to_owned()
    } else {
        format!(
            "answered somebody else with {}, which is not read here",
            quoted_bytes(&seen.reply)
        )
    };
    Some(Verdict::new(Grade::Possible, [place, answer]))
}

fn fits(judge: Judge, request: &[u8], reply: &[u8]) -> Option<&'static str> {
    match judge {
        Judge::Modbus => modbus(request, reply),
        Judge::S7 => s7(request, reply),
        Judge::Enip => enip(request, reply),
        Judge::Bacnet => bacnet(request, reply),
        Judge::Iec104 => iec104(request, reply),
        Judge::Mqtt => mqtt(request, reply),
        Judge::FinsUdp => fins_udp(request, reply),
        Judge::FinsTcp => (request.starts_with(b"FINS") && reply.starts_with(b"FINS"))
            .then_some("question and answer are frames of FINS/TCP"),
        _ => None,
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes).into())
}

/// Transaction, protocol 0, length, unit, function (MODBUS Messaging on TCP/IP V1.0b, 3.1.3).
fn modbus(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    let whole = |bytes: &[u8]| {
        let length = be16(bytes, 4)?;
        let right = be16(bytes, 2)? == 0 && (2..=254).contains(&length) && bytes.len() >= 6 + length;
        right.then_some((be16(bytes, 0)?, *bytes.get(6)?, *bytes.get(7)?))
    };
    let (asked, answered) = (whole(request)?, whole(reply)?);
    let same = (asked.0, asked.1) == (answered.0, answered.1);
    let function = answered.2 == asked.2 || answered.2 == asked.2 | 0x80;
    (same && function && (1..0x80).contains(&asked.2))
        .then_some("answered with the transaction, unit and function of the question, all lengths right")
}

/// TPKT and COTP data, then 32 and the same reference in job (1 or 7) and answer (2, 3 or 7).
fn s7(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    let header = |bytes: &[u8]| {
        let right = bytes.starts_with(&[3, 0]) && be16(bytes, 2)? <= bytes.len();
        let data = bytes.get(4..8)? == [2, 0xf0, 0x80, 0x32];
        (right && data).then_some((*bytes.get(8)?, be16(bytes, 11)?))
    };
    let (asked, answered) = (header(request)?, header(reply)?);
    let kinds = matches!((asked.0, answered.0), (1, 2 | 3) | (7, 7));
    (kinds && asked.1 == answered.1).then_some("answered an S7 job with its reference")
}

/// The header of 24 bytes: the same command and context in question and answer (CIP volume 2, 2-3).
fn enip(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    let header = |bytes: &[u8]| {
        let length: [u8; 2] = bytes.get(2..4)?.try_into().ok()?;
        let right = bytes.len() >= 24 + usize::from(u16::from_le_bytes(length));
        let command: [u8; 2] = bytes.get(..2)?.try_into().ok()?;
        let context: [u8; 8] = bytes.get(12..20)?.try_into().ok()?;
        let known = matches!(command, [0x04 | 0x63 | 0x64 | 0x65 | 0x6f | 0x70, 0]);
        (right && known).then_some((command, context))
    };
    (header(request)? == header(reply)?).then_some("answered with the command and context of the question")
}

/// 81, function, length of all, then version 1 of the network layer (ASHRAE 135, annex J and clause 6.2).
fn bacnet(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    let whole = |bytes: &[u8]| {
        matches!(bytes, [0x81, 0x0a | 0x0b, _, _, 1, ..]) && be16(bytes, 2) == Some(bytes.len())
    };
    (whole(request) && whole(reply))
        .then_some("question and answer are frames of BACnet/IP with right lengths")
}

/// STARTDT, STOPDT or TESTFR and its confirmation, or frames one behind the other (IEC 60870-5-104, 5).
fn iec104(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    if let ([0x68, 4, act @ (0x07 | 0x13 | 0x43), 0, 0, 0, ..], [0x68, 4, con, 0, 0, 0, ..]) =
        (request, reply)
        && *con == (act & 0xfc) << 1 | 3
    {
        return Some("confirmed a control frame");
    }
    let framed = |mut bytes: &[u8]| {
        let mut frames = 0;
        while let [0x68, length @ 4..=253, rest @ ..] = bytes {
            let Some(behind) = rest.get(usize::from(*length)..) else {
                break;
            };
            (bytes, frames) = (behind, frames + 1);
        }
        frames > 0 && bytes.is_empty()
    };
    (framed(request) && framed(reply)).then_some("question and answer are frames with right lengths")
}

/// CONNECT and CONNACK (MQTT 3.1.1, 3.1 and 3.2; 3.1 calls itself MQIsdp; 5 has properties behind the code).
fn mqtt(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    let name = request.get(..14).unwrap_or(request);
    let connects = request.first() == Some(&0x10)
        && [&b"\0\x04MQTT"[..], b"\0\x06MQIsdp"]
            .iter()
            .any(|word| name.windows(word.len()).any(|window| window == *word));
    let confirms = matches!(reply, [0x20, 2..=0x7f, 0 | 1, _, ..]);
    (connects && confirms).then_some("answered CONNECT with CONNACK")
}

/// The addresses change places; service id and command are the same.
fn fins_udp(request: &[u8], reply: &[u8]) -> Option<&'static str> {
    let answers = matches!(reply.first()?, 0xc0 | 0xc1)
        && reply.get(3..6)? == request.get(6..9)?
        && reply.get(9..12)? == request.get(9..12)?;
    answers.then_some("answered with the service id and command of the question")
}

#[cfg(test)]
mod tests {
    use portcullis_model::{Port, ServiceName};

    use super::*;
    use crate::{Knowledge, Overheard, samples::hex};

    fn grade(
        service: &str,
        port: Port,
        request: Option<&str>,
        reply: &str,
        heard: Overheard,
    ) -> Option<Grade> {
        let seen = Seen {
            request: request.map(hex),
            reply: hex(reply),
            overheard: Some(heard),
            ..Seen::default()
        };
        let name = ServiceName::new(service).unwrap();
        let found = Knowledge::builtin().unwrap().identify(port, &[], &seen);
        found.iter().find(|one| one.service == name).map(|one| one.grade)
    }

    #[test]
    fn an_answer_that_fits_its_question_is_likely_and_no_more() {
        // Put together as the sources named at each function describe them.
        for (service, port, request, reply) in [
            (
                "modbus-tcp",
                Port::tcp(502),
                "00 07 00 00 00 06 01 03 00 00 00 01",
                "00 07 00 00 00 05 01 03 02 00 2a",
            ),
            (
                "modbus-tcp",
                Port::tcp(502),
                "00 07 00 00 00 06 01 03 00 00 00 01",
                "00 07 00 00 00 03 01 83 02",
            ),
            (
                "iec-104",
                Port::tcp(2404),
                "68 04 07 00 00 00",
                "68 04 0b 00 00 00",
            ),
            (
                "mqtt",
                Port::tcp(1883),
                "10 0f 00 04 4d 51 54 54 04 02 00 3c 00 03 61 62 63",
                "20 02 00 00",
            ),
            (
                "ethernet-ip",
                Port::tcp(44818),
                "65 00 04 00 00 00 00 00 00 00 00 00 01 02 03 04 05 06 07 08 00 00 00 00 01 00 00 00",
                "65 00 04 00 01 00 00 00 00 00 00 00 01 02 03 04 05 06 07 08 00 00 00 00 01 00 00 00",
            ),
        ] {
            let heard = Overheard::FromTheBeginning;
            assert_eq!(
                grade(service, port, Some(request), reply, heard),
                Some(Grade::Likely),
                "{service}"
            );
            let other = reply.replacen("00 07", "00 08", 1).replacen("68 04", "69 04", 1);
            let other = other.replacen("65 00", "66 00", 1).replacen("20 02", "30 02", 1);
            assert_eq!(
                grade(service, port, Some(request), &other, heard),
                Some(Grade::Possible),
                "{service}"
            );
        }
    }

    #[test]
    fn a_search_reply_without_its_question_is_likely_with_an_address_of_moxa_and_possible_without() {
        // NPREAL and MD4800, as in samples/moxa.rs.
        let reply = "81 00 00 18 00 00 00 07 10 51 00 80 10 51 00 90 e8 01 02 03 c0 a8 7f fe";
        let port = Port::udp(4800);
        let judged = |request, reply: &str, heard| grade("moxa-dsci", port, request, reply, heard);
        assert_eq!(judged(None, reply, Overheard::AnswerOnly), Some(Grade::Likely));
        let other = reply.replace("00 90 e8", "02 00 00");
        assert_eq!(judged(None, &other, Overheard::AnswerOnly), Some(Grade::Possible));
        let search = Some("01 00 00 08 00 00 00 07");
        assert_eq!(
            judged(search, reply, Overheard::FromTheBeginning),
            Some(Grade::Likely)
        );
        let ours = Some("01 00 00 08 00 00 00 00");
        let reply = reply.replace("00 07 10", "00 00 10");
        assert_eq!(
            judged(ours, &reply, Overheard::FromTheBeginning),
            Some(Grade::Proven)
        );
    }

    #[test]
    fn the_first_word_of_a_session_is_not_found_in_its_middle() {
        let judged = |heard| {
            grade(
                "moxa-mdm-gateway",
                Port::tcp(54321),
                Some("01 02"),
                "28 10 00 29 00 00",
                heard,
            )
        };
        assert_eq!(judged(Overheard::FromTheBeginning), Some(Grade::Likely));
        assert_eq!(judged(Overheard::MidStream), Some(Grade::Possible));
    }
}
