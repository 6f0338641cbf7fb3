//! Reads foreign bytes from the front; everything that is not there is `None`.

use portcullis_model::Untrusted;

/// Longest text that is kept of a reply, in characters.
const LONGEST_TEXT: usize = 120;

/// What has not been read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn be16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn le16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn le32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads these bytes and no others.
    pub(super) fn exactly(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    pub(super) fn rest(self) -> &'b [u8] {
        self.0
    }

    /// Succeeds when everything was read.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A text at an offset that a NUL ends, without the blanks around it; `None` unless it is printable ASCII and not empty.
pub(super) fn text_at(bytes: &[u8], offset: usize) -> Option<Untrusted> {
    let from = bytes.get(offset..)?;
    let end = from.iter().position(|byte| *byte == 0)?;
    text(from.get(..end)?)
}

/// The whole slice as one text; NULs and blanks at its end are padding.
pub(super) fn padded_text(bytes: &[u8]) -> Option<Untrusted> {
    let length = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    text(bytes.get(..length)?)
}

fn text(bytes: &[u8]) -> Option<Untrusted> {
    let bytes = bytes.trim_ascii();
    let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    let text: String = String::from_utf8_lossy(bytes)
        .chars()
        .take(LONGEST_TEXT)
        .collect();
    (printable && !text.is_empty()).then(|| Untrusted::new(text))
}

/// A hardware address as people write it, e.g. `00:90:E8:01:02:03`.
pub(super) fn mac(bytes: &[u8]) -> Untrusted {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    Untrusted::new(pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!((cursor.be16(), cursor.le16()), (Some(0x0102), None));
        assert_eq!(
            (cursor.take(2), cursor.byte(), cursor.byte()),
            (None, Some(3), None)
        );
        assert_eq!(cursor.end(), Some(()));
    }

    #[test]
    fn a_text_needs_its_end_and_printable_letters() {
        assert_eq!(text_at(b"xx PLC\0y", 2).unwrap().raw(), "PLC");
        for bytes in [&b"xxPLC"[..], b"xx\0", b"xx\x1b[2J\0", b"x"] {
            assert_eq!(text_at(bytes, 2), None, "{bytes:?}");
        }
        assert_eq!(padded_text(b"CJ2M \0\0").unwrap().raw(), "CJ2M");
        assert_eq!(padded_text(&[0; 8]), None);
    }
}
