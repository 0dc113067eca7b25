//! Reports: usage by day, week, month, session, project, model and billing window, as a table, JSON
//! or CSV.
//!
//! Owns: grouping of cells, time zones, billing windows and the layout of every output. Refuses: input
//! and output of any kind; values come in, text goes out, and the present moment is one of the values.
//! Costs are exact decimals throughout; only tables round. Fails by [`ReportError`], which names the
//! value it refuses; rendering cannot fail.

mod blocks;
mod build;
mod csv;
mod error;
mod estimate;
mod group;
mod json;
pub mod metrics;
mod project;
mod request;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod zone;

pub use build::{Report, build};
pub use error::ReportError;
pub use estimate::{Estimate, Rest};
pub use request::{
    BlockLength, BlockOptions, Kind, Order, Request, Source, TokenLimit, parse_date, parse_weekday,
};
pub(crate) use text::{clean, formula_safe, named};
pub use zone::Zone;

use crate::domain::{Cell, ModelKey, PeriodSums, SessionInfo, SessionKey, Totals, UnixMillis};
use crate::ledger::IncompleteCount;
use chrono::NaiveDate;

/// What a report is made from: [`Request::source`] says which of it.
#[derive(Clone, Debug, Default)]
pub struct ReportData {
    /// What all sessions used on each local day, but for what the cells below have.
    pub days: Vec<PeriodSums<NaiveDate>>,
    /// The ledger's sums, in any order.
    pub cells: Vec<Cell>,
    /// The sessions that the cells name.
    pub sessions: Vec<SessionInfo>,
    /// The names of the models that the cells name.
    pub models: Vec<(ModelKey, String)>,
    /// What the client's own accounts have and no log does.
    pub unlogged: Vec<Unlogged>,
    /// Why replies without a final count have none. What is missing here, as of sessions that are read from the server,
    /// counts as unknown.
    pub incomplete: Vec<IncompleteCount>,
    /// What is known of the output of these replies; empty unless it is asked for.
    pub estimates: Vec<Estimate>,
}

/// What the client's own account of a session has of a model, and no log does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlogged {
    /// The session; `None` where reports over days alone are asked for.
    pub session: Option<SessionKey>,
    /// The model.
    pub model: ModelKey,
    /// The latest reply that the account has in it.
    pub at: UnixMillis,
    /// Tokens, searches and cost; no responses, since their number is not known.
    pub totals: Totals,
}

/// How a report is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For scripts: a superset of what ccusage 20 prints.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What the terminal can show. JSON and CSV are the same for every style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; no limit where there is no terminal.
    pub width: Option<u16>,
    /// Use colour.
    pub color: bool,
}

/// Writes a report down. The text ends with a line end.
pub fn render(report: &Report, format: Format, style: &Style) -> String {
    match format {
        Format::Table => table::render(report, *style),
        Format::Json => json::render(report),
        Format::Csv => csv::render(report),
    }
}
