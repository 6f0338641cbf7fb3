PRAGMA user_version = 4;

-- How far a log was followed. The position moves in the transaction that adds what was counted up to it, and only from where
-- it was thought to be: so nothing is counted twice, whoever is killed at whatever moment.
CREATE TABLE log_stream (
    name       TEXT PRIMARY KEY,
    position   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    lines      INTEGER NOT NULL,
    unreadable INTEGER NOT NULL,
    unrelated  INTEGER NOT NULL
) STRICT;

-- Events by hour (since 1970, UTC; -1 without a time), source, destination, port, verdict and moment of the conversation: where a
-- log tells both the beginning and the end of a session, the reader must not take them for two attempts.
CREATE TABLE log_count (
    stream      TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    source      TEXT NOT NULL,
    destination TEXT NOT NULL,
    port        TEXT NOT NULL,
    verdict     TEXT NOT NULL,
    moment      TEXT NOT NULL,
    directed    INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    first       INTEGER,
    last        INTEGER,
    PRIMARY KEY (stream, hour, source, destination, port, verdict, moment, directed)
) STRICT, WITHOUT ROWID;

-- What may be missing between what was read.
CREATE TABLE log_gap (
    stream TEXT NOT NULL,
    at     INTEGER NOT NULL,
    says   TEXT NOT NULL
) STRICT;
