//! Calls beside what else goes on in a project. What a second connection does is known from what it waits for,
//! never from how long it takes.

use super::{Desk, plain_item};
use crate::remote::Database;
use postgres::Transaction;
use serde_json::Value as Json;
use std::thread::{ScopedJoinHandle, scope, yield_now};

/// Returns once the backend `pid`, which the thread drives, waits for a lock; fails if the thread ends instead.
pub(super) fn until_it_waits<T>(database: &Database, pid: i32, thread: &ScopedJoinHandle<'_, T>) {
    let mut client = database.owner();
    let query = "select cardinality(pg_blocking_pids($1)) > 0";
    while !client.query_one(query, &[&pid]).expect("an answer").get::<_, bool>(0) {
        assert!(!thread.is_finished(), "it did not wait");
        yield_now();
    }
}

fn status(calling: &mut Transaction, item: &Json) -> Result<String, postgres::Error> {
    let sql = "select public.upsert_token_usage($1, $2) ->> 'status'";
    let row = calling.query_one(sql, &[&item["session_data"], &item["daily_data"]]);
    row.map(|row| row.get(0))
}

/// Sends a lesser value of a session while a greater one waits to be committed: what the call finds when it looks
/// is not yet what it will find when it has the lock. Fails with what was kept if that is not the greater one.
pub(super) fn overtake(database: &Database) -> Result<(), String> {
    let user = database.new_user();
    let mut client = database.owner();
    client.batch_execute("set role service_role").expect("a role");
    let mut first = client.transaction().expect("a transaction");
    assert_eq!(status(&mut first, &plain_item(&user, "s", 9)).expect("a status"), "accepted");
    let second = scope(|scope| {
        let mut client = database.owner();
        client.batch_execute("set role service_role").expect("a role");
        let pid: i32 = client.query_one("select pg_backend_pid()", &[]).expect("a number").get(0);
        let lesser = plain_item(&user, "s", 4);
        let call = scope.spawn(move || {
            let mut second = client.transaction().expect("a transaction");
            let answered = status(&mut second, &lesser).expect("a status");
            second.commit().expect("committed");
            answered
        });
        until_it_waits(database, pid, &call);
        first.commit().expect("committed");
        call.join().expect("no panic")
    });
    let query =
        format!("select message_count::text from public.token_usage_sessions where user_id = '{user}'");
    match (second.as_str(), database.text(&query).as_str()) {
        ("unchanged", "9") => Ok(()),
        (answered, kept) => Err(format!("answered {answered}, kept {kept} messages of 9")),
    }
}

#[test]
fn a_lesser_value_that_waited_for_a_greater_one_changes_nothing() {
    assert_eq!(overtake(&Desk::new().database), Ok(()));
}

/// A call locks sessions and then, for the foreign key of a new row, the user: a deletion of the user locks the
/// other way round, and ended in a deadlock. Now it waits for the call, or the call for it.
#[test]
fn a_user_who_is_deleted_meets_no_deadlock() {
    let desk = Desk::new();
    desk.take(&desk.item());
    let mut client = desk.database.owner();
    client.batch_execute("set role service_role").expect("a role");
    let mut calling = client.transaction().expect("a transaction");
    // A session that is there already: no foreign key asks for the user.
    assert_eq!(status(&mut calling, &plain_item(&desk.user, "s", 5)).expect("a status"), "accepted");
    let deleted = scope(|scope| {
        let mut deleting = desk.database.owner();
        let pid: i32 = deleting.query_one("select pg_backend_pid()", &[]).expect("a number").get(0);
        let sql = format!("delete from auth.users where id = '{}'", desk.user);
        let deletion = scope.spawn(move || deleting.execute(&sql, &[]));
        until_it_waits(&desk.database, pid, &deletion);
        let second = status(&mut calling, &plain_item(&desk.user, "new", 1));
        calling.commit().expect("committed");
        (second, deletion.join().expect("no panic"))
    });
    assert_eq!((deleted.0.expect("a status").as_str(), deleted.1.expect("deleted")), ("accepted", 1));
    let tables = ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"];
    assert_eq!(tables.map(|table| desk.database.count(table, &desk.user)), [0, 0, 0]);
}
