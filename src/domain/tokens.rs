//! Token counts of one response or of a sum of them.

use std::ops::{AddAssign, SubAssign};

/// The five disjoint kinds of token that the API counts and bills. Thinking tokens are inside
/// `output` and therefore not a field here: a total can never add them twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenCounts {
    /// Input that was neither read from nor written to the prompt cache.
    pub input: u64,
    /// Output, thinking included.
    pub output: u64,
    /// Input written to the prompt cache for five minutes.
    pub cache_write_5m: u64,
    /// Input written to the prompt cache for one hour.
    pub cache_write_1h: u64,
    /// Input read from the prompt cache.
    pub cache_read: u64,
}

impl TokenCounts {
    /// Cache writes of both life times.
    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }

    /// Size of the prompt: the figure that long-prompt prices are decided by.
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_write()).saturating_add(self.cache_read)
    }

    /// All tokens together.
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }

    /// True when nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The counts as an array, in the order input, output, 5-minute writes, 1-hour writes, reads.
    pub fn as_array(&self) -> [u64; 5] {
        [self.input, self.output, self.cache_write_5m, self.cache_write_1h, self.cache_read]
    }

    /// The inverse of [`TokenCounts::as_array`].
    pub fn from_array([input, output, five_minutes, one_hour, cache_read]: [u64; 5]) -> Self {
        Self { input, output, cache_write_5m: five_minutes, cache_write_1h: one_hour, cache_read }
    }
}

/// Stops at the largest number: what a server says was used may be anything.
impl AddAssign for TokenCounts {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_write_5m = self.cache_write_5m.saturating_add(other.cache_write_5m);
        self.cache_write_1h = self.cache_write_1h.saturating_add(other.cache_write_1h);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
    }
}

impl SubAssign for TokenCounts {
    fn sub_assign(&mut self, other: Self) {
        self.input -= other.input;
        self.output -= other.output;
        self.cache_write_5m -= other.cache_write_5m;
        self.cache_write_1h -= other.cache_write_1h;
        self.cache_read -= other.cache_read;
    }
}
