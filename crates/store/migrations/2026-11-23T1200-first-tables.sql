-- 'PCLS': tells our file from any other SQLite database.
PRAGMA application_id = 1346587731;
PRAGMA user_version = 1;

-- `record` is the whole value as JSON; the other columns repeat what a query needs. Times are microseconds since 1970.
CREATE TABLE run (
    id      TEXT PRIMARY KEY,
    started INTEGER NOT NULL,
    record  TEXT NOT NULL
) STRICT;
CREATE INDEX run_started ON run (started);

CREATE TABLE observation (
    id      TEXT PRIMARY KEY,
    run     TEXT NOT NULL REFERENCES run (id),
    at      INTEGER NOT NULL,
    vantage TEXT NOT NULL,
    address TEXT NOT NULL,
    port    TEXT NOT NULL,
    record  TEXT NOT NULL
) STRICT;
CREATE INDEX observation_run ON observation (run);
CREATE INDEX observation_latest ON observation (vantage, address, port, at);

CREATE TABLE plan (
    id     TEXT PRIMARY KEY,
    made   INTEGER NOT NULL,
    host   TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX plan_made ON plan (made);

-- `change` names its plan but does not reference it: a change must be recorded even when its plan was imported.
CREATE TABLE change (
    id      TEXT PRIMARY KEY,
    plan    TEXT NOT NULL,
    host    TEXT NOT NULL,
    applied INTEGER NOT NULL,
    record  TEXT NOT NULL
) STRICT;
CREATE INDEX change_applied ON change (host, applied);

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    details  TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest   TEXT NOT NULL
) STRICT;

-- Against mistakes; against intent stand the chain and its signed head.
CREATE TRIGGER audit_keeps_content BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are never changed');
END;
CREATE TRIGGER audit_keeps_records BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are never removed');
END;
