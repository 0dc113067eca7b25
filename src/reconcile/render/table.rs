//! A comparison as tables for people: a line for each figure that differs, one for each row that agrees, and below
//! it what the causes mean.

use super::days;
use crate::domain::{Totals, Usd, grouped};
use crate::reconcile::compared::{Comparison, Row, Section, Side};
use crate::reconcile::count::Kind;
use crate::reconcile::theirs::{Scope, Source};
use crate::report::{Style, clean, named};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use std::fmt::Write as _;

/// Characters of a session id that a table shows.
const ID_LENGTH: usize = 8;
/// So many things that were not understood are listed; JSON has all.
const TOLD: usize = 10;

pub(super) fn render(comparison: &Comparison, style: Style) -> String {
    let mut text = String::new();
    for section in &comparison.sections {
        let title = format!("The ledger against {} · UTC", section.source.name());
        let title = if style.color { format!("\u{1b}[1m{title}\u{1b}[0m") } else { title };
        let _ = writeln!(text, "{title}");
        if section.rows.is_empty() {
            text.push_str("Neither side has anything.\n");
        } else {
            let _ = writeln!(text, "{}", table(section, style));
        }
        text.push_str(&footnotes(section));
    }
    text.push_str(if comparison.differs() { "A difference is left.\n" } else { "No difference is left.\n" });
    text
}

fn table(section: &Section, style: Style) -> Table {
    let mut table = Table::new();
    table.force_no_tty().load_style(presets::UTF8_FULL_CONDENSED);
    if style.color {
        table.enforce_styling();
    }
    if let Some(width) = style.width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    let key = if section.source == Source::Client { "Session" } else { "Date" };
    let header = [key, "Model", "What", "Theirs", "Logged", "Unlogged", "Difference", "Likely cause"];
    table.set_header(header.map(|name| Cell::new(name).fg(Color::Cyan)));
    for row in &section.rows {
        for line in lines(row) {
            table.add_row(line.map(Cell::new_owned));
        }
    }
    let total = total_line(section);
    table.add_row(total.map(|text| Cell::new_owned(text).fg(Color::Yellow).add_attribute(Attribute::Bold)));
    for column in table.column_iter_mut().skip(3).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

type Line = [String; 8];

/// What differs of a row; of one that agrees its cost, or its tokens where there is none.
fn lines(row: &Row) -> Vec<Line> {
    let mut figures = Vec::new();
    if row.differs {
        figures.extend(counts_that_differ(row));
        if row.theirs.cost.is_some() || figures.is_empty() {
            figures.push(cost(row));
        }
    } else if row.theirs.cost.is_some() {
        figures.push(cost(row));
    } else {
        figures.push(tokens(row));
    }
    let mut head = [key(row), named(&clean(&row.line.to_string()))];
    let mut causes = row.causes.iter().map(|cause| clean(&cause.name())).collect::<Vec<_>>().join("\n");
    let mut lines = Vec::new();
    for [what, theirs, logged, unlogged, difference] in figures {
        let [first, second] = std::mem::take(&mut head);
        lines.push([first, second, what, theirs, logged, unlogged, difference, std::mem::take(&mut causes)]);
    }
    lines
}

fn key(row: &Row) -> String {
    match &row.scope {
        Scope::Day(day) => day.to_string(),
        Scope::Session(id) => {
            let id: String = clean(id).chars().take(ID_LENGTH).collect();
            format!("{id} {}", days(row)).trim().to_owned()
        }
    }
}

type Figure = [String; 5];

fn counts_that_differ(row: &Row) -> Vec<Figure> {
    let parts = [Kind::CacheWrite5m, Kind::CacheWrite1h];
    let has_parts = parts.iter().all(|part| row.difference.get(*part).is_some());
    let mut figures = Vec::new();
    for (kind, difference) in row.difference.entries() {
        let Some(difference) = difference.filter(|gap| *gap != 0) else { continue };
        if has_parts && kind == Kind::CacheWrite {
            continue;
        }
        let of = |side: &Side| side.counts.get(kind).map(grouped).unwrap_or_default();
        let bound = if kind == Kind::Output { lower_bound(&row.totals) } else { "" };
        figures.push([
            kind.name().to_owned(),
            of(&row.theirs),
            format!("{bound}{}", of(&row.logged)),
            of(&row.unlogged),
            signed_count(difference),
        ]);
    }
    figures
}

fn tokens(row: &Row) -> Figure {
    let of = |side: &Side| side.counts.tokens().map(grouped).unwrap_or_default();
    ["tokens".to_owned(), of(&row.theirs), of(&row.logged), of(&row.unlogged), "=".to_owned()]
}

fn cost(row: &Row) -> Figure {
    let logged = match row.logged.cost {
        Some(cost) if row.totals.unpriced > 0 => format!("{} +?", dollars(cost)),
        Some(cost) => format!("{}{}", lower_bound(&row.totals), dollars(cost)),
        None => "unpriced".to_owned(),
    };
    [
        "cost".to_owned(),
        row.theirs.cost.map(dollars).unwrap_or_default(),
        logged,
        row.unlogged.cost.map_or_else(|| "unpriced".to_owned(), dollars),
        row.cost_difference.map(signed_dollars).unwrap_or_default(),
    ]
}

/// Replies without a final count make a figure the least that it can be.
fn lower_bound(totals: &Totals) -> &'static str {
    if totals.incomplete > 0 { "≥" } else { "" }
}

