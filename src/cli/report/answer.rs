//! From the report that was asked for to the text that answers: settings, ledger and `crate::report`.

use super::{Order, Output, ReportKind, ReportQuery, TokenLimit, beside};
use crate::cli::exit::ExitCode;
use crate::cli::{engine, output};
use crate::collect::TablePricing;
use crate::config::Settings;
use crate::domain::{Clock, SystemClock};
use crate::ledger::{LedgerError, LedgerReader};
use crate::report::{
    self, BlockLength, BlockOptions, Format, Kind, ReportData, ReportError, Request, Source, Style, Zone,
    parse_date,
};
use std::num::NonZeroUsize;
use std::path::Path;

/// Takes in what is new, unless told not to, and prints the report.
pub fn run(query: &ReportQuery, settings: &Settings) -> anyhow::Result<ExitCode> {
    let folder = settings.state_dir()?;
    // Wrong dates and zones are found before anything is read.
    request(query, settings)?;
    let is_taken_in = !query.no_scan && settings.enabled && engine::refresh(settings, "report")?;
    if !settings.enabled {
        tracing::warn!("counting is switched off; this is what the ledger has");
    }
    let ledger = LedgerReader::open(folder)?;
    ledger.check_read()?;
    if !is_taken_in {
        warn_of_other_prices(settings, &ledger)?;
    }
    output::print(&answer(query, settings, &ledger)?)?;
    Ok(ExitCode::Done)
}

/// Costs are stored. Where nobody could work them out anew, they may be by another table than the one
/// that these settings ask for.
fn warn_of_other_prices(settings: &Settings, ledger: &LedgerReader) -> anyhow::Result<()> {
    let priced_by = ledger.price_digest()?;
    if priced_by.is_some_and(|digest| engine::prices(settings).is_ok_and(|table| table.digest() != digest)) {
        tracing::warn!(
            "the costs in the ledger are by other prices than these settings ask for; \
             a report without --no-scan, or a restart of the daemon with them, applies them"
        );
    }
    Ok(())
}

/// The report on what the ledger in `folder` has.
pub(in crate::cli) fn text(
    query: &ReportQuery,
    settings: &Settings,
    folder: &Path,
) -> anyhow::Result<String> {
    answer(query, settings, &LedgerReader::open(folder)?)
}

fn answer(query: &ReportQuery, settings: &Settings, ledger: &LedgerReader) -> anyhow::Result<String> {
    let request = request(query, settings)?;
    let mut data = data(&request, ledger)?;
    if request.estimate {
        let prices = TablePricing::new(engine::prices(settings)?);
        data.estimates = beside::estimates(&data.incomplete, ledger, &prices)?;
    }
    let built = report::build(&data, &request)?;
    let format = match query.output {
        Output::Table => Format::Table,
        Output::Json => Format::Json,
        Output::Csv => Format::Csv,
    };
    let style = Style { width: output::terminal_width(), color: settings.log.color.colours_stdout() };
    Ok(report::render(&built, format, &style))
}

/// What the report is made from: as little of the ledger as tells it.
pub fn data(request: &Request, ledger: &LedgerReader) -> Result<ReportData, LedgerError> {
    let models = ledger.models()?;
    let mut data = match request.source() {
        Source::Days => ReportData {
            days: ledger.sums(request.span(), |quarter| request.day_of(quarter))?,
            cells: ledger.restored_cells()?,
            models,
            ..ReportData::default()
        },
        Source::LatestSessions(count) => {
            let is_asked = |quarter| request.day_of(quarter).is_some();
            let sessions = ledger.latest_sessions(count, request.span(), is_asked)?;
            ReportData {
                cells: ledger.cells_of(&sessions)?,
                sessions: ledger.sessions_of(&sessions)?,
                models,
                ..ReportData::default()
            }
        }
        Source::Cells => ReportData {
            cells: ledger.cells(None, None)?,
            sessions: ledger.sessions()?,
            models,
            ..ReportData::default()
        },
    };
    beside::add(&mut data, request, ledger)?;
    Ok(data)
}

/// What was asked for, against the settings.
fn request(query: &ReportQuery, settings: &Settings) -> anyhow::Result<Request> {
    let kind = match &query.kind {
        ReportKind::Daily { .. } => Kind::Daily,
        ReportKind::Weekly { start_of_week } => {
            Kind::Weekly { start_of_week: start_of_week.unwrap_or(settings.start_of_week) }
        }
        ReportKind::Monthly => Kind::Monthly,
        ReportKind::Session { id } => Kind::Session { id: id.clone() },
        ReportKind::Project => Kind::Project,
        ReportKind::Model => Kind::Model,
        ReportKind::Blocks { active, recent, token_limit, session_length_hours } => {
            Kind::Blocks(BlockOptions {
                active: *active,
                recent: *recent,
                token_limit: token_limit.map(|limit| match limit {
                    TokenLimit::Max => report::TokenLimit::Max,
                    TokenLimit::Tokens(tokens) => report::TokenLimit::Tokens(tokens),
                }),
                length: BlockLength::parse(&session_length_hours.to_string())?,
            })
        }
    };
    let date = |text: &Option<String>| text.as_deref().map(parse_date).transpose();
    Ok(Request {
        since: date(&query.since)?,
        until: date(&query.until)?,
        order: if query.order == Some(Order::Desc) {
            report::Order::Descending
        } else {
            report::Order::Ascending
        },
        breakdown: query.breakdown,
        project: query.project.clone(),
        instances: matches!(query.kind, ReportKind::Daily { instances: true }),
        compact: query.compact,
        no_cost: query.no_cost,
        estimate: query.estimate || settings.estimate,
        last: query.last.map(NonZeroUsize::get),
        ..Request::new(kind, zone(query, settings)?, SystemClock.now())
    })
}

/// The zone of the flag, of the settings, or the machine's.
fn zone(query: &ReportQuery, settings: &Settings) -> Result<Zone, ReportError> {
    let named = settings.machine_timezone.clone().or_else(|| iana_time_zone::get_timezone().ok());
    let machine = Zone::of_machine(named.as_deref());
    match query.timezone.as_deref().or(settings.timezone.as_deref()) {
        Some(name) => Zone::parse(name, machine),
        None => Ok(machine),
    }
}
