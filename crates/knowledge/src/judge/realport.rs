//! Digi RealPort on tcp/771: the reply to the opening negotiation, which tells the product. No port is ever opened: that
//! would seize the serial line.
//!
//! Layout as far as known: FC 01, a length (2), …, the product's name, FC 02, ….

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, asked, cursor::padded_text};
use crate::Seen;

const NEGOTIATE: [u8; 6] = [0xfb, 1, 0xfb, 2, 0xfb, 0x18];
pub(super) const REQUESTS: &[&[u8]] = &[&NEGOTIATE];
const REFUSALS: [&[u8]; 2] = [b"Access to unopened port", b"Port is out of range"];
/// Shorter runs of letters can be binary by chance.
const SHORTEST_NAME: usize = 4;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "Digi RealPort", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    if let Some(message) = reply.strip_prefix(&[0xff]) {
        let refused = REFUSALS
            .iter()
            .any(|refusal| message.get(1..).is_some_and(|text| text.starts_with(refusal)));
        let reason = "answered with a message of RealPort's".into();
        return refused.then(|| Verdict::new(Grade::Proven, [reason]));
    }
    let body = reply.strip_prefix(&[0xfc, 1])?.get(2..)?;
    let end = body.windows(2).position(|pair| pair == [0xfc, 2])?;
    let name = product(body.get(..end)?)?;
    let reason = "answered the negotiation with FC 01, a product and FC 02".into();
    Some(Verdict::new(Grade::Proven, [reason]).field("model", name))
}

/// The printable text that the bytes end with.
fn product(bytes: &[u8]) -> Option<Untrusted> {
    let length = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let bytes = bytes.get(..length)?;
    let begin = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b' '..=b'~' | b'\r' | b'\n'))
        .map_or(0, |at| at + 1);
    let text = bytes.get(begin..)?.trim_ascii();
    (text.len() >= SHORTEST_NAME).then(|| padded_text(text))?
}
