//! `portcullis logs --export FORM FILE…`

use std::io::{self, Write};

use portcullis_model::{Exit, LogEvent, sanitize};
use portcullis_ops::logs::{self, Request};

use super::{Frame, Outcome, fault, is_lost, signs::Signs, text};
use crate::{
    arguments::Logs,
    hand_on::{self, Form, Offender, cef, crowdsec, ocsf, stix},
    output, report,
};

pub(super) async fn run(frame: &Frame<'_>, arguments: &Logs, request: &Request, form: Form) -> Outcome {
    let mut signs = Signs::wanted(frame, form.is_of_offenders()).await?;
    let mut out = io::BufWriter::new(io::stdout());
    let mut written: io::Result<()> = Ok(());
    let (mut without_time, mut going_on) = (0_u64, 0_u64);
    let mut each = |event: &LogEvent| {
        let line = match form {
            Form::List | Form::Crowdsec | Form::Stix => return signs.add(event, None),
            // Both forms say of an event without a number that it is one.
            Form::Cef | Form::Ocsf if event.count == 0 => return going_on += 1,
            Form::Cef => cef::line(event),
            Form::Ocsf => match ocsf::event(event) {
                Some(event) => output::harmless_json(&event.to_string()),
                None => return without_time += 1,
            },
        };
        if written.is_ok() {
            written = writeln!(out, "{line}");
        }
    };
    let mut read = logs::files(request, &arguments.files, Some(&mut each));
    if read.nothing {
        return read
            .failures
            .pop()
            .map_or(Ok(Exit::Clean), |failure| Err(fault(failure)));
    }
    let found = signs.found();
    let offenders = hand_on::offenders(&found.findings);
    if written.is_ok() {
        written = write_offenders(&mut out, form, &offenders);
    }
    output::print(|_| written.and_then(|()| out.flush()))?;

    for failure in &read.failures {
        report::remark(failure);
    }
    for note in &found.notes {
        report::eprintln_all(&format!("note: {}", sanitize(note)));
    }
    if without_time > 0 {
        report::eprintln_all(&format!(
            "note: {without_time} events have no time, which OCSF requires, and were left out"
        ));
    }
    if going_on > 0 {
        report::eprintln_all(&format!(
            "note: {} of sessions that go on were left out: each session has a line of its own at its end",
            text::lines(going_on)
        ));
    }
    if read.report.unreadable > 0 {
        report::eprintln_all(&format!(
            "note: {} could not be read; without --export that is shown",
            text::lines(read.report.unreadable)
        ));
    }
    if read.report.hearsay > 0 {
        report::eprintln_all(&format!(
            "note: {} behind the tag of another program, which may have been told them, or behind a head that is not known, were left out",
            text::lines(read.report.hearsay)
        ));
    }
    for line in text::losses(&read.report) {
        report::eprintln_all(&format!("note: {line}"));
    }
    let everything = read.failures.is_empty()
        && read.report.unreadable == 0
        && !is_lost(&read.report)
        && without_time == 0;
    Ok(match (everything, offenders.is_empty()) {
        (false, _) => Exit::Partial,
        (true, false) => Exit::Found,
        (true, true) => Exit::Clean,
    })
}

fn write_offenders(out: &mut impl Write, form: Form, offenders: &[Offender]) -> io::Result<()> {
    let document = match form {
        Form::List => return out.write_all(hand_on::list(offenders).as_bytes()),
        Form::Ocsf | Form::Cef => return Ok(()),
        Form::Crowdsec => crowdsec::decisions(offenders),
        Form::Stix => stix::bundle(offenders),
    };
    output::write_json(out, &document)
}
