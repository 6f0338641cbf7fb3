use portcullis_model::Untrusted;

use super::message::{Batch, RulesetEvent, generation_answer, generation_request};

/// An attribute with its padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u8, family: u8, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = ((20 + attributes.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(u16::from_be_bytes([10, kind]).to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

fn generation(number: u32, pid: u32, name: &[u8]) -> Vec<u8> {
    let attributes = [
        attribute(1, &number.to_be_bytes()),
        attribute(2, &pid.to_be_bytes()),
        attribute(3, name),
    ];
    message(15, 0, &attributes.concat())
}

fn taken(batch: &mut Batch, datagram: &[u8]) -> Vec<RulesetEvent> {
    let mut events = Vec::new();
    batch.take(datagram, |event| events.push(event)).unwrap();
    events
}

#[test]
fn a_transaction_is_told_with_its_process_and_its_tables_though_it_comes_in_two_datagrams() {
    let mut batch = Batch::default();
    // A deleted chain of `inet portcullis`, then its table.
    let first = message(5, 1, &attribute(1, b"portcullis\0"));
    assert_eq!(taken(&mut batch, &first), []);
    let second = [
        message(2, 1, &attribute(1, b"portcullis\0")),
        generation(9, 4711, b"nft\0"),
    ];
    let events = taken(&mut batch, &second.concat());
    let [event] = events.as_slice() else {
        unreachable!("{events:?}")
    };
    assert_eq!((event.generation, event.pid), (9, 4711));
    assert_eq!(event.program, Untrusted::new("nft"));
    assert_eq!(event.tables.as_ref().unwrap().len(), 1);
    assert!(event.touches(1, "portcullis"));
    assert!(!event.touches(2, "portcullis") && !event.touches(1, "filter"));
    // The next transaction begins with nothing.
    let events = taken(&mut batch, &generation(10, 4712, b"iptables\0"));
    assert!(!events[0].touches(1, "portcullis"));
}

#[test]
fn what_nobody_can_tell_apart_counts_as_touching_everything() {
    let mut batch = Batch::default();
    let tables: Vec<u8> = (0..70)
        .flat_map(|number| message(0, 2, &attribute(1, format!("t{number}\0").as_bytes())))
        .collect();
    let events = taken(&mut batch, &[tables, generation(1, 0, b"x")].concat());
    assert!(events[0].touches(1, "portcullis"));
    let events = taken(
        &mut batch,
        &[message(40, 1, &[]), generation(2, 0, b"x")].concat(),
    );
    assert!(events[0].touches(1, "portcullis"));
}

#[test]
fn broken_messages_are_refused() {
    let whole = generation(9, 4711, b"nft\0");
    for length in (1..whole.len()).filter(|length| *length != 16) {
        let mut events = Vec::new();
        let cut = whole.get(..length).unwrap();
        let taken = Batch::default().take(cut, |event| events.push(event));
        assert!(taken.is_err() && events.is_empty(), "{length}");
    }
    let mut endless = whole;
    endless[0] = 0;
    assert!(Batch::default().take(&endless, |_| {}).is_err());
}

#[test]
fn the_present_generation_is_read_and_a_refusal_is_an_error() {
    assert_eq!(generation_answer(&generation(77, 1, b"nft\0")).unwrap(), 77);
    let mut refused = 36_u32.to_ne_bytes().to_vec();
    refused.extend(2_u16.to_ne_bytes());
    refused.extend([0; 10]);
    refused.extend((-1_i32).to_ne_bytes());
    refused.extend(generation_request().get(..16).unwrap());
    let error = generation_answer(&refused).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(start in 0..60_usize, bytes in proptest::collection::vec(0_u8.., 0..80)) {
        let mut datagram = [message(5, 1, &attribute(1, b"t\0")), generation(9, 4711, b"nft\0")].concat();
        let end = (start + bytes.len()).min(datagram.len());
        datagram.splice(start..end.max(start), bytes);
        let _ = Batch::default().take(&datagram, |_| {});
        let _ = generation_answer(&datagram);
    }
}
