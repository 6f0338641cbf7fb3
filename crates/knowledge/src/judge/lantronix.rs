//! Lantronix search on udp/30718: the reply to "query firmware" (F6). The neighbouring request F8 discloses the telnet
//! password and is never sent.
//!
//! That the reply carries F7 is inferred from the pair F8 and F9, so likely is the most that follows from it.

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, asked, cursor};
use crate::Seen;

const QUERY_FIRMWARE: [u8; 4] = [0, 0, 0, 0xf6];
pub(super) const REQUESTS: &[&[u8]] = &[&QUERY_FIRMWARE];
/// The block of hardware addresses that Lantronix devices have.
const LANTRONIX: [u8; 3] = [0x00, 0x80, 0xa3];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "Lantronix search", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    let body = reply.strip_prefix(&[0, 0, 0, 0xf7])?;
    let address = body.windows(6).find(|window| window.starts_with(&LANTRONIX));
    let answered = "answered the firmware query with F7".to_owned();
    let Some(address) = address else {
        let without = "no hardware address of Lantronix's block 00:80:A3 is in it".to_owned();
        return Some(Verdict::new(Grade::Possible, [answered, without]));
    };
    let mac = cursor::mac(address);
    let owner = format!("the hardware address {mac} in it is of Lantronix's block 00:80:A3");
    let verdict = Verdict::new(Grade::Likely, [answered, owner]);
    Some(
        verdict
            .field("mac", mac)
            .field("vendor", Untrusted::new("Lantronix")),
    )
}
