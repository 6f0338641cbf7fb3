//! Of which family the addresses in a rule are.

use std::net::{IpAddr, Ipv4Addr};

use super::words::Word;
use crate::family::Family;

/// Options whose value begins with an address (iptables-extensions(8)). What stands in a comment or a prefix of a log is none.
const WITH_ADDRESS: [&str; 17] = [
    "-s",
    "--source",
    "-d",
    "--destination",
    "--src-range",
    "--dst-range",
    "--ctorigsrc",
    "--ctorigdst",
    "--ctreplsrc",
    "--ctrepldst",
    "--to-destination",
    "--to-source",
    "--to",
    "--gateway",
    "--on-ip",
    "--src-pfx",
    "--dst-pfx",
];

/// The family of the first address of a rule.
pub(super) fn family(words: &[Word<'_>]) -> Option<Family> {
    addresses(words).map(|(_, family)| family).next()
}

/// The first address that is not of this family.
pub(super) fn stranger<'a, 'b>(words: &'a [Word<'b>], family: Family) -> Option<&'a Word<'b>> {
    addresses(words)
        .find(|(_, of)| *of != family)
        .map(|(word, _)| word)
}

fn addresses<'a, 'b>(words: &'a [Word<'b>]) -> impl Iterator<Item = (&'a Word<'b>, Family)> {
    words
        .iter()
        .zip(words.iter().skip(1))
        .filter_map(|(option, value)| {
            let has_address = !option.quoted && WITH_ADDRESS.contains(&&*option.text);
            let family = has_address.then(|| of_value(&value.text)).flatten()?;
            Some((value, family))
        })
}

/// `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `10.0.0.1:8080`, `fd00::/8`, `[fd00::1]:8080`
fn of_value(value: &str) -> Option<Family> {
    let begin = value.split(['/', ',', '-', ']']).next()?;
    match begin.strip_prefix('[').unwrap_or(begin).parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => Some(Family::V4),
        Ok(IpAddr::V6(_)) => Some(Family::V6),
        Err(_) => {
            let (address, _) = begin.split_once(':')?;
            address.parse::<Ipv4Addr>().ok().map(|_| Family::V4)
        }
    }
}
