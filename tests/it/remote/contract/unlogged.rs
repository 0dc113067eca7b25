//! Unlogged usage: a part of a session's value that never mixes with what is logged, wins only where nothing else is
//! known better, and is nothing to a project or a caller that does not know it.

use super::{Desk, changed, first_migration, json_of, migration, plain_item, send, send_batch};
use crate::remote::http::Request;
use crate::remote::keys::Role;
use crate::remote::{Database, Stack, Template};
use serde_json::{Value as Json, json};

/// An item of four messages with so many unlogged tokens of input on days of a month.
fn item(user: &str, session: &str, days: &[(&str, &str, i64)]) -> Json {
    with_unlogged(plain_item(user, session, 4), days)
}

fn with_unlogged(mut item: Json, days: &[(&str, &str, i64)]) -> Json {
    let rows: Vec<Json> = days
        .iter()
        .map(|(day, model, input)| {
            json!({ "usage_date": day, "model": model, "unlogged_input_tokens": input, "unlogged_cost_usd": "0.5",
                    "unlogged_web_search_requests": 1 })
        })
        .collect();
    let count = rows.len();
    let data = item["session_data"].as_object_mut().expect("an object");
    data.insert("unlogged_input_tokens".to_owned(), json!(days.iter().map(|day| day.2).sum::<i64>()));
    data.insert("unlogged_web_search_requests".to_owned(), json!(count));
    data.insert("unlogged_cost_usd".to_owned(), json!(format!("{}.{}", count / 2, count % 2 * 5)));
    data.insert("unlogged_days".to_owned(), json!(rows));
    item
}

impl Desk {
    /// The status that a call is answered with.
    fn status(&self, item: &Json) -> String {
        let (status, answer) = send(&self.database, item);
        assert_eq!(status, 200, "{item}: {answer}");
        answer["status"].as_str().expect("a status").to_owned()
    }

    /// The unlogged days of the sessions, and of the user.
    fn unlogged(&self) -> [String; 2] {
        let session = "concat_ws(' ', session_id, usage_date, model, unlogged_input_tokens)";
        let day = "concat_ws(' ', usage_date, daily_unlogged_input_tokens, daily_unlogged_cost_usd,
          daily_unlogged_session_count)";
        [("token_usage_session_unlogged", session), ("token_usage_daily_unlogged", day)]
            .map(|(table, row)| self.of(table, &format!("string_agg({row}, ', ' order by {row})")))
    }

    /// A row of a view.
    fn totals(&self, view: &str) -> String {
        let row =
            "concat_ws(' ', logged_tokens, unlogged_tokens, total_tokens, logged_cost_usd, unlogged_cost_usd,
          total_cost_usd, cost_is_complete)";
        self.of(view, &format!("string_agg({row}, ', ' order by {row})"))
    }
}

#[test]
fn the_same_logged_part_with_a_later_account_replaces_an_earlier_one_and_nothing_else_does() {
    let desk = Desk::new();
    let of = |days: &[(&str, &str, i64)]| item(&desk.user, "s", days);
    let (early, late) =
        (of(&[("2026-11-01", "m", 3)]), of(&[("2026-11-02", "m", 2), ("2026-11-02", "n", 5)]));
    assert_eq!(desk.status(&early), "accepted");
    let before = desk.unlogged();
    assert_eq!(before, ["s 2026-11-01 m 3", "2026-11-01 3 0.500000000000 1"]);
    assert_eq!(desk.status(&plain_item(&desk.user, "s", 4)), "unchanged", "one who knows of no account");
    assert_eq!(desk.status(&early), "unchanged");
    assert_eq!(desk.unlogged(), before);
    assert_eq!(desk.status(&late), "accepted");
    let after = ["s 2026-11-02 m 2, s 2026-11-02 n 5", "2026-11-02 7 1.000000000000 1"];
    assert_eq!(desk.unlogged(), after);
    assert_eq!(desk.status(&early), "unchanged", "a call that was late");
    assert_eq!(desk.of_sessions("unlogged_input_tokens || ' ' || unlogged_cost_usd"), "7 1.000000000000");
    assert_eq!(desk.unlogged(), after);
    // What was unlogged is in a log now: the value knows more, and the account less.
    assert_eq!(desk.status(&plain_item(&desk.user, "s", 5)), "accepted");
    assert_eq!(desk.unlogged(), ["", ""]);
}

#[test]
fn what_an_older_tallyd_sends_changes_nothing_of_what_a_newer_one_sent() {
    let desk = Desk::new();
    let newer =
        changed(item(&desk.user, "s", &[("2026-11-01", "m", 3)]), "/session_data/revision", &json!(2));
    desk.take(&newer);
    let before = desk.unlogged();
    // The older one has seen more of the session, and counts by rules that are older.
    assert_eq!(desk.status(&plain_item(&desk.user, "s", 9)), "unchanged");
    assert_eq!(desk.unlogged(), before);
    assert_eq!(desk.of_sessions("message_count::text"), "4");
}

