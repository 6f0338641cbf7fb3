//! Counts for the ports of known services, whoever tried them.

use std::collections::BTreeMap;

use portcullis_model::{Port, ServiceName, Transport};

use super::{Attempt, lines::Lines, report::ServiceCount, sources::Span, told::time};

/// Places of the table; a power of two, and at least four for each port, so that a port is nearly always where it is looked for
/// first.
const PLACES: usize = 4096;

/// Ports that are counted one by one at most.
const MOST_PORTS: usize = PLACES / 4;

/// Which ports are counted, found in a few steps.
#[derive(Debug, Clone)]
pub(super) struct ServicePorts {
    ports: Vec<Port>,
    places: Box<[u16]>,
    left_out: usize,
}

fn first_place(port: Port) -> usize {
    let transport = match port.transport {
        Transport::Tcp => 0,
        Transport::Udp => 1 << 11,
    };
    (usize::from(port.number) ^ transport) % PLACES
}

impl ServicePorts {
    pub(super) fn new(ports: impl IntoIterator<Item = Port>) -> Self {
        let mut own = Self {
            ports: Vec::new(),
            places: vec![0; PLACES].into(),
            left_out: 0,
        };
        for port in ports {
            if own.number(port).is_some() {
                continue;
            }
            if own.ports.len() == MOST_PORTS {
                own.left_out += 1;
                continue;
            }
            own.ports.push(port);
            let number = u16::try_from(own.ports.len()).unwrap_or(0);
            let mut at = first_place(port);
            while own.places.get(at).is_some_and(|taken| *taken != 0) {
                at = (at + 1) % PLACES;
            }
            if let Some(free) = own.places.get_mut(at) {
                *free = number;
            }
        }
        own
    }

    /// How many ports there was no room for.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    #[inline]
    fn number(&self, port: Port) -> Option<usize> {
        let mut at = first_place(port);
        loop {
            let number = usize::from(self.places.get(at).copied()?).checked_sub(1)?;
            if self.ports.get(number) == Some(&port) {
                return Some(number);
            }
            at = (at + 1) % PLACES;
        }
    }
}

/// What was counted for each.
#[derive(Debug, Clone, Default)]
pub(super) struct OfServices(Vec<(Lines, Span)>);

impl OfServices {
    pub(super) fn add(&mut self, ports: &ServicePorts, port: Port, attempt: &Attempt) {
        let Some(number) = ports.number(port) else { return };
        if self.0.is_empty() {
            self.0.resize(ports.ports.len(), Default::default());
        }
        if let Some((lines, span)) = self.0.get_mut(number) {
            lines.add(attempt.moment, attempt.verdict, attempt.count);
            if let Some(at) = attempt.at {
                span.add(at);
            }
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        if self.0.is_empty() {
            self.0 = other.0;
            return;
        }
        for ((own, span), (lines, more)) in self.0.iter_mut().zip(&other.0) {
            own.absorb(lines);
            span.absorb(more);
        }
    }

    /// Those that anybody tried, most attempts first.
    pub(super) fn report(
        &self,
        ports: &ServicePorts,
        names: &BTreeMap<Port, Vec<ServiceName>>,
    ) -> Vec<ServiceCount> {
        let tried = ports.ports.iter().zip(&self.0);
        let mut services: Vec<_> = tried
            .map(|(port, (lines, span))| {
                let verdicts = lines.verdicts();
                ServiceCount {
                    port: *port,
                    services: names.get(port).cloned().unwrap_or_default(),
                    attempts: verdicts.sum(),
                    verdicts,
                    first: time(span.first),
                    last: time(span.last),
                }
            })
            .filter(|count| count.attempts > 0)
            .collect();
        services.sort_by_key(|count| (std::cmp::Reverse(count.attempts), count.port));
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_table_is_found_and_no_other() {
        let numbers = (1..=u16::MAX).step_by(97);
        let ports: Vec<Port> = numbers
            .flat_map(|number| [Port::tcp(number), Port::udp(number)])
            .collect();
        assert!(ports.len() > MOST_PORTS);
        let table = ServicePorts::new(ports.iter().copied());
        for (number, port) in ports.iter().enumerate() {
            let expected = (number < MOST_PORTS).then_some(number);
            assert_eq!(table.number(*port), expected, "{port}");
        }
        assert_eq!(table.left_out(), ports.len() - MOST_PORTS);
        assert_eq!(table.number(Port::tcp(2)), None);
        assert_eq!(ServicePorts::new([]).number(Port::tcp(2)), None);
    }
}
