-- The tables of the SQLite file in Postgres' words; see ../../migrations there for what each
-- is for. What guests and clients name is `bytea`: it sorts by bytes whatever the collation,
-- and may hold a zero, which `text` may not.

-- Which program wrote here last and the format. This table and its columns never change.
CREATE TABLE about (
    id         integer PRIMARY KEY CHECK (id = 1),
    format     integer NOT NULL,
    written_by text    NOT NULL
);
INSERT INTO about (id, format, written_by) VALUES (1, 0, '');

-- Every transaction that writes locks this row first, so that they come one after another
-- and numbers are committed in their order. `owner` is the process that may write until
-- another has taken over, which it may do after `until`.
CREATE TABLE counter (
    id     integer PRIMARY KEY CHECK (id = 1),
    number bigint  NOT NULL,
    probes bigint  NOT NULL,
    owner  text,
    until  timestamptz
);
INSERT INTO counter (id, number, probes) VALUES (1, 0, 0);

-- The processes that wrote, each with the last batch that it committed: the mark by which a
-- process finds out whether a commit that was not answered has happened.
CREATE TABLE writers (
    id     text   PRIMARY KEY,
    holder text   NOT NULL,
    since  bigint NOT NULL,
    batch  bigint NOT NULL
);

CREATE TABLE kv (
    component  text   NOT NULL,
    bucket     text   NOT NULL,
    key        bytea  NOT NULL,
    version    bigint NOT NULL,
    expires_at bigint,
    value      bytea  NOT NULL,
    PRIMARY KEY (component, bucket, key)
);
CREATE INDEX kv_by_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE messages (
    sequence     bigint PRIMARY KEY,
    id           bytea  NOT NULL,
    topic        text   NOT NULL,
    key          bytea,
    correlation  text   NOT NULL,
    trace        text   NOT NULL,
    issuer       bytea,
    subject      bytea,
    published_at bigint NOT NULL,
    headers      text   NOT NULL,
    payload      bytea  NOT NULL
);
CREATE INDEX messages_by_key ON messages (topic, key, sequence) WHERE key IS NOT NULL;
CREATE INDEX messages_by_correlation ON messages (correlation, topic, sequence);
CREATE INDEX messages_by_age ON messages (topic, published_at, sequence);

CREATE TABLE deliveries (
    consumer    text    NOT NULL,
    sequence    bigint  NOT NULL,
    message     bigint  NOT NULL REFERENCES messages (sequence),
    visible_at  bigint  NOT NULL,
    attempt     bigint  NOT NULL,
    first_error text,
    last_error  text,
    PRIMARY KEY (consumer, sequence)
);
CREATE INDEX deliveries_by_message ON deliveries (message, consumer);

CREATE TABLE timers (
    component   text   NOT NULL,
    name        bytea  NOT NULL,
    due_at      bigint NOT NULL,
    version     bigint NOT NULL,
    attempt     bigint NOT NULL,
    first_error text,
    last_error  text,
    correlation text   NOT NULL,
    trace       text   NOT NULL,
    issuer      bytea,
    subject     bytea,
    payload     bytea  NOT NULL,
    PRIMARY KEY (component, name)
);
CREATE INDEX timers_by_due ON timers (due_at, component, name);

CREATE TABLE inbox (
    consumer text   NOT NULL,
    message  bytea  NOT NULL,
    at       bigint NOT NULL,
    PRIMARY KEY (consumer, message)
);
CREATE INDEX inbox_by_age ON inbox (at);
