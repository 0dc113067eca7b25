//! What must hold after every action, whatever was damaged, and in the end, when everything is read and sent.

use super::counted::{Counted, Value};
use super::lines::{Known, SESSIONS, account, fullness, merge, session_name, session_of, sum};
use super::world::{Outcome, State, World};
use crate::remote::exact::server_account;
use crate::truth::{Account, Sum, timestamp};
use std::collections::BTreeMap;
use tallyd::domain::Revision;
use tallyd::ledger::{LedgerReader, Losses};

/// A session's row: the revision, responses, and five kinds of tokens.
pub(super) type Row = (u64, u64, [u64; 5]);

/// Whether a row is this value.
pub(super) fn is_row(session: u8, (revision, known): &Value, row: &Row) -> bool {
    let Sum { messages, tokens, .. } = sum(session, known);
    *row == (Revision::new(1, *revision, 0).number(), messages, tokens)
}

/// What a row says, as a sum.
fn sum_of((_, messages, tokens): &Row) -> Sum {
    Sum { messages: *messages, tokens: *tokens, ..Sum::default() }
}

impl World {
    /// The server's rows.
    pub(super) fn rows(&mut self) -> Result<BTreeMap<u8, Row>, String> {
        let query = "select session_id, revision, message_count, input_tokens, output_tokens,
            cache_creation_tokens - cache_creation_1h_tokens, cache_creation_1h_tokens, cache_read_tokens
            from token_usage_sessions where user_id::text = $1";
        let rows = self.client.query(query, &[&self.user]).expect("rows can be read");
        let read = |row: &postgres::Row| {
            let name: String = row.get(0);
            let session = session_of(&name).ok_or_else(|| format!("a session that nobody has: {name:?}"))?;
            let count = |column| u64::try_from(row.get::<_, i64>(column)).expect("counts are not negative");
            Ok((session, (count(1), count(2), [3, 4, 5, 6, 7].map(count))))
        };
        rows.iter().map(read).collect()
    }

    /// What the ledger counts: by day, session and model.
    pub(super) fn ledger_says(&self) -> Result<Account, String> {
        let failed = |error| format!("the ledger cannot be read: {error:?}");
        let reader = LedgerReader::open(&self.state_folder()).map_err(failed)?;
        let sessions = reader.sessions().map_err(failed)?;
        let models: BTreeMap<_, _> = reader.models().map_err(failed)?.into_iter().collect();
        let mut account = Account::default();
        for cell in reader.cells(None, None).map_err(failed)? {
            let name = sessions.iter().find(|info| info.key == cell.session).map(|info| info.id.clone());
            let day = timestamp(cell.quarter.start().0)[..10].to_owned();
            let model = models.get(&cell.model).cloned().unwrap_or_default();
            let totals = cell.totals;
            let tokens = totals.tokens;
            let sums = [
                account.days.entry(day).or_default(),
                account.sessions.entry(name.unwrap_or_default()).or_default(),
                account.models.entry(model).or_default(),
            ];
            for sum in sums {
                sum.messages += totals.messages;
                let kinds = [
                    tokens.input,
                    tokens.output,
                    tokens.cache_write_5m,
                    tokens.cache_write_1h,
                    tokens.cache_read,
                ];
                sum.tokens.iter_mut().zip(kinds).for_each(|(sum, count)| *sum += count);
                sum.cost += u64::try_from(totals.cost.0).expect("costs are not negative");
                sum.unpriced += totals.unpriced;
            }
        }
        Ok(account)
    }

    pub(super) fn check(&mut self) -> Outcome {
        self.check_server()?;
        if self.state != State::Whole {
            return Ok(());
        }
        let (says, expected) = (self.ledger_says()?, account(&self.counted.counts()));
        if says != expected {
            return Err(format!("the ledger says {says:?}\nnot {expected:?}"));
        }
        let mut all = self.counted.clone();
        all.adopt(&self.server);
        if all.counts() != self.counted.counts() && self.is_wanted() != Some(true) {
            return Err(format!("the server has more, and nobody looks for it: {:?}", self.server));
        }
        self.check_losses()
    }

