//! The messages, as bytes. Pure: what the kernel sends goes in, events come out.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkBuffer, NlasIterator};
use portcullis_model::Untrusted;

/// Subsystem of nftables in the upper byte of a message's type (NFNL_SUBSYS_NFTABLES).
const NFTABLES: u8 = 10;
/// NFT_MSG_NEWGEN and NFT_MSG_GETGEN.
const NEWGEN: u8 = 15;
const GETGEN: u8 = 16;
/// NLMSG_ERROR.
const ERROR: u16 = 2;
/// Length of `struct nlmsghdr` and of `struct nfgenmsg`.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// NFTA_GEN_ID, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME.
const GEN_ID: u16 = 1;
const GEN_PID: u16 = 2;
const GEN_NAME: u16 = 3;
/// The table's name is the first attribute of every kind of object: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE,
/// NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE, NFTA_OBJ_TABLE, NFTA_FLOWTABLE_TABLE.
const TABLE: u16 = 1;

/// A table of the ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its family: 1 is `inet` (NFPROTO_INET of linux/netfilter.h).
    pub family: u8,
    /// Its name.
    pub name: Untrusted,
}

/// A transaction that somebody committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesetEvent {
    /// The generation that began with it.
    pub generation: u32,
    /// Who committed it, as the initial process-id namespace counts; 0 when the kernel does not tell.
    pub pid: u32,
    /// The name of that process.
    pub program: Untrusted,
    /// The tables that it touched; `None` when they were more than are remembered.
    pub tables: Option<Vec<Table>>,
}

impl RulesetEvent {
    /// Whether it touched this table, as far as is known.
    pub fn touches(&self, family: u8, name: &str) -> bool {
        self.tables.as_ref().is_none_or(|tables| {
            tables
                .iter()
                .any(|table| table.family == family && table.name.raw() == name)
        })
    }
}

/// More tables are not told apart: the transaction then counts as touching all.
const MOST_TABLES: usize = 64;

/// The objects of a transaction come first, in one or more datagrams; its generation comes last.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    tables: Vec<Table>,
    too_many: bool,
}

impl Batch {
    /// Takes one datagram.
    ///
    /// # Errors
    /// When it cannot be understood; what came before it in the datagram was handed over.
    pub fn take(&mut self, datagram: &[u8], mut each: impl FnMut(RulesetEvent)) -> io::Result<()> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let (kind, body, behind) = split(rest)?;
            rest = behind;
            let [subsystem, message] = kind.to_be_bytes();
            let (Some((family, attributes)), NFTABLES) = (family(body), subsystem) else {
                continue;
            };
            if message == NEWGEN {
                each(self.end(attributes)?);
            } else if let Some(name) = attribute(attributes, TABLE)? {
                self.touch(Table {
                    family,
                    name: text(name),
                });
            } else {
                // An object of no table is none that we know.
                self.too_many = true;
            }
        }
        Ok(())
    }

    fn touch(&mut self, table: Table) {
        if self.tables.contains(&table) {
            return;
        }
        if self.tables.len() < MOST_TABLES {
            self.tables.push(table);
        } else {
            self.too_many = true;
        }
    }

    fn end(&mut self, attributes: &[u8]) -> io::Result<RulesetEvent> {
        let number = |kind| Ok::<_, io::Error>(attribute(attributes, kind)?.and_then(number).unwrap_or(0));
        let batch = std::mem::take(self);
        Ok(RulesetEvent {
            generation: number(GEN_ID)?,
            pid: number(GEN_PID)?,
            program: attribute(attributes, GEN_NAME)?
                .map_or_else(|| Untrusted::new("an unknown program"), text),
            tables: (!batch.too_many).then_some(batch.tables),
        })
    }
}

/// The question for the present generation.
pub(super) fn generation_request() -> Vec<u8> {
    let mut request = vec![0; HEADER + FAMILY_HEADER];
    let mut header = NetlinkBuffer::new(request.as_mut_slice());
    header.set_length((HEADER + FAMILY_HEADER) as u32);
    header.set_message_type(u16::from_be_bytes([NFTABLES, GETGEN]));
    header.set_flags(NLM_F_REQUEST);
    request
}

/// The generation in the answer.
pub(super) fn generation_answer(datagram: &[u8]) -> io::Result<u32> {
    let (kind, body, _) = split(datagram)?;
    if kind == ERROR {
        let code = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
        return Err(io::Error::from_raw_os_error(code.saturating_abs()));
    }
    let (_, attributes) = family(body).ok_or_else(|| broken("it has no family"))?;
    attribute(attributes, GEN_ID)?
        .and_then(number)
        .ok_or_else(|| broken("it has no generation"))
}

/// The first message: its type, its body, and what comes behind it.
fn split(datagram: &[u8]) -> io::Result<(u16, &[u8], &[u8])> {
    let message = NetlinkBuffer::new_checked(datagram).map_err(broken)?;
    let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
    let body = datagram
        .get(HEADER..length)
        .ok_or_else(|| broken("it is cut off"))?;
    // Messages are padded to four bytes, the last one perhaps not.
    let behind = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    Ok((message.message_type(), body, behind))
}

fn family(body: &[u8]) -> Option<(u8, &[u8])> {
    let (header, attributes) = body.split_at_checked(FAMILY_HEADER)?;
    Some((*header.first()?, attributes))
}

fn attribute(attributes: &[u8], kind: u16) -> io::Result<Option<&[u8]>> {
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(broken)?;
        if attribute.kind() == kind {
            let length = usize::from(attribute.length());
            return Ok(attribute.into_inner().get(4..length));
        }
    }
    Ok(None)
}

/// Numbers of nftables are sent with the highest byte first.
fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// A text up to its NUL.
fn text(bytes: &[u8]) -> Untrusted {
    Untrusted::from_bytes(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn broken(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
