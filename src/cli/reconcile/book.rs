//! The ledger's side of a comparison: sums by session, UTC day and model, and what is known of single sessions.

use super::day;
use crate::domain::{Cell, UnixMillis, Usd};
use crate::ledger::{LedgerError, LedgerReader, UnloggedRecord};
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
    Ok(Book { logged, unlogged: unlogged(ledger, prices)?, ..Book::default() })
}

/// What the clients' own accounts hold beyond what was logged, on the day of the latest reply in them.
fn unlogged(ledger: &LedgerReader, prices: &PriceTable) -> Result<Vec<Unlogged>, LedgerError> {
    let records = ledger.unlogged()?.into_iter().filter(|record| !record.used.is_zero());
    let of_record = |record: UnloggedRecord| {
        let cost = record.cost.known().map(Usd::from);
        let searches = price_of_searches(record.used.web_searches, &record.model, record.at, prices);
        Unlogged {
            session: record.session,
            day: day(record.at),
            model: record.model,
            tokens: record.used.tokens,
            web_searches: record.used.web_searches,
            cost,
            // Where it has no price, its searches are in no cost either.
            searches_cost: cost.map_or(Usd(0), |_| searches),
        }
    };
    Ok(records.map(of_record).collect())
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
    price_of_searches(cell.totals.web_searches, model, cell.quarter.start(), prices)
}

fn price_of_searches(count: u64, model: &str, at: UnixMillis, prices: &PriceTable) -> Usd {
    let period = prices.find(model).and_then(|model| model.period_at(at));
    let rate = period.and_then(|period| period.web_search).map_or(0, SearchRate::picodollars);
    Usd(i128::from(count).saturating_mul(i128::from(rate)))
}
