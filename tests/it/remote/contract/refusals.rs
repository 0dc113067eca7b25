//! What is no value, and the words it is refused with: the key, the kind of what stands there, what is allowed;
//! never the text that was sent. A refused item spoils no other of its batch.

use super::{Desk, changed, json_of, old_item, plain_item, send, send_batch};
use crate::remote::Stack;
use crate::remote::keys::Role;
use serde_json::{Value as Json, json};

/// Long enough to be found in any message that repeats what was sent.
const SECRET: &str = "a-text-that-no-message-may-hold";

impl Desk {
    /// The message by the single function; the batch must say the same and leave its neighbour alone.
    fn refusal(&self, item: &Json) -> String {
        let (status, answer) = send(&self.database, item);
        assert_eq!((status, answer["code"].as_str()), (400, Some("22023")), "{item}: {answer}");
        let message = answer["message"].as_str().expect("a message").to_owned();
        let good = self.item();
        let answers = send_batch(&self.database, &[good.clone(), item.clone(), good]);
        assert_ne!(answers[0]["status"], "rejected", "{answers:?}");
        assert_eq!((&answers[1]["message"], &answers[1]["code"]), (&json!(message), &json!("22023")));
        assert!(message.len() < 250 && !message.contains(SECRET), "{message}");
        assert_ne!(message, "not acceptable", "{item}");
        message
    }

    fn refuses(&self, item: &Json, words: &str) {
        let message = self.refusal(item);
        assert!(message.starts_with(words), "{item}\nexpected {words}\nfound    {message}");
    }
}

const DAY: &str = "2026-11-01";

#[test]
fn counters_are_whole_numbers_within_bounds() {
    let desk = Desk::new();
    for (place, name) in [
        ("/session_data/input_tokens", "session_data.input_tokens"),
        ("/session_data/unpriced_tokens", "session_data.unpriced_tokens"),
        ("/daily_data/0/daily_message_count", "daily_data[0].daily_message_count"),
        ("/daily_data/0/daily_web_search_requests", "daily_data[0].daily_web_search_requests"),
    ] {
        for (value, kind) in [
            (json!(-1), "a negative number"),
            (json!("-1"), "a negative number"),
            (json!(1.5), "a number with 1 decimals"),
            (json!(1_000_000_000_000_001_i64), "above what is allowed"),
            (json!("99999999999999999999999"), "above what is allowed"),
            (json!("7 "), "a string of 2 characters"),
            (json!("0x10"), "a string of 4 characters"),
            (json!("1_000"), "a string of 5 characters"),
            (json!(""), "a string of 0 characters"),
            (json!(SECRET), "a string of 31 characters"),
            (json!("007"), "a string; allowed"),
            (json!(true), "a boolean"),
            (json!([1]), "an array"),
            (json!({ "a": 1 }), "an object"),
        ] {
            desk.refuses(&desk.with(place, &value), &format!("{name} is {kind}"));
        }
    }
    for place in ["/session_data/output_tokens", "/session_data/revision"] {
        desk.refusal(&desk.with(place, &json!(0.5)));
    }
}

#[test]
fn what_a_value_needs_must_be_there() {
    let desk = Desk::new();
    for key in [
        "user_id",
        "session_id",
        "input_tokens",
        "output_tokens",
        "cache_creation_tokens",
        "cache_read_tokens",
        "message_count",
        "session_started_at",
        "last_message_at",
        "estimated_cost_usd",
        "model_used",
    ] {
        let item = desk.with(&format!("/session_data/{key}"), &Json::Null);
        desk.refuses(&item, &format!("session_data.{key} is missing"));
        let null = changed_to_null(desk.item(), "session_data", key);
        desk.refuses(&null, &format!("session_data.{key} is null"));
    }
    for key in ["usage_date", "model", "daily_input_tokens", "daily_message_count", "daily_cost_usd"] {
        let item = desk.with(&format!("/daily_data/0/{key}"), &Json::Null);
        desk.refuses(&item, &format!("daily_data[0].{key} is missing"));
    }
}

fn changed_to_null(mut item: Json, object: &str, key: &str) -> Json {
    item[object][key] = Json::Null;
    item
}

