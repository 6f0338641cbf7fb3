//! The words of a line, and what numbers and addresses they are.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{family::Family, reach::nft::bits_of};

/// A word, and whether it stood in quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// Takes a line apart. The error is the column at which a quotation begins that does not end.
pub(super) fn split(line: &str) -> Result<Vec<Word>, usize> {
    let mut words = Vec::new();
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.peek().copied() {
        if character.is_whitespace() {
            characters.next();
            continue;
        }
        let mut text = String::new();
        let quoted = character == '"';
        if quoted {
            characters.next();
            loop {
                match characters.next() {
                    None => return Err(at.saturating_add(1)),
                    Some((_, '"')) => break,
                    Some((_, '\\')) => text.extend(characters.next().map(|(_, escaped)| escaped)),
                    Some((_, other)) => text.push(other),
                }
            }
        } else {
            while let Some((_, other)) = characters.next_if(|(_, other)| !other.is_whitespace()) {
                text.push(other);
            }
        }
        words.push(Word { text, quoted });
    }
    Ok(words)
}

pub(in crate::reach) fn is_address(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok() || word.parse::<IpNet>().is_ok()
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
