//! Totals in every form they are printed in, resumed and lost ones, and text that is none.

use super::*;
use proptest::prelude::*;

/// What client 2.1.330 prints, cut to what is read.
fn result(session: &str, id: &str, output: u64, cost: &str) -> String {
    format!(
        r#"{{"type":"result","subtype":"success","is_error":false,"duration_ms":475,"num_turns":1,"result":"text","session_id":"{session}","total_cost_usd":{cost},"usage":{{"input_tokens":11,"output_tokens":507}},"modelUsage":{{"claude-opus-5-5":{{"inputTokens":11,"outputTokens":{output},"cacheReadInputTokens":20100,"cacheCreationInputTokens":1001,"webSearchRequests":0,"costUSD":{cost},"contextWindow":200000,"maxOutputTokens":32000}}}},"uuid":"{id}"}}"#
    )
}

fn read(texts: &[String], clients: &[&str]) -> Reading {
    let mut all = Vec::new();
    for text in texts {
        let (printed, not_understood) = find(text, "f.json");
        assert_eq!(not_understood, [], "{text}");
        all.extend(printed);
    }
    let clients: Vec<String> = clients.iter().map(|&client| client.to_owned()).collect();
    reading(all, &BTreeMap::from([("s".to_owned(), clients)]))
}

fn outputs(reading: &Reading) -> Vec<(u64, i128)> {
    let of = |statement: &Statement| {
        (statement.counts.get(Kind::Output).unwrap(), statement.cost.unwrap().usd.0 / 1_000_000_000)
    };
    reading.statements.iter().map(of).collect()
}

#[test]
fn a_total_is_read_in_every_form_it_is_printed_in() {
    let one = result("s", "u1", 507, "0.021009");
    let init = r#"{"type":"system","subtype":"init","session_id":"s","modelUsage":"not a total"}"#;
    let other =
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"{\"total_cost_usd\":9}"}]}}"#;
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&one).unwrap()).unwrap();
    for text in [
        one.clone(),
        format!("{one}\n"),
        format!("{init}\n{other}\r\n\n{one}\n"),
        format!("[{init},{other},{one}]"),
        format!("{one}{other}"),
        pretty,
    ] {
        let reading = read(std::slice::from_ref(&text), &["2.1.330"]);
        let [statement] = &reading.statements[..] else { panic!("{text}: {reading:?}") };
        assert_eq!(statement.scope, Scope::Session("s".to_owned()));
        assert_eq!(statement.line, Line::Model("claude-opus-5-5".to_owned()));
        let counts: Vec<_> = statement.counts.entries().map(|(_, count)| count).collect();
        assert_eq!(counts, [Some(11), Some(507), Some(1001), None, None, Some(20100), Some(0)]);
        assert_eq!(statement.cost.unwrap().usd.to_string(), "0.021009");
        assert_eq!(reading.notes, [""; 0]);
    }
}

#[test]
fn a_resumed_session_counts_once_and_a_process_of_an_old_client_each_time() {
    let grown = [
        result("s", "1", 507, "0.021009"),
        result("s", "2", 1041, "0.061234"),
        result("s", "3", 1555, "0.08045"),
    ];
    assert_eq!(outputs(&read(&grown, &["2.1.330"])), [(1555, 80)]);
    // Up to 2.1.200 each process begins at 0.
    assert_eq!(outputs(&read(&grown, &["2.1.112", "2.1.200"])), [(507, 21), (1041, 61), (1555, 80)]);
    // One file twice, or the same line in two files, is one printing.
    let twice = [grown[0].clone(), grown[0].clone()];
    assert_eq!(outputs(&read(&twice, &["2.1.112"])), [(507, 21)]);
    let reading = read(&grown, &["2.1.200", "2.1.300"]);
    assert_eq!(outputs(&reading), [(1555, 80)]);
    assert!(reading.notes[0].contains("3 totals, taken for one that grew"), "{:?}", reading.notes);
}

#[test]
fn a_total_that_was_lost_begins_again_and_both_count() {
    let lost = [result("s", "1", 507, "0.02"), result("s", "2", 900, "0.03"), result("s", "3", 100, "0.01")];
    assert_eq!(outputs(&read(&lost, &["2.1.330"])), [(900, 30), (100, 10)]);
}

#[test]
fn totals_without_models_and_totals_that_do_not_add_up_are_kept_and_said() {
    let bare = r#"{"type":"result","session_id":"s","total_cost_usd":0.5}"#.to_owned();
    let reading = read(&[bare], &["1.0.128"]);
    assert_eq!((&reading.statements[0].line, reading.statements[0].counts), (&Line::All, Counts::default()));
    let wrong = result("s", "1", 507, "0.021009").replacen("0.021009", "0.03", 1);
    let reading = read(&[wrong], &["2.1.330"]);
    assert!(reading.notes[0].contains("total of $0.03 is not the $0.021009"), "{:?}", reading.notes);
}

#[test]
fn what_is_no_total_is_told_with_its_line() {
    let good = result("s", "1", 507, "0.021009");
    for (text, place, what) in [
        (format!("Loading…\n{good}"), "f.json:1", "no JSON: Loading…"),
        (format!("{good}\n\n{{\"type\":\"result\",\n"), "f.json:3", "no JSON: {\"type\":\"result\","),
        (format!("{good}\n{}", good.replace("507", "-1")), "f.json", "outputTokens is -1"),
        (format!("{good}\n{}", good.replace("507", "1.5")), "f.json", "outputTokens is 1.5"),
        (format!("{good}\n{}", good.replace("\"s\"", "null")), "f.json", "without a session_id"),
        (format!("{good}\n{}", good.replace("0.021009", "\"much\"")), "f.json", "total_cost_usd is \"much\""),
        (
            format!("{good}\n{}", good.replace("cacheRead", "cacheMoon")),
            "f.json",
            "cacheMoonInputTokens is not known",
        ),
    ] {
        let (printed, not_understood) = find(&text, "f.json");
        assert_eq!(printed.len(), 1, "{text}");
        let told = &not_understood[0];
        assert!(told.place == place && told.what.contains(what), "{text}: {not_understood:?}");
    }
}

#[test]
fn the_largest_figures_end_in_no_overflow() {
    let most = u64::MAX.to_string();
    let text = result("s", "1", 0, "79000000000000000.5").replace("20100", &most).replace("1001", &most);
    let reading = read(&[text.clone(), text.replace("\"1\"", "\"2\"")], &["2.1.112"]);
    assert_eq!(reading.statements.len(), 2);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_run_on(text in ".{0,400}", cut in 0_usize..400) {
        find(&text, "x");
        let good = result("s", "1", 507, "0.02");
        let end = cut.min(good.len());
        let mangled = format!("{}{text}\n{good}", good.get(..end).unwrap_or(&good));
        // The whole line behind whatever it was is found, unless that has swallowed its beginning.
        let (printed, not_understood) = find(&mangled, "x");
        prop_assert!(!printed.is_empty() || !not_understood.is_empty());
    }
}