#[test]
fn a_session_without_a_message_is_taken_for_what_is_unlogged_of_it() {
    let desk = Desk::new();
    let mut nothing = plain_item(&desk.user, "s", 0);
    nothing["daily_data"] = json!([]);
    nothing["session_data"]["estimated_cost_usd"] = json!("0");
    desk.take(&with_unlogged(nothing, &[("2026-11-05", "m", 8)]));
    assert_eq!(desk.unlogged(), ["s 2026-11-05 m 8", "2026-11-05 8 0.500000000000 1"]);
    assert_eq!(desk.of_days("count(*)::text"), "0", "a day of nothing but unlogged usage is no logged day");
    assert_eq!(desk.totals("token_usage_daily_totals"), "0 8 8 0 0.500000000000 0.500000000000 t");
}

#[test]
fn views_show_logged_unlogged_and_their_sum() {
    let desk = Desk::new();
    desk.take(&item(&desk.user, "s", &[("2026-11-01", "claude-opus-5", 3), ("2026-11-02", "m", 4)]));
    let logged = desk.totals("token_usage_session_totals");
    assert_eq!(logged, "160 7 167 4.250000000000 1.000000000000 5.250000000000 t");
    assert_eq!(
        desk.totals("token_usage_daily_totals"),
        "0 4 4 0 0.500000000000 0.500000000000 t, \
         160 3 163 4.250000000000 0.500000000000 4.750000000000 t"
    );
    assert_eq!(
        desk.totals("token_usage_model_totals"),
        "0 4 4 0 0.500000000000 0.500000000000 t, \
         160 3 163 4.250000000000 0.500000000000 4.750000000000 t"
    );
    assert_eq!(desk.of_sessions("estimated_cost_usd || ' ' || total_tokens"), "4.250000000000 160");
}

/// What a reader gets of tables and views through PostgREST.
#[test]
fn a_user_reads_his_own_unlogged_usage_and_nobody_writes_it() {
    let (desk, stack) = (Desk::new(), Stack::get());
    let neighbour = desk.database.new_user();
    for user in [&desk.user, &neighbour] {
        let (status, answer) = send(&desk.database, &item(user, "s", &[("2026-11-01", "m", 3)]));
        assert_eq!(status, 200, "{answer}");
    }
    let own = stack.token(Role::Authenticated, Some(&desk.user));
    for name in [
        "token_usage_session_unlogged",
        "token_usage_daily_unlogged",
        "token_usage_session_totals",
        "token_usage_daily_totals",
        "token_usage_model_totals",
    ] {
        let read = Request::get(&format!("/{name}?select=user_id"));
        let answer = desk.database.ask(&read.with("Authorization", &format!("Bearer {own}")));
        let rows = json_of(&answer);
        let users: Vec<_> =
            rows.as_array().expect("rows").iter().map(|row| row["user_id"].as_str()).collect();
        assert!(
            !users.is_empty() && users.iter().all(|user| *user == Some(desk.user.as_str())),
            "{name}: {rows}"
        );
        assert_eq!(desk.database.ask(&Request::get(&format!("/{name}"))).status, 401, "{name} without a key");
        let write = Request::post(&format!("/{name}"), &json!({ "user_id": desk.user }).to_string());
        let answer = desk.database.ask(&write.with("Authorization", &format!("Bearer {own}")));
        assert!(answer.status >= 400, "{name} takes {}", answer.text());
    }
}

