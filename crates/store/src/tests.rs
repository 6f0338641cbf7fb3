//! The store from outside: round trips, lookups, and everything that can be wrong with a file.

use std::{
    collections::HashMap,
    error::Error,
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use portcullis_model::{
    BackendName, Change, ChangeId, ChangeState, Coverage, Digest, Exit, Fault, NotTested, Observation,
    ObservationId, Plan, PlanId, Port, PortState, Run, RunId, Vantage,
};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    KeptAdvisory, Settings, Store, StoreError,
    record::{Row, decode},
};

pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open("plant.db").await.unwrap()
    }

    async fn try_open(&self, name: &str) -> Result<Store, StoreError> {
        let settings = Settings {
            busy_timeout: Duration::from_millis(50),
            ..Settings::default()
        };
        Store::open_with(self.file(name).to_str().unwrap(), settings).await
    }

    /// A connection without any of our settings, as another program would have.
    pub(crate) async fn raw(&self) -> SqliteConnection {
        raw(&self.file("plant.db")).await
    }
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(false)
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn run_sql(connection: &mut SqliteConnection, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into()))
        .execute(connection)
        .await
        .unwrap();
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn run(number: u8) -> Run {
    Run {
        id: RunId::of(&[&[number]]),
        command: "scan".into(),
        vantage: Vantage::this_host(),
        started: at(number.into()),
        ended: None,
        settings: serde_json::json!({ "rate": 0.1 }),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    }
}

fn observation(run: &Run, address: &str, second: i64, state: PortState) -> Observation {
    let (address, port): (IpAddr, _) = (address.parse().unwrap(), Port::tcp(54321));
    Observation {
        id: Observation::id_of(run.id, &run.vantage, address, port),
        run: run.id,
        at: at(second),
        vantage: run.vantage.clone(),
        source: None,
        address,
        port,
        state,
        because: "connection accepted after 0.4 ms".into(),
        confidence: None,
        identifications: Vec::new(),
        evidence: Vec::new(),
    }
}

fn plan(second: i64) -> Plan {
    Plan {
        id: PlanId::of(&[]),
        made: at(second),
        host: "gw-1".into(),
        via: None,
        backend: BackendName::Nftables,
        close: Port::tcp(54321),
        behind: Vec::new(),
        allow: Vec::new(),
        exposure: None,
        site: None,
        ruleset: Digest::of("rules"),
        before: Vec::new(),
        listeners: Vec::new(),
        connections: Vec::new(),
        notes: Vec::new(),
        predictions: Vec::new(),
        effects: Vec::new(),
    }
    .seal()
}

/// Two plans whose ids begin with the same four digits, the one with the smaller id first.
fn plans_alike() -> [Plan; 2] {
    let mut seen: HashMap<String, Plan> = HashMap::new();
    for second in 0.. {
        let new = plan(second);
        let beginning = new.id.to_string()[..4].to_string();
        if let Some(old) = seen.insert(beginning, new.clone()) {
            let mut two = [old, new];
            two.sort_by_key(|plan| plan.id.to_string());
            return two;
        }
    }
    unreachable!("there are 65536 beginnings")
}

fn change(number: u8, host: &str) -> Change {
    Change {
        id: ChangeId::of(&[&[number]]),
        plan: PlanId::of(&[b"plan"]),
        host: host.into(),
        backend: BackendName::Nftables,
        port: Port::tcp(54321),
        state: ChangeState::Applying,
        applied: at(number.into()),
        trial_seconds: Some(120),
        trial_until: Some(at(i64::from(number) + 120)),
        trial_ends: None,
        since: at(number.into()),
        actor: "ola".into(),
        emergency: None,
        fingerprint: None,
        session: None,
        steps: Vec::new(),
    }
}

