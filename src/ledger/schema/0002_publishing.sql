-- What is to be published, to whom, and what became of it.

-- Users of projects that sessions belong to. The current one owns the ledger; there is none before
-- anything was acknowledged. Number 0 is nobody: what it holds is published nowhere.
CREATE TABLE destination (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    is_current INTEGER NOT NULL,
    UNIQUE (project, user)
);
CREATE UNIQUE INDEX destination_current ON destination (is_current) WHERE is_current;
INSERT INTO destination VALUES (0, '', '', 0);

-- stamp goes up by 1 whenever a cell of the session changes; 0 as long as it never had one.
-- published is the stamp up to which nothing is left to send: the session waits while it is below stamp.
-- offered is the highest response.id at the time when the session's value was last offered for sending: a
-- response of the session up to it keeps its session and its time.
-- destination is whom the session belongs to; NULL: to the owner, once there is one.
ALTER TABLE session ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN published INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN destination INTEGER REFERENCES destination (id);
UPDATE session SET stamp = 1 WHERE id IN (SELECT session FROM cell);
-- What waits costs what waits, not what there is.
CREATE INDEX session_waiting ON session (destination) WHERE published < stamp;

-- The value that the destination is known to have, by its digest.
CREATE TABLE acknowledgement (
    session INTEGER PRIMARY KEY REFERENCES session (id),
    digest TEXT NOT NULL,
    at INTEGER NOT NULL
);

-- Values that the server refuses for what is in them, and which tallyd it was that sent them.
CREATE TABLE parked (
    session INTEGER PRIMARY KEY REFERENCES session (id),
    stamp INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    version TEXT NOT NULL,
    at INTEGER NOT NULL
);

-- Tokens of the calls that have no price, all kinds together; a step (kind 3) is no call of its own.
ALTER TABLE cell ADD COLUMN unpriced_tokens INTEGER NOT NULL DEFAULT 0;
UPDATE cell SET unpriced_tokens = missing.tokens FROM (
    SELECT session, (first_at - ((first_at % 900000) + 900000) % 900000) / 900000 AS quarter, model,
        sum(tokens) AS tokens
    FROM (
        SELECT session, first_at, model,
            input + output + cache_write_5m + cache_write_1h + cache_read AS tokens
        FROM response WHERE cost IS NULL
        UNION ALL
        SELECT r.session, r.first_at, coalesce(part.model, r.model),
            part.input + part.output + part.cache_write_5m + part.cache_write_1h + part.cache_read
        FROM part JOIN response AS r ON r.id = part.response
        WHERE part.kind <> 3 AND part.cost IS NULL
    )
    GROUP BY 1, 2, 3
) AS missing
WHERE cell.session = missing.session AND cell.quarter = missing.quarter AND cell.model = missing.model;
