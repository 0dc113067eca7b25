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

/// How a comparison is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What the terminal can show, and how much is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Columns of the terminal; no limit where there is no terminal.
    pub width: Option<u16>,
    /// Use colour.
    pub color: bool,
}

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