#[tokio::test]
async fn what_was_learned_of_a_port_is_kept_once_and_can_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plant.sqlite");
    let store = Store::open(&path.to_string_lossy()).await.unwrap();
    let address = "10.7.10.10".parse().unwrap();
    let port = portcullis_model::Port::tcp(54321);
    for looks in [1, 2] {
        let record = serde_json::json!({ "looks": looks });
        store.keep_signature(address, port, &record).await.unwrap();
    }
    assert_eq!(
        store.signatures().await.unwrap(),
        [serde_json::json!({ "looks": 2 })]
    );
    assert!(store.forget_signature(address, port).await.unwrap());
    assert!(!store.forget_signature(address, port).await.unwrap());
    assert!(store.signatures().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_run_keeps_its_beginning_and_gets_its_end() {
    let place = Place::new();
    let store = place.open().await;
    let mut one = run(1);
    store.begin_run(&one).await.unwrap();
    store.begin_run(&run(2)).await.unwrap();
    assert_eq!(store.run(one.id).await.unwrap(), Some(one.clone()));

    one.ended = Some(at(9));
    one.not_tested = vec![NotTested {
        first: "10.7.10.1".parse().unwrap(),
        last: "10.7.10.9".parse().unwrap(),
        ports: vec![Port::udp(4800)],
        reason: "stopped by hand".into(),
    }];
    one.coverage.packets = 7;
    let meddled = Run {
        command: "check".into(),
        ..one.clone()
    };
    store.finish_run(&meddled).await.unwrap();
    assert_eq!(store.latest_runs(5).await.unwrap(), [run(2), one]);
    assert_eq!(store.latest_runs(1).await.unwrap(), [run(2)]);

    let never_begun = store.finish_run(&run(3)).await.unwrap_err();
    assert!(matches!(never_begun, StoreError::NotFound { thing: "run", .. }));
    assert_eq!(store.run(run(3).id).await.unwrap(), None);
}

#[tokio::test]
async fn observations_are_added_once_and_the_newest_is_found() {
    let place = Place::new();
    let store = place.open().await;
    let (first, second) = (run(1), run(2));
    store.begin_run(&first).await.unwrap();
    store.begin_run(&second).await.unwrap();
    let old = observation(&first, "10.7.10.9", 1, PortState::Open);
    let other = observation(&first, "10.7.10.10", 1, PortState::NoAnswer);
    let new = observation(&second, "10.7.10.9", 2, PortState::Closed);
    store
        .add_observations(&[new.clone(), old.clone(), other.clone()])
        .await
        .unwrap();

    let edited = Observation {
        state: PortState::Closed,
        ..old.clone()
    };
    store.add_observations(&[edited]).await.unwrap();
    assert_eq!(
        store.observations_of_run(first.id).await.unwrap(),
        [old, other.clone()]
    );
    assert_eq!(store.latest_observations().await.unwrap(), [new, other]);
}

#[tokio::test]
async fn it_is_known_which_run_looked_at_which_port_and_from_where() {
    let place = Place::new();
    let store = place.open().await;
    let (first, second) = (run(1), run(2));
    let other = Run {
        command: "import".into(),
        ..run(3)
    };
    for run in [&first, &second, &other] {
        store.begin_run(run).await.unwrap();
    }
    let from = |run: &Run, address: &str, port, source: Option<&str>| Observation {
        id: Observation::id_of(run.id, &run.vantage, address.parse().unwrap(), Port::tcp(port)),
        source: source.map(|source| source.parse().unwrap()),
        port: Port::tcp(port),
        ..observation(run, address, 0, PortState::Open)
    };
    store
        .add_observations(&[
            from(&first, "10.7.10.4", 22, Some("10.7.20.9")),
            from(&first, "10.7.10.4", 80, Some("10.7.20.9")),
            from(&first, "10.7.10.5", 80, Some("10.7.30.9")),
            from(&second, "10.7.10.4", 22, None),
            from(&other, "10.7.10.4", 22, Some("10.7.20.9")),
        ])
        .await
        .unwrap();
    let mut looks = store.looks_of_runs(["scan", "verify"], 9).await.unwrap();
    looks.sort();
    let near = Some("10.7.20.9".parse().unwrap());
    let mut expected = vec![
        (first.id, Port::tcp(22), near),
        (first.id, Port::tcp(80), near),
        (first.id, Port::tcp(80), Some("10.7.30.9".parse().unwrap())),
        (second.id, Port::tcp(22), None),
    ];
    expected.sort();
    assert_eq!(looks, expected);
    let newest = store.looks_of_runs(["scan", "verify"], 1).await.unwrap();
    assert_eq!(newest, [(second.id, Port::tcp(22), None)]);
}

#[tokio::test]
async fn observations_come_all_or_none() {
    let place = Place::new();
    let store = place.open().await;
    store.begin_run(&run(1)).await.unwrap();
    let good = observation(&run(1), "10.7.10.9", 1, PortState::Open);
    let orphan = observation(&run(7), "10.7.10.9", 1, PortState::Open);
    let error = store.add_observations(&[good, orphan]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { thing: "run", .. }));
    assert!(store.latest_observations().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_is_found_by_the_beginning_of_its_id_and_never_overwritten() {
    let place = Place::new();
    let store = place.open().await;
    let [a, b] = plans_alike();
    let (first, second) = (a.id.to_string(), b.id.to_string());
    store.save_plan(&a).await.unwrap();
    store.save_plan(&b).await.unwrap();
    let renamed = Plan {
        host: "gw-2".into(),
        ..a.clone()
    };
    store.save_plan(&renamed).await.unwrap();

    assert_eq!(store.plan(&first).await.unwrap(), a);
    assert_eq!(store.plan(&second.to_uppercase()).await.unwrap(), b);
    let mut newest_first = [a, b];
    newest_first.sort_by_key(|plan| std::cmp::Reverse(plan.made));
    assert_eq!(store.plans().await.unwrap(), newest_first);
    let ambiguous = store.plan(&first[..4]).await.unwrap_err();
    assert_eq!(
        ambiguous.to_string(),
        format!("{} could be more than one plan: {first}, {second}", &first[..4])
    );
    assert_eq!((ambiguous.code(), ambiguous.exit()), ("ST013", Exit::Usage));
    let unknown = store.plan("abcdef0123456789").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.exit()), ("ST012", Exit::Usage));
    assert!(matches!(
        store.plan("7c1").await,
        Err(StoreError::BadPrefix { .. })
    ));
}

