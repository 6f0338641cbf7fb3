//! What the miniature plant consists of: zones, hosts, and its `site.toml`.

use std::{fmt, fmt::Write as _, net::IpAddr};

/// A zone of the plant. The router has address `.1` (`::1`) in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: &'static str,
    /// First three bytes of its IPv4 network, /24.
    pub v4: &'static str,
    /// Its IPv6 network without the final `::`, /64.
    pub v6: &'static str,
}

/// The zones. The internet is played by documentation addresses (RFC 5737, RFC 3849).
pub const ZONES: [Zone; 4] = [
    Zone {
        name: "control",
        v4: "10.7.10",
        v6: "2001:db8:7:10",
    },
    Zone {
        name: "engineering",
        v4: "10.7.20",
        v6: "2001:db8:7:20",
    },
    Zone {
        name: "office",
        v4: "10.7.30",
        v6: "2001:db8:7:30",
    },
    Zone {
        name: "internet",
        v4: "203.0.113",
        v6: "2001:db8:ffff:1",
    },
];

/// What a host of the plant plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// An MDM Gateway: listens and says nothing.
    MdmGateway {
        /// Its TCP port.
        port: u16,
    },
    /// An ordinary web page.
    WebPage {
        /// Its TCP port.
        port: u16,
    },
    /// A serial device server that answers DSCI on UDP 4800.
    SerialServer,
    /// A controller that speaks Modbus/TCP on TCP 502.
    ModbusController,
    /// A computer: a place to look from, with a historian on TCP 7000 that takes what it is sent.
    Station,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MdmGateway { port } => write!(f, "MDM Gateway, tcp/{port}"),
            Self::WebPage { port } => write!(f, "web page, tcp/{port}"),
            Self::SerialServer => f.write_str("serial device server, udp/4800"),
            Self::ModbusController => f.write_str("Modbus controller, tcp/502"),
            Self::Station => f.write_str("computer to look from"),
        }
    }
}

/// A host of the plant.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Its name.
    pub name: &'static str,
    /// Name of its zone.
    pub zone: &'static str,
    /// Last byte of its IPv4 address, and last group of its IPv6 address.
    pub number: u8,
    /// What it plays.
    pub device: Device,
}

/// The hosts.
pub const HOSTS: [Host; 8] = [
    Host {
        name: "mdm-gateway",
        zone: "control",
        number: 10,
        device: Device::MdmGateway { port: 54321 },
    },
    Host {
        name: "mdm-gateway-moved",
        zone: "control",
        number: 11,
        device: Device::MdmGateway { port: 5000 },
    },
    Host {
        name: "web-page",
        zone: "control",
        number: 12,
        device: Device::WebPage { port: 5000 },
    },
    Host {
        name: "serial-server",
        zone: "control",
        number: 13,
        device: Device::SerialServer,
    },
    Host {
        name: "controller",
        zone: "control",
        number: 14,
        device: Device::ModbusController,
    },
    Host {
        name: "engineering",
        zone: "engineering",
        number: 5,
        device: Device::Station,
    },
    Host {
        name: "office",
        zone: "office",
        number: 5,
        device: Device::Station,
    },
    Host {
        name: "internet",
        zone: "internet",
        number: 5,
        device: Device::Station,
    },
];

impl Host {
    /// The host with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        HOSTS.iter().find(|host| host.name == name)
    }

    fn zone(&self) -> Option<&'static Zone> {
        ZONES.iter().find(|zone| zone.name == self.zone)
    }

    /// Its IPv4 address as text.
    pub fn v4(&self) -> String {
        format!("{}.{}", self.zone().map_or("", |zone| zone.v4), self.number)
    }

    /// Its IPv6 address as text.
    pub fn v6(&self) -> String {
        format!("{}::{:x}", self.zone().map_or("", |zone| zone.v6), self.number)
    }

    /// Both addresses.
    pub fn addresses(&self) -> Vec<IpAddr> {
        [self.v4(), self.v6()]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    }
}

/// The plant as its owner would declare it: only *engineering* may reach the gateways in *control*.
pub fn site_toml() -> String {
    let mut text = String::from("[site]\nname = \"miniature-plant\"\ntimezone = \"Europe/Oslo\"\n");
    for zone in &ZONES {
        let networks = match zone.name {
            "internet" => "\"any\"".to_owned(),
            _ => format!("\"{}.0/24\", \"{}::/64\"", zone.v4, zone.v6),
        };
        let _ = write!(
            text,
            "\n[[zone]]\nname = \"{}\"\nnetworks = [{networks}]\n",
            zone.name
        );
    }
    text.push_str(
        "\n[[conduit]]\nfrom = \"engineering\"\nto = \"control\"\nservices = [\"moxa-mdm-gateway\", \"moxa-dsci\", \"modbus-tcp\"]\n\
         \n[[service]]\nname = \"moxa-mdm-gateway\"\nalso_on = [\"tcp/5000\"]\n\
         \n[keep]\nconnections = [\"engineering -> control tcp/54321\"]\n",
    );
    text
}

/// A firewall of the plant's own on the gateway host, as one finds it: Portcullis must leave it untouched.
pub const GATEWAY_FIREWALL: &str = r#"
table inet plant_filter {
	set banned { type ipv4_addr; flags timeout; }
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		ip saddr @banned drop
		tcp dport 23 counter drop
	}
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_is_valid_and_its_zones_hold_their_hosts() {
        let site = portcullis_model::Site::parse("site.toml", &site_toml()).unwrap();
        for host in &HOSTS {
            for address in host.addresses() {
                assert_eq!(
                    site.zone_of(address).map(|zone| zone.name.as_str()),
                    Some(host.zone),
                    "{address}"
                );
            }
        }
    }
}
