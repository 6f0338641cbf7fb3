//! Packets: from the network, from files, and as the kernel logs them.

use std::io::Cursor;

use portcullis_capture::{File, Limits, Link, Watch, moxa};
use portcullis_logs::{Event, Line, LoggedPacket, Prefixes, read_frame, read_packet};
use portcullis_scan::syn;
use portcullis_sys::ruleset_events::Batch;

use crate::judges::knowledge;

/// So few that the bounds are met by short inputs.
const FEW: Limits = Limits {
    conversations: 8,
    pairs: 6,
    bytes: 2048,
    stations: 4,
    calls: 4,
};

/// Moxa's search reply and report of an address.
pub(crate) fn datagram(data: &[u8]) {
    let both = moxa::is_dsci_reply(data) && moxa::is_address_report(data);
    assert!(!both, "one datagram is two things");
}

/// A frame as the answer to a SYN.
pub(crate) fn syn_answer(data: &[u8]) {
    let _ = syn::is_answer(data, [7, 7]);
}

/// A file of pcap or pcapng, and what its frames show.
pub(crate) fn capture(data: &[u8]) {
    let Ok(mut file) = File::open(Cursor::new(data)) else {
        return;
    };
    let mut watch = watch();
    let mut frames = 0;
    while let Ok(Some(frame)) = file.next_frame() {
        frames += 1;
        assert!(frames <= data.len(), "more frames than bytes");
        watch.frame(frame.link, frame.bytes, frame.at);
    }
    finish(watch);
}

/// The link, then frames with their lengths before them.
pub(crate) fn frames(data: &[u8]) {
    let mut watch = watch();
    let [link, rest @ ..] = data else { return };
    let link = match link % 5 {
        0 => Link::Ip,
        1 => Link::Null,
        2 => Link::Cooked,
        3 => Link::Cooked2,
        _ => Link::Ethernet,
    };
    let mut rest = rest;
    let mut at = 0;
    while let [length, more @ ..] = rest {
        let (frame, behind) = more.split_at(usize::from(*length).min(more.len()));
        at += 500_000_000;
        watch.tagged(link, frame, at, (length % 7 == 0).then_some(5));
        rest = behind;
    }
    finish(watch);
}

fn watch() -> Watch {
    Watch::new(FEW, knowledge(), &[])
}

fn finish(watch: Watch) {
    let mut found = watch.end();
    let _ = (found.counted(), found.neighbours());
    let source = portcullis_capture::Source {
        run: portcullis_model::RunId::of(&[b"fuzz"]),
        document: "fuzz",
        dropped: 0,
    };
    let told = found.observations(source, knowledge(), &[]).count();
    // Silences of those who were asked stand beside the pairs.
    assert!(
        told <= 4 * FEW.pairs,
        "{told} observations of {} pairs",
        FEW.pairs
    );
}

/// A packet as NFLOG copies it, and a frame of a capture of such packets.
pub(crate) fn logged_packet(data: &[u8]) {
    let prefixes = Prefixes::default();
    let packet = LoggedPacket {
        prefix: b"portcullis-drop",
        payload: data,
        ..LoggedPacket::default()
    };
    for line in [read_packet(&packet, &prefixes), read_frame(data, None, &prefixes)] {
        if let Line::Event(event) = line {
            let Event {
                interface,
                out_interface,
                ..
            } = event;
            assert!(
                interface.len() <= 11 && out_interface.len() <= 11,
                "a number has at most ten digits"
            );
        }
    }
}

/// A datagram in which the kernel tells of a new generation of the ruleset.
pub(crate) fn ruleset_event(data: &[u8]) {
    let mut batch = Batch::default();
    let mut told = 0;
    let _ = batch.take(data, |event| {
        told += 1;
        let tables = event.tables.as_ref().map_or(0, Vec::len);
        assert!(tables <= 64, "{tables} tables are remembered");
    });
    assert!(
        told <= data.len() / 20,
        "{told} generations in {} bytes",
        data.len()
    );
}
