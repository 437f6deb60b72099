-- Which program wrote the file last, by its version: an older one that refuses the file
-- names it. This table and its columns never change.
CREATE TABLE about (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_by TEXT    NOT NULL
) STRICT;
INSERT INTO about (id, written_by) VALUES (1, '');

-- Values that end by themselves. Written anew, since large columns stand last.
CREATE TABLE kv_2 (
    component  TEXT    NOT NULL,
    bucket     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    value      BLOB    NOT NULL,
    PRIMARY KEY (component, bucket, key)
) STRICT;
INSERT INTO kv_2 (component, bucket, key, version, value)
    SELECT component, bucket, key, version, value FROM kv;
DROP TABLE kv;
ALTER TABLE kv_2 RENAME TO kv;
CREATE INDEX kv_by_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;

-- A message may be delivered again: then the delivery has a place of its own in the order
-- (`sequence`), and `message` says what is delivered.
CREATE TABLE deliveries_2 (
    consumer    TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    message     INTEGER NOT NULL REFERENCES messages (sequence),
    visible_at  INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    first_error TEXT,
    last_error  TEXT,
    PRIMARY KEY (consumer, sequence)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries_2 (consumer, sequence, message, visible_at, attempt, first_error, last_error)
    SELECT consumer, sequence, sequence, visible_at, attempt, first_error, last_error FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_2 RENAME TO deliveries;
CREATE INDEX deliveries_by_message ON deliveries (message, consumer);
