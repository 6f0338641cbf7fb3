//! The way to each host: interface, own address, next hop.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddrV6, UdpSocket},
};

use nix::errno::Errno;
use portcullis_sys::packet::route::{Interface, Route, Routes, interfaces, neighbours};

use super::{
    SynError,
    frame::{Own, Template},
};

/// A host, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    pub(super) way: Reach,
}

/// Whether and how a host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By one of the hops.
    Hop(u32),
    /// Not at all; place of the reason.
    Not(u32),
}

/// A neighbour that packets are handed to: a router, or the host itself.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) address: IpAddr,
    /// Place of the link.
    pub(super) link: usize,
    /// Place of the template.
    pub(super) template: usize,
    pub(super) own: Own,
    pub(super) router: bool,
    pub(super) ethernet: Option<[u8; 6]>,
}

/// Addresses up to this one share a route.
struct Stretch {
    until: IpAddr,
    route: Result<(usize, Route), u32>,
    /// The way, where it is the same for all.
    way: Option<Reach>,
}

impl Stretch {
    fn holds(&self, address: IpAddr) -> bool {
        address <= self.until && address.is_ipv4() == self.until.is_ipv4()
    }
}

/// All hosts with their ways.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Sorted by address, each once.
    pub(super) hosts: Vec<Host>,
    pub(super) hops: Vec<Hop>,
    pub(super) links: Vec<Interface>,
    pub(super) templates: Vec<Template>,
    pub(super) reasons: Vec<String>,
    known_hops: HashMap<(usize, IpAddr, IpAddr), u32>,
    known_templates: HashMap<(usize, IpAddr), usize>,
}

impl Ways {
    /// Asks the kernel. Hops that it has not talked to of late have no Ethernet address yet.
    pub(super) fn find(addresses: &[IpAddr], scopes: &[(IpAddr, u32)]) -> Result<Self, SynError> {
        let mut routes = Routes::read().map_err(SynError::System)?;
        let interfaces = interfaces().map_err(SynError::System)?;
        let neighbours = neighbours().map_err(SynError::System)?;
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        let scopes: HashMap<IpAddr, u32> = scopes.iter().copied().collect();
        let mut ways = Self::default();
        let mut stretch: Option<Stretch> = None;
        for address in addresses {
            let here = match stretch.take().filter(|stretch| stretch.holds(address)) {
                Some(stretch) => stretch,
                None => {
                    let answer = match scopes.get(&address) {
                        Some(scope) => on_link(address, *scope),
                        None => routes.to(address).map_err(SynError::System)?,
                    };
                    Stretch {
                        until: if is_link_local(address) {
                            address
                        } else {
                            routes.same_until(address)
                        },
                        route: ways.usable(address, scopes.contains_key(&address), answer, &interfaces),
                        way: None,
                    }
                }
            };
            let way = match (&here.way, &here.route) {
                (Some(way), _) => *way,
                (None, Err(reason)) => Reach::Not(*reason),
                (None, Ok((link, route))) => ways.hop(*link, route, address),
            };
            let by_router = matches!(&here.route, Ok((_, route)) if route.gateway.is_some());
            stretch = Some(Stretch {
                way: by_router.then_some(way),
                ..here
            });
            ways.hosts.push(Host { address, way });
        }
        for hop in &mut ways.hops {
            let interface = ways.links.get(hop.link).map_or(0, |link| link.index);
            hop.ethernet = neighbours.get(&(interface, hop.address)).copied();
        }
        ways.known_hops = HashMap::new();
        Ok(ways)
    }

    /// The place of a host in the list.
    pub(super) fn place(&self, address: IpAddr) -> Option<usize> {
        self.hosts
            .binary_search_by_key(&address, |host| host.address)
            .ok()
    }

    pub(super) fn hop_of(&self, host: &Host) -> Option<&Hop> {
        match host.way {
            Reach::Hop(hop) => self.hops.get(hop as usize),
            Reach::Not(_) => None,
        }
    }

