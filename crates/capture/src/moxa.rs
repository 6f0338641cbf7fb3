//! What Moxa's devices say by UDP: replies of device search (DSCI), and the report of their address.

/// The port of DSCI.
pub(crate) const DSCI: u16 = 4800;

/// Whether a datagram is an answer of DSCI by its own word: opcode with its highest bit set, result 0 or 4, its own
/// length (Moxa's Linux driver, `DSCI_HEADER`).
pub fn is_dsci_reply(bytes: &[u8]) -> bool {
    match bytes {
        [0x80..=0xff, 0 | 4, high, low, _, _, _, _, ..] => {
            usize::from(u16::from_be_bytes([*high, *low])) == bytes.len()
        }
        _ => false,
    }
}

/// Whether a reply may be kept: search (81) and name (90). Others carry communities and passwords (A8, A9, AC).
pub(crate) fn may_keep(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x81 | 0x90))
}

/// Whether a datagram begins as Auto IP Report of NPort, NE and OnCell does. The sizes of the items behind the word are
/// not known, so that nothing else is read of it.
pub fn is_address_report(bytes: &[u8]) -> bool {
    // The word alone would be any text that begins with it: the first item follows, whose type is 1 to 12.
    matches!(
        bytes,
        [b'M', b'o', b'x', b'a', 1..=12, ..] | [b'M', b'O', b'X', b'A', 1..=12, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_the_highest_bit_and_its_own_length() {
        let reply = [0x81, 0, 0, 9, 0, 0, 0, 0, 1];
        assert!(is_dsci_reply(&reply));
        for wrong in [
            &reply[..8],
            &[1, 0, 0, 8, 0, 0, 0, 0],
            &[0x81, 1, 0, 8, 0, 0, 0, 0],
            &[],
        ] {
            assert!(!is_dsci_reply(wrong), "{wrong:?}");
        }
        assert!(may_keep(&reply) && !may_keep(&[0xac, 0]) && !may_keep(&[]));
    }

    #[test]
    fn a_report_begins_with_the_word_and_an_item() {
        // Word and types of items: NE-4100 manual, Auto IP Report.
        assert!(is_address_report(b"Moxa\x01NP5110") && is_address_report(b"MOXA\x03"));
        for wrong in [&b"Moxa"[..], b"Moxa device", b"moxa\x01", b"MoXa\x01"] {
            assert!(!is_address_report(wrong), "{wrong:?}");
        }
    }
}
