//! The words around a table: its title, its footnotes, and the sentence in place of an empty one.
//!
//! Owns: what is said of unpriced usage, lower bounds, what comes from the server, and the meaning of costs. Refuses:
//! numbers of its own; all come from the report. Cannot fail.

use super::Page;
use crate::domain::grouped;
use crate::domain::{Incompleteness, Totals};
use crate::report::build::Report;
use crate::report::group::ModelSums;
use crate::report::text::{clean, dollars, named};
use crate::report::{Kind, Request};
use std::fmt::Write;

/// What the table shows, of when, by which clock.
pub(super) fn title(request: &Request) -> String {
    let what = match &request.kind {
        Kind::Daily if request.instances => "day and project",
        Kind::Daily => "day",
        Kind::Weekly { .. } => "week",
        Kind::Monthly => "month",
        Kind::Session { .. } => "session",
        Kind::Project => "project",
        Kind::Model => "model",
        Kind::Blocks(_) => "billing window",
    };
    let mut title = format!("Claude Code usage by {what}");
    if let Some(project) = &request.project {
        write!(title, " · project {}", clean(project)).expect("writing to memory");
    }
    write!(title, "{} · {}", days(request), request.zone).expect("writing to memory");
    title
}

fn days(request: &Request) -> String {
    match (request.since, request.until) {
        (Some(since), Some(until)) => format!(" · {since} to {until}"),
        (Some(since), None) => format!(" · since {since}"),
        (None, Some(until)) => format!(" · until {until}"),
        (None, None) => String::new(),
    }
}

/// The sentence in place of an empty table.
pub(super) fn nothing(request: &Request) -> String {
    let what = match &request.kind {
        Kind::Blocks(options) if options.active => "No billing window is open",
        _ => "No usage was found",
    };
    let of = request.project.as_deref().map(|project| format!(" · project {}", clean(project)));
    let narrowed = format!("{}{}", of.unwrap_or_default(), days(request));
    match narrowed.strip_prefix(" · ") {
        Some(narrowed) => format!("{what} ({narrowed}, {}).\n", request.zone),
        None => format!("{what}.\n"),
    }
}

/// What a reader has to know of the numbers above, a line each.
pub(super) fn footnotes(report: &Report, page: &Page<'_>) -> String {
    let totals = &report.totals.totals;
    let mut notes = Vec::new();
    let unpriced: Vec<String> = report.totals.unpriced().map(|model| unpriced_model(model, page)).collect();
    if !unpriced.is_empty() && !report.request.no_cost {
        notes.push(format!("No price is known for {}.", unpriced.join("; ")));
        notes.push(
            "Their tokens are counted, their cost is in no sum (+?). To add prices: tallyd prices --help"
                .to_owned(),
        );
    }
    if totals.incomplete > 0 {
        notes.push(incomplete(report));
    }
    if report.request.estimate && totals.incomplete > 0 {
        notes.extend(estimated(report));
    }
    if report.totals.unlogged != Totals::default() {
        let place = match &report.request.kind {
            Kind::Blocks(_) => "in no window's tokens and cost",
            _ => "in each row and the total",
        };
        notes.push(format!(
            "Unlogged: what the client itself tells of and no log does, compactions for one; it is {place} above."
        ));
    }
    if report.totals.restored_sessions > 0 {
        notes.push(restored(report));
    }
    if !report.request.no_cost {
        notes.push("Costs are API list prices; a subscription is not billed by them.".to_owned());
    }
    notes.into_iter().map(|note| page.faint(&note) + "\n").collect()
}

fn unpriced_model(model: &ModelSums, page: &Page<'_>) -> String {
    let name = named(&model.name);
    let tokens = |totals: &Totals| counted(totals.unpriced_tokens, "token", "tokens");
    let mut parts = Vec::new();
    if model.totals.unpriced > 0 {
        parts.push(counted(model.totals.unpriced, "call", "calls"));
        parts.push(tokens(&model.totals));
    }
    // How many calls these were is not known.
    if model.unlogged.unpriced > 0 {
        parts.push(format!("{} unlogged", tokens(&model.unlogged)));
    }
    let short = page.model(&model.name);
    // The whole name is what a price has to be given for; the table above has the short one.
    let known_as = if short == name { String::new() } else { format!(" ({short})") };
    format!("{name}{known_as}: {}", parts.join(", "))
}

fn incomplete(report: &Report) -> String {
    let bounds =
        if report.request.no_cost { "output is a lower bound" } else { "output and cost are lower bounds" };
    let replies = counted(report.totals.totals.incomplete, "reply", "replies");
    let reasons: Vec<String> = report
        .totals
        .incomplete
        .reasons()
        .map(|(why, replies)| format!("{} {}", grouped(replies), short_reason(why)))
        .collect();
    format!("≥ {replies} without a final output count in the log ({}): {bounds}.", reasons.join(", "))
}

fn short_reason(why: Incompleteness) -> &'static str {
    match why {
        Incompleteness::Placeholder => "by a client up to 2.1.96",
        Incompleteness::Aborted => "stopped by the user",
        Incompleteness::Error => "cut off by an error",
        Incompleteness::Unknown => "for an unknown reason",
    }
}

/// How the estimate came about and how good it is, and what it leaves out.
fn estimated(report: &Report) -> Vec<String> {
    let incomplete = &report.totals.incomplete;
    let mut notes = Vec::new();
    if incomplete.estimated.messages > 0 {
        let replies = counted(incomplete.estimated.messages, "of these replies", "of these replies");
        notes.push(format!(
            "Estimated: output of {replies} beyond what is logged, by the seconds they took; half of such estimates are \
             off by more than 30 %, sums by 3 %, those of one model by up to a quarter. It is in no sum (docs/incomplete.md)."
        ));
    }
    if incomplete.in_account > 0 {
        let replies = counted(incomplete.in_account, "of these replies is", "of these replies are");
        notes.push(format!("The rest of {replies} in the client's account or events, and in Unlogged."));
    }
    if incomplete.without > 0 {
        let replies = counted(incomplete.without, "of these replies has", "of these replies have");
        notes.push(format!("{replies} no estimate: the log does not tell when they were asked for."));
    }
    notes
}

fn restored(report: &Report) -> String {
    let (sums, request) = (&report.totals, &report.request);
    let tokens = counted(sums.restored.tokens.total(), "token", "tokens");
    let cost = match sums.restored.known_cost() {
        Some(cost) if !request.no_cost => format!(", {}", dollars(cost)),
        _ => String::new(),
    };
    let place = match request.kind {
        Kind::Blocks(_) => "each UTC day of them stands at its noon",
        _ => "their days are UTC days",
    };
    let sessions = counted(sums.restored_sessions, "session", "sessions");
    format!("{sessions} of these ({tokens}{cost}) restored from the server, without a log here: {place}.")
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}