#[tokio::test]
async fn a_plan_that_was_altered_is_refused() {
    for sql in [
        "UPDATE plan SET record = replace(record, '54321', '22')",
        "UPDATE plan SET record = replace(record, '\"allow\":[]', '\"allow\":[{\"network\":\"0.0.0.0/0\",\"because\":\"\"}]')",
        "UPDATE plan SET id = 'aaaa' || substr(id, 5)",
        "UPDATE plan SET id = 'aaaa' || substr(id, 5), record = replace(record, id, 'aaaa' || substr(id, 5))",
    ] {
        let place = Place::new();
        let store = place.open().await;
        let plan = plan(1);
        store.save_plan(&plan).await.unwrap();
        let id = plan.id.to_string();
        assert_eq!(store.plan(&id).await.unwrap(), plan);
        run_sql(&mut place.raw().await, sql).await;

        let stored_under = if sql.contains("aaaa") {
            format!("aaaa{}", &id[4..])
        } else {
            id
        };
        for error in [
            store.plan(&stored_under).await.unwrap_err(),
            store.plans().await.unwrap_err(),
        ] {
            assert_eq!(
                (error.code(), error.exit()),
                ("ST021", Exit::Failed),
                "{sql}: {error:?}"
            );
            assert!(error.to_string().contains(&stored_under), "{error}");
            assert!(error.hint().unwrap().contains("make the plan again"));
        }
    }
}

#[tokio::test]
async fn a_change_moves_from_state_to_state() {
    let place = Place::new();
    let store = place.open().await;
    let mut mine = change(1, "gw-1");
    store.save_change(&mine).await.unwrap();
    store.save_change(&change(2, "gw-2")).await.unwrap();
    mine.state = ChangeState::Confirmed;
    store.save_change(&mine).await.unwrap();

    let id = mine.id.to_string();
    assert_eq!(store.change(&id[..6]).await.unwrap(), mine);
    assert_eq!(store.changes(Some("gw-1")).await.unwrap(), [mine.clone()]);
    assert_eq!(store.changes(None).await.unwrap(), [change(2, "gw-2"), mine]);
}

