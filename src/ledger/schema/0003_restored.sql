-- What was read from the server because no log has it any more.

-- Values of sessions as the server has them, whole: such a session counts by this and not by its responses.
-- There is a row only as long as its value knows more of the session than the responses in the ledger add up
-- to. revision is by which rules it was counted; model is that of the latest response; at is when it was read;
-- digest is of all of this and of the session's rows in restored_cell, in hexadecimal: nothing else here says
-- them twice.
CREATE TABLE restored (
    session INTEGER PRIMARY KEY REFERENCES session (id),
    revision INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    model INTEGER NOT NULL REFERENCES model (id),
    at INTEGER NOT NULL,
    digest TEXT NOT NULL
);

-- The days and models of these values, with the columns of cell: the server knows UTC days, so that quarter is
-- that of 12:00 of the day, and first_at and last_at are the session's where they are on that day.
CREATE TABLE restored_cell (
    session INTEGER NOT NULL REFERENCES restored (session),
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
    unpriced_tokens INTEGER NOT NULL,
    PRIMARY KEY (session, quarter, model)
) WITHOUT ROWID;
