//! `key=value` and `key="value"`, one after the other.

use memchr::{memchr, memchr2};

/// The pairs of a text, in order; what is no pair is passed over. Quoted values end at the next quote that has no
/// backslash before it.
pub(crate) fn pairs(text: &[u8]) -> Pairs<'_> {
    Pairs {
        rest: text,
        end: b'\t',
    }
}

/// The same with commas between the pairs: a value without quotes has none in it.
pub(crate) fn pairs_with_commas(text: &[u8]) -> Pairs<'_> {
    Pairs {
        rest: text,
        end: b',',
    }
}

#[derive(Debug)]
pub(crate) struct Pairs<'a> {
    rest: &'a [u8],
    /// What ends a value without quotes, beside a blank.
    end: u8,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let equals = memchr(b'=', self.rest)?;
        let (before, behind) = self.rest.split_at_checked(equals)?;
        let start = before
            .iter()
            .rposition(|byte| matches!(byte, b' ' | b',' | b'\t'))
            .map_or(0, |blank| blank + 1);
        let key = before.get(start..)?;
        let behind = behind.get(1..)?;
        let (value, rest) = match behind.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = end_of_quote(quoted);
                (
                    quoted.get(..end)?,
                    quoted.get(end..)?.strip_prefix(b"\"").unwrap_or_default(),
                )
            }
            None => behind.split_at_checked(memchr2(b' ', self.end, behind).unwrap_or(behind.len()))?,
        };
        self.rest = rest;
        Some((key, value))
    }
}

fn end_of_quote(quoted: &[u8]) -> usize {
    let mut from = 0;
    while let Some(found) = quoted.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        let at = from + found;
        if quoted.get(at) == Some(&b'"') {
            return at;
        }
        from = at + 2;
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_blanks_and_what_is_no_pair() {
        let read: Vec<_> = pairs(br#"<1>x a=1 b="two words" c= d="q\"=x" junk e"#).collect();
        let expected: [(&[u8], &[u8]); 4] = [
            (b"a", b"1"),
            (b"b", b"two words"),
            (b"c", b""),
            (b"d", br#"q\"=x"#),
        ];
        assert_eq!(read, expected);
        assert_eq!(
            pairs(b"a=\"open").collect::<Vec<_>>(),
            [(&b"a"[..], &b"open"[..])]
        );
        assert_eq!(pairs(b"\\\"=\\").count(), 1);
        assert_eq!(
            pairs(b"a=1,b=2").collect::<Vec<_>>(),
            [(&b"a"[..], &b"1,b=2"[..])]
        );
        assert_eq!(
            pairs_with_commas(b"<1>a=1,b=\"x, y\",c=,d=2").collect::<Vec<_>>(),
            [
                (&b"<1>a"[..], &b"1"[..]),
                (b"b", b"x, y"),
                (b"c", b""),
                (b"d", b"2")
            ]
        );
    }
}
