//! Unlogged usage for readers.

use super::{COLUMNS, read_entry};
use crate::domain::{Cost, Picodollars, UnixMillis, Usd, Used};
use crate::ledger::{LedgerError, LedgerReader, event};

/// What an account adds of a model to the one that it goes on from, less what is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloggedRecord {
    /// The session whose account it is, by its id in the logs.
    pub session: String,
    /// The latest reply that the account has in it: the day that this is attributed to.
    pub at: UnixMillis,
    /// The model, as the client names it.
    pub model: String,
    /// Used, and in no log.
    pub used: Used,
    /// Logged, and not in the account: something is not as it should be. Zero in whatever adds up.
    pub surplus: Used,
    /// Cut-off replies of which `used` has the rest: the client's estimate of their output.
    pub incomplete: u64,
    /// What `used` costs at the prices of the day. Prices of long prompts are left out: how many calls it was is
    /// not known.
    pub cost: Cost,
    /// By how much the client's own price has grown, for what is logged and what is not.
    pub client_cost: Usd,
    /// What the logged part of that costs here; `None` where some of it has no price.
    pub logged_cost: Option<Usd>,
}

impl UnloggedRecord {
    /// By how much the client's price is above ours; `None` where we have none.
    pub fn difference(&self) -> Option<Usd> {
        let ours = Usd::from(self.cost.known()?).0.saturating_add(self.logged_cost?.0);
        Some(Usd(self.client_cost.0.saturating_sub(ours)))
    }
}

impl LedgerReader {
    /// What the client's accounts say of each session and model, and what its events have that neither a log nor
    /// an account has, in order of time. Where nothing is missing from the log
    /// there is a record all the same, with the client's price beside ours.
    pub fn unlogged(&self) -> Result<Vec<UnloggedRecord>, LedgerError> {
        let columns = COLUMNS.replace("account, model, at", "account, unlogged.model, at");
        let mut statement = self.connection.prepare(&format!(
            "SELECT {columns}, account.session, model.name FROM unlogged \
             JOIN account ON account.id = unlogged.account JOIN model ON model.id = unlogged.model \
             ORDER BY at, account.session, model.name, account.duration_ms"
        ))?;
        let records = statement.query_map([], |row| {
            let entry = read_entry(row)?;
            Ok(UnloggedRecord {
                session: row.get(19)?,
                at: UnixMillis(entry.at),
                model: row.get(20)?,
                used: entry.used,
                surplus: entry.surplus,
                incomplete: entry.incomplete,
                cost: entry.cost.map_or(Cost::Unpriced, |cost| Cost::Known(Picodollars(cost))),
                client_cost: Usd(entry.client_cost.into()),
                logged_cost: entry.logged_cost.map(|cost| Usd(cost.into())),
            })
        })?;
        let mut records = records.collect::<Result<Vec<_>, _>>()?;
        let witnessed = event::records(&self.connection)?;
        if !witnessed.is_empty() {
            records.extend(witnessed);
            records.sort_by(|one, other| {
                (one.at, &one.session, &one.model).cmp(&(other.at, &other.session, &other.model))
            });
        }
        Ok(records)
    }
}
