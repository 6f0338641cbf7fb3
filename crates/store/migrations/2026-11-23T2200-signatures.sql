PRAGMA user_version = 3;

-- What was learned of one port of one host, on the operator's word. Learning it again replaces it: each record carries the
-- looks that it rests on.
CREATE TABLE signature (
    address TEXT NOT NULL,
    port    TEXT NOT NULL,
    record  TEXT NOT NULL,
    PRIMARY KEY (address, port)
) STRICT;
