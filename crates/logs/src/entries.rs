//! Where entries of the journal's export form end.
//!
//! An empty line ends an entry, but not within a value that has its length before it: whoever logs may write one there, and what
//! looks like the next entry behind it.

use memchr::{memchr, memchr2};

/// Looks for the end of one entry, in as many pieces as it comes in.
#[derive(Debug, Default)]
pub(crate) struct EntryEnd(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    LineStart,
    /// In a line without a `=` so far.
    Name,
    /// In the value of a line.
    Text,
    /// How many bytes of the length were read, and what they say.
    Length(u32, u64),
    /// What is left of a value.
    Value(u64),
    /// Behind a value a line end stands.
    Behind,
}

impl EntryEnd {
    /// How many bytes of these belong to the entry, its empty line included; `None` when it goes on behind them.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let first = rest.first()?;
            let (state, taken) = match self.0 {
                State::LineStart if *first == b'\n' => {
                    self.0 = State::LineStart;
                    return Some(at + 1);
                }
                State::LineStart | State::Name => match memchr2(b'=', b'\n', rest) {
                    Some(end) if rest.get(end) == Some(&b'=') => (State::Text, end + 1),
                    Some(end) => (State::Length(0, 0), end + 1),
                    None => (State::Name, rest.len()),
                },
                State::Text => match memchr(b'\n', rest) {
                    Some(end) => (State::LineStart, end + 1),
                    None => (State::Text, rest.len()),
                },
                State::Length(read, length) => {
                    let length = length | u64::from(*first) << (8 * read);
                    let state = match read {
                        7.. => State::Value(length),
                        _ => State::Length(read + 1, length),
                    };
                    (state, 1)
                }
                State::Value(left) => match usize::try_from(left) {
                    Ok(left) if left < rest.len() => (State::Behind, left),
                    _ => (State::Value(left.saturating_sub(rest.len() as u64)), rest.len()),
                },
                State::Behind => (State::LineStart, usize::from(*first == b'\n')),
            };
            self.0 = state;
            at += taken;
        }
    }
}

/// Where the last entry ends that is whole.
pub(crate) fn last_end(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    while let Some(length) = bytes.get(end..).and_then(|rest| EntryEnd::default().find(rest)) {
        end += length;
    }
    (end > 0).then_some(end)
}

/// A value with its length in eight bytes, little endian, before it, and a line end behind it; and what follows.
pub(crate) fn binary(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some((value, rest.strip_prefix(b"\n").unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_the_same_however_an_entry_is_cut() {
        let value = b"a\n\nMESSAGE=x\n\n";
        let entry = [
            &b"__CURSOR=1\nMESSAGE\n"[..],
            &(value.len() as u64).to_le_bytes(),
            value,
            b"\nX=\n\n",
        ]
        .concat();
        let both = [&entry[..], b"__CURSOR=2\n\nY"].concat();
        for cut in 0..entry.len() {
            let mut end = EntryEnd::default();
            let (head, tail) = both.split_at(cut);
            assert_eq!(end.find(head), None, "{cut}");
            assert_eq!(end.find(tail), Some(entry.len() - cut), "{cut}");
        }
        assert_eq!(last_end(&both), Some(both.len() - 1));
        assert_eq!(last_end(&entry[..entry.len() - 1]), None);
        assert_eq!(last_end(b""), None);
    }

    #[test]
    fn a_length_without_end_takes_all_that_follows() {
        let mut end = EntryEnd::default();
        assert_eq!(end.find(&[b"X\n", &[0xff; 8][..], b"\n\nA=\n\n"].concat()), None);
        assert_eq!(end.find(b"\n\n"), None);
    }
}
