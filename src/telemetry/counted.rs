//! What this process counts of itself while it runs: how often something happened, by a label.
//!
//! Owns: the numbers. Each begins at 0 with the process. Never fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Different labels that are kept; what comes beyond is counted as `other`, so that no server can fill the memory.
const MOST_LABELS: usize = 64;

/// Counts by label, shared between threads.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    /// Counts one more.
    pub fn add(&self, label: &str) {
        self.add_many(label, 1);
    }

    /// Counts so many more; where there are none the label is not begun.
    pub fn add_many(&self, label: &str, more: u64) {
        if more == 0 {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let label = if counts.contains_key(label) || counts.len() < MOST_LABELS { label } else { "other" };
        *counts.entry(label.to_owned()).or_default() += more;
    }

    /// All of them, by label.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beyond_the_most_are_counted_together() {
        let counts = Counts::default();
        (0..MOST_LABELS + 3).for_each(|number| counts.add(&number.to_string()));
        counts.add("0");
        let all = counts.all();
        assert_eq!((all.len(), all["0"], all["other"]), (MOST_LABELS + 1, 2, 3));
    }
}
