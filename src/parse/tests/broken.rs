//! Torn, glued, padded and mis-encoded lines: what is whole is counted, what is not is reported.

use super::*;
use pretty_assertions::assert_eq;

/// A record with its keys in the order that the client writes.
fn record(first_keys: &str, id: &str, content: &str) -> String {
    format!(
        "{{{first_keys},\"isSidechain\":false,\"message\":{{\"model\":\"claude-opus-5-5\",\"id\":\"{id}\",\
         \"type\":\"message\",\"role\":\"assistant\",\"content\":[{content}],\"stop_reason\":\"end_turn\",\
         \"usage\":{{\"input_tokens\":3,\"cache_creation\":{{\"ephemeral_1h_input_tokens\":4}},\
         \"output_tokens\":8}}}},\"requestId\":\"req_1\",\"type\":\"assistant\",\"uuid\":\"{id}-u\",\
         \"timestamp\":\"2026-08-20T12:21:42.909Z\",\"sessionId\":\"s\",\"version\":\"2.1.96\"}}"
    )
}

/// The ids of the responses that a line speaks of.
fn ids(said: &[Statement]) -> Vec<&str> {
    said.iter()
        .map(|statement| match statement {
            Statement::Response(line) => match &line.key {
                MessageKey::Global(id) | MessageKey::Aliases { id, .. } => id.as_str(),
            },
            Statement::Account(_) => "account",
        })
        .collect()
}

