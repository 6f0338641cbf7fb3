//! Replies with their sources, for the tests of the whole crate: what a real server said on loopback, or bytes put
//! together as the named source describes them.

use portcullis_model::{Grade, Port, ServiceName};

use crate::{Further, Knowledge, Request, Seen};

/// One reply, and what it says of one service.
pub(crate) struct Sample {
    pub(crate) service: &'static str,
    pub(crate) port: Port,
    /// `real server: NAME VERSION` or `stand-in bytes from SOURCE`: the words of docs/knowledge.md.
    pub(crate) source: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) further: Vec<Vec<u8>>,
    pub(crate) grade: Grade,
    pub(crate) fields: Vec<(&'static str, &'static str)>,
    /// From how many bytes on the reply is whole: a text that goes on, or more items that need not be there.
    pub(crate) whole_from: usize,
}

impl Sample {
    fn new(service: &'static str, port: Port, source: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            service,
            port,
            source,
            whole_from: bytes.len(),
            bytes,
            further: Vec::new(),
            grade: Grade::Proven,
            fields: Vec::new(),
        }
    }

    fn grade(mut self, grade: Grade) -> Self {
        self.grade = grade;
        self
    }

    fn field(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    fn further(mut self, reply: impl Into<Vec<u8>>) -> Self {
        self.further.push(reply.into());
        self
    }

    fn whole_from(mut self, length: usize) -> Self {
        self.whole_from = length;
        self
    }

    /// The bytes as they are seen: unasked, or as the reply to the service's own request.
    pub(crate) fn seen(&self, knowledge: &Knowledge) -> Seen {
        self.seen_with(knowledge, self.bytes.clone())
    }

    pub(crate) fn seen_with(&self, knowledge: &Knowledge, bytes: Vec<u8>) -> Seen {
        let name = ServiceName::new(self.service).unwrap();
        let service = knowledge.service(&name).unwrap();
        let request = match self.service {
            "snmp" => Knowledge::snmp_request("plant7"),
            _ => service.request.clone(),
        };
        let sent = |request: &Request| request.bytes_for([127, 0, 0, 1].into(), self.port);
        let Some(request) = request else {
            return Seen {
                spoke_first: bytes,
                ..Seen::default()
            };
        };
        let mut seen = Seen {
            request: Some(sent(&request)),
            reply: bytes,
            ..Seen::default()
        };
        for (request, reply) in service.further.iter().zip(&self.further) {
            let request = service.judge.complete(request, &seen);
            seen.further.push(Further {
                request: request.as_ref().map(sent).unwrap_or_default(),
                reply: reply.clone(),
            });
        }
        seen
    }
}

/// Reads bytes as they are written in facts and dumps.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

/// How many bytes it is to the end of a text in them.
fn through(bytes: &[u8], text: &str) -> usize {
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    at.unwrap() + text.len()
}

/// At least one reply of every service that can be recognised by its bytes.
pub(crate) fn samples() -> Vec<Sample> {
    [automation(), devices(), moxa(), general()]
        .into_iter()
        .flatten()
        .collect()
}