#[test]
fn what_breaks_a_rule_is_refused_in_words_and_spoils_no_other() {
    let desk = Desk::new();
    let good = item(&desk.user, "s", &[("2026-11-01", "m", 3)]);
    let broken = [
        ("/session_data/unlogged_input_tokens", json!(2), "unlogged_input_tokens is not the sum of"),
        ("/session_data/unlogged_input_tokens", Json::Null, "unlogged_input_tokens is not the sum of"),
        ("/session_data/unlogged_cost_usd", json!("0.6"), "unlogged_cost_usd is not the sum of"),
        ("/session_data/unlogged_output_tokens", json!(-1), "unlogged_output_tokens is a negative number"),
        ("/session_data/unlogged_days", json!({}), "unlogged_days is an object; allowed: an array"),
        ("/session_data/unlogged_days", Json::Null, "is not the sum of unlogged_days[]"),
        ("/session_data/unlogged_days/0/usage_date", json!("2019-12-31"), "unlogged_days[0].usage_date is"),
        ("/session_data/unlogged_days/0/usage_date", json!("never"), "unlogged_days[0].usage_date is"),
        (
            "/session_data/unlogged_days/0/model",
            json!(""),
            "unlogged_days[0].model is a string of 0 characters",
        ),
        ("/session_data/unlogged_days/0/model", json!(7), "unlogged_days[0].model is a number"),
        ("/session_data/unlogged_days/0/unlogged_input_tokens", json!(0.5), "is a number with 1 decimals"),
        ("/session_data/unlogged_days/0/unlogged_input_tokens", json!("3x"), "is a string of 2 characters"),
        ("/session_data/unlogged_days/0/unlogged_cache_read_tokens", json!(2e15), "is above what is allowed"),
        (
            "/session_data/unlogged_days/0/unlogged_cache_creation_1h_tokens",
            json!(1),
            "of which it is a part",
        ),
        ("/session_data/unlogged_days/0/unlogged_cost_usd", json!("0.5000000000001"), "13 decimals"),
        ("/session_data/unlogged_days/0", json!(5), "unlogged_days[0] is a number; allowed: an object"),
    ];
    for (place, value, told) in broken {
        let bad = if place.ends_with("/0") {
            changed(good.clone(), "/session_data/unlogged_days", &json!([value]))
        } else {
            changed(good.clone(), place, &value)
        };
        let answers = send_batch(&desk.database, &[bad, plain_item(&desk.user, "other", 1)]);
        let message = answers[0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(told), "{place} {value}: {}", answers[0]);
        assert_eq!((&answers[0]["code"], &answers[0]["status"]), (&json!("22023"), &json!("rejected")));
        assert_ne!(answers[1]["status"], "rejected", "{place}");
    }
    let twice = [("2026-11-01", "m", 3), ("2026-11-01", "m", 4)];
    let (status, answer) = send(&desk.database, &item(&desk.user, "s", &twice));
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().is_some_and(|text| text.contains("two of 2026-11-01")), "{answer}");
    assert_eq!(
        desk.of_sessions("string_agg(session_id, ' ')"),
        "other",
        "nothing of what was refused is kept"
    );
}

#[test]
fn a_value_that_says_there_is_nothing_unlogged_is_the_value_that_is_silent() {
    let desk = Desk::new();
    desk.take(&plain_item(&desk.user, "s", 4));
    let digest = desk.of_sessions("encode(value_digest, 'hex')");
    let nothing = changed(
        plain_item(&desk.user, "s", 4),
        "/session_data/unlogged_days",
        &json!([
            { "usage_date": "2026-11-01", "model": "m", "unlogged_cost_usd": "0.000" }
        ]),
    );
    assert_eq!(desk.status(&nothing), "unchanged");
    assert_eq!(desk.of_sessions("encode(value_digest, 'hex')"), digest);
}

/// A project of contract 2 alone, by the migration that was released with it.
fn older() -> (Database, String) {
    let database = Stack::get().unserved(Template::Blank);
    database.execute(&first_migration());
    let database = database.served();
    let user = database.new_user();
    (database, user)
}

fn kept(database: &Database) -> String {
    database.text(
        "select string_agg(concat_ws(' ', session_id, total_tokens, estimated_cost_usd, encode(value_digest, 'hex'),
           (select string_agg(concat_ws('/', usage_date, model, total_tokens), ',')
            from public.token_usage_session_days as day where day.session_id = s.session_id)), '; ')
         from public.token_usage_sessions as s",
    )
}

#[test]
fn a_project_of_contract_2_takes_what_it_knows_and_ignores_the_rest() {
    let (database, user) = older();
    let (status, answer) = send(&database, &plain_item(&user, "s", 4));
    assert_eq!((status, &answer["status"]), (200, &json!("accepted")));
    let before = kept(&database);
    let (status, answer) = send(&database, &item(&user, "s", &[("2026-11-09", "m", 3)]));
    assert_eq!(
        (status, &answer["status"]),
        (200, &json!("unchanged")),
        "nothing in it is new there: {answer}"
    );
    let (status, answer) =
        send(&database, &with_unlogged(plain_item(&user, "s", 5), &[("2026-11-09", "m", 3)]));
    assert_eq!((status, &answer["status"]), (200, &json!("accepted")), "{answer}");
    assert_ne!(kept(&database), before);
    assert!(!kept(&database).contains("2026-11-09"), "{}", kept(&database));
}

#[test]
fn a_project_of_contract_2_is_brought_up_to_date_in_place_and_keeps_every_row() {
    let (database, user) = older();
    send(&database, &plain_item(&user, "s", 4));
    let before = kept(&database);
    for _ in 0..2 {
        database.execute(&migration());
        assert_eq!(kept(&database), before);
    }
    let desk = Desk { database, user };
    // PostgREST looks at the functions anew when it is told, which takes it a moment; they are called by SQL here.
    let mut client = desk.database.owner();
    client.batch_execute("set role service_role").expect("a role");
    let item = item(&desk.user, "s", &[("2026-11-01", "m", 3)]);
    let sql = "select public.upsert_token_usage($1, $2) ->> 'status'";
    let row = client.query_one(sql, &[&item["session_data"], &item["daily_data"]]).expect("it is taken");
    assert_eq!(row.get::<_, String>(0), "accepted", "sent again, it has an account");
    assert_eq!(desk.unlogged(), ["s 2026-11-01 m 3", "2026-11-01 3 0.500000000000 1"]);
}
