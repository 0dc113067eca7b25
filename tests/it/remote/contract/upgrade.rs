//! A project that runs the prototype's SQL, with what such a project holds: what is kept, what is counted anew
//! and what becomes of callers that go on as before.

use super::concurrent::until_it_waits;
use super::schema::{catalog, same};
use super::{migration, old_item, plain_item};
use crate::remote::{Database, Stack, Template};
use postgres::Client;
use serde_json::Value as Json;
use std::thread::scope;

struct Project {
    database: Database,
    user: String,
}

fn service(database: &Database) -> Client {
    let mut client = database.owner();
    client.batch_execute("set role service_role").expect("a role");
    client
}

impl Project {
    /// With three sessions: one that grew over six calls, one of another day, one with numbers that make no sense.
    fn new() -> Self {
        let database = Stack::get().unserved(Template::Prototype);
        let user = database.new_user();
        let project = Self { database, user };
        for input in [100, 200, 300, 400, 500, 600] {
            project.call(&old_item(&project.user, "grown", "2026-11-01", input));
        }
        let mut second = old_item(&project.user, "second", "2026-11-01", 50);
        second["session_data"]["thinking_tokens"] = 40.into();
        second["session_data"]["model_used"] = Json::Null;
        project.call(&second);
        project.call(&old_item(&project.user, "broken", "2026-11-01", -7));
        project.database.execute(
            "update public.token_usage_sessions set last_updated_at = case session_id
               when 'grown' then '2026-11-03T23:30:00-01:00'::timestamptz else '2026-11-02T12:00:00Z' end",
        );
        project
    }

    fn call(&self, item: &Json) {
        let sql = "select public.upsert_token_usage($1, $2)::text";
        let call = service(&self.database).query(sql, &[&item["session_data"], &item["daily_data"]]);
        call.unwrap_or_else(|error| panic!("{item}: {error:?}"));
    }

    fn upgrade(&self) {
        self.database.execute(&migration());
    }

    fn lines(&self, columns: &str, table: &str) -> String {
        self.database.text(&format!(
            "select string_agg(concat_ws(' ', {columns}), ', ' order by {columns}) from {table}"
        ))
    }

    fn days(&self) -> String {
        self.lines(
            "usage_date, daily_input_tokens, daily_session_count, daily_cost_usd",
            "public.token_usage_daily",
        )
    }

    fn cells(&self) -> String {
        self.lines("session_id, usage_date, model, input_tokens", "public.token_usage_session_days")
    }
}

const REBUILT: &str = "2026-11-02 50 2 1.000000000000, 2026-11-04 600 1 0.500000000000";

#[test]
fn days_are_rebuilt_from_the_sessions_and_the_old_rows_are_kept() {
    let project = Project::new();
    assert_eq!(project.days(), "2026-11-01 2143 8 4.000000");
    project.upgrade();
    let kept = "daily_input_tokens, daily_session_count, daily_cost_usd";
    assert_eq!(project.lines(kept, "public.token_usage_daily_before_tallyd"), "2143 8 4.000000");
    assert_eq!(project.days(), REBUILT);
    // A session's last sign of life counts, in UTC.
    assert_eq!(project.cells(), "broken 2026-11-02  0, grown 2026-11-04  600, second 2026-11-02  50");
    let sessions = "session_id, input_tokens, total_tokens, model_used, revision";
    assert_eq!(
        project.lines(sessions, "public.token_usage_sessions"),
        "broken 0 0 claude-3-5-sonnet-20241022 0, grown 600 600 claude-3-5-sonnet-20241022 0, second 50 50  0"
    );
}

#[test]
fn running_it_again_changes_nothing() {
    let project = Project::new();
    project.upgrade();
    let rows = "select md5(string_agg(row, ',' order by row)) from (
        select s::text from public.token_usage_sessions as s union all select d::text from public.token_usage_daily as d
        union all select c::text from public.token_usage_session_days as c
        union all select b::text from public.token_usage_daily_before_tallyd as b
        union all select r::text from token_usage_private.running_totals as r) as all_rows (row)";
    let before = project.database.text(rows);
    project.upgrade();
    assert_eq!(project.database.text(rows), before);
}

