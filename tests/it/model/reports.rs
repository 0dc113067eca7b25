//! Reports that are made from the sums of whole days or from a few sessions, against the same from all cells.

use chrono::{NaiveDate, Weekday};
use tallyd::cli::report::data;
use tallyd::domain::UnixMillis;
use tallyd::ledger::LedgerReader;
use tallyd::report::{Format, Kind, ReportData, Request, Source, Style, Zone, build, render};

/// Whole hours off UTC, three quarters of one; summer time by half an hour.
const ZONES: [&str; 3] = ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"];

/// Fails with both where they differ.
pub(super) fn agree(reader: &LedgerReader) -> Result<(), String> {
    let all = ReportData {
        cells: reader.cells(None, None).expect("cells"),
        sessions: reader.sessions().expect("sessions"),
        models: reader.models().expect("models"),
        ..ReportData::default()
    };
    let days: Vec<NaiveDate> = all.cells.iter().map(|cell| cell.first.to_utc().date_naive()).collect();
    let (first, last) = (days.iter().min().copied(), days.iter().max().copied());
    let spans = [(None, None), (first.and_then(|day| day.succ_opt()), last)];
    for name in ZONES {
        let zone = Zone::parse(name, Zone::UTC).expect("a zone");
        let weekly = Kind::Weekly { start_of_week: Weekday::Sun };
        for (kind, last) in [
            (Kind::Daily, None),
            (weekly, None),
            (Kind::Monthly, Some(1)),
            (Kind::Session { id: None }, Some(1)),
            (Kind::Session { id: None }, Some(3)),
        ] {
            for (since, until) in spans.into_iter().filter(|(since, until)| until.is_none() || since <= until)
            {
                let request =
                    Request { since, until, last, ..Request::new(kind.clone(), zone.clone(), UnixMillis(0)) };
                assert_ne!(request.source(), Source::Cells);
                let few = data(&request, reader).expect("it can be read");
                let text =
                    |data| render(&build(data, &request).expect("a report"), Format::Json, &Style::default());
                let (of_few, of_all) = (text(&few), text(&all));
                if of_few != of_all {
                    return Err(format!(
                        "{name} {kind:?} {since:?} {until:?}: {of_few}\nand by all cells {of_all}"
                    ));
                }
            }
        }
    }
    Ok(())
}
