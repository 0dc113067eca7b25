//! A campaign: random histories of two users, sent by eight connections at once. What the database then holds
//! must be what the set of committed calls says, whatever came first; at every moment the days' rows must be
//! the sums of the cells; a call that is repeated must write nothing. `TALLYD_REMOTE_CASES` says how many.

use super::history::{Transaction, history, transactions};
use super::migration;
use super::value::{COUNTERS, Kept, Sent, UNLOGGED, kept};
use crate::random::Random;
use crate::remote::{Database, Stack, Template};
use postgres::Client;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::scope;

const CONNECTIONS: usize = 8;
const USERS: usize = 2;

struct Campaign<'a> {
    database: &'a Database,
    users: Vec<String>,
    histories: Vec<Vec<Sent>>,
    waiting: Mutex<VecDeque<Transaction>>,
    committed: Mutex<Vec<Transaction>>,
    is_over: AtomicBool,
}

/// A guard that survives the panic of another thread.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says what is wrong after this seed's histories were sent; how many transactions there were otherwise.
pub(super) fn run(database: &Database, seed: u64) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let histories: Vec<Vec<Sent>> = (0..USERS).map(|_| history(&mut random)).collect();
    let waiting = Mutex::new(transactions(&mut random, &histories).into());
    let users = (0..USERS).map(|_| database.new_user()).collect();
    let campaign = Campaign {
        database,
        users,
        histories,
        waiting,
        committed: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let outcome = campaign.send_all();
    let count = locked(&campaign.committed).len();
    outcome.and_then(|()| campaign.compare()).and_then(|()| campaign.repeat()).map(|()| count)
}

/// A connection with the rights that PostgREST takes for the service key.
fn service(database: &Database) -> Client {
    let mut client = database.owner();
    client.batch_execute("set role service_role").expect("a role is taken");
    client
}

