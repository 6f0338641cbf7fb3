//! IEC 60870-5-104: the confirmation of a test frame (5.2 and 5.3). Data transfer is never started.

use portcullis_model::Grade;

use super::{Subject, Verdict, asked};
use crate::Seen;

const TEST_FRAME: [u8; 6] = [0x68, 4, 0x43, 0, 0, 0];
const TEST_FRAME_CONFIRMED: [u8; 6] = [0x68, 4, 0x83, 0, 0, 0];
pub(super) const REQUESTS: &[&[u8]] = &[&TEST_FRAME];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "IEC 60870-5-104", |_, reply| {
        let reason = "confirmed the test frame (TESTFR con)".into();
        (reply == TEST_FRAME_CONFIRMED).then(|| Verdict::new(Grade::Proven, [reason]))
    })
}
