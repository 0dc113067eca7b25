-- Facts, cursors and the cells that reports add up. Times are milliseconds since 1970, money is
-- picodollars, tokens are counts.

-- Single values: price_digest names the price table that costs are by.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE model (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE version (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- cwd is that of the session's earliest line, one of the main chain where there is one.
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    cwd TEXT,
    cwd_sidechain INTEGER,
    cwd_at INTEGER
);

-- A session log and where reading it goes on. A file that is gone keeps its row.
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    head INTEGER NOT NULL,
    tail INTEGER NOT NULL
);

-- One API response, counted once. ranked_after and paid_after are milliseconds after first_at;
-- cost is NULL where there is no price; flags are in src/ledger/row.rs.
CREATE TABLE response (
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    session INTEGER NOT NULL REFERENCES session (id),
    model INTEGER NOT NULL REFERENCES model (id),
    version INTEGER REFERENCES version (id),
    first_at INTEGER NOT NULL,
    ranked_after INTEGER NOT NULL,
    paid_after INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    thinking INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    cost INTEGER
);
-- 1024: the id is a first-party one, unique over all files for ever.
CREATE UNIQUE INDEX response_by_message_id ON response (message_id) WHERE flags & 1024;

-- Other names of responses whose message_id is not unique.
CREATE TABLE alias (
    name TEXT PRIMARY KEY,
    response INTEGER NOT NULL REFERENCES response (id)
) WITHOUT ROWID;

-- Calls inside a response: advisor, compaction, abandoned attempt, step.
CREATE TABLE part (
    response INTEGER NOT NULL REFERENCES response (id),
    position INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    model INTEGER REFERENCES model (id),
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cost INTEGER,
    PRIMARY KEY (response, position)
) WITHOUT ROWID;

-- Which lines of which files spoke of which response.
CREATE TABLE sighting (
    file INTEGER NOT NULL REFERENCES file (id),
    offset INTEGER NOT NULL,
    response INTEGER NOT NULL REFERENCES response (id),
    at INTEGER NOT NULL,
    output INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    PRIMARY KEY (file, offset, response)
) WITHOUT ROWID;

-- Lines that were not as they should be.
CREATE TABLE fault (
    file INTEGER NOT NULL REFERENCES file (id),
    offset INTEGER NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (file, offset)
) WITHOUT ROWID;

-- The sums: always equal to what the responses add up to, kept by exact differences.
-- cost = cost_dollars + cost_picodollars / 1e12.
CREATE TABLE cell (
    session INTEGER NOT NULL REFERENCES session (id),
    quarter INTEGER NOT NULL,
    model INTEGER NOT NULL REFERENCES model (id),
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    thinking INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    incomplete INTEGER NOT NULL,
    cost_dollars INTEGER NOT NULL,
    cost_picodollars INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (session, quarter, model)
) WITHOUT ROWID;

-- The client's own cumulative account of a session, as its cost-state lines have it.
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    cost_dollars INTEGER NOT NULL,
    cost_picodollars INTEGER NOT NULL,
    file INTEGER NOT NULL REFERENCES file (id),
    offset INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    UNIQUE (session, started_at, duration_ms, cost_dollars, cost_picodollars)
);
CREATE TABLE account_model (
    account INTEGER NOT NULL REFERENCES account (id),
    model INTEGER NOT NULL REFERENCES model (id),
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    thinking INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    cost_dollars INTEGER NOT NULL,
    cost_picodollars INTEGER NOT NULL,
    PRIMARY KEY (account, model)
) WITHOUT ROWID;
