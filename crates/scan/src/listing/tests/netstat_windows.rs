use super::{
    super::{ListingFormat::NetstatWindows, parse},
    connections, listeners, read, read_whole, unreadable,
};

const ENGLISH: &str = "\
Microsoft Windows [Version 10.0.17763.5329]
(c) 2018 Microsoft Corporation. All rights reserved.

C:\\Windows\\system32>netstat -ano

Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       924
  TCP    0.0.0.0:54321          0.0.0.0:0              LISTENING       1234
  TCP    10.7.10.7:54321        10.7.20.5:50123        ESTABLISHED     1234
  TCP    10.7.10.7:54321        10.7.20.5:50100        TIME_WAIT       0
  TCP    10.7.10.7:49800        192.0.2.80:443         SYN_SENT        4012
  TCP    [::]:135               [::]:0                 LISTENING       924
  TCP    [::1]:5357             [::]:0                 LISTENING       4
  TCP    [fe80::1c9a:f2ff:fe4e:66a1%5]:139  [::]:0     LISTENING       4
  TCP    [fe80::1c9a:f2ff:fe4e:66a1%5]:445  [fe80::2%5]:50124  ESTABLISHED     4
  UDP    0.0.0.0:500            *:*                                    3120
  UDP    [fe80::1c9a:f2ff:fe4e:66a1%5]:546  *:*                        1416

C:\\Windows\\system32>
";

#[test]
fn with_process_ids() {
    let listing = read_whole(NetstatWindows, ENGLISH);
    assert_eq!(
        listeners(&listing),
        [
            "tcp/135 on 0.0.0.0 by 924",
            "tcp/54321 on 0.0.0.0 by 1234",
            "tcp/135 on :: by 924",
            "tcp/5357 on ::1 by 4",
            "tcp/139 on fe80::1c9a:f2ff:fe4e:66a1 by 4",
            "udp/500 on 0.0.0.0 by 3120",
            "udp/546 on fe80::1c9a:f2ff:fe4e:66a1 by 1416",
        ]
    );
    assert_eq!(
        connections(&listing),
        [
            "10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234",
            "[fe80::1c9a:f2ff:fe4e:66a1]:445 <-> [fe80::2]:50124 by 4",
        ]
    );
}

#[test]
fn without_process_ids() {
    let listing = read_whole(
        NetstatWindows,
        "  TCP    0.0.0.0:54321          0.0.0.0:0              LISTENING\n  UDP    0.0.0.0:500            *:*\n",
    );
    assert_eq!(
        listeners(&listing),
        ["tcp/54321 on 0.0.0.0", "udp/500 on 0.0.0.0"]
    );
}

#[test]
fn the_language_of_the_state_does_not_matter() {
    for (listen, connected) in [
        ("ABHÖREN", "HERGESTELLT"),
        ("ÉCOUTE", "ÉTABLIE"),
        ("EN ATTENTE", "ÉTABLIE"),
        ("NASŁUCHIWANIE", "USTANOWIONO"),
    ] {
        let listing = read_whole(
            NetstatWindows,
            &format!(
                "  Proto  Lokale Adresse  Remoteadresse  Status  PID\n\
                 \x20 TCP    0.0.0.0:54321    0.0.0.0:0        {listen}    1234\n\
                 \x20 TCP    10.7.10.7:54321  10.7.20.5:50123  {connected}    1234\n\
                 \x20 TCP    10.7.10.7:54321  10.7.20.5:50100  WARTEND    0\n"
            ),
        );
        assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 1234"], "{listen}");
        assert_eq!(
            connections(&listing),
            ["10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234"],
            "{connected}"
        );
    }
}

#[test]
fn the_code_page_does_not_matter() {
    // Ö in code pages 850 and 1252.
    for letter in [0x99, 0xd6] {
        let mut text = b"  TCP    0.0.0.0:54321          0.0.0.0:0              ABH".to_vec();
        text.push(letter);
        text.extend(b"REN         1234\r\n");
        assert_eq!(
            listeners(&parse(&text).unwrap()),
            ["tcp/54321 on 0.0.0.0 by 1234"]
        );
    }
}

#[test]
fn programs_stand_below_their_sockets() {
    let listing = read_whole(
        NetstatWindows,
        "
Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       924
  RpcSs
 [svchost.exe]
  TCP    0.0.0.0:445            0.0.0.0:0              LISTENING       4
 Can not obtain ownership information
  TCP    0.0.0.0:54321          0.0.0.0:0              LISTENING       1234
 [MDMGw.exe]
  TCP    10.7.10.7:54321        10.7.20.5:50123        ESTABLISHED     1234
 [MDMGw.exe]
",
    );
    assert_eq!(
        listeners(&listing),
        [
            "tcp/135 on 0.0.0.0 by 924 svchost.exe",
            "tcp/445 on 0.0.0.0 by 4",
            "tcp/54321 on 0.0.0.0 by 1234 MDMGw.exe",
        ]
    );
    assert_eq!(
        connections(&listing),
        ["10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234 MDMGw.exe"]
    );
}

#[test]
fn a_program_without_its_id() {
    let listing =
        read("  TCP    0.0.0.0:54321   0.0.0.0:0   LISTENING\n [MDMGw.exe]\n[10.7.10.7]: PS C:\\>\n");
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 0 MDMGw.exe"]);
}

#[test]
fn a_bound_socket_does_not_listen() {
    let listing = read_whole(
        NetstatWindows,
        "  TCP    0.0.0.0:49670          0.0.0.0:0              BOUND           77\n",
    );
    assert_eq!(listeners(&listing), Vec::<String>::new());
}

#[test]
fn a_name_on_the_other_end_does_not_hide_a_listener() {
    let listing = read(
        "  TCP    0.0.0.0:54321   GW-PARIS:0   LISTENING\n  TCP    10.7.10.7:50001   GW-PARIS:https   ESTABLISHED\n",
    );
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0"]);
    assert_eq!(
        unreadable(&listing),
        ["line 2: `GW-PARIS` is a name, not a number: run it again with -n"]
    );
}

#[test]
fn a_connection_that_is_over_belongs_to_no_process() {
    // TIME_WAIT in a language that is not known.
    let listing = read("  TCP    10.7.10.7:54321   10.7.20.5:50100   ODOTUS   0\n");
    assert_eq!(connections(&listing), Vec::<String>::new());
}
