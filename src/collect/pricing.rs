//! The price table as the ledger wants it.

use crate::domain::{Cost, ModelName, UnixMillis, Usage, Used};
use crate::ledger::Pricing;
use crate::price::PriceTable;

/// A price table with its digest.
#[derive(Clone, Debug)]
pub struct TablePricing {
    table: PriceTable,
    digest: String,
}

impl TablePricing {
    /// The table, ready for the ledger.
    pub fn new(table: PriceTable) -> Self {
        let digest = table.digest();
        Self { table, digest }
    }

    /// The table itself.
    pub fn table(&self) -> &PriceTable {
        &self.table
    }
}

impl Pricing for TablePricing {
    fn price(&self, model: &ModelName, usage: &Usage, at: UnixMillis) -> (Cost, Vec<Cost>) {
        let priced = self.table.cost(model, usage, at);
        (priced.own, priced.parts)
    }

    fn price_calls(&self, model: &ModelName, used: &Used, at: UnixMillis) -> Cost {
        self.table.cost_of_calls(model, used, at)
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}
