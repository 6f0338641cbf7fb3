//! The target of a rule, and its options.

use std::net::IpAddr;

use super::words::{self, Word};
use crate::{
    family::Family,
    reach::{
        error::shown,
        nft::bits_of,
        ruleset::{MarkSource, MarkValue, NewAddress, NewPort, Step, Translation, Verdict},
    },
};

/// Reads a target and its options: the words after `-j` or `-g`.
pub(super) fn read(words: &[Word<'_>], is_goto: bool, family: Family, steps: &mut Vec<Step>) {
    let Some((name, options)) = words.split_first() else {
        steps.push(Step::Opaque("a target without a name".into()));
        return;
    };
    let options = Options(options);
    let name = &*name.text;
    let verdict = |verdict| Some(Step::Verdict(verdict));
    let opaque = || Some(Step::Opaque(format!("`-j {}`", shown(name))));
    steps.extend(match name {
        _ if is_goto => verdict(Verdict::Goto(name.into())),
        "ACCEPT" => verdict(Verdict::Accept),
        "DROP" | "REJECT" => verdict(Verdict::Drop),
        "RETURN" => verdict(Verdict::Return),
        "TEE" => Some(Step::Copy(options.value("--gateway").and_then(address))),
        "TTL" | "HL" if leaves_hops(&options) => None,
        "TTL" | "HL" => opaque(),
        name if decides_nothing(name) => None,
        "MARK" => Some(Step::SetMark(
            new_mark(&options, MarkSource::Mark).unwrap_or(MarkValue::UNKNOWN),
        )),
        "CONNMARK" => Some(connection_mark(&options)),
        "NOTRACK" => Some(Step::NoTrack),
        "CT" if options.has("--notrack") => Some(Step::NoTrack),
        "CT" if options.has("--zone") || options.has("--zone-orig") || options.has("--zone-reply") => {
            opaque()
        }
        "CT" => None,
        "DNAT" => Some(Step::Translate(destination(&options, family))),
        "REDIRECT" => Some(Step::Translate(Translation {
            family: None,
            address: NewAddress::Here,
            port: options.value("--to-ports").map_or(NewPort::Keep, port),
        })),
        "SNAT" | "MASQUERADE" => Some(Step::TranslateSource(Some(family))),
        // Targets have names in capitals; but a chain may have one, too, and then there is a chain of that name.
        "TPROXY" | "QUEUE" | "NFQUEUE" | "SYNPROXY" | "NETMAP" | "HMARK" | "DNPT" | "SNPT" | "CLUSTERIP" => {
            opaque()
        }
        chain => verdict(Verdict::Jump(chain.into())),
    });
}

/// Targets that neither decide nor change what any rule looks at.
pub(in crate::reach) fn decides_nothing(name: &str) -> bool {
    matches!(
        name,
        "LOG"
            | "NFLOG"
            | "ULOG"
            | "TCPMSS"
            | "TOS"
            | "DSCP"
            | "ECN"
            | "CLASSIFY"
            | "SECMARK"
            | "CONNSECMARK"
            | "CHECKSUM"
            | "AUDIT"
            | "TRACE"
            | "IDLETIMER"
            | "LED"
            | "RATEEST"
            | "SET"
            | "TCPOPTSTRIP"
    )
}

/// Whether a packet can go on afterwards, however many hops it had left.
fn leaves_hops(options: &Options<'_>) -> bool {
    let value = |name| options.value(name).and_then(words::number);
    let set = value("--ttl-set").or_else(|| value("--hl-set"));
    set.is_some_and(|hops| hops > 1) || value("--ttl-inc").or_else(|| value("--hl-inc")).is_some()
}

fn address(text: &str) -> Option<u128> {
    text.parse::<IpAddr>().ok().map(bits_of)
}

struct Options<'a>(&'a [Word<'a>]);

impl<'a> Options<'a> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| !word.quoted && word.text == name)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|word| !word.quoted && word.text == name)?;
        let value = self.0.get(at.checked_add(1)?)?;
        Some(&value.text)
    }
}

fn new_mark(options: &Options<'_>, of: MarkSource) -> Option<MarkValue> {
    let before = MarkValue::copy(of);
    if let Some((value, mask)) = options.value("--set-xmark").and_then(words::masked) {
        return Some(before.and(!mask).xor(value));
    }
    if let Some((value, mask)) = options.value("--set-mark").and_then(words::masked) {
        return Some(before.and(!mask).or(value));
    }
    let bits = |name| options.value(name).and_then(words::number);
    if let Some(bits) = bits("--or-mark") {
        return Some(before.or(bits));
    }
    if let Some(bits) = bits("--and-mark") {
        return Some(before.and(bits));
    }
    bits("--xor-mark").map(|bits| before.xor(bits))
}

fn connection_mark(options: &Options<'_>) -> Step {
    let mask = |name| options.value(name).map_or(Some(u32::MAX), words::number);
    let all = ["--mask", "--nfmask", "--ctmask"]
        .into_iter()
        .all(|name| mask(name) == Some(u32::MAX));
    match (options.has("--save-mark"), options.has("--restore-mark")) {
        (true, _) if all => Step::SetConnectionMark(MarkValue::copy(MarkSource::Mark)),
        (true, _) => Step::SetConnectionMark(MarkValue::UNKNOWN),
        (_, true) if all => Step::SetMark(MarkValue::copy(MarkSource::ConnectionMark)),
        (_, true) => Step::SetMark(MarkValue::UNKNOWN),
        _ => Step::SetConnectionMark(
            new_mark(options, MarkSource::ConnectionMark).unwrap_or(MarkValue::UNKNOWN),
        ),
    }
}

/// `10.0.0.1`, `10.0.0.1:8080`, `:8080`, `[fd00::1]:8080`
fn destination(options: &Options<'_>, family: Family) -> Translation {
    let text = options.value("--to-destination").unwrap_or_default();
    let (address_text, port_text) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None if family == Family::V6 => (text, None),
        None => match text.split_once(':') {
            Some((address, port)) => (address, Some(port)),
            None => (text, None),
        },
    };
    Translation {
        family: Some(family),
        address: match (address_text, address_text.parse::<IpAddr>()) {
            ("", _) if port_text.is_some() => NewAddress::Keep,
            (_, Ok(address)) => NewAddress::To(bits_of(address)),
            _ => NewAddress::Unknown,
        },
        port: port_text.map_or(NewPort::Keep, port),
    }
}

fn port(text: &str) -> NewPort {
    text.parse().map_or(NewPort::Unknown, NewPort::To)
}
