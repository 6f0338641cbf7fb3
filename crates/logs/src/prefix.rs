//! What the prefix of a log rule proves.

use portcullis_model::{LogFormat, LogMoment, Verdict};

use crate::Event;

/// Prefixes whose rule is known. The longest declared one that the text begins with decides, then those that their own
/// program documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes(Vec<(Vec<u8>, Verdict)>);

impl Prefixes {
    /// The known ones and those that the owner of the log declares. A declared one goes before a known one.
    pub fn declared(declared: Vec<(String, Verdict)>) -> Self {
        let mut prefixes: Vec<_> = declared
            .into_iter()
            .map(|(prefix, verdict)| (prefix.trim().as_bytes().to_vec(), verdict))
            // An empty prefix would give every line a verdict that nobody declared.
            .filter(|(prefix, _)| !prefix.is_empty())
            .collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(prefixes)
    }

    /// Whether the verdict of an event is one that the owner declared.
    pub(crate) fn vouch_for(&self, event: &Event<'_>) -> bool {
        !self.0.is_empty()
            && event.verdict != Verdict::Unknown
            && is_by_prefix(event.format)
            && self.declares(event.prefix.trim_ascii())
    }

    fn declares(&self, prefix: &[u8]) -> bool {
        self.0.iter().any(|(known, _)| prefix.starts_with(known))
    }

    /// Which moment a line with this prefix tells of. ufw logs a packet before it judges it, and what it judged has another line.
    #[inline]
    pub(crate) fn moment(prefix: &[u8], verdict: Verdict) -> LogMoment {
        if verdict == Verdict::Unknown && prefix.starts_with(b"[UFW AUDIT") {
            LogMoment::Within
        } else {
            LogMoment::Packet
        }
    }

    /// What a prefix proves.
    pub fn verdict(&self, prefix: &[u8]) -> Verdict {
        let prefix = prefix.trim_ascii();
        self.0
            .iter()
            .find(|(known, _)| prefix.starts_with(known))
            .map_or_else(|| documented(prefix), |(_, verdict)| *verdict)
    }
}

/// Whether lines of a format have their verdict from the prefix. In the others it is the name of a rule, and proves nothing.
fn is_by_prefix(format: LogFormat) -> bool {
    match format {
        LogFormat::Kernel
        | LogFormat::JournalJson
        | LogFormat::JournalExport
        | LogFormat::UlogdJson
        | LogFormat::Nflog
        | LogFormat::Mikrotik => true,
        LogFormat::Windows
        | LogFormat::Asa
        | LogFormat::Ios
        | LogFormat::Fortigate
        | LogFormat::PaloAlto
        | LogFormat::Filterlog
        | LogFormat::Junos
        | LogFormat::Suricata
        | LogFormat::ZeekTsv
        | LogFormat::ZeekJson => false,
    }
}

/// Prefixes that a program writes by itself, and in which it names the verdict.
fn documented(prefix: &[u8]) -> Verdict {
    match prefix.first() {
        Some(b'p') if prefix.starts_with(b"portcullis-drop") => Verdict::Blocked,
        Some(b'[') => bracketed(prefix),
        Some(b'S') if prefix.starts_with(b"Shorewall:") => shorewall(prefix),
        _ => firewalld(prefix),
    }
}

/// ufw names its own verdict (`ufw(8)`, LOGGING); `[UFW AUDIT]` is logged before there is one.
fn bracketed(prefix: &[u8]) -> Verdict {
    if prefix.starts_with(b"[UFW BLOCK]") || prefix.starts_with(b"[UFW LIMIT BLOCK]") {
        Verdict::Blocked
    } else if prefix.starts_with(b"[UFW ALLOW]") {
        Verdict::Allowed
    } else {
        ubiquiti(prefix)
    }
}

/// `[WAN_IN-3001-D]`: ruleset, number of the rule or `default`, and what it did, as the log of Vyatta, EdgeOS and UniFi has it;
/// newer ones put `DESCR="…"` behind. Two hyphens are the least of that form. Held against lines that others published; no
/// documentation was at hand, and of the other letters than `D` none said what they mean.
fn ubiquiti(prefix: &[u8]) -> Verdict {
    let Some(end) = memchr::memchr(b']', prefix) else {
        return Verdict::Unknown;
    };
    let inside = prefix.get(1..end).unwrap_or_default();
    let behind = prefix.get(end + 1..).unwrap_or_default().trim_ascii_start();
    let mut parts = inside.rsplit(|byte| *byte == b'-');
    let (action, rule, ruleset) = (parts.next(), parts.next(), parts.next());
    let is_rule = rule
        .is_some_and(|rule| rule == b"default" || !rule.is_empty() && rule.iter().all(u8::is_ascii_digit));
    if !is_rule
        || ruleset.is_none_or(<[u8]>::is_empty)
        || !(behind.is_empty() || behind.starts_with(b"DESCR="))
    {
        return Verdict::Unknown;
    }
    match action {
        Some(b"D") => Verdict::Blocked,
        _ => Verdict::Unknown,
    }
}

