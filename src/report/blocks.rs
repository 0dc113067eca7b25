//! Billing windows: the five-hour blocks that a subscription's limits are counted by.
//!
//! Owns: where a window begins and ends, which one is open, how fast it fills and where it is heading.
//! Refuses: floating point; rates are decimals. Cannot fail; a rate that does not fit is left out.
//!
//! A window begins at the full UTC hour of its first response and takes in every response before its
//! end, one window length later; the next response after that begins the next window. Where nothing
//! happened for longer than a window length, a gap stands between. Anthropic publishes no finer rule;
//! ccusage, whose users know these windows, uses the same one.
//!
//! Quarter hours are enough to tell windows apart exactly: a window begins on a full hour and is a
//! whole number of hours long, so that it ends on a full hour too, and no quarter hour straddles one.
//! All responses of a quarter hour are therefore in the same window. (That is why the end belongs to
//! the next window: "more than five hours" would divide the one millisecond at the end from the rest
//! of its quarter hour.) Where a gap begins and ends, cells know to the millisecond.

use super::group::{Group, Sums};
use super::request::BlockLength;
use crate::domain::{Cell, Quarter, UnixMillis};
use rust_decimal::Decimal;

const HOUR_MS: i64 = 60 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;

/// A window and the responses that define it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// A full hour of UTC.
    pub(super) start: UnixMillis,
    /// The instant after its last: `start` plus the length.
    pub(super) end: UnixMillis,
    /// Its earliest response.
    pub(super) first: UnixMillis,
    /// Its latest response.
    pub(super) last: UnixMillis,
}

/// The windows that cells make, oldest first, with what was used in each by the cells that `counts`
/// picks. Windows are an account's: all cells together say where they begin, whichever are asked for.
pub(super) fn windows(
    mut cells: Vec<&Cell>,
    length: BlockLength,
    counts: impl Fn(&Cell) -> bool,
) -> Vec<(Window, Group)> {
    cells.sort_by_key(|cell| cell.quarter);
    let mut found: Vec<(Window, Group)> = Vec::new();
    for cell in cells {
        if found.last().is_none_or(|(window, _)| cell.quarter.start() >= window.end) {
            found.push((Window::of(cell, length), Group::default()));
        }
        if let Some((window, group)) = found.last_mut()
            && counts(cell)
        {
            let is_first = group.is_empty();
            window.first = if is_first { cell.first } else { window.first.min(cell.first) };
            window.last = if is_first { cell.last } else { window.last.max(cell.last) };
            group.add(cell);
        }
    }
    found.retain(|(_, group)| !group.is_empty());
    found
}

impl Window {
    /// The window that begins with a cell.
    fn of(cell: &Cell, length: BlockLength) -> Self {
        let start = hour_of(cell.quarter);
        let end = UnixMillis(start.0.saturating_add(length.milliseconds()));
        Self { start, end, first: cell.first, last: cell.last }
    }

    /// True of a moment in it.
    pub(super) fn holds(&self, at: UnixMillis) -> bool {
        (self.start..self.end).contains(&at)
    }
}

fn hour_of(quarter: Quarter) -> UnixMillis {
    let start = quarter.start().0;
    UnixMillis(start.saturating_sub(start.rem_euclid(HOUR_MS)))
}

/// A window or a gap, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Begins here.
    pub(super) start: UnixMillis,
    /// Ends before this.
    pub(super) end: UnixMillis,
    /// Its latest response; none in a gap.
    pub(super) last: Option<UnixMillis>,
    /// True of a stretch without responses.
    pub(super) is_gap: bool,
    /// True of the window that is open now.
    pub(super) is_active: bool,
    /// What was used.
    pub(super) sums: Sums,
    /// How fast an open window fills.
    pub(super) burn_rate: Option<BurnRate>,
    /// Where an open window is heading.
    pub(super) projection: Option<Projection>,
    /// How an open window compares with the limit asked about.
    pub(super) limit: Option<LimitStatus>,
}

/// How fast a window fills, from its first response to its latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BurnRate {
    /// All tokens a minute, rounded half to even at six decimals.
    pub(super) tokens_per_minute: Decimal,
    /// Input and output tokens a minute, without the cache; ccusage's indicator goes by it.
    pub(super) uncached_per_minute: Decimal,
    /// Dollars an hour, rounded half to even at twelve decimals; none where nothing has a price.
    pub(super) cost_per_hour: Option<Decimal>,
}

/// Where a window ends up if it keeps filling as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Projection {
    /// All tokens, rounded half to even.
    pub(super) total_tokens: u64,
    /// Dollars, rounded half to even at twelve decimals; none where nothing has a price.
    pub(super) total_cost: Option<Decimal>,
    /// Minutes until the window ends, rounded half to even.
    pub(super) remaining_minutes: u64,
}