#[test]
fn costs_are_dollars_with_twelve_decimals() {
    let desk = Desk::new();
    for place in ["/session_data/estimated_cost_usd", "/daily_data/0/daily_cost_usd"] {
        // More decimals than a number can have here: an error of the cast, which a batch must outlive.
        let endless = json!(format!("0.{}1", "0".repeat(20_000)));
        let refused = ["-0.5", "1000000000.1", "0.1234567890123", "1e3", "NaN"].map(|text| json!(text));
        for value in refused.into_iter().chain([endless]) {
            let message = desk.refusal(&desk.with(place, &value));
            assert!(message.contains("_usd is ") && message.contains("12 decimals"), "{message}");
        }
    }
    let rich = changed(
        desk.with("/session_data/estimated_cost_usd", &json!(1e9)),
        "/daily_data/0/daily_cost_usd",
        &json!("1000000000.000000000000"),
    );
    assert_eq!(send(&desk.database, &rich).0, 200);
}

#[test]
fn days_times_and_names_have_their_form() {
    let desk = Desk::new();
    let after = desk.database.text("select (now() at time zone 'UTC')::date + 3");
    for day in ["2019-12-31", &after, "2026-02-30", "today", "2026-1-1", "20261101", "infinity", SECRET] {
        desk.refuses(
            &desk.with("/daily_data/0/usage_date", &json!(day)),
            "daily_data[0].usage_date is a string",
        );
    }
    let latest = desk.database.text("select (now() at time zone 'UTC')::date + 2");
    assert_eq!(send(&desk.database, &desk.with("/daily_data/0/usage_date", &json!(latest))).0, 200);
    // The year before the year 1 is written like it in the digest's text: of two such values none would win.
    let first = "0001-01-01T00:00:00+15:00";
    for time in
        ["2026-11-01", "2026-11-01T10:00:00", "2026-13-01T10:00:00Z", "now", "infinity", first, SECRET]
    {
        for key in ["session_started_at", "last_message_at"] {
            let item = desk.with(&format!("/session_data/{key}"), &json!(time));
            desk.refuses(&item, &format!("session_data.{key} is a string"));
        }
    }
    for long in [json!(""), json!("x".repeat(201)), json!(7)] {
        desk.refuses(&desk.with("/session_data/session_id", &long), "session_data.session_id is ");
        desk.refuses(&desk.with("/session_data/model_used", &long), "session_data.model_used is ");
        desk.refuses(&desk.with("/daily_data/0/model", &long), "daily_data[0].model is ");
    }
    assert_eq!(send(&desk.database, &desk.with("/session_data/session_id", &json!("é".repeat(200)))).0, 200);
}

#[test]
fn cells_add_up_and_are_one_of_a_day_and_model() {
    let desk = Desk::new();
    for key in ["input_tokens", "message_count", "thinking_tokens", "unpriced_messages", "estimated_cost_usd"]
    {
        let item = desk.with(&format!("/session_data/{key}"), &json!(39));
        desk.refuses(&item, &format!("session_data.{key} is not the sum of daily_data[]."));
    }
    let mut twice = desk.item();
    let cell = twice["daily_data"][0].clone();
    twice["daily_data"].as_array_mut().expect("cells").push(cell);
    desk.refuses(&twice, "daily_data has two cells of 2026-11-01 and the same model");
    let hour = changed(desk.item(), "/daily_data/0/daily_cache_creation_1h_tokens", &json!(41));
    let hour = changed(hour, "/session_data/cache_creation_1h_tokens", &json!(41));
    desk.refuses(&hour, "daily_data[0].daily_cache_creation_1h_tokens is above daily_cache_creation_tokens");
    let nothing = plain_item(&desk.user, "empty", 0);
    assert_eq!(send(&desk.database, &changed(nothing, "/daily_data", &json!([]))).0, 400);
}

#[test]
fn a_session_without_usage_has_no_cells() {
    let desk = Desk::new();
    let mut nothing = plain_item(&desk.user, "empty", 0);
    nothing["daily_data"] = json!([]);
    nothing["session_data"]["estimated_cost_usd"] = json!(0);
    assert_eq!(send(&desk.database, &nothing).0, 200);
    let rows = ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"];
    assert_eq!(rows.map(|table| desk.database.count(table, &desk.user)), [1, 0, 0]);
}

