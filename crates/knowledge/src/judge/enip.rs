//! EtherNet/IP: the reply to ListIdentity (CIP volume 2, 2-4.3), which opens no session.
//!
//! Layout, all little-endian: command 63 00, length of what follows the header (2), session (4), status (4), our context
//! (8), options (4); number of items (2), item type 000C (2), item length (2), version (2), socket address (16), vendor
//! (2), device type (2), product code (2), revision (2), status (2), serial number (4), name (length in 1), state (1).

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, asked,
    cursor::{Cursor, padded_text},
};
use crate::Seen;

const LIST_IDENTITY: [u8; 24] = [
    0x63, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc1, 0xde, 0xbe, 0xd1, 0, 0, 0, 0,
];
pub(super) const REQUESTS: &[&[u8]] = &[&LIST_IDENTITY];
const IDENTITY_ITEM: u16 = 0x000c;
/// Vendor number of Moxa (NMAP enip-info).
const MOXA: u16 = 991;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    asked::judge(subject, seen, "EtherNet/IP", |request, reply| {
        read(request, reply)
    })
}

fn read(request: &[u8], reply: &[u8]) -> Option<Verdict> {
    let mut cursor = Cursor::new(reply);
    cursor.exactly(&[0x63, 0])?;
    let length = usize::from(cursor.le16()?);
    if reply.len().checked_sub(24) != Some(length) {
        return None;
    }
    let _session = cursor.le32()?;
    cursor.exactly(&[0; 4])?;
    cursor.exactly(request.get(12..20)?)?;
    let _options = cursor.le32()?;
    if cursor.le16()? == 0 || cursor.le16()? != IDENTITY_ITEM {
        return None;
    }
    let item_length = cursor.le16()?;
    let mut item = Cursor::new(cursor.take(item_length.into())?);
    let _version = item.le16()?;
    item.take(16)?;
    let vendor = item.le16()?;
    item.take(4)?;
    let [major, minor] = item.array()?;
    let _status = item.le16()?;
    let serial = item.le32()?;
    let length = item.byte()?;
    let name = item.take(length.into())?;
    let vendor = match vendor {
        MOXA => "Moxa".to_owned(),
        number => format!("CIP vendor {number}"),
    };
    let reason = "answered ListIdentity with an identity item and our context".into();
    let verdict = Verdict::new(Grade::Proven, [reason])
        .field("vendor", Untrusted::new(vendor))
        .field("revision", Untrusted::new(format!("{major}.{minor}")))
        .field("serial", Untrusted::new(format!("{serial:08X}")));
    Some(match padded_text(name) {
        Some(name) => verdict.field("model", name),
        None => verdict,
    })
}
