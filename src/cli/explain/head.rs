//! The head of a session: what it cost with what no log has, and its replies without a final count.

use crate::domain::{Cost, Incompleteness, Totals, Usd, grouped};
use crate::ledger::{ResponseRecord, UnloggedRecord};
use crate::telemetry::shown;
use std::fmt::Write;

/// Everything together first, where some of it is in no log.
pub(super) fn session(id: &str, responses: &[ResponseRecord], unlogged: &[UnloggedRecord]) -> String {
    let mut sum = Usd::default();
    let mut unpriced = 0;
    for cost in responses.iter().flat_map(costs) {
        match cost {
            Cost::Known(amount) => sum += amount.into(),
            Cost::Unpriced => unpriced += 1,
        }
    }
    let mut logged = format!("{} responses, ${sum}", responses.len());
    if unpriced > 0 {
        let _ = write!(logged, " and {unpriced} calls without a price");
    }
    let mut beyond = Totals::default();
    for record in unlogged.iter().filter(|record| record.session == id) {
        beyond += record.totals();
    }
    let mut text = if beyond == Totals::default() {
        format!("session {}: {logged}\n", shown(id))
    } else {
        sum += beyond.cost;
        let no_price = if beyond.unpriced > 0 { " and more without a price" } else { "" };
        let tokens = grouped(beyond.tokens.total());
        format!(
            "session {}: ${sum}\n  logged   {logged}\n  unlogged {tokens} tokens, ${}{no_price}: in the client's own account or events alone\n",
            shown(id),
            beyond.cost
        )
    };
    incomplete(&mut text, responses);
    text.push('\n');
    text
}

/// How many replies have no final count, and why.
fn incomplete(text: &mut String, responses: &[ResponseRecord]) {
    for why in Incompleteness::ALL {
        let replies = responses.iter().filter(|known| known.response.incompleteness() == Some(why)).count();
        if replies > 0 {
            let _ = writeln!(text, "  incomplete ({}): {replies} {}", why.name(), why.describe());
        }
    }
}

/// The costs of a response: its own, and of each call inside it.
fn costs(record: &ResponseRecord) -> impl Iterator<Item = Cost> + '_ {
    std::iter::once(record.cost).chain(record.part_costs.iter().copied())
}
