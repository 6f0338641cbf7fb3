//! Walking the chain: does every record follow the one before it?

use portcullis_model::{AuditRecord, Digest};

use super::{AuditFault, AuditVerdict, BROKEN, head::Head, row::AuditRow};

/// How far the chain has been followed, and what was found on the way.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) records: u64,
    pub(super) faults: Vec<AuditFault>,
    pub(super) unlisted_faults: u64,
    /// Position of the last record that was seen.
    pub(super) sequence: u64,
    /// Its digest, as it claims it; `None` when that cannot be read.
    pub(super) digest: Option<Digest>,
}

impl Walk {
    /// Begins behind a record that is trusted, or at the start.
    pub(super) fn behind(head: Head) -> Self {
        Self {
            records: 0,
            faults: Vec::new(),
            unlisted_faults: 0,
            sequence: head.sequence,
            digest: Some(head.digest),
        }
    }

    /// Takes the next record in the order of sequences.
    pub(super) fn take(&mut self, row: AuditRow) {
        self.records += 1;
        let sequence = match u64::try_from(row.sequence) {
            Ok(sequence) if sequence > 0 => sequence,
            _ => {
                let what = format!("a record was inserted under the number {}", row.sequence);
                return self.fault(0, what);
            }
        };
        let followed = self.place(sequence);
        match row.record() {
            Ok(record) => self.content(&record, followed),
            Err(what) => {
                self.digest = None;
                self.fault(sequence, format!("it was changed after it was sealed: {what}"));
            }
        }
    }

    pub(super) fn fault(&mut self, sequence: u64, what: impl Into<String>) {
        if self.faults.len() < AuditVerdict::MOST_FAULTS {
            let what = what.into();
            self.faults.push(AuditFault { sequence, what });
        } else {
            self.unlisted_faults += 1;
        }
    }

    /// Moves on to this position; tells whether it is the next one.
    fn place(&mut self, sequence: u64) -> bool {
        let expected = self.sequence + 1;
        self.sequence = sequence;
        if sequence > expected {
            let place = if expected == 1 { " at the beginning" } else { "" };
            self.fault(expected, missing(expected, sequence - 1, place));
        }
        sequence == expected
    }

    fn content(&mut self, record: &AuditRecord, followed: bool) {
        let sequence = record.sequence;
        if !record.is_intact() {
            self.fault(
                sequence,
                "it was changed, moved or put there after the records were sealed",
            );
        }
        // After a gap the link cannot fit, and the gap is already told.
        if followed && self.digest.is_some_and(|digest| digest != record.previous) {
            self.fault(
                sequence,
                "it does not follow the record before it: one of the two was exchanged",
            );
        }
        if record.entry.action == BROKEN {
            let found = record.entry.details.get("found").and_then(|found| found.as_str());
            self.fault(
                sequence,
                format!(
                    "the record was found broken at this point: {}",
                    found.unwrap_or("no reason given")
                ),
            );
        }
        self.digest = Some(record.digest);
    }
}

/// Names records that should be there, `first` to `last`.
pub(super) fn missing(first: u64, last: u64, place: &str) -> String {
    if first == last {
        format!("record {first} is missing{place}")
    } else {
        format!("records {first} to {last} are missing{place}")
    }
}
