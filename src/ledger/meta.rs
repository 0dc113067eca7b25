//! Single values, by name. A name that was ever released keeps its meaning.

use super::LedgerError;
use rusqlite::{Connection, OptionalExtension, params};

/// Names the price table that costs are by.
pub(super) const PRICE_DIGEST: &str = "price_digest";
/// The highest number of a response that was ever offered for publishing.
pub(super) const OFFERED: &str = "offered";
/// The revision that was published last.
pub(super) const PUBLISHED_REVISION: &str = "published_revision";
/// Names the price table that was published under that revision.
pub(super) const PUBLISHED_PRICES: &str = "published_prices";
/// The contract of the project that was published to last.
pub(super) const PUBLISHED_CONTRACT: &str = "published_contract";
/// When publishing last succeeded.
pub(super) const LAST_SUCCESS: &str = "publish_last_success";
/// When publishing was last refused; the three below say how.
pub(super) const REFUSED_AT: &str = "publish_refused_at";
/// What kind of refusal it was.
pub(super) const REFUSED_KIND: &str = "publish_refused_kind";
/// What was refused.
pub(super) const REFUSED_MESSAGE: &str = "publish_refused_message";
/// What mends it.
pub(super) const REFUSED_HELP: &str = "publish_refused_help";

/// How many session logs could not be read when they were last looked at.
pub(super) const UNREADABLE_LOGS: &str = "unreadable_logs";
/// When the ledger was last made anew after damage; the four below say more of that.
pub(super) const REBUILT_AT: &str = "rebuilt_at";
/// From what it was made: `backup` or `logs`.
pub(super) const REBUILT_FROM: &str = "rebuilt_from";
/// How often it was.
pub(super) const REBUILDS: &str = "rebuilds";
/// The damaged file that the ledger took the place of. There as long as damaged files are to be compared with: once
/// the logs have been read, and for as long as something is missing.
pub(super) const REBUILT_BESIDE: &str = "rebuilt_beside";
/// What came of comparing: sessions, responses, and 1 where all of the damaged files could be read.
pub(super) const REBUILT_LOST: &str = "rebuilt_lost";
/// There may be usage that no log has and the server does: `1` until that was looked for there.
pub(super) const RESTORE_WANTED: &str = "restore_wanted";

/// Events were listened for: the requests of logged replies are kept since.
pub(super) const WITNESSED: &str = "witnessed";

/// A value; `None` where there is none.
pub(super) fn text(sql: &Connection, key: &str) -> Result<Option<String>, LedgerError> {
    let value = sql
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(value)
}

/// A value that is a number; `None` where there is none, or another thing.
pub(super) fn number(sql: &Connection, key: &str) -> Result<Option<i64>, LedgerError> {
    Ok(text(sql, key)?.and_then(|value| value.parse().ok()))
}

/// Sets a value, or takes it away.
pub(super) fn set(sql: &Connection, key: &str, value: Option<&str>) -> Result<(), LedgerError> {
    match value {
        Some(value) => {
            sql.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?.execute(params![key, value])?
        }
        None => sql.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}
