-- What the client's own accounts say was used and no log has.

-- Time of the latest line of a response before the account in its log; NULL: there is none. The line itself has no time.
ALTER TABLE account ADD COLUMN after_at INTEGER;
UPDATE account SET after_at = (
    SELECT max(at) FROM sighting WHERE sighting.file = account.file AND sighting.offset < account.offset
);
-- started_at is what lines that go on from each other have in common.
CREATE INDEX account_by_start ON account (started_at);

-- Sessions whose log has copies of replies that another session paid for. until is the time of the latest copy.
-- Older ledgers are filled by src/ledger/unlogged.rs.
CREATE TABLE copied_history (
    session TEXT NOT NULL,
    payer TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (session, payer)
) WITHOUT ROWID;
CREATE INDEX copied_history_by_payer ON copied_history (payer);

-- What an account adds to the one that it goes on from, less what is logged: always what src/domain/unlogged makes of the
-- accounts and responses. at is the latest reply that the account has in it; surplus is logged and not in the account;
-- incomplete are cut-off replies of which this has the rest. cost is NULL where there is no price; client_cost is by
-- how much the client's own price has grown, logged_cost what the logged part of that costs, NULL without a price.
CREATE TABLE unlogged (
    account INTEGER NOT NULL REFERENCES account (id),
    model INTEGER NOT NULL REFERENCES model (id),
    at INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    web_searches INTEGER NOT NULL,
    incomplete INTEGER NOT NULL,
    surplus_input INTEGER NOT NULL,
    surplus_output INTEGER NOT NULL,
    surplus_cache_write_5m INTEGER NOT NULL,
    surplus_cache_write_1h INTEGER NOT NULL,
    surplus_cache_read INTEGER NOT NULL,
    surplus_web_searches INTEGER NOT NULL,
    cost INTEGER,
    client_cost INTEGER NOT NULL,
    logged_cost INTEGER,
    PRIMARY KEY (account, model)
) WITHOUT ROWID;
