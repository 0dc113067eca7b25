//! The prototype's defects of counting and of form, each shown to be gone through PostgREST: a test for each,
//! told in its name.

use super::{Desk, changed, old_item, plain_item, send};
use crate::random::Random;
use crate::remote::faults::{Fault, chaos};
use crate::remote::gateway::Gateway;
use crate::remote::http::{Request, exchange};
use crate::remote::{Database, Stack};
use serde_json::{Value as Json, json};
use std::net::TcpStream;
use std::thread::scope;

const DAY: &str = "2026-11-01";

/// Ten times 100 tokens, told as 100, 200, … 1,000, were booked as 5,500.
#[test]
fn totals_that_grow_are_not_added_up() {
    let desk = Desk::new();
    for call in 1..=10 {
        desk.take(&old_item(&desk.user, "s", DAY, call * 100));
    }
    assert_eq!(
        (desk.of_days("daily_input_tokens"), desk.of_sessions("input_tokens")),
        ("1000".into(), "1000".into())
    );
}

/// Three calls after two lost answers were booked three times.
#[test]
fn a_repeated_call_is_booked_once() {
    let desk = Desk::new();
    for item in [old_item(&desk.user, "old", DAY, 100), desk.item()] {
        for _ in 0..3 {
            desk.take(&item);
        }
    }
    assert_eq!(desk.of_days("daily_input_tokens || ' ' || daily_message_count"), "140 5");
}

/// The number of sessions was the number of calls.
#[test]
fn the_session_count_counts_sessions() {
    let desk = Desk::new();
    for call in 1..=3 {
        desk.take(&old_item(&desk.user, "old", DAY, call * 100));
        desk.take(&plain_item(&desk.user, "new", call));
    }
    assert_eq!(desk.of_days("daily_session_count"), "2");
}

/// Everything was booked on the day of the call, and a call had one day.
#[test]
fn usage_is_booked_on_its_own_days() {
    let desk = Desk::new();
    let mut item = plain_item(&desk.user, "s", 2);
    let mut second = plain_item(&desk.user, "s", 3)["daily_data"][0].clone();
    second["usage_date"] = json!("2026-10-31");
    item["daily_data"].as_array_mut().expect("cells").push(second);
    for key in ["input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens"] {
        item["session_data"][key] = json!(50);
    }
    item["session_data"]["message_count"] = json!(5);
    item["session_data"]["estimated_cost_usd"] = json!("5.5");
    desk.take(&item);
    let days = desk.of_days("string_agg(usage_date || ' ' || daily_message_count, ', ' order by usage_date)");
    assert_eq!(days, "2026-10-31 3, 2026-11-01 2");
}

/// Negative numbers were taken; a day could be brought below nothing.
#[test]
fn negative_numbers_are_refused() {
    let desk = Desk::new();
    let old = changed(old_item(&desk.user, "s", DAY, -1), "/daily_data/daily_input_tokens", &json!(-1));
    for item in [old, desk.with("/daily_data/0/daily_input_tokens", &json!(-1))] {
        let (status, answer) = send(&desk.database, &item);
        assert_eq!((status, answer["code"].as_str()), (400, Some("22023")));
    }
    assert_eq!(desk.of_days("daily_input_tokens"), "");
    // What an old caller says of its day is not asked for.
    desk.take(&changed(old_item(&desk.user, "s", DAY, 5), "/daily_data/daily_input_tokens", &json!(-99)));
    assert_eq!(desk.of_days("daily_input_tokens"), "5");
}

/// 2^31 tokens read from a cache, or a total of as much, made every later call of the session fail.
#[test]
fn a_long_session_does_not_overflow() {
    let desk = Desk::new();
    let large = |key: &str, count: i64| {
        changed(old_item(&desk.user, "s", DAY, 200_000_000), &format!("/session_data/{key}"), &json!(count))
    };
    desk.take(&large("cache_read_tokens", 2_147_483_648));
    desk.take(&large("cache_creation_tokens", 2_000_000_000));
    let most = 1_000_000_000_000_000_i64;
    desk.take(&changed(
        desk.with("/session_data/input_tokens", &json!(most)),
        "/daily_data/0/daily_input_tokens",
        &json!(most),
    ));
    assert_eq!(desk.of_sessions("max(total_tokens)"), (most + 120).to_string());
}

