//! What the server says of a user, in the terms of the truth, and `tallyd` set up to publish there.
#![cfg(test)]

use super::{Database, Stack};
use crate::process::Sandbox;
use crate::truth::{Account, Sum};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::process::Command;

/// Sums of the columns of a table with the names of the cells' columns.
const SUMS: &str = "sum(message_count)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint, \
     sum(cache_creation_tokens - cache_creation_1h_tokens)::bigint, sum(cache_creation_1h_tokens)::bigint, \
     sum(cache_read_tokens)::bigint, coalesce(sum(estimated_cost_usd), 0)::text, sum(unpriced_messages)::bigint";

/// The daily table's columns by the names of the cells'.
const DAILY: &str = "(select user_id, usage_date, daily_message_count as message_count, \
     daily_input_tokens as input_tokens, daily_output_tokens as output_tokens, \
     daily_cache_creation_tokens as cache_creation_tokens, \
     daily_cache_creation_1h_tokens as cache_creation_1h_tokens, \
     daily_cache_read_tokens as cache_read_tokens, daily_cost_usd as estimated_cost_usd, \
     daily_unpriced_messages as unpriced_messages \
     from token_usage_daily) as daily";

/// All that the server says of a user: days from the daily table, sessions from the sessions' own rows,
/// models from the cells.
pub(crate) fn server_account(database: &Database, user: &str) -> Account {
    Account {
        days: sums(database, user, "usage_date::text", DAILY),
        sessions: sums(database, user, "session_id", "token_usage_sessions"),
        models: sums(database, user, "model", "token_usage_session_days"),
    }
}

fn sums(database: &Database, user: &str, key: &str, table: &str) -> BTreeMap<String, Sum> {
    let query = format!("select {key}, {SUMS} from {table} where user_id = '{user}' group by 1");
    let rows = database.owner().query(&query, &[]).unwrap_or_else(|error| panic!("{query}: {error}"));
    let count = |value: i64| u64::try_from(value).expect("counts are not negative");
    let picodollars = |text: &str| {
        let exact = text.parse::<Decimal>().expect("a sum of costs") * Decimal::from(1_000_000_000_000_u64);
        u64::try_from(exact).expect("a whole number of picodollars")
    };
    rows.iter()
        .map(|row| {
            let tokens = [2, 3, 4, 5, 6].map(|column| count(row.get(column)));
            let (messages, cost, unpriced) = (count(row.get(1)), picodollars(row.get(7)), count(row.get(8)));
            (row.get(0), Sum { messages, tokens, cost, unpriced })
        })
        .collect()
}

/// What any process may see of two databases being equal: every row of a user, as text.
pub(crate) fn every_row(database: &Database, user: &str) -> Vec<String> {
    ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"]
        .iter()
        .flat_map(|table| {
            // xmin is the transaction that wrote the row: a row that was written again is another.
            let query = format!(
                "select '{table} ' || xmin::text || ' ' || t::text from {table} as t where user_id = '{user}' order by 1"
            );
            let rows = database.owner().query(&query, &[]).expect("rows can be read");
            rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
        })
        .collect()
}

/// A command that publishes for a user, by way of this URL.
pub(crate) fn publishing(command: &mut Command, url: &str, user: &str) {
    command
        .env("SUPABASE_URL", url)
        .env("SUPABASE_SECRET_KEY", Stack::get().secret_key())
        .env("USER_ID", user);
}

/// A subcommand of a sandbox that publishes for a user.
pub(crate) fn publisher(sandbox: &Sandbox, subcommand: &str, url: &str, user: &str) -> Command {
    let mut command = sandbox.tallyd(subcommand);
    publishing(&mut command, url, user);
    command
}