    /// Hosts behind a router that did not answer cannot be asked.
    pub(super) fn give_up_lost_routers(&mut self) {
        for place in 0..self.hosts.len() {
            let lost = self
                .hosts
                .get(place)
                .and_then(|host| self.hop_of(host))
                .filter(|hop| hop.router && hop.ethernet.is_none());
            let Some(hop) = lost else { continue };
            let name = self.links.get(hop.link).map_or("", |link| link.name.as_str());
            let reason = format!(
                "the router {} on {name} did not answer: no packet was sent",
                hop.address
            );
            let reason = self.reason(reason);
            if let Some(host) = self.hosts.get_mut(place) {
                host.way = Reach::Not(reason);
            }
        }
    }

    fn usable(
        &mut self,
        address: IpAddr,
        scoped: bool,
        answer: Result<Route, io::Error>,
        interfaces: &[Interface],
    ) -> Result<(usize, Route), u32> {
        let route = answer.map_err(|error| self.reason(refusal(&error)))?;
        if let Some(reason) = unfit(address, &route, scoped) {
            return Err(self.reason(reason.into()));
        }
        let Some(interface) = interfaces.iter().find(|one| one.index == route.interface) else {
            return Err(self.reason("this host has no route to it: no packet was sent".into()));
        };
        let name = &interface.name;
        if interface.ethernet.is_none() {
            return Err(self.reason(format!(
                "it is reached by {name}, which has no Ethernet: a SYN scan cannot use it, --mode connect can"
            )));
        }
        if !interface.up {
            return Err(self.reason(format!(
                "it is reached by {name}, which is down: no packet was sent"
            )));
        }
        let link = match self.links.iter().position(|link| link.index == interface.index) {
            Some(link) => link,
            None => {
                self.links.push(interface.clone());
                self.links.len() - 1
            }
        };
        Ok((link, route))
    }

    fn hop(&mut self, link: usize, route: &Route, address: IpAddr) -> Reach {
        let ethernet = self.links.get(link).and_then(|link| link.ethernet);
        let (Some(source), Some(ethernet)) = (route.source, ethernet) else {
            return Reach::Not(self.reason("this host has no address of its own to look from".into()));
        };
        let own = Own {
            ethernet,
            address: source,
        };
        let template = match self.known_templates.get(&(link, source)) {
            Some(template) => *template,
            None => {
                self.templates.push(Template::new(own));
                let template = self.templates.len() - 1;
                self.known_templates.insert((link, source), template);
                template
            }
        };
        let next = route.gateway.unwrap_or(address);
        let key = (link, source, next);
        if let Some(hop) = self.known_hops.get(&key) {
            return Reach::Hop(*hop);
        }
        let place = u32::try_from(self.hops.len()).unwrap_or(u32::MAX);
        self.hops.push(Hop {
            address: next,
            link,
            template,
            own,
            router: route.gateway.is_some(),
            ethernet: None,
        });
        self.known_hops.insert(key, place);
        Reach::Hop(place)
    }

    fn reason(&mut self, reason: String) -> u32 {
        let place = match self.reasons.iter().position(|known| *known == reason) {
            Some(place) => place,
            None => {
                self.reasons.push(reason);
                self.reasons.len() - 1
            }
        };
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

/// The way to a link-local address: its interface was said, and the kernel knows which of our own addresses goes with it.
fn on_link(address: IpAddr, interface: u32) -> Result<Route, io::Error> {
    let IpAddr::V6(v6) = address else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    // Connecting a datagram socket sends nothing.
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    socket.connect(SocketAddrV6::new(v6, 9, 0, interface))?;
    let source = socket.local_addr()?.ip();
    Ok(Route {
        interface,
        gateway: None,
        source: Some(source),
        local: source == address,
        many: false,
    })
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn unfit(address: IpAddr, route: &Route, scoped: bool) -> Option<&'static str> {
    if route.local {
        Some("it is this host's own address, which no frame leads to: --mode connect can look at it")
    } else if route.many {
        Some("it is a broadcast or multicast address, which no single host has")
    } else if is_link_local(address) && !scoped {
        Some("it is a link-local address, and it was not said on which interface")
    } else {
        None
    }
}

fn refusal(error: &io::Error) -> String {
    let routes_forbid = matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EACCES | Errno::EPERM | Errno::EINVAL)
    );
    if routes_forbid {
        "this host's own firewall or routes forbid to send to it".into()
    } else {
        "this host has no route to it: no packet was sent".into()
    }
}
