//! What a followed log told: counts by hour, and how far it was read. Not each line: a log of the internet side has millions a
//! day, and what is asked is who, where to, how often and with what result.

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{LogMoment, Port, Transport, Verdict};
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use crate::{Store, StoreError};

/// Rows of one statement: eight values each, of the 32,766 that SQLite takes
/// (<https://www.sqlite.org/limits.html#max_variable_number>).
const ROWS: usize = 2000;

const DOING: &str = "record what a log told";

/// How often something was logged within an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCount {
    /// Hours since 1970 (UTC); `None` for events without a time.
    pub hour: Option<i64>,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port, for TCP and UDP.
    pub port: Option<Port>,
    /// What the log proves.
    pub verdict: Verdict,
    /// Which moment of a conversation.
    pub moment: LogMoment,
    /// Whether the log tells which of the two began.
    pub directed: bool,
    /// How many events.
    pub events: u64,
    /// The first of them, in microseconds since 1970.
    pub first: Option<i64>,
    /// The last.
    pub last: Option<i64>,
}

/// A part of a log: what was counted, and from where to where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// Which log.
    pub stream: String,
    /// Where it begins: the position that was kept last; `None` when there is none.
    pub from: Option<String>,
    /// Where it ends.
    pub to: String,
    /// When it was read.
    pub at: Timestamp,
    /// What was counted.
    pub counts: Vec<LogCount>,
    /// Lines, those that are no events among them.
    pub lines: u64,
    /// Lines that should be events and cannot be read.
    pub unreadable: u64,
    /// Lines of something else.
    pub unrelated: u64,
    /// What may be missing before or within it, in plain words.
    pub gaps: Vec<String>,
}

/// How far a log was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    /// Which log.
    pub name: String,
    /// The position, in the words of the one who follows.
    pub position: String,
    /// When it was reached.
    pub at: Timestamp,
    /// Lines so far.
    pub lines: u64,
    /// Of these unreadable.
    pub unreadable: u64,
    /// Of these of something else.
    pub unrelated: u64,
}

