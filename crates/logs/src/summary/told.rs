//! From what was counted to what is told.

use std::cmp::Reverse;

use jiff::Timestamp;
use portcullis_model::LogFormat;

use super::{
    FormatCount, LogReport, LossCount, ReasonCount, SourceReport, Summary, VerdictCounts,
    grouped::{address, by_country, by_network, by_zone},
    sources::Source,
    ways::{self, way},
};
use crate::{LostBy, Reason, sign};

impl Summary {
    /// The numbers so far, with the `top` sources that tried most.
    pub fn report(&self, top: usize) -> LogReport {
        let mut order: Vec<(u64, &Source)> = self
            .sources
            .iter()
            .map(|source| (source.tally.verdicts().sum(), source))
            .collect();
        let by = |(attempts, source): &(u64, &Source)| (Reverse(*attempts), source.address);
        let most = top;
        let top = top.min(order.len());
        if top < order.len() {
            order.select_nth_unstable_by_key(top, by);
        }
        let others = self.others.verdicts();
        let verdicts = self
            .sources
            .iter()
            .fold(others, |sum, source| sum.plus(source.tally.verdicts()));
        order.truncate(top);
        order.sort_unstable_by_key(by);
        let destinations = self.destinations.all();
        let site = self.facts.site.as_ref();
        let tried = site.and_then(|site| ways::tried(site, destinations.as_deref()));
        let (networks, distinct_networks) = by_network(self.sources.iter(), most);
        let mut services = self.services.report(&self.service_ports, &self.facts.services);
        let distinct_services = services.len() as u64;
        services.truncate(most);
        let (countries, damaged) = self
            .facts
            .countries
            .as_ref()
            .map_or_else(Default::default, |database| {
                by_country(database, self.sources.iter(), most)
            });
        let may_be_more = self
            .sources
            .iter()
            .fold(self.others.may_be_more(), |sum, source| {
                sum.saturating_add(source.tally.may_be_more())
            });
        let mut notes = self.notes(verdicts, may_be_more);
        if damaged > 0 {
            notes.push(format!(
                "the database of countries is damaged where it should tell of {damaged} source(s)"
            ));
        }
        LogReport {
            ports: self.ports.iter().copied().collect(),
            attempts: verdicts.sum(),
            verdicts,
            may_be_more,
            first: time(self.span.first),
            last: time(self.span.last),
            changes: self
                .around
                .iter()
                .zip(&self.facts.changes)
                .map(|(around, change)| around.report(change))
                .collect(),
            timeline: self.timeline.report(),
            own_scans: self.ours.report(&self.facts.own),
            services,
            distinct_services,
            zones: site.map_or_else(Vec::new, |site| by_zone(site, self.sources.iter())),
            networks,
            distinct_networks,
            countries,
            without_time: self.without_time,
            time_assumed: self.time_assumed,
            distinct_sources: self.sources.len() as u64,
            sources: order
                .into_iter()
                .map(|(_, source)| self.of_source(source, &tried))
                .collect(),
            destinations,
            other_sources: others.sum(),
            on_other_ports: self.on_other_ports,
            undirected: self.undirected,
            hearsay: self.hearsay,
            on_the_sites_word: self.on_the_sites_word,
            formats: self.formats(),
            unreadable: self.unreadable(),
            unreadable_reasons: self.reasons(),
            unreadable_lines: self.examples.clone(),
            unrelated: self.unrelated,
            losses: self.losses(),
            loss_lines: self.loss_lines.clone(),
            notes,
        }
    }

    fn of_source(&self, source: &Source, tried: &ways::Tried<'_>) -> SourceReport {
        let (mut ports, on_further_ports) = source.ports();
        ports.sort_unstable_by_key(|count| (Reverse(count.attempts), count.port));
        let verdicts = source.tally.verdicts();
        let address = address(source.address);
        let (site, facts) = (self.facts.site.as_ref(), &self.facts);
        for port in &mut ports {
            port.services = facts.services.get(&port.port).cloned().unwrap_or_default();
            port.way = site.map(|site| way(site, address, &port.services, tried));
        }
        let zone = site.and_then(|site| site.zone_of(address));
        SourceReport {
            address,
            zone: zone.map(|zone| zone.name.clone()),
            country: facts
                .countries
                .as_ref()
                .and_then(|countries| countries.of(address).name()),
            vantage: facts.vantages.get(&address).cloned(),
            attempts: verdicts.sum(),
            verdicts,
            may_be_more: source.tally.may_be_more(),
            first: time(source.span.first),
            last: time(source.span.last),
            ports,
            on_further_ports,
            sessions: None,
        }
    }

