use proptest::prelude::*;

use super::{written::database, *};

const NETWORKS: [(&str, u8, &str); 4] = [
    ("192.0.2.0", 24, "NO"),
    ("198.51.100.0", 24, "\x1b[2J"),
    ("203.0.113.128", 25, "SE"),
    ("2001:db8:7::", 48, "DK"),
];

fn of(countries: &Countries, address: &str) -> Said {
    countries.of(address.parse().unwrap())
}

#[test]
fn addresses_of_both_versions_are_found_and_what_is_no_code_is_not_believed() {
    let six = Countries::read(database(6, &NETWORKS)).unwrap();
    let country = |code: &str| Said::Country(code.into());
    assert_eq!(of(&six, "192.0.2.77"), country("NO"));
    assert_eq!(of(&six, "203.0.113.200"), country("SE"));
    assert_eq!(of(&six, "203.0.113.100"), Said::Nothing);
    assert_eq!(of(&six, "2001:db8:7:1::1"), country("DK"));
    assert_eq!(of(&six, "2001:db8:8::1"), Said::Nothing);
    assert_eq!(of(&six, "198.51.100.1"), Said::Nothing, "no code looks so");
    let four = Countries::read(database(4, &NETWORKS[..1])).unwrap();
    assert_eq!(of(&four, "192.0.2.77"), country("NO"));
    assert_eq!(of(&four, "2001:db8:7:1::1"), Said::Nothing);
}

#[test]
fn what_is_no_database_is_told_as_such() {
    for bytes in [&b""[..], b"x", b"\xab\xcd\xefMaxMind.com", &[0; 5000]] {
        let error = Countries::read(bytes.to_vec()).unwrap_err();
        assert!(error.to_string().starts_with("it is no database"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_damaged_database_ends_nothing(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut bytes = database(6, &NETWORKS);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = bytes.clone();
        bytes.truncate(cut.index(whole.len()));
        for bytes in [whole, bytes] {
            if let Ok(countries) = Countries::read(bytes) {
                for address in ["192.0.2.1", "203.0.113.200", "2001:db8:7::1", "::1"] {
                    of(&countries, address);
                }
            }
        }
    }
}
