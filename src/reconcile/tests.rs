//! Which figure meets which, what is a difference, and which cause each rule names.

mod rendered;

use super::*;
use crate::domain::{TokenCounts, Totals, UnixMillis, Usd};
use crate::price::PriceTable;
use chrono::NaiveDate;
use pretty_assertions::assert_eq;

const OPUS: &str = "claude-opus-5-5";
/// Input, output, 5-minute and 1-hour writes, reads: 0.021009 dollars of Opus 5.5.
const TOKENS: [u64; 5] = [11, 507, 401, 600, 20_100];
const COST: i128 = 21_009_000_000;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn at(text: &str) -> UnixMillis {
    UnixMillis::parse(text).unwrap()
}

fn logged(model: &str) -> Logged {
    let totals =
        Totals { tokens: TokenCounts::from_array(TOKENS), messages: 1, cost: Usd(COST), ..Totals::default() };
    Logged {
        session: "s".to_owned(),
        day: day("2026-11-20"),
        model: model.to_owned(),
        totals,
        searches_cost: Usd(0),
    }
}

fn book(logged: Vec<Logged>) -> Book {
    let clients = [("s".to_owned(), vec!["2.1.330".to_owned()])].into();
    Book { logged, clients, ..Book::default() }
}

fn counts(tokens: [u64; 5]) -> Counts {
    Counts::known(&TokenCounts::from_array(tokens), 0)
}

fn says(scope: Scope, model: &str, tokens: [u64; 5], pico: i128) -> Statement {
    let cost = Some(Amount { usd: Usd(pico), slack: Usd(0) });
    Statement { scope, line: Line::Model(model.to_owned()), counts: counts(tokens), cost }
}

fn on(text: &str) -> Scope {
    Scope::Day(day(text))
}

/// What a source that has every kind, and the days from the 19th to the 21st, says.
fn reading(source: Source, statements: Vec<Statement>) -> Reading {
    let days = Some(Span { first: day("2026-11-19"), last: day("2026-11-21") });
    let is_client = source == Source::Client;
    let (counted, billed) = if is_client { (None, None) } else { (days, days) };
    Reading { statements, kinds: Kind::ALL.to_vec(), counted, billed, ..Reading::new(source) }
}

fn request() -> Request {
    Request { now: at("2026-11-25T12:00:00Z"), ..Request::default() }
}

fn compared(reading: Reading, book: &Book) -> Section {
    compared_by(reading, book, &request())
}

fn compared_by(reading: Reading, book: &Book, request: &Request) -> Section {
    let mut comparison = compare(vec![reading], book, &PriceTable::shipped(), request);
    comparison.sections.remove(0)
}

#[track_caller]
fn only(section: &Section) -> &Row {
    let [row] = &section.rows[..] else { panic!("{:#?}", section.rows) };
    row
}

fn keys(row: &Row) -> Vec<&'static str> {
    row.causes.iter().map(Cause::key).collect()
}

fn more(by: [u64; 5]) -> [u64; 5] {
    let mut tokens = TokenCounts::from_array(TOKENS);
    tokens += TokenCounts::from_array(by);
    tokens.as_array()
}

#[test]
fn what_is_the_same_under_any_name_is_no_difference() {
    let book = book(vec![logged("claude-opus-5-5")]);
    for name in ["claude-opus-5-5", "Claude Opus 5.5", "claude-opus-5-5[1m]"] {
        let section = compared(reading(Source::Api, vec![says(on("2026-11-20"), name, TOKENS, COST)]), &book);
        let row = only(&section);
        assert!(!row.differs && row.causes.is_empty(), "{row:#?}");
        assert_eq!((row.line.to_string().as_str(), row.cost_difference), (OPUS, Some(Usd(0))));
        assert_eq!(section.total.cost_difference, Some(Usd(0)));
    }
}