/// Protocols with a standard, or with a server that anybody can run.
fn automation() -> Vec<Sample> {
    vec![
        Sample::new(
            "modbus-tcp",
            Port::tcp(502),
            "real server: pymodbus 3.16.1",
            hex("00 00 00 00 00 1a 01 2b 0e 01 83 00 00 03 00 04 41 63 6d 65 01 05 50 4c 43 2d 37 02 03 31 2e 32"),
        )
        .field("vendor", "Acme")
        .field("product", "PLC-7")
        .field("revision", "1.2"),
        Sample::new(
            "modbus-tcp",
            Port::tcp(502),
            "stand-in bytes from MODBUS Application Protocol V1.1b3, section 7",
            hex("00 00 00 00 00 03 01 ab 01"),
        ),
        Sample::new(
            "s7comm",
            Port::tcp(102),
            "real server: python-snap7 3.3.0",
            hex("03 00 00 16 11 d0 00 14 00 01 00 c0 01 0a c1 02 01 00 c2 02 01 02"),
        )
        .further(hex(
            "03 00 00 1b 02 f0 80 32 03 00 00 00 00 00 08 00 00 00 00 f0 00 00 01 00 01 01 e0",
        )),
        // The same without the setup: ISO transport, and no more.
        Sample::new(
            "s7comm",
            Port::tcp(102),
            "real server: python-snap7 3.3.0",
            hex("03 00 00 16 11 d0 00 14 00 01 00 c0 01 0a c1 02 01 00 c2 02 01 02"),
        )
        .grade(Grade::Possible),
        Sample::new(
            "ethernet-ip",
            Port::tcp(44818),
            "real server: cpppo 5.2.5",
            hex("63 00 3c 00 00 00 00 00 00 00 00 00 00 00 00 00 c1 de be d1 00 00 00 00 01 00 0c 00 36 00 01 00 00 02 af 12 \
                 00 00 00 00 00 00 00 00 00 00 00 00 01 00 0e 00 36 00 14 0b 60 31 1a 06 6c 00 14 31 37 35 36 2d 4c 36 31 2f \
                 42 20 4c 4f 47 49 58 35 35 36 31 ff"),
        )
        .field("vendor", "CIP vendor 1")
        .field("revision", "20.11")
        .field("serial", "006C061A")
        .field("model", "1756-L61/B LOGIX5561"),
        Sample::new(
            "bacnet-ip",
            Port::udp(47808),
            "real server: bacpypes3 0.0.110",
            hex("81 0a 00 17 01 00 30 01 0c 0c 02 00 00 4d 19 4b 3e c4 02 00 00 4d 3f"),
        )
        .further(hex(
            "81 0a 00 1d 01 00 30 01 0c 0c 02 00 00 4d 19 79 3e 75 09 00 42 41 43 70 79 70 65 73 3f",
        ))
        .further(hex("81 0a 00 17 01 00 30 01 0c 0c 02 00 00 4d 19 46 3e 74 00 4e 2f 41 3f"))
        .further(hex("81 0a 00 17 01 00 30 01 0c 0c 02 00 00 4d 19 2c 3e 74 00 4e 2f 41 3f"))
        .further(hex(
            "81 0a 00 1b 01 00 30 01 0c 0c 02 00 00 4d 19 4d 3e 75 07 00 42 6f 69 6c 65 72 3f",
        ))
        .field("vendor", "BACpypes")
        .field("model", "N/A")
        .field("firmware", "N/A")
        .field("name", "Boiler"),
        // Its answer to the wildcard instance: object unknown.
        Sample::new(
            "bacnet-ip",
            Port::udp(47808),
            "real server: bacpypes3 0.0.110",
            hex("81 0a 00 0d 01 00 50 01 0c 91 01 91 1f"),
        ),
        Sample::new(
            "dnp3",
            Port::tcp(20000),
            "stand-in bytes from IEEE 1815, clause 9",
            hex("05 64 05 0b 00 00 01 00 ba f0"),
        ),
        Sample::new(
            "dnp3",
            Port::tcp(20000),
            "stand-in bytes from IEEE 1815, clause 9",
            hex("05 64 05 0f 00 00 01 00 a2 7c"),
        ),
        Sample::new(
            "opc-ua",
            Port::tcp(4840),
            "real server: asyncua 2.1.0",
            hex("41 43 4b 46 1c 00 00 00 00 00 00 00 ff ff 00 00 ff ff 00 00 00 00 40 06 41 06 00 00"),
        ),
        // Bad_TcpEndpointUrlInvalid without a text.
        Sample::new(
            "opc-ua",
            Port::tcp(4840),
            "stand-in bytes from OPC 10000-6, 7.1.2.5",
            hex("45 52 52 46 10 00 00 00 00 00 83 80 ff ff ff ff"),
        ),
        Sample::new(
            "iec-104",
            Port::tcp(2404),
            "real server: c104 2.2.1",
            hex("68 04 83 00 00 00"),
        ),
        Sample::new(
            "mqtt",
            Port::tcp(1883),
            "real server: mosquitto 2.0.11 and amqtt 0.12.1",
            hex("20 02 00 00"),
        )
        .field("weakness", "accepts clients without user name and password"),
        Sample::new(
            "mqtt",
            Port::tcp(1883),
            "real server: mosquitto 2.0.11",
            hex("20 02 00 05"),
        ),
        Sample::new(
            "snmp",
            Port::udp(161),
            "real server: net-snmp 5.9.3",
            hex("30 4b 02 01 01 04 06 70 6c 61 6e 74 37 a2 3e 02 02 50 43 02 01 00 02 01 00 30 32 30 19 06 08 2b 06 01 02 01 \
                 01 01 00 04 0d 4c 69 6e 75 78 20 67 61 74 65 77 61 79 30 15 06 08 2b 06 01 02 01 01 02 00 06 09 2b 06 01 04 \
                 01 c3 73 07 01"),
        )
        .field("product", "Linux gateway")
        .field("vendor", "Moxa")
        .field("object-id", "1.3.6.1.4.1.8691.7.1"),
    ]
}

