//! A comparison written down: a table for people, JSON and CSV for programs.
//!
//! Owns: the names of keys and columns, which scripts rely on. Nothing is rounded. What is unknown is never shown
//! as zero: it is blank in the table and in CSV, and `null` in JSON. Names from outside drive no terminal and no
//! spreadsheet. Cannot fail.

mod csv;
mod json;
mod table;

use super::compared::{Comparison, Row};
use super::theirs::Scope;
use crate::report::{Format, Style};

/// Writes a comparison down. The text ends with a line end.
pub fn render(comparison: &Comparison, format: Format, style: &Style) -> String {
    match format {
        Format::Table => table::render(comparison, *style),
        Format::Json => json::render(comparison),
        Format::Csv => csv::render(comparison),
    }
}

/// The day of a row, or the days of its session: `2026-11-20`, `2026-11-20 to 2026-11-21`; empty where unknown.
fn days(row: &Row) -> String {
    match (&row.scope, row.days) {
        (Scope::Day(day), _) => day.to_string(),
        (Scope::Session(_), Some(days)) if days.first == days.last => days.first.to_string(),
        (Scope::Session(_), Some(days)) => format!("{} to {}", days.first, days.last),
        (Scope::Session(_), None) => String::new(),
    }
}