/// `Shorewall:net-fw:DROP:`: chain and disposition (`shorewall.conf(5)`, LOGFORMAT).
fn shorewall(prefix: &[u8]) -> Verdict {
    let mut parts = prefix.split(|byte| *byte == b':').skip(2);
    match (parts.next(), parts.next()) {
        (Some(b"ACCEPT"), Some(_)) => Verdict::Allowed,
        (Some(b"DROP" | b"REJECT"), Some(_)) => Verdict::Blocked,
        _ => Verdict::Unknown,
    }
}

/// What firewalld 1.3 writes with LogDenied: `FINAL_REJECT:`, `STATE_INVALID_DROP:`, `rpfilter_DROP:`,
/// `filter_IN_public_REJECT:` and its kind. Others may write `X_DROP` as well, so that the beginning counts too.
fn firewalld(prefix: &[u8]) -> Verdict {
    let whole = [
        &b"FINAL_REJECT:"[..],
        b"STATE_INVALID_DROP:",
        b"rpfilter_DROP:",
        b"RFC3964_IPv4_REJECT:",
    ];
    let policy = [&b"filter_IN_"[..], b"filter_FWD_", b"filter_OUT_"];
    let refuses = prefix.ends_with(b"_DROP:") || prefix.ends_with(b"_REJECT:");
    if refuses && (whole.contains(&prefix) || policy.iter().any(|begin| prefix.starts_with(begin))) {
        Verdict::Blocked
    } else {
        Verdict::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_prefix_proves_a_verdict() {
        let known = Prefixes::default();
        for (prefix, verdict) in [
            ("portcullis-drop tcp/54321:", Verdict::Blocked),
            ("[UFW BLOCK]", Verdict::Blocked),
            ("[UFW LIMIT BLOCK]", Verdict::Blocked),
            ("[UFW ALLOW]", Verdict::Allowed),
            ("[UFW AUDIT]", Verdict::Unknown),
            ("Shorewall:net-fw:DROP:", Verdict::Blocked),
            ("Shorewall:loc-net:ACCEPT:", Verdict::Allowed),
            ("Shorewall:net-fw:LOG:", Verdict::Unknown),
            ("Shorewall:net-fw:DROP", Verdict::Unknown),
            ("FINAL_REJECT:", Verdict::Blocked),
            ("filter_IN_public_REJECT:", Verdict::Blocked),
            ("filter_IN_public_ACCEPT:", Verdict::Unknown),
            ("MY_DROP:", Verdict::Unknown),
            ("[WAN_IN-3001-A]", Verdict::Unknown),
            ("[wan-lan-default-D]", Verdict::Blocked),
            ("[WAN_LOCAL-default-D]DESCR=\"x y\"", Verdict::Blocked),
            ("[WAN_LOCAL-default-R]", Verdict::Unknown),
            ("[WAN_IN-3001-B]", Verdict::Unknown),
            ("[WAN_IN-D]", Verdict::Unknown),
            ("[3001-D]", Verdict::Unknown),
            ("[-1-D]", Verdict::Unknown),
            ("DROP", Verdict::Unknown),
            ("ACCEPT", Verdict::Unknown),
            ("DROP wan in:", Verdict::Unknown),
            ("not portcullis-drop", Verdict::Unknown),
            ("", Verdict::Unknown),
        ] {
            assert_eq!(known.verdict(prefix.as_bytes()), verdict, "{prefix}");
        }
    }

    #[test]
    fn the_longest_declared_prefix_decides_and_an_empty_one_never_does() {
        let declared = Prefixes::declared(vec![
            ("FW".into(), Verdict::Allowed),
            ("FW-D ".into(), Verdict::Blocked),
            (" ".into(), Verdict::Blocked),
            ("[UFW BLOCK]".into(), Verdict::Allowed),
        ]);
        assert_eq!(declared.verdict(b"FW-D"), Verdict::Blocked);
        assert_eq!(declared.verdict(b"FW-A"), Verdict::Allowed);
        assert_eq!(declared.verdict(b"[UFW BLOCK]"), Verdict::Allowed);
        assert_eq!(declared.verdict(b"other"), Verdict::Unknown);
    }
}
