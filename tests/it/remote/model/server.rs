//! The server's side of a story: what it must hold, which is the greatest of the values that were committed,
//! and what its tables hold, with the transaction that wrote each row last.

use super::lines::{session_name, session_of};
use crate::remote::Database;
use crate::remote::contract::campaign::{day_differences, differences, stored_by};
use crate::remote::contract::value::{COUNTERS, Item, Kept, Sent, Usage, Value, kept};
use crate::truth::timestamp;
use postgres::Client;
use rust_decimal::Decimal;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const TABLES: [&str; 3] = ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"];

/// The greatest value of each user's sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Server(BTreeMap<(usize, u8), Value>);

impl Server {
    /// A value was committed; the days that a change of the row may touch, where there is one.
    pub(super) fn commit(&mut self, user: usize, session: u8, value: &Value) -> Option<BTreeSet<String>> {
        let known = self.0.get(&(user, session));
        if known.is_some_and(|known| known.rank() >= value.rank()) {
            return None;
        }
        let days = |value: &Value| value.cells.keys().map(|(day, _)| day.clone()).collect::<BTreeSet<_>>();
        let touched = days(value).into_iter().chain(known.map(days).unwrap_or_default()).collect();
        self.0.insert((user, session), value.clone());
        Some(touched)
    }

    pub(super) fn best(&self, user: usize, session: u8) -> Option<&Value> {
        self.0.get(&(user, session))
    }

    pub(super) fn of_user(&self, user: usize) -> impl Iterator<Item = (u8, &Value)> {
        self.0.iter().filter(move |(key, _)| key.0 == user).map(|(key, value)| (key.1, value))
    }

    /// Every row of the user in all tables.
    fn rows(&self, user: usize) -> Kept {
        let new = |(session, value): (u8, &Value)| Sent {
            session: session_name(session),
            item: Item::New(value.clone()),
        };
        let sent: Vec<Sent> = self.of_user(user).map(new).collect();
        kept(&sent.iter().collect::<Vec<_>>())
    }
}

/// One item of a call, read back: the user, the session and the value.
pub(super) fn read_item(item: &Json) -> (String, u8, Value) {
    let data = &item["session_data"];
    let text = |name: &str| data[name].as_str().unwrap_or_else(|| panic!("no {name} in {data}"));
    let time = |name| {
        let time = chrono::DateTime::parse_from_rfc3339(text(name)).expect("a time");
        assert_eq!(timestamp(time.timestamp_millis()), text(name));
        time.timestamp_millis()
    };
    let cell = |cell: &Json| {
        let name = |name: &str| cell[name].as_str().expect("a text").to_owned();
        ((name("usage_date"), name("model")), read_usage(cell, "daily_", "daily_cost_usd"))
    };
    let cells = item["daily_data"].as_array().expect("cells").iter().map(cell).collect();
    let value = Value {
        revision: data["revision"].as_i64().expect("a revision"),
        started: time("session_started_at"),
        latest: time("last_message_at"),
        model: text("model_used").to_owned(),
        cells,
        unlogged: BTreeMap::new(),
    };
    assert_eq!(value.totals(), read_usage(data, "", "estimated_cost_usd"), "totals are the sum of cells");
    (text("user_id").to_owned(), session_of(text("session_id")), value)
}

fn read_usage(json: &Json, prefix: &str, cost: &str) -> Usage {
    let counters = COUNTERS.map(|name| json[format!("{prefix}{name}")].as_i64().expect("a count"));
    let dollars: Decimal = json[cost].as_str().expect("a cost is a text").parse().expect("a number");
    let cost = dollars * Decimal::from(1_000_000_000_000_u64);
    Usage { counters, cost: i64::try_from(cost).expect("picodollars") }
}

/// The rows of the story's users.
pub(super) struct Rows {
    client: Client,
    users: Vec<String>,
    /// Which transaction wrote each row, by what the row is.
    written: BTreeMap<String, String>,
}

impl Rows {
    pub(super) fn new(database: &Database, users: Vec<String>) -> Self {
        let mut client = database.admin();
        client.batch_execute("set timezone = 'UTC'").expect("a time zone");
        let mut rows = Self { client, users, written: BTreeMap::new() };
        rows.written = rows.writers();
        rows
    }

