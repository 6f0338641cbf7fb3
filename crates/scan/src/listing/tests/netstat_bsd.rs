use super::{super::ListingFormat::NetstatBsd, connections, listeners, read, read_whole, unreadable};

#[test]
fn freebsd_and_macos_name_the_families() {
    let listing = read_whole(
        NetstatBsd,
        "\
Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)
tcp4       0      0  10.7.10.6.22           10.7.20.5.50123        ESTABLISHED
tcp46      0      0  *.54321                *.*                    LISTEN
tcp6       0      0  *.22                   *.*                    LISTEN
tcp4       0      0  *.22                   *.*                    LISTEN
tcp4       0      0  127.0.0.1.631          *.*                    LISTEN
tcp6       0      0  fe80::1%lo0.8021       *.*                    LISTEN
tcp4       0      0  10.7.10.6.49152        192.0.2.80.443         TIME_WAIT
tcp4       0      0  *.*                    *.*                    CLOSED
udp4       0      0  *.5353                 *.*
udp4       0      0  *.*                    *.*
udp4       0      0  10.7.10.6.51000        10.7.30.9.123
icm6       0      0  *.*                    *.*
Active LOCAL (UNIX) domain sockets
Address          Type   Recv-Q Send-Q            Inode             Conn             Refs          Nextref Addr
c1b2a3d4e5f60718 stream      0      0 a1b2c3d4e5f60718                0                0                0 /var/run/mDNSResponder
",
    );
    assert_eq!(
        listeners(&listing),
        [
            "tcp/54321 on :: 4+6",
            "tcp/22 on :: 6 only",
            "tcp/22 on 0.0.0.0",
            "tcp/631 on 127.0.0.1",
            "tcp/8021 on fe80::1",
            "udp/5353 on 0.0.0.0",
        ]
        .map(|line| line.replace("fe80::1", "fe80::1 6 only"))
    );
    assert_eq!(connections(&listing), ["10.7.10.6:22 <-> 10.7.20.5:50123"]);
}

#[test]
fn openbsd_and_netbsd_do_not() {
    let listing = read_whole(
        NetstatBsd,
        "\
Proto   Recv-Q Send-Q  Local Address          Foreign Address        (state)
tcp          0      0  *.22                   *.*                    LISTEN
tcp6         0      0  *.22                   *.*                    LISTEN
udp          0      0  10.7.10.6.123          *.*
",
    );
    assert_eq!(
        listeners(&listing),
        ["tcp/22 on 0.0.0.0", "tcp/22 on ::", "udp/123 on 10.7.10.6"]
    );
}

#[test]
fn a_shortened_address_is_not_taken_for_another_host() {
    // Of 2001:db8:0:10::a1b2 sixteen letters are left.
    let listing = read(
        "\
tcp4       0      0  *.22                   *.*                    LISTEN
tcp6       0      0  2001:db8:0:10::a.54321 *.*                    LISTEN
tcp6       0      0  fe80::aede:48ff:.49155 fe80::aede:48ff:.62811 ESTABLISHED
",
    );
    assert_eq!(listeners(&listing), ["tcp/22 on 0.0.0.0"]);
    assert_eq!(
        listing
            .unreadable
            .iter()
            .map(|line| line.line)
            .collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(unreadable(&listing)[0].contains("-W"));

    let wide =
        "tcp6  0  0  2001:db8:0:10::a.54321  *.*  LISTEN\ntcp6  0  0  2001:db8:0:10::a1b2.22  *.*  LISTEN\n";
    assert_eq!(
        listeners(&read_whole(NetstatBsd, wide)),
        ["tcp/54321 on 2001:db8:0:10::a", "tcp/22 on 2001:db8:0:10::a1b2"]
    );
}
