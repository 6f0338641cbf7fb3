//! Numbers and separators, eight bytes at a time: the fields of a log have any length, and of a loop over their bytes the processor
//! guesses the end wrongly almost each time.

use std::net::Ipv4Addr;

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The decimal number of one to seven digits that the text begins with, and how many they are. `None` where there is none,
/// where it is longer, or where fewer than eight bytes are left.
#[inline]
pub(crate) fn number(text: &[u8]) -> Option<(u32, usize)> {
    // Digits become 0 to 9, and everything else is more.
    let digits = u64::from_le_bytes(*text.first_chunk::<8>()?) ^ ZEROS;
    let others = (((digits & !HIGH_BITS) + 0x7676_7676_7676_7676) | digits) & HIGH_BITS;
    let length = others.trailing_zeros() / 8;
    if length == 0 || length == 8 {
        return None;
    }
    // The last digit comes to the highest byte, and zeros stand before the first.
    let digits = digits << (64 - 8 * length);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    let sum = low.wrapping_add(high) >> 32;
    Some((u32::try_from(sum).ok()?, length as usize))
}

/// The IPv4 address that the text begins with, without leading zeros, and its length. Four bytes have to stand behind the last dot.
#[inline]
pub(crate) fn ipv4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    match text.first_chunk::<16>() {
        Some(chunk) => ipv4_of(chunk),
        None => ipv4_at_the_end(text),
    }
}

/// The same of 16 bytes. Where its parts end is found before any of them is read, so that none waits for the one before.
#[inline]
fn ipv4_of(text: &[u8; 16]) -> Option<(Ipv4Addr, usize)> {
    const HIGH: u128 = (HIGH_BITS as u128) << 64 | HIGH_BITS as u128;
    const OF_BYTE: u128 = u128::MAX / 0xff;
    let bytes = u128::from_le_bytes(*text);
    let digits = bytes ^ (OF_BYTE * 0x30);
    let mut others = (((digits & !HIGH) + OF_BYTE * 0x76) | digits) & HIGH;
    let dots = bytes ^ (OF_BYTE * b'.' as u128);
    let dots = !(((dots & !HIGH) + !HIGH) | dots) & HIGH;
    let mut ends = [0; 4];
    let mut separators = 0;
    for (place, end) in ends.iter_mut().enumerate() {
        *end = others.trailing_zeros() as usize / 8;
        let above = others & others.wrapping_sub(1);
        if place < 3 {
            separators |= others ^ above;
        }
        others = above;
    }
    let [first, second, third, end] = ends;
    if separators & !dots != 0 || end > 15 {
        return None;
    }
    let part = |start: usize, end: usize| {
        let length = end.wrapping_sub(start);
        let digits = u32::from_le_bytes(*text.get(start..)?.first_chunk::<4>()?) ^ 0x3030_3030;
        octet_of(digits, length as u32)
    };
    // The last part may have fewer than four bytes here.
    let last = |start: usize, end: usize| {
        let digits = (digits >> (8 * start)) as u32;
        octet_of(digits, end.wrapping_sub(start) as u32)
    };
    let sum = part(0, first)? << 24
        | part(first + 1, second)? << 16
        | last(second + 1, third)? << 8
        | last(third + 1, end)?;
    Some((Ipv4Addr::from_bits(sum), end))
}

fn ipv4_at_the_end(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut sum = 0;
    let mut at = 0;
    for place in 0..4 {
        let (part, length) = octet(text.get(at..)?)?;
        sum = sum << 8 | part;
        at += length;
        if place < 3 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    Some((Ipv4Addr::from_bits(sum), at))
}

/// Where a byte stands, from the first place on. For fields of some bytes, where a search for each takes longer.
#[inline]
pub(crate) fn places(text: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    let (words, rest) = text.as_chunks::<8>();
    let behind = words.len() * 8;
    let pattern = u64::from_le_bytes([byte; 8]);
    let words = words.iter().enumerate().flat_map(move |(number, word)| {
        // Where the bytes are the same nothing is left, and only there its highest bit comes to be set.
        let others = u64::from_le_bytes(*word) ^ pattern;
        let same = !(((others & !HIGH_BITS) + !HIGH_BITS) | others) & HIGH_BITS;
        Bits(same).map(move |bit| number * 8 + bit as usize / 8)
    });
    let rest = rest.iter().enumerate().filter(move |(_, other)| **other == byte);
    words.chain(rest.map(move |(place, _)| behind + place))
}

/// The numbers of the bits that are set, from the lowest on.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let lowest = (self.0 != 0).then(|| self.0.trailing_zeros())?;
        self.0 &= self.0 - 1;
        Some(lowest)
    }
}