/// How a window compares with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LimitStatus {
    /// The limit in tokens.
    pub(super) limit: u64,
    /// Tokens that the window is heading for.
    pub(super) projected: u64,
    /// `projected` in percent of `limit`, rounded half to even at two decimals.
    pub(super) percent: Decimal,
}

impl LimitStatus {
    /// `exceeds`, `warning` above four fifths, or `ok`: ccusage's words and threshold.
    pub(super) fn word(&self) -> &'static str {
        if self.projected > self.limit {
            "exceeds"
        } else if self.percent > Decimal::from(80) {
            "warning"
        } else {
            "ok"
        }
    }
}

impl Block {
    /// A window with its sums, seen from `now`. Its last response is never before its beginning, so that
    /// ccusage's further condition, no idle time of a window's length, holds until the end by itself.
    pub(super) fn new(window: &Window, sums: Sums, now: UnixMillis) -> Self {
        let is_active = (window.start..window.end).contains(&now);
        let mut block = Self {
            start: window.start,
            end: window.end,
            last: Some(window.last),
            is_gap: false,
            is_active,
            sums,
            burn_rate: None,
            projection: None,
            limit: None,
        };
        if is_active {
            block.burn_rate = burn_rate(&block.sums, window);
            block.projection = projection(&block.sums, window, now);
        }
        block
    }

    /// The gap before `next`, if nothing happened for longer than a window.
    pub(super) fn gap(before: &Window, next: &Window, length: BlockLength) -> Option<Self> {
        let start = UnixMillis(before.last.0.saturating_add(length.milliseconds()));
        (next.first > start).then(|| Self {
            start,
            end: next.first,
            last: None,
            is_gap: true,
            is_active: false,
            sums: Sums::default(),
            burn_rate: None,
            projection: None,
            limit: None,
        })
    }

    /// ccusage's name of it: its beginning, with `gap-` before a gap's.
    pub(super) fn id(&self) -> String {
        let start = self.start.to_rfc3339();
        if self.is_gap { format!("gap-{start}") } else { start }
    }

    /// Measures an open window against a limit.
    pub(super) fn measure(&mut self, limit: u64) {
        self.limit = self.projection.and_then(|projection| {
            let percent = percent(projection.total_tokens, limit)?;
            Some(LimitStatus { limit, projected: projection.total_tokens, percent })
        });
    }
}

/// `part` in percent of `whole`, rounded half to even at two decimals; none of nothing.
pub(super) fn percent(part: u64, whole: u64) -> Option<Decimal> {
    let hundredfold = Decimal::from(part).checked_mul(Decimal::ONE_HUNDRED)?;
    Some(hundredfold.checked_div(Decimal::from(whole))?.round_dp(2))
}

/// None while all responses came at one instant: no time, no rate.
fn burn_rate(sums: &Sums, window: &Window) -> Option<BurnRate> {
    let span = span_of(window)?;
    let per = |amount: Decimal, unit: i64, places: u32| {
        Some(amount.checked_mul(Decimal::from(unit))?.checked_div(span)?.round_dp(places).normalize())
    };
    let tokens = sums.totals.tokens;
    let uncached = tokens.input.saturating_add(tokens.output);
    Some(BurnRate {
        tokens_per_minute: per(Decimal::from(tokens.total()), MINUTE_MS, 6)?,
        uncached_per_minute: per(Decimal::from(uncached), MINUTE_MS, 6)?,
        cost_per_hour: sums.totals.known_cost().and_then(|cost| per(cost.to_decimal(), HOUR_MS, 12)),
    })
}

fn projection(sums: &Sums, window: &Window, now: UnixMillis) -> Option<Projection> {
    let span = span_of(window)?;
    let remaining = Decimal::from(window.end.0.saturating_sub(now.0).max(0));
    let extended = |amount: Decimal, places: u32| {
        let more = amount.checked_mul(remaining)?.checked_div(span)?;
        Some(amount.checked_add(more)?.round_dp(places).normalize())
    };
    let minutes = remaining.checked_div(Decimal::from(MINUTE_MS))?.round();
    Some(Projection {
        total_tokens: extended(Decimal::from(sums.totals.tokens.total()), 0)?.try_into().ok()?,
        total_cost: sums.totals.known_cost().and_then(|cost| extended(cost.to_decimal(), 12)),
        remaining_minutes: minutes.try_into().ok()?,
    })
}

fn span_of(window: &Window) -> Option<Decimal> {
    let span = window.last.0.saturating_sub(window.first.0);
    (span > 0).then(|| Decimal::from(span))
}
