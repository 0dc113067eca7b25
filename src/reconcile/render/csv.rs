//! A comparison as CSV: a line for each day or session and model.

use super::days;
use crate::domain::Usd;
use crate::reconcile::cause::Cause;
use crate::reconcile::compared::{Comparison, Row, Side};
use crate::reconcile::count::{Counts, Kind};
use crate::reconcile::theirs::{Scope, Source};
use crate::report::formula_safe;

const SIDES: [&str; 4] = ["theirs", "logged", "unlogged", "difference"];

pub(super) fn render(comparison: &Comparison) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut write = |fields: &[String]| {
        writer.write_record(fields).expect("lines of one length, written to memory");
    };
    write(&header());
    for section in &comparison.sections {
        section.rows.iter().for_each(|row| write(&fields(section.source, row)));
    }
    let bytes = writer.into_inner().expect("memory can always be flushed to");
    String::from_utf8(bytes).expect("made of strings")
}

fn header() -> Vec<String> {
    let mut names: Vec<String> = ["source", "date", "sessionId", "model"].map(str::to_owned).into();
    for side in SIDES {
        names.extend(Kind::ALL.map(|kind| format!("{side}.{}", kind.key())));
        names.push(format!("{side}.cost"));
    }
    names.extend(
        ["messageCount", "incompleteMessages", "unpricedMessages", "differs", "causes"].map(str::to_owned),
    );
    names
}

fn fields(source: Source, row: &Row) -> Vec<String> {
    let session = if let Scope::Session(id) = &row.scope { formula_safe(id) } else { String::new() };
    let mut fields = vec![source.key().to_owned(), days(row), session, formula_safe(&row.line.to_string())];
    for side in [&row.theirs, &row.logged, &row.unlogged] {
        fields.extend(of_side(side));
    }
    fields.extend(values(&row.difference));
    fields.push(dollars(row.cost_difference));
    let totals = &row.totals;
    fields.extend([totals.messages, totals.incomplete, totals.unpriced].map(|number| number.to_string()));
    fields.push(row.differs.to_string());
    fields.push(row.causes.iter().map(Cause::key).collect::<Vec<_>>().join(";"));
    fields
}

fn of_side(side: &Side) -> Vec<String> {
    let mut fields = values(&side.counts);
    fields.push(dollars(side.cost));
    fields
}

fn values<T: Copy + ToString>(counts: &Counts<T>) -> Vec<String> {
    counts.entries().map(|(_, value)| value.map(|value| value.to_string()).unwrap_or_default()).collect()
}

fn dollars(amount: Option<Usd>) -> String {
    amount.map(|amount| amount.to_string()).unwrap_or_default()
}