#[test]
fn one_token_is_a_difference_unless_tolerated() {
    let book = book(vec![logged(OPUS)]);
    let theirs = says(on("2026-11-20"), OPUS, more([0, 1, 0, 0, 0]), COST + 20_000_000);
    for (tolerance, differs) in [
        ("0", true),
        ("0.000000001", true),
        // One token of output: 20 dollars a million.
        ("0.000019", true),
        ("0.00002", false),
        ("0.1%", true),
        ("0.2%", false),
    ] {
        let request = Request { tolerance: tolerance.parse().unwrap(), ..request() };
        let section = compared_by(reading(Source::Api, vec![theirs.clone()]), &book, &request);
        assert_eq!(only(&section).differs, differs, "{tolerance}");
    }
}

#[test]
fn what_a_source_does_not_speak_of_is_compared_with_nothing() {
    let book = book(vec![logged(OPUS)]);
    let mut theirs = says(on("2026-11-20"), OPUS, TOKENS, 0);
    theirs.cost = None;
    theirs.counts = Counts::default();
    theirs.counts.set(Kind::CacheWrite, 1001);
    let mut analytics = reading(Source::Analytics, vec![theirs]);
    (analytics.kinds, analytics.billed) = (vec![Kind::CacheWrite], None);
    let section = compared(analytics, &book);
    let row = only(&section);
    assert!(!row.differs, "{row:#?}");
    assert_eq!((row.difference.get(Kind::Input), row.difference.get(Kind::CacheWrite)), (None, Some(0)));
    assert_eq!(row.cost_difference, None);
}

#[test]
fn on_a_day_that_they_have_silence_is_zero_and_on_another_it_is_silence() {
    let mut elsewhere = logged(OPUS);
    elsewhere.day = day("2026-11-18");
    let book = book(vec![logged(OPUS), elsewhere]);
    let section = compared(reading(Source::Api, Vec::new()), &book);
    let row = only(&section);
    assert_eq!(row.theirs.counts.get(Kind::Output), Some(0));
    assert_eq!((row.difference.get(Kind::Output), row.cost_difference), (Some(-507), Some(Usd(-COST))));
    assert_eq!(keys(row), ["otherAccount"]);
    let request = Request { since: Some(day("2026-11-21")), ..request() };
    assert!(compared_by(reading(Source::Api, Vec::new()), &book, &request).rows.is_empty());
}

#[test]
fn searches_are_billed_apart_by_the_api_and_with_the_model_by_the_client() {
    let mut with_searches = logged(OPUS);
    with_searches.totals.web_searches = 2;
    with_searches.totals.cost = Usd(COST + 20_000_000_000);
    with_searches.searches_cost = Usd(20_000_000_000);
    let book = book(vec![with_searches]);
    let mut model = says(on("2026-11-20"), OPUS, TOKENS, COST);
    model.counts.set(Kind::WebSearches, 2);
    let searches = Statement {
        line: Line::WebSearch,
        counts: Counts::default(),
        ..says(on("2026-11-20"), "", [0; 5], 20_000_000_000)
    };
    let section = compared(reading(Source::Api, vec![model.clone(), searches]), &book);
    assert!(section.rows.len() == 2 && section.rows.iter().all(|row| !row.differs), "{:#?}", section.rows);
    model.scope = Scope::Session("s".to_owned());
    model.cost = Some(Amount { usd: Usd(COST + 20_000_000_000), slack: Usd(0) });
    let section = compared(reading(Source::Client, vec![model]), &book);
    assert!(!only(&section).differs, "{:#?}", section.rows);
}

#[test]
fn what_the_clients_accounts_hold_beyond_the_log_is_ours() {
    let hidden = [9, 250, 0, 500, 8000];
    let mut book = book(vec![logged(OPUS)]);
    book.unlogged.push(Unlogged {
        session: "s".to_owned(),
        day: day("2026-11-20"),
        model: "claude-opus-5-5[1m]".to_owned(),
        tokens: TokenCounts::from_array(hidden),
        web_searches: 0,
        cost: Some(Usd(10_636_000_000)),
        searches_cost: Usd(0),
    });
    let total = COST + 10_636_000_000;
    for scope in [on("2026-11-20"), Scope::Session("s".to_owned())] {
        let source = if matches!(scope, Scope::Day(_)) { Source::Api } else { Source::Client };
        let section = compared(reading(source, vec![says(scope, OPUS, more(hidden), total)]), &book);
        let row = only(&section);
        assert!(!row.differs, "{row:#?}");
        assert_eq!((row.logged.cost, row.unlogged.cost), (Some(Usd(COST)), Some(Usd(10_636_000_000))));
    }
    let further = says(on("2026-11-20"), OPUS, more([9, 250, 0, 501, 8000]), total + 8_000_000);
    let section = compared(reading(Source::Api, vec![further]), &book);
    assert_eq!(keys(only(&section)), ["otherMachine", "unlogged"]);
    book.unlogged[0].cost = None;
    let section =
        compared(reading(Source::Api, vec![says(on("2026-11-20"), OPUS, more(hidden), total)]), &book);
    assert_eq!(keys(only(&section)), ["unpriced"], "unknown is not zero");
}

