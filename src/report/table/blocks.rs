//! The table of billing windows.
//!
//! Owns: its columns, and the lines below an open window: what is left of a limit, and where the
//! window is heading. Refuses: rates of its own; they come with the window. Cannot fail.

use super::sums::breakdown_of;
use super::{Column, Line, Look, Page, cost, key_column, lower_bound, marked};
use crate::domain::Totals;
use crate::domain::grouped;
use crate::report::blocks::{Block, percent};
use crate::report::text::decimal_dollars;
use crate::report::{BlockOptions, Kind, TokenLimit};

/// Windows and gaps, oldest or newest first, with a total.
pub(super) fn table(page: &Page<'_>, blocks: &[Block]) -> Option<String> {
    let limit = shown_limit(page, blocks);
    let mut lines: Vec<Line> = blocks.iter().flat_map(|block| block_lines(page, block, limit)).collect();
    lines.extend(page.total_sums().into_iter().map(|(name, totals)| {
        line(page, limit, Look::Total, [name, "", ""].map(str::to_owned), &Numbers::of(&totals))
    }));
    lines.extend(page.estimated().map(|estimated| {
        let (tokens, cost) =
            (format!("~{}", grouped(estimated.tokens.output)), format!("~{}", cost(estimated)));
        let numbers = Numbers { tokens, total: None, cost };
        line(page, limit, Look::Faint, ["Estimated", "", ""].map(str::to_owned), &numbers)
    }));
    page.layout(&header(page, limit), lines)
}

/// The limit given as a number, or else the one that the open window was measured against.
fn shown_limit(page: &Page<'_>, blocks: &[Block]) -> Option<u64> {
    match &page.report.request.kind {
        Kind::Blocks(BlockOptions { token_limit: Some(TokenLimit::Tokens(tokens)), .. }) => Some(*tokens),
        _ => blocks.iter().find_map(|block| block.limit).map(|status| status.limit),
    }
}

fn header(page: &Page<'_>, limit: Option<u64>) -> Vec<Column> {
    let mut header = vec![key_column(&page.report.request.kind)];
    header.extend(["Status", "Models"].map(Column::text));
    header.push(Column::number("Tokens"));
    if limit.is_some() {
        header.push(Column::number("%"));
    }
    if !page.report.request.no_cost {
        header.push(Column::number("Cost (USD)"));
    }
    header
}

/// The last columns of a line.
struct Numbers {
    tokens: String,
    total: Option<u64>,
    cost: String,
}

impl Numbers {
    fn of(totals: &Totals) -> Self {
        let total = totals.tokens.total();
        let tokens = format!("{}{}", lower_bound(totals), grouped(total));
        // A total over windows is measured against no window's limit.
        Self { tokens, total: None, cost: cost(totals) }
    }

    fn of_window(totals: &Totals) -> Self {
        Self { total: Some(totals.tokens.total()), ..Self::of(totals) }
    }

    fn none() -> Self {
        Self { tokens: "-".to_owned(), total: None, cost: "-".to_owned() }
    }
}

fn line(page: &Page<'_>, limit: Option<u64>, look: Look, names: [String; 3], numbers: &Numbers) -> Line {
    let mut cells = Vec::from(names);
    cells.push(numbers.tokens.clone());
    if let Some(limit) = limit {
        let share = numbers.total.and_then(|total| percent(total, limit));
        cells.push(share.map(|share| format!("{:.1}%", share.round_dp(1))).unwrap_or_default());
    }
    if !page.report.request.no_cost {
        cells.push(numbers.cost.clone());
    }
    Line { cells, look }
}

fn block_lines(page: &Page<'_>, block: &Block, limit: Option<u64>) -> Vec<Line> {
    let start = page.minute(block.start);
    if block.is_gap {
        let names =
            [start, format!("gap of {}", hours(block.end.0.saturating_sub(block.start.0))), "-".to_owned()];
        return vec![line(page, limit, Look::Faint, names, &Numbers::none())];
    }
    let names = [start, status(page, block), page.model_list(&block.sums)];
    let mut lines = vec![line(page, limit, Look::Plain, names, &Numbers::of_window(&block.sums.totals))];
    if page.report.request.breakdown {
        let models = block.sums.models.iter().flat_map(|model| {
            breakdown_of(model).into_iter().map(move |(beside, totals)| (model, beside, totals))
        });
        lines.extend(models.map(|(model, beside, totals)| {
            let names = [format!("  └─ {}{beside}", page.model(&model.name)), String::new(), String::new()];
            line(page, limit, Look::Faint, names, &Numbers::of(totals))
        }));
    }
    lines.extend(remaining_line(page, block, limit));
    lines.extend(projected_line(page, block, limit));
    lines
}

fn status(page: &Page<'_>, block: &Block) -> String {
    if block.is_active {
        let left = block.end.0.saturating_sub(page.report.request.now.0);
        return format!("ACTIVE, {} left", hours(left));
    }
    block.last.map(|last| hours(last.0.saturating_sub(block.start.0))).unwrap_or_default()
}

fn remaining_line(page: &Page<'_>, block: &Block, limit: Option<u64>) -> Option<Line> {
    let limit = limit.filter(|_| block.is_active)?;
    let left = limit.saturating_sub(block.sums.totals.tokens.total());
    let names = [format!("  of {} tokens", grouped(limit)), "REMAINING".to_owned(), String::new()];
    let numbers = Numbers { tokens: grouped(left), total: Some(left), cost: String::new() };
    Some(line(page, Some(limit), Look::Faint, names, &numbers))
}

fn projected_line(page: &Page<'_>, block: &Block, limit: Option<u64>) -> Option<Line> {
    let projection = block.projection?;
    let rate: u64 = block.burn_rate?.tokens_per_minute.round().try_into().ok()?;
    let names = [format!("  at {} tokens a minute", grouped(rate)), "PROJECTED".to_owned(), String::new()];
    let totals = &block.sums.totals;
    let tokens = format!("{}{}", lower_bound(totals), grouped(projection.total_tokens));
    let cost = marked(totals, projection.total_cost.map(decimal_dollars));
    let numbers = Numbers { tokens, total: Some(projection.total_tokens), cost };
    Some(line(page, limit, Look::Faint, names, &numbers))
}

/// A span as hours and minutes, without the seconds.
fn hours(milliseconds: i64) -> String {
    let minutes = milliseconds / 60_000;
    if minutes < 60 { format!("{minutes}m") } else { format!("{}h {}m", minutes / 60, minutes % 60) }
}