impl Store {
    /// Adds what was counted and moves the position, both or neither. Tells whether it did: it does not when the position is
    /// no longer where the batch begins, since somebody else has counted it then.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged. Nothing was added then.
    pub async fn add_log_counts(&self, batch: &LogBatch) -> Result<bool, StoreError> {
        let doing = DOING;
        let mut transaction = self.write(doing).await?;
        let (lines, unreadable, unrelated) = (
            whole(batch.lines),
            whole(batch.unreadable),
            whole(batch.unrelated),
        );
        let moved = match &batch.from {
            None => {
                sqlx::query_scalar(
                    "INSERT INTO log_stream (position, at, lines, unreadable, unrelated, name) VALUES (?, ?, ?, ?, ?, ?)
                     ON CONFLICT (name) DO NOTHING RETURNING id",
                )
            }
            Some(_) => sqlx::query_scalar(
                "UPDATE log_stream SET position = ?, at = ?, lines = lines + ?, unreadable = unreadable + ?,
                     unrelated = unrelated + ? WHERE name = ? AND position = ? RETURNING id",
            ),
        };
        let moved = moved
            .bind(&batch.to)
            .bind(batch.at.as_microsecond())
            .bind(lines)
            .bind(unreadable)
            .bind(unrelated)
            .bind(&batch.stream);
        let moved = match &batch.from {
            None => moved,
            Some(from) => moved.bind(from),
        };
        let moved: Option<i64> = moved
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.failed(doing))?;
        let Some(stream) = moved else {
            return Ok(false);
        };
        for counts in batch.counts.chunks(ROWS) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO log_count (stream, hour, source, destination, port, told, events, first, last) ",
            );
            insert.push_values(counts, |mut row, count| {
                // A number of our own: as text it is the same statement for the same log, and one value less in each row.
                row.push(stream)
                    .push_bind(count.hour.unwrap_or(-1))
                    .push_bind(bytes(count.source))
                    .push_bind(bytes(count.destination))
                    .push_bind(port(count.port))
                    .push_bind(told(count))
                    .push_bind(whole(count.events))
                    .push_bind(count.first)
                    .push_bind(count.last);
            });
            insert.push(
                " ON CONFLICT DO UPDATE SET events = events + excluded.events, first = min(first, excluded.first),
                     last = max(last, excluded.last)",
            );
            insert
                .build()
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(doing))?;
        }
        for gap in &batch.gaps {
            sqlx::query("INSERT INTO log_gap (stream, at, says) VALUES (?, ?, ?)")
                .bind(&batch.stream)
                .bind(batch.at.as_microsecond())
                .bind(gap)
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(doing))?;
        }
        transaction.commit().await.map_err(self.failed(doing))?;
        Ok(true)
    }

    /// How far a log was followed; `None` when it never was.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn log_stream(&self, stream: &str) -> Result<Option<LogStream>, StoreError> {
        let failed = self.failed("read how far a log was followed");
        let row = sqlx::query(
            "SELECT name, position, at, lines, unreadable, unrelated FROM log_stream WHERE name = ?",
        )
        .bind(stream)
        .fetch_optional(&self.pool)
        .await
        .map_err(&failed)?;
        let read = |row: SqliteRow| -> Result<LogStream, sqlx::Error> {
            Ok(LogStream {
                name: row.try_get(0)?,
                position: row.try_get(1)?,
                at: Timestamp::from_microsecond(row.try_get(2)?)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
                lines: natural(row.try_get(3)?),
                unreadable: natural(row.try_get(4)?),
                unrelated: natural(row.try_get(5)?),
            })
        };
        row.map(read).transpose().map_err(failed)
    }

    /// What a log told, by hour, source, destination, port and verdict.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn log_counts(&self, stream: &str) -> Result<Vec<LogCount>, StoreError> {
        let failed = self.failed("read what a log told");
        let rows = sqlx::query(
            "SELECT hour, source, destination, port, told, events, first, last FROM log_count
             WHERE stream = (SELECT id FROM log_stream WHERE name = ?)
             ORDER BY hour, source, destination, port, told",
        )
        .bind(stream)
        .fetch_all(&self.pool)
        .await
        .map_err(&failed)?;
        rows.iter().map(count).collect::<Result<_, _>>().map_err(failed)
    }

    /// What may be missing in what was followed, oldest first.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn log_gaps(&self, stream: &str) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT says FROM log_gap WHERE stream = ? ORDER BY rowid")
            .bind(stream)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the gaps of a log"))
    }
}

const VERDICTS: [Verdict; 3] = [Verdict::Allowed, Verdict::Blocked, Verdict::Unknown];
const MOMENTS: [LogMoment; 4] = [
    LogMoment::Packet,
    LogMoment::Begin,
    LogMoment::End,
    LogMoment::Within,
];
const DIRECTED: i64 = 16;
const UDP: i64 = 1 << 16;

fn count(row: &SqliteRow) -> Result<LogCount, sqlx::Error> {
    let hour: i64 = row.try_get(0)?;
    let told: i64 = row.try_get(4)?;
    let wrong = |what: &'static str| sqlx::Error::Decode(what.into());
    Ok(LogCount {
        hour: (hour >= 0).then_some(hour),
        source: address(row.try_get(1)?)?,
        destination: address(row.try_get(2)?)?,
        port: match row.try_get(3)? {
            0 => None,
            number => Some(Port {
                transport: if number < UDP {
                    Transport::Tcp
                } else {
                    Transport::Udp
                },
                number: u16::try_from(number % UDP).map_err(|_| wrong("it is no port"))?,
            }),
        },
        verdict: *usize::try_from(told & 3)
            .ok()
            .and_then(|verdict| VERDICTS.get(verdict))
            .ok_or_else(|| wrong("it is no verdict"))?,
        moment: *usize::try_from(told >> 2 & 3)
            .ok()
            .and_then(|moment| MOMENTS.get(moment))
            .ok_or_else(|| wrong("it is no moment of a conversation"))?,
        directed: told & DIRECTED != 0,
        events: natural(row.try_get(5)?),
        first: row.try_get(6)?,
        last: row.try_get(7)?,
    })
}

/// The four or sixteen bytes of an address.
pub(crate) fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Result<IpAddr, sqlx::Error> {
    match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(four), _) => Ok(four.into()),
        (_, Ok(sixteen)) => Ok(sixteen.into()),
        _ => Err(sqlx::Error::Decode("it is no address".into())),
    }
}

