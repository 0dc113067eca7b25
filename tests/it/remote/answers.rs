//! What tallyd leans on in the real PostgREST and PostgreSQL: the status and code of each kind of answer.
//! Asked of functions of the test's own, so that nothing here depends on the contract's SQL. A newer
//! PostgREST that answers otherwise shows here first.

use super::http::{Request, Response};
use super::keys::Role;
use super::{Database, Stack, Template};

/// Functions that do as they are told.
const FUNCTIONS: &str = r"
    create table public.owned (id int primary key, user_id uuid not null references auth.users (id));
    alter table public.owned enable row level security;
    create function public.fails_with(state text) returns void language plpgsql as $$
      begin raise exception 'as asked' using errcode = state; end $$;
    create function public.owns(user_id uuid) returns void language sql as $$
      insert into public.owned values (1, $1) on conflict do nothing $$;
    create function public.for_service(value jsonb, other jsonb) returns jsonb language sql as $$ select value $$;
    create function public.sleeps(seconds float) returns void language sql as $$ select pg_sleep($1) $$;
    revoke execute on function public.for_service from public;
    grant execute on function public.for_service to service_role;
    grant all on public.owned to service_role;";

fn project() -> Database {
    let database = Stack::get().unserved(Template::Blank);
    database.execute(FUNCTIONS);
    database.served()
}

fn service() -> String {
    Stack::get().token(Role::Service, None)
}

#[track_caller]
fn says(response: &Response, status: u16, code: &str) {
    assert_eq!((response.status, response.field("code").as_str()), (status, code), "{}", response.text());
}

#[test]
fn a_raised_state_becomes_a_status() {
    let project = project();
    let fails = |state: &str| {
        let body = format!(r#"{{"state":"{state}"}}"#);
        project.call("fails_with", &body, Some(&service()))
    };
    for (state, status) in [
        ("22023", 400),
        ("22P02", 400),
        ("22003", 400),
        ("23502", 400),
        ("P0001", 400),
        ("23503", 409),
        ("42501", 403),
        ("40P01", 500),
        ("57014", 500),
    ] {
        says(&fails(state), status, state);
    }
    assert_eq!(fails("PT429").status, 429);
}

#[test]
fn what_a_caller_may_not_do_depends_on_who_asks() {
    let project = project();
    let user = project.new_user();
    let token = Stack::get().token(Role::Authenticated, Some(&user));
    let call = |token: Option<&str>| project.call("for_service", r#"{"value":{"a":1},"other":[]}"#, token);
    let nobody = call(None);
    says(&nobody, 401, "42501");
    assert_eq!(nobody.header("WWW-Authenticate"), Some("Bearer"));
    says(&call(Some(&Stack::get().token(Role::Anon, None))), 401, "42501");
    says(&call(Some(&token)), 403, "42501");
    let answer = call(Some(&service()));
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"a": 1}"#));
}

#[test]
fn an_unknown_function_or_parameter_is_not_found() {
    let project = project();
    says(&project.call("no_such_function", "{}", Some(&service())), 404, "PGRST202");
    says(&project.call("fails_with", r#"{"other":1}"#, Some(&service())), 404, "PGRST202");
    says(&project.ask(&Request::get("/no_such_table")), 404, "42P01");
}

#[test]
fn a_broken_body_or_token_is_refused() {
    let project = project();
    says(&project.call("fails_with", r#"{"state":"#, Some(&service())), 400, "PGRST102");
    says(&project.call("fails_with", "{}", Some("not.a.token")), 401, "PGRST301");
    says(&project.call("fails_with", "{}", Some(&Stack::get().expired_token())), 401, "PGRST301");
    says(&project.call("fails_with", "{}", Some(&format!("{}x", service()))), 401, "PGRST301");
}

#[test]
fn a_void_function_answers_nothing_and_an_unknown_user_is_a_conflict() {
    let project = project();
    let user = project.new_user();
    let owns = |user: &str| project.call("owns", &format!(r#"{{"user_id":"{user}"}}"#), Some(&service()));
    says(&owns("00000000-0000-4000-8000-000000000000"), 409, "23503");
    says(&owns("nobody"), 400, "22P02");
    assert_eq!(project.count("owned", &user), 0);
    let answer = owns(&user);
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    assert_eq!(project.count("owned", &user), 1);
}

#[test]
fn a_role_has_its_own_limit_of_time() {
    let project = project();
    says(&project.call("sleeps", r#"{"seconds":60}"#, None), 500, "57014");
}