#[test]
fn one_user_and_one_shape_of_call() {
    let desk = Desk::new();
    let other = desk.database.new_user();
    desk.refuses(
        &desk.with("/session_data/user_id", &json!(SECRET)),
        "session_data.user_id is a string of 31",
    );
    desk.refuses(
        &desk.with("/daily_data/0/user_id", &json!(other)),
        "daily_data[0].user_id is another than session_data.user_id",
    );
    let old = old_item(&desk.user, "s", DAY, 1);
    desk.refuses(
        &changed(old.clone(), "/daily_data/user_id", &json!(other)),
        "daily_data.user_id is another",
    );
    desk.refuses(
        &changed(old.clone(), "/daily_data", &json!([])),
        "daily_data is an array; allowed without a revision",
    );
    desk.refuses(
        &desk.with("/daily_data", &json!({})),
        "daily_data is an object; allowed with a revision: an array",
    );
    desk.refuses(&desk.with("/daily_data", &json!([7])), "daily_data[0] is a number; allowed: an object");
    desk.refuses(&desk.with("/session_data", &json!([])), "session_data is an array; allowed: an object");
    for revision in [json!(0), json!(-1), json!("1000000000000001")] {
        desk.refuses(&desk.with("/session_data/revision", &revision), "session_data.revision is ");
    }
    desk.refuses(
        &changed(old.clone(), "/session_data/input_tokens", &json!(-1)),
        "session_data.input_tokens is a negative",
    );
    desk.refuses(&changed(old, "/daily_data/usage_date", &Json::Null), "daily_data.usage_date is missing");
}

#[test]
fn a_batch_has_a_limit_and_answers_in_order() {
    let desk = Desk::new();
    let token = Stack::get().token(Role::Service, None);
    let call = |items: Json| {
        let body = json!({ "items": items }).to_string();
        desk.database.call("upsert_token_usage_batch", &body, Some(&token))
    };
    let many =
        |count: usize| (0..count).map(|n| plain_item(&desk.user, &format!("s{n}"), 1)).collect::<Vec<_>>();
    let over = call(json!(many(1001)));
    assert_eq!((over.status, json_of(&over)["code"].as_str()), (400, Some("22023")), "{}", over.text());
    assert!(json_of(&over)["message"].as_str().is_some_and(|text| text.contains("an array of 1001")));
    assert_eq!(call(json!({})).status, 400);
    assert_eq!(json_of(&call(json!([]))), json!({ "results": [] }));
    assert_eq!(desk.database.count("token_usage_sessions", &desk.user), 0);
    let answers = json_of(&call(json!(many(1000))));
    for (index, answer) in answers["results"].as_array().expect("results").iter().enumerate() {
        assert_eq!(
            *answer,
            json!({ "index": index, "session_id": format!("s{index}"), "status": "accepted" })
        );
    }
    assert_eq!(desk.database.count("token_usage_sessions", &desk.user), 1000);
}

#[test]
fn items_of_another_user_are_refused_one_by_one() {
    let desk = Desk::new();
    let other = desk.database.new_user();
    let items = [json!(5), plain_item("nobody", "a", 1), desk.item(), plain_item(&other, "b", 1)];
    let answers = send_batch(&desk.database, &items);
    let states: Vec<_> = answers.iter().map(|answer| answer["status"].as_str()).collect();
    assert_eq!(states, [Some("rejected"), Some("rejected"), Some("accepted"), Some("rejected")]);
    assert_eq!(desk.database.count("token_usage_sessions", &other), 0);
}

#[test]
fn an_unknown_user_fails_the_whole_call() {
    let desk = Desk::new();
    let unknown = "00000000-0000-4000-8000-000000000000";
    for item in [plain_item(unknown, "s", 1), old_item(unknown, "s", DAY, 1)] {
        let (status, answer) = send(&desk.database, &item);
        assert_eq!((status, answer["code"].as_str()), (409, Some("23503")), "{answer}");
        let token = Stack::get().token(Role::Service, None);
        let body = json!({ "items": [item] }).to_string();
        assert_eq!(desk.database.call("upsert_token_usage_batch", &body, Some(&token)).status, 409);
    }
}

/// What the quick checks take, the slow ones find no fault with.
#[test]
fn both_kinds_of_check_agree_on_what_is_good() {
    let desk = Desk::new();
    let good = [
        desk.item(),
        desk.with("/session_data/revision", &json!("1000000000000000")),
        desk.with("/session_data/input_tokens", &json!("40")),
        desk.with("/session_data/unknown", &json!(SECRET)),
        desk.with("/session_data/user_id", &json!(desk.user.to_uppercase())),
        desk.with("/session_data/session_started_at", &json!("2026-11-01 11:00:00.5+01:00")),
        changed_to_null(desk.item(), "session_data", "thinking_tokens"),
    ];
    for item in good {
        let (status, answer) = send(&desk.database, &item);
        assert_eq!(status, 200, "{item}: {answer}");
        let mut client = desk.database.owner();
        let row = client.query_one(
            "select token_usage_private.fault($1, $2, $3::text::uuid)",
            &[&item["session_data"], &item["daily_data"], &desk.user],
        );
        assert_eq!(row.expect("an answer").get::<_, Option<String>>(0), None, "{item}");
    }
}
