//! Prices for whoever has no table of prices at hand. Never fails.

use crate::domain::{Cost, ModelName, UnixMillis, Usage};
use crate::ledger::Pricing;

/// Nothing has a price.
pub(in crate::ledger) struct Unpriced;

impl Pricing for Unpriced {
    fn price(&self, _: &ModelName, _: &Usage, _: UnixMillis) -> (Cost, Vec<Cost>) {
        (Cost::Unpriced, Vec::new())
    }

    fn digest(&self) -> &'static str {
        ""
    }
}