/// Protocols of one vendor, put together from what the sources say of their layout.
fn devices() -> Vec<Sample> {
    let fins: Vec<u8> = [
        hex("c0 00 02 00 63 00 00 00 00 ef 05 01 00 00"),
        padded("CJ2M-CPU31", 20),
        padded("02.01", 20),
        vec![0; 20],
    ]
    .concat();
    let srtp: Vec<u8> = [hex("01 00 00 00 00 00 00 00 0f"), vec![0; 47]].concat();
    let proconos: Vec<u8> = [
        hex("cc 01 00 5a 40 02 00 00 00 00 00 00"),
        padded("ProConOS V4.1.0230", 32),
        padded("ADAM5510KW", 33),
        padded("Pump house", 16),
    ]
    .concat();
    let codesys: Vec<u8> = [
        hex("bb bb 01"),
        vec![0; 61],
        padded("Nucleus PLUS", 32),
        padded("Nucleus PLUS version 2.1", 32),
        padded("WAGO 750-881", 32),
    ]
    .concat();
    let realport: Vec<u8> = [
        hex("fc 01 00 1c 00 00 00 01 00 00 00 00"),
        b"Digi TS4".to_vec(),
        hex("fc 02 00 06 00 04 fc 18 00 04"),
    ]
    .concat();
    let addp: Vec<u8> = [
        b"DIGI\0\x02\0\x26".to_vec(),
        hex("01 06 00 40 9d 01 02 03 02 04 0a 07 0a 14"),
        b"\x04\x05line3".to_vec(),
        b"\x0d\x0cDigi One SP \x12\x01\x01".to_vec(),
    ]
    .concat();
    let fox = b"fox a 0 -1 fox hello\n{\nfox.version=s:1.0.1\nid=i:1\nhostName=s:192.168.1.11\n\
        hostAddress=s:192.168.1.11\napp.name=s:Station\napp.version=s:3.8.38\nvm.name=s:Java HotSpot\nos.name=s:QNX\n\
        brandId=s:vykon\nhostId=s:Qnx-JVLN-0000-05A8-6D6B\n};;\n";
    vec![
        Sample::new("niagara-fox", Port::tcp(1911), "stand-in bytes from NMAP fox-info", fox)
            // The line feed at the end may be missing.
            .whole_from(fox.len() - 1)
            .field("name", "192.168.1.11")
            .field("product", "Station")
            .field("firmware", "3.8.38")
            .field("vendor", "vykon")
            .field("serial", "Qnx-JVLN-0000-05A8-6D6B"),
        Sample::new("omron-fins-udp", Port::udp(9600), "stand-in bytes from NMAP omron-info", fins)
            .whole_from(54)
            .field("model", "CJ2M-CPU31")
            .field("firmware", "02.01"),
        Sample::new(
            "omron-fins-tcp",
            Port::tcp(9600),
            "stand-in bytes from NMAP omron-info",
            hex("46 49 4e 53 00 00 00 10 00 00 00 01 00 00 00 00 00 00 00 ef 00 00 00 01"),
        ),
        Sample::new(
            "red-lion-crimson",
            Port::tcp(789),
            "stand-in bytes from cr3-fingerprint and NERVA",
            b"\0\x16\x01\x2b\x1b\0Red Lion Controls\0",
        )
        .further(b"\0\x0b\x01\x2a\x1a\0G310C2\0")
        .field("vendor", "Red Lion Controls")
        .field("model", "G310C2"),
        Sample::new("ge-srtp", Port::tcp(18245), "stand-in bytes from NERVA gesrtp", srtp).grade(Grade::Likely),
        Sample::new(
            "hart-ip",
            Port::tcp(5094),
            "stand-in bytes from NMAP hartip-info",
            hex("01 01 00 00 50 43 00 0d 01 00 00 13 88"),
        ),
        Sample::new(
            "hart-ip",
            Port::udp(5094),
            "stand-in bytes from NMAP hartip-info",
            hex("01 0f 00 0f 50 43 00 08"),
        ),
        Sample::new("proconos", Port::tcp(20547), "stand-in bytes from RED proconos-info", proconos)
            // The type must be whole; the project may be missing.
            .whole_from(55)
            .field("product", "ProConOS V4.1.0230")
            .field("model", "ADAM5510KW")
            .field("name", "Pump house"),
        Sample::new(
            "pcworx",
            Port::tcp(1962),
            "stand-in bytes from NMAP pcworx-info",
            hex("81 01 00 14 00 00 00 00 78 80 00 03 00 04 00 01 00 2a 00 00"),
        )
        .grade(Grade::Likely),
        Sample::new(
            "lantronix-search",
            Port::udp(30718),
            "stand-in bytes from the pair of requests and replies of MSF lantronix_telnet_password",
            hex("00 00 00 f7 33 51 31 00 00 00 00 00 00 80 a3 01 02 03"),
        )
        .grade(Grade::Likely)
        .field("mac", "00:80:A3:01:02:03")
        .field("vendor", "Lantronix"),
        Sample::new(
            "lantronix-console",
            Port::tcp(9999),
            "stand-in bytes from NMAP service probes",
            b"*** Lantronix Universal Device Server ***\r\nSerial Number 9610525  MAC address 00:80:A3:01:02:03\r\n",
        )
        .whole_from(41)
        .field("vendor", "Lantronix"),
        Sample::new("digi-addp", Port::udp(2362), "stand-in bytes from MSF addp", addp)
            .field("vendor", "Digi")
            .field("mac", "00:40:9D:01:02:03")
            .field("name", "line3")
            .field("model", "Digi One SP"),
        Sample::new("digi-realport", Port::tcp(771), "stand-in bytes from MSF realport", realport)
            // Product and FC 02 are there; what follows need not be.
            .whole_from(22)
            .field("model", "Digi TS4"),
        Sample::new(
            "digi-realport",
            Port::tcp(771),
            "stand-in bytes from MSF realport",
            b"\xff\x17Access to unopened port\0",
        )
        .whole_from(25),
        Sample::new("codesys-v2", Port::tcp(2455), "stand-in bytes from RED codesys-v2-discover", codesys)
            // The product must be whole, with its NUL.
            .whole_from(141)
            .field("os", "Nucleus PLUS")
            .field("product", "WAGO 750-881"),
    ]
}

