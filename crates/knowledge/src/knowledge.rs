//! All services together: what to send where, and what the answer means.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use portcullis_model::{Identification, Port, ServiceName, Transport};

use crate::{
    Exchange, Hazard, KnowledgeError, Role, Seen, Service, builtin, check,
    judge::{Place, Subject},
};

/// How long to listen on a TCP port for which no service is known.
const LISTEN: Duration = Duration::from_millis(800);

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
        Self::read(&builtin::FILES)
    }

    /// Reads service files, each given as its name for messages and its text.
    ///
    /// # Errors
    /// The first file that cannot be read, else all broken rules.
    pub fn read(files: &[(&str, &str)]) -> Result<Self, KnowledgeError> {
        let mut services = Vec::new();
        for (file, text) in files {
            let service: Service = toml::from_str(text).map_err(|source| KnowledgeError::Read {
                file: (*file).into(),
                source: Box::new(source),
            })?;
            services.push(service);
        }
        check::check(&services)?;
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
        check::check(&self.services.values().cloned().collect::<Vec<_>>())
    }

    /// The names of all services.
    pub fn names(&self) -> BTreeSet<ServiceName> {
        self.services.keys().cloned().collect()
    }

    /// One service by its name.
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.services.get(name)
    }

    /// The ports that are looked at when nobody names any: those of management and control services, sorted. Ports that
    /// a site adds are for the caller to add.
    pub fn default_ports(&self) -> Vec<Port> {
        let targets = self
            .services
            .values()
            .filter(|service| service.role != Role::General);
        let ports: BTreeSet<Port> = targets
            .flat_map(|service| service.ports.iter().copied())
            .collect();
        ports.into_iter().collect()
    }

    /// What to do after a port was reached. `moved` lists where the site says a service also listens. Never more than
    /// one request, and none on the own port of a silent service.
    pub fn exchange(&self, port: Port, moved: &[(ServiceName, Port)]) -> Exchange {
        let candidates: Vec<(&Service, Place)> = self
            .services
            .values()
            .filter_map(|service| Some((service, place(service, port, moved)?)))
            .collect();
        let must_be_silent = candidates
            .iter()
            .any(|(service, place)| service.hazard == Hazard::Silent && *place == Place::Own);
        // What the owner of the site says goes before what is usual on the port.
        let asked = candidates
            .iter()
            .filter(|(service, _)| service.hazard == Hazard::ReadOnlyRequest && !must_be_silent)
            .min_by_key(|(_, place)| *place != Place::Moved)
            .map(|(service, _)| *service);
        if port.transport == Transport::Udp {
            return match asked {
                Some(service) => Exchange {
                    request: service.request.clone(),
                    wait: service.wait,
                    ..Exchange::listen(Duration::ZERO)
                },
                None => Exchange::unknown_udp(),
            };
        }
        let listen_first = candidates
            .iter()
            .map(|(service, _)| service.listen_first)
            .max()
            .unwrap_or(LISTEN);
        match asked {
            Some(service) => Exchange {
                request: service.request.clone(),
                wait: service.wait,
                ..Exchange::listen(listen_first)
            },
            None => Exchange::listen(listen_first),
        }
    }

    /// Judges what was seen of a port: every service that is usual there, that the site moved there, or that the bytes
    /// prove. Strongest first.
    pub fn identify(&self, port: Port, moved: &[(ServiceName, Port)], seen: &Seen) -> Vec<Identification> {
        let mut found: Vec<Identification> = self
            .services
            .values()
            .filter_map(|service| {
                let subject = Subject {
                    service,
                    port,
                    place: place(service, port, moved),
                };
                let verdict = service.judge.judge(&subject, seen)?;
                Some(Identification {
                    service: service.name.clone(),
                    grade: verdict.grade,
                    reasons: verdict.reasons,
                    fields: verdict.fields,
                })
            })
            .collect();
        found.sort_by_key(|identification| Reverse(identification.grade));
        found
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
mod tests;