impl Campaign<'_> {
    fn send_all(&self) -> Result<(), String> {
        scope(|scope| {
            let watching = scope.spawn(|| self.watch());
            let sending: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| self.send())).collect();
            let sent: Vec<_> = sending.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            self.is_over.store(true, Ordering::Release);
            sent.into_iter().chain([watching.join().expect("no panic")]).collect()
        })
    }

    /// One connection: the next transaction until none is left.
    fn send(&self) -> Result<(), String> {
        let mut client = service(self.database);
        loop {
            let Some(next) = locked(&self.waiting).pop_front() else { return Ok(()) };
            if let Err(error) = self.transact(&mut client, &next) {
                locked(&self.waiting).clear();
                return Err(format!("{next:?}: {error}"));
            }
            if !next.is_rolled_back {
                locked(&self.committed).push(next);
            }
        }
    }

    fn transact(&self, client: &mut Client, next: &Transaction) -> Result<(), String> {
        let mut transaction = client.transaction().map_err(|error| told(&error))?;
        let answers = self.call(&mut transaction, next)?;
        if next.is_rolled_back {
            transaction.rollback().map_err(|error| told(&error))?;
        } else {
            transaction.commit().map_err(|error| told(&error))?;
        }
        let sessions = next.items.iter().map(|item| &self.histories[next.user][*item].session);
        let answered: Vec<_> = answers.iter().map(|answer| answer["session_id"].as_str()).collect();
        if answered != sessions.map(|session| Some(session.as_str())).collect::<Vec<_>>() {
            return Err(format!("answered of other sessions: {answers:?}"));
        }
        let refused = answers.iter().find(|answer| answer["status"] == "rejected");
        refused.map_or(Ok(()), |answer| Err(format!("refused: {answer}")))
    }

    fn call(&self, transaction: &mut postgres::Transaction, next: &Transaction) -> Result<Vec<Json>, String> {
        let user = &self.users[next.user];
        let items: Vec<Json> =
            next.items.iter().map(|item| self.histories[next.user][*item].json(user)).collect();
        let answer = if next.is_batch {
            transaction.query_one("select public.upsert_token_usage_batch($1)", &[&json!(items)])
        } else {
            let sql = "select public.upsert_token_usage($1, $2)";
            transaction.query_one(sql, &[&items[0]["session_data"], &items[0]["daily_data"]])
        };
        let answer: Json = answer.map_err(|error| told(&error))?.get(0);
        Ok(answer["results"].as_array().cloned().unwrap_or_else(|| vec![answer]))
    }

    /// At no commit is a day another sum than that of its cells.
    fn watch(&self) -> Result<(), String> {
        let mut client = self.database.owner();
        let query = day_differences();
        loop {
            let is_last = self.is_over.load(Ordering::Acquire);
            let rows = client.query(&query, &[&self.users]).map_err(|error| told(&error))?;
            if let Some(row) = rows.first() {
                locked(&self.waiting).clear();
                return Err(format!("a day is not the sum of its cells: {}", row.get::<_, String>(0)));
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn compare(&self) -> Result<(), String> {
        let committed = locked(&self.committed);
        for (index, user) in self.users.iter().enumerate() {
            let of_user = committed.iter().filter(|transaction| transaction.user == index);
            let items = of_user.flat_map(|transaction| &transaction.items);
            let expected = kept(&items.map(|item| &self.histories[index][*item]).collect::<Vec<_>>());
            let found = stored(self.database, user);
            if found != expected {
                return Err(format!("stored is not what was sent:\n{}", differences(&found, &expected)));
            }
        }
        Ok(())
    }

    /// Everything that is known already changes nothing, and takes no transaction number: it neither writes
    /// nor locks a row.
    fn repeat(&self) -> Result<(), String> {
        let mut client = service(self.database);
        for next in locked(&self.committed).iter() {
            let mut transaction = client.transaction().map_err(|error| told(&error))?;
            let answers = self.call(&mut transaction, next)?;
            let wrote = transaction.query_one("select pg_current_xact_id_if_assigned() is not null", &[]);
            let wrote: bool = wrote.map_err(|error| told(&error))?.get(0);
            if wrote || answers.iter().any(|answer| answer["status"] != "unchanged") {
                return Err(format!("repeated, it wrote: {wrote}, answered {answers:?}"));
            }
        }
        Ok(())
    }
}

fn told(error: &postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |error| format!("{} {}", error.code().code(), error))
}

/// What differs, a line each.
pub(in crate::remote) fn differences(found: &Kept, expected: &Kept) -> String {
    let pairs = [
        ("session", &found.sessions, &expected.sessions),
        ("cell", &found.cells, &expected.cells),
        ("day", &found.days, &expected.days),
        ("running", &found.running, &expected.running),
        ("unlogged", &found.unlogged, &expected.unlogged),
    ];
    let mut lines = Vec::new();
    for (kind, found, expected) in pairs {
        lines.extend(
            found
                .iter()
                .filter(|line| !expected.contains(line))
                .map(|line| format!("{kind} found    {line}")),
        );
        lines.extend(
            expected
                .iter()
                .filter(|line| !found.contains(line))
                .map(|line| format!("{kind} expected {line}")),
        );
    }
    lines.join("\n")
}

/// The days of users ($1) whose row is not the sum of their cells.
pub(in crate::remote) fn day_differences() -> String {
    let names: Vec<String> = COUNTERS.iter().map(|name| format!("daily_{name}")).collect();
    let sums: Vec<String> = COUNTERS.iter().map(|name| format!("sum({name})")).collect();
    let unlogged = UNLOGGED.map(|index| format!("daily_unlogged_{}", COUNTERS[index]));
    let unlogged_sums = UNLOGGED.map(|index| format!("sum(unlogged_{})", COUNTERS[index]));
    format!(
        "with day as (
           select user_id, usage_date, {}, daily_cost_usd, daily_session_count from public.token_usage_daily
           where user_id = any ($1::text[]::uuid[])
         ), cells as (
           select user_id, usage_date, {}, sum(estimated_cost_usd), count(distinct session_id)
           from public.token_usage_session_days
           where user_id = any ($1::text[]::uuid[]) group by user_id, usage_date
         ), unlogged_day as (
           select user_id, usage_date, {}, daily_unlogged_cost_usd, daily_unlogged_session_count
           from public.token_usage_daily_unlogged where user_id = any ($1::text[]::uuid[])
         ), unlogged_cells as (
           select user_id, usage_date, {}, sum(unlogged_cost_usd), count(distinct session_id)
           from public.token_usage_session_unlogged
           where user_id = any ($1::text[]::uuid[]) group by user_id, usage_date
         )
         (select day::text from day except all select cells::text from cells)
         union all (select cells::text from cells except all select day::text from day)
         union all (select day::text from unlogged_day as day except all
           select cells::text from unlogged_cells as cells)
         union all (select cells::text from unlogged_cells as cells except all
           select day::text from unlogged_day as day)",
        names.join(", "),
        sums.join(", "),
        unlogged.join(", "),
        unlogged_sums.join(", ")
    )
}

