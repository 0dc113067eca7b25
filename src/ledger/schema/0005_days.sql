-- What all sessions together used on a UTC day, in few bytes: the sums of the cells, so that a report over years reads
-- a row a day. day is days since 1970; quarters and sessions are as src/ledger/days/packed.rs has them.
-- Older ledgers are filled by src/ledger/days.rs.
CREATE TABLE day (
    day INTEGER PRIMARY KEY,
    quarters BLOB NOT NULL,
    sessions BLOB NOT NULL
);
