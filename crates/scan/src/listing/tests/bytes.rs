use super::{super::parse, listeners};

const TEXT: &str = "\
LocalAddress   LocalPort RemoteAddress RemotePort State  OwningProcess
------------   --------- ------------- ---------- -----  -------------
0.0.0.0        54321     0.0.0.0       0          Listen 1234
";

#[test]
fn every_encoding_of_a_windows_shell_reads_the_same() {
    let lines = TEXT.replace('\n', "\r\n");
    let units = |order: fn(u16) -> [u8; 2]| lines.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    for bytes in [
        lines.as_bytes().to_vec(),
        [&[0xef, 0xbb, 0xbf], lines.as_bytes()].concat(),
        [&[0xff, 0xfe], units(u16::to_le_bytes).as_slice()].concat(),
        [&[0xfe, 0xff], units(u16::to_be_bytes).as_slice()].concat(),
        units(u16::to_le_bytes),
    ] {
        assert_eq!(
            listeners(&parse(&bytes).unwrap()),
            ["tcp/54321 on 0.0.0.0 by 1234"],
            "{bytes:?}"
        );
    }
}

#[test]
fn utf16_that_ends_within_a_letter_is_read_up_to_there() {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(TEXT.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend([0x00, 0xd8, 0x41]);
    assert_eq!(
        listeners(&parse(&bytes).unwrap()),
        ["tcp/54321 on 0.0.0.0 by 1234"]
    );
}
