//! Protocols of one vendor, put together from what the sources say of their layout.

use portcullis_model::{Grade, Port};

use super::{Sample, hex, padded};

pub(super) fn samples() -> Vec<Sample> {
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
