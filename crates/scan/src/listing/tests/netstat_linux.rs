use super::{super::ListingFormat::NetstatLinux, connections, listeners, read, read_whole, unreadable};

#[test]
fn servers_with_their_programs() {
    let listing = read_whole(
        NetstatLinux,
        "\
root@hist-02:~# netstat -tulpn
Active Internet connections (only servers)
Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name
tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN      812/sshd: /usr/sbin
tcp        0      0 127.0.0.1:631           0.0.0.0:*               LISTEN      -
tcp6       0      0 :::54321                :::*                    LISTEN      2210/mdmgw
tcp6       0      0 ::ffff:10.7.10.4:8080   :::*                    LISTEN      990/java
udp        0      0 0.0.0.0:68              0.0.0.0:*                           640/dhclient
udp6       0      0 fe80::1:546             :::*                                640/dhclient
",
    );
    assert_eq!(
        listeners(&listing),
        [
            "tcp/22 on 0.0.0.0 by 812 sshd: /usr/sbin",
            "tcp/631 on 127.0.0.1",
            "tcp/54321 on :: by 2210 mdmgw",
            "tcp/8080 on 10.7.10.4 by 990 java",
            "udp/68 on 0.0.0.0 by 640 dhclient",
            "udp/546 on fe80::1 by 640 dhclient",
        ]
    );
}

#[test]
fn all_sockets_leave_out_what_nobody_can_reach() {
    let listing = read_whole(
        NetstatLinux,
        "\
Active Internet connections (servers and established)
Proto Recv-Q Send-Q Local Address           Foreign Address         State
tcp        0      0 0.0.0.0:54321           0.0.0.0:*               LISTEN
tcp        0     36 10.7.10.4:22            10.7.20.5:50123         ESTABLISHED
tcp        0      0 10.7.10.4:54321         10.7.20.9:50200         TIME_WAIT
tcp        0      1 10.7.10.4:40000         192.0.2.80:443          SYN_SENT
tcp6       1      0 10.7.10.4:8080          10.7.20.9:50201         CLOSE_WAIT
udp        0      0 10.7.10.4:39931         10.7.30.9:123           ESTABLISHED
raw6       0      0 :::58                   :::*                    7
Active UNIX domain sockets (servers and established)
Proto RefCnt Flags       Type       State         I-Node   Path
unix  2      [ ACC ]     STREAM     LISTENING     20471    /run/systemd/private
unix  3      [ ]         STREAM     CONNECTED     21055
",
    );
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0"]);
    assert_eq!(
        connections(&listing),
        [
            "10.7.10.4:22 <-> 10.7.20.5:50123",
            "10.7.10.4:8080 <-> 10.7.20.9:50201"
        ]
    );
}

#[test]
fn the_columns_of_e_and_o_stand_around_the_program() {
    let listing = read_whole(
        NetstatLinux,
        "\
Proto Recv-Q Send-Q Local Address           Foreign Address         State       User       Inode      PID/Program name     Timer
tcp        0      0 10.7.10.4:54321         0.0.0.0:*               LISTEN      1000       29660      8881/mdm gateway     off (0.00/0/0)
tcp        0      0 10.7.10.4:54321         10.7.20.9:50200         ESTABLISHED 1000       29661      8881/mdm gateway     keepalive (12.00/0/0)
",
    );
    assert_eq!(
        listeners(&listing),
        ["tcp/54321 on 10.7.10.4 by 8881 mdm gateway"]
    );
    assert_eq!(
        connections(&listing),
        ["10.7.10.4:54321 <-> 10.7.20.9:50200 by 8881 mdm gateway"]
    );
}

#[test]
fn a_shortened_address_is_not_taken_for_another_host() {
    // Of 2001:db8:0:10::a1b2 the column leaves 2001:db8:0:10::a1, which is an address as well.
    let listing = read(
        "\
Proto Recv-Q Send-Q Local Address           Foreign Address         State
tcp6       0      0 2001:db8:0:10::a1:54321 :::*                    LISTEN
tcp6       0      0 2001:db8:1234:567:54321 :::*                    LISTEN
tcp6       0      0 2001:db8::4:22          2001:db8:0:20::5a:50123 ESTABLISHED
tcp6       0      0 2001:db8::4:54321       :::*                    LISTEN
",
    );
    assert_eq!(listeners(&listing), ["tcp/54321 on 2001:db8::4"]);
    assert_eq!(connections(&listing), Vec::<String>::new());
    assert_eq!(
        listing
            .unreadable
            .iter()
            .map(|line| line.line)
            .collect::<Vec<_>>(),
        [2, 3, 4]
    );
    assert!(unreadable(&listing)[0].contains("`2001:db8:0:10::a1:54321`"));
    assert!(unreadable(&listing)[0].contains("-W"));
}

#[test]
fn a_wide_listing_is_not_shortened() {
    let listing = read_whole(
        NetstatLinux,
        "\
tcp6       0      0 2001:db8:0:10::a1:54321 :::*                    LISTEN      8881/mdmgw
tcp6       0      0 2001:db8:1234:5678:9abc:def0:1111:2222:54321 :::*                    LISTEN      8881/mdmgw
",
    );
    assert_eq!(
        listeners(&listing),
        [
            "tcp/54321 on 2001:db8:0:10::a1 by 8881 mdmgw",
            "tcp/54321 on 2001:db8:1234:5678:9abc:def0:1111:2222 by 8881 mdmgw",
        ]
    );
}

#[test]
fn names_are_reported_with_the_option_that_prints_numbers() {
    let listing = read(
        "\
Proto Recv-Q Send-Q Local Address           Foreign Address         State
tcp        0      0 0.0.0.0:ssh             0.0.0.0:*               LISTEN
tcp        0      0 localhost:631           0.0.0.0:*               LISTEN
",
    );
    assert_eq!(
        unreadable(&listing),
        [
            "line 2: `ssh` is a name, not a number: run it again with -n",
            "line 3: `localhost` is a name, not a number: run it again with -n",
        ]
    );
}