#[test]
fn old_callers_go_on_where_they_were() {
    let project = Project::new();
    project.upgrade();
    project.call(&old_item(&project.user, "grown", "2026-11-04", 600));
    assert_eq!(project.days(), REBUILT);
    project.call(&old_item(&project.user, "grown", "2026-11-05", 700));
    assert_eq!(project.days(), format!("{REBUILT}, 2026-11-05 100 1 0.000000000000"));
}

#[test]
fn the_first_value_with_a_revision_replaces_what_was_rebuilt() {
    let project = Project::new();
    project.upgrade();
    project.call(&plain_item(&project.user, "grown", 1));
    assert_eq!(project.days(), "2026-11-01 10 1 1.250000000000, 2026-11-02 50 2 1.000000000000");
    project.call(&old_item(&project.user, "grown", "2026-11-05", 700));
    assert_eq!(
        project.cells(),
        "broken 2026-11-02  0, grown 2026-11-01 claude-opus-5 10, second 2026-11-02  50"
    );
    let running = project.lines("session_id", "token_usage_private.running_totals");
    assert_eq!(running, "broken, second");
}

/// A project whose tables are in use is not stopped for long: the migration gives up, whole.
#[test]
fn a_table_in_use_is_not_waited_for() {
    let project = Project::new();
    let mut reader = project.database.owner();
    let mut reading = reader.transaction().expect("a transaction");
    reading.query("select * from public.token_usage_daily", &[]).expect("rows");
    let error = project.database.owner().batch_execute(&migration()).expect_err("a lock is held");
    assert_eq!(error.code().map(postgres::error::SqlState::code), Some("55P03"), "{error:?}");
    drop(reading);
    assert_eq!(project.days(), "2026-11-01 2143 8 4.000000");
    project.upgrade();
    assert_eq!(project.days(), REBUILT);
}

/// The copying may take minutes, in which people must be able to sign in: that writes to auth.users.
#[test]
fn people_sign_in_during_an_upgrade() {
    let project = Project::new();
    let patient = migration().replace("lock_timeout = '5s'", "lock_timeout = 0");
    assert_ne!(patient, migration(), "the migration waits for no lock longer than 5 s");
    let mut reader = project.database.owner();
    let mut reading = reader.transaction().expect("a transaction");
    reading.query("select * from public.token_usage_daily", &[]).expect("rows");
    scope(|scope| {
        let mut upgrading = project.database.owner();
        let pid: i32 = upgrading.query_one("select pg_backend_pid()", &[]).expect("a number").get(0);
        let upgrade = scope.spawn(move || upgrading.batch_execute(&patient));
        until_it_waits(&project.database, pid, &upgrade);
        let signed_in = project
            .database
            .owner()
            .batch_execute("begin; lock table auth.users in row exclusive mode nowait; commit");
        drop(reading);
        upgrade.join().expect("no panic").expect("upgraded");
        signed_in.expect("as a sign-in locks it");
    });
    assert_eq!(project.days(), REBUILT);
}

/// Keys that were given other names, or left out, stopped the upgrade.
#[test]
fn keys_may_have_any_name() {
    let project = Project::new();
    project.database.execute(
        "alter table public.token_usage_sessions rename constraint token_usage_sessions_pkey to sessions_id;
         alter table public.token_usage_sessions rename constraint
           token_usage_sessions_user_id_session_id_key to sessions_of_user;
         alter table public.token_usage_daily drop constraint token_usage_daily_pkey",
    );
    project.upgrade();
    assert_eq!(project.days(), REBUILT);
    let fresh = Stack::get().unserved(Template::Contract);
    same(&catalog(&project.database), &catalog(&fresh), "keys by other names");
}

/// The prototype took `NaN` for a cost: a sum that holds one is none for ever, whatever replaces the session.
#[test]
fn a_cost_that_is_no_number_counts_as_none() {
    let project = Project::new();
    project.database.execute(
        "update public.token_usage_sessions set estimated_cost_usd = 'NaN' where session_id = 'grown'",
    );
    project.upgrade();
    assert_eq!(project.days(), REBUILT.replace("600 1 0.5", "600 1 0.0"));
}