const INSTANT: &str = r#"'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"#;

/// What the database holds of a user.
pub(super) fn stored(database: &Database, user: &str) -> Kept {
    let mut client = database.owner();
    client.batch_execute("set timezone = 'UTC'").expect("a time zone");
    stored_by(&mut client, user)
}

/// The same over a connection whose time zone is UTC.
pub(in crate::remote) fn stored_by(client: &mut Client, user: &str) -> Kept {
    let names = COUNTERS.join(", ");
    let daily: Vec<String> = COUNTERS.iter().map(|name| format!("daily_{name}")).collect();
    let mut lines = |sql: &str| -> Vec<String> {
        let rows = client.query(sql, &[&user]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let mut lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        lines.sort();
        lines
    };
    let unlogged: Vec<String> = UNLOGGED.map(|index| format!("unlogged_{}", COUNTERS[index])).into();
    let unlogged_daily: Vec<String> = unlogged.iter().map(|name| format!("daily_{name}")).collect();
    let unlogged = format!("{}, unlogged_cost_usd", unlogged.join(", "));
    let complete = "case when cost_is_complete then 'true' else 'false' end";
    Kept {
        sessions: lines(&format!(
            "select concat_ws('|', session_id, revision, {names}, estimated_cost_usd,
               to_char(session_started_at, {INSTANT}), coalesce(to_char(last_message_at, {INSTANT}), ''),
               model_used, encode(value_digest, 'hex'), total_tokens, {complete}, {unlogged})
             from public.token_usage_sessions where user_id::text = $1"
        )),
        cells: lines(&format!(
            "select concat_ws('|', session_id, usage_date, model, {names}, estimated_cost_usd)
             from public.token_usage_session_days where user_id::text = $1"
        )),
        days: lines(&format!(
            "select concat_ws('|', usage_date, {}, daily_cost_usd, daily_session_count, daily_total_tokens, {complete})
             from public.token_usage_daily where user_id::text = $1",
            daily.join(", ")
        )),
        unlogged: lines(&format!(
            "select concat_ws('|', session_id, usage_date, model, {unlogged})
             from public.token_usage_session_unlogged where user_id::text = $1
             union all select concat_ws('|', usage_date, {}, daily_unlogged_cost_usd, daily_unlogged_session_count,
               daily_unlogged_total_tokens)
             from public.token_usage_daily_unlogged where user_id::text = $1",
            unlogged_daily.join(", ")
        )),
        running: lines(
            "select concat_ws('|', session_id, usage_date, input_tokens, output_tokens, cache_creation_tokens, 0,
               cache_read_tokens, thinking_tokens, message_count, 0, 0, 0, 0, estimated_cost_usd)
             from token_usage_private.running_totals where user_id::text = $1",
        ),
    }
}

/// Makes others run between one row's lock and the next, where a fault of locking shows.
const SLOW_MOTION: &str = "
    create function public.dawdle() returns trigger language plpgsql as $$
      begin perform pg_sleep(random() * 0.004); return new; end $$;
    create trigger dawdle before insert on public.token_usage_sessions
      for each row execute function public.dawdle();
    create trigger dawdle before insert on public.token_usage_daily
      for each row execute function public.dawdle();";

/// A database of its own for campaigns with this migration.
pub(super) fn arena(migration: &str) -> Database {
    let database = Stack::get().unserved(Template::Blank);
    let name = database.text("select current_database()");
    let setting = format!("alter database {name} set deadlock_timeout = '100ms'");
    database.admin().batch_execute(&setting).expect("a deadlock is found at once");
    database.execute(migration);
    database.execute(SLOW_MOTION);
    database
}

fn cases() -> u64 {
    let given =
        std::env::var("TALLYD_REMOTE_CASES").ok().map(|text| text.parse().expect("a number of cases"));
    let is_long = std::env::var_os("TALLYD_LONG").is_some();
    given.unwrap_or(if is_long { 100 } else { 6 })
}

#[test]
fn what_is_kept_depends_on_the_set_of_calls_alone() {
    let database = arena(&migration());
    let mut random = Random::exploring("campaign");
    for _ in 0..cases() {
        let seed = random.next();
        let count = run(&database, seed).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        assert!(count > 5, "seed {seed}: {count} transactions");
    }
}
