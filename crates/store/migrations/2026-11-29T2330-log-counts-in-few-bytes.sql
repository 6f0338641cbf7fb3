PRAGMA user_version = 5;

-- A log of many sources is a row for each of them and each hour, and how long a row is decides how fast it is followed: a number
-- for the log, addresses as their 4 or 16 bytes, numbers for the closed sets.
CREATE TABLE log_stream_5 (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    position   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    lines      INTEGER NOT NULL,
    unreadable INTEGER NOT NULL,
    unrelated  INTEGER NOT NULL
) STRICT;
INSERT INTO log_stream_5 (name, position, at, lines, unreadable, unrelated)
    SELECT name, position, at, lines, unreadable, unrelated FROM log_stream;

-- port: 0 for none, the number for TCP, 65536 more for UDP. told: the verdict (0 allowed, 1 blocked, 2 unknown), plus 4 times the
-- moment (0 packet, 1 begin, 2 end, 3 within), plus 16 where the log tells who began.
CREATE TABLE log_count_5 (
    stream      INTEGER NOT NULL,
    hour        INTEGER NOT NULL,
    source      BLOB NOT NULL,
    destination BLOB NOT NULL,
    port        INTEGER NOT NULL,
    told        INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    first       INTEGER,
    last        INTEGER,
    PRIMARY KEY (stream, hour, source, destination, port, told)
) STRICT, WITHOUT ROWID;

-- SQL cannot read an address: its bytes are filled in between the two scripts.
CREATE TABLE log_address_5 (
    text  TEXT PRIMARY KEY,
    bytes BLOB
) STRICT, WITHOUT ROWID;
INSERT INTO log_address_5 (text) SELECT source FROM log_count UNION SELECT destination FROM log_count;