/// A row of one model on one day or of one session, and the causes that its difference has.
struct Case {
    name: &'static str,
    source: Source,
    theirs: ([u64; 5], i128),
    change: fn(&mut Book),
    expected: &'static [&'static str],
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn each_rule_names_its_cause() {
    let hidden = more([9, 250, 0, 500, 8000]);
    let nothing: fn(&mut Book) = |_| {};
    for Case { name, source, theirs: (tokens, pico), change, expected } in [
        Case {
            name: "a compaction",
            source: Source::Client,
            theirs: (hidden, COST + 10_636_000_000),
            change: nothing,
            expected: &["unlogged"],
        },
        Case {
            name: "a compaction or another machine",
            source: Source::Api,
            theirs: (hidden, COST + 10_636_000_000),
            change: nothing,
            expected: &["unlogged", "otherMachine"],
        },
        Case {
            name: "nothing of it here",
            source: Source::Api,
            theirs: (TOKENS, COST),
            change: |book| book.logged.clear(),
            expected: &["otherMachine"],
        },
        Case {
            name: "no log of the session",
            source: Source::Client,
            theirs: (TOKENS, COST),
            change: |book| *book = Book::default(),
            expected: &["noLog"],
        },
        Case {
            name: "a placeholder in the log",
            source: Source::Api,
            theirs: (more([0, 40, 0, 0, 0]), COST + 800_000_000),
            change: |book| book.logged[0].totals.incomplete = 1,
            expected: &["incomplete"],
        },
        Case {
            name: "a placeholder and more",
            source: Source::Client,
            theirs: (hidden, COST + 10_636_000_000),
            change: |book| book.logged[0].totals.incomplete = 1,
            expected: &["incomplete", "unlogged"],
        },
        Case {
            name: "no price here",
            source: Source::Api,
            theirs: (TOKENS, COST),
            change: |book| {
                book.logged[0].totals.unpriced = 1;
                book.logged[0].totals.cost = Usd(0);
            },
            expected: &["unpriced"],
        },
        Case {
            name: "a contract's price",
            source: Source::Api,
            theirs: (TOKENS, COST / 2),
            change: nothing,
            expected: &["otherPrice"],
        },
        Case {
            name: "the session went on",
            source: Source::Client,
            theirs: ([1, 1, 0, 0, 0], 24_000_000),
            change: nothing,
            expected: &["wentOn"],
        },
        Case {
            name: "a reply that was cut off",
            source: Source::Client,
            theirs: ([1, 1, 0, 0, 0], 24_000_000),
            change: |book| book.logged[0].totals.incomplete = 1,
            expected: &["cutOff"],
        },
        Case {
            name: "a subscription",
            source: Source::Api,
            theirs: ([0; 5], 0),
            change: nothing,
            expected: &["otherAccount"],
        },
        Case {
            name: "a fork with its parent's total",
            source: Source::Client,
            theirs: (more([5, 6, 0, 0, 7]), COST + 141_400_000),
            change: |book| {
                let tokens = TokenCounts::from_array([5, 6, 0, 0, 7]);
                let (session, model) = ("s".to_owned(), OPUS.to_owned());
                book.inherited = vec![Inherited { session, model, tokens, web_searches: 0 }];
            },
            expected: &["inherited"],
        },
    ] {
        let mut book = book(vec![logged(OPUS)]);
        change(&mut book);
        let scope = if source == Source::Client { Scope::Session("s".to_owned()) } else { on("2026-11-20") };
        let section = compared(reading(source, vec![says(scope, OPUS, tokens, pico)]), &book);
        assert_eq!(keys(only(&section)), expected, "{name}");
    }
}