/// $10,000 failed for ever, and 0.0000004 became 0.
#[test]
fn large_and_small_costs_are_exact() {
    let desk = Desk::new();
    let with = |session: &str, cost: &Json| {
        let item = changed(plain_item(&desk.user, session, 1), "/session_data/estimated_cost_usd", cost);
        desk.take(&changed(item, "/daily_data/0/daily_cost_usd", cost));
    };
    with("large", &json!("12345678.000000000001"));
    with("small", &json!(4e-7));
    with("smallest", &json!("0.000000000001"));
    assert_eq!(desk.of_days("daily_cost_usd"), "12345678.000000400002");
    // What an old caller has added up in binary fractions is rounded.
    desk.take(&changed(
        old_item(&desk.user, "old", "2026-11-02", 1),
        "/session_data/estimated_cost_usd",
        &json!(0.1 + 0.2),
    ));
    assert_eq!(desk.of_days("min(daily_cost_usd)"), "0.300000000000");
}

/// The first start and the first model stayed for ever; a session had one model.
#[test]
fn start_and_models_follow_the_session() {
    let desk = Desk::new();
    desk.take(&old_item(&desk.user, "s", "2026-11-02", 1));
    desk.take(&old_item(&desk.user, "s", DAY, 1));
    let started = "to_char(session_started_at at time zone 'UTC', 'DD')";
    assert_eq!(desk.of_sessions(started), "01");
    let mut item = plain_item(&desk.user, "s", 1);
    let mut other = item["daily_data"][0].clone();
    other["model"] = json!("claude-haiku-4-5");
    for key in [
        "daily_input_tokens",
        "daily_output_tokens",
        "daily_cache_creation_tokens",
        "daily_cache_read_tokens",
        "daily_message_count",
        "daily_cost_usd",
    ] {
        other[key] = json!(0);
    }
    item["daily_data"].as_array_mut().expect("cells").push(other);
    desk.take(&item);
    assert_eq!(desk.of_sessions("model_used"), "claude-opus-5");
    assert_eq!(
        desk.of("token_usage_session_days", "string_agg(model, ' ' order by model)"),
        "claude-haiku-4-5 claude-opus-5"
    );
}

/// A call that came late set a session from 1,000 back to 400.
#[test]
fn a_late_call_takes_nothing_back() {
    let desk = Desk::new();
    for (session, item) in [
        ("old", old_item as fn(&str, &str, &str, i64) -> Json),
        ("new", |user, id, _, n| plain_item(user, id, n)),
    ] {
        desk.take(&item(&desk.user, session, DAY, 1000));
        desk.take(&item(&desk.user, session, DAY, 400));
    }
    let sessions = "string_agg(session_id || ' ' || input_tokens, ', ' order by session_id)";
    assert_eq!(desk.of_sessions(sessions), "new 10000, old 1000");
    assert_eq!(desk.of_days("daily_input_tokens"), "11000");
}

/// A user id that is not there was found out from failing calls: it can be asked for, and is told from a bad one.
#[test]
fn an_unknown_user_is_told_from_a_malformed_one() {
    let desk = Desk::new();
    let unknown = "00000000-0000-4000-8000-000000000000";
    let (status, answer) = send(&desk.database, &plain_item(unknown, "s", 1));
    assert_eq!((status, answer["code"].as_str()), (409, Some("23503")));
    let (status, answer) = send(&desk.database, &plain_item("me", "s", 1));
    assert_eq!((status, answer["code"].as_str()), (400, Some("22023")));
    assert!(answer["message"].as_str().is_some_and(|text| text.contains("user_id") && text.contains("UUID")));
    let token = Stack::get().token(crate::remote::keys::Role::Service, None);
    for (user, exists) in [(desk.user.as_str(), "true"), (unknown, "false")] {
        let body = json!({ "p_user_id": user }).to_string();
        let check = desk.database.call("token_usage_check", &body, Some(&token));
        let told = ["contract", "user_exists", "role"].map(|name| check.field(name));
        assert_eq!(told, ["3", exists, "service_role"]);
        assert!(check.field("server_time").ends_with('Z'));
    }
}