    fn writers(&mut self) -> BTreeMap<String, String> {
        let query = "select 's', user_id, session_id, '', xmin::text from token_usage_sessions
             where user_id = any ($1::text[]::uuid[])
           union all select 'c', user_id, session_id, usage_date || model, xmin::text from token_usage_session_days
             where user_id = any ($1::text[]::uuid[])
           union all select 'd', user_id, '', usage_date::text, xmin::text from token_usage_daily
             where user_id = any ($1::text[]::uuid[])";
        let query = format!(
            "select concat_ws(' ', a, b, c, left(d, 10)) || md5(d), e from ({query}) as q (a, b, c, d, e)"
        );
        let rows = self.client.query(&query, &[&self.users]).expect("rows can be read");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Whether the tables are what they must be, and nothing was written but what had to be: of each user
    /// and session in `changed` its own rows and these days.
    pub(super) fn check(
        &mut self,
        server: &Server,
        changed: &BTreeMap<(usize, u8), BTreeSet<String>>,
    ) -> Result<(), String> {
        let now = self.writers();
        let before = std::mem::replace(&mut self.written, now.clone());
        let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let written: Vec<&String> =
            keys.into_iter().filter(|key| before.get(*key) != now.get(*key)).collect();
        for key in &written {
            if !changed.iter().any(|(whose, days)| self.is_of(key, *whose, days)) {
                return Err(format!("written without a reason: {key}"));
            }
        }
        for (user, session) in changed.keys() {
            let row = format!("s {} {}", self.users[*user], session_name(*session));
            if !written.iter().any(|key| key.starts_with(&row)) {
                return Err(format!("not written: {row}"));
            }
        }
        let is_touched = |user: &String| written.iter().any(|key| key.contains(user.as_str()));
        let touched: Vec<usize> =
            (0..self.users.len()).filter(|user| is_touched(&self.users[*user])).collect();
        touched.into_iter().try_for_each(|user| self.compare(server, user))
    }

    fn is_of(&self, key: &str, (user, session): (usize, u8), days: &BTreeSet<String>) -> bool {
        let (id, name) = (&self.users[user], session_name(session));
        let of_session = ["s", "c"].iter().any(|kind| key.starts_with(&format!("{kind} {id} {name} ")));
        of_session || days.iter().any(|day| key.starts_with(&format!("d {id}  {day}")))
    }

    /// All rows of a user, and days against cells.
    pub(super) fn compare(&mut self, server: &Server, user: usize) -> Result<(), String> {
        let (found, expected) = (stored_by(&mut self.client, &self.users[user]), server.rows(user));
        if found != expected {
            return Err(format!(
                "user {user} is not what was committed:\n{}",
                differences(&found, &expected)
            ));
        }
        self.days_are_sums()
    }

    /// At this moment.
    pub(super) fn days_are_sums(&mut self) -> Result<(), String> {
        let rows = self.client.query(&day_differences(), &[&self.users]).expect("rows can be read");
        rows.first().map_or(Ok(()), |row| {
            Err(format!("a day is not the sum of its cells: {}", row.get::<_, String>(0)))
        })
    }

    /// Puts all rows aside, as a backup does.
    pub(super) fn back_up(&mut self) {
        for table in TABLES {
            let sql = format!(
                "drop table if exists pg_temp.saved_{table};
                 create temp table saved_{table} as select * from public.{table} where user_id::text in ({})",
                self.quoted()
            );
            self.client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }

    /// Brings back what was put aside, in place of what there is.
    pub(super) fn restore(&mut self) {
        let mut sql = "begin;".to_owned();
        for table in TABLES {
            let columns = self.columns(table);
            let _ = write!(
                sql,
                "delete from public.{table} where user_id::text in ({});
                 insert into public.{table} ({columns}) select {columns} from pg_temp.saved_{table};",
                self.quoted()
            );
        }
        self.client.batch_execute(&(sql + "commit")).expect("rows can be put back");
        self.written = self.writers();
    }

    fn columns(&mut self, table: &str) -> String {
        let query = "select string_agg(quote_ident(column_name), ', ') from information_schema.columns
            where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'";
        self.client.query_one(query, &[&table]).expect("a table has columns").get(0)
    }

    fn quoted(&self) -> String {
        self.users.iter().map(|user| format!("'{user}'")).collect::<Vec<_>>().join(", ")
    }
}
