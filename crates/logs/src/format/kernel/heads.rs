//! What stands before the source address is most often what stood there in a line before, but for the time: then it need not be
//! taken apart again.

use std::ops::Range;

use memchr::memmem;
use portcullis_model::{LogMoment, Verdict};

use super::{event, quick};
use crate::{
    Event,
    syslog::{self, is_uptime},
    words::split,
};

/// Heads that are kept: a rule for each interface, and some senders.
const MOST: usize = 4;

/// Lines without a known head until one is replaced, so that a log in which each is new costs little more.
const PATIENCE: u8 = 8;

/// The seconds since a machine was started need fewer bytes.
const LONGEST_STAMP: usize = 32;

/// The heads of the last lines.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    known: Vec<Head>,
    /// The one that was met last.
    last: usize,
    missed: u8,
}

/// A line from behind its time to its source address.
#[derive(Debug)]
struct Head {
    /// Whether a host name may stand first.
    host: bool,
    /// As far as the bracket of the kernel's own stamp; nothing where it has none.
    before_stamp: Vec<u8>,
    /// From the bracket behind it as far as `SRC=`.
    message: Vec<u8>,
    verdict: Verdict,
    moment: LogMoment,
    prefix: Range<usize>,
    interface: Range<usize>,
    out_interface: Range<usize>,
}

impl Heads {
    /// The event of a line whose head is known.
    // Inlined, as is that of the head which was met last: an event is large, and would be copied at each step.
    #[inline(always)]
    pub(crate) fn event<'a>(&mut self, line: &'a [u8]) -> Option<Event<'a>> {
        let last = self.known.get(self.last)?;
        let line = syslog::head(line);
        match last.event(&line) {
            Some(event) => Some(event),
            None => self.of_another(&line),
        }
    }

    #[inline(never)]
    fn of_another<'a>(&mut self, line: &syslog::Head<'a>) -> Option<Event<'a>> {
        let last = self.last;
        let others = self
            .known
            .iter()
            .enumerate()
            .filter(|(number, _)| *number != last);
        for (number, head) in others {
            if let Some(event) = head.event(line) {
                self.last = number;
                return Some(event);
            }
        }
        None
    }

    /// Keeps the head of a line that was read in the general way.
    pub(super) fn keep(&mut self, line: &[u8], event: &Event<'_>) {
        self.missed = self.missed.saturating_add(1);
        if self.known.len() == MOST && self.missed < PATIENCE {
            return;
        }
        // Only what leads to the same event: some of the line may stand at a place of which nothing is known here.
        let line = syslog::head(line);
        let leads_there = |head: &Head| {
            head.event(&line).is_some_and(|again| {
                // A time is read from the beginning of its text; how much of the line goes with it is no matter.
                let time = event.time.clone();
                Event { time, ..again } == *event
            })
        };
        let Some(head) = Head::of(&line, event).filter(leads_there) else {
            return;
        };
        self.missed = 0;
        if self.known.len() < MOST {
            self.last = self.known.len();
            self.known.push(head);
        } else {
            self.last = (self.last + 1) % MOST;
            if let Some(place) = self.known.get_mut(self.last) {
                *place = head;
            }
        }
    }
}

impl Head {
    fn of(line: &syslog::Head<'_>, event: &Event<'_>) -> Option<Self> {
        let rest = line.rest;
        let body = place(rest, &event.interface)?.start;
        let end = body + memmem::find(rest.get(body..)?, b" SRC=")? + b" SRC=".len();
        let before_prefix = rest.get(..place(rest, &event.prefix)?.start)?;
        let message = match before_prefix.trim_ascii_end().strip_suffix(b"]") {
            Some(stamped) => stamped.len(),
            None => 0,
        };
        let before_stamp = if message == 0 {
            0
        } else {
            memchr::memrchr(b'[', rest.get(..message)?)? + 1
        };
        let within = |part: &[u8]| {
            let place = place(rest, part)?;
            Some(place.start.checked_sub(message)?..place.end.checked_sub(message)?)
        };
        Some(Self {
            host: line.host,
            before_stamp: rest.get(..before_stamp)?.to_vec(),
            message: rest.get(message..end)?.to_vec(),
            verdict: event.verdict,
            moment: event.moment,
            prefix: within(&event.prefix)?,
            interface: within(&event.interface)?,
            out_interface: within(&event.out_interface)?,
        })
    }