fn total_line(section: &Section) -> Line {
    let total = &section.total;
    let has_cost = total.theirs.cost.is_some();
    let of = |side: &Side| {
        let (cost, tokens) = (side.cost.map(dollars), side.counts.tokens().map(grouped));
        if has_cost { cost } else { tokens }.unwrap_or_default()
    };
    let difference = if has_cost { total.cost_difference.map(signed_dollars) } else { None };
    [
        "Total".to_owned(),
        String::new(),
        if has_cost { "cost" } else { "tokens" }.to_owned(),
        of(&total.theirs),
        of(&total.logged),
        of(&total.unlogged),
        difference.unwrap_or_default(),
        String::new(),
    ]
}

/// With every digit: what is left of a difference may be in the last.
fn dollars(amount: Usd) -> String {
    format!("${amount}")
}

fn signed_count(difference: i128) -> String {
    let size = grouped(u64::try_from(difference.unsigned_abs()).unwrap_or(u64::MAX));
    format!("{}{size}", if difference < 0 { "-" } else { "+" })
}

fn signed_dollars(difference: Usd) -> String {
    match difference.0 {
        0 => "=".to_owned(),
        1.. => format!("+{}", dollars(difference)),
        _ => format!("-{}", dollars(Usd(difference.0.saturating_neg()))),
    }
}

/// What the causes mean, what was not understood, and what else to know.
fn footnotes(section: &Section) -> String {
    let mut text = String::new();
    let mut causes: Vec<_> = section.rows.iter().flat_map(|row| &row.causes).collect();
    causes.sort();
    causes.dedup_by_key(|cause| cause.key());
    for cause in causes {
        let name = cause.name();
        let name = name.split(" (").next().unwrap_or_default();
        let _ = writeln!(text, "{}: {}.", clean(name), cause.rule());
    }
    if section.rows.iter().any(|row| row.totals.incomplete > 0) {
        text.push_str("≥ some replies have no final output count in the log: a lower bound.\n");
    }
    for told in section.not_understood.iter().take(TOLD) {
        let _ = writeln!(text, "not understood: {}: {}", clean(&told.place), clean(&told.what));
    }
    let more = section.not_understood.len().saturating_sub(TOLD);
    if more > 0 {
        let _ = writeln!(text, "not understood: {more} more; --json lists all");
    }
    for note in &section.notes {
        let _ = writeln!(text, "{}", clean(note));
    }
    text
}
