//! Who may do what, by role and through PostgREST: a caller without a key, with the publishable key or with
//! another user's token reads and writes nothing of a user; the user himself writes and reads his own and
//! nothing past the functions; the service key writes for all, through the functions too.

use super::{json_of, old_item, plain_item, send};
use crate::remote::gateway::Gateway;
use crate::remote::http::{Request, Response, exchange};
use crate::remote::keys::Role;
use crate::remote::{Database, Stack};
use serde_json::{Value as Json, json};
use std::net::TcpStream;

const TABLES: [&str; 3] = ["token_usage_sessions", "token_usage_session_days", "token_usage_daily"];

/// A user with rows of one session, and a neighbour.
struct Scene {
    database: Database,
    user: String,
    neighbour: String,
}

impl Scene {
    fn new() -> Self {
        let database = Stack::get().contract();
        let (user, neighbour) = (database.new_user(), database.new_user());
        let (status, answer) = send(&database, &plain_item(&user, "s", 1));
        assert_eq!((status, answer), (200, json!({ "status": "accepted", "session_id": "s" })));
        Self { database, user, neighbour }
    }

    fn token_of(user: &str) -> String {
        Stack::get().token(Role::Authenticated, Some(user))
    }

    /// Those who have no right to the user's rows: nobody, anybody, the neighbour, and nobody in particular.
    fn strangers(&self) -> [(u16, Option<String>); 4] {
        let stack = Stack::get();
        [
            (401, None),
            (401, Some(stack.token(Role::Anon, None))),
            (403, Some(Self::token_of(&self.neighbour))),
            (403, Some(stack.token(Role::Authenticated, None))),
        ]
    }

    fn ask(&self, request: &Request, token: Option<&str>) -> Response {
        let request = request.clone();
        self.database.ask(&match token {
            Some(token) => request.with("Authorization", &format!("Bearer {token}")),
            None => request,
        })
    }

    fn rows(&self) -> Vec<i64> {
        TABLES.iter().map(|table| self.database.count(table, &self.user)).collect()
    }

    /// The same as it was made.
    fn untouched(&self) {
        assert_eq!(self.rows(), [1, 1, 1]);
        let sum = format!(
            "select sum(input_tokens) from public.token_usage_sessions where user_id = '{}'",
            self.user
        );
        assert_eq!(self.database.text(&sum), "10");
    }
}

fn refused(answer: &Response, status: u16) {
    let body = json_of(answer);
    assert_eq!((answer.status, body["code"].as_str()), (status, Some("42501")), "{}", answer.text());
}

#[test]
fn strangers_call_no_function_for_a_user() {
    let scene = Scene::new();
    let item = plain_item(&scene.user, "s", 9);
    for (status, token) in scene.strangers() {
        let call = |function, body: &Json| scene.database.call(function, &body.to_string(), token.as_deref());
        refused(&call("upsert_token_usage", &item), status);
        refused(&call("upsert_token_usage", &old_item(&scene.user, "s", "2026-11-01", 9)), status);
        refused(&call("token_usage_check", &json!({ "p_user_id": scene.user })), status);
        let batch = call("upsert_token_usage_batch", &json!({ "items": [item] }));
        if batch.status == 200 {
            assert_eq!(json_of(&batch)["results"][0]["status"], "rejected", "{}", batch.text());
        } else {
            refused(&batch, status);
        }
    }
    scene.untouched();
}

#[test]
fn strangers_read_nothing_of_a_user() {
    let scene = Scene::new();
    for (_, token) in scene.strangers() {
        for table in TABLES {
            let answer = scene.ask(&Request::get(&format!("/{table}?select=user_id")), token.as_deref());
            assert!(!answer.text().contains(&scene.user), "{table}: {}", answer.text());
            assert!(answer.status == 200 || json_of(&answer)["code"] == "42501", "{}", answer.text());
        }
    }
}

#[test]
fn a_user_reads_his_own_and_the_service_key_reads_all() {
    let scene = Scene::new();
    let (own, service) = (Scene::token_of(&scene.user), Stack::get().token(Role::Service, None));
    for table in TABLES {
        let mine = scene.ask(&Request::get(&format!("/{table}?select=user_id")), Some(&own));
        assert_eq!(json_of(&mine), json!([{ "user_id": scene.user }]), "{table}");
        let path = format!("/{table}?select=user_id&user_id=eq.{}", scene.user);
        let all = scene.ask(&Request::get(&path), Some(&service));
        assert_eq!(json_of(&all), json!([{ "user_id": scene.user }]), "{table}");
    }
}

#[test]
fn the_old_daily_rows_are_for_the_service_key_alone() {
    let scene = Scene::new();
    let read = |token: Option<&str>| scene.ask(&Request::get("/token_usage_daily_before_tallyd"), token);
    assert_eq!(read(Some(&Stack::get().token(Role::Service, None))).status, 200);
    refused(&read(Some(&Scene::token_of(&scene.user))), 403);
    refused(&read(None), 401);
}