/// Records of every shape that a line can be cut in.
fn shapes() -> Vec<(&'static str, String)> {
    let parent = "\"parentUuid\":\"p\"";
    let text = r#"{"type":"text","text":"say \"{\\\"type\\\":\" größer {} [] , : \u00e9 \\"}"#;
    let tool =
        r#"{"type":"tool_use","id":"t","name":"Bash","input":{"type":"assistant","command":"ls {a,b}"}}"#;
    let nested_progress = progress(&[]);
    let result = format!(
        "{{\"parentUuid\":null,\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":\"x\"}},\
         \"uuid\":\"u\",\"timestamp\":\"2026-08-20T12:21:42.909Z\",\"sessionId\":\"s\",\"toolUseResult\":{{\
         \"stdout\":{},\"count\":12}}}}",
        json!(record(parent, "msg_01printed", text)),
    );
    vec![
        ("text", record(parent, "msg_01cut", text)),
        ("a tool's input", record(parent, "msg_01cut", tool)),
        ("type first", record("\"type\":\"assistant\"", "msg_01cut", text)),
        ("progress", nested_progress.to_string()),
        ("a tool's result", result),
        ("summary", r#"{"type":"summary","summary":"a b","leafUuid":"u"}"#.to_owned()),
    ]
}

#[test]
fn cut_at_any_byte_and_glued_to_a_whole_record_nothing_is_counted_wrongly() {
    for first_keys in ["\"parentUuid\":\"p\"", "\"type\":\"assistant\""] {
        let whole = record(first_keys, "msg_01whole", r#"{"type":"text","text":"fine"}"#);
        let alone = read(whole.as_bytes()).0;
        for (shape, cut) in shapes() {
            for length in 0..=cut.len() {
                let line = [&cut.as_bytes()[..length], whole.as_bytes()].concat();
                let (said, notice) = read(&line);
                let what = format!("{shape}, cut at {length}, before {first_keys}");
                if length == 0 {
                    assert_eq!((&said, notice), (&alone, None), "{what}");
                } else if length == cut.len() {
                    let both = [read(cut.as_bytes()).0, alone.clone()].concat();
                    assert_eq!((&said, notice), (&both, Some(Notice::Glued)), "{what}");
                } else {
                    assert!(notice.is_some_and(Notice::is_loss), "{what}: {notice:?}");
                    let expected = if ids(&said).is_empty() { vec![] } else { alone.clone() };
                    assert_eq!(said, expected, "{what}");
                    // Only behind the result of a tool is a whole record not trusted.
                    assert!(!said.is_empty() || shape == "a tool's result", "{what}: {notice:?}");
                }
            }
        }
    }
}

#[test]
fn a_torn_record_before_two_whole_ones_costs_only_itself() {
    let parent = "\"parentUuid\":\"p\"";
    let [torn, one, two] = ["msg_01torn", "msg_01one", "msg_01two"].map(|id| record(parent, id, ""));
    let (said, notice) = read(format!("{}{one}{two}", &torn[..200]).as_bytes());
    assert_eq!((ids(&said), notice), (vec!["msg_01one", "msg_01two"], Some(Notice::TornBeforeRecord)));
    let (said, notice) = read(format!("{one}{}{two}", &torn[..200]).as_bytes());
    assert_eq!((ids(&said), notice), (vec!["msg_01one", "msg_01two"], Some(Notice::TornBeforeRecord)));
    let (said, notice) = read(format!("{one}{two}{}", &torn[..200]).as_bytes());
    assert_eq!((ids(&said), notice), (vec!["msg_01one", "msg_01two"], Some(Notice::Torn)));
}

#[test]
fn whole_records_between_torn_ones_are_all_read() {
    let parent = "\"parentUuid\":\"p\"";
    let [torn, one, two] = ["msg_01torn", "msg_01one", "msg_01two"].map(|id| record(parent, id, ""));
    for length in [1, 20, 200, torn.len() - 1] {
        let torn = &torn[..length];
        let read_of = |line: String| {
            let (said, notice) = read(line.as_bytes());
            (ids(&said).join(" "), notice)
        };
        let both = ("msg_01one msg_01two".to_owned(), Some(Notice::TornBeforeRecord));
        assert_eq!(read_of(format!("{torn}{one}{torn}{two}{torn}")), both, "cut at {length}");
        assert_eq!(read_of(format!("{torn}{one}\0\0{torn}{two}")), both, "cut at {length}, padded");
        let first = ("msg_01one".to_owned(), Some(Notice::TornBeforeRecord));
        assert_eq!(read_of(format!("{torn}{one}{torn}")), first, "cut at {length}");
        let nested = format!("{{\"type\":\"progress\",\"data\":{{\"message\":{one}}},\"uui");
        assert_eq!(read_of(nested), (String::new(), Some(Notice::Torn)), "nothing begins behind it");
    }
}

#[test]
fn a_record_inside_a_record_that_was_cut_off_is_no_record() {
    let printed = record("\"parentUuid\":\"p\"", "msg_01printed", "");
    let result = |end: &str| {
        format!(
            "{{\"parentUuid\":null,\"type\":\"user\",\"uuid\":\"u\",\"sessionId\":\"s\",\"toolUseResult\":\
             {{\"records\":[{printed}{end}"
        )
    };
    for end in ["", ",", "]", "]}"] {
        assert_eq!(read(result(end).as_bytes()), (vec![], Some(Notice::Torn)), "cut behind {end:?}");
    }
    assert_eq!(read(result("]}}").as_bytes()), (vec![], None), "and whole it says nothing");
    let whole = record("\"parentUuid\":\"p\"", "msg_01whole", "");
    for end in ["", ",", "]", "]}"] {
        let (said, notice) = read(format!("{}{whole}", result(end)).as_bytes());
        assert!(notice.is_some_and(Notice::is_loss), "cut behind {end:?}: {notice:?}");
        assert!(!ids(&said).contains(&"msg_01printed"), "cut behind {end:?}: {:?}", ids(&said));
    }
}

#[test]
fn a_record_behind_one_that_was_cut_off_behind_a_tools_result_is_read() {
    let whole = record("\"parentUuid\":\"p\"", "msg_01whole", "");
    let printed = record("\"parentUuid\":\"p\"", "msg_01printed", "");
    let start = "{\"parentUuid\":null,\"type\":\"user\",\"toolUseResult\"";
    for result in ["\"x\"", "{\"stdout\":\"x\"}", &format!("[{printed}]"), " 1", "null"] {
        for end in [",\"uuid\":", ",\"a\":[", ",\"a\":{\"b\":"] {
            let line = format!("{start}: {result}{end}{whole}");
            let (said, notice) = read(line.as_bytes());
            let told = (ids(&said), notice);
            assert_eq!(told, (vec!["msg_01whole"], Some(Notice::TornBeforeRecord)), "{result}{end}");
        }
    }
    // In the middle of the result nobody knows whose it is: it is told of as lost.
    for inside in [":", ":{\"stdout\":", ":[1,"] {
        let (said, notice) = read(format!("{start}{inside}{whole}").as_bytes());
        assert_eq!((ids(&said), notice), (vec![], Some(Notice::Torn)), "{inside}");
    }
    let many = "\"toolUseResult\":1,".repeat(9);
    let (said, notice) = read(format!("{{{many}\"a\":{whole}").as_bytes());
    assert_eq!((ids(&said), notice), (vec![], Some(Notice::Torn)), "no record has so many");
}

#[test]
fn one_broken_line_costs_a_bounded_number_of_tries() {
    let open = "{\"type\":";
    let mut endless = open.repeat(40_000);
    endless.push_str("\"usage\"");
    assert_eq!(read(endless.as_bytes()), (vec![], Some(Notice::Torn)));
    let whole = record("\"parentUuid\":\"p\"", "msg_01whole", "");
    let found_behind = |starts: usize| {
        let (said, notice) = read(format!("{}{whole}", open.repeat(starts)).as_bytes());
        (ids(&said).len(), notice)
    };
    assert_eq!(found_behind(60), (1, Some(Notice::TornBeforeRecord)), "deeper than any record nests");
    assert_eq!(found_behind(70), (0, Some(Notice::Torn)), "and not tried for ever");
}

#[test]
fn a_record_behind_a_torn_one_with_many_blocks_is_found() {
    let blocks = "{\"type\":\"text\",\"text\":\"a b c\"},".repeat(100_000);
    let torn = format!("{{\"type\":\"user\",\"message\":{{\"content\":[{blocks}{{\"type\":\"te");
    let whole = record("\"parentUuid\":\"p\"", "msg_01whole", "");
    let (said, notice) = read(format!("{torn}{whole}").as_bytes());
    assert_eq!((ids(&said), notice), (vec!["msg_01whole"], Some(Notice::TornBeforeRecord)));
    assert_eq!(read(torn.as_bytes()), (vec![], Some(Notice::Torn)));
}

#[test]
fn a_line_that_ends_too_soon_says_nothing_and_is_reported() {
    for (shape, cut) in shapes() {
        for length in 1..cut.len() {
            let (said, notice) = read(&cut.as_bytes()[..length]);
            assert_eq!((said, notice), (vec![], Some(Notice::Torn)), "{shape}, cut at {length}");
        }
    }
}

#[test]
fn the_end_of_a_record_without_its_beginning_is_reported() {
    for (shape, cut) in shapes() {
        let whole = read(cut.as_bytes()).0;
        for start in 1..cut.len() {
            let (said, notice) = read(&cut.as_bytes()[start..]);
            let what = format!("{shape}, from {start}");
            // The record in a progress record may be whole still: it counts under its own id.
            assert!(
                said.is_empty() || (shape == "progress" && ids(&said) == ids(&whole)),
                "{what}: {said:?}"
            );
            assert!(notice.is_some_and(Notice::is_loss), "{what}: {notice:?}");
        }
    }
}

#[test]
fn an_unfinished_line_says_what_it_will_say_when_it_is_whole() {
    let parent = "\"parentUuid\":\"p\"";
    let [one, two] = ["msg_01one", "msg_01two"].map(|id| record(parent, id, ""));
    let line = format!("{one}{two}");
    let whole = read(line.as_bytes()).0;
    for length in 0..=line.len() {
        let mut said = Vec::new();
        parse_unfinished(&line.as_bytes()[..length], CONTEXT, &mut |statement| said.push(statement));
        let count = usize::from(length >= one.len()) + usize::from(length == line.len());
        assert_eq!(said, whole[..count], "{length} bytes");
    }
}

#[test]
fn lines_that_are_odd_on_the_outside_are_read() {
    let one = record("\"parentUuid\":\"p\"", "msg_01one", "");
    let cases = [
        (format!("{one}\r"), 1, None),
        (format!("  \t{one} "), 1, None),
        (format!("\u{feff}{one}"), 1, None),
        (format!("\0\0{one}"), 1, Some(Notice::Repaired)),
        (format!("{one}\0\0\0"), 1, Some(Notice::Repaired)),
        (format!("{one}{one}"), 2, Some(Notice::Glued)),
        (format!("{one} {one}"), 2, Some(Notice::Glued)),
        (format!("{one}{{}}"), 1, Some(Notice::Glued)),
        (String::new(), 0, None),
        (" \r".to_owned(), 0, None),
        ("\0\0\0\0".to_owned(), 0, None),
        ("null".to_owned(), 0, None),
        ("[1,2]".to_owned(), 0, None),
        ("not json".to_owned(), 0, Some(Notice::Malformed)),
        ("{not json}".to_owned(), 0, Some(Notice::Torn)),
        ("}".to_owned(), 0, Some(Notice::Malformed)),
        (format!("{one}}}"), 1, Some(Notice::Malformed)),
        (format!("{one}\0{one}"), 2, Some(Notice::TornBeforeRecord)),
        (format!("<<<<<<< HEAD{one}"), 1, Some(Notice::TornBeforeRecord)),
    ];
    for (line, count, notice) in cases {
        let (said, found) = read(line.as_bytes());
        assert_eq!((said.len(), found), (count, notice), "{line}");
    }
}

#[test]
fn text_that_is_not_utf_8_costs_nothing() {
    let expected = read(plain().to_string().as_bytes()).0;
    let text = plain().to_string();
    let at = text.find("hello").unwrap();
    let (before, behind) = text.split_at(at);
    let cases: [&[u8]; 8] = [
        b"\xff\xfe",
        br"\ud83d\ude00",
        br"\ud83d",
        br"\ude00",
        br"\ude00\ud83d",
        br"\ud83d\ud83d\ude00",
        br"\\ud83d",
        br"\u00e9\n\\",
    ];
    for inside in cases {
        let (said, notice) = read(&[before.as_bytes(), inside, behind.as_bytes()].concat());
        assert_eq!(said, expected, "{}", String::from_utf8_lossy(inside));
        assert!(matches!(notice, None | Some(Notice::Repaired)), "{notice:?}");
    }
}

#[test]
fn a_field_that_is_read_is_read_mended() {
    let mended = |folder: &[u8]| {
        let text = plain().to_string();
        let (before, behind) = text.split_once("/home/dev/project").unwrap();
        let (said, notice) = read(&[before.as_bytes(), folder, behind.as_bytes()].concat());
        let [Statement::Response(line)] = &said[..] else { panic!("{said:?} {notice:?}") };
        (line.cwd.clone().unwrap(), notice)
    };
    let cases: [(&[u8], &str, Option<Notice>); 9] = [
        (b"/a", "/a", None),
        (br"/\ud83d\ude00", "/\u{1f600}", None),
        (b"/\xff", "/\u{fffd}", Some(Notice::Repaired)),
        (br"/\ud83d", "/\u{fffd}", Some(Notice::Repaired)),
        (br"/\ud83d!", "/\u{fffd}!", Some(Notice::Repaired)),
        (br"/\uDE00\uD83D", "/\u{fffd}\u{fffd}", Some(Notice::Repaired)),
        (br"/\ud83d\ud83d\ude00", "/\u{fffd}\u{1f600}", Some(Notice::Repaired)),
        (br"/\\ud83d\ud83d", "/\\ud83d\u{fffd}", Some(Notice::Repaired)),
        (br"/\ud83d\\ude00", "/\u{fffd}\\ude00", Some(Notice::Repaired)),
    ];
    for (folder, expected, notice) in cases {
        assert_eq!(mended(folder), (expected.to_owned(), notice), "{}", String::from_utf8_lossy(folder));
    }
}

#[test]
fn mended_text_does_not_hide_that_a_line_is_torn() {
    let broken = edited(plain(), &[("/message/id", Some(json!("msg_01first")))]).to_string();
    let broken = broken.replace("/home/dev", r"\ud83d");
    let whole = record("\"parentUuid\":\"p\"", "msg_01whole", "");
    let (said, notice) = read(format!("{broken}{}{whole}", &whole[..100]).as_bytes());
    assert_eq!((ids(&said), notice), (vec!["msg_01first", "msg_01whole"], Some(Notice::TornBeforeRecord)));
    let (said, notice) = read(format!("{broken}{}", &whole[..100]).as_bytes());
    assert_eq!((ids(&said), notice), (vec!["msg_01first"], Some(Notice::Torn)));
}

#[test]
fn every_notice_has_a_name_and_words_of_its_own() {
    let all = [
        (Notice::Glued, "glued", false),
        (Notice::TornBeforeRecord, "torn-before-record", true),
        (Notice::Torn, "torn", true),
        (Notice::Malformed, "malformed", true),
        (Notice::Repaired, "repaired", false),
        (Notice::Implausible, "implausible", true),
    ];
    let words: std::collections::BTreeSet<_> = all.iter().map(|(notice, ..)| notice.describe()).collect();
    assert_eq!(words.len(), all.len());
    for (notice, name, is_loss) in all {
        assert_eq!((notice.name(), notice.is_loss()), (name, is_loss));
    }
}
