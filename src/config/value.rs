//! The texts and numbers that settings are written in, to typed values. Pure; `None` for what is not
//! allowed, and beside each function the words that say what is.

use crate::domain::iana_zone;
use chrono::Weekday;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What [`switch`] accepts, in words.
pub(super) const SWITCH: &str = "true or false (also 1/0, yes/no, on/off)";

/// What [`weekday`] accepts, in words.
pub(super) const WEEKDAY: &str = "sunday, monday, tuesday, wednesday, thursday, friday or saturday";

/// What [`time_zone`] accepts, in words.
pub(super) const TIME_ZONE: &str = "UTC, local or an IANA name such as Europe/Berlin";

/// Smallest and largest `tail.max_line_bytes`.
pub(super) const LINE_BYTES: (usize, usize) = (64 * 1024, 256 * 1024 * 1024);

/// Largest number of seconds that is taken: a day.
pub(super) const MAX_SECONDS: u64 = 86_400;

/// A switch as the environment has it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A day of the week by its English name or its first three letters.
pub fn weekday(text: &str) -> Option<Weekday> {
    text.parse().ok()
}

/// A time zone that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ZoneName {
    /// The machine's own.
    Local,
    /// An IANA name that exists.
    Iana(String),
}

impl ZoneName {
    /// The name, of a zone other than the machine's own.
    pub(super) fn iana(self) -> Option<String> {
        match self {
            Self::Local => None,
            Self::Iana(name) => Some(name),
        }
    }
}

/// The name of a time zone, checked.
pub(super) fn time_zone(text: &str) -> Option<ZoneName> {
    let name = text.trim();
    if name.eq_ignore_ascii_case("local") {
        return Some(ZoneName::Local);
    }
    let name = if name.eq_ignore_ascii_case("utc") { "UTC" } else { name };
    iana_zone(name).map(|(name, _)| ZoneName::Iana(name.to_owned()))
}

/// What [`listen`] accepts, in words.
pub(super) const LISTEN: &str =
    "an address with a port such as 127.0.0.1:9464 or [::]:9464, a port alone (of this machine), or off";

/// Where the listener is asked to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

impl Listen {
    /// The address, where there is one.
    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

/// Where to listen. A name is not looked up: which of its addresses is meant, and when, nobody could say.
pub(super) fn listen(text: &str) -> Option<Listen> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("off") {
        return Some(Listen::Off);
    }
    let address = match text.parse::<u16>() {
        Ok(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Err(_) => text.parse().ok()?,
    };
    Some(Listen::At(address))
}

/// What [`listen_loopback`] accepts, in words.
pub(super) const LISTEN_LOOPBACK: &str = "a loopback address with a port such as 127.0.0.1:4318 or [::1]:4318, a port alone, or off (whoever \
     reaches it could make usage up)";

/// The same on this machine alone.
pub(super) fn listen_loopback(text: &str) -> Option<Listen> {
    listen(text).filter(|listen| listen.address().is_none_or(|address| address.ip().is_loopback()))
}

/// Whole seconds from one to a day.
pub(super) fn seconds(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().filter(|count| (1..=MAX_SECONDS).contains(count)).map(Duration::from_secs)
}

/// The longest line that is read.
pub(super) fn line_bytes(number: i64) -> Option<usize> {
    usize::try_from(number).ok().filter(|count| (LINE_BYTES.0..=LINE_BYTES.1).contains(count))
}

/// A text in which no key of Supabase or Anthropic can be read: stars stand for the letters of each word that looks like
/// one, so that lengths and places stay.
pub(super) fn hide_keys(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(is_of_word).unwrap_or(rest.len());
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_of_word(c)).unwrap_or(from.len()));
        shown.push_str(before);
        shown.push_str(&if word.split('.').any(looks_like_key) {
            "*".repeat(word.len())
        } else {
            word.to_owned()
        });
        rest = after;
    }
    shown
}

/// True for what begins as keys and tokens of Supabase and Anthropic do: `sb_secret_…`, `sbp_…`, a JWT, `sk-ant-…`. Case is no matter: it is
/// what a slip of the hand changes, and the rest would still be the key.
pub(super) fn looks_like_key(word: &str) -> bool {
    let begins_as =
        |prefix: &str| word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    ["sb_", "sbp_", "eyJ", "sk-ant-"].into_iter().any(begins_as)
}

