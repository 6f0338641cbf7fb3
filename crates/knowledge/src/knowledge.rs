//! All services together: what to send where, and what the answer means.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use portcullis_model::{Grade, Identification, Port, Secret, ServiceName, Transport, sanitize};

use crate::{
    Exchange, Hazard, KnowledgeError, Request, Role, Seen, Service, Wishes, builtin, check,
    error::unreadable,
    judge::{self, Place, Subject},
};

/// How long to listen on a TCP port for which no service is known.
const LISTEN: Duration = Duration::from_millis(800);
/// How long to wait for the answer to a read of SNMP.
const COMMUNITY_WAIT: Duration = Duration::from_millis(1500);

/// The services that can be recognised.
#[derive(Debug, Clone)]
pub struct Knowledge {
    services: BTreeMap<ServiceName, Service>,
}

impl Knowledge {
    /// The services that are compiled in.
    ///
    /// # Errors
    /// None unless the build was made from broken data files.
    pub fn builtin() -> Result<Self, KnowledgeError> {
        Self::assemble(&builtin::FILES, builtin::FILES.len())
    }

    /// The services that are compiled in and those of further files, each given as its name for messages and its text.
    ///
    /// # Errors
    /// All files that cannot be read, else all broken rules, between the files and those compiled in as well.
    pub fn builtin_with(files: &[(&str, &str)]) -> Result<Self, KnowledgeError> {
        Self::assemble(&[&builtin::FILES, files].concat(), builtin::FILES.len())
    }

    /// Reads service files, each given as its name for messages and its text.
    ///
    /// # Errors
    /// All files that cannot be read, else all broken rules.
    pub fn read(files: &[(&str, &str)]) -> Result<Self, KnowledgeError> {
        Self::assemble(files, 0)
    }

    /// Reads service files, of which the first ones are compiled in.
    fn assemble(files: &[(&str, &str)], builtin: usize) -> Result<Self, KnowledgeError> {
        let (mut services, mut unread) = (Vec::new(), Vec::new());
        for (place, (file, text)) in files.iter().enumerate() {
            match toml::from_str::<Service>(text) {
                Ok(service) => services.push(service),
                Err(error) => unread.push((place, unreadable(file, text, &error))),
            }
        }
        if !unread.is_empty() {
            let (problems, own) = of_own_first(unread, builtin);
            return Err(KnowledgeError::Read { problems, own });
        }
        let broken = check::broken(&services, builtin)
            .into_iter()
            .map(|(place, problem)| {
                let (file, text) = files.get(place).copied().unwrap_or_default();
                // The line on which the service begins to be described.
                let line = text
                    .lines()
                    .position(|line| line.trim_start().starts_with("name"));
                (
                    place,
                    format!("{}:{}: {problem}", sanitize(file), line.unwrap_or(0) + 1),
                )
            });
        let broken: Vec<(usize, String)> = broken.collect();
        if !broken.is_empty() {
            let (problems, own) = of_own_first(broken, builtin);
            return Err(KnowledgeError::Invalid { problems, own });
        }
        let services = services
            .into_iter()
            .map(|service| (service.name.clone(), service))
            .collect();
        Ok(Self { services })
    }

    /// Holds the services against the rules for service files.
    ///
    /// # Errors
    /// All broken rules, each with its service.
    pub fn check(&self) -> Result<(), KnowledgeError> {
        let services: Vec<Service> = self.services.values().cloned().collect();
        let problems: Vec<String> = check::broken(&services, services.len())
            .into_iter()
            .map(|(_, problem)| problem)
            .collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(KnowledgeError::Invalid { problems, own: false }),
        }
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The names of all services.
    pub fn names(&self) -> BTreeSet<ServiceName> {
        self.services.keys().cloned().collect()
    }

