//! What usage costs: a dated price table, the lookup of a model in it, and exact sums.
//!
//! Owns: the format of price files, the normalisation of model names, the formula. Pure: takes text
//! and usage, returns values; reads no file, no clock and no environment. Refuses to guess: a model
//! is matched by its whole name or not at all, and usage without a price is [`Cost::Unpriced`], never
//! zero. Fails only while reading a table ([`PriceError`]); a table, once read, prices without error
//! because its constructor has checked that every rate it can form is a whole number of picodollars.
//!
//! [`Cost::Unpriced`]: crate::domain::Cost::Unpriced

mod cost;
mod digest;
mod error;
mod explain;
mod model;
mod name;
mod rate;
mod read;
mod render;
mod table;

pub use cost::PricedUsage;
pub use error::{Place, PriceError, WhyUnpriced};
pub use explain::{CallExplanation, CallOutcome, Explanation, PricedCall, Term, TermKind};
pub use model::{Dates, LongPrompt, Model, Multipliers, Period};
pub use name::normalise;
pub use rate::{Rate, SearchRate, TokenRates};
pub use table::PriceTable;

#[cfg(test)]
mod tests;