    fn formats(&self) -> Vec<FormatCount> {
        let counts = LogFormat::ALL.into_iter().zip(self.formats);
        let met = counts.filter(|(_, lines)| *lines > 0);
        met.map(|(format, lines)| FormatCount {
            format,
            lines,
            because: sign(format),
        })
        .collect()
    }

    fn reasons(&self) -> Vec<ReasonCount> {
        let mut reasons: Vec<_> = self.unreadable.iter().collect();
        reasons.sort_by_key(|(reason, lines)| (Reverse(**lines), **reason));
        let count = |(reason, lines): (&Reason, &u64)| ReasonCount {
            reason: reason.to_string(),
            lines: *lines,
        };
        reasons.into_iter().map(count).collect()
    }

    fn losses(&self) -> Vec<LossCount> {
        let count = |(by, (times, least)): (&LostBy, &(u64, u64))| LossCount {
            told: by.to_string(),
            times: *times,
            at_least: *least,
            of_the_firewall: by.is_the_firewall(),
        };
        self.losses.iter().map(count).collect()
    }

    fn notes(&self, verdicts: VerdictCounts, may_be_more: u64) -> Vec<String> {
        let mut notes = self.facts.notes.clone();
        if verdicts.sum() > 0 {
            notes.push("counts are lower bounds: a rule with a rate limit logs only some packets".into());
        }
        if may_be_more > 0 {
            notes.push(format!(
                "there may be up to {may_be_more} more: of the beginnings and the ends of a source's sessions the larger number counts, and                  where one rule logs only beginnings and another one only ends, they are not of the same sessions"
            ));
        }
        if !self.losses.is_empty() {
            let missing = self
                .losses
                .values()
                .map(|loss| loss.1)
                .fold(0, u64::saturating_add);
            notes.push(format!(
                "counts are lower bounds: the log itself says that lines are missing, at least {}",
                missing
            ));
        }
        if verdicts.unknown > 0 {
            notes.push(
                "a log line does not tell its verdict unless the rule's prefix is known: declare it in site.toml, [[log_prefix]]"
                    .into(),
            );
        }
        if self.without_time > 0 {
            notes.push(format!(
                "{} logged packets have no time that can be read: they stand in no span, and neither before nor after a change",
                self.without_time
            ));
        }
        if self.on_the_sites_word > 0 {
            let verdicts = self.on_the_sites_word;
            notes.push(format!(
                "{verdicts} verdicts rest on the word of site.toml, [[log_prefix]], and on nothing in the log"
            ));
        }
        let left_out = self.service_ports.left_out();
        if left_out > 0 {
            notes.push(format!(
                "{left_out} of the ports that were asked for are too many to be counted one by one; they are in all other numbers"
            ));
        }
        if self.undirected > 0 {
            let lines = self.undirected;
            notes.push(format!(
                "{lines} line(s) of sessions do not tell who began, and count for nobody"
            ));
        }
        if self.hearsay > 0 {
            let lines = self.hearsay;
            notes.push(format!(
                "{lines} line(s) stand behind the tag of another program, which may have been told them, or behind a head that is not \
                 known: they count for nobody"
            ));
        }
        if self.facts.site.is_some() && self.destinations.all().is_none() {
            notes.push("too many hosts were tried to keep them: a conduit is told wherever it leads".into());
        }
        let most = self.most_sources;
        if self.sources.len() >= most && self.others.verdicts().sum() > 0 {
            notes.push(format!(
                "only the first {most} sources were kept; attempts of later ones are counted as other sources"
            ));
        }
        notes
    }
}

pub(super) fn time(microseconds: i64) -> Option<Timestamp> {
    // None of the two ends of the range is a time of the calendar.
    Timestamp::from_microsecond(microseconds).ok()
}
