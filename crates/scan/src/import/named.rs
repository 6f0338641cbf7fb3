//! What another program called a service, as far as it is believed.
//!
//! A name of nmap is never more than `possible`, and only where the service is known to use the port: nmap has been seen
//! to give a false name to four echoed bytes. Plugin 50303 of Nessus exists for one service only, and makes it `likely`.

use std::collections::BTreeMap;

use portcullis_knowledge::Knowledge;
use portcullis_model::{Grade, Identification, Port, PortState, ServiceName, Untrusted};

use super::{Named, PortSeen, Tool};

/// How a name that repeats the number of the port is told.
const BY_NUMBER: &str = "by its port number alone";

/// Whether the other program had asked the port before it named it so: a name by the number says no more than the number.
pub fn had_asked(identification: &Identification) -> bool {
    !identification
        .reasons
        .iter()
        .all(|reason| reason.ends_with(BY_NUMBER))
}

const GATEWAY: &str = "moxa-mdm-gateway";

/// Words of nmap (`nmap-services`, `nmap-service-probes`) that differ from our names.
const WORDS: [(&str, &str); 19] = [
    ("EtherNetIP-2", "ethernet-ip"),
    ("EtherNet-IP-2", "ethernet-ip"),
    ("bacnet", "bacnet-ip"),
    ("dnp", "dnp3"),
    ("hart-ip", "hart-ip"),
    ("http-alt", "http"),
    ("http-proxy", "http"),
    ("https", "tls"),
    ("https-alt", "tls"),
    ("iso-tsap", "s7comm"),
    ("mbap", "modbus-tcp"),
    ("modbus", "modbus-tcp"),
    ("ms-wbt-server", "rdp"),
    ("niagara-fox", "niagara-fox"),
    ("opcua-tcp", "opc-ua"),
    ("secure-mqtt", "mqtt-tls"),
    ("ssl", "tls"),
    ("vnc-http", "http"),
    ("iec-104", "iec-104"),
];

/// The services that the names of a port stand for. Only of open ports: on another nothing was there to be named.
pub(super) fn identifications(
    seen: &PortSeen,
    knowledge: &Knowledge,
    moved: &[(ServiceName, Port)],
) -> Vec<Identification> {
    if seen.state != PortState::Open {
        return Vec::new();
    }
    let plugins: Vec<u32> = seen
        .named
        .iter()
        .filter_map(|named| match named {
            Named::Plugin(id) => Some(*id),
            Named::Service { .. } => None,
        })
        .collect();
    let services = seen.named.iter().filter_map(|named| match named {
        Named::Service { name, asked } => {
            let service = service(name.raw(), seen.port, knowledge, moved)?;
            Some(identification(
                service,
                Grade::Possible,
                vec![called(seen.tool, name, *asked)],
            ))
        }
        Named::Plugin(_) => None,
    });
    gateway(&plugins).into_iter().chain(services).collect()
}

fn gateway(plugins: &[u32]) -> Option<Identification> {
    let reasons: Vec<String> = plugins.iter().map(|id| match id {
        16483 => "plugin 16483 of Nessus reports it; a hardening guide gives this id for plugin 50303, Tenable does \
                  not: verify by hand"
            .to_owned(),
        id => format!("plugin {id} of Nessus (Moxa Device Manager Gateway Detection) reports it"),
    }).rev().collect();
    let service = ServiceName::new(GATEWAY)?;
    (!reasons.is_empty()).then(|| identification(service, Grade::Likely, reasons))
}

fn called(tool: Tool, name: &Untrusted, asked: bool) -> String {
    let how = if asked { "after it had asked it" } else { BY_NUMBER };
    format!("{tool} called it `{name}`, {how}")
}

fn service(
    word: &str,
    port: Port,
    knowledge: &Knowledge,
    moved: &[(ServiceName, Port)],
) -> Option<ServiceName> {
    let translated = WORDS
        .iter()
        .find(|(theirs, _)| *theirs == word)
        .map(|(_, ours)| *ours);
    let name = ServiceName::new(translated.unwrap_or(word))?;
    let service = knowledge.service(&name)?;
    let agrees = service.ports.contains(&port) || moved.contains(&(name.clone(), port));
    agrees.then_some(name)
}

fn identification(service: ServiceName, grade: Grade, reasons: Vec<String>) -> Identification {
    Identification {
        service,
        grade,
        reasons,
        fields: BTreeMap::new(),
    }
}
