//! The time of the line before a reply.

use crate::domain::UnixMillis;
use crate::parse::latest_time;

fn at(second: i64) -> UnixMillis {
    UnixMillis(1_786_190_400_000 + second * 1000)
}

fn line(second: i64) -> String {
    let at = at(second).to_rfc3339();
    format!(
        r#"{{"type":"user","toolUseResult":{{"timestamp":"2001-01-01T00:00:00.000Z"}},"timestamp":"{at}","message":{{"content":"\"timestamp\":\"2002-02-02T00:00:00.000Z\""}}}}"#
    )
}

#[test]
fn the_last_line_with_a_time_of_its_own_says_when() {
    let (one, two) = (line(1), line(2));
    for (text, is_beginning, expected) in [
        (String::new(), true, None),
        (format!("{one}\n"), true, Some(at(1))),
        // Without its beginning known, the first line says nothing.
        (format!("{one}\n"), false, None),
        (format!("{one}\n{two}\n"), true, Some(at(2))),
        (format!("{one}\n{two}\n"), false, Some(at(2))),
        (format!("{two}\n{{\"type\":\"summary\",\"timestamp\":null}}\n\nno record\n"), true, Some(at(2))),
        (format!("{two}\n{one}\n"), true, Some(at(1))),
        (format!("{}\n{{\"timestamp\" : \"{}\",\t\"x\":1}}\n", one, at(3).to_rfc3339()), true, Some(at(3))),
        (format!("{one}\n{{\"timestamp\":\"yesterday\"}}\n"), true, Some(at(1))),
    ] {
        assert_eq!(latest_time(text.as_bytes(), is_beginning), expected, "{text}");
    }
}
