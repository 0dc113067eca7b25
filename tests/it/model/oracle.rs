//! What a ledger must hold: the union of all lines in all versions of the logs that were there at a pass,
//! each response with its best line.
//!
//! Two sets: lines that were surely seen, and lines that may have been (a pass was cut short or raced, or
//! the one documented blind spot). As long as the second adds nothing to a response, it must be exactly
//! what the first makes it.

use super::record::{Book, Spoken};
use super::world::Found;
use crate::truth::{MODELS, Said, Sum};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What the fingerprints cover at either end, by ARCHITECTURE.md.
const FINGERPRINT: usize = 1024;

/// What is counted of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) said: Said,
    pub(super) is_final: bool,
    /// Picodollars.
    pub(super) cost: u64,
}

/// Sums by session, quarter hour since 1970 and model.
pub(super) type Cells = BTreeMap<(String, i64, &'static str), Sum>;

pub(super) fn cells<'a>(counted: impl Iterator<Item = &'a Counted>) -> Cells {
    let mut cells = Cells::new();
    for Counted { said, .. } in counted {
        let key = (said.session.clone(), said.at.div_euclid(900_000), MODELS[said.model].name);
        cells.entry(key).or_default().add(said);
    }
    cells
}

#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    seen: BTreeMap<String, BTreeSet<Spoken>>,
    maybe: BTreeMap<String, BTreeSet<Spoken>>,
    /// Every content that was ever read under an inode number.
    versions: BTreeMap<u64, BTreeSet<Rc<[u8]>>>,
    /// Passes in which a change lay in the blind spot.
    pub(super) blind: u64,
}

impl Oracle {
    /// A pass took in everything that there is.
    pub(super) fn see(&mut self, book: &Book, logs: &[Found]) {
        for found in logs {
            let hidden = self.blind_until(found);
            self.blind += u64::from(hidden.is_some());
            for (offset, spoken) in book.read_file(&found.bytes) {
                let unseen = hidden.as_ref().is_some_and(|hidden| hidden.contains(&offset));
                let heard = if unseen { &mut self.maybe } else { &mut self.seen };
                hear(heard, spoken);
            }
        }
        self.remember(logs);
    }

    /// A pass may have taken in any of it.
    pub(super) fn see_perhaps(&mut self, book: &Book, logs: &[Found]) {
        for found in logs {
            book.read_file(&found.bytes).into_iter().for_each(|(_, spoken)| hear(&mut self.maybe, spoken));
        }
        self.remember(logs);
    }

    fn remember(&mut self, logs: &[Found]) {
        for Found { inode, bytes, .. } in logs {
            self.versions.entry(*inode).or_default().insert(bytes.as_slice().into());
        }
    }

    /// The documented blind spot: the file has grown since it was read, is as it was at both ends of what
    /// was read, and another in between. Offsets of the lines that are others.
    fn blind_until(&self, found: &Found) -> Option<BTreeSet<usize>> {
        let now = &found.bytes;
        let mut hidden = BTreeSet::new();
        for before in self.versions.get(&found.inode).into_iter().flatten() {
            let end = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let window = end.min(FINGERPRINT);
            let is_like = now.len() > before.len()
                && now[..window] == before[..window]
                && now[end - window..end] == before[end - window..end];
            if is_like && now[..end] != before[..end] {
                let lines = now[..end].split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
                    *at += line.len();
                    Some(*at - line.len()..*at)
                });
                hidden
                    .extend(lines.filter(|line| now[line.clone()] != before[line.clone()]).map(|l| l.start));
            }
        }
        (!hidden.is_empty()).then_some(hidden)
    }

    /// Says what is wrong with what was counted, if anything is.
    pub(super) fn check(&self, counted: &BTreeMap<String, Counted>) -> Result<(), String> {
        if let Some((message, lines)) = self.seen.iter().find(|(message, _)| !counted.contains_key(*message))
        {
            return Err(format!("{message} is lost; its lines: {lines:#?}"));
        }
        for (message, counted) in counted {
            self.check_one(message, counted)?;
        }
        Ok(())
    }

    fn check_one(&self, message: &str, counted: &Counted) -> Result<(), String> {
        let none = BTreeSet::new();
        let seen = self.seen.get(message).unwrap_or(&none);
        let all: BTreeSet<&Spoken> = seen.iter().chain(self.maybe.get(message).unwrap_or(&none)).collect();
        let tell = |what: &str| Err(format!("{message}: {what}\ncounted: {counted:#?}\nlines: {all:#?}"));
        if all.is_empty() {
            return tell("nobody ever spoke of it");
        }
        let expected = winner(&all);
        if all.len() == seen.len() {
            return if *counted == expected { Ok(()) } else { tell(&format!("must be {expected:#?}")) };
        }
        // Some lines may have been missed: then it is a mixture of what was seen with some of them.
        let fits = |pick: fn(&Spoken, &Counted) -> bool| all.iter().any(|spoken| pick(spoken, counted));
        let is_a_line = fits(|spoken, counted| {
            (spoken.said.tokens, spoken.said.model) == (counted.said.tokens, counted.said.model)
        });
        let has_a_place = fits(|spoken, counted| spoken.said.session == counted.said.session)
            && fits(|spoken, counted| spoken.said.at == counted.said.at);
        let surely = (!seen.is_empty()).then(|| winner(&seen.iter().collect()));
        let lost = surely.is_some_and(|least| {
            counted.said.tokens[1] < least.said.tokens[1]
                || counted.said.at > least.said.at
                || (least.is_final && !counted.is_final)
        });
        let in_bounds = counted.said.tokens[1] <= expected.said.tokens[1]
            && counted.said.at >= expected.said.at
            && counted.cost == cost(&counted.said);
        if is_a_line && has_a_place && in_bounds && !lost { Ok(()) } else { tell("fits no choice of lines") }
    }
}

fn hear(heard: &mut BTreeMap<String, BTreeSet<Spoken>>, spoken: Vec<Spoken>) {
    for spoken in spoken {
        heard.entry(spoken.said.message.clone()).or_default().insert(spoken);
    }
}

fn cost(said: &Said) -> u64 {
    said.tokens.iter().zip(MODELS[said.model].price).map(|(count, price)| count * price).sum()
}

/// Rules 4, 6, 7 and 8 of docs/counting.md over at least one line.
fn winner(lines: &BTreeSet<&Spoken>) -> Counted {
    let best = lines.iter().max_by_key(|line| {
        let Said { tokens, at, model, .. } = &line.said;
        (tokens[1], line.main_chain, line.stopped, *at, *tokens, MODELS[*model].name)
    });
    let payer = lines.iter().min_by_key(|line| (line.copied, line.said.at, &line.said.session));
    let (Some(best), Some(payer)) = (best, payer) else { unreachable!("a response has a line") };
    let said = Said {
        at: lines.iter().map(|line| line.said.at).min().unwrap_or_default(),
        session: payer.said.session.clone(),
        ..best.said.clone()
    };
    Counted { cost: cost(&said), said, is_final: lines.iter().any(|line| line.stopped) }
}
