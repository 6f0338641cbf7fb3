//! Protocols with a standard, or with a server that anybody can run.

use portcullis_model::{Grade, Port};

use super::{Sample, hex};

pub(super) fn samples() -> Vec<Sample> {
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
        // It reports as soon as the connection stands, then answers.
        Sample::new(
            "dnp3",
            Port::tcp(20000),
            "real server: dnp3 1.8.0",
            hex("05 64 0a 44 00 00 01 00 b9 38 c0 f0 82 80 00 6b 7d 05 64 05 0b 00 00 01 00 ba f0"),
        )
        .whole_from(17),
        Sample::new(
            "dnp3",
            Port::tcp(20000),
            "real server: dnp3 1.8.0",
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
        .further(Vec::new())
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
