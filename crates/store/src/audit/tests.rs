//! Every way to tamper with the record, done with a plain connection and a text editor.

use std::fs;

use jiff::Timestamp;
use portcullis_model::{AuditEntry, AuditRecord, Digest};

use crate::{
    AuditVerdict, Settings, Store, StoreError,
    tests::{Place, run_sql},
};

const WITHOUT_TRIGGERS: &str = "DROP TRIGGER audit_keeps_content; DROP TRIGGER audit_keeps_records;";
/// As the migration makes them.
const TRIGGERS_BACK: &str = "
    CREATE TRIGGER audit_keeps_content BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END;
    CREATE TRIGGER audit_keeps_records BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'audit records are never removed'); END;";

fn entry(number: usize) -> AuditEntry {
    AuditEntry {
        at: Timestamp::from_millisecond(1_700_000_000_000 + number as i64).unwrap(),
        actor: "ola".into(),
        action: "change.apply".into(),
        subject: format!("change {number}"),
        details: serde_json::json!({ "z": 0.1, "a": [1e300, 123_456_789.123_456_79], "n": number }),
    }
}

async fn store_with(place: &Place, records: usize) -> Store {
    let store = place.open().await;
    for number in 1..=records {
        store.append_audit(entry(number)).await.unwrap();
    }
    store
}

/// Five records, then this SQL, with the triggers out of the way.
async fn verdict_after(sql: &str) -> AuditVerdict {
    let place = Place::new();
    let store = store_with(&place, 5).await;
    tamper(&place, sql).await;
    store.verify_audit().await.unwrap()
}

async fn tamper(place: &Place, sql: &str) {
    run_sql(
        &mut place.raw().await,
        format!("{WITHOUT_TRIGGERS} {sql}; {TRIGGERS_BACK}"),
    )
    .await;
}

fn told(verdict: &AuditVerdict) -> Vec<String> {
    verdict.faults.iter().map(ToString::to_string).collect()
}

/// SQL that puts a record with a good digest of its own into the table.
fn forged(sequence: u64, previous: Digest) -> (String, AuditRecord) {
    let record = AuditRecord::seal(sequence, entry(99), previous);
    let sql = format!(
        "INSERT INTO audit VALUES ({sequence}, '{}', 'ola', 'change.apply', 'change 99', '{}', '{}', '{}')",
        record.entry.at, record.entry.details, record.previous, record.digest
    );
    (sql, record)
}

#[tokio::test]
async fn an_untouched_record_is_intact_and_reads_back() {
    let place = Place::new();
    let store = store_with(&place, 5).await;
    let verdict = store.verify_audit().await.unwrap();
    let records = store.audit(None, 0).await.unwrap();
    assert_eq!(told(&verdict), [""; 0]);
    assert_eq!(
        (verdict.records, verdict.head, verdict.notes.len()),
        (5, records[4].digest, 0)
    );
    assert_eq!(records[2].entry, entry(3));
    assert_eq!(store.audit(Some(2), 1).await.unwrap(), records[1..3]);
}

