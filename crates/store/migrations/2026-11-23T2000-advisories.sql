PRAGMA user_version = 2;

-- An advisory is replaced by a later version of itself: what it once said is no fact about a host. `namespace` is that of
-- its publisher, within which its id is unique.
CREATE TABLE advisory (
    namespace TEXT NOT NULL,
    id        TEXT NOT NULL,
    version   TEXT NOT NULL,
    record    TEXT NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
