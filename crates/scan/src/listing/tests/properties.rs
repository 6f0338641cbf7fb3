use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::{ListingFormat, parse, parse_as};

/// Words of all formats, to be put together without sense.
const WORDS: [&str; 34] = [
    "tcp",
    "tcp6",
    "tcp46",
    "TCP",
    "udp",
    "UDP",
    "LISTEN",
    "ESTAB",
    "UNCONN",
    "0",
    "128",
    "0.0.0.0:22",
    "*:54321",
    "*.22",
    "*.*",
    "[::]:22",
    ":::22",
    ":::*",
    "[fe80::1%5]:1",
    "%",
    "[",
    "]",
    "users:((\"a\",pid=1,fd=2))",
    "\n",
    "\r\n",
    "LocalAddress",
    "LocalPort",
    "State",
    ":",
    "{\"LocalAddress\":",
    "\"",
    ",",
    "[svchost.exe]",
    "1/x",
];

fn sensible_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        // Mapped addresses are given as IPv4: not what was printed.
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits | 1 << 127))),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        for format in ListingFormat::ALL {
            prop_assert!(parse_as(format, &bytes).is_ok());
        }
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)) {
        let text = words.join(" ");
        for format in ListingFormat::ALL {
            let listing = parse_as(format, text.as_bytes()).unwrap();
            let lines = text.lines().count();
            prop_assert!(listing.unreadable.iter().all(|unreadable| (1..=lines).contains(&unreadable.line)));
        }
    }

    #[test]
    fn what_is_printed_is_read(
        sockets in prop::collection::vec((sensible_address(), 1..=u16::MAX, 1..=u32::MAX), 1..20),
    ) {
        let bracketed = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let print = |row: &dyn Fn(&IpAddr, u16, u32) -> String| {
            sockets.iter().map(|(address, port, pid)| row(address, *port, *pid)).collect::<String>()
        };
        let texts = [
            print(&|address, port, pid| {
                format!("tcp LISTEN 0 128 {}:{port} 0.0.0.0:* users:((\"x\",pid={pid},fd=3))\n", bracketed(address))
            }),
            print(&|address, port, pid| format!("  TCP    {}:{port}    0.0.0.0:0    LISTENING    {pid}\r\n", bracketed(address))),
            // One long address shows that none was shortened.
            "tcp6 0 0 2001:db8:1111:2222:3333:4444:5555:6666:1 2001:db8::1:1 TIME_WAIT\n".to_owned()
                + &print(&|address, port, pid| format!("tcp6 0 0 {address}:{port} :::* LISTEN {pid}/x\n")),
            "\"LocalAddress\",\"LocalPort\",\"State\",\"OwningProcess\"\n".to_owned()
                + &print(&|address, port, pid| format!("\"{address}\",\"{port}\",\"Listen\",\"{pid}\"\n")),
        ];
        for text in texts {
            let listing = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&listing.unreadable, &[], "{}", text);
            let read: Vec<_> = listing
                .listeners
                .iter()
                .map(|listener| (listener.address, listener.number, listener.process.as_ref().unwrap().pid))
                .collect();
            prop_assert_eq!(&read, &sockets, "{}", text);
        }
    }
}

/// Texts that make a reader which looks back or starts again take hours.
#[test]
fn a_long_text_without_sense_is_read_in_one_pass() {
    for piece in [
        "\"",
        "[{",
        "users:((\"",
        "tcp 0 0 a:b ",
        "LISTEN 0 0 :::1 :::*\n",
        "State : x\nLocalPort : 1\n",
        ",",
        "\t:",
        "[x]\n",
    ] {
        for start in [
            "",
            "[\n{\"LocalAddress\":\n",
            "LocalAddress,LocalPort\n",
            "LocalAddress LocalPort\n",
            "TCP 0.0.0.0:1 *:0 L ",
        ] {
            let text = start.to_owned() + &piece.repeat(100_000 / piece.len());
            for format in ListingFormat::ALL {
                assert!(parse_as(format, text.as_bytes()).is_ok());
            }
        }
    }
}
