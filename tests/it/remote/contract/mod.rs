//! The contract of `supabase/migrations` on real PostgreSQL and PostgREST: what is kept of which calls, who may
//! do what, what is refused and in which words, what an upgrade leaves. Knows nothing of tallyd itself: the
//! values are made here and what they must add up to is computed here from the set of calls that committed.

pub(in crate::remote) mod campaign;
mod concurrent;
mod defects;
mod defects_of_rights;
mod history;
mod mutants;
mod refusals;
mod rights;
mod schema;
mod unlogged;
mod upgrade;
pub(in crate::remote) mod value;

use super::http::Response;
use super::keys::Role;
use super::{Database, Stack};
use crate::support::root;
use serde_json::{Value as Json, json};
use std::fs;

/// The text of the migrations, one after the other.
pub(super) fn migration() -> String {
    [first_migration(), text_of("20261123000000_unlogged_usage.sql")].concat()
}

/// The text of the first of them: contract 2, which takes no unlogged usage.
pub(super) fn first_migration() -> String {
    text_of("20261122000000_token_usage.sql")
}

fn text_of(name: &str) -> String {
    let path = root().join("supabase/migrations").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A session's value with one cell, as tallyd sends it: `session_data` and `daily_data`.
pub(super) fn plain_item(user: &str, session: &str, messages: i64) -> Json {
    let (tokens, cost) = (messages * 10, format!("{messages}.25"));
    json!({
        "session_data": {
            "user_id": user, "session_id": session, "revision": 1, "input_tokens": tokens,
            "output_tokens": tokens, "cache_creation_tokens": tokens, "cache_read_tokens": tokens,
            "message_count": messages, "session_started_at": "2026-11-01T10:00:00Z",
            "last_message_at": "2026-11-01T11:00:00Z", "estimated_cost_usd": cost, "model_used": "claude-opus-5",
        },
        "daily_data": [{
            "usage_date": "2026-11-01", "model": "claude-opus-5", "daily_input_tokens": tokens,
            "daily_output_tokens": tokens, "daily_cache_creation_tokens": tokens,
            "daily_cache_read_tokens": tokens, "daily_message_count": messages, "daily_cost_usd": cost,
        }],
    })
}

/// What the prototype's TypeScript sends: running totals of the session as both objects.
pub(super) fn old_item(user: &str, session: &str, day: &str, input: i64) -> Json {
    json!({
        "session_data": {
            "user_id": user, "session_id": session, "input_tokens": input, "output_tokens": 0,
            "cache_creation_tokens": 0, "cache_read_tokens": 0, "thinking_tokens": 0, "message_count": 1,
            "session_started_at": format!("{day}T10:00:00.000Z"), "estimated_cost_usd": 0.5,
            "model_used": "claude-3-5-sonnet-20241022",
        },
        "daily_data": {
            "user_id": user, "usage_date": day, "daily_input_tokens": input, "daily_output_tokens": 0,
            "daily_cache_creation_tokens": 0, "daily_cache_read_tokens": 0, "daily_thinking_tokens": 0,
            "daily_message_count": 1, "daily_cost_usd": 0.5,
        },
    })
}

/// The status and body of a single call with the service key.
pub(super) fn send(database: &Database, item: &Json) -> (u16, Json) {
    let token = Stack::get().token(Role::Service, None);
    let answer = database.call("upsert_token_usage", &item.to_string(), Some(&token));
    (answer.status, json_of(&answer))
}

/// The answers of a batch with the service key.
pub(super) fn send_batch(database: &Database, items: &[Json]) -> Vec<Json> {
    let token = Stack::get().token(Role::Service, None);
    let body = json!({ "items": items }).to_string();
    let answer = database.call("upsert_token_usage_batch", &body, Some(&token));
    assert_eq!(answer.status, 200, "{}", answer.text());
    json_of(&answer)["results"].as_array().expect("results").clone()
}

/// The JSON of an answer; null where it is none.
pub(super) fn json_of(answer: &Response) -> Json {
    serde_json::from_slice(&answer.body).unwrap_or(Json::Null)
}

/// A user of the shared database whom no other test has.
pub(super) struct Desk {
    pub(super) database: Database,
    pub(super) user: String,
}

impl Desk {
    pub(super) fn new() -> Self {
        let database = Stack::get().contract();
        let user = database.new_user();
        Self { database, user }
    }

    pub(super) fn item(&self) -> Json {
        plain_item(&self.user, "s", 4)
    }

    /// The item with something else at a JSON pointer; null removes the key.
    pub(super) fn with(&self, place: &str, value: &Json) -> Json {
        changed(self.item(), place, value)
    }

    /// Sends an item that must be taken.
    pub(super) fn take(&self, item: &Json) {
        let (status, answer) = send(&self.database, item);
        assert_eq!(status, 200, "{item}: {answer}");
    }

    /// An expression over the user's rows of a table.
    pub(super) fn of(&self, table: &str, expression: &str) -> String {
        self.database
            .text(&format!("select {expression} from public.{table} where user_id = '{}'", self.user))
    }

    pub(super) fn of_sessions(&self, expression: &str) -> String {
        self.of("token_usage_sessions", expression)
    }

    pub(super) fn of_days(&self, expression: &str) -> String {
        self.of("token_usage_daily", expression)
    }
}

/// `place` is a JSON pointer; null removes the key.
pub(super) fn changed(mut item: Json, place: &str, value: &Json) -> Json {
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    let parent = item.pointer_mut(parent).expect("a place").as_object_mut().expect("an object");
    if value.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), value.clone());
    }
    item
}