#[tokio::test]
async fn what_was_stored_is_there_after_closing_and_only_for_its_owner() {
    let place = Place::new();
    let store = place.try_open("deep/er/plant.db").await.unwrap();
    store.begin_run(&run(1)).await.unwrap();
    store.close().await;
    let mode = |path: &str| fs::metadata(place.file(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("deep"), mode("deep/er"), mode("deep/er/plant.db")),
        (0o700, 0o700, 0o600)
    );
    let store = place.try_open("deep/er/plant.db").await.unwrap();
    assert_eq!(store.latest_runs(9).await.unwrap(), [run(1)]);
}

/// Written by tables of version 1; must stay readable.
#[tokio::test]
async fn values_of_version_1_are_understood() {
    let place = Place::new();
    let store = place.open().await;
    run_sql(&mut place.raw().await, include_str!("../samples/values-v1.sql")).await;
    let run = store.latest_runs(1).await.unwrap().remove(0);
    assert_eq!(run.not_tested[0].ports, [Port::tcp(54321)]);
    let observation = store.observations_of_run(run.id).await.unwrap().remove(0);
    assert_eq!(
        observation.id,
        "00000000000000b1".parse::<ObservationId>().unwrap()
    );
    assert_eq!(observation.evidence[0].bytes, [1, 0xff]);
    // Its id does not fit a plan of today, which says more: it can be read, and is not applied.
    let (id, text): Row = sqlx::query_as("SELECT id, record FROM plan")
        .fetch_one(&store.pool)
        .await
        .unwrap();
    assert_eq!(decode::<Plan>("plan", (id, text)).unwrap().predictions.len(), 1);
    assert_eq!(store.plan("00000000000000c1").await.unwrap_err().code(), "ST021");
    assert_eq!(
        store.change("00000000000000d1").await.unwrap().state,
        ChangeState::OnTrial
    );
}