#[test]
fn nobody_writes_to_a_table() {
    let scene = Scene::new();
    let (own, service) = (Scene::token_of(&scene.user), Stack::get().token(Role::Service, None));
    for (status, token) in [(401, None), (403, Some(&own)), (403, Some(&service))] {
        for table in TABLES.iter().chain(&["token_usage_daily_before_tallyd"]) {
            let path = format!("/{table}?user_id=eq.{}", scene.user);
            let change = json!({ "user_id": scene.user }).to_string();
            let insert = Request::post(&format!("/{table}"), &change);
            let update = Request { method: "PATCH".to_owned(), ..Request::post(&path, &change) };
            let delete = Request { method: "DELETE".to_owned(), ..Request::get(&path) };
            for request in [insert, update, delete] {
                refused(&scene.ask(&request, token.map(String::as_str)), status);
            }
        }
    }
    scene.untouched();
}

#[test]
fn a_user_writes_for_himself_and_nobody_else() {
    let scene = Scene::new();
    let own = Scene::token_of(&scene.user);
    let call = |function, body: &Json| scene.database.call(function, &body.to_string(), Some(&own));
    assert_eq!(call("upsert_token_usage", &plain_item(&scene.user, "mine", 2)).status, 200);
    let check = json_of(&call("token_usage_check", &json!({ "p_user_id": scene.user })));
    assert_eq!(
        (&check["contract"], &check["user_exists"], &check["role"]),
        (&json!(3), &json!(true), &json!("authenticated"))
    );
    let items = [plain_item(&scene.neighbour, "not-mine", 2), plain_item(&scene.user, "also-mine", 2)];
    let answers = json_of(&call("upsert_token_usage_batch", &json!({ "items": items })));
    let states: Vec<_> = (0..2).map(|index| answers["results"][index]["status"].clone()).collect();
    assert_eq!(states, ["rejected", "accepted"]);
    assert_eq!(answers["results"][0]["code"], "22023");
    assert_eq!((scene.rows()[0], scene.database.count("token_usage_sessions", &scene.neighbour)), (3, 0));
}

#[test]
fn the_inner_functions_are_out_of_reach() {
    let scene = Scene::new();
    let service = Stack::get().token(Role::Service, None);
    for path in ["/rpc/merge_values", "/rpc/take", "/running_totals"] {
        assert_eq!(scene.ask(&Request::post(path, "{}"), Some(&service)).status, 404, "{path}");
        let profile = Request::post(path, "{}").with("Content-Profile", "token_usage_private");
        assert_eq!(scene.ask(&profile, Some(&service)).status, 406, "{path}");
    }
    for role in ["anon", "authenticated", "service_role"] {
        let mut client = scene.database.owner();
        client.batch_execute(&format!("set role {role}")).expect("a role");
        let call = "select token_usage_private.take('[]', null)";
        let error = client.execute(call, &[]).expect_err("no right to the schema");
        assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("42501"), "{role}");
    }
}

/// By the keys that a project's gateway knows.
#[test]
fn keys_have_the_rights_of_their_roles() {
    let scene = Scene::new();
    let stack = Stack::get();
    let gateway = Gateway::start(&scene.database);
    let call = |session: &str, headers: &[(&str, &str)]| {
        let body = plain_item(&scene.user, session, 3).to_string();
        let request = Request::post("/rest/v1/rpc/upsert_token_usage", &body).with("User-Agent", "test/1");
        let request = headers.iter().fold(request, |request, (name, value)| request.with(name, value));
        exchange(TcpStream::connect(gateway.address()).expect("a gateway"), &request)
            .expect("an answer")
            .status
    };
    let publishable = ("apikey", stack.publishable_key());
    let own = format!("Bearer {}", Scene::token_of(&scene.user));
    let other = format!("Bearer {}", Scene::token_of(&scene.neighbour));
    assert_eq!(call("none", &[]), 401);
    assert_eq!(call("publishable", &[publishable]), 401);
    assert_eq!(call("other", &[publishable, ("Authorization", &other)]), 403);
    assert_eq!(scene.rows()[0], 1);
    assert_eq!(call("own", &[publishable, ("Authorization", &own)]), 200);
    assert_eq!(call("secret", &[("apikey", stack.secret_key())]), 200);
    assert_eq!(scene.rows()[0], 3);
}

/// Someone with SQL, as a user: what he claims to be in a setting changes nothing.
#[test]
fn claims_in_a_setting_give_no_rights() {
    let scene = Scene::new();
    let item = plain_item(&scene.user, "s", 9);
    let claims = json!({ "role": "service_role", "sub": scene.neighbour }).to_string();
    for role in ["authenticated", "anon"] {
        let mut client = scene.database.owner();
        client
            .batch_execute(&format!("set role {role}; set request.jwt.claims = '{claims}'"))
            .expect("settings");
        let call = "select public.upsert_token_usage($1, $2)";
        let error =
            client.execute(call, &[&item["session_data"], &item["daily_data"]]).expect_err("no right");
        assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("42501"), "{role}");
    }
    scene.untouched();
}