/// The candidate that looks most like `text`, if any looks like it at all: a key may be written without
/// its table, and two letters in five may be wrong (two swapped ones count as two).
pub(super) fn nearest(text: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let tail = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    candidates
        .iter()
        .map(|&candidate| {
            let whole = distance(text, candidate);
            (whole.min(distance(&tail(text), &tail(candidate))), whole, candidate)
        })
        .min()
        .filter(|(edits, _, candidate)| {
            edits.saturating_mul(5) <= tail(candidate).chars().count().saturating_mul(2)
        })
        .map(|(_, _, candidate)| candidate)
}

/// Letters to insert, delete or replace to get from one text to the other (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut beside = index + 1;
        let mut next = vec![beside];
        for (pair, right) in row.windows(2).zip(to.chars()) {
            let [diagonal, above] = *pair else { continue };
            beside = (diagonal + usize::from(left != right)).min(above + 1).min(beside + 1);
            next.push(beside);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_an_address_or_is_off() {
        for (text, address) in [
            ("off", None),
            (" ", None),
            ("9464", Some("127.0.0.1:9464")),
            ("[::]:9464", Some("[::]:9464")),
            (" 0.0.0.0:1 ", Some("0.0.0.0:1")),
        ] {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(listen(text).unwrap().address(), expected, "{text}");
        }
        for text in ["localhost:9464", "127.0.0.1", "99999", "true", ":9464"] {
            assert_eq!(listen(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_told_is_received_on_this_machine_alone() {
        for (text, address) in [("off", None), ("4318", Some("127.0.0.1:4318")), ("[::1]:1", Some("[::1]:1"))]
        {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(listen_loopback(text).unwrap().address(), expected, "{text}");
        }
        for text in ["0.0.0.0:4318", "[::]:4318", "10.0.0.1:4318", "localhost:4318"] {
            assert_eq!(listen_loopback(text), None, "{text}");
        }
    }

    #[test]
    fn distances() {
        for (from, to, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("log", "log", 0),
            ("äb", "ab", 1),
        ] {
            assert_eq!(distance(from, to), edits, "{from} to {to}");
        }
    }

    #[test]
    fn the_nearest_key_is_near() {
        for (text, found) in [
            ("log.levle", Some("log.level")),
            ("level", Some("log.level")),
            ("claude_dir", Some("claude_dirs")),
            ("follow.pol_seconds", Some("follow.poll_seconds")),
            ("tail.rescan_seconds", Some("follow.rescan_seconds")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(text, &super::super::KEYS), found, "{text}");
        }
    }

    #[test]
    fn keys_are_hidden_in_place() {
        for (text, shown) in [
            ("key = sb_secret_abc\n", "key = *************\n"),
            ("\"eyJhbGciOi.eyJz.x-y_z\" é", "\"*********************\" é"),
            ("key=sb_x", "key=****"),
            ("Sb_Secret_x EYJx", "*********** ****"),
            ("k: sk-ant-admin01-x_y", "k: ******************"),
            ("é1 eyé", "é1 eyé"),
            ("url = \"https://a.b\"", "url = \"https://a.b\""),
            ("", ""),
        ] {
            assert_eq!(hide_keys(text), shown);
        }
    }

    #[test]
    fn switches_weekdays_zones_and_numbers() {
        assert_eq!(["true", "1", "YES", " on "].map(switch), [Some(true); 4]);
        assert_eq!(["false", "0", "No", "off"].map(switch), [Some(false); 4]);
        assert_eq!(["", "2", "maybe", "tru"].map(switch), [None; 4]);
        assert_eq!(
            ["monday", "Mon", "SUNDAY"].map(weekday),
            [Some(Weekday::Mon), Some(Weekday::Mon), Some(Weekday::Sun)]
        );
        assert_eq!(["", "mo", "montag", "1"].map(weekday), [None; 4]);
        assert_eq!(time_zone("Asia/Kathmandu"), Some(ZoneName::Iana("Asia/Kathmandu".to_owned())));
        assert_eq!(time_zone("utc"), Some(ZoneName::Iana("UTC".to_owned())));
        assert_eq!(time_zone("Local"), Some(ZoneName::Local));
        assert_eq!(["", "Berlin", "+02:00", "europe/berlin"].map(time_zone), [None, None, None, None]);
        assert_eq!([0, -1, 86_401, i64::MAX].map(seconds), [None; 4]);
        assert_eq!(seconds(86_400), Some(Duration::from_hours(24)));
        assert_eq!([65_535, 268_435_457, -1].map(line_bytes), [None; 3]);
        assert_eq!([65_536, 268_435_456].map(line_bytes), [Some(65_536), Some(268_435_456)]);
    }
}
