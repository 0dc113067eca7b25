//! Exports as readers of the Console's files know them, spelled in several ways, and rows that cannot be read.

use super::*;
use crate::domain::Usd;
use proptest::prelude::*;

const USAGE: &str = "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed";
const COST: &str = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed,api_key_id,api_key_status";

fn read(text: &str) -> Reading {
    assert!(is_export(text), "{text}");
    reading(text, "f.csv").unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn day_of(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn an_export_of_usage_is_read() {
    let text = format!(
        "\u{feff}{USAGE}\r\n2026-11-20,claude-opus-5-5,\"key, mine\",Default,standard,≤ 200k,11,401,600,20100,507,2,global,\r\n"
    );
    let reading = read(&text);
    let [statement] = &reading.statements[..] else { panic!("{reading:?}") };
    assert_eq!(statement.scope, Scope::Day(day_of("2026-11-20")));
    assert_eq!(statement.line, Line::Model("claude-opus-5-5".to_owned()));
    let counts: Vec<_> = statement.counts.entries().map(|(_, count)| count.unwrap()).collect();
    assert_eq!(counts, [11, 507, 1001, 401, 600, 20100, 2]);
    assert_eq!((statement.cost, reading.billed, reading.kinds.len()), (None, None, 7));
    assert!(reading.counted.unwrap().has(day_of("2026-11-20")));
    assert_eq!(reading.not_understood, []);
}

#[test]
fn an_export_of_cost_is_read() {
    let text = format!(
        "{COST}\n\
         2026-11-20,Claude Opus 5.5,Default,k,message,≤ 200k,output,0.01,0.01,token,global,,apikey_01,active\n\
         2026-11-20,,Default,k,message,,,0.02,0.02,web_search,,,apikey_01,active\n\
         2026-11-20,Claude Opus 5.5,Default,k,message,,,1.5,1.5,code_execution,,,apikey_01,active\n"
    );
    let reading = read(&text);
    let lines: Vec<_> = reading.statements.iter().map(|statement| statement.line.clone()).collect();
    assert_eq!(
        lines,
        [
            Line::Model("Claude Opus 5.5".to_owned()),
            Line::WebSearch,
            Line::Other("Claude Opus 5.5, code_execution".to_owned())
        ]
    );
    let first = reading.statements[0].cost.unwrap();
    assert_eq!((first.usd, first.slack), (Usd(10_000_000_000), Usd(5_000_000_000)));
    assert!(reading.counted.is_none() && reading.billed.is_some() && reading.kinds.is_empty());
    assert_eq!(reading.not_understood, []);
}

#[test]
fn spelling_and_separators_may_vary() {
    for (text, output) in [
        (
            "Usage Date (UTC)\tModel\tInput Tokens\tOutput Tokens\n2026/9/1\tclaude-sonnet-5-5\t1,000\t40\n",
            40,
        ),
        ("Date;Model;Output Tokens\n2026-09-01T13:00:00Z;claude-sonnet-5-5;4,000\n", 4000),
        ("\n\"usage_date_utc\",\"usage_output_tokens\"\n2026-09-01 13:00,7\n2026-09-02,\n", 7),
        ("usage_date_utc,usage_output_tokens\n2026-09-01,1.2e1\n", 12),
    ] {
        let reading = read(text);
        assert_eq!(reading.statements[0].counts.get(Kind::Output), Some(output), "{text}");
        assert_eq!(reading.statements[0].scope, Scope::Day(day_of("2026-09-01")));
        assert_eq!(reading.not_understood, [], "{text}");
    }
}

#[test]
fn what_is_not_understood_is_told_with_its_line_and_the_rest_is_read() {
    for (row, what) in [
        ("2026-11-31,m,1", "`2026-11-31` is no day"),
        ("yesterday,m,1", "`yesterday` is no day"),
        ("2026-11-20-1,m,1", "is no day"),
        ("26-11-20,m,1", "is no day"),
        (",m,1", "`` is no day"),
        ("2026-11-20,m,-1", "`-1` is no count"),
        ("2026-11-20,m,1.5", "`1.5` is no count"),
        ("2026-11-20,m,\"12,34\"", "`12,34` is no count"),
        ("2026-11-20,m,NaN", "`NaN` is no count"),
        ("2026-11-20,m", "2 fields where there are 3 columns"),
        ("2026-11-20,m,1,2", "4 fields where there are 3 columns"),
    ] {
        let reading = read(&format!("date,model,output_tokens\n2026-11-20,m,5\n{row}\n2026-11-21,m,6\n"));
        assert_eq!(reading.statements.len(), 2, "{row}");
        let [told] = &reading.not_understood[..] else { panic!("{row}: {:?}", reading.not_understood) };
        assert_eq!(told.place, "f.csv:3");
        assert!(told.what.contains(what), "{row}: {}", told.what);
    }
    let reading =
        read("date,model,output_tokens,usage_input_tokens_cache_write_24h,notes\n2026-11-20,m,5,9,x\n");
    let [told] = &reading.not_understood[..] else { panic!("{:?}", reading.not_understood) };
    assert_eq!(told.what, "the column `usage_input_tokens_cache_write_24h` is not known");
    for text in ["date,cost_usd\n2026-11-20,much\n", "date,cost_usd\n2026-11-20,\"1,00\"\n"] {
        assert!(read(text).not_understood[0].what.contains("is no amount"), "{text}");
    }
}

#[test]
fn what_is_no_export_is_refused() {
    for text in ["", "a,b\n1,2\n", "{\"type\":\"result\"}", "%PDF-1.7\n"] {
        assert!(!is_export(text), "{text}");
    }
    let refused = reading("date,model,colour\n2026-11-20,m,blue\n", "f.csv");
    let expected = ReadError::Columns { name: "f.csv".to_owned(), found: "date, model, colour".to_owned() };
    assert_eq!(refused, Err(expected));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_no_row_is_lost_in_silence(rows in proptest::collection::vec("[^\r\n\"]{1,60}", 0..20)) {
        let text = format!("date,model,output_tokens\n{}\n", rows.join("\n"));
        let reading = reading(&text, "x").unwrap();
        prop_assert_eq!(reading.statements.len() + reading.not_understood.len(), rows.len());
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in "(?s).{0,300}") {
        let _ = is_export(&text);
        let _ = reading(&format!("date,cost\n{text}"), "x");
    }
}