#[test]
fn the_same_tokens_at_the_price_of_another_time_are_a_price_date() {
    // Sonnet 5.5 until 2026-10-07: a cache read cost 0.20, since then 0.10 dollars a million.
    let mut ours = logged("claude-sonnet-5-5");
    let now = 11 * 2 + 507 * 10;
    let pico = |reads_in_hundredths: i128| {
        i128::from(now) * 1_000_000
            + 401 * 2_500_000
            + 600 * 4_000_000
            + 20_100 * reads_in_hundredths * 10_000
    };
    ours.totals.cost = Usd(pico(10));
    let book = book(vec![ours]);
    let of = |pico| {
        let says = says(on("2026-11-20"), "claude-sonnet-5-5", TOKENS, pico);
        compared(reading(Source::Api, vec![says]), &book)
    };
    assert!(!only(&of(pico(10))).differs);
    let section = of(pico(20));
    let [Cause::PriceDate(period)] = &only(&section).causes[..] else { panic!("{:#?}", section.rows) };
    assert_eq!(period, "until 2026-10-07");
    assert_eq!(keys(only(&of(pico(15)))), ["otherPrice"]);
}

#[test]
fn usage_under_another_models_name_is_told_on_both_rows() {
    let book = book(vec![logged("claude-sonnet-4-5")]);
    let theirs = says(Scope::Session("s".to_owned()), OPUS, TOKENS, COST);
    let section = compared(reading(Source::Client, vec![theirs]), &book);
    let told: Vec<_> = section.rows.iter().map(|row| (row.line.to_string(), row.causes.clone())).collect();
    let under = |model: &str| vec![Cause::OtherName(model.to_owned())];
    assert_eq!(
        told,
        [(OPUS.to_owned(), under("claude-sonnet-4-5")), ("claude-sonnet-4-5".to_owned(), under(OPUS))]
    );
}

#[test]
fn a_day_is_open_until_an_hour_behind_its_end_or_the_files_making() {
    let book = book(vec![logged(OPUS)]);
    let theirs = || reading(Source::Export, vec![says(on("2026-11-20"), OPUS, [1, 1, 0, 0, 0], 24_000_000)]);
    for (now, as_of, is_open) in [
        ("2026-11-20T12:00:00Z", None, true),
        ("2026-11-21T00:59:59.999Z", None, true),
        ("2026-11-21T01:00:00Z", None, false),
        ("2026-11-25T12:00:00Z", Some("2026-11-20T23:00:00Z"), true),
        ("2026-11-25T12:00:00Z", Some("2026-11-22T00:00:00Z"), false),
    ] {
        let request = Request { now: at(now), ..request() };
        let theirs = Reading { as_of: as_of.map(at), ..theirs() };
        let section = compared_by(theirs, &book, &request);
        assert_eq!(keys(only(&section)).contains(&"openDay"), is_open, "{now}, {as_of:?}");
    }
}

#[test]
fn rounding_of_what_they_print_is_no_difference() {
    let book = book(vec![logged(OPUS)]);
    let mut theirs = says(on("2026-11-20"), OPUS, TOKENS, 20_000_000_000);
    theirs.cost = Amount::rounded_dollars("0.02");
    assert!(!only(&compared(reading(Source::Export, vec![theirs.clone()]), &book)).differs);
    theirs.cost = Amount::rounded_dollars("0.03");
    assert_eq!(keys(only(&compared(reading(Source::Export, vec![theirs]), &book))), ["otherPrice"]);
}

#[test]
fn what_was_not_understood_is_a_difference() {
    let mut theirs = reading(Source::Export, vec![says(on("2026-11-20"), OPUS, TOKENS, COST)]);
    let book = book(vec![logged(OPUS)]);
    let differs =
        |theirs: &Reading| compare(vec![theirs.clone()], &book, &PriceTable::shipped(), &request()).differs();
    assert!(!differs(&theirs));
    theirs.not_understood("f.csv:3", "`x` is no count".to_owned());
    assert!(differs(&theirs));
}