/// The session was booked to one user and the day to another.
#[test]
fn one_call_books_to_one_user() {
    let desk = Desk::new();
    let other = desk.database.new_user();
    let old = changed(old_item(&desk.user, "s", DAY, 1), "/daily_data/user_id", &json!(other));
    for item in [old, desk.with("/daily_data/0/user_id", &json!(other))] {
        assert_eq!(send(&desk.database, &item).0, 400);
    }
    assert_eq!(
        (desk.of_sessions("count(*)"), desk.database.count("token_usage_daily", &other)),
        ("0".into(), 0)
    );
}

/// A counter that was left out, or null, failed the call although the column has a default.
#[test]
fn a_counter_that_is_left_out_is_nothing() {
    let desk = Desk::new();
    let left_out = changed(old_item(&desk.user, "s", DAY, 3), "/session_data/cache_read_tokens", &Json::Null);
    desk.take(&left_out);
    let mut null = old_item(&desk.user, "s", DAY, 4);
    for key in ["thinking_tokens", "estimated_cost_usd", "model_used"] {
        null["session_data"][key] = Json::Null;
    }
    desk.take(&null);
    assert_eq!(desk.of_sessions("total_tokens || ' ' || estimated_cost_usd"), "4 0.500000000000");
}

/// Thinking is part of the output and was added to the total once more.
#[test]
fn thinking_is_in_no_total() {
    let desk = Desk::new();
    let item = changed(old_item(&desk.user, "s", DAY, 10), "/session_data/output_tokens", &json!(1000));
    desk.take(&changed(item, "/session_data/thinking_tokens", &json!(800)));
    assert_eq!(desk.of_sessions("total_tokens || ' ' || thinking_tokens"), "1010 800");
    assert_eq!(desk.of_days("daily_total_tokens || ' ' || daily_thinking_tokens"), "1010 800");
}

/// Eight writers, a fifth of the answers lost and a tenth refused, each call repeated until it is answered: the
/// days were 8.65 times too high, and 1.275 times where callers sent only what was new.
#[test]
fn lost_answers_and_retries_count_once() {
    let desk = Desk::new();
    let gateway = Gateway::start(&desk.database);
    let mut random = Random::exploring("chaos");
    gateway.plan(chaos(random.next(), vec![(20, Fault::LoseAnswer), (10, Fault::unavailable())]));
    scope(|scope| {
        for writer in 0..8 {
            let (gateway, desk) = (&gateway, &desk);
            scope.spawn(move || {
                for messages in 1..=10 {
                    let session = format!("session-{}", writer % 4);
                    let item = match writer % 2 {
                        0 => plain_item(&desk.user, &session, messages),
                        _ => old_item(&desk.user, &format!("old-{session}"), DAY, messages * 100),
                    };
                    until_answered(gateway, &item);
                }
            });
        }
    });
    assert!(gateway.seen().iter().any(|seen| seen.fault.is_some()));
    let told = desk.of_days("daily_input_tokens || ' ' || daily_message_count || ' ' || daily_session_count");
    assert_eq!(told, format!("{} {} 4", 2 * 100 + 2 * 1000, 2 * 10 + 2));
    assert_eq!(sums(&desk.database, &desk.user), "0");
}

fn until_answered(gateway: &Gateway, item: &Json) {
    let request = Request::post("/rest/v1/rpc/upsert_token_usage", &item.to_string())
        .with("apikey", Stack::get().secret_key())
        .with("User-Agent", "test/1");
    let call = || exchange(TcpStream::connect(gateway.address())?, &request);
    while !call().is_ok_and(|answer| answer.status == 200) {}
}

/// What the days hold beyond their cells.
fn sums(database: &Database, user: &str) -> String {
    database.text(&format!(
        "select (select sum(daily_total_tokens) from public.token_usage_daily where user_id = '{user}')
              - (select sum(total_tokens) from public.token_usage_session_days where user_id = '{user}')"
    ))
}