fn moxa() -> Vec<Sample> {
    const CONSOLE: &[u8] = b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x01\xff\xfd\x00\r\n\
        Model name       : NPort 5110\r\nMAC address      : 00:90:E8:01:02:03\r\nSerial No.       : 1234\r\n\
        Firmware version : 2.4 Build 11011811\r\n\r\n";
    let asking = [CONSOLE, b"Please keyin your password:"].concat();
    let menu = [
        CONSOLE,
        b"<< Main menu >>\r\n  (1) Basic settings\r\n  (c) Change password\r\n  (l) Load factory default\r\n",
    ]
    .concat();
    let page = |server: &str, title: &str, body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nServer: {server}\r\nContent-Type: text/html\r\n\r\n<HTML><TITLE>{title}</TITLE>{body}"
        )
    };
    let web = |source, page: String, whole_from: &str, model: &'static str| {
        let whole_from = page.find(whole_from).unwrap() + whole_from.len();
        let sample = Sample::new("moxa-web-console", Port::tcp(80), source, page)
            .whole_from(whole_from)
            .field("vendor", "Moxa");
        if model.is_empty() {
            sample
        } else {
            sample.field("model", model)
        }
    };
    vec![
        Sample::new(
            "moxa-dsci",
            Port::udp(4800),
            "stand-in bytes from NPREAL and MD4800",
            hex("81 00 00 18 00 00 00 00 10 51 00 80 10 51 00 90 e8 01 02 03 c0 a8 7f fe"),
        )
        .further(
            [
                hex("90 00 00 3c 00 00 00 00 10 51 00 80 10 51 00 90 e8 01 02 03"),
                padded("Pump house", 40),
            ]
            .concat(),
        )
        .field("name", "Pump house")
        .field("mac", "00:90:E8:01:02:03")
        .field("vendor", "Moxa")
        .field("model", "NPort 5110")
        .field("address", "192.168.127.254"),
        Sample::new(
            "moxa-console",
            Port::tcp(23),
            "stand-in bytes from NMAP service probes",
            asking,
        )
        // Model and a hardware address of Moxa's are enough.
        .whole_from(through(CONSOLE, "01:02:03\r\n"))
        .field("model", "NPort 5110")
        .field("mac", "00:90:E8:01:02:03")
        .field("serial", "1234")
        .field("firmware", "2.4 Build 11011811"),
        Sample::new(
            "moxa-console",
            Port::tcp(23),
            "stand-in bytes from Greenbone 103665",
            menu,
        )
        .whole_from(through(CONSOLE, "01:02:03\r\n"))
        .field("model", "NPort 5110")
        .field("weakness", "no console password is set"),
        Sample::new(
            "moxa-ssh",
            Port::tcp(22),
            "stand-in bytes from NMAP service probes",
            b"SSH-2.0-moxa_1.0\r\n",
        )
        .whole_from(13)
        .field("vendor", "Moxa"),
        web(
            "stand-in bytes from NMAP service probes",
            page("MoxaHttp/1.0", "NPort Web Console", ""),
            "MoxaHttp/",
            "NPort",
        ),
        web(
            "stand-in bytes from Greenbone 106359",
            page("ioLogik Web Server", "", ""),
            "Web Server",
            "ioLogik",
        ),
        web(
            "stand-in bytes from Greenbone 105821",
            page("x", "Overview", "Welcome to MGate MB3170 web console"),
            "web console",
            "MGate",
        ),
        web(
            "stand-in bytes from Greenbone 106740",
            page("x", "Moxa AWK-3131A", ""),
            "</TITLE",
            "AWK",
        ),
        web(
            "stand-in bytes from Greenbone 140015",
            page("x", "Moxa EDR", ""),
            "</TITLE",
            "EDR",
        ),
        web(
            "stand-in bytes from NMAP service probes",
            "HTTP/1.1 200 OK\r\nServer: Http/1.0\r\nSet-Cookie: ChallID=123\r\n\r\n".into(),
            "ChallID=",
            "",
        ),
        Sample::new(
            "mxview",
            Port::tcp(80),
            "stand-in bytes from Greenbone 140244",
            page("x", "MXview", "<a href='MXviewClientSetup.exe'>x</a> Moxa Inc."),
        )
        .field("vendor", "Moxa")
        .field("model", "MXview"),
    ]
}

