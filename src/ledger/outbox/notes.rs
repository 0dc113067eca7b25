//! What the publisher remembers from start to start, and what it tells other processes.

use super::{OWN, Outbox, owner, republish_where};
use crate::domain::{Revision, UnixMillis};
use crate::ledger::{LedgerError, meta, unlogged};
use rusqlite::params;

/// How the rules that values are counted and priced by compare with those of the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// They are the same, or there was no last time.
    Same,
    /// The revision is another one: everything waits again.
    Changed,
    /// The revision is the same and the prices are others: of two values that differ in nothing but cost
    /// the server cannot tell which is the newer one. Said at every start until the revision is raised.
    PricesChangedUnderTheSame,
}

/// What the publisher saw last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishNote {
    /// When something last arrived.
    pub last_success: Option<UnixMillis>,
    /// Why nothing is sent, where that is so.
    pub refusal: Option<NotedRefusal>,
}

/// Why nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedRefusal {
    /// Since when.
    pub at: UnixMillis,
    /// A short stable name of it.
    pub kind: String,
    /// What is wrong.
    pub message: String,
    /// What mends it.
    pub help: String,
}

impl Outbox {
    /// Says by which rules and prices values are published from now on. Another revision than the last
    /// one's makes all of the owner's sessions wait.
    pub fn begin(&mut self, revision: Revision, prices: &str) -> Result<Begun, LedgerError> {
        let sql = self.write()?;
        let last = meta::text(&sql, meta::PUBLISHED_REVISION)?;
        let revision = revision.to_string();
        if last.as_ref() == Some(&revision) {
            // The prices of a revision are those that were first published under it.
            let known = meta::text(&sql, meta::PUBLISHED_PRICES)?;
            let same = known.as_deref() == Some(prices);
            return Ok(if same { Begun::Same } else { Begun::PricesChangedUnderTheSame });
        }
        meta::set(&sql, meta::PUBLISHED_REVISION, Some(&revision))?;
        meta::set(&sql, meta::PUBLISHED_PRICES, Some(prices))?;
        if last.is_some() {
            let owner = owner::current_number(&sql)?;
            republish_where(&sql, OWN, params![owner])?;
        }
        sql.commit()?;
        Ok(if last.is_some() { Begun::Changed } else { Begun::Same })
    }

    /// Notes the contract of the project that is published to. Where it takes unlogged usage and the one before did not,
    /// all of the owner's sessions wait that have any, and their number is returned.
    pub fn note_contract(&mut self, contract: u32, takes_unlogged: bool) -> Result<u64, LedgerError> {
        let contract = contract.to_string();
        if meta::text(&self.connection, meta::PUBLISHED_CONTRACT)?.as_ref() == Some(&contract) {
            return Ok(0);
        }
        let sql = self.write()?;
        meta::set(&sql, meta::PUBLISHED_CONTRACT, Some(&contract))?;
        let sessions =
            if takes_unlogged { unlogged::make_all_wait(&sql, owner::current_number(&sql)?)? } else { 0 };
        sql.commit()?;
        Ok(sessions)
    }

    /// Notes what the publisher saw last, for other processes.
    pub fn note(&mut self, note: &PublishNote) -> Result<(), LedgerError> {
        let sql = self.write()?;
        let refusal = note.refusal.as_ref();
        let at = |at: UnixMillis| at.0.to_string();
        meta::set(&sql, meta::LAST_SUCCESS, note.last_success.map(at).as_deref())?;
        meta::set(&sql, meta::REFUSED_AT, refusal.map(|refusal| at(refusal.at)).as_deref())?;
        meta::set(&sql, meta::REFUSED_KIND, refusal.map(|refusal| refusal.kind.as_str()))?;
        meta::set(&sql, meta::REFUSED_MESSAGE, refusal.map(|refusal| refusal.message.as_str()))?;
        meta::set(&sql, meta::REFUSED_HELP, refusal.map(|refusal| refusal.help.as_str()))?;
        sql.commit()?;
        Ok(())
    }

    /// What the publisher saw last; nothing before it ever ran.
    pub fn noted(&self) -> Result<PublishNote, LedgerError> {
        let sql = self.connection.unchecked_transaction()?;
        let text = |key| Ok::<_, LedgerError>(meta::text(&sql, key)?.unwrap_or_default());
        let refusal = match meta::number(&sql, meta::REFUSED_AT)? {
            Some(at) => Some(NotedRefusal {
                at: UnixMillis(at),
                kind: text(meta::REFUSED_KIND)?,
                message: text(meta::REFUSED_MESSAGE)?,
                help: text(meta::REFUSED_HELP)?,
            }),
            None => None,
        };
        let last_success = meta::number(&sql, meta::LAST_SUCCESS)?.map(UnixMillis);
        Ok(PublishNote { last_success, refusal })
    }
}
