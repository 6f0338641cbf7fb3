//! Writes a log for the benchmark: `make-log FORMAT BYTES [SOURCES]`, to standard output. The same arguments give the same
//! bytes. FORMAT is `mixed`, or a format of lines.

use std::{
    io::{self, BufWriter, Write},
    net::Ipv4Addr,
    process::ExitCode,
};

/// A generator of numbers that look random (xorshift, G. Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// What a line tells, whatever its format.
struct Packet {
    number: u64,
    source: Ipv4Addr,
    source_port: u64,
    destination: Ipv4Addr,
    port: u64,
    blocked: bool,
    id: u64,
}

const PORTS: [u64; 8] = [54321, 502, 4800, 102, 22, 443, 20000, 44818];

fn packet(number: u64, dice: &mut Dice, sources: u64) -> Packet {
    // A few sources make most of the lines, as they do in the field.
    let widest = if dice.below(4) == 0 {
        sources
    } else {
        sources.min(64)
    };
    let source = u32::try_from(dice.below(widest)).unwrap_or_default();
    let low = u32::try_from(dice.below(200)).unwrap_or_default();
    Packet {
        number,
        source: Ipv4Addr::from_bits(0xcb00_7100_u32.wrapping_add(source.wrapping_mul(2_654_435_761))),
        source_port: 1024 + dice.below(60_000),
        destination: Ipv4Addr::from_bits(0x0a07_0a00 + low),
        port: PORTS
            .get(usize::try_from(dice.below(8)).unwrap_or_default())
            .copied()
            .unwrap_or(502),
        blocked: dice.below(10) != 0,
        id: dice.below(65_536),
    }
}

/// Seconds of the day that a line was written in: 50 lines a second.
fn clock(number: u64) -> (u64, u64, u64, u64) {
    let second = number / 50 % (20 * 86_400);
    (
        1 + second / 86_400,
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
    )
}