fn port(port: Option<Port>) -> i64 {
    port.map_or(0, |port| match port.transport {
        Transport::Tcp => port.number.into(),
        Transport::Udp => i64::from(port.number) + UDP,
    })
}

/// Verdict, moment and direction in one number.
fn told(count: &LogCount) -> i64 {
    let verdict = match count.verdict {
        Verdict::Allowed => 0,
        Verdict::Blocked => 1,
        Verdict::Unknown => 2,
    };
    let moment = match count.moment {
        LogMoment::Packet => 0,
        LogMoment::Begin => 1,
        LogMoment::End => 2,
        LogMoment::Within => 3,
    };
    verdict + 4 * moment + if count.directed { DIRECTED } else { 0 }
}

/// SQLite's integers have a sign.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions, Connection};

    use super::*;
    use crate::Settings;

    fn count(source: u8, events: u64, first: i64) -> LogCount {
        LogCount {
            hour: Some(1),
            source: IpAddr::from([192, 0, 2, source]),
            destination: IpAddr::from([10, 7, 10, 4]),
            port: Some(Port::tcp(54321)),
            verdict: Verdict::Blocked,
            moment: LogMoment::Packet,
            directed: true,
            events,
            first: Some(first),
            last: Some(first + 5),
        }
    }

    fn batch(from: Option<&str>, to: &str, counts: Vec<LogCount>) -> LogBatch {
        LogBatch {
            stream: "file:kern.log".into(),
            from: from.map(Into::into),
            to: to.into(),
            at: Timestamp::UNIX_EPOCH,
            lines: counts.iter().map(|count| count.events).sum(),
            counts,
            unreadable: 1,
            unrelated: 0,
            gaps: Vec::new(),
        }
    }

    async fn store(settings: Settings) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let store = Store::open_with(&path.to_string_lossy(), settings).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn counts_add_up_and_the_position_moves_with_them() {
        let (_folder, store) = store(Settings::default()).await;
        let first = batch(None, "10", vec![count(7, 3, 100), count(8, 1, 100)]);
        assert!(store.add_log_counts(&first).await.unwrap());
        let mut second = batch(Some("10"), "20", vec![count(7, 2, 50)]);
        second.gaps.push("x".into());
        assert!(store.add_log_counts(&second).await.unwrap());
        let counts = store.log_counts("file:kern.log").await.unwrap();
        let seven = LogCount {
            events: 5,
            first: Some(50),
            last: Some(105),
            ..count(7, 0, 0)
        };
        assert_eq!(counts, [seven, count(8, 1, 100)]);
        let stream = store.log_stream("file:kern.log").await.unwrap().unwrap();
        assert_eq!(
            (stream.position.as_str(), stream.lines, stream.unreadable),
            ("20", 6, 2)
        );
        assert_eq!(store.log_gaps("file:kern.log").await.unwrap(), ["x"]);
        assert_eq!(store.log_stream("other").await.unwrap(), None);
    }

    #[tokio::test]
    async fn whatever_was_counted_is_read_back() {
        let (_folder, store) = store(Settings::default()).await;
        let mut counts = Vec::new();
        for (number, port) in [
            None,
            Some(Port::tcp(65535)),
            Some(Port::udp(65535)),
            Some(Port::udp(1)),
        ]
        .into_iter()
        .enumerate()
        {
            for verdict in VERDICTS {
                for moment in MOMENTS {
                    for directed in [false, true] {
                        counts.push(LogCount {
                            hour: (number > 0).then_some(500_000),
                            source: "2001:db8::7".parse().unwrap(),
                            port,
                            verdict,
                            moment,
                            directed,
                            ..count(7, 9, 1)
                        });
                    }
                }
            }
        }
        let all = batch(None, "10", counts.clone());
        assert!(store.add_log_counts(&all).await.unwrap());
        let read = store.log_counts("file:kern.log").await.unwrap();
        assert_eq!(read.len(), counts.len());
        for count in counts {
            assert!(read.contains(&count), "{count:?}");
        }
    }

    /// Rows as the fourth migration had them.
    #[tokio::test]
    async fn what_was_counted_before_addresses_were_bytes_is_kept() {
        let (folder, store) = store(Settings::default()).await;
        store.close().await;
        let path = folder.path().join("x.db");
        let old = include_str!("../migrations/2026-11-29T1700-log-counts.sql");
        let mut raw = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .connect()
            .await
            .unwrap();
        let rows = "DROP TABLE log_stream; DROP TABLE log_count; DROP TABLE log_gap;";
        sqlx::raw_sql(rows).execute(&mut raw).await.unwrap();
        sqlx::raw_sql(old).execute(&mut raw).await.unwrap();
        let rows = "INSERT INTO log_stream VALUES ('file:other', '1', 0, 1, 0, 0), ('file:kern.log', '10', 5, 9, 1, 2);
            INSERT INTO log_count VALUES
                ('file:other', 1, '192.0.2.9', '10.7.10.4', 'tcp/1', 'allowed', 'packet', 1, 1, 1, 1),
                ('file:kern.log', 1, '192.0.2.7', '10.7.10.4', 'tcp/54321', 'blocked', 'packet', 1, 3, 100, 105),
                ('file:kern.log', 1, '2001:db8::7', '2001:db8::1', 'udp/161', 'unknown', 'within', 0, 4, 100, 105),
                ('file:kern.log', -1, '192.0.2.7', '10.7.10.4', '', 'allowed', 'end', 1, 2, NULL, NULL);";
        sqlx::raw_sql(rows).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        let store = Store::open(&path.to_string_lossy()).await.unwrap();
        let stream = store.log_stream("file:kern.log").await.unwrap().unwrap();
        assert_eq!((stream.position.as_str(), stream.lines), ("10", 9));
        let expected = [
            LogCount {
                hour: None,
                port: None,
                verdict: Verdict::Allowed,
                moment: LogMoment::End,
                first: None,
                last: None,
                ..count(7, 2, 0)
            },
            LogCount {
                source: "2001:db8::7".parse().unwrap(),
                destination: "2001:db8::1".parse().unwrap(),
                port: Some(Port::udp(161)),
                verdict: Verdict::Unknown,
                moment: LogMoment::Within,
                directed: false,
                ..count(7, 4, 100)
            },
            count(7, 3, 100),
        ];
        assert_eq!(store.log_counts("file:kern.log").await.unwrap(), expected);
        let more = batch(Some("10"), "20", vec![count(7, 2, 50)]);
        assert!(store.add_log_counts(&more).await.unwrap());
        assert_eq!(store.log_counts("file:kern.log").await.unwrap()[2].events, 5);
    }

    #[tokio::test]
    async fn the_same_part_of_a_log_is_counted_once() {
        let (_folder, store) = store(Settings::default()).await;
        let first = batch(None, "10", vec![count(7, 3, 100)]);
        assert!(store.add_log_counts(&first).await.unwrap());
        assert!(!store.add_log_counts(&first).await.unwrap());
        assert!(
            !store
                .add_log_counts(&batch(Some("9"), "20", vec![count(7, 3, 100)]))
                .await
                .unwrap()
        );
        let counts = store.log_counts("file:kern.log").await.unwrap();
        assert_eq!(counts, [count(7, 3, 100)]);
    }

    #[tokio::test]
    async fn what_does_not_fit_on_the_disk_is_neither_counted_nor_passed_over() {
        let (_folder, store) = store(Settings {
            max_pages: Some(80),
            ..Settings::default()
        })
        .await;
        assert!(
            store
                .add_log_counts(&batch(None, "10", vec![count(7, 3, 100)]))
                .await
                .unwrap()
        );
        let many: Vec<LogCount> = (0..20_000_u32)
            .map(|n| LogCount {
                source: IpAddr::from(n.to_be_bytes()),
                ..count(0, 1, 1)
            })
            .collect();
        let full = store
            .add_log_counts(&batch(Some("10"), "20", many))
            .await
            .unwrap_err();
        assert!(matches!(full, StoreError::Full { .. }), "{full:?}");
        let stream = store.log_stream("file:kern.log").await.unwrap().unwrap();
        assert_eq!(stream.position, "10");
        assert_eq!(
            store.log_counts("file:kern.log").await.unwrap(),
            [count(7, 3, 100)]
        );
    }
}
