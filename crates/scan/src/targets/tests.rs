use portcullis_model::Fault as _;
use proptest::prelude::*;

use super::*;

fn addresses(texts: &[&str]) -> Vec<String> {
    let found = parse(texts).unwrap().addresses().unwrap();
    found.iter().map(IpAddr::to_string).collect()
}

fn code(text: &str) -> &'static str {
    match parse(&[text]).and_then(|targets| targets.addresses()) {
        Ok(found) => panic!("{text} gave {} addresses", found.len()),
        Err(error) => error.code(),
    }
}

#[test]
fn networks_ranges_and_addresses_overlap_and_each_address_comes_once() {
    assert_eq!(
        addresses(&["10.0.0.0/30", "10.0.0.2-4", "10.0.0.4-10.0.0.5", "10.0.0.2"]),
        ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]
    );
    assert_eq!(
        addresses(&["::1", "2001:db8::7/127", "10.0.0.7", "::ffff:10.0.0.7"]),
        ["10.0.0.7", "::1", "2001:db8::6", "2001:db8::7"]
    );
}

#[test]
fn network_and_broadcast_addresses_are_skipped_unless_named() {
    assert_eq!(addresses(&["10.0.0.9/30"]), ["10.0.0.9", "10.0.0.10"]);
    assert_eq!(addresses(&["10.0.0.8/31"]), ["10.0.0.8", "10.0.0.9"]);
    assert_eq!(
        addresses(&["10.0.0.8/30", "10.0.0.8"]),
        ["10.0.0.8", "10.0.0.9", "10.0.0.10"]
    );
}

#[test]
fn what_cannot_be_scanned_is_refused_with_a_code() {
    for (text, expected) in [
        ("10.0.0.256", "SC001"),
        ("10.0.0.0/33", "SC001"),
        ("10.0.0.1-300", "SC001"),
        ("10.0.0.1-::1", "SC001"),
        ("a b", "SC001"),
        ("", "SC001"),
        ("0.0.0.0/0", "SC002"),
        ("::/0", "SC002"),
        ("2001:db8::/64", "SC003"),
        ("10.0.0.9-3", "SC004"),
        ("224.0.0.1", "SC005"),
        ("10.0.0.0-255.255.255.255", "SC005"),
        ("0.0.0.0", "SC005"),
        ("ff02::1", "SC005"),
        ("10.0.0.0/8", "SC006"),
        ("2001:db8::-2001:db8:ffff::", "SC006"),
        ("gw-1.plant.example", "SC007"),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
    assert!(
        parse(&["2001:db8::/64"])
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("list the hosts")
    );
}

#[test]
fn names_are_kept_for_the_resolver() {
    let targets = parse(&["GW-1.plant.example", "plc_7", "10.0.0.1"]).unwrap();
    assert_eq!(
        targets.names().collect::<Vec<_>>(),
        ["gw-1.plant.example", "plc_7"]
    );
}

#[test]
fn a_list_has_comments_and_its_errors_have_lines() {
    let list = "# plant 7\n10.0.0.1 10.0.0.2 # pumps\n\n10.0.0.4\n";
    assert_eq!(parse_list(list).unwrap().addresses().unwrap().len(), 3);
    let error = parse_list("10.0.0.1\n\n10.0.0.1/99 # wrong\n").unwrap_err();
    assert!(matches!(error, TargetError::Line { line: 3, .. }), "{error}");
}

#[tokio::test]
async fn addresses_need_no_resolver() {
    let resolved = parse(&["127.0.0.1"]).unwrap().resolve().await.unwrap();
    assert_eq!(resolved.addresses, [IpAddr::from([127, 0, 0, 1])]);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}|[0-9a-f.:/-]{0,40}") {
        let _ = parse(&[&text]).and_then(|targets| targets.addresses());
        let _ = parse_list(&text);
    }

    #[test]
    fn a_range_gives_exactly_its_addresses(first in 0x0a00_0000u32..0x0a00_ffff, length in 0u32..300) {
        let (from, to) = (Ipv4Addr::from(first), Ipv4Addr::from(first + length));
        let found = parse(&[format!("{from}-{to}")]).unwrap().addresses().unwrap();
        prop_assert_eq!(found.len() as u32, length + 1);
        prop_assert_eq!(found[0], IpAddr::from(from));
    }
}

#[tokio::test]
async fn a_link_local_address_needs_an_interface_that_is_there() {
    let resolved = parse(&["fe80::7%lo", "10.0.0.1"])
        .unwrap()
        .resolve()
        .await
        .unwrap();
    let link_local: IpAddr = "fe80::7".parse().unwrap();
    assert_eq!(resolved.scopes, [(link_local, 1)]);
    assert_eq!(resolved.addresses.len(), 2);
    let error = parse(&["fe80::7%nowhere"]).unwrap().resolve().await.unwrap_err();
    assert_eq!(error.code(), "SC010");
    let error = parse(&["neighbours:nowhere"])
        .unwrap()
        .resolve()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "SC010");
    for wrong in ["2001:db8::1%eth0", "10.0.0.1%eth0", "fe80::1%"] {
        assert_eq!(parse(&[wrong]).unwrap_err().code(), "SC001", "{wrong}");
    }
}
