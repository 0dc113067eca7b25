//! Nothing panics, and what was counted from a line that was damaged is what the line said.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// What may happen to the bytes of a line.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
}

pub(super) fn damage() -> impl Strategy<Value = Damage> {
    let telling = prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"\"",
        b"\\",
        b"\\ud83d",
        b"\0",
        b"\xff",
        b"{\"type\":",
        b"null",
        b"1e999",
        b"-",
        b"[[[[",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), telling).prop_map(|(at, bytes)| Damage::Insert(at, bytes.to_vec())),
        (any::<Index>(), 1_usize..200).prop_map(|(at, count)| Damage::Repeat(at, count)),
    ]
}

pub(super) fn damaged(mut line: Vec<u8>, all: &[Damage]) -> Vec<u8> {
    for one in all {
        match one {
            Damage::Set(at, byte) => {
                let at = at.index(line.len() + 1);
                line.splice(at..(at + 1).min(line.len()), [*byte]);
            }
            Damage::Remove(at, count) => {
                let at = at.index(line.len() + 1);
                line.drain(at..(at + count).min(line.len()));
            }
            Damage::Insert(at, bytes) => {
                let at = at.index(line.len() + 1);
                line.splice(at..at, bytes.iter().copied());
            }
            Damage::Repeat(at, count) => {
                let at = at.index(line.len() + 1);
                let again = line[at..(at + count).min(line.len())].to_vec();
                line.splice(at..at, again);
            }
        }
    }
    line
}

/// A line that says much.
pub(super) fn rich(glued: bool) -> Vec<u8> {
    let iterations =
        json!([{"type": "message", "output_tokens": 50}, {"type": "advisor_message", "model": "m"}]);
    let record = edited(
        plain(),
        &[
            ("/message/usage/iterations", Some(iterations)),
            ("/forkedFrom", Some(json!({"sessionId": "origin"}))),
            ("/cwd", Some(json!("/größer/\u{1f600}"))),
        ],
    );
    let account = json!({"type": "cost-state", "totalCostUSD": 0.5, "modelUsage": {"m": {"costUSD": 0.5}}});
    if glued { format!("{record}{}{account}", progress(&[])) } else { record.to_string() }.into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, notice) = read(&bytes);
        let shown = notice.map(Notice::describe);
        prop_assert!(shown.is_none_or(|words| !words.is_empty()));
        parse_unfinished(&bytes, CONTEXT, &mut |_| {});
    }

    #[test]
    fn no_damage_to_a_line_makes_it_panic_or_count_what_cannot_be(
        glued in any::<bool>(),
        all in prop::collection::vec(damage(), 1..5),
    ) {
        let bytes = damaged(rich(glued), &all);
        let (said, _) = read(&bytes);
        for statement in &said {
            if let Statement::Response(line) = statement {
                let usage = &line.usage;
                prop_assert!(usage.tokens.as_array().iter().all(|count| *count <= 200_000_000));
                prop_assert!(usage.thinking <= usage.tokens.output);
                prop_assert_eq!(line.rank.output, usage.tokens.output);
                let named = !matches!(&line.key, MessageKey::Aliases { names, .. } if names.is_empty());
                prop_assert!(named, "{:?}", line.key);
            }
        }
        let mut early = Vec::new();
        parse_unfinished(&bytes, CONTEXT, &mut |statement| early.push(statement));
        prop_assert!(said.starts_with(&early), "counted early, and not when whole: {:?}", early);
    }

    #[test]
    fn what_is_cut_off_never_counts(
        glued in any::<bool>(),
        length in any::<Index>(),
    ) {
        let whole = rich(glued);
        let (all, _) = read(&whole);
        let (said, notice) = read(&whole[..length.index(whole.len())]);
        prop_assert!(all.starts_with(&said));
        prop_assert!(said.len() < all.len());
        prop_assert!(notice.is_none_or(|notice| notice.is_loss() || notice == Notice::Glued));
    }
}
