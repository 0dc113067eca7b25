-- What Claude Code tells of its API calls by OpenTelemetry: kept beside what is logged, never added to the counts.

-- An event. key: the id of its request, or session, time and counts. request: a hash of that id, NULL without one.
-- flags and kind are in src/ledger/event/. client_cost is the client's own price, cost is ours: of the call where no
-- log has it (kind 0), of what the log lacks of it (2), else NULL; NULL without a price. response is the logged reply.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    request INTEGER,
    session TEXT NOT NULL,
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    model INTEGER NOT NULL REFERENCES model (id),
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    client_cost INTEGER,
    cost INTEGER,
    response INTEGER REFERENCES response (id),
    kind INTEGER NOT NULL
);
CREATE INDEX event_by_request ON event (request);
CREATE INDEX event_by_response ON event (response);
CREATE INDEX event_by_kind ON event (kind, session);

-- Requests that logged replies are of, by a hash of the request's id; kept from the day that events are listened for.
CREATE TABLE request (
    hash INTEGER NOT NULL,
    response INTEGER NOT NULL REFERENCES response (id),
    PRIMARY KEY (hash, response)
) WITHOUT ROWID;
CREATE INDEX request_by_response ON request (response);
