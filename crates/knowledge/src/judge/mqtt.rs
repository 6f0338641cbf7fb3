//! MQTT 3.1.1 (OASIS standard, 3.1 and 3.2): the CONNACK to a CONNECT with an empty client id and a clean session.
//!
//! With an empty client id the server makes one up (3.1.3.1), so no client that is there can be pushed off.

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, asked};
use crate::Seen;

const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 30, 0, 0];
/// Says goodbye, so that the server does not take the end of the connection for an accident (3.14).
const DISCONNECT: [u8; 2] = [0xe0, 0];
pub(super) const REQUESTS: &[&[u8]] = &[&CONNECT];
pub(super) const FURTHER: &[&[u8]] = &[&DISCONNECT];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "MQTT", |_, reply| {
        let [0x20, 2, 0, code @ 0..=5] = reply else {
            return None;
        };
        let proven = |reason: &str| Verdict::new(Grade::Proven, [reason.to_owned()]);
        Some(match code {
            0 => proven("accepted a client without user name and password: every client may connect").field(
                "weakness",
                Untrusted::new("accepts clients without user name and password"),
            ),
            4 | 5 => proven("answered CONNECT and wants a user name and password"),
            _ => proven("answered CONNECT with a refusal, as MQTT prescribes"),
        })
    })
}
