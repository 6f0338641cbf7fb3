//! The words of a line, and what numbers and addresses they are.

use std::{borrow::Cow, net::IpAddr};

use crate::{family::Family, reach::nft::bits_of};

/// A word, where it stands, and whether that is in quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) quoted: bool,
    /// From 0, in bytes of its line.
    pub(super) at: usize,
}

/// Takes a line apart. The error is the column at which a quotation begins that does not end.
pub(super) fn split(line: &str) -> Result<Vec<Word<'_>>, usize> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let at = line.len().saturating_sub(rest.len());
        let inside = rest.strip_prefix('"');
        let (text, after) = match inside {
            Some(inside) => quotation(inside).ok_or_else(|| at.saturating_add(1))?,
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                (Cow::Borrowed(word), after)
            }
        };
        words.push(Word {
            text,
            quoted: inside.is_some(),
            at,
        });
        rest = after.trim_start();
    }
    Ok(words)
}

/// What stands in a quotation, and what follows it; `None` when it does not end.
fn quotation(inside: &str) -> Option<(Cow<'_, str>, &str)> {
    let (plain, rest) = inside.split_at_checked(inside.find(['"', '\\'])?)?;
    if let Some(after) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), after));
    }
    let mut text = plain.to_owned();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some((Cow::Owned(text), characters.as_str())),
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
}

/// `0x10`, `16`
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `0x10/0xff`; without a mask, all bits count.
pub(super) fn masked(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        None => Some((number(text)?, u32::MAX)),
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
    }
}

/// An address with a mask of leading bits or of any.
pub(super) fn network(text: &str, family: Family) -> Option<(u128, u128)> {
    let (address, mask) = match text.split_once('/') {
        None => (text, None),
        Some((address, mask)) => (address, Some(mask)),
    };
    let address: IpAddr = address.parse().ok()?;
    if !family.is_of(address) {
        return None;
    }
    let all = family.highest();
    let mask = match mask {
        None => all,
        Some(mask) => match mask.parse::<IpAddr>() {
            Ok(bits) if family.is_of(bits) => bits_of(bits),
            _ => {
                let length: u8 = mask.parse().ok()?;
                let open = u32::from(family.host_length().checked_sub(length)?);
                all & !(all
                    .checked_shr(u32::from(length))
                    .filter(|_| open > 0)
                    .unwrap_or(0))
            }
        },
    };
    Some((bits_of(address) & mask, mask))
}

/// `80`, `80:90`
pub(super) fn ports(text: &str) -> Option<(u128, u128)> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let port = |text: &str, otherwise: u16| match text {
        "" => Some(otherwise),
        text => text.parse::<u16>().ok(),
    };
    Some((port(first, 0)?.into(), port(last, u16::MAX)?.into()))
}

/// `10.0.0.1-10.0.0.9`
pub(super) fn range(text: &str, family: Family) -> Option<(u128, u128)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let address = |text: &str| {
        text.parse::<IpAddr>()
            .ok()
            .filter(|address| family.is_of(*address))
            .map(bits_of)
    };
    Some((address(first)?, address(last)?))
}