/// A number below 256 and its length.
#[inline]
fn octet(text: &[u8]) -> Option<(u32, usize)> {
    let digits = u32::from_le_bytes(*text.first_chunk::<4>()?) ^ 0x3030_3030;
    let others = (((digits & 0x7f7f_7f7f) + 0x7676_7676) | digits) & 0x8080_8080;
    let length = others.trailing_zeros() / 8;
    Some((octet_of(digits, length)?, length as usize))
}

/// The same of so many digits, each from 0 to 9 in a byte of its own, the first one in the lowest.
#[inline]
fn octet_of(digits: u32, length: u32) -> Option<u32> {
    // As the standard library has it: 010 may be meant as eight.
    if length == 0 || length >= 4 || length > 1 && digits.trailing_zeros() >= 8 {
        return None;
    }
    let digits = digits << (32 - 8 * length);
    let value = (digits >> 8 & 0xff) * 100 + (digits >> 16 & 0xff) * 10 + (digits >> 24);
    (value <= 255).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_what_its_digits_say(
            digits in "[0-9]{0,9}",
            behind in proptest::collection::vec(any::<u8>().prop_filter("no digit", |byte| !byte.is_ascii_digit()), 8),
        ) {
            let text = [digits.as_bytes(), &behind].concat();
            let expected = digits.parse().ok().filter(|_| digits.len() < 8).map(|number: u32| (number, digits.len()));
            prop_assert_eq!(number(&text), expected);
        }

        #[test]
        fn an_address_is_read_as_the_standard_library_reads_it(
            text in "[0-9]{0,3}[.][0-9]{0,3}[.][0-9]{0,4}[.]?[0-9]{0,4}",
            behind in "[ a-z:/]{4}",
        ) {
            let expected = text.parse().ok().map(|address: Ipv4Addr| (address, text.len()));
            prop_assert_eq!(ipv4((text.clone() + &behind).as_bytes()), expected);
        }

        #[test]
        fn places_are_where_the_byte_stands(text in proptest::collection::vec(prop_oneof![Just(b' '), Just(0xa0), any::<u8>()], 0..40)) {
            let expected: Vec<usize> = memchr::memchr_iter(b' ', &text).collect();
            prop_assert_eq!(places(&text, b' ').collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_address_is_read(address in any::<Ipv4Addr>()) {
            let text = address.to_string();
            for behind in [" X=1", " DST=10.7.10.4 LEN=60"] {
                prop_assert_eq!(ipv4(format!("{text}{behind}").as_bytes()), Some((address, text.len())));
            }
        }

        #[test]
        fn whatever_follows_an_address_is_read_alike(
            text in "[0-9]{0,3}[.][0-9]{0,3}[.][0-9]{0,4}[.]?[0-9]{0,4}",
            behind in proptest::collection::vec(any::<u8>().prop_filter("no digit", |byte| !byte.is_ascii_digit()), 20),
        ) {
            let whole = [text.as_bytes(), &behind].concat();
            prop_assert_eq!(ipv4(&whole), ipv4_at_the_end(&whole));
        }

        #[test]
        fn any_bytes_are_a_number_or_none(text in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Some((value, length)) = number(&text) {
                prop_assert_eq!(std::str::from_utf8(&text[..length]).unwrap().parse::<u32>().unwrap(), value);
            }
        }
    }
}
