//! What can be wrong: with a price file ([`PriceError`]; each message names the file, the line or the
//! model, the key, the value and what would be right), and with the price of a call ([`WhyUnpriced`]).

use std::fmt;

/// Where in a price file something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or `shipped`.
    pub origin: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The model's id, where it is known.
    pub model: Option<String>,
}

/// `prices.toml:12: claude-opus-5`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(model) = &self.model {
            write!(f, ": {model}")?;
        }
        Ok(())
    }
}

/// Why a price file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The text is no TOML, has a key that is not known, or a value of the wrong type.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where.
        place: Box<Place>,
        /// What the TOML reader says.
        reason: String,
    },
    /// A required key is absent.
    #[error("{place}: `{key}` is missing: expected {expected}")]
    Missing {
        /// Where.
        place: Box<Place>,
        /// The key.
        key: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A value cannot be what its key says.
    #[error("{place}: `{key}` is {value}: expected {expected}")]
    Value {
        /// Where.
        place: Box<Place>,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A price is no whole number of picodollars per token, by itself or under the row's multipliers.
    #[error(
        "{place}: `{key}` is {value}{multipliers}: expected a price that is a whole number of picodollars \
         (1e-12 USD) per token, which six digits after the point give"
    )]
    Fraction {
        /// Where.
        place: Box<Place>,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The multipliers under which it is not whole, as ` x fast 1.1`; empty for none.
        multipliers: String,
    },
    /// A period ends before it begins.
    #[error("{place}: `{key}` is the period \"{dates}\": expected `valid_from` before `valid_to`")]
    Backwards {
        /// Where.
        place: Box<Place>,
        /// The table that has the dates.
        key: &'static str,
        /// The dates.
        dates: String,
    },
    /// Two rows of a model hold on the same day.
    #[error("{place}: the periods \"{first}\" and \"{second}\" overlap: expected one row for each day")]
    Overlap {
        /// Where.
        place: Box<Place>,
        /// The dates of one.
        first: String,
        /// The dates of the other.
        second: String,
    },
    /// Two models claim the same name.
    #[error("{place}: the name `{name}` also belongs to {other}: expected each name under one model")]
    NameTaken {
        /// Where.
        place: Box<Place>,
        /// The name, normalised.
        name: String,
        /// The model that has it already.
        other: String,
    },
}

/// Why a call has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyUnpriced {
    /// The table does not list the model.
    #[error("the price table has no such model")]
    UnknownModel,
    /// The table lists the model, but not for that day.
    #[error("the price table has no price of this model for that day")]
    NoPriceThatDay,
    /// Fast usage of a model that has no price for it.
    #[error("the model has no price for fast mode")]
    NoFastPrice,
    /// US-only inference of a model that has no price for it.
    #[error("the model has no price for US inference")]
    NoUsGeoPrice,
    /// Batch usage of a model that has no price for it.
    #[error("the model has no price for the batch tier")]
    NoBatchPrice,
    /// Web searches of a model that has no price for them.
    #[error("the model has no price for web searches")]
    NoWebSearchPrice,
    /// More than 64 bits of picodollars hold.
    #[error("the cost is beyond 9.2 million dollars")]
    TooLarge,
}
