//! Text for people and spreadsheets: names made harmless, numbers grouped, dollars rounded.
//!
//! Owns: the rules of what a name from a log may do to a terminal (nothing). Refuses: floating point;
//! dollars are rounded as decimals. Cannot fail.

use crate::domain::{Usd, group_digits, is_harmful};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

/// Characters of a name that a table shows whole. Paths and models are a fraction of it.
const LONGEST_NAME: usize = 120;

/// A name without escape sequences, control characters, line separators, and characters that are
/// invisible or turn the direction of writing. Ordinary names come out as they went in.
pub(crate) fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_control_string(&mut rest),
            _ if is_harmful(next) => {}
            _ => kept.push(next),
        }
    }
    kept
}

/// What follows an escape character (ECMA-48): a control sequence, a control string or one character.
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.next() {
        Some('[') => skip_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_control_string(rest),
        _ => {}
    }
}

/// Parameters up to and with the final byte.
fn skip_control_sequence(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|next| (' '..='?').contains(next)).is_some() {}
    rest.next_if(|next| ('@'..='~').contains(next));
}

/// Everything up to the bell or the string terminator.
fn skip_control_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(next) = rest.next() {
        match next {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// A name as a table has it: one that is nothing is said to be so, and one that would fill pages has its middle
/// left out.
pub(crate) fn named(name: &str) -> String {
    if name.trim().is_empty() {
        return "(no name)".to_owned();
    }
    if name.chars().nth(LONGEST_NAME).is_none() {
        return name.to_owned();
    }
    let head: String = name.chars().take(LONGEST_NAME * 2 / 3).collect();
    let tail: Vec<char> = name.chars().rev().take(LONGEST_NAME / 4).collect();
    format!("{head}…{}", tail.into_iter().rev().collect::<String>())
}

/// Dollars for a table: two decimals, four below a cent, rounded half to even.
pub(super) fn dollars(amount: Usd) -> String {
    decimal_dollars(amount.to_decimal())
}

/// [`dollars`] of an amount that is a decimal already.
pub(super) fn decimal_dollars(amount: Decimal) -> String {
    let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
    let size = amount.abs();
    if size.is_zero() {
        return "$0.00".to_owned();
    }
    let places = if size < Decimal::new(1, 2) { 4 } else { 2 };
    let rounded = size.round_dp(places);
    if rounded.is_zero() {
        return format!("{sign}<$0.0001");
    }
    let text = if places == 4 { format!("{rounded:.4}") } else { format!("{rounded:.2}") };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "00"));
    format!("{sign}${}.{fraction}", group_digits(whole))
}

/// Letters that a spreadsheet takes for the beginning of a formula, also in their full width.
const FORMULAS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A text field that no spreadsheet takes for a formula: what begins like one gets an apostrophe. So does what
/// follows a semicolon: where lists are written with those, it is a cell of its own.
pub(crate) fn formula_safe(text: &str) -> String {
    let text = clean(text);
    let safe = |cell: &str| {
        if cell.trim_start().starts_with(FORMULAS) { format!("'{cell}") } else { cell.to_owned() }
    };
    text.split(';').map(safe).collect::<Vec<_>>().join(";")
}

/// Model names as short as they can be told apart: without `claude-`, and without the date at the
/// end unless two of the models differ in nothing else.
pub(super) fn short_models<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> BTreeMap<Arc<str>, String> {
    let names: BTreeSet<&Arc<str>> = names.into_iter().collect();
    let forms: [fn(&str) -> &str; 3] =
        [|name| without_date(without_vendor(name)), without_vendor, |name| name];
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &names {
        for form in forms.map(|form| form(name)).iter().collect::<BTreeSet<_>>() {
            *taken.entry(form).or_default() += 1;
        }
    }
    let shortest = |name: &str| {
        let unique = forms.iter().map(|form| form(name)).find(|form| taken.get(form) == Some(&1));
        unique.unwrap_or(name).to_owned()
    };
    names.into_iter().map(|name| (Arc::clone(name), shortest(name))).collect()
}

fn without_vendor(name: &str) -> &str {
    name.strip_prefix("claude-").filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn without_date(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, date))
            if date.len() == 8 && date.starts_with("20") && date.bytes().all(|b| b.is_ascii_digit()) =>
        {
            rest
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_the_terminal() {
        for (name, harmless) in [
            ("claude-opus-4", "claude-opus-4"),
            ("Füße 日本 🧑‍💻 (x) <synthetic>", "Füße 日本 🧑‍💻 (x) <synthetic>"),
            ("a\u{1b}[31;1mred\u{1b}[0m", "ared"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("\u{1b}]never ends", ""),
            ("c1\u{9b}2Jx", "c1x"),
            ("line\nbreak\r\ttab\u{0}", "linebreaktab"),
            ("abc\u{202e}cba\u{2066}\u{200b}\u{feff}", "abccba"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(clean(name), harmless, "{name:?}");
        }
    }

    #[test]
    fn a_name_that_would_fill_pages_has_its_middle_left_out() {
        let long = format!("{}{}", "é".repeat(9_000), "end");
        let short = named(&long);
        assert!(
            short.starts_with("éé") && short.ends_with("éend") && short.chars().count() <= 120,
            "{short}"
        );
        for name in ["x".repeat(120).as_str(), "claude-opus-4"] {
            assert_eq!(named(name), name);
        }
        assert_eq!(named(" \t"), "(no name)");
    }

    #[test]
    fn dollars_are_rounded_half_to_even_and_never_to_nothing() {
        for (pico, text) in [
            (0, "$0.00"),
            (125_000_000_000, "$0.12"),
            (135_000_000_000, "$0.14"),
            (1_757_225_074_070_000_000, "$1,757,225.07"),
            (999_999_000_000_000, "$1,000.00"),
            (9_999_999_999, "$0.0100"),
            (10_000_000_000, "$0.01"),
            (3_600_000_000, "$0.0036"),
            (50_000_000, "<$0.0001"),
            (1, "<$0.0001"),
            (-1_500_000_000_000, "-$1.50"),
        ] {
            assert_eq!(dollars(Usd(pico)), text, "{pico}");
        }
    }

    #[test]
    fn formulas_are_defused() {
        for (text, safe) in [
            ("=1+1", "'=1+1"),
            ("\t=1+1", "'=1+1"),
            ("-home-me", "'-home-me"),
            ("@x", "'@x"),
            ("+1", "'+1"),
            ("a=1", "a=1"),
            (" =1", "' =1"),
            ("a;=1; -1;b", "a;'=1;' -1;b"),
            ("＝1", "'＝1"),
            ("\u{200b}=1", "'=1"),
        ] {
            assert_eq!(formula_safe(text), safe);
        }
    }

    #[test]
    fn models_are_short_and_told_apart() {
        let names = [
            "claude-opus-4-20250514",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5-20260101",
            "claude-haiku-4-5",
            "haiku-4-5",
            "gpt-x",
            "claude-",
        ];
        let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        let short: Vec<String> = short_models(&names).into_values().collect();
        let expected = [
            "claude-",
            "claude-haiku-4-5",
            "opus-4",
            "sonnet-4-5-20250929",
            "sonnet-4-5-20260101",
            "gpt-x",
            "haiku-4-5",
        ];
        assert_eq!(short, expected);
    }
}