#[tokio::test]
async fn a_locked_database_is_told_as_such_and_works_again_later() {
    let place = Place::new();
    let store = place.open().await;
    let mut other = place.raw().await;
    run_sql(&mut other, "BEGIN EXCLUSIVE").await;
    for error in [
        store.begin_run(&run(1)).await.unwrap_err(),
        store.add_observations(&[]).await.unwrap_err(),
        place.try_open("plant.db").await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
        assert_eq!((error.code(), error.exit()), ("ST006", Exit::Failed));
        assert!(error.hint().unwrap().contains("plant.db"));
    }
    run_sql(&mut other, "COMMIT").await;
    store.begin_run(&run(1)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_loses_nothing() {
    let place = Place::new();
    let settings = Settings {
        max_pages: Some(40),
        ..Settings::default()
    };
    let store = Store::open_with(place.file("plant.db").to_str().unwrap(), settings)
        .await
        .unwrap();
    store.begin_run(&run(1)).await.unwrap();
    let large = Run {
        settings: serde_json::json!("x".repeat(400_000)),
        ..run(2)
    };
    let error = store.begin_run(&large).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.hint().is_some());
    assert_eq!(store.latest_runs(9).await.unwrap(), [run(1)]);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_told_as_such() {
    let place = Place::new();
    let store = place.open().await;
    let mut connection = store.pool.acquire().await.unwrap();
    run_sql(&mut connection, "PRAGMA query_only = 1").await;
    let refused = sqlx::query("DELETE FROM run")
        .execute(&mut *connection)
        .await
        .unwrap_err();
    let error = store.failed("record a run")(refused);
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn files_that_are_something_else_are_refused_and_left_alone() {
    let place = Place::new();
    fs::write(place.file("letter.db"), "Dear Sir or Madam, ".repeat(100)).unwrap();
    let mut other = raw(&place.file("browser.db")).await;
    run_sql(
        &mut other,
        "CREATE TABLE bookmark (url TEXT); PRAGMA user_version = 1",
    )
    .await;
    drop(other);
    for name in ["letter.db", "browser.db"] {
        let before = fs::read(place.file(name)).unwrap();
        let error = place.try_open(name).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{name}: {error:?}");
        assert_eq!(fs::read(place.file(name)).unwrap(), before, "{name}");
    }
}

#[tokio::test]
async fn a_damaged_database_is_told_as_such() {
    let place = Place::new();
    let store = place.open().await;
    for number in 0..50 {
        store.begin_run(&run(number)).await.unwrap();
    }
    store.close().await;
    let mut bytes = fs::read(place.file("plant.db")).unwrap();
    bytes[4096..].fill(0xaa);
    fs::write(place.file("plant.db"), bytes).unwrap();
    let error = match place.try_open("plant.db").await {
        Ok(store) => store.latest_runs(100).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn tables_of_a_newer_program_are_left_alone() {
    let place = Place::new();
    place.open().await.close().await;
    run_sql(&mut place.raw().await, "PRAGMA user_version = 99").await;
    let error = place.try_open("plant.db").await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn a_folder_or_a_file_in_the_way_is_named() {
    let place = Place::new();
    fs::create_dir(place.file("folder")).unwrap();
    fs::write(place.file("file"), "").unwrap();
    for name in ["folder", "file/plant.db", "file/deep/plant.db"] {
        let error = place.try_open(name).await.unwrap_err();
        assert!(matches!(error, StoreError::Create { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains("/f"), "{error}");
        assert!(error.hint().is_some(), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_device_is_no_place_for_a_store() {
    for url in ["/dev/null", "sqlite:/dev/zero"] {
        let error = Store::open(url).await.unwrap_err();
        assert_eq!((error.code(), error.exit()), ("ST003", Exit::Usage), "{error:?}");
        assert!(error.to_string().contains("/dev/"), "{error}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn what_sqlite_said_is_told_once() {
    let place = Place::new();
    let store = place.open().await;
    run_sql(&mut place.raw().await, "DROP TABLE change").await;
    let error = store.changes(None).await.unwrap_err();
    assert_eq!(error.code(), "ST020");
    let cause = error.source().unwrap();
    assert_eq!(cause.to_string(), "no such table: change (SQLite code 1)");
    assert!(cause.source().is_none());
}

#[tokio::test]
async fn several_openers_of_a_new_database_agree() {
    let place = Place::new();
    let url = place.file("plant.db").to_string_lossy().into_owned();
    let openers: Vec<_> = (0..8)
        .map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = Store::open(&url).await?;
                store.begin_run(&run(number)).await
            })
        })
        .collect();
    for opener in openers {
        opener.await.unwrap().unwrap();
    }
    assert_eq!(place.open().await.latest_runs(100).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_later_version_of_an_advisory_takes_the_place_of_the_one_before() {
    let place = Place::new();
    let store = place.open().await;
    let advisory = |namespace: &str, version: &str| KeptAdvisory {
        namespace: namespace.into(),
        id: "EX-1".into(),
        version: version.into(),
        record: serde_json::json!({ "version": version }),
    };
    let keep =
        async |advisory: &KeptAdvisory, newer: bool| store.keep_advisory(advisory, |_| newer).await.unwrap();
    assert_eq!(keep(&advisory("https://a.example", "1"), true).await, None);
    assert_eq!(
        keep(&advisory("https://a.example", "2"), true).await.as_deref(),
        Some("1")
    );
    assert_eq!(
        keep(&advisory("https://a.example", "1"), false).await.as_deref(),
        Some("2")
    );
    assert_eq!(keep(&advisory("https://b.example", "1"), true).await, None);
    let versions: Vec<String> = store
        .advisories()
        .await
        .unwrap()
        .iter()
        .map(|one| one["version"].to_string())
        .collect();
    assert_eq!(versions, ["\"2\"", "\"1\""]);
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date() {
    let place = Place::new();
    let first = include_str!("../migrations/2026-11-23T1200-first-tables.sql");
    run_sql(&mut place.raw().await, first).await;
    let store = place.open().await;
    assert!(store.advisories().await.unwrap().is_empty());
    store.begin_run(&run(1)).await.unwrap();
    assert_eq!(store.commands_of_runs().await.unwrap()[&run(1).id], "scan");
    assert!(store.runs_that_name_hosts().await.unwrap().is_empty());
}
