-- Replies whose final output count is in no log, and only these: when they were asked for (the line before them) and when
-- their last line was written, as far as the log tells. NULL: not known; what was taken in before this was kept has no
-- asked_at.
CREATE TABLE incomplete (
    response INTEGER PRIMARY KEY REFERENCES response (id),
    asked_at INTEGER,
    last_at INTEGER
);
INSERT INTO incomplete SELECT id, NULL, last_at FROM response
LEFT JOIN (SELECT response, max(at) AS last_at FROM sighting WHERE flags & 2 = 0 GROUP BY response) AS seen
    ON seen.response = response.id
WHERE flags & 1 = 0;
