use super::{super::ListingFormat::Ss, connections, listeners, read, read_whole, unreadable};

#[test]
fn both_transports_with_processes() {
    let listing = read_whole(
        Ss,
        r#"[root@hist-02 ~]# ss -tulpn
Netid State  Recv-Q Send-Q           Local Address:Port  Peer Address:PortProcess
udp   UNCONN 0      0                127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=412,fd=13))
udp   UNCONN 0      0                 10.7.10.4%eth0:68       0.0.0.0:*
udp   UNCONN 0      0      [fe80::a00:27ff:fe4e:66a1]%eth0:546   [::]:*    users:(("systemd-network",pid=400,fd=21))
udp   UNCONN 0      0                            *:4800             *:*
udp   ESTAB  0      0                    10.7.10.4:39931    10.7.30.9:123  users:(("ntpd",pid=500,fd=7))
tcp   LISTEN 0      128                    0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=812,fd=3))
tcp   LISTEN 0      128                       [::]:22            [::]:*    users:(("sshd",pid=812,fd=4))
tcp   LISTEN 0      4096                         *:54321            *:*    users:(("mdm gateway",pid=2210,fd=6),("mdm gateway",pid=2211,fd=6))
tcp   LISTEN 0      128      [::ffff:10.7.10.4]:8080                *:*
nl    UNCONN 0      0                         rtnl:kernel             *
u_str LISTEN 0      4096      /run/systemd/private 14011            * 0
"#,
    );
    assert_eq!(
        listeners(&listing),
        [
            "udp/53 on 127.0.0.53 by 412 systemd-resolve",
            "udp/68 on 10.7.10.4",
            "udp/546 on fe80::a00:27ff:fe4e:66a1 by 400 systemd-network",
            "udp/4800 on :: 4+6",
            "tcp/22 on 0.0.0.0 by 812 sshd",
            "tcp/22 on :: 6 only by 812 sshd",
            "tcp/54321 on :: 4+6 by 2210 mdm gateway",
            "tcp/8080 on 10.7.10.4",
        ]
    );
}

#[test]
fn one_transport_has_no_first_column() {
    let tcp = "\
State     Recv-Q Send-Q       Local Address:Port         Peer Address:Port Process
LISTEN    0      128                0.0.0.0:54321             0.0.0.0:*
ESTAB     0      0                10.7.10.4:54321           10.7.20.5:50123
TIME-WAIT 0      0                10.7.10.4:54321           10.7.20.5:50100
SYN-SENT  0      1                10.7.10.4:40000          192.0.2.80:443
ESTAB     0      0      [::ffff:10.7.10.4]:8080    [::ffff:10.7.20.9]:50201
ESTAB     0      0        [2001:db8:10::4]:22        [2001:db8:20::5]:50124
";
    // With and without the header.
    for text in [tcp, tcp.split_once('\n').unwrap().1] {
        let listing = read_whole(Ss, text);
        assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0"]);
        assert_eq!(
            connections(&listing),
            [
                "10.7.10.4:54321 <-> 10.7.20.5:50123",
                "10.7.10.4:8080 <-> 10.7.20.9:50201",
                "[2001:db8:10::4]:22 <-> [2001:db8:20::5]:50124",
            ]
        );
    }

    let udp = "UNCONN 0 0 10.7.10.4:123 0.0.0.0:*\nESTAB 0 0 10.7.10.4:39931 10.7.30.9:123\n";
    let listing = read_whole(Ss, udp);
    assert_eq!(listeners(&listing), ["udp/123 on 10.7.10.4"]);
    assert_eq!(connections(&listing), Vec::<String>::new());
}

#[test]
fn old_versions_write_ipv6_without_brackets() {
    let listing = read_whole(
        Ss,
        r#"State      Recv-Q Send-Q Local Address:Port               Peer Address:Port
LISTEN     0      128          *:54321                    *:*                   users:(("mdmgw",2210,6))
LISTEN     0      128         :::22                      :::*                   users:(("sshd",pid=812,fd=4))
LISTEN     0      100        ::1:25                      :::*
"#,
    );
    assert_eq!(
        listeners(&listing),
        [
            "tcp/54321 on 0.0.0.0 by 2210 mdmgw",
            "tcp/22 on :: by 812 sshd",
            "tcp/25 on ::1"
        ]
    );
}

#[test]
fn a_narrow_terminal_breaks_before_the_processes() {
    let listing = read_whole(
        Ss,
        "tcp   LISTEN 0      128    0.0.0.0:54321   0.0.0.0:*\n           users:((\"mdmgw\",pid=2210,fd=6))\n",
    );
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 2210 mdmgw"]);
}

#[test]
fn a_process_name_cannot_pass_for_another_process_or_reach_the_terminal() {
    let listing = read("LISTEN 0 128 0.0.0.0:54321 0.0.0.0:* users:((\"x)) \u{1b}[2J(\",pid=2210,fd=6))\n");
    assert_eq!(
        listeners(&listing),
        ["tcp/54321 on 0.0.0.0 by 2210 x)) \\u{1b}[2J("]
    );
}

#[test]
fn names_and_broken_lines_are_reported() {
    let listing =
        read("LISTEN 0 128 *:ssh *:*\nLISTEN 0 128 10.7.10:22 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:80\n");
    assert_eq!(listeners(&listing), Vec::<String>::new());
    assert_eq!(
        unreadable(&listing),
        [
            "line 1: `ssh` is a name, not a number: run it again with -n",
            "line 2: `10.7.10` is not an address with a port",
            "line 3: the columns are not those of the header",
        ]
    );
}
