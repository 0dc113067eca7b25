//! What tests share and what each has of its own: databases begin as their templates say, one user's rows
//! are not another's, and a test's own database goes with it.

use super::keys::Role;
use super::{Database, Stack, Template};

fn exists(name: &str) -> bool {
    let sql = format!("select count(*) from pg_database where datname = '{name}'");
    Stack::get().contract().text(&sql) == "1"
}

fn tables(database: &Database) -> String {
    database.text(
        "select string_agg(relname, ' ' order by relname) from pg_class
                   where relnamespace = 'public'::regnamespace and relkind = 'r'",
    )
}

/// The answer to the prototype's call, which is in its SQL as in the contract's.
fn call(database: &Database, user: &str) -> u16 {
    let day = "2026-11-01";
    let session = format!(
        r#"{{"user_id":"{user}","session_id":"s","input_tokens":1,"output_tokens":2,"cache_creation_tokens":3,
             "cache_read_tokens":4,"thinking_tokens":0,"message_count":1,"session_started_at":"{day}T00:00:00Z",
             "estimated_cost_usd":0.5,"model_used":"claude-sonnet-4-5"}}"#
    );
    let daily = format!(
        r#"{{"user_id":"{user}","usage_date":"{day}","daily_input_tokens":1,"daily_output_tokens":2,
             "daily_cache_creation_tokens":3,"daily_cache_read_tokens":4,"daily_thinking_tokens":0,
             "daily_message_count":1,"daily_cost_usd":0.5}}"#
    );
    let body = format!(r#"{{"session_data":{session},"daily_data":{daily}}}"#);
    database.call("upsert_token_usage", &body, Some(&Stack::get().token(Role::Service, None))).status
}

#[test]
fn users_share_a_database_and_no_rows() {
    let prototype = Stack::get().prototype();
    let (one, other) = (prototype.new_user(), prototype.new_user());
    assert_ne!(one, other);
    assert_eq!(call(&prototype, &one), 204);
    let rows = |user: &str| prototype.count("token_usage_sessions", user);
    assert_eq!((rows(&one), rows(&other)), (1, 0));
}

#[test]
fn a_database_of_ones_own_goes_with_its_test() {
    let stack = Stack::get();
    let shared = stack.prototype();
    let own = stack.database(Template::Prototype);
    let (name, rest) = (own.text("select current_database()"), own.rest().to_owned());
    let user = own.new_user();
    assert_eq!(call(&own, &user), 204);
    assert_eq!((own.count("token_usage_daily", &user), shared.count("token_usage_daily", &user)), (1, 0));
    assert!(exists(&name) && rest.exists());
    drop(own);
    assert!(!exists(&name) && !rest.exists());
}

#[test]
fn a_template_has_what_its_name_says() {
    let stack = Stack::get();
    let of = |template| tables(&stack.unserved(template));
    assert_eq!(of(Template::Prototype), "token_usage_daily token_usage_sessions");
    assert_eq!((of(Template::Blank), of(Template::BlankLegacy)), (String::new(), String::new()));
    assert_eq!(of(Template::Contract), of(Template::ContractLegacy));
    assert_eq!(of(Template::Contract), tables(&stack.contract()));
}

#[test]
fn an_older_project_grants_what_it_makes() {
    let stack = Stack::get();
    let anon_may = |template| {
        let database = stack.unserved(template);
        database.execute("create table public.made (id int)");
        database.text("select has_table_privilege('anon', 'public.made', 'select')")
    };
    assert_eq!(
        (anon_may(Template::Blank).as_str(), anon_may(Template::BlankLegacy).as_str()),
        ("false", "true")
    );
}

#[test]
fn migrations_run_as_no_superuser() {
    let database = Stack::get().unserved(Template::Blank);
    let query = "select rolname || ' ' || rolsuper from pg_roles where rolname = current_user";
    assert_eq!(database.text(query), "postgres false");
    let path = "select setting from pg_settings where name = 'search_path'";
    assert_eq!(database.text(path), r#""$user", public, extensions"#);
}
