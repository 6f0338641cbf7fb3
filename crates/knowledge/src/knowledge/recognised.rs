//! Every service is recognised by its own replies, by whole ones only, and no reply names a second service.

use std::{collections::BTreeSet, sync::LazyLock};

use proptest::prelude::*;

use portcullis_model::{Grade, Untrusted};

use super::*;
use crate::samples::{Sample, hex, samples};

fn knowledge() -> Knowledge {
    Knowledge::builtin().unwrap()
}

/// Read once for the thousands of cases of a property.
static ALL: LazyLock<(Knowledge, Vec<Sample>)> = LazyLock::new(|| (knowledge(), samples()));

fn found(knowledge: &Knowledge, sample: &Sample, bytes: Vec<u8>) -> Option<Identification> {
    let seen = sample.seen_with(knowledge, bytes);
    knowledge
        .identify(sample.port, &[], &seen)
        .into_iter()
        .find(|found| found.service.as_str() == sample.service)
}

/// General services whose language a named one speaks.
fn speaks(service: &str, general: &str) -> bool {
    matches!(
        (service, general),
        (
            "moxa-web-console" | "mxview" | "upnp" | "container-registry",
            "http"
        ) | ("moxa-ssh", "ssh")
            | ("moxa-console", "telnet")
    )
}

#[test]
fn every_service_is_recognised_by_its_replies_and_tells_what_they_hold() {
    let knowledge = knowledge();
    for sample in samples() {
        let context = format!("{} ({})", sample.service, sample.source);
        let all = knowledge.identify(sample.port, &[], &sample.seen(&knowledge));
        let own = all
            .iter()
            .find(|found| found.service.as_str() == sample.service)
            .expect(&context);
        assert_eq!(own.grade, sample.grade, "{context}: {:?}", own.reasons);
        for (name, value) in &sample.fields {
            let field = own.fields.get(*name).map(Untrusted::to_string);
            assert_eq!(field.as_deref(), Some(*value), "{context}: {name}");
        }
        if sample.grade >= Grade::Likely {
            assert_eq!(all[0].service, own.service, "{context} does not come first");
        }
        for other in &all {
            let may_be = other.service == own.service || speaks(sample.service, other.service.as_str());
            assert!(may_be || other.grade <= Grade::Possible, "{context}: {other:?}");
        }
    }
}

