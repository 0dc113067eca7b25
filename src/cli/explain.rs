//! `tallyd explain`: how one response or session came to its figures.

mod head;
mod restored;

use super::errors::{UnknownId, UsageError};
use super::exit::ExitCode;
use super::{engine, output};
use crate::config::Settings;
use crate::domain::grouped;
use crate::domain::{PartKind, Usd};
use crate::ledger::{LedgerReader, ResponseRecord, SightingRecord};
use crate::price::{CallExplanation, CallOutcome, PriceTable, PricedCall, Term, TermKind};
use crate::telemetry::shown;
use clap::Args;
use std::collections::BTreeSet;
use std::fmt::Write;

const AFTER_HELP: &str = "\
Examples:
  tallyd explain msg_01XFDUDYJgAACzvnptvVoYEL
  tallyd explain 8f2c1e3a                    the session whose id begins so, as tables show it
  tallyd session --json                      lists the ids of sessions

Exit code 9 where nothing is known of the id.";

/// Arguments of `tallyd explain`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArgs {
    /// Id of a response (`message.id`), or of a session, or the beginning of a session's
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub id: String,
    /// Explain from what the ledger has, without a look at the logs first
    #[arg(long)]
    pub no_scan: bool,
}

/// Prints which lines were seen, which won and why, and the sum of the price.
pub fn run(args: &ExplainArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    if !args.no_scan && settings.enabled {
        engine::refresh(settings, "explain")?;
    }
    let prices = engine::prices(settings)?;
    let ledger = LedgerReader::open(settings.state_dir()?)?;
    let mut responses = ledger.responses_by_message(&args.id)?;
    let mut text;
    if responses.is_empty() {
        let unlogged = ledger.unlogged()?;
        let sessions: BTreeSet<String> = ledger
            .sessions()?
            .into_iter()
            .map(|session| session.id)
            .chain(unlogged.iter().map(|record| record.session.clone()))
            .collect();
        let sessions: Vec<String> = sessions.into_iter().collect();
        let id = session_meant(&args.id, &sessions)?;
        responses = ledger.responses_by_session(id)?;
        let restored = ledger.restored(id)?;
        if responses.is_empty() && restored.is_none() && !unlogged.iter().any(|record| record.session == id) {
            return Err(UnknownId { id: args.id.clone() }.into());
        }
        text = match restored {
            Some(restored) => restored::session_head(&restored, &responses),
            None => head::session(id, &responses, &unlogged),
        };
    } else {
        text = restored::note(&ledger, &responses)?;
    }
    let sightings = ledger.sightings(&responses)?;
    for response in &responses {
        let lines = sightings.get(&response.number).map(Vec::as_slice).unwrap_or_default();
        describe(&mut text, response, lines, &prices);
    }
    output::print(&text)?;
    Ok(ExitCode::Done)
}

/// The session of this id, or the one whose id begins so.
fn session_meant<'a>(id: &str, sessions: &'a [String]) -> anyhow::Result<&'a str> {
    if let Some(exact) = sessions.iter().find(|known| *known == id) {
        return Ok(exact);
    }
    let mut matching: Vec<&str> =
        sessions.iter().map(String::as_str).filter(|known| known.starts_with(id)).collect();
    matching.sort_unstable();
    match matching.as_slice() {
        [] => Err(UnknownId { id: id.to_owned() }.into()),
        [only] => Ok(only),
        several => Err(UsageError {
            what: format!("`{id}` is the beginning of {} session ids", several.len()),
            help: format!("give more of it: {}", shown(&several.join(", "))),
        }
        .into()),
    }
}

fn describe(text: &mut String, record: &ResponseRecord, sightings: &[SightingRecord], prices: &PriceTable) {
    let response = &record.response;
    let id = if record.message_id.is_empty() { "response without an id" } else { &record.message_id };
    let _ = writeln!(text, "{}", shown(id));
    let _ = writeln!(text, "  model    {}", shown(&response.model.0));
    let _ =
        writeln!(text, "  time     {}{}", response.first_at.to_rfc3339(), guessed(response.time_is_guessed));
    let _ = writeln!(text, "  session  {}", shown(&response.attribution.session));
    if let Some(version) = &response.version {
        let _ = writeln!(text, "  client   {}", shown(version));
    }
    if let Some(why) = response.incompleteness() {
        let _ = writeln!(
            text,
            "  incomplete ({}): {}; no line has the final output count, output and cost are lower bounds",
            why.name(),
            why.describe()
        );
    }
    describe_lines(text, record, sightings);
    let explanation = prices.explain(&response.model, &response.usage, response.first_at);
    for call in explanation.own.iter().chain(&explanation.parts) {
        describe_call(text, call);
    }
    text.push('\n');
}

