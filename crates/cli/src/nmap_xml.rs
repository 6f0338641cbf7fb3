//! What a scan found, in the XML of nmap (`nmap.dtd`, output version 1.05), for programs that read nothing else.
//!
//! The words of nmap are used where they mean the same. Where Portcullis knows less than nmap's word would claim, the word
//! that claims less is taken:
//! - `scanner` is `portcullis`, as masscan writes its own name: the only point in which the document leaves `nmap.dtd`,
//!   which knows no scanner but nmap. No known reader insists on it.
//! - A host of which no port was open or closed is `unknown`, not `down`: a firewall may have swallowed all packets.
//! - No answer is `filtered` with the reason `no-response`, and for UDP `open|filtered`, as nmap says it.
//! - What was not tested is no port of any state. It stands in a script's output, which readers keep and show: beside the
//!   ports of a host that is listed, and all of it, as ranges, behind the last host.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    net::IpAddr,
};

use jiff::Timestamp;
use portcullis_model::{
    Grade, Identification, NotTested, Observation, Port, PortState, Silent, Transport, sanitize,
};
use portcullis_ops::scan::Scanned;
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

/// The version of nmap's output that this is written after.
const OUTPUT_VERSION: &str = "1.05";

/// Writes the document. `arguments` is the command line.
///
/// # Errors
/// When `out` does not take it.
pub(crate) fn write(scanned: &Scanned, arguments: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(out, b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.write_event(Event::DocType(BytesText::new("nmaprun")))?;
    let started = scanned.run.started;
    let attributes = [
        ("scanner", "portcullis".to_owned()),
        ("args", text(arguments)),
        ("start", started.as_second().to_string()),
        ("startstr", clock(started)),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("xmloutputversion", OUTPUT_VERSION.to_owned()),
    ];
    element(&mut xml, "nmaprun", &attributes, |xml| {
        scan_information(xml, scanned)?;
        empty(xml, "verbose", &[("level", "0".into())])?;
        empty(xml, "debugging", &[("level", "0".into())])?;
        let mut up = 0;
        for (address, seen) in by_host(&scanned.observations) {
            up += usize::from(is_up(&seen));
            host(xml, address, &seen, &scanned.run.not_tested, half_open(scanned))?;
        }
        for range in &scanned.run.coverage.silent {
            silent_hosts(xml, range)?;
        }
        if !scanned.run.not_tested.is_empty() {
            element(xml, "postscript", &[], |xml| {
                not_tested(xml, &scanned.run.not_tested)
            })?;
        }
        statistics(xml, scanned, up)
    })?;
    writeln!(xml.get_mut())
}

type Xml<'a> = Writer<&'a mut dyn Write>;
type Attribute = (&'static str, String);

fn empty(xml: &mut Xml<'_>, name: &str, attributes: &[Attribute]) -> io::Result<()> {
    let attributes = attributes.iter().map(|(key, value)| (*key, value.as_str()));
    xml.create_element(name)
        .with_attributes(attributes)
        .write_empty()?;
    Ok(())
}

fn element<'a>(
    xml: &mut Xml<'a>,
    name: &str,
    attributes: &[Attribute],
    inner: impl FnOnce(&mut Xml<'a>) -> io::Result<()>,
) -> io::Result<()> {
    let attributes = attributes.iter().map(|(key, value)| (*key, value.as_str()));
    xml.create_element(name)
        .with_attributes(attributes)
        .write_inner_content(inner)?;
    Ok(())
}

/// Text that may come from outside: XML 1.0 has no way to write most control characters, nor these two.
fn text(text: &str) -> String {
    sanitize(text)
        .replace('\u{fffe}', "\\u{fffe}")
        .replace('\u{ffff}', "\\u{ffff}")
}

/// As nmap writes it, in UTC.
fn clock(at: Timestamp) -> String {
    at.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

fn half_open(scanned: &Scanned) -> bool {
    scanned.run.settings.get("mode").is_some_and(|mode| mode == "syn")
}

/// Each port that was asked for is in exactly one of the three lists of a scan.
fn scan_information(xml: &mut Xml<'_>, scanned: &Scanned) -> io::Result<()> {
    let seen = scanned.observations.iter().map(|seen| seen.port);
    let silent = scanned
        .run
        .coverage
        .silent
        .iter()
        .flat_map(|range| range.ports.iter().copied());
    let gaps = &scanned.run.not_tested;
    let gaps = gaps.iter().flat_map(|gap| gap.ports.iter().copied());
    let ports: BTreeSet<Port> = seen.chain(silent).chain(gaps).collect();
    let kind = if half_open(scanned) { "syn" } else { "connect" };
    for (transport, kind) in [(Transport::Tcp, kind), (Transport::Udp, "udp")] {
        let numbers = numbers(&ports, transport);
        if !numbers.is_empty() {
            let attributes = [
                ("type", kind.to_owned()),
                ("protocol", transport.to_string()),
                ("numservices", numbers.len().to_string()),
                ("services", ranges(&numbers)),
            ];
            empty(xml, "scaninfo", &attributes)?;
        }
    }
    Ok(())
}

fn numbers<'a>(ports: impl IntoIterator<Item = &'a Port>, transport: Transport) -> BTreeSet<u16> {
    let of_transport = ports.into_iter().filter(|port| port.transport == transport);
    of_transport.map(|port| port.number).collect()
}

/// Port numbers as nmap lists them: `80,502-504`.
fn ranges(numbers: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let shown = ranges.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

fn by_host(observations: &[Observation]) -> BTreeMap<IpAddr, Vec<&Observation>> {
    let mut hosts: BTreeMap<IpAddr, Vec<&Observation>> = BTreeMap::new();
    for seen in observations {
        hosts.entry(seen.address).or_default().push(seen);
    }
    hosts
}

/// A refusal by a firewall does not show that the host behind it is there.
fn is_up(seen: &[&Observation]) -> bool {
    seen.iter()
        .any(|seen| matches!(seen.state, PortState::Open | PortState::Closed))
}

fn host(
    xml: &mut Xml<'_>,
    address: IpAddr,
    seen: &[&Observation],
    gaps: &[NotTested],
    half_open: bool,
) -> io::Result<()> {
    let times = || seen.iter().map(|seen| seen.at.as_second());
    let attributes = [
        ("starttime", times().min().unwrap_or_default().to_string()),
        ("endtime", times().max().unwrap_or_default().to_string()),
    ];
    element(xml, "host", &attributes, |xml| {
        let answered = seen
            .iter()
            .find(|seen| matches!(seen.state, PortState::Open | PortState::Closed));
        let (state, why) = match answered {
            Some(seen) => ("up", reason(seen, half_open)),
            None => ("unknown", "no-response"),
        };
        status(xml, state, why)?;
        name(xml, address)?;
        element(xml, "ports", &[], |xml| {
            seen.iter().try_for_each(|seen| port(xml, seen, half_open))
        })?;
        let gaps: Vec<NotTested> = gaps
            .iter()
            .filter(|gap| (gap.first..=gap.last).contains(&address))
            .map(|gap| NotTested {
                first: address,
                last: address,
                ..gap.clone()
            })
            .collect();
        if gaps.is_empty() {
            return Ok(());
        }
        element(xml, "hostscript", &[], |xml| not_tested(xml, &gaps))
    })
}

fn status(xml: &mut Xml<'_>, state: &str, reason: &str) -> io::Result<()> {
    let attributes = [
        ("state", state.to_owned()),
        ("reason", reason.to_owned()),
        ("reason_ttl", "0".to_owned()),
    ];
    empty(xml, "status", &attributes)
}

/// The address, and the list of host names, which some readers miss when it is not there.
fn name(xml: &mut Xml<'_>, address: IpAddr) -> io::Result<()> {
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let attributes = [("addr", address.to_string()), ("addrtype", family.to_owned())];
    empty(xml, "address", &attributes)?;
    empty(xml, "hostnames", &[])
}

fn port(xml: &mut Xml<'_>, seen: &Observation, half_open: bool) -> io::Result<()> {
    let Some(state) = state(seen.state, seen.port.transport) else {
        return Ok(());
    };
    let attributes = [
        ("protocol", seen.port.transport.to_string()),
        ("portid", seen.port.number.to_string()),
    ];
    element(xml, "port", &attributes, |xml| {
        let attributes = [
            ("state", state.to_owned()),
            ("reason", reason(seen, half_open).to_owned()),
            ("reason_ttl", "0".to_owned()),
        ];
        empty(xml, "state", &attributes)?;
        if let Some(best) = seen.best() {
            service(xml, best)?;
        }
        grounds(xml, seen)
    })
}

/// The word of nmap; none for what was not tested.
fn state(state: PortState, transport: Transport) -> Option<&'static str> {
    match (state, transport) {
        (PortState::Open, _) => Some("open"),
        (PortState::Closed, _) => Some("closed"),
        (PortState::Filtered, _) | (PortState::NoAnswer, Transport::Tcp) => Some("filtered"),
        (PortState::NoAnswer, Transport::Udp) => Some("open|filtered"),
        (PortState::NotTested, _) => None,
    }
}

/// The reason in nmap's words. Which message of ICMP made a port filtered, and whose, is told by the script beside it.
fn reason(seen: &Observation, half_open: bool) -> &'static str {
    match (seen.state, seen.port.transport) {
        (PortState::Open, Transport::Tcp) => "syn-ack",
        (PortState::Open, Transport::Udp) => "udp-response",
        (PortState::Closed, Transport::Tcp) if half_open => "reset",
        (PortState::Closed, Transport::Tcp) => "conn-refused",
        (PortState::Closed, Transport::Udp) => "port-unreach",
        (PortState::Filtered, _) => "dest-unreach",
        (PortState::NoAnswer | PortState::NotTested, _) => "no-response",
    }
}

fn service(xml: &mut Xml<'_>, best: &Identification) -> io::Result<()> {
    // Nmap's own confidence is 3 for what the port number alone tells, and 10 for what answered as expected.
    let (confidence, method) = match best.grade {
        Grade::Proven => ("10", "probed"),
        Grade::Likely => ("7", "probed"),
        Grade::Possible => ("3", "table"),
        Grade::RuledOut => return Ok(()),
    };
    let field = |name: &str| best.fields.get(name).map(|value| text(value.raw()));
    let device: Vec<String> = ["vendor", "model"].into_iter().filter_map(field).collect();
    let device = (!device.is_empty()).then(|| device.join(" "));
    let mut attributes = vec![("name", best.service.to_string())];
    let product = field("product").or(device).or_else(|| field("server"));
    attributes.extend(product.map(|product| ("product", product)));
    let version = field("firmware").or_else(|| field("revision"));
    attributes.extend(version.map(|version| ("version", version)));
    attributes.extend([
        ("extrainfo", best.grade.to_string()),
        ("method", method.to_owned()),
        ("conf", confidence.to_owned()),
    ]);
    empty(xml, "service", &attributes)
}

/// What nmap has no attribute for: every candidate with its grade, reasons and fields, the ruled-out ones as well; and who
/// refused a filtered port.
///
/// It is one script, because ndiff 7.93 fails on a port with two. Readers that compare two scans compare its output, so
/// what differs between two scans of the same thing, such as the time an answer took, stands in its elements only.
fn grounds(xml: &mut Xml<'_>, seen: &Observation) -> io::Result<()> {
    let output = match seen.state {
        PortState::Open => {
            let candidates = seen.identifications.iter();
            let verdicts =
                candidates.map(|candidate| format!("{} is {}", candidate.service, candidate.grade));
            verdicts.collect::<Vec<_>>().join("; ")
        }
        PortState::Filtered => seen.because.clone(),
        PortState::Closed | PortState::NoAnswer | PortState::NotTested => String::new(),
    };
    if output.is_empty() {
        return Ok(());
    }
    script(xml, "portcullis", &output, |xml| {
        value(xml, "because", &seen.because)?;
        seen.identifications.iter().try_for_each(|candidate| {
            let key = [("key", candidate.service.to_string())];
            element(xml, "table", &key, |xml| {
                value(xml, "grade", &candidate.grade.to_string())?;
                value(xml, "reasons", &candidate.reasons.join("; "))?;
                let mut fields = candidate.fields.iter();
                fields.try_for_each(|(key, field)| value(xml, key, field.raw()))
            })
        })
    })
}

fn script<'a>(
    xml: &mut Xml<'a>,
    id: &str,
    output: &str,
    inner: impl FnOnce(&mut Xml<'a>) -> io::Result<()>,
) -> io::Result<()> {
    let attributes = [("id", id.to_owned()), ("output", text(output))];
    element(xml, "script", &attributes, inner)
}

fn value(xml: &mut Xml<'_>, key: &str, content: &str) -> io::Result<()> {
    let content = text(content);
    xml.create_element("elem")
        .with_attribute(("key", text(key).as_str()))
        .write_text_content(BytesText::new(&content))?;
    Ok(())
}

fn not_tested(xml: &mut Xml<'_>, gaps: &[NotTested]) -> io::Result<()> {
    let lines: Vec<String> = gaps.iter().map(shown_gap).collect();
    let output = format!("not tested: {}", lines.join("; "));
    script(xml, "portcullis-not-tested", &output, |xml| {
        // Some readers forget all tables of a script but the last when they have no key.
        (1..).zip(gaps).try_for_each(|(number, gap): (usize, _)| {
            element(xml, "table", &[("key", number.to_string())], |xml| {
                value(xml, "first", &gap.first.to_string())?;
                value(xml, "last", &gap.last.to_string())?;
                value(xml, "ports", &shown_ports(&gap.ports))?;
                value(xml, "reason", &gap.reason)
            })
        })
    })
}

fn shown_gap(gap: &NotTested) -> String {
    let range = if gap.first == gap.last {
        gap.first.to_string()
    } else {
        format!("{} - {}", gap.first, gap.last)
    };
    format!("{range} {}: {}", shown_ports(&gap.ports), gap.reason)
}

/// Ports of both transports as nmap takes them: `T:80,502-504,U:4800`.
fn shown_ports(ports: &[Port]) -> String {
    let both = [(Transport::Tcp, "T:"), (Transport::Udp, "U:")];
    let shown = both.iter().filter_map(|(transport, mark)| {
        let numbers = numbers(ports, *transport);
        (!numbers.is_empty()).then(|| format!("{mark}{}", ranges(&numbers)))
    });
    shown.collect::<Vec<_>>().join(",")
}

/// Hosts that answered nothing, one by one as readers expect them, and their ports in sum.
fn silent_hosts(xml: &mut Xml<'_>, range: &Silent) -> io::Result<()> {
    let mut next = Some(range.first);
    while let Some(address) = next.filter(|address| *address <= range.last) {
        element(xml, "host", &[], |xml| {
            status(xml, "unknown", "no-response")?;
            name(xml, address)?;
            element(xml, "ports", &[], |xml| {
                let both = [Transport::Tcp, Transport::Udp];
                both.iter()
                    .try_for_each(|transport| silent_ports(xml, &range.ports, *transport))
            })
        })?;
        next = following(address);
    }
    Ok(())
}

fn silent_ports(xml: &mut Xml<'_>, ports: &[Port], transport: Transport) -> io::Result<()> {
    let numbers = numbers(ports, transport);
    let Some(state) = state(PortState::NoAnswer, transport).filter(|_| !numbers.is_empty()) else {
        return Ok(());
    };
    let count = numbers.len().to_string();
    let attributes = [("state", state.to_owned()), ("count", count.clone())];
    element(xml, "extraports", &attributes, |xml| {
        let attributes = [
            ("reason", "no-response".to_owned()),
            ("count", count.clone()),
            ("proto", transport.to_string()),
            ("ports", ranges(&numbers)),
        ];
        empty(xml, "extrareasons", &attributes)
    })
}

fn following(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| IpAddr::V6(next.into())),
    }
}

