//! New prices for what is in the ledger already.

use super::cells::Cells;
use super::row::{COLUMNS, Row};
use super::{Ledger, LedgerError, Pricing, meta, unlogged, write};
use rusqlite::TransactionBehavior;

impl Ledger {
    /// Reprices everything, in one transaction, unless the ledger was priced by the same table before.
    /// Returns how many responses have another cost now; `None` where there was nothing to do.
    pub fn reprice(&mut self, pricing: &dyn Pricing) -> Result<Option<u64>, LedgerError> {
        let names = &mut self.names;
        let sql = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let digest = meta::text(&sql, meta::PRICE_DIGEST)?;
        if digest.as_deref() == Some(pricing.digest()) {
            return Ok(None);
        }
        let mut changed = 0;
        let mut cells = Cells::default();
        {
            let mut statement = sql.prepare(&format!("SELECT {COLUMNS} FROM response"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let old = Row::read(&sql, row)?;
                let mut new = old.clone();
                let response = old.response(&sql, names)?;
                new.price(&response, pricing);
                if new != old {
                    write::costs(&sql, &new)?;
                    cells.replace(Some(&old), Some(&new));
                    changed += 1;
                }
            }
        }
        cells.write(&sql)?;
        unlogged::reprice(&sql, names, pricing)?;
        meta::set(&sql, meta::PRICE_DIGEST, Some(pricing.digest()))?;
        sql.commit()?;
        Ok(Some(changed))
    }
}
