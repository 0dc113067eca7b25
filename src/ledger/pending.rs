//! Responses as they are being merged in memory, before one transaction writes them.
//!
//! What was offered for publishing keeps the session and the time that it was offered under: a value that
//! another database may have by now would otherwise have to shrink there. Such a response can still grow.

use super::names::Names;
use super::row::{COLUMNS, Row, id_hash};
use super::{LedgerError, meta};
use crate::domain::{Attribution, Chain, MessageKey, Response, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::hash::BuildHasher;

/// A response of this transaction.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: i64,
    pub(super) message_id: String,
    pub(super) is_global: bool,
    /// Its row as the ledger has it.
    pub(super) stored: Option<Row>,
    pub(super) response: Response,
    /// Where it stays, whatever its lines say.
    place: Option<Place>,
    /// It turned out to be the same response as this other one.
    pub(super) absorbed_by: Option<usize>,
}

/// What does not change any more of a response that was offered for publishing.
#[derive(Clone, Debug)]
struct Place {
    first_at: UnixMillis,
    attribution: Attribution,
    time_is_guessed: bool,
}

impl Place {
    fn of(response: &Response) -> Self {
        Self {
            first_at: response.first_at,
            attribution: response.attribution.clone(),
            time_is_guessed: response.time_is_guessed,
        }
    }

    fn restore(self, response: &mut Response) {
        response.first_at = self.first_at;
        response.attribution = self.attribution;
        response.time_is_guessed = self.time_is_guessed;
    }
}

/// Hashes of the ids of all responses of a ledger that was empty not long ago: its first scan need not look for
/// every response in the table.
pub(super) type AllIds = FxHashSet<u64>;

/// The response with this first-party id and its hash.
const BY_GLOBAL_ID: &str = "id_hash = ?2 AND message_id = ?1 AND flags & 1024";

/// More are not kept in memory: four megabytes.
const MANY_IDS: usize = 1 << 18;

/// All responses of this transaction.
#[derive(Debug, Default)]
pub(super) struct PendingResponses {
    entries: Vec<Pending>,
    by_message_id: FxHashMap<String, usize>,
    by_alias: FxHashMap<String, usize>,
    /// Of those that the ledger has, by number.
    by_id: FxHashMap<i64, usize>,
    new_aliases: Vec<(String, usize)>,
    next_id: i64,
    ledger_is_empty: bool,
    /// All that the ledger has, where that is known.
    all_ids: Option<AllIds>,
}

impl PendingResponses {
    /// `all_ids` is what the ledger has, where that is known.
    pub(super) fn new(sql: &Connection, all_ids: Option<AllIds>) -> Result<Self, LedgerError> {
        let highest: Option<i64> = sql.query_row("SELECT MAX(id) FROM response", [], |row| row.get(0))?;
        // A number that was offered and then absorbed is not given out again.
        let offered = meta::number(sql, meta::OFFERED)?;
        let next_id = highest.max(offered).unwrap_or(0) + 1;
        let ledger_is_empty = highest.is_none();
        let all_ids = if ledger_is_empty { Some(AllIds::default()) } else { all_ids };
        Ok(Self { next_id, ledger_is_empty, all_ids, ..Self::default() })
    }

    /// Makes room for this many more.
    pub(super) fn reserve(&mut self, responses: usize) {
        self.entries.reserve(responses);
        self.by_message_id.reserve(responses);
    }

    /// Takes in what lines say of a response; returns its position.
    pub(super) fn take_in(
        &mut self,
        sql: &Connection,
        names: &mut Names,
        key: MessageKey,
        response: Response,
    ) -> Result<usize, LedgerError> {
        match key {
            MessageKey::Global(id) => self.take_in_global(sql, names, id, response),
            MessageKey::Aliases { id, names: aliases, chain } => {
                self.take_in_aliased(sql, names, &id, &aliases, chain.as_ref(), response)
            }
        }
    }

    fn take_in_global(
        &mut self,
        sql: &Connection,
        names: &mut Names,
        message_id: String,
        response: Response,
    ) -> Result<usize, LedgerError> {
        let known = match self.by_message_id.get(&message_id) {
            Some(position) => Some(*position),
            None if self.all_ids.as_ref().is_some_and(|ids| !ids.contains(&hash(&message_id))) => None,
            None => self.load(sql, names, BY_GLOBAL_ID, params![message_id, id_hash(&message_id)])?,
        };
        let position = self.merge_or_add(known, &message_id, true, response);
        if known.is_none() || !self.by_message_id.contains_key(&message_id) {
            self.by_message_id.insert(message_id, position);
        }
        Ok(position)
    }

