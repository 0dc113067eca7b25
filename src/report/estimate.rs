//! Replies without a final output count in a sum: why, and what they most likely had beyond what is logged.
//!
//! Owns: adding these up, apart from everything that was counted. Refuses to take what is not known for nothing: replies
//! without an estimate are counted as such. Cannot fail.

use crate::domain::{Cost, Incompleteness, ModelKey, SessionKey, TokenCounts, Totals, UnixMillis, Usd};
use crate::ledger::IncompleteCount;

/// What is known of the output that one reply had beyond what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Who paid.
    pub session: SessionKey,
    /// The model that served.
    pub model: ModelKey,
    /// When.
    pub at: UnixMillis,
    /// How much.
    pub rest: Rest,
}

/// The output of a reply beyond what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The client's own account has it: it is unlogged usage, and none is estimated.
    InAccount,
    /// Most likely so many tokens, which cost so much.
    Likely {
        /// Output tokens.
        output: u64,
        /// Their price.
        cost: Cost,
    },
    /// Nothing tells.
    Unknown,
}

/// A sum over replies without a final count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Incomplete {
    /// By reason, in the order of [`Incompleteness::ALL`].
    pub(super) replies: [u64; 4],
    /// Output beyond what is logged and its price: an estimate. `messages` are the replies that it is of.
    pub(super) estimated: Totals,
    /// Replies whose rest is in the client's account.
    pub(super) in_account: u64,
    /// Replies of which nothing tells how much they had.
    pub(super) without: u64,
}

impl Incomplete {
    pub(super) fn add_count(&mut self, count: &IncompleteCount) {
        for (sum, why) in self.replies.iter_mut().zip(Incompleteness::ALL) {
            if why == count.why {
                *sum = sum.saturating_add(count.replies);
            }
        }
    }

    pub(super) fn add_estimate(&mut self, estimate: &Estimate) {
        match estimate.rest {
            Rest::InAccount => self.in_account += 1,
            Rest::Unknown => self.without += 1,
            Rest::Likely { output, cost } => {
                let known = cost.known();
                self.estimated += Totals {
                    tokens: TokenCounts { output, ..TokenCounts::default() },
                    messages: 1,
                    unpriced: u64::from(known.is_none()),
                    unpriced_tokens: if known.is_none() { output } else { 0 },
                    cost: known.map_or(Usd(0), Usd::from),
                    ..Totals::default()
                };
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (sum, more) in self.replies.iter_mut().zip(other.replies) {
            *sum = sum.saturating_add(more);
        }
        self.estimated += other.estimated;
        self.in_account = self.in_account.saturating_add(other.in_account);
        self.without = self.without.saturating_add(other.without);
    }

    /// The same with every one of so many replies under a reason: of those without one nothing is known.
    pub(super) fn of_all(mut self, replies: u64) -> Self {
        let unexplained = replies.saturating_sub(self.replies.iter().sum());
        let [.., unknown] = &mut self.replies;
        *unknown = unknown.saturating_add(unexplained);
        self
    }

    /// The reasons that there are, with the number of replies.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (Incompleteness, u64)> {
        Incompleteness::ALL.into_iter().zip(self.replies).filter(|(_, replies)| *replies > 0)
    }
}