fn line(format: &str, packet: &Packet, out: &mut impl Write) -> io::Result<bool> {
    let Packet {
        number,
        source,
        source_port,
        destination,
        port,
        blocked,
        id,
    } = packet;
    let (day, hour, minute, second) = clock(*number);
    let either = |blocked_text: &'static str, text: &'static str| if *blocked { blocked_text } else { text };
    match format {
        "kernel" => writeln!(
            out,
            "Nov {day:2} {hour:02}:{minute:02}:{second:02} gw kernel: [{}.{id:06}] {} IN=eth0 OUT= \
             MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC={source} DST={destination} LEN=60 TOS=0x00 PREC=0x00 TTL=63 \
             ID={id} DF PROTO=TCP SPT={source_port} DPT={port} WINDOW=64240 RES=0x00 SYN URGP=0 ",
            number / 50,
            either("[UFW BLOCK]", "[UFW ALLOW]"),
        )?,
        "journal-json" => writeln!(
            out,
            "{{\"__CURSOR\":\"s=0123456789abcdef0123456789abcdef;i={number:x};b=0123456789abcdef0123456789abcdef\",\
             \"__REALTIME_TIMESTAMP\":\"{}\",\"__MONOTONIC_TIMESTAMP\":\"{number}\",\"_BOOT_ID\":\"0123456789abcdef0123456789abcdef\",\
             \"PRIORITY\":\"4\",\"_TRANSPORT\":\"kernel\",\"SYSLOG_IDENTIFIER\":\"kernel\",\"_HOSTNAME\":\"gw\",\"MESSAGE\":\"{} IN=eth0 OUT= \
             MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC={source} DST={destination} LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID={id} DF \
             PROTO=TCP SPT={source_port} DPT={port} WINDOW=64240 RES=0x00 SYN URGP=0 \"}}",
            1_795_000_000_000_000 + number * 20_000,
            either("[UFW BLOCK]", "[UFW ALLOW]"),
        )?,
        "journal-export" => writeln!(
            out,
            "__CURSOR=s=0123456789abcdef0123456789abcdef;i={number:x};b=0123456789abcdef0123456789abcdef\n\
             __REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID=0123456789abcdef0123456789abcdef\nPRIORITY=4\n\
             _TRANSPORT=kernel\nSYSLOG_IDENTIFIER=kernel\n_HOSTNAME=gw\nMESSAGE={} IN=eth0 OUT= \
             MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC={source} DST={destination} LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID={id} DF \
             PROTO=TCP SPT={source_port} DPT={port} WINDOW=64240 RES=0x00 SYN URGP=0 \n",
            1_795_000_000_000_000 + number * 20_000,
            either("[UFW BLOCK]", "[UFW ALLOW]"),
        )?,
        "ulogd-json" => writeln!(
            out,
            "{{\"timestamp\": \"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.{id:06}\", \"dvc\": \"Netfilter\", \"raw.pktlen\": 60, \
             \"raw.pktcount\": 1, \"oob.prefix\": \"{}\", \"oob.time.sec\": 1795388211, \"oob.time.usec\": {id}, \"oob.mark\": 0, \
             \"oob.ifindex_in\": 2, \"oob.hook\": 1, \"raw.mac_len\": 14, \"oob.family\": 2, \"oob.protocol\": 2048, \"raw.label\": 0, \
             \"raw.type\": 1, \"raw.mac.addrlen\": 6, \"ip.protocol\": 6, \"ip.tos\": 0, \"ip.ttl\": 64, \"ip.totlen\": 60, \"ip.ihl\": 5, \
             \"ip.csum\": {id}, \"ip.id\": {id}, \"ip.fragoff\": 16384, \"src_port\": {source_port}, \"dest_port\": {port}, \"tcp.seq\": \
             {id}, \"tcp.ackseq\": 0, \"tcp.window\": 64240, \"tcp.offset\": 0, \"tcp.reserved\": 0, \"tcp.syn\": 1, \"tcp.csum\": {id}, \
             \"oob.in\": \"eth0\", \"oob.out\": \"\", \"src_ip\": \"{source}\", \"dest_ip\": \"{destination}\", \"mac.saddr.str\": \
             \"52:54:00:65:43:21\", \"mac.daddr.str\": \"52:54:00:12:34:56\"}}",
            either("[UFW BLOCK] ", "[UFW ALLOW] "),
        )?,
        "windows" => {
            if *number == 0 {
                write!(
                    out,
                    "#Version: 1.5\r\n#Software: Microsoft Windows Firewall\r\n#Time Format: Local\r\n#Fields: date time action \
                     protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path pid\r\n\r\n"
                )?;
            }
            write!(
                out,
                "2026-11-{day:02} {hour:02}:{minute:02}:{second:02} {} TCP {source} {destination} {source_port} {port} 60 S {id} 0 64240 - - - \
                 RECEIVE 4\r\n",
                either("DROP", "ALLOW"),
            )?;
        }
        "asa" => match number % 3 {
            0 => writeln!(
                out,
                "Nov {day:2} {hour:02}:{minute:02}:{second:02} fw %ASA-4-106023: Deny tcp src outside:{source}/{source_port} dst \
                 inside:{destination}/{port} by access-group \"outside_in\" [0x0, 0x0]"
            )?,
            1 => writeln!(
                out,
                "Nov {day:2} {hour:02}:{minute:02}:{second:02} fw %ASA-6-302013: Built inbound TCP connection {number} for \
                 outside:{source}/{source_port} ({source}/{source_port}) to inside:{destination}/{port} ({destination}/{port})"
            )?,
            _ => writeln!(
                out,
                "Nov {day:2} {hour:02}:{minute:02}:{second:02} fw %ASA-6-106100: access-list outside_in {} tcp \
                 outside/{source}({source_port}) -> inside/{destination}({port}) hit-cnt 1 first hit [0x1, 0x0]",
                either("denied", "permitted"),
            )?,
        },
        "ios" => writeln!(
            out,
            "Nov {day:2} {hour:02}:{minute:02}:{second:02} rtr {number}: *Nov {day:2} {hour:02}:{minute:02}:{second:02}.123: \
             %SEC-6-IPACCESSLOGP: list OT {} tcp {source}({source_port}) -> {destination}({port}), 1 packet",
            either("denied", "permitted"),
        )?,
        "fortigate" => writeln!(
            out,
            "<189>date=2026-11-{day:02} time={hour:02}:{minute:02}:{second:02} devname=\"fg\" devid=\"FG100E\" eventtime={}000 \
             tz=\"+0100\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" vd=\"root\" srcip={source} \
             srcport={source_port} srcintf=\"wan1\" srcintfrole=\"wan\" dstip={destination} dstport={port} dstintf=\"ot\" \
             dstintfrole=\"lan\" srccountry=\"Reserved\" dstcountry=\"Reserved\" sessionid={number} proto=6 action=\"{}\" policyid=7 \
             policytype=\"policy\" service=\"tcp/{port}\" trandisp=\"noop\" duration=3 sentbyte=300 rcvdbyte={id} sentpkt=6 rcvdpkt=5",
            1_795_000_000_000_000 + number * 20_000,
            either("deny", "close"),
        )?,
        "palo-alto" => writeln!(
            out,
            "Nov {day:2} {hour:02}:{minute:02}:{second:02} pa 1,2026/11/{day:02} {hour:02}:{minute:02}:{second:02},001122334455,TRAFFIC,{},2561,\
             2026/11/{day:02} {hour:02}:{minute:02}:{second:02},{source},{destination},0.0.0.0,0.0.0.0,ot-rule,,,modbus,vsys1,untrust,ot,\
             ethernet1/1,ethernet1/2,log,2026/11/{day:02} {hour:02}:{minute:02}:{second:02},{number},1,{source_port},{port},0,0,0x19,tcp,{},\
             4096,2048,2048,12,2026/11/{day:02} {hour:02}:{minute:02}:{second:02},3,any,0,{number},0x0,a,b,0,6,6,tcp-fin,0,0,0,0,,pa,from-policy",
            either("drop", "end"),
            either("drop", "allow"),
        )?,
        "filterlog" => writeln!(
            out,
            "Nov {day:2} {hour:02}:{minute:02}:{second:02} pf filterlog[77]: 5,,,1000000103,em0,match,{},in,4,0x0,,63,{id},0,DF,6,tcp,60,\
             {source},{destination},{source_port},{port},0,S,{id},,64240,,mss;nop;wscale",
            either("block", "pass"),
        )?,
        "junos" => writeln!(
            out,
            "<14>1 2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.123+01:00 srx RT_FLOW - RT_FLOW_SESSION_{} [junos@2636.1.1.1.2.40 \
             source-address=\"{source}\" source-port=\"{source_port}\" destination-address=\"{destination}\" destination-port=\"{port}\" \
             connection-tag=\"0\" service-name=\"None\" protocol-id=\"6\" icmp-type=\"0\" policy-name=\"ot\" source-zone-name=\"untrust\" \
             destination-zone-name=\"ot\" application=\"UNKNOWN\" packet-incoming-interface=\"ge-0/0/0.0\"]",
            either("DENY", "CREATE"),
        )?,
        "mikrotik" => writeln!(
            out,
            "Nov {day:2} {hour:02}:{minute:02}:{second:02} mt firewall,info OTGUARD forward: in:ether1 out:bridge, connection-state:new \
             src-mac 52:54:00:12:34:56, proto TCP (SYN), {source}:{source_port}->{destination}:{port}, len 60"
        )?,
        "suricata" => writeln!(
            out,
            "{{\"timestamp\":\"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.{id:06}+0100\",\"flow_id\":{number},\"in_iface\":\"eth1\",\
             \"event_type\":\"flow\",\"src_ip\":\"{source}\",\"src_port\":{source_port},\"dest_ip\":\"{destination}\",\"dest_port\":{port},\
             \"proto\":\"TCP\",\"app_proto\":\"modbus\",\"flow\":{{\"pkts_toserver\":6,\"pkts_toclient\":5,\"bytes_toserver\":300,\
             \"bytes_toclient\":{id},\"start\":\"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.000000+0100\",\"end\":\
             \"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.000000+0100\",\"age\":0,\"state\":\"closed\",\"reason\":\"timeout\",\
             \"alerted\":false}},\"tcp\":{{\"tcp_flags\":\"1b\",\"tcp_flags_ts\":\"1b\",\"tcp_flags_tc\":\"1b\",\"syn\":true,\"fin\":true,\
             \"psh\":true,\"ack\":true,\"state\":\"closed\"}}}}"
        )?,
        "zeek-tsv" => {
            if *number == 0 {
                writeln!(
                    out,
                    "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\t\
                     resp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes"
                )?;
            }
            writeln!(
                out,
                "{}.{id:06}\tC{number:016x}\t{source}\t{source_port}\t{destination}\t{port}\ttcp\t-\t0.250000\t300\t{id}\t{}\t-\t-\t0\t\
                 ShADadFf\t6\t600\t5\t500",
                1_795_000_000 + number / 50,
                either("S0", "SF"),
            )?;
        }
        "zeek-json" => writeln!(
            out,
            "{{\"ts\":{}.{id:06},\"uid\":\"C{number:016x}\",\"id.orig_h\":\"{source}\",\"id.orig_p\":{source_port},\"id.resp_h\":\
             \"{destination}\",\"id.resp_p\":{port},\"proto\":\"tcp\",\"duration\":0.25,\"orig_bytes\":300,\"resp_bytes\":{id},\
             \"conn_state\":\"{}\",\"missed_bytes\":0,\"history\":\"ShADadFf\",\"orig_pkts\":6,\"orig_ip_bytes\":600,\"resp_pkts\":5,\
             \"resp_ip_bytes\":500}}",
            1_795_000_000 + number / 50,
            either("S0", "SF"),
        )?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The formats whose lines can stand in one file.
const MIXED: [&str; 10] = [
    "kernel",
    "asa",
    "kernel",
    "fortigate",
    "palo-alto",
    "kernel",
    "filterlog",
    "junos",
    "mikrotik",
    "suricata",
];

/// Counts what goes through.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, size, more @ ..] = arguments.as_slice() else {
        return Ok(ExitCode::from(2));
    };
    let Ok(size) = size.parse::<u64>() else {
        return Ok(ExitCode::from(2));
    };
    let sources = more.first().and_then(|text| text.parse().ok()).unwrap_or(50_000);
    let mut out = Counted {
        inner: BufWriter::with_capacity(1 << 20, io::stdout().lock()),
        bytes: 0,
    };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut number = 0;
    while out.bytes < size {
        let packet = packet(number, &mut dice, sources);
        let format = match format.as_str() {
            "mixed" => {
                // Devices send in runs, and not line by line in turn.
                let run = usize::try_from(number / 7).unwrap_or_default();
                MIXED.get(run % MIXED.len()).copied().unwrap_or("kernel")
            }
            one => one,
        };
        if !line(format, &packet, &mut out)? {
            return Ok(ExitCode::from(2));
        }
        number += 1;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
