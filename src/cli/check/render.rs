//! The rows as text and as JSON.

use super::row::{Row, State};
use crate::cli::exit::ExitCode;
use crate::telemetry::shown;
use serde_json::{Value, json};
use std::fmt::Write;

/// A line for each thing, its advice below it, and a last line for the whole.
pub(super) fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut lines = row.detail.lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, "{:8} {:11} {}", row.state.name(), row.name, shown(first));
        for line in lines {
            let _ = writeln!(text, "{:20} {}", "", shown(line));
        }
        if let Some(help) = &row.help {
            let _ = writeln!(text, "{:20} help: {}", "", shown(help));
        }
    }
    let count = |wanted: fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let wrong = count(|row| matches!(row.state, State::Wrong(_)));
    let unknown = count(|row| row.state == State::Unknown);
    let _ = match (wrong, unknown) {
        (0, 0) => writeln!(text, "Everything is as it should be."),
        (0, _) => writeln!(text, "Nothing is wrong as far as can be told."),
        (1, _) => writeln!(text, "1 thing is wrong."),
        _ => writeln!(text, "{wrong} things are wrong."),
    };
    text
}

/// `{"checks": [{"check", "state", "detail", "help", "exitCode", …}], "exitCode": 0}`.
pub(super) fn json(rows: &[Row], code: ExitCode) -> String {
    let row = |row: &Row| {
        let mut object = row.facts.clone();
        object.insert("check".to_owned(), row.name.into());
        object.insert("state".to_owned(), row.state.name().into());
        object.insert("detail".to_owned(), row.detail.as_str().into());
        object.insert("help".to_owned(), row.help.as_deref().map_or(Value::Null, Value::from));
        object.insert("exitCode".to_owned(), row.failure().map_or(Value::Null, |code| code.number().into()));
        Value::Object(object)
    };
    let checks: Vec<Value> = rows.iter().map(row).collect();
    format!("{:#}\n", json!({ "checks": checks, "exitCode": code.number() }))
}