#[test]
fn every_service_but_those_that_nothing_proves_has_a_sample() {
    let covered: BTreeSet<String> = samples().iter().map(|sample| sample.service.to_owned()).collect();
    let missing: Vec<String> = knowledge()
        .services
        .values()
        .filter(|service| !matches!(service.judge, judge::Judge::Port | judge::Judge::Mdm))
        // What has no port is read by a module of its own, with its own tests.
        .filter(|service| !service.judge.is_below_ip())
        .map(|service| service.name.to_string())
        .filter(|name| !covered.contains(name))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn a_reply_that_was_cut_off_never_proves() {
    let knowledge = knowledge();
    for sample in samples() {
        for length in 0..sample.whole_from {
            let cut = sample.bytes[..length].to_vec();
            let found = found(&knowledge, &sample, cut);
            assert!(
                found.as_ref().is_none_or(|found| found.grade < Grade::Proven),
                "{} ({}) with {length} bytes: {found:?}",
                sample.service,
                sample.source
            );
        }
        // What is whole already is not made doubtful by what follows, up to the end.
        let whole = found(&knowledge, &sample, sample.bytes[..sample.whole_from].to_vec());
        assert_eq!(
            whole.map(|found| found.grade),
            Some(sample.grade),
            "{} ({}) is whole with {} bytes",
            sample.service,
            sample.source,
            sample.whole_from
        );
    }
}

#[test]
fn a_reply_on_the_port_of_another_service_does_not_name_that_one() {
    let knowledge = knowledge();
    for sample in samples() {
        for host in knowledge
            .services
            .values()
            .filter(|host| host.name.as_str() != sample.service)
        {
            for port in &host.ports {
                // Over TCP the two FINS and the two HART-IP are one protocol.
                let request = host
                    .request
                    .as_ref()
                    .map(|request| request.bytes_for([127, 0, 0, 1].into(), *port));
                let seen = match request {
                    Some(_) => Seen {
                        request,
                        reply: sample.bytes.clone(),
                        ..Seen::default()
                    },
                    None => Seen {
                        spoke_first: sample.bytes.clone(),
                        ..Seen::default()
                    },
                };
                let wrong = knowledge.identify(*port, &[], &seen).into_iter().find(|found| {
                    found.service == host.name
                        && found.grade >= Grade::Likely
                        && !speaks(sample.service, found.service.as_str())
                });
                assert_eq!(wrong, None, "{} on {port}", sample.service);
            }
        }
    }
}

#[test]
fn what_is_asked_next_follows_from_a_valid_reply_only() {
    let knowledge = knowledge();
    for sample in samples().iter().filter(|sample| !sample.further.is_empty()) {
        let mut seen = sample.seen(&knowledge);
        let turns = std::mem::take(&mut seen.further);
        for turn in turns {
            let next = knowledge.further(sample.port, &[], &seen).expect(sample.service);
            assert_eq!(next.bytes_for([127, 0, 0, 1].into(), sample.port), turn.request);
            seen.further.push(turn);
        }
        assert_eq!(
            knowledge.further(sample.port, &[], &seen),
            None,
            "{}",
            sample.service
        );
        let echo = Seen {
            reply: seen.request.clone().unwrap(),
            further: Vec::new(),
            ..seen.clone()
        };
        let cut = Seen {
            reply: seen.reply[..seen.reply.len() - 1].to_vec(),
            further: Vec::new(),
            ..seen.clone()
        };
        let closed = Seen {
            closed_by_peer: true,
            further: Vec::new(),
            ..seen.clone()
        };
        let unanswered = Seen {
            further: vec![crate::Further::default()],
            ..seen.clone()
        };
        for seen in [echo, cut, closed, unanswered, Seen::default()] {
            assert_eq!(
                knowledge.further(sample.port, &[], &seen),
                None,
                "{}",
                sample.service
            );
        }
    }
}

#[test]
fn replies_that_differ_where_it_matters_prove_nothing() {
    let wrong = [
        // Our context does not come back.
        (
            "ethernet-ip",
            Port::tcp(44818),
            "63 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
        ),
        // From an address that was not asked, and from a primary station.
        ("dnp3", Port::tcp(20000), "05 64 05 0b 00 00 02 00 0b d8"),
        ("dnp3", Port::tcp(20000), "05 64 05 4b 00 00 01 00 00 00"),
        // Another invoke id, another service.
        (
            "bacnet-ip",
            Port::udp(47808),
            "81 0a 00 0d 01 00 50 02 0c 91 01 91 1f",
        ),
        (
            "bacnet-ip",
            Port::udp(47808),
            "81 0a 00 0d 01 00 50 01 0e 91 01 91 1f",
        ),
        // A confirmation to a reference that is not ours; a disconnect request.
        ("s7comm", Port::tcp(102), "03 00 00 0b 06 d0 00 15 00 01 00"),
        ("s7comm", Port::tcp(102), "03 00 00 0b 06 80 00 14 00 01 00"),
        // An error code that is a success.
        (
            "opc-ua",
            Port::tcp(4840),
            "45 52 52 46 10 00 00 00 00 00 00 00 ff ff ff ff",
        ),
        // The activation, not the confirmation, of a test frame; of a start.
        ("iec-104", Port::tcp(2404), "68 04 43 00 00 00"),
        ("iec-104", Port::tcp(2404), "68 04 0b 00 00 00"),
        // A session that cannot be present; a reason that does not exist.
        ("mqtt", Port::tcp(1883), "20 02 01 00"),
        ("mqtt", Port::tcp(1883), "20 02 00 06"),
        // Another transaction id.
        (
            "hart-ip",
            Port::tcp(5094),
            "01 01 00 00 50 44 00 0d 01 00 00 13 88",
        ),
        ("modbus-tcp", Port::tcp(502), "00 01 00 00 00 03 01 ab 01"),
        ("modbus-tcp", Port::tcp(502), "00 00 00 00 00 03 02 ab 01"),
        // Another service id of FINS, with an end code.
        (
            "omron-fins-udp",
            Port::udp(9600),
            "c0 00 02 00 63 00 00 00 00 ee 05 01 20 02",
        ),
        // Commands of ADDP and DSCI that are no answers to what was asked.
        ("digi-addp", Port::udp(2362), "44 49 47 49 00 04 00 00"),
        (
            "moxa-dsci",
            Port::udp(4800),
            "96 00 00 18 00 00 00 00 10 51 00 80 10 51 00 90 e8 01 02 03 c0 a8 7f fe",
        ),
        // The setup record of Lantronix, which was not asked for.
        (
            "lantronix-search",
            Port::udp(30718),
            "00 00 00 f9 00 80 a3 01 02 03",
        ),
        // Another request id.
        (
            "snmp",
            Port::udp(161),
            "30 18 02 01 01 04 06 70 6c 61 6e 74 37 a2 0b 02 02 50 44 02 01 00 02 01 00 30 00",
        ),
        (
            "rdp",
            Port::tcp(3389),
            "03 00 00 13 0e d0 00 00 12 34 00 02 01 08 00 40 00 00 00",
        ),
    ];
    let knowledge = knowledge();
    for (service, port, reply) in wrong {
        let sample = samples()
            .into_iter()
            .find(|sample| sample.service == service)
            .unwrap();
        let sample = Sample {
            port,
            further: Vec::new(),
            ..sample
        };
        let found = found(&knowledge, &sample, hex(reply));
        assert!(
            found.as_ref().is_some_and(|found| found.grade == Grade::RuledOut),
            "{service}, {reply}: {found:?}"
        );
    }
}

#[test]
fn what_must_come_back_as_it_was_sent_is_looked_at_bit_by_bit() {
    let knowledge = knowledge();
    for (service, bytes) in [
        ("modbus-tcp", 0..7),
        ("s7comm", 5..8),
        ("ethernet-ip", 12..20),
        ("bacnet-ip", 7..9),
        ("omron-fins-udp", 3..6),
        ("omron-fins-udp", 9..12),
        ("hart-ip", 4..8),
        ("red-lion-crimson", 0..4),
        ("moxa-dsci", 0..8),
        ("digi-addp", 0..8),
        ("snmp", 0..19),
        ("iec-104", 0..6),
        ("dnp3", 0..10),
        ("opc-ua", 0..8),
        ("rdp", 0..8),
        ("pcworx", 0..4),
        ("mqtt", 0..3),
        ("vnc", 0..4),
    ] {
        for sample in samples().iter().filter(|sample| sample.service == service) {
            for place in bytes.clone() {
                for bit in 0..8 {
                    let mut changed = sample.bytes.clone();
                    changed[place] ^= 1 << bit;
                    // What an outstation reports unasked is followed by the answer, and either is enough.
                    changed.truncate(sample.whole_from);
                    // A result that is 4 is an answer of its own.
                    let refused = service == "moxa-dsci" && changed[..2] == [0x81, 4];
                    let expected = if refused { Grade::Possible } else { Grade::RuledOut };
                    let found = found(&knowledge, sample, changed);
                    assert!(
                        found.as_ref().is_some_and(|found| found.grade == expected),
                        "{service} ({}), byte {place}, bit {bit}: {found:?}",
                        sample.source
                    );
                }
            }
        }
    }
}

#[test]
fn a_hello_of_fox_without_its_end_is_only_likely() {
    let knowledge = knowledge();
    let sample = samples()
        .into_iter()
        .find(|sample| sample.service == "niagara-fox")
        .unwrap();
    let cut = sample.bytes[..sample.bytes.len() - 4].to_vec();
    assert_eq!(found(&knowledge, &sample, cut).unwrap().grade, Grade::Likely);
}

#[test]
fn the_snmp_read_is_made_of_a_community_that_is_given_and_of_nothing_else() {
    // As net-snmp's own client builds it (checked against snmpd 5.9.3).
    let expected = hex(
        "30 35 02 01 01 04 06 70 6c 61 6e 74 37 a0 28 02 02 50 43 02 01 00 02 01 00 30 1c 30 0c 06 08 2b 06 01 02 01 01 \
         01 00 05 00 30 0c 06 08 2b 06 01 02 01 01 02 00 05 00",
    );
    assert_eq!(
        Knowledge::snmp_request("plant7"),
        Some(Request::Bytes { bytes: expected })
    );
    for community in ["", &"x".repeat(65)] {
        assert_eq!(Knowledge::snmp_request(community), None);
    }
    let long = Knowledge::snmp_request(&"x".repeat(64)).unwrap();
    assert_eq!(long.bytes_for([127, 0, 0, 1].into(), Port::udp(161)).len(), 113);
    assert_eq!(knowledge().exchange(Port::udp(161), &[]).request, None);
}

/// The answer of an agent to the read with this community, whose sysDescr says so.
fn agent(community: &str, says: &[u8]) -> Seen {
    let request = Knowledge::snmp_request(community).unwrap();
    let request = request.bytes_for([127, 0, 0, 1].into(), Port::udp(161));
    let item = |tag: u8, content: &[u8]| [&[tag, 0x81, content.len() as u8], content].concat();
    let name = [0x06, 8, 0x2b, 6, 1, 2, 1, 1, 1, 0];
    let bound = item(0x30, &[&name[..], &item(0x04, says)].concat());
    let head = [0x02, 2, 0x50, 0x43, 0x02, 1, 0, 0x02, 1, 0];
    let message = item(0xa2, &[&head[..], &item(0x30, &bound)].concat());
    let parts = [&[0x02, 1, 1][..], &item(0x04, community.as_bytes()), &message];
    Seen {
        request: Some(request),
        reply: item(0x30, &parts.concat()),
        ..Seen::default()
    }
}

#[test]
fn an_agent_that_repeats_the_community_does_not_get_it_into_what_is_kept() {
    let knowledge = knowledge();
    let port = Port::udp(161);
    let found = |community: &str, says: &str| {
        let mut seen = agent(community, says.as_bytes());
        let secret = portcullis_model::Secret::new(community);
        let found = knowledge.identify_concealed(port, &[], &mut seen, &secret);
        let kept = format!("{found:?}");
        assert!(!kept.contains(community), "{kept}");
        for bytes in [seen.request.unwrap(), seen.reply] {
            let held = |window: &[u8]| window == community.as_bytes();
            assert!(!bytes.windows(community.len()).any(held), "{bytes:?}");
        }
        assert_eq!(
            (found[0].service.as_str(), found[0].grade),
            ("snmp", Grade::Proven)
        );
        found[0].fields.get("product").map(|value| value.raw().to_owned())
    };
    for (says, shown) in [
        ("Linux gateway", "Linux gateway"),
        ("you said plant7", "you said ******"),
        ("plant7plant7 and plant7", "************ and ******"),
        ("plant7\0\0", "******"),
    ] {
        assert_eq!(found("plant7", says).as_deref(), Some(shown), "{says}");
    }
    // What is trimmed in a text is trimmed of a community, too: nothing of it stays.
    let trimmed = found(" plant7 ", "\0 plant7 ");
    assert!(!trimmed.unwrap_or_default().contains("plant7"));
    // As short as a part of the protocol: the grade stays, and no text.
    assert_eq!(found("0", "Linux 0"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_reply_with_foreign_bytes_in_it_never_makes_a_judge_panic(cut: prop::sample::Index,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        more in prop::collection::vec(any::<u8>(), 0..9)) {
        let (knowledge, samples) = &*ALL;
        for sample in samples {
            let mut bytes = sample.bytes.clone();
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            bytes.extend(&more);
            let mut seen = sample.seen_with(knowledge, bytes.clone());
            for turn in &mut seen.further {
                turn.reply.clone_from(&bytes);
            }
            for found in knowledge.identify(sample.port, &[], &seen) {
                prop_assert!(!found.reasons.is_empty());
                for reason in &found.reasons {
                    prop_assert!(reason.len() < 1000 && !reason.contains(char::is_control), "{reason:?}");
                }
                prop_assert!(found.fields.values().all(|value| value.raw().len() < 1000));
            }
            knowledge.further(sample.port, &[], &seen);
        }
    }
}
