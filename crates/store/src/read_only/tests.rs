//! What is left where the store lies, compared byte by byte, and what is read from it.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use jiff::Timestamp;
use portcullis_model::{AuditEntry, Exit, Fault};
use tempfile::TempDir;

use super::uri;
use crate::{
    Store, StoreError,
    tests::{Place, run_sql},
};

const FILES: [&str; 5] = ["", "-wal", "-shm", ".audit-head", ".audit-key"];

fn entry() -> AuditEntry {
    AuditEntry {
        at: Timestamp::UNIX_EPOCH,
        actor: "ola".into(),
        action: "scan.start".into(),
        subject: "10.7.10.0/24".into(),
        details: serde_json::json!({}),
    }
}

/// Everything in a folder, by name.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap(),
            )
        })
        .collect()
}

/// Copies of those files of a store that are there.
fn evidence(place: &Place, suffixes: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for suffix in suffixes {
        let name = format!("plant.db{suffix}");
        if place.file(&name).exists() {
            fs::copy(place.file(&name), folder.path().join(&name)).unwrap();
        }
    }
    folder
}

/// Number of records of an intact store in this folder, where nothing may change, neither before nor after closing.
async fn intact_records(folder: &Path) -> u64 {
    let before = content(folder);
    let store = Store::open_read_only(folder.join("plant.db").to_str().unwrap())
        .await
        .unwrap();
    let verdict = store.verify_audit().await.unwrap();
    assert!(verdict.is_intact(), "{verdict:?}");
    let refused = store.append_audit(entry()).await.unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
    assert!(content(folder) == before, "something was written");
    store.close().await;
    assert!(content(folder) == before, "something was written at the end");
    verdict.records
}

#[tokio::test]
async fn a_copy_is_verified_and_left_as_it_is() {
    let place = Place::new();
    let store = place.open().await;
    store.append_audit(entry()).await.unwrap();
    store.append_audit(entry()).await.unwrap();
    // As after a power failure: the records are in the log only.
    let all = evidence(&place, &FILES);
    let without_index = evidence(&place, &["", "-wal", ".audit-head", ".audit-key"]);
    assert!(content(all.path()).contains_key("plant.db-shm"));
    store.close().await;
    let closed = evidence(&place, &FILES);
    assert!(!content(closed.path()).contains_key("plant.db-wal"));

    for folder in [all, without_index, closed] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
        assert_eq!(
            intact_records(folder.path()).await,
            2,
            "{:?}",
            content(folder.path()).keys()
        );
    }
}

#[tokio::test]
async fn a_cut_in_a_copy_is_found() {
    let place = Place::new();
    let store = place.open().await;
    store.append_audit(entry()).await.unwrap();
    store.close().await;
    run_sql(
        &mut place.raw().await,
        "DROP TRIGGER audit_keeps_records; DELETE FROM audit",
    )
    .await;
    let folder = evidence(&place, &FILES);
    let store = Store::open_read_only(folder.path().join("plant.db").to_str().unwrap())
        .await
        .unwrap();
    assert!(!store.verify_audit().await.unwrap().is_intact());
}

#[tokio::test]
async fn a_store_at_work_is_read_with_its_latest_records() {
    let place = Place::new();
    let store = place.open().await;
    store.append_audit(entry()).await.unwrap();
    let reader = Store::open_read_only(place.file("plant.db").to_str().unwrap())
        .await
        .unwrap();
    store.append_audit(entry()).await.unwrap();
    assert_eq!(reader.verify_audit().await.unwrap().records, 2);
    let run = "INSERT INTO run VALUES ('a', 1, '{}')";
    let refused = sqlx::query(run).execute(&reader.pool).await.unwrap_err();
    let refused = reader.failed("record a run")(refused);
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_is_not_there_is_named_and_not_made() {
    let place = Place::new();
    let path = place.file("deep/plant.db");
    let error = Store::open_read_only(path.to_str().unwrap()).await.unwrap_err();
    assert_eq!((error.code(), error.exit()), ("ST022", Exit::Usage));
    assert_eq!(
        error.to_string(),
        format!("there is no store at {}", path.display())
    );
    assert!(error.hint().is_some());
    assert!(!place.file("deep").exists());
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let place = Place::new();
    for (name, bytes) in [("empty.db", ""), ("letter.db", "Dear Sir or Madam")] {
        fs::write(place.file(name), bytes).unwrap();
        let error = Store::open_read_only(place.file(name).to_str().unwrap())
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{name}: {error:?}");
        assert_eq!(fs::read(place.file(name)).unwrap(), bytes.as_bytes());
    }
    let error = Store::open_read_only("/dev/null").await.unwrap_err();
    assert!(matches!(error, StoreError::BadLocation { .. }), "{error:?}");
}

#[test]
fn no_character_of_a_path_becomes_a_parameter() {
    assert_eq!(
        uri(Path::new("/a b?mode=rw#c%.db"), "mode=ro"),
        "file:%2Fa%20b%3Fmode%3Drw%23c%25%2Edb?mode=ro"
    );
}
