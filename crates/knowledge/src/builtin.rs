//! The data files that are compiled in. A test holds this list against the folder.

/// Name and text of each file of `knowledge/services`.
pub(crate) const FILES: [(&str, &str); 42] = [
    (
        "bacnet-ip.toml",
        include_str!("../../../knowledge/services/bacnet-ip.toml"),
    ),
    (
        "codesys-v2.toml",
        include_str!("../../../knowledge/services/codesys-v2.toml"),
    ),
    (
        "container-registry.toml",
        include_str!("../../../knowledge/services/container-registry.toml"),
    ),
    (
        "digi-addp.toml",
        include_str!("../../../knowledge/services/digi-addp.toml"),
    ),
    (
        "digi-realport.toml",
        include_str!("../../../knowledge/services/digi-realport.toml"),
    ),
    ("dnp3.toml", include_str!("../../../knowledge/services/dnp3.toml")),
    (
        "ethernet-ip.toml",
        include_str!("../../../knowledge/services/ethernet-ip.toml"),
    ),
    ("ftp.toml", include_str!("../../../knowledge/services/ftp.toml")),
    (
        "ge-srtp.toml",
        include_str!("../../../knowledge/services/ge-srtp.toml"),
    ),
    (
        "hart-ip.toml",
        include_str!("../../../knowledge/services/hart-ip.toml"),
    ),
    ("http.toml", include_str!("../../../knowledge/services/http.toml")),
    (
        "iec-104.toml",
        include_str!("../../../knowledge/services/iec-104.toml"),
    ),
    (
        "lantronix-console.toml",
        include_str!("../../../knowledge/services/lantronix-console.toml"),
    ),
    (
        "lantronix-search.toml",
        include_str!("../../../knowledge/services/lantronix-search.toml"),
    ),
    (
        "modbus-tcp.toml",
        include_str!("../../../knowledge/services/modbus-tcp.toml"),
    ),
    (
        "moxa-console.toml",
        include_str!("../../../knowledge/services/moxa-console.toml"),
    ),
    (
        "moxa-dsci.toml",
        include_str!("../../../knowledge/services/moxa-dsci.toml"),
    ),
    (
        "moxa-mdm-gateway.toml",
        include_str!("../../../knowledge/services/moxa-mdm-gateway.toml"),
    ),
    (
        "moxa-real-com.toml",
        include_str!("../../../knowledge/services/moxa-real-com.toml"),
    ),
    (
        "moxa-ssh.toml",
        include_str!("../../../knowledge/services/moxa-ssh.toml"),
    ),
    (
        "moxa-tcp-server.toml",
        include_str!("../../../knowledge/services/moxa-tcp-server.toml"),
    ),
    (
        "moxa-web-console.toml",
        include_str!("../../../knowledge/services/moxa-web-console.toml"),
    ),
    (
        "mqtt-tls.toml",
        include_str!("../../../knowledge/services/mqtt-tls.toml"),
    ),
    ("mqtt.toml", include_str!("../../../knowledge/services/mqtt.toml")),
    (
        "mxview.toml",
        include_str!("../../../knowledge/services/mxview.toml"),
    ),
    (
        "niagara-fox.toml",
        include_str!("../../../knowledge/services/niagara-fox.toml"),
    ),
    (
        "niagara-foxs.toml",
        include_str!("../../../knowledge/services/niagara-foxs.toml"),
    ),
    (
        "omron-fins-tcp.toml",
        include_str!("../../../knowledge/services/omron-fins-tcp.toml"),
    ),
    (
        "omron-fins-udp.toml",
        include_str!("../../../knowledge/services/omron-fins-udp.toml"),
    ),
    (
        "opc-ua.toml",
        include_str!("../../../knowledge/services/opc-ua.toml"),
    ),
    (
        "pcworx.toml",
        include_str!("../../../knowledge/services/pcworx.toml"),
    ),
    (
        "proconos.toml",
        include_str!("../../../knowledge/services/proconos.toml"),
    ),
    (
        "profinet-dcp.toml",
        include_str!("../../../knowledge/services/profinet-dcp.toml"),
    ),
    ("rdp.toml", include_str!("../../../knowledge/services/rdp.toml")),
    (
        "red-lion-crimson.toml",
        include_str!("../../../knowledge/services/red-lion-crimson.toml"),
    ),
    (
        "s7comm.toml",
        include_str!("../../../knowledge/services/s7comm.toml"),
    ),
    ("snmp.toml", include_str!("../../../knowledge/services/snmp.toml")),
    ("ssh.toml", include_str!("../../../knowledge/services/ssh.toml")),
    (
        "telnet.toml",
        include_str!("../../../knowledge/services/telnet.toml"),
    ),
    ("tls.toml", include_str!("../../../knowledge/services/tls.toml")),
    ("upnp.toml", include_str!("../../../knowledge/services/upnp.toml")),
    ("vnc.toml", include_str!("../../../knowledge/services/vnc.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../knowledge/services");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, FILES.map(|(name, _)| name));
    }
}
