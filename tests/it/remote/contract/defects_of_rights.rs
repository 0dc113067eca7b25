//! The prototype's defects of rights, indexes and search path, each shown to be gone: a test for each, told in
//! its name. What each role may is in `rights`.

use super::{Desk, migration, plain_item};
use crate::remote::keys::Role;
use crate::remote::{Database, Stack, Template};
use serde_json::{Value as Json, json};

/// A caller without a key, with the public key or with another user's token wrote any user's rows.
#[test]
fn a_stranger_s_call_books_nothing() {
    let desk = Desk::new();
    let (stack, neighbour) = (Stack::get(), desk.database.new_user());
    let tokens =
        [None, Some(stack.token(Role::Anon, None)), Some(stack.token(Role::Authenticated, Some(&neighbour)))];
    for (token, status) in tokens.iter().zip([401, 401, 403]) {
        let answer = desk.database.call("upsert_token_usage", &desk.item().to_string(), token.as_deref());
        assert_eq!((answer.status, answer.field("code").as_str()), (status, "42501"));
    }
    assert_eq!(desk.of_sessions("count(*)"), "0");
}

/// A policy asked for a setting at every row, for a role that no policy concerns, and doubled those of users.
#[test]
fn no_policy_is_for_the_service_role() {
    let database = Stack::get().unserved(Template::Prototype);
    let count = |what: &str| database.text(&format!("select count(*) from pg_policies where {what}"));
    assert_eq!((count("qual like '%current_setting%'"), count("true")), ("2".into(), "4".into()));
    database.execute(&migration());
    assert_eq!((count("qual like '%current_setting%'"), count("true")), ("0".into(), "5".into()));
}

/// Not one update of 23,484 stayed in its page: two columns that every call changes had an index.
#[test]
fn updates_stay_in_their_page() {
    let database = Stack::get().unserved(Template::Contract);
    let user = database.new_user();
    let mut client = database.owner();
    for messages in 1..=40 {
        let item = plain_item(&user, "s", messages);
        let call = "select public.upsert_token_usage($1, $2)";
        client.execute(call, &[&item["session_data"], &item["daily_data"]]).expect("a call");
    }
    client.execute("select pg_stat_force_next_flush()", &[]).expect("numbers are told at once");
    for table in ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"] {
        let sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = $1";
        let row = client.query_one(sql, &[&table]).expect("numbers");
        let (all, in_page): (i64, i64) = (row.get(0), row.get(1));
        assert!(all == 39 && in_page > 35, "{table}: {in_page} of {all}");
    }
}

/// A role with SQL made a temporary table of the same name, and its trigger ran as the owner. The same can be
/// tried with a temporary domain that is named like a built-in type.
#[test]
fn temporary_objects_do_not_run_as_the_owner() {
    let database = Stack::get().unserved(Template::Contract);
    let user = database.new_user();
    let mut client = database.owner();
    client
        .batch_execute(
            "create table public.caught (who text);
             grant insert on public.caught to public;
             create function public.catch() returns trigger language plpgsql as
               $$ begin insert into public.caught values (current_user); return new; end $$;
             create function public.catch(value text) returns boolean language plpgsql as
               $$ begin insert into public.caught values (current_user); return true; end $$;
             set role authenticated;",
        )
        .expect("traps");
    for table in ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"] {
        let trap = format!(
            "create temp table {table} (like public.{table} including all);
             create trigger catch before insert on pg_temp.{table} for each row execute function public.catch();"
        );
        client.batch_execute(&trap).expect("a trap");
    }
    for kind in ["text", "date", "int4", "int8", "numeric", "jsonb", "uuid", "timestamptz", "bytea", "bool"] {
        let trap = format!(
            r#"create domain pg_temp."{kind}" as pg_catalog.{kind} check (public.catch(value::pg_catalog.text))"#
        );
        client.batch_execute(&trap).expect("a trap");
    }
    let claims = json!({ "role": "authenticated", "sub": user }).to_string();
    client.batch_execute(&format!("set request.jwt.claims = '{claims}'")).expect("a setting");
    let item = plain_item(&user, "s", 1);
    let call =
        "select public.upsert_token_usage($1::pg_catalog.jsonb, $2::pg_catalog.jsonb)::pg_catalog.jsonb";
    let answer: Json =
        client.query_one(call, &[&item["session_data"], &item["daily_data"]]).expect("a call").get(0);
    assert_eq!(answer["status"], "accepted");
    assert_eq!(database.text("select count(*) from public.caught where who <> 'authenticated'"), "0");
    assert_eq!(database.count("token_usage_sessions", &user), 1);
}

/// Where a project grants nothing by default, the service key and the owner could not read what anybody could
/// write.
#[test]
fn rights_do_not_hang_on_a_project_s_defaults() {
    let stack = Stack::get();
    for template in [Template::Contract, Template::ContractLegacy] {
        let database: Database = stack.database(template);
        let user = database.new_user();
        let (service, own) =
            (stack.token(Role::Service, None), stack.token(Role::Authenticated, Some(&user)));
        let body = plain_item(&user, "s", 1).to_string();
        let call = |token: Option<&str>| database.call("upsert_token_usage", &body, token).status;
        assert_eq!((call(None), call(Some(&service)), call(Some(&own))), (401, 200, 200), "{template:?}");
        for table in ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"] {
            let read = |token: Option<&str>| {
                let request = crate::remote::http::Request::get(&format!("/{table}"));
                let bearer =
                    token.map(|token| request.clone().with("Authorization", &format!("Bearer {token}")));
                database.ask(&bearer.unwrap_or(request)).status
            };
            assert_eq!(
                (read(None), read(Some(&service)), read(Some(&own))),
                (401, 200, 200),
                "{template:?} {table}"
            );
        }
    }
}