fn guessed(is_guessed: bool) -> &'static str {
    if is_guessed { " (no line has a time; this is the file's)" } else { "" }
}

/// The lines, the one whose usage counts marked with a star.
fn describe_lines(text: &mut String, record: &ResponseRecord, sightings: &[SightingRecord]) {
    let rank = |line: &SightingRecord| (line.output, line.main_chain, line.stopped, line.at);
    let best = sightings.iter().map(rank).max();
    let _ = writeln!(text, "  lines    {} seen; the usage of the line with * counts:", sightings.len());
    text.push_str("           the most output, then main chain, then a stop reason, then the newest\n");
    let mut starred = false;
    for line in sightings {
        let wins = !starred && Some(rank(line)) == best && line.output == record.response.rank.output;
        starred |= wins;
        let marks = [
            (!line.main_chain, "sub-agent"),
            (line.copied, "copy"),
            (line.stopped, "stop reason"),
            (line.is_final, "final"),
        ];
        let marks: Vec<&str> = marks.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
        let _ = writeln!(
            text,
            "  {} {}  output {}  {}  {}:{}",
            if wins { '*' } else { ' ' },
            line.at.to_rfc3339(),
            grouped(line.output),
            if marks.is_empty() { "-".to_owned() } else { marks.join(", ") },
            shown(&line.path.to_string_lossy()),
            line.offset,
        );
    }
    if !starred {
        text.push_str("  * a line that its file no longer has\n");
    }
}

fn describe_call(text: &mut String, call: &CallExplanation) {
    let what = match call.kind {
        None => "own",
        Some(PartKind::Advisor) => "advisor call",
        Some(PartKind::Compaction) => "compaction call",
        Some(PartKind::AbandonedAttempt) => "abandoned attempt",
        Some(PartKind::Step) => "step",
    };
    let _ = write!(text, "  {what}, {}: {} tokens", shown(&call.model.0), grouped(call.tokens.total()));
    match &call.outcome {
        CallOutcome::Free => text.push_str(", free\n"),
        CallOutcome::Unpriced(why) => {
            let _ = writeln!(text, ", unpriced: {why}");
        }
        CallOutcome::Priced(priced) => describe_price(text, priced),
    }
}

fn describe_price(text: &mut String, priced: &PricedCall) {
    let _ = write!(text, ", priced as {} ({}", shown(&priced.id), shown(&priced.origin));
    for (word, day) in [("from", priced.dates.from_day()), ("to", priced.dates.to_day())] {
        if let Some(day) = day {
            let _ = write!(text, ", {word} {day}");
        }
    }
    let _ = writeln!(text, "; source: {})", shown(&priced.source));
    if let Some(above) = priced.long_prompt_above {
        let _ = writeln!(text, "      prompt of more than {} tokens: long-prompt prices", grouped(above));
    }
    for (name, factor) in priced.multipliers.named() {
        let _ = writeln!(text, "      {name}: x {factor}");
    }
    priced.terms.iter().for_each(|term| describe_term(text, term));
    let _ = writeln!(text, "      = ${}", Usd::from(priced.amount));
}

fn describe_term(text: &mut String, term: &Term) {
    let (what, per) = match term.kind {
        TermKind::Input => ("input", "million"),
        TermKind::Output => ("output", "million"),
        TermKind::CacheWrite5m => ("cache write, 5 minutes", "million"),
        TermKind::CacheWrite1h => ("cache write, 1 hour", "million"),
        TermKind::CacheRead => ("cache read", "million"),
        TermKind::WebSearch => ("web searches", "thousand"),
    };
    let factor =
        if term.factor == rust_decimal::Decimal::ONE { String::new() } else { format!(" x {}", term.factor) };
    let _ = writeln!(
        text,
        "      {what:<22} {:>13} x ${} a {per}{factor} = ${}",
        grouped(term.count),
        term.price.normalize(),
        Usd::from(term.amount)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_meant_by_its_id_or_a_beginning_that_no_other_has() {
        let sessions = ["aaaa", "aaaa-1", "ab-1", "ab-2"].map(str::to_owned);
        let meant = |id| session_meant(id, &sessions).map_err(|error| error.to_string());
        assert_eq!(meant("aaaa"), Ok("aaaa"));
        assert_eq!(meant("aaaa-"), Ok("aaaa-1"));
        assert_eq!(meant("ab"), Err("`ab` is the beginning of 2 session ids".to_owned()));
        let unknown = session_meant("b", &sessions).unwrap_err();
        assert!(unknown.is::<UnknownId>(), "{unknown}");
    }
}
