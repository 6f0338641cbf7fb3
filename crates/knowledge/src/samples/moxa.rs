//! Moxa's own services.

use portcullis_model::Port;

use super::{Sample, hex, padded, through};

pub(super) fn samples() -> Vec<Sample> {
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