    /// One service by its name.
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.services.get(name)
    }

    /// The ports that are looked at when nobody names any: those of management and control services, sorted, without the
    /// ones that are left alone or cannot be tested unless a person names the service. Ports that a site adds are for
    /// the caller to add.
    pub fn default_ports(&self) -> Vec<Port> {
        let targets = self
            .services
            .values()
            .filter(|service| service.role != Role::General && service.by_default);
        let ports: BTreeSet<Port> = targets
            .flat_map(|service| service.ports.iter().copied())
            .filter(|port| self.exchange(*port, &[]).not_testable.is_none())
            .collect();
        ports.into_iter().collect()
    }

    /// What to do after a port was reached. `moved` lists where the site says a service also listens. Never more than
    /// one request, and none on the own port of a silent service. Of several services that could be asked, the one that
    /// the site put there is, then one that manages before one that controls before a general one, then the first by
    /// name. Opt-in requests are left out: see [`Self::exchange_for`].
    pub fn exchange(&self, port: Port, moved: &[(ServiceName, Port)]) -> Exchange {
        let candidates = self.candidates(port, moved);
        if candidates.iter().any(|(service, _)| service.connecting_is_use) {
            return Exchange::untouched();
        }
        let asked = candidates
            .iter()
            .filter(|(service, _)| service.hazard == Hazard::ReadOnlyRequest && !must_be_silent(&candidates))
            .min_by_key(|(service, place)| (*place != Place::Moved, service.role))
            .map(|(service, _)| *service);
        let has_opt_in = candidates
            .iter()
            .any(|(service, _)| service.hazard == Hazard::OptIn);
        match (asked, port.transport) {
            (Some(service), _) => asking(service, port, &candidates),
            (None, Transport::Udp) if has_opt_in => Exchange::opt_in_udp(),
            (None, Transport::Udp) => Exchange::unknown_udp(),
            (None, Transport::Tcp) => Exchange::listen(longest_listen(&candidates)),
        }
    }

    /// What to do after a port was reached when a person asked for exactly this service there: its opt-in request, too,
    /// and a connection that is a use of the device. `None` for an unknown service and for one of the other transport.
    /// Where the port is the own one of a silent service, nothing is sent all the same.
    pub fn exchange_for(&self, name: &ServiceName, port: Port) -> Option<Exchange> {
        let service = self.services.get(name)?;
        let here = [(name.clone(), port)];
        place(service, port, &here)?;
        let candidates = self.candidates(port, &here);
        let may_ask = service.request.is_some() && !must_be_silent(&candidates);
        Some(match (may_ask, port.transport) {
            (true, _) => asking(service, port, &candidates),
            (false, Transport::Udp) => Exchange::unknown_udp(),
            (false, Transport::Tcp) => Exchange::listen(longest_listen(&candidates)),
        })
    }

    /// What to do after a port was reached, given what a person wishes: of the named services, the first one that is usual
    /// there or that the site moved there is asked, and else the first one that was named together with the port; anywhere
    /// else it is as in [`Self::exchange`]. `moved` lists all of these places, and [`Wishes::elsewhere`] the last ones.
    pub fn exchange_wished(&self, port: Port, moved: &[(ServiceName, Port)], wishes: &Wishes) -> Exchange {
        let only_named = |name: &ServiceName| wishes.elsewhere.contains(&(name.clone(), port));
        let mut here: Vec<&Service> = wishes
            .services
            .iter()
            .filter_map(|name| self.services.get(name))
            .filter(|service| place(service, port, moved).is_some())
            .filter(|service| !only_named(&service.name) || self.may_be_strange(port, wishes))
            .collect();
        here.sort_by_key(|service| only_named(&service.name));
        let wished = here.into_iter().find_map(|service| {
            let silent = must_be_silent(&self.candidates(port, moved));
            match &wishes.community {
                Some(community) if service.judge.needs_community() && !silent => {
                    let request = Self::snmp_request(community.reveal())?;
                    Some(Exchange {
                        request: Some(request),
                        wait: COMMUNITY_WAIT,
                        secret: Some(community.clone()),
                        ..Exchange::listen(Duration::ZERO)
                    })
                }
                _ => self.exchange_for(&service.name, port),
            }
        });
        wished.unwrap_or_else(|| {
            let by_site: Vec<(ServiceName, Port)> = moved
                .iter()
                .filter(|place| !wishes.elsewhere.contains(place))
                .cloned()
                .collect();
            self.exchange(port, &by_site)
        })
    }

    /// Whether a port may be asked by a service that has no business there: a controller takes a strange request only when a
    /// person named this one service and the port, and so meant nothing else.
    fn may_be_strange(&self, port: Port, wishes: &Wishes) -> bool {
        let controls = |service: &Service| service.role == Role::Control && service.ports.contains(&port);
        wishes.services.len() == 1 || !self.services.values().any(controls)
    }

    /// Whether a service can only be asked with a community.
    pub fn needs_community(&self, name: &ServiceName) -> bool {
        self.services
            .get(name)
            .is_some_and(|service| service.judge.needs_community())
    }

    /// What may be asked next over the same connection (or from the same UDP port), given what was seen so far: a
    /// request of the service whose first one was answered as its protocol prescribes. `None`: nothing more. Each
    /// answer goes to [`Seen::further`] before the next call.
    pub fn further(&self, port: Port, moved: &[(ServiceName, Port)], seen: &Seen) -> Option<Request> {
        let request = seen.request.as_ref()?;
        if !seen.spoke_first.is_empty() || seen.closed_by_peer || seen.reply.is_empty() {
            return None;
        }
        if seen.further.last().is_some_and(|turn| turn.reply.is_empty()) {
            return None;
        }
        let candidates = self.candidates(port, moved);
        if must_be_silent(&candidates) {
            return None;
        }
        let (service, place) = candidates
            .into_iter()
            .find(|(service, _)| !service.further.is_empty() && service.may_have_sent(request))?;
        let subject = Subject {
            service,
            port,
            place: Some(place),
        };
        let verdict = service.judge.judge(&subject, seen)?;
        let next = service.further.get(seen.further.len())?;
        (verdict.grade > Grade::RuledOut)
            .then(|| service.judge.complete(next, seen))
            .flatten()
    }

    /// Whether what was seen already proves a service in which no other one can show itself: more of it would tell nothing.
    pub fn is_settled(&self, port: Port, moved: &[(ServiceName, Port)], seen: &Seen) -> bool {
        let found = self.identify(port, moved, seen);
        found
            .iter()
            .filter(|found| found.grade == Grade::Proven)
            .filter_map(|found| self.service(&found.service))
            .any(|service| !service.judge.carries_others())
    }

    /// The SNMP read of sysDescr and sysObjectID with a community that a person gave; `None` if it is empty or longer
    /// than 64 bytes. The bytes are then [`Seen::request`].
    pub fn snmp_request(community: &str) -> Option<Request> {
        judge::snmp_get(community).map(|bytes| Request::Bytes { bytes })
    }

    fn candidates(&self, port: Port, moved: &[(ServiceName, Port)]) -> Vec<(&Service, Place)> {
        self.services
            .values()
            .filter_map(|service| Some((service, place(service, port, moved)?)))
            .collect()
    }

    /// Judges what was seen of a port: every service that is usual there, that the site moved there, or that the bytes
    /// prove. Strongest first; of equals, what manages comes before what controls and both before the general, and a
    /// service that is carried in HTTP, SSH or Telnet before these.
    pub fn identify(&self, port: Port, moved: &[(ServiceName, Port)], seen: &Seen) -> Vec<Identification> {
        let mut found: Vec<(&Service, Identification)> = self
            .services
            .values()
            .filter_map(|service| {
                let subject = Subject {
                    service,
                    port,
                    place: place(service, port, moved),
                };
                let verdict = service.judge.judge(&subject, seen)?;
                let identification = Identification {
                    service: service.name.clone(),
                    grade: verdict.grade,
                    reasons: verdict.reasons,
                    fields: verdict.fields,
                };
                Some((service, identification))
            })
            .collect();
        found.sort_by_key(|(service, identification)| {
            (
                Reverse(identification.grade),
                service.role,
                service.judge.carries_others(),
            )
        });
        found
            .into_iter()
            .map(|(_, identification)| identification)
            .collect()
    }

    /// As [`Self::identify`], of what was seen after a secret was sent. The secret is made unreadable in what was seen, and
    /// all that is said rests on the bytes without it: whoever was told it may repeat it wherever text is read.
    pub fn identify_concealed(
        &self,
        port: Port,
        moved: &[(ServiceName, Port)],
        seen: &mut Seen,
        secret: &Secret,
    ) -> Vec<Identification> {
        let plain = self.identify(port, moved, seen);
        seen.conceal(secret);
        let mut concealed = self.identify(port, moved, seen);
        // A short secret can be a part of the protocol as well, and then nothing fits any more without it.
        plain
            .into_iter()
            .map(|found| {
                let same =
                    |other: &Identification| other.service == found.service && other.grade == found.grade;
                match concealed.iter().position(same) {
                    Some(place) => concealed.swap_remove(place),
                    None => without_words(found),
                }
            })
            .collect()
    }
}

