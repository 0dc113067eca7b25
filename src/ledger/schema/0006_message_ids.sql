-- id_hash is of message_id (src/ledger/row.rs), for ids that are unique and for others: it finds the one that is looked
-- for in a quarter of the bytes that an index of the ids takes, and it says that an id is what it was. That no two
-- responses have the same unique id is for whoever writes, and looked at by the audit.
ALTER TABLE response ADD COLUMN id_hash INTEGER NOT NULL DEFAULT 0;
DROP INDEX response_by_message_id;
CREATE INDEX response_by_id_hash ON response (id_hash) WHERE flags & 1024;
