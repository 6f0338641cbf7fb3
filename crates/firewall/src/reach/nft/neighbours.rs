//! Which negations of a rule stand beside each other in a header, so that `nft` may have loaded them as one comparison
//! ([`crate::reach::negated`]).

use serde_json_borrow::Value;

use super::{part::Part as _, text};

/// A header, and the fields in it that begin and end with a byte, each with its first byte and its length.
type Header = (&'static str, &'static [(&'static str, u64, u64)]);

/// Internet headers: RFC 791, 8200, 768, 3828, 9293, 9260.
const HEADERS: [Header; 8] = [
    (
        "ip",
        &[
            ("length", 2, 2),
            ("id", 4, 2),
            ("frag-off", 6, 2),
            ("ttl", 8, 1),
            ("protocol", 9, 1),
            ("checksum", 10, 2),
            ("saddr", 12, 4),
            ("daddr", 16, 4),
        ],
    ),
    (
        "ip6",
        &[
            ("length", 4, 2),
            ("nexthdr", 6, 1),
            ("hoplimit", 7, 1),
            ("saddr", 8, 16),
            ("daddr", 24, 16),
        ],
    ),
    (
        "tcp",
        &[
            PORTS[0],
            PORTS[1],
            ("sequence", 4, 4),
            ("ackseq", 8, 4),
            ("flags", 13, 1),
            ("window", 14, 2),
            ("checksum", 16, 2),
            ("urgptr", 18, 2),
        ],
    ),
    ("udp", &[PORTS[0], PORTS[1], ("length", 4, 2), ("checksum", 6, 2)]),
    (
        "udplite",
        &[PORTS[0], PORTS[1], ("csumcov", 4, 2), ("checksum", 6, 2)],
    ),
    ("sctp", &[PORTS[0], PORTS[1], ("vtag", 4, 4), ("checksum", 8, 4)]),
    ("dccp", &PORTS),
    ("th", &PORTS),
];

const PORTS: [(&str, u64, u64); 2] = [("sport", 0, 2), ("dport", 2, 2)];

/// The longest comparison that is loaded as one, in bytes (`NFT_REG_SIZE`).
const LONGEST: u64 = 16;

/// How many of the first parts of a rule are negations that follow each other in a header; 1 is none but the part itself.
pub(super) fn run(parts: &[Value]) -> usize {
    let mut count = 1;
    let Some(mut last) = parts.first().and_then(negation) else {
        return count;
    };
    let mut length = last.length;
    for part in parts.iter().skip(1) {
        let next = negation(part).filter(|next| last.is_before(next));
        let Some(next) = next.filter(|next| length.saturating_add(next.length) <= LONGEST) else {
            break;
        };
        length = length.saturating_add(next.length);
        count = count.saturating_add(1);
        last = next;
    }
    count
}

/// A field in a header, in bytes.
struct Span<'a> {
    header: &'a str,
    first: u64,
    length: u64,
}

impl Span<'_> {
    fn is_before(&self, next: &Self) -> bool {
        self.header == next.header && self.first.saturating_add(self.length) == next.first
    }
}

/// Where in its header a field stands that is not to have one value.
fn negation<'a>(part: &'a Value<'_>) -> Option<Span<'a>> {
    let body = part.part("match").filter(|body| text(body, "op") == "!=")?;
    let is_one_value = match body.part("right")? {
        Value::Number(_) => true,
        Value::Str(word) => !word.starts_with('@'),
        _ => false,
    };
    let payload = body.part("left")?.part("payload").filter(|_| is_one_value)?;
    let (header, field) = (text(payload, "protocol"), text(payload, "field"));
    let (_, fields) = HEADERS.iter().find(|(name, _)| *name == header)?;
    let (_, first, length) = fields.iter().find(|(name, ..)| *name == field)?;
    Some(Span {
        header,
        first: *first,
        length: *length,
    })
}