fn statistics(xml: &mut Xml<'_>, scanned: &Scanned, up: usize) -> io::Result<()> {
    element(xml, "runstats", &[], |xml| {
        let ended = scanned.run.ended.unwrap_or_else(|| last_seen(scanned));
        let elapsed = ended.duration_since(scanned.run.started).unsigned_abs();
        let open = scanned.observations.iter();
        let open = open.filter(|seen| seen.state == PortState::Open).count();
        let mut summary = format!(
            "{} addresses from {}: {up} answered, {open} open ports",
            scanned.addresses, scanned.run.vantage
        );
        if !scanned.run.not_tested.is_empty() {
            summary.push_str("; not everything was tested");
        }
        let mut attributes = vec![
            ("time", ended.as_second().to_string()),
            ("timestr", clock(ended)),
            ("summary", summary),
            ("elapsed", format!("{:.2}", elapsed.as_secs_f64())),
        ];
        if scanned.interrupted {
            attributes.push(("exit", "error".to_owned()));
            attributes.push(("errormsg", "stopped before its end".to_owned()));
        } else {
            attributes.push(("exit", "success".to_owned()));
        }
        empty(xml, "finished", &attributes)?;
        // Who did not answer is not known to be down, so the sum of the first two is not always the third.
        let attributes = [
            ("up", up.to_string()),
            ("down", "0".to_owned()),
            ("total", scanned.addresses.to_string()),
        ];
        empty(xml, "hosts", &attributes)
    })
}

/// When a scan that did not come to its end has seen its last port.
fn last_seen(scanned: &Scanned) -> Timestamp {
    let seen = scanned.observations.iter().map(|seen| seen.at);
    seen.fold(scanned.run.started, Timestamp::max)
}

#[cfg(test)]
mod tests;
