-- One number for everything that must only grow: the versions of values and timers and
-- the sequence of messages. So a value that is removed and written again never has a
-- version it had before, and pruned sequences are not given out twice.
-- `probes` is written to find out whether writing works.
CREATE TABLE counter (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    probes INTEGER NOT NULL
) STRICT;
INSERT INTO counter (id, number, probes) VALUES (1, 0, 0);

-- Large columns stand last in every table: SQLite reads a row from the front and does
-- not follow a long value that nobody asked for.
CREATE TABLE kv (
    component TEXT    NOT NULL,
    bucket    TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    value     BLOB    NOT NULL,
    PRIMARY KEY (component, bucket, key)
) STRICT;

CREATE TABLE messages (
    sequence     INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    key          TEXT,
    correlation  TEXT    NOT NULL,
    trace        TEXT    NOT NULL,
    issuer       TEXT,
    subject      TEXT,
    published_at INTEGER NOT NULL,
    headers      TEXT    NOT NULL,
    payload      BLOB    NOT NULL
) STRICT;
-- The last message of a key or of an action, for a subscriber who comes late.
CREATE INDEX messages_by_key ON messages (topic, key) WHERE key IS NOT NULL;
CREATE INDEX messages_by_correlation ON messages (correlation, topic);
-- For retention.
CREATE INDEX messages_by_age ON messages (topic, published_at);

-- What is still to be handled. The reference keeps retention from taking a message
-- that somebody waits for, whatever the query says.
CREATE TABLE deliveries (
    consumer    TEXT    NOT NULL,
    sequence    INTEGER NOT NULL REFERENCES messages (sequence),
    visible_at  INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    first_error TEXT,
    last_error  TEXT,
    PRIMARY KEY (consumer, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_message ON deliveries (sequence);

CREATE TABLE timers (
    component   TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    due_at      INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    first_error TEXT,
    last_error  TEXT,
    correlation TEXT    NOT NULL,
    trace       TEXT    NOT NULL,
    issuer      TEXT,
    subject     TEXT,
    payload     BLOB    NOT NULL,
    PRIMARY KEY (component, name)
) STRICT;
CREATE INDEX timers_by_due ON timers (due_at);

-- Messages a consumer has handled, by their own id: one that is published a second
-- time under the same id has no second effect.
CREATE TABLE inbox (
    consumer TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (consumer, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_by_age ON inbox (at);