#[tokio::test]
async fn nothing_appended_is_intact_and_makes_no_file() {
    let place = Place::new();
    let verdict = place.open().await.verify_audit().await.unwrap();
    assert!(verdict.is_intact() && verdict.head == Digest::ZERO);
    assert!(!place.file("plant.db.audit-key").exists());
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_a_record() {
    let place = Place::new();
    store_with(&place, 1).await;
    let mut raw = place.raw().await;
    for sql in ["UPDATE audit SET actor = 'kari'", "DELETE FROM audit"] {
        let refused = sqlx::query(sql).execute(&mut raw).await.unwrap_err();
        assert!(
            refused.to_string().contains("audit records are never"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn changed_content_is_found() {
    for sql in [
        "UPDATE audit SET actor = 'kari' WHERE sequence = 3",
        "UPDATE audit SET at = '2020-01-01T00:00:00Z' WHERE sequence = 3",
        "UPDATE audit SET details = '{}' WHERE sequence = 3",
        "UPDATE audit SET details = ' ' || details WHERE sequence = 3",
        "UPDATE audit SET details = 'not json' WHERE sequence = 3",
        "UPDATE audit SET subject = x'ff00' || 'x' WHERE sequence = 3",
        "UPDATE audit SET previous = digest WHERE sequence = 3",
    ] {
        let verdict = verdict_after(sql).await;
        assert!(
            !verdict.is_intact() && verdict.faults[0].sequence == 3,
            "{sql}: {:?}",
            told(&verdict)
        );
    }
}

#[tokio::test]
async fn a_record_that_was_changed_and_sealed_again_is_found() {
    let place = Place::new();
    let store = store_with(&place, 5).await;
    let records = store.audit(None, 0).await.unwrap();
    let (sql, _) = forged(3, records[2].previous);
    tamper(&place, &format!("DELETE FROM audit WHERE sequence = 3; {sql}")).await;
    assert_eq!(
        told(&store.verify_audit().await.unwrap()),
        ["audit record 4: it does not follow the record before it: one of the two was exchanged"]
    );
}

#[tokio::test]
async fn a_chain_that_was_sealed_again_to_its_end_is_found() {
    let place = Place::new();
    let store = store_with(&place, 5).await;
    let before = store.audit(None, 0).await.unwrap()[3].previous;
    let (fourth, record) = forged(4, before);
    let (fifth, _) = forged(5, record.digest);
    tamper(
        &place,
        &format!("DELETE FROM audit WHERE sequence > 3; {fourth}; {fifth}"),
    )
    .await;
    assert_eq!(
        told(&store.verify_audit().await.unwrap()),
        ["audit record 5: it is not the record that was signed as the last one"]
    );
}

#[tokio::test]
async fn removed_records_are_found_wherever_they_were() {
    for (sql, fault) in [
        (
            "DELETE FROM audit WHERE sequence <= 2",
            "audit record 1: records 1 to 2 are missing at the beginning",
        ),
        (
            "DELETE FROM audit WHERE sequence = 3",
            "audit record 3: record 3 is missing",
        ),
        (
            "DELETE FROM audit WHERE sequence >= 4",
            "audit record 4: records 4 to 5 are missing at the end",
        ),
        (
            "DELETE FROM audit",
            "audit record 1: records 1 to 5 are missing at the end",
        ),
    ] {
        assert_eq!(told(&verdict_after(sql).await), [fault], "{sql}");
    }
}

#[tokio::test]
async fn renumbering_does_not_hide_a_removed_record() {
    let verdict = verdict_after(
        "DELETE FROM audit WHERE sequence = 2;
         UPDATE audit SET sequence = -sequence + 1 WHERE sequence > 2;
         UPDATE audit SET sequence = -sequence WHERE sequence < 0",
    )
    .await;
    assert!(verdict.faults.len() >= 2, "{:?}", told(&verdict));
    assert_eq!(verdict.faults[0].sequence, 2);
}

#[tokio::test]
async fn records_in_another_order_are_found() {
    let verdict = verdict_after(
        "UPDATE audit SET sequence = 100 WHERE sequence = 2;
         UPDATE audit SET sequence = 2 WHERE sequence = 3;
         UPDATE audit SET sequence = 3 WHERE sequence = 100",
    )
    .await;
    assert_eq!(
        (verdict.faults[0].sequence, verdict.records),
        (2, 5),
        "{:?}",
        told(&verdict)
    );
}

#[tokio::test]
async fn inserted_records_are_found() {
    let place = Place::new();
    let store = store_with(&place, 5).await;
    let (before_all, _) = forged(0, Digest::ZERO);
    let (behind_a_gap, _) = forged(9, Digest::of("nothing"));
    let (unlinked, _) = forged(6, Digest::of("nothing"));
    for (sql, sequence) in [(before_all, 0), (behind_a_gap, 6), (unlinked, 6)] {
        tamper(&place, &sql).await;
        let verdict = store.verify_audit().await.unwrap();
        assert_eq!(
            (verdict.faults.len(), verdict.faults[0].sequence),
            (1, sequence),
            "{sql}"
        );
        tamper(&place, "DELETE FROM audit WHERE sequence NOT BETWEEN 1 AND 5").await;
    }
    assert!(store.verify_audit().await.unwrap().is_intact());
}

#[tokio::test]
async fn missing_triggers_and_a_rebuilt_table_are_found() {
    let place = Place::new();
    let store = store_with(&place, 2).await;
    let mut raw = place.raw().await;
    run_sql(&mut raw, WITHOUT_TRIGGERS).await;
    assert!(told(&store.verify_audit().await.unwrap())[0].contains("triggers"));
    run_sql(
        &mut raw,
        "CREATE TABLE copy AS SELECT * FROM audit; DROP TABLE audit; ALTER TABLE copy RENAME TO audit;
         UPDATE audit SET digest = NULL WHERE sequence = 2",
    )
    .await;
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!(verdict.faults[0].sequence, 2, "{:?}", told(&verdict));
}

#[tokio::test]
async fn without_key_or_head_the_end_cannot_be_proven() {
    for (taken, reason) in [
        (&["plant.db.audit-head"][..], "the signed head is missing"),
        (&["plant.db.audit-key"], "the signing key is missing"),
        (
            &["plant.db.audit-head", "plant.db.audit-key"],
            "the signing key and the signed head are missing",
        ),
    ] {
        let place = Place::new();
        let store = store_with(&place, 2).await;
        for name in taken {
            fs::remove_file(place.file(name)).unwrap();
        }
        let fault =
            format!("audit record as a whole: cannot conclude that nothing was cut off at the end: {reason}");
        assert_eq!(told(&store.verify_audit().await.unwrap()), [fault]);

        store.append_audit(entry(3)).await.unwrap();
        let verdict = store.verify_audit().await.unwrap();
        assert_eq!(
            (verdict.records, verdict.faults.len(), verdict.faults[0].sequence),
            (4, 1, 3)
        );
    }
}

#[tokio::test]
async fn appending_after_a_cut_does_not_hide_it() {
    let place = Place::new();
    let store = store_with(&place, 5).await;
    tamper(&place, "DELETE FROM audit WHERE sequence > 3").await;
    for number in 6..9 {
        store.append_audit(entry(number)).await.unwrap();
    }
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!(
        told(&verdict),
        ["audit record 4: the record was found broken at this point: records 4 to 5 are missing at the end"]
    );
    assert_eq!(verdict.records, 7);
}

#[tokio::test]
async fn a_crash_between_commit_and_signature_is_a_note_and_is_mended() {
    let place = Place::new();
    let store = store_with(&place, 2).await;
    let head = fs::read(place.file("plant.db.audit-head")).unwrap();
    store.append_audit(entry(3)).await.unwrap();
    fs::write(place.file("plant.db.audit-head"), head).unwrap();

    let verdict = store.verify_audit().await.unwrap();
    assert!(verdict.is_intact());
    assert!(verdict.notes[0].contains("stands at record 2, the database ends at record 3"));
    store.append_audit(entry(4)).await.unwrap();
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!(
        (verdict.records, verdict.notes.len(), verdict.faults.len()),
        (4, 0, 0)
    );
}

#[tokio::test]
async fn a_crash_in_the_very_first_append_is_no_tampering() {
    let place = Place::new();
    let store = store_with(&place, 1).await;
    let key = fs::read_to_string(place.file("plant.db.audit-key")).unwrap();
    let mut seed = [0; 32];
    hex::decode_to_slice(key, &mut seed).unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    fs::write(
        place.file("plant.db.audit-head"),
        super::head::Head::START.sign(&key),
    )
    .unwrap();
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!((verdict.faults.len(), verdict.notes.len()), (0, 1));
}

#[tokio::test]
async fn a_first_append_that_failed_after_the_key_was_made_is_no_tampering() {
    let place = Place::new();
    let store = place.open().await;
    // As on a full disk, the key can be written and the head cannot.
    let in_the_way = place.file("plant.db.audit-head.new");
    fs::create_dir(&in_the_way).unwrap();
    store.append_audit(entry(1)).await.unwrap_err();
    assert!(fs::metadata(place.file("plant.db.audit-key")).unwrap().len() > 0);
    assert!(!place.file("plant.db.audit-head").exists());
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!((verdict.records, told(&verdict)), (0, Vec::new()));

    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(store.append_audit(entry(1)).await.unwrap().sequence, 1);
    let records = store.audit(None, 0).await.unwrap();
    assert_eq!((records.len(), &records[0].entry), (1, &entry(1)));
    let verdict = store.verify_audit().await.unwrap();
    assert!(verdict.is_intact() && verdict.notes.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn a_table_that_is_gone_is_found() {
    for (sql, fault) in [
        (
            "DROP TABLE audit",
            "audit record as a whole: the table of records is gone",
        ),
        (
            "ALTER TABLE audit RENAME TO hidden; CREATE VIEW audit AS SELECT * FROM hidden",
            "audit record as a whole: the table of records is gone",
        ),
        (
            "DROP TABLE audit; CREATE TABLE audit (sequence INTEGER PRIMARY KEY)",
            "audit record as a whole: the table of records was rebuilt without some of its columns",
        ),
    ] {
        let place = Place::new();
        let store = store_with(&place, 5).await;
        run_sql(&mut place.raw().await, sql).await;
        assert_eq!(
            told(&store.verify_audit().await.unwrap()),
            [fault, "audit record 1: records 1 to 5 are missing at the end"],
            "{sql}"
        );
    }
    // Before the first record it is a fault as well: the next append would fail.
    let place = Place::new();
    let store = place.open().await;
    run_sql(&mut place.raw().await, "DROP TABLE audit").await;
    assert!(!store.verify_audit().await.unwrap().is_intact());
}

#[tokio::test]
async fn a_file_that_is_no_key_stops_appending() {
    let place = Place::new();
    let store = store_with(&place, 1).await;
    fs::write(place.file("plant.db.audit-key"), "not a key").unwrap();
    let error = store.append_audit(entry(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::AuditKey { .. }), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_appends_nothing() {
    let place = Place::new();
    let settings = Settings {
        max_pages: Some(40),
        ..Settings::default()
    };
    let store = Store::open_with(place.file("plant.db").to_str().unwrap(), settings)
        .await
        .unwrap();
    store.append_audit(entry(1)).await.unwrap();
    let large = AuditEntry {
        details: serde_json::json!("x".repeat(400_000)),
        ..entry(2)
    };
    let error = store.append_audit(large).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    let verdict = store.verify_audit().await.unwrap();
    assert_eq!(
        (verdict.records, verdict.faults.len(), verdict.notes.len()),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn a_lock_of_another_process_is_told_as_such() {
    let place = Place::new();
    let store = store_with(&place, 1).await;
    let key = fs::File::open(place.file("plant.db.audit-key")).unwrap();
    key.lock().unwrap();
    let error = store.append_audit(entry(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    drop(key);
    let mut other = place.raw().await;
    run_sql(&mut other, "BEGIN EXCLUSIVE").await;
    let error = store.append_audit(entry(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_keep_one_chain() {
    let place = Place::new();
    let url = place.file("plant.db").to_string_lossy().into_owned();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = Store::open(&url).await?;
                for number in 0..10 {
                    store.append_audit(entry(writer * 10 + number)).await?;
                }
                Ok::<(), StoreError>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let verdict = place.open().await.verify_audit().await.unwrap();
    assert_eq!(
        (verdict.records, verdict.faults.len(), verdict.notes.len()),
        (40, 0, 0)
    );
}