    /// The server has what the model says, no less than it had, and no more than there is.
    fn check_server(&mut self) -> Outcome {
        let rows = self.rows()?;
        for (session, row) in &rows {
            let truth = self.logs.truth.get(session).map(|known| sum(*session, known)).unwrap_or_default();
            let (now, before) = (sum_of(row), self.seen.get(session).copied());
            let is_more =
                now.messages > truth.messages || (0..5).any(|kind| now.tokens[kind] > truth.tokens[kind]);
            if is_more || Some(fullness(&now)) < before {
                return Err(format!(
                    "the server has {now:?} of session {session}, had {before:?}, of {truth:?}"
                ));
            }
            self.seen.insert(*session, fullness(&now));
            if !self.server.get(session).is_some_and(|value| is_row(*session, value, row)) {
                let expected = self.server.get(session);
                return Err(format!("the server has {row:?} of session {session}, not {expected:?}"));
            }
        }
        for (session, (_, known)) in &self.server {
            if self.logs.truth.get(session) == Some(known) {
                self.arrived.insert(*session, known.clone());
            }
        }
        if rows.len() == self.server.len() { Ok(()) } else { Err(format!("of {:?} {rows:?}", self.server)) }
    }

    /// Responses of ledgers and backups that were put aside, and are not in this one: by number, and one by one where
    /// it counts by its own and these can be read.
    fn lost(&self) -> u64 {
        let (now, mut lost) = (self.counted.held(), 0);
        for session in 0..SESSIONS {
            let held = |former: &Counted| former.held().get(&session).copied().unwrap_or(0);
            let most = self.former.iter().map(held).max().unwrap_or(0);
            let mut facts = Known::new();
            for former in self.former.iter().filter_map(|former| former.facts.get(&session)) {
                merge(&mut facts, former);
            }
            let ours = self.counted.facts.get(&session);
            let is_gone = |message: &&u8| !ours.is_some_and(|ours| ours.contains_key(message));
            let gone = facts.keys().filter(is_gone).count();
            let is_by_number = !self.is_exact || self.counted.restored.contains_key(&session);
            let gone = if is_by_number { 0 } else { gone };
            lost += gone.max(most.saturating_sub(now.get(&session).copied().unwrap_or(0)));
        }
        u64::try_from(lost).expect("fits")
    }

    /// What is counted and what is said to be missing make up for what was there.
    fn check_losses(&mut self) -> Outcome {
        let reader = LedgerReader::open(&self.state_folder()).map_err(|error| format!("{error:?}"))?;
        let Some(note) = reader.rebuilt().map_err(|error| format!("{error:?}"))? else {
            return if self.former.is_empty() { Ok(()) } else { Err("no note of a rebuild".to_owned()) };
        };
        let Some(Losses { responses, is_all, .. }) = note.losses else {
            return if self.is_unread {
                Ok(())
            } else {
                Err("nobody has looked for what is missing".to_owned())
            };
        };
        // What has come back is looked for no more.
        if self.was_nothing && responses == 0 {
            return Ok(());
        }
        self.was_nothing = responses == 0;
        let lost = self.lost();
        if lost > 0 {
            self.meet("something is lost");
            self.meet(if is_all { "and known by number" } else { "and not all of it known" });
        }
        let is_right = if self.is_exact && is_all { responses == lost } else { responses >= lost || !is_all };
        if is_right {
            Ok(())
        } else {
            Err(format!("{responses} are said to be missing, {is_all}, {lost} are"))
        }
    }

    /// Everything is read and sent, and nothing goes wrong any more.
    pub(super) fn settle(&mut self) -> Outcome {
        self.gateway.heal();
        for _ in 0..2 {
            drop(self.scan()?);
            self.check()?;
            self.publish(false)?;
            self.check()?;
        }
        let collector = self.scan()?;
        collector.ledger().audit().map_err(|error| format!("in the end: {error}"))?;
        drop(collector);
        self.check()?;
        let (says, server) = (self.ledger_says()?, server_account(&self.database, &self.user));
        if says != server {
            return Err(format!("the ledger says {says:?}\nthe server {server:?}"));
        }
        let truth = account(&self.logs.truth);
        for (session, known) in self.logs.truth.clone() {
            let name = session_name(session);
            let is_whole = !self.logs.is_gone(session);
            if (is_whole || self.arrived.get(&session) == Some(&known))
                && says.sessions.get(&name) != truth.sessions.get(&name)
            {
                return Err(format!("session {session} is not what it was, all logs there: {is_whole}"));
            }
            self.meet(if says.sessions.get(&name) == truth.sessions.get(&name) {
                "whole"
            } else {
                "in part"
            });
        }
        if (0..SESSIONS).all(|session| !self.logs.is_gone(session)) {
            self.meet("all logs there");
            return if says == truth { Ok(()) } else { Err(format!("{says:?} is not {truth:?}")) };
        }
        Ok(())
    }
}
