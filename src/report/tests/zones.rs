//! The days of zones against an older edition of the IANA database, read by other code: chrono-tz 0.10.4 has
//! edition 2025b, compiled to tables.

use super::super::zone::Zone;
use crate::domain::UnixMillis;
use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use std::collections::BTreeMap;

/// Steps in which the years are gone through: two changes of the clocks are further apart.
const STEP: i64 = 7 * 86_400;

/// 1 January of a year, in seconds.
fn year(year: i32) -> i64 {
    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single().expect("a new year").timestamp()
}

/// What chrono-tz's clock shows more than UTC's.
fn known(zone: Tz, second: i64) -> i32 {
    let utc = DateTime::from_timestamp(second, 0).expect("an instant").naive_utc();
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()
}

/// What our clock shows more than UTC's.
fn ours(zone: &Zone, second: i64) -> i32 {
    let utc = DateTime::from_timestamp(second, 0).expect("an instant").naive_utc();
    let ahead = zone.wall(UnixMillis(second * 1_000)) - utc;
    i32::try_from(ahead.num_seconds()).expect("a few hours")
}

/// The second of a change of the clocks between two instants.
fn change(zone: Tz, mut before: i64, mut after: i64) -> i64 {
    while after - before > 1 {
        let middle = before.midpoint(after);
        if known(zone, middle) == known(zone, before) {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

/// Every instant at which chrono-tz changes the clocks between two years, and one instant of each step.
fn instants(zone: Tz, from: i32, to: i32) -> Vec<i64> {
    let mut found = Vec::new();
    let mut before = year(from);
    while before < year(to) {
        let after = before + STEP;
        if known(zone, before) != known(zone, after) {
            let change = change(zone, before, after);
            found.extend([change - 1, change]);
        }
        found.push(after);
        before = after;
    }
    found
}

/// What has been decreed since edition 2025b: zones, and since when their clocks differ.
const DECREED: &[(&str, &[&str])] = &[
    ("2022-03-27T00:00:00.000Z", &["Europe/Chisinau", "Europe/Tiraspol"]),
    ("2026-09-27T00:00:00.000Z", &["Africa/Casablanca", "Africa/El_Aaiun"]),
    ("2026-11-01T05:00:00.000Z", &["America/Havana", "Cuba"]),
    ("2026-11-01T07:00:00.000Z", &["America/Rainy_River", "America/Winnipeg", "Canada/Central"]),
    (
        "2026-11-01T08:00:00.000Z",
        &["America/Edmonton", "America/Inuvik", "America/Yellowknife", "Canada/Mountain"],
    ),
    ("2026-11-01T09:00:00.000Z", &["America/Vancouver", "Canada/Pacific"]),
];

/// The first instant at which the clocks of a zone are other ones than chrono-tz gives it.
fn first_difference(tz: Tz) -> Option<i64> {
    let zone = Zone::parse(tz.name(), Zone::UTC).expect("both know the zone");
    assert_eq!(zone.to_string(), tz.name());
    instants(tz, 1995, 2045).into_iter().find(|second| known(tz, *second) != ours(&zone, *second))
}

#[test]
fn every_zone_has_the_clocks_that_another_reader_of_the_database_gives_it() {
    let mut differing: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for tz in TZ_VARIANTS {
        if let Some(second) = first_difference(tz) {
            differing.entry(UnixMillis(second * 1_000).to_rfc3339()).or_default().push(tz.name());
        }
    }
    let decreed: BTreeMap<String, Vec<&str>> =
        DECREED.iter().map(|(since, zones)| ((*since).to_owned(), zones.to_vec())).collect();
    assert_eq!(differing, decreed);
}
