//! What Moxa's devices say by UDP: replies of device search (DSCI), and the report of their address.

use std::collections::BTreeMap;

use portcullis_model::{MacAddress, Untrusted};

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

/// Whether a datagram begins as Auto IP Report of NPort, NE and OnCell does.
pub fn is_address_report(bytes: &[u8]) -> bool {
    // The word alone would be any text that begins with it: the first item follows, whose type is 1 to 12.
    matches!(
        bytes,
        [b'M', b'o', b'x', b'a', 1..=12, ..] | [b'M', b'O', b'X', b'A', 1..=12, ..]
    )
}

/// What an Auto IP Report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) mac: Option<MacAddress>,
    pub(crate) fields: BTreeMap<String, Untrusted>,
}

/// Reads the items of an Auto IP Report: type, length, value. The manual gives the size of each (NE-4100, Auto IP Report);
/// where one item does not keep to it nothing is read, for then the layout is another one.
pub(crate) fn report(bytes: &[u8]) -> Option<Report> {
    let mut rest = bytes.get(4..).filter(|_| is_address_report(bytes))?;
    let mut report = Report::default();
    while let [kind, length, after @ ..] = rest {
        let value = after.get(..usize::from(*length))?;
        rest = after.get(usize::from(*length)..)?;
        let mut field = |name: &str, value: String| {
            report.fields.insert(name.into(), Untrusted::new(value));
        };
        match (*kind, value) {
            (1, name) => field(
                "name",
                String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(),
            ),
            (2, [low, high]) => field(
                "hardware-id",
                format!("{:#06x}", u16::from_le_bytes([*low, *high])),
            ),
            (3, mac) => report.mac = Some(MacAddress::new(mac.try_into().ok()?)),
            (4, serial) => field("serial", u32::from_le_bytes(serial.try_into().ok()?).to_string()),
            // Version 1.2.3 is told as 01 02 03 in some devices and otherwise in others: it is shown as it comes.
            (8, firmware) => field(
                "firmware-raw",
                format!("{:#010x}", u32::from_le_bytes(firmware.try_into().ok()?)),
            ),
            (5..=7 | 9, value) if value.len() == 4 => {}
            (10..=12, _) => {}
            _ => return None,
        }
    }
    rest.is_empty().then_some(report)
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

    #[test]
    fn a_report_is_read_where_each_item_has_the_size_of_the_manual() {
        let whole = b"Moxa\x01\x06NP5110\x02\x02\x04\x51\x03\x06\x00\x90\xe8\x01\x02\x03\x04\x04\x39\x30\0\0\
            \x05\x04\x0a\x07\x0a\x1f\x08\x04\x00\x00\x02\x02";
        let report = report(whole).unwrap();
        assert_eq!(report.mac.unwrap().to_string(), "00:90:e8:01:02:03");
        let fields: Vec<String> = report
            .fields
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        assert_eq!(
            fields,
            [
                "firmware-raw 0x02020000",
                "hardware-id 0x5104",
                "name NP5110",
                "serial 12345"
            ]
        );
        for end in 5..whole.len() {
            // Cut between items it says less; cut within one, nothing.
            let cut = super::report(&whole[..end]);
            assert!(
                cut.is_none_or(|cut| cut.fields.len() < 4 || cut == report),
                "{end}"
            );
        }
        assert_eq!(
            super::report(b"Moxa\x03\x05\x00\x90\xe8\x01\x02"),
            None,
            "a hardware address has six bytes"
        );
        assert_eq!(super::report(b"Moxa\x01NP5110"), None);
    }
}