    /// The event of a line, if it has this head.
    #[inline(always)]
    fn event<'a>(&self, line: &syslog::Head<'a>) -> Option<Event<'a>> {
        if line.host != self.host {
            return None;
        }
        let mut message = line.rest;
        if !self.before_stamp.is_empty() {
            let behind = message.strip_prefix(self.before_stamp.as_slice())?;
            let (stamp, _) = split(behind.get(..behind.len().min(LONGEST_STAMP))?, b']')?;
            if !is_uptime(stamp) {
                return None;
            }
            message = behind.get(stamp.len()..)?;
        }
        let packet = quick::packet(message.strip_prefix(self.message.as_slice())?)?;
        let part = |place: &Range<usize>| message.get(place.clone());
        Some(event(
            line.time.clone(),
            (self.verdict, self.moment),
            part(&self.prefix)?,
            [part(&self.interface)?, part(&self.out_interface)?],
            &packet,
        ))
    }
}

/// Where a part of a text stands in it; `None` when it is no part of it.
fn place(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start + part.len();
    (end <= text.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use portcullis_model::{LogEvent, LogSource};
    use proptest::prelude::*;

    use super::super::{read, read_after};
    use super::*;
    use crate::{Clock, Line, Prefixes, format::test_context};

    const BODY: &str = "SRC=192.0.2.7 DST=10.7.10.4 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=7 DF PROTO=TCP SPT=1 DPT=2 WINDOW=1 RES=0x00 SYN URGP=0 ";

    #[test]
    fn a_head_that_was_met_is_known_whatever_the_time() {
        for head in [
            "Nov 22 23:56:5_ gw kernel: [12.5_] [UFW BLOCK] IN=eth0 OUT= ",
            "Nov 22 23:56:5_ gw kernel: [    5.5_] x: IN=eth0 OUT=eth1 MAC=aa:bb ",
            "2026-11-22T23:56:5_+01:00 gw kernel: portcullis-drop IN=eth0 OUT= ",
            "[12.5_] IN=eth0 OUT= ",
            "Nov 22 23:56:5_ gw SRC=1.1.1.1 IN=a OUT=b ",
        ] {
            let mut heads = Heads::default();
            let line = |second: &str| head.replace('_', second) + BODY;
            let (first, second) = (line("1"), line("2"));
            assert_eq!(heads.event(first.as_bytes()), None, "{head}");
            read_after(first.as_bytes(), true, &Prefixes::default(), &mut heads);
            assert!(heads.event(second.as_bytes()).is_some(), "{head}");
        }
    }

    /// With its time resolved.
    fn told(line: &Line<'_>) -> (Option<LogEvent>, String) {
        let context = test_context();
        match line {
            Line::Event(event) => {
                let source = LogSource::Nflog { group: 0 };
                (
                    Some(event.to_log_event(&mut Clock::new(&context), source)),
                    String::new(),
                )
            }
            other => (None, format!("{other:?}")),
        }
    }

    proptest! {
        /// With the heads of other lines in mind a line is read as without.
        #[test]
        fn a_line_is_read_as_if_it_were_alone(lines in proptest::collection::vec((
            "(<4>)?(Nov 22 23:56:5[0-9]|2026-11-22T23:56:5[0-9]Z|Nov 22 23:56:51 2025)? ?(gw|h2)?",
            "( kernel:| kernel - -|)( \\[ ?[0-9x]{1,3}\\.[0-9]\\])?( |)",
            "(\\[UFW BLOCK\\] |portcullis-drop: |SRC=1\\.2\\.3\\.4 |IN=x |\"q IN=a OUT=b\" |)(IN=[ab]? OUT=[ab]? )(MAC=aa:bb )?",
            any::<bool>(),
        ), 1..12)) {
            let prefixes = Prefixes::default();
            let mut heads = Heads::default();
            for (time, kernel, prefix, whole) in lines {
                let line = format!("{time}{kernel}{prefix}{}", if whole { BODY } else { &BODY[..70] });
                let alone = read(line.as_bytes(), true, &prefixes);
                let after = read_after(line.as_bytes(), true, &prefixes, &mut heads);
                prop_assert_eq!(told(&after), told(&alone), "{}", line);
            }
        }
    }
}
