//! The ledger's side of a comparison: sums by session, UTC day and model, and what is known of single sessions.

use super::day;
use crate::domain::{Cell, Usd};
use crate::ledger::{LedgerError, LedgerReader};
use crate::price::{PriceTable, SearchRate};
use crate::reconcile::{Book, Inherited, Logged, Unlogged};
use std::collections::{BTreeSet, HashMap};

/// All that the ledger has, by session, day and model.
pub(super) fn read(ledger: &LedgerReader, prices: &PriceTable) -> Result<Book, LedgerError> {
    let models: HashMap<_, _> = ledger.models()?.into_iter().collect();
    let sessions: HashMap<_, _> =
        ledger.sessions()?.into_iter().map(|session| (session.key, session.id)).collect();
    let mut logged: Vec<Logged> = Vec::new();
    for cell in ledger.cells(None, None)? {
        let (Some(session), Some(model)) = (sessions.get(&cell.session), models.get(&cell.model)) else {
            continue;
        };
        logged.push(Logged {
            session: session.clone(),
            day: day(cell.quarter.start()),
            model: model.clone(),
            totals: cell.totals,
            searches_cost: searches_cost(&cell, model, prices),
        });
    }
    Ok(Book { logged, unlogged: unlogged(ledger)?, ..Book::default() })
}

/// What the clients' own accounts hold beyond what was logged.
#[expect(clippy::unnecessary_wraps, reason = "what reads it from the ledger may fail")]
fn unlogged(_: &LedgerReader) -> Result<Vec<Unlogged>, LedgerError> {
    Ok(Vec::new())
}

/// What is compared by session: clients, and copies of other sessions' responses.
pub(super) fn read_sessions(
    ledger: &LedgerReader,
    sessions: &BTreeSet<String>,
    book: &mut Book,
) -> Result<(), LedgerError> {
    for session in sessions {
        if let Some(clients) = ledger.clients_of(session)? {
            book.clients.insert(session.clone(), clients.into_iter().collect());
        }
        let copies = ledger.copied_into(session)?.into_iter().map(|copy| Inherited {
            session: session.clone(),
            model: copy.model,
            tokens: copy.tokens,
            web_searches: copy.web_searches,
        });
        book.inherited.extend(copies);
    }
    Ok(())
}

/// The part of a cell's cost that is of web searches, at the price of its day.
fn searches_cost(cell: &Cell, model: &str, prices: &PriceTable) -> Usd {
    // Where a call has no price, its searches are in no cost either.
    if cell.totals.unpriced > 0 {
        return Usd(0);
    }
    let period = prices.find(model).and_then(|model| model.period_at(cell.quarter.start()));
    let rate = period.and_then(|period| period.web_search).map_or(0, SearchRate::picodollars);
    Usd(i128::from(cell.totals.web_searches).saturating_mul(i128::from(rate)))
}