/// What must be told apart.
fn general() -> Vec<Sample> {
    const NGINX: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 15:57:24 GMT\r\n\
        Content-Type: text/html\r\nContent-Length: 36\r\nConnection: close\r\n\r\n<html><title>Welcome</title></html>\n";
    const UPNP: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 134\r\n\
        Server: Debian/6.1 UPnP/1.1 MiniUPnPd/2.3.1\r\nExt:\r\n\r\n<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD>";
    const REGISTRY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json; charset=utf-8\r\n\
        Docker-Distribution-Api-Version: registry/2.0\r\nDate: Mon, 23 Nov 2026 15:57:24 GMT\r\nConnection: close\r\n\r\n{}";
    vec![
        Sample::new("http", Port::tcp(80), "real server: nginx 1.22.1", NGINX)
            .whole_from(13)
            .field("name", "Welcome")
            .field("server", "nginx/1.22.1"),
        Sample::new("upnp", Port::tcp(5000), "real server: miniupnpd 2.3.1", UPNP)
            .whole_from(through(UPNP, " UPnP/1.")),
        Sample::new(
            "container-registry",
            Port::tcp(5000),
            "real server: docker-registry 2.8.2",
            REGISTRY,
        )
        .whole_from(through(REGISTRY, "registry/2")),
        Sample::new(
            "ssh",
            Port::tcp(22),
            "real server: OpenSSH 9.2p1",
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n",
        )
        .whole_from(9),
        Sample::new(
            "tls",
            Port::tcp(443),
            "real server: OpenSSL 3.0.19",
            hex("15 03 03 00 02 02 32"),
        ),
        Sample::new(
            "telnet",
            Port::tcp(23),
            "real server: inetutils-telnetd 2.4",
            hex("ff fb 25 ff fb 26 ff fd 18 ff fd 20 ff fd 23 ff fd 27 ff fd 24"),
        )
        .whole_from(6),
        Sample::new(
            "ftp",
            Port::tcp(21),
            "real server: vsftpd 3.0.3",
            b"220 (vsFTPd 3.0.3)\r\n",
        )
        .whole_from(10),
        Sample::new(
            "vnc",
            Port::tcp(5900),
            "real server: TigerVNC 1.12.0",
            b"RFB 003.008\n",
        ),
        Sample::new(
            "rdp",
            Port::tcp(3389),
            "real server: xrdp 0.9.21",
            hex("03 00 00 13 0e d0 00 00 12 34 00 02 01 08 00 01 00 00 00"),
        ),
    ]
}