    fn take_in_aliased(
        &mut self,
        sql: &Connection,
        names: &mut Names,
        message_id: &str,
        aliases: &[String],
        chain: Option<&Chain>,
        response: Response,
    ) -> Result<usize, LedgerError> {
        let mut known: Option<usize> = None;
        let looked_for = chain.map(|chain| chain.looks_for.as_slice()).unwrap_or_default();
        for alias in aliases.iter().chain(looked_for) {
            let Some(found) = self.find_alias(sql, names, alias)? else { continue };
            known = Some(match known {
                Some(first) => self.absorb(first, found),
                None => found,
            });
        }
        let position = self.merge_or_add(known, message_id, false, response);
        for alias in aliases.iter().chain(chain.and_then(|chain| chain.awaits.as_ref())) {
            if self.by_alias.get(alias).map(|at| self.resolve(*at)) != Some(position) {
                self.by_alias.insert(alias.clone(), position);
                self.new_aliases.push((alias.clone(), position));
            }
        }
        Ok(position)
    }

    fn merge_or_add(
        &mut self,
        known: Option<usize>,
        message_id: &str,
        is_global: bool,
        response: Response,
    ) -> usize {
        if let Some(entry) = known.and_then(|position| self.entries.get_mut(position)) {
            entry.response.merge(response);
            return known.unwrap_or_default();
        }
        let id = self.next_id;
        self.next_id += 1;
        self.add(Pending {
            id,
            message_id: message_id.to_owned(),
            is_global,
            stored: None,
            response,
            place: None,
            absorbed_by: None,
        })
    }

    fn add(&mut self, entry: Pending) -> usize {
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// The response with this alias, from memory or from the ledger.
    fn find_alias(
        &mut self,
        sql: &Connection,
        names: &mut Names,
        alias: &str,
    ) -> Result<Option<usize>, LedgerError> {
        if let Some(position) = self.by_alias.get(alias) {
            return Ok(Some(self.resolve(*position)));
        }
        if self.ledger_is_empty {
            return Ok(None);
        }
        let id: Option<i64> = sql
            .prepare_cached("SELECT response FROM alias WHERE name = ?1")?
            .query_row([alias], |row| row.get(0))
            .optional()?;
        let Some(id) = id else { return Ok(None) };
        let position = match self.by_id.get(&id) {
            Some(position) => Some(*position),
            None => self.load(sql, names, "id = ?1", params![id])?,
        };
        if let Some(position) = position {
            self.by_alias.insert(alias.to_owned(), position);
        }
        Ok(position.map(|position| self.resolve(position)))
    }

    /// Loads the stored response that the condition names.
    fn load(
        &mut self,
        sql: &Connection,
        names: &mut Names,
        condition: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Option<usize>, LedgerError> {
        let mut statement = sql.prepare_cached(&format!(
            "SELECT {COLUMNS}, id <= (SELECT offered FROM session AS s WHERE s.id = response.session) \
             FROM response WHERE {condition}"
        ))?;
        let mut rows = statement.query(values)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let was_offered: bool = row.get(17)?;
        let row = Row::read(sql, row)?;
        let response = row.response(sql, names)?;
        let place = was_offered.then(|| Place::of(&response));
        let id = row.id;
        let position = self.add(Pending {
            id,
            message_id: row.message_id.clone(),
            is_global: row.has(super::row::flag::GLOBAL),
            stored: Some(row),
            response,
            place,
            absorbed_by: None,
        });
        self.by_id.insert(id, position);
        Ok(Some(position))
    }

    /// Two responses turned out to be one: the second goes up in the first.
    fn absorb(&mut self, first: usize, second: usize) -> usize {
        let (first, second) = (self.resolve(first), self.resolve(second));
        if first == second {
            return first;
        }
        // The older number stays, whichever line came first.
        let id_of = |position: usize| self.entries.get(position).map(|entry| entry.id);
        let (stays, goes) = if id_of(first) <= id_of(second) { (first, second) } else { (second, first) };
        if let Some(entry) = self.entries.get_mut(goes) {
            entry.absorbed_by = Some(stays);
            let (response, place) = (entry.response.clone(), entry.place.take());
            if let Some(entry) = self.entries.get_mut(stays) {
                entry.response.merge(response);
                entry.place = entry.place.take().or(place);
            }
        }
        stays
    }

    /// Follows absorptions to the response that stayed.
    fn resolve(&self, mut position: usize) -> usize {
        while let Some(next) = self.entries.get(position).and_then(|entry| entry.absorbed_by) {
            position = next;
        }
        position
    }

    /// The number of the response at `position`, or of the one that absorbed it.
    pub(super) fn id(&self, position: usize) -> i64 {
        self.entries.get(self.resolve(position)).map_or(0, |entry| entry.id)
    }

    /// All responses of the transaction, absorbed ones included, the aliases they gained, and what the ledger
    /// then has, where that is known.
    pub(super) fn finish(mut self) -> (Vec<Pending>, Vec<(String, i64)>, Option<AllIds>) {
        let aliases =
            self.new_aliases.iter().map(|(alias, position)| (alias.clone(), self.id(*position))).collect();
        for entry in &mut self.entries {
            if let Some(place) = entry.place.take() {
                place.restore(&mut entry.response);
            }
        }
        if let Some(ids) = &mut self.all_ids {
            ids.extend(self.by_message_id.keys().map(|id| hash(id)));
        }
        (self.entries, aliases, self.all_ids.filter(|ids| ids.len() <= MANY_IDS))
    }
}

fn hash(id: &str) -> u64 {
    FxBuildHasher.hash_one(id)
}