/// The problems of the files that came, when there are any, else those of the files compiled in; and which of the two it is.
/// A rule between two files is broken by the one that came: those compiled in keep them among themselves.
fn of_own_first(mut problems: Vec<(usize, String)>, builtin: usize) -> (Vec<String>, bool) {
    let own = problems.iter().any(|(place, _)| *place >= builtin);
    if own {
        problems.retain(|(place, _)| *place >= builtin);
    }
    (problems.into_iter().map(|(_, problem)| problem).collect(), own)
}

/// What may be kept of an identification that rests on bytes in which a secret stands: the grade alone.
fn without_words(found: Identification) -> Identification {
    let reason = "what it is recognised by is left out: the secret that was sent cannot be told from it";
    Identification {
        reasons: vec![reason.into()],
        fields: BTreeMap::new(),
        ..found
    }
}

/// The own port of a silent service gets no payload, whatever else the site says of it.
fn must_be_silent(candidates: &[(&Service, Place)]) -> bool {
    candidates
        .iter()
        .any(|(service, place)| service.hazard == Hazard::Silent && *place == Place::Own)
}

fn longest_listen(candidates: &[(&Service, Place)]) -> Duration {
    candidates
        .iter()
        .map(|(service, _)| service.listen_first)
        .max()
        .unwrap_or(LISTEN)
}

fn asking(service: &Service, port: Port, candidates: &[(&Service, Place)]) -> Exchange {
    let listen_first = match port.transport {
        Transport::Tcp => longest_listen(candidates),
        Transport::Udp => Duration::ZERO,
    };
    Exchange {
        request: service.request.clone(),
        wait: service.wait,
        ..Exchange::listen(listen_first)
    }
}

fn place(service: &Service, port: Port, moved: &[(ServiceName, Port)]) -> Option<Place> {
    if service.ports.contains(&port) {
        return Some(Place::Own);
    }
    let moved_here = moved
        .iter()
        .any(|(name, place)| *name == service.name && *place == port);
    // Bytes for one transport mean nothing on the other.
    let same_transport = service.ports.iter().any(|own| own.transport == port.transport);
    (moved_here && same_transport).then_some(Place::Moved)
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod forbidden;
#[cfg(test)]
mod recognised;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traps;
