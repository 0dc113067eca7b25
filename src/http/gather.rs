//! The ledger's figures, gathered for a monitoring system.
//!
//! Owns: which of the ledger's questions make a [`Metrics`]. Reads on connections of its own, one moment's state.
//! Fails as the ledger does.

use crate::domain::{Incompleteness, Totals, shown};
use crate::ledger::{
    Holder, LedgerError, LedgerLock, LedgerReader, LockError, Outbox, file_bytes, quarantined,
};
use crate::report::metrics::{Metrics, unlogged_by_model};
use std::collections::BTreeMap;
use std::path::Path;

/// The daemon that keeps the ledger in `folder`, if one does. Whoever cannot read the lock file knows of none.
pub fn daemon(folder: &Path) -> Option<Holder> {
    match LedgerLock::holder(folder) {
        Ok(holder) => holder.filter(Holder::is_daemon),
        Err(LockError::File { .. } | LockError::Held { .. }) => None,
    }
}

/// What the ledger in `folder` has. `publishing`: usage is to be published.
pub fn gather(folder: &Path, publishing: bool) -> Result<Metrics, LedgerError> {
    let reader = LedgerReader::open(folder)?;
    let outbox = Outbox::look(folder)?;
    Ok(Metrics {
        daemon: daemon(folder),
        models: by_model(&reader)?,
        unlogged: unlogged_by_model(&reader.unlogged()?),
        incomplete: incomplete(&reader)?,
        unreadable_logs: reader.unreadable_logs()?,
        logs: reader.log_figures()?,
        faults: reader.faults()?,
        events: reader.events()?,
        ledger_bytes: Some(file_bytes(folder)),
        rebuilt: reader.rebuilt()?,
        damaged: quarantined(folder).len(),
        publishing,
        backlog: outbox.backlog()?,
        note: outbox.noted()?,
        restoration: outbox.restoration()?,
        live: None,
    })
}

/// Replies without a final count, by reason: a series for each reason, so that the first one is an increase.
fn incomplete(reader: &LedgerReader) -> Result<BTreeMap<&'static str, u64>, LedgerError> {
    let mut reasons: BTreeMap<&'static str, u64> =
        Incompleteness::ALL.into_iter().map(|why| (why.name(), 0)).collect();
    for count in reader.incomplete_counts()? {
        *reasons.entry(count.why.name()).or_default() += count.replies;
    }
    let restored: u64 = reader.restored_cells()?.iter().map(|cell| cell.totals.incomplete).sum();
    *reasons.entry(Incompleteness::Unknown.name()).or_default() += restored;
    Ok(reasons)
}

fn by_model(reader: &LedgerReader) -> Result<BTreeMap<String, Totals>, LedgerError> {
    let names: BTreeMap<_, _> = reader.models()?.into_iter().collect();
    let mut models: BTreeMap<String, Totals> = BTreeMap::new();
    let sums = reader.sums((None, None), |_| Some(()))?.into_iter().flat_map(|all| all.models);
    let restored = reader.restored_cells()?.into_iter().map(|cell| (cell.model, cell.totals));
    for (model, totals) in sums.chain(restored) {
        let name = names.get(&model).cloned().unwrap_or_default();
        // As it is shown: two names that look alike would be one series twice, which no scraper takes.
        *models.entry(shown(&name)).or_default() += totals;
    }
    Ok(models)
}
