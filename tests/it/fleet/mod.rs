//! `scripts/fleet` against a fake `fly` and, where users and rows matter, the real project: what is found, what is
//! changed and what is not, what a kill at any point leaves, and that no secret shows anywhere.
#![cfg(test)]

mod project;
mod scene;

use pretty_assertions::assert_eq;
use scene::{FLY_TOKEN, OTHER, Scene, output, pairs, run, user, verdicts};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

/// One app of each kind that `set` has something to do with.
fn mixed() -> Scene {
    let mut scene = Scene::new();
    for (number, name) in ["a-right", "b-wrong", "c-unset"].iter().enumerate() {
        scene.list(&user(number), name);
    }
    scene.app("a-right", Some(&user(0)));
    scene.app("b-wrong", Some(OTHER));
    scene.app("c-unset", None);
    scene
}

#[test]
fn a_dry_run_says_what_it_would_set_and_changes_nothing() {
    let scene = mixed();
    let expected = pairs(&[("a-right", "right"), ("b-wrong", "wrong"), ("c-unset", "unset")]);
    assert_eq!(verdicts(&mut scene.fleet("check"), 4), expected);
    assert_eq!(verdicts(&mut scene.fleet("set"), 4), expected);
    let (out, _) = run(&mut scene.fleet("set"), 4);
    assert!(out.contains(&format!("it publishes as {OTHER}; --apply sets USER_ID")), "{out}");
    assert_eq!((scene.effects(), scene.path("state.json").exists()), (Vec::<String>::new(), false));
}

#[test]
fn apply_sets_exactly_the_wrong_ones_and_once() {
    let scene = mixed();
    let all_right = pairs(&[("a-right", "right"), ("b-wrong", "right"), ("c-unset", "right")]);
    assert_eq!(verdicts(&mut scene.fleet("set --apply --jobs 1"), 0), all_right);
    let done = [
        "secrets import b-wrong",
        "secrets deploy b-wrong",
        "secrets import c-unset",
        "secrets deploy c-unset",
    ];
    assert_eq!(scene.effects(), done);
    assert_eq!((scene.user_of("b-wrong"), scene.user_of("c-unset")), (user(1), user(2)));
    let mode = fs::metadata(scene.path("state.json")).expect("the state").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(verdicts(&mut scene.fleet("set --apply"), 0), all_right);
    assert_eq!(scene.effects(), done, "what is right is left alone");
}

/// The call at which it is killed, which of them, and whether fly ends what it has begun, does not begin it, or
/// has done it already.
const KILLS: [(&str, usize, &str); 11] = [
    ("secrets list", 0, "kill"),
    ("secrets list", 1, "kill"),
    ("secrets list", 2, "kill"),
    ("ssh console", 0, "kill"),
    ("ssh console", 1, "kill"),
    ("secrets import", 0, "kill"),
    ("secrets import", 0, "kill and die"),
    ("secrets import", 0, "kill after"),
    ("secrets deploy", 0, "kill"),
    ("secrets deploy", 0, "kill and die"),
    ("secrets deploy", 0, "kill after"),
];

#[test]
fn killed_at_any_point_it_goes_on_and_does_nothing_twice() {
    for (what, which, how) in KILLS {
        let mut scene = Scene::new();
        scene.wrong_apps(&["app-a", "app-b"]);
        let before = json!({"what": what, "app": "app-b", "times": which, "do": "nothing"});
        scene.plan(&json!([before, {"what": what, "app": "app-b", "do": how}]));
        let with_key = || {
            let mut command = scene.fleet("set --apply --jobs 2 --secret KEY");
            command.env("KEY", "sb_secret_CANARY");
            command
        };
        let ended = output(&mut with_key());
        assert_eq!(ended.status.signal(), Some(9), "{what}, {which}, {how}: {ended:?}");
        let right = pairs(&[("app-a", "right"), ("app-b", "right")]);
        assert_eq!(verdicts(&mut with_key(), 0), right, "{what}, {which}, {how}");
        let mut done = scene.effects();
        done.sort();
        let expected =
            ["secrets deploy app-a", "secrets deploy app-b", "secrets import app-a", "secrets import app-b"];
        assert_eq!(done, expected, "{what}, {which}, {how}");
        assert_eq!(scene.user_of("app-b"), user(1));
    }
}

#[test]
fn ended_by_hand_it_finishes_what_it_has_begun_and_begins_nothing() {
    let mut scene = Scene::new();
    scene.wrong_apps(&["app-a", "app-b", "app-c"]);
    scene.plan(&json!([{"what": "secrets import", "app": "app-a", "do": "interrupt"}]));
    let (out, err) = run(&mut scene.fleet("set --apply --jobs 1"), 130);
    assert!(out.is_empty() && err.contains("run it again to go on"), "{out}{err}");
    assert_eq!(scene.effects(), ["secrets import app-a"]);
    run(&mut scene.fleet("set --apply --jobs 1"), 0);
    assert_eq!(scene.effects().len(), 6, "{:?}", scene.effects());
}

#[test]
fn an_app_that_was_never_deployed_has_its_user_when_it_is() {
    let mut scene = Scene::new();
    scene.app("app-a", None);
    scene.list(&user(0), "app-a");
    scene.change("app-a", "machines", json!([]));
    assert_eq!(verdicts(&mut scene.fleet("set --apply"), 8), pairs(&[("app-a", "empty")]));
    assert_eq!(scene.read_app("app-a")["vault"]["USER_ID"], user(0));
    let (out, _) = run(&mut scene.fleet("set --apply"), 8);
    assert!(out.contains("USER_ID is in the vault as it should be"), "{out}");
    assert_eq!(scene.effects(), ["secrets import app-a"]);
}

#[test]
fn staged_it_waits_for_the_next_deploy() {
    let mut scene = Scene::new();
    scene.wrong_apps(&["app-a"]);
    assert_eq!(verdicts(&mut scene.fleet("set --apply --stage"), 4), pairs(&[("app-a", "staged")]));
    assert_eq!(verdicts(&mut scene.fleet("check"), 4), pairs(&[("app-a", "staged")]));
    let vault = scene.read_app("app-a")["vault"].clone();
    scene.change("app-a", "deployed", vault);
    assert_eq!(verdicts(&mut scene.fleet("set --apply"), 0), pairs(&[("app-a", "right")]));
    scene.change("app-a", "machines", json!([["m", "stopped"]]));
    assert_eq!(verdicts(&mut scene.fleet("check"), 0), pairs(&[("app-a", "right")]));
    assert_eq!(scene.effects(), ["secrets import app-a"]);
}

#[test]
fn what_passes_is_tried_again_and_one_app_that_fails_stops_no_other() {
    let mut scene = Scene::new();
    scene.wrong_apps(&["app-a", "app-b", "app-c", "app-d"]);
    let refused = "You must be authenticated to view this.";
    scene.plan(&json!([
        {"what": "secrets list", "app": "app-a", "times": 2, "do": "fail", "stderr": "429 Too Many Requests"},
        {"what": "secrets deploy", "app": "app-b", "times": 9, "do": "fail", "stderr": "request returned 503"},
        {"what": "secrets import", "app": "app-c", "times": 9, "do": "fail", "stderr": refused},
    ]));
    let expected = pairs(&[("app-a", "right"), ("app-b", "failed"), ("app-c", "failed"), ("app-d", "right")]);
    assert_eq!(verdicts(&mut scene.fleet("set --apply --tries 3"), 7), expected);
    let tried = |what: &str, app: &str| {
        scene
            .calls()
            .iter()
            .filter(|call| call["what"] == what && call["app"] == app && call["args"].is_array())
            .count()
    };
    assert_eq!((tried("secrets deploy", "app-b"), tried("secrets import", "app-c")), (3, 1));
    scene.plan(&json!([]));
    let (out, _) = run(&mut scene.fleet("set --apply"), 0);
    assert_eq!(out.matches("deployed").count(), 2, "{out}");
    let imported = scene.effects().iter().filter(|done| *done == "secrets import app-b").count();
    assert_eq!(imported, 1, "what had been put into the vault was not put there again");
}

#[test]
fn no_more_apps_at_a_time_than_allowed() {
    let mut scene = Scene::new();
    scene.wrong_apps(&["app-a", "app-b", "app-c", "app-d", "app-e", "app-f"]);
    scene.plan(&json!([{"what": "secrets list", "times": 6, "do": "gather", "least": 2}]));
    run(&mut scene.fleet("check --jobs 2"), 4);
    let (mut now, mut most) = (std::collections::HashSet::new(), 0);
    for call in scene.calls() {
        let pid = call["pid"].as_u64().expect("a process");
        if call["event"] == "begin" {
            now.insert(pid)
        } else {
            now.remove(&pid)
        };
        most = most.max(now.len());
    }
    assert_eq!(most, 2);
}

#[test]
fn a_key_reaches_fly_by_stdin_alone_and_is_shown_nowhere() {
    let scene = mixed();
    let (secret, other) = ("sb_secret_CANARYkey", "sb_secret_CANARYother");
    fs::write(scene.path("key"), format!("{other}\n")).expect("a file");
    let with_key = |line: &str, value: &str| {
        let mut command = scene.fleet(line);
        command.args(["--secret", "MAIN_KEY", "--secret-file", "OTHER_KEY"]).arg(scene.path("key"));
        command.env("MAIN_KEY", value).env("DATABASE_URL", "");
        command
    };
    let mut said = Vec::new();
    let mut say = |(out, err): (String, String)| said.extend([out, err]);
    say(run(&mut with_key("set", secret), 4));
    assert_eq!(scene.effects().len(), 0);
    scene.plan(&json!([{"what": "secrets import", "app": "b-wrong", "do": "fail",
                        "stderr": "Secrets must be provided as NAME=VALUE pairs (STDIN is invalid)"}]));
    say(run(&mut with_key("set --apply", secret), 7));
    say(run(&mut with_key("set --apply", secret), 0));
    let done = scene.effects().len();
    assert_eq!(done, 6, "each app once: {:?}", scene.effects());
    assert_eq!(scene.read_app("a-right")["deployed"]["MAIN_KEY"], secret);
    assert_eq!(scene.read_app("c-unset")["deployed"]["OTHER_KEY"], other);
    say(run(&mut with_key("set --apply", secret), 0));
    assert_eq!(scene.effects().len(), done, "the same key is not set again");
    say(run(&mut with_key("set --apply", "sb_secret_CANARYnew"), 0));
    assert_eq!(scene.effects().len(), done + 6, "another key is");
    say((fs::read_to_string(scene.path("state.json")).expect("the state"), String::new()));
    for call in scene.calls().iter().filter(|call| call["event"] == "begin") {
        let place = format!("{} {}", call["args"], call["env"]);
        assert!(!place.contains("CANARYkey") && !place.contains("CANARYother"), "{place}");
        let stdin = call["stdin"].as_str().expect("a text");
        assert_eq!(stdin.contains("CANARY"), call["what"] == "secrets import", "{call}");
        assert_eq!(call["env"]["FLY_API_TOKEN"], FLY_TOKEN);
    }
    assert!(said.iter().all(|text| !text.contains("CANARY")), "{said:#?}");
}

#[test]
fn a_key_in_an_argument_is_refused_with_a_word() {
    let scene = mixed();
    let token = "eyJhbGciOiJIUzI1NiJ9.CANARY";
    for pasted in [
        "set --secret SUPABASE_SERVICE_KEY=sb_secret_CANARY",
        &format!("set --secret {token}"),
        "check --fly FlyV1_CANARY",
        "check postgresql://postgres:CANARY@db.example.com/postgres",
    ] {
        let (out, err) = run(&mut scene.fleet(pasted), 2);
        assert!(err.contains("holds a key, a token or a password") && !err.contains("CANARY"), "{out}{err}");
    }
    let (_, err) = run(&mut scene.fleet("set --secret SUPABASE_SERVICE_KEY"), 2);
    assert!(err.contains("there is no variable SUPABASE_SERVICE_KEY"), "{err}");
    assert_eq!(scene.calls().len(), 0);
}

#[test]
fn what_is_wrong_with_an_app_is_told_apart() {
    let mut scene = Scene::new();
    let names =
        ["blocked", "empty", "foreign", "gone", "idle-tallyd", "off", "stopped", "suspended", "twice"];
    for (number, name) in names.iter().enumerate() {
        scene.app(name, Some(&user(number)));
        scene.list(&user(number), name);
    }
    scene.list(&user(8), "twice");
    scene.change("empty", "machines", json!([]));
    for name in ["stopped", "suspended"] {
        scene.change(name, "machines", json!([[format!("m-{name}"), name]]));
    }
    fs::remove_file(scene.path("fake/apps/gone.json")).expect("an app");
    let check = |check: &str, detail: &str| json!({"check": check, "state": "wrong", "detail": detail, "exitCode": 13});
    scene.change("foreign", "checks", json!([check("owner", "the ledger belongs to another")]));
    scene.change("blocked", "checks", json!([check("key", "no key\u{1b}[2J")]));
    scene.change("idle-tallyd", "checks", json!([{"check": "ledger", "state": "ok", "daemon": null}]));
    let off =
        json!({"check": "publishing", "state": "ok", "enabled": false, "detail": "off: it is switched off"});
    scene.change("off", "checks", json!([off]));
    scene.app("stranger", None);
    let verdict = |name: &str| {
        match name {
            "gone" => "missing",
            "idle-tallyd" => "no tallyd",
            "stopped" | "suspended" => "asleep",
            "twice" => "right",
            other => other,
        }
        .to_owned()
    };
    let mut expected: Vec<(String, String)> =
        names.iter().map(|name| ((*name).to_owned(), verdict(name))).collect();
    expected.push(("stranger".to_owned(), "unlisted".to_owned()));
    assert_eq!(verdicts(&mut scene.fleet("check --unlisted str*"), 6), expected);
    let (out, _) = run(&mut scene.fleet("check"), 6);
    assert!(out.contains("listed 2 times") && out.contains("key: no key\\u{1b}[2J"), "{out}");
    assert_eq!(scene.effects().len(), 0);
    let awake = verdicts(&mut scene.fleet("check stopped suspended --wake"), 0);
    assert_eq!(awake, pairs(&[("stopped", "right"), ("suspended", "right")]));
}

/// Auto-stop ends a machine as soon as nobody asks it anything.
#[test]
fn a_stopped_app_is_known_by_the_digest_of_what_was_set_from_here() {
    let mut scene = Scene::new();
    scene.wrong_apps(&["app-a"]);
    run(&mut scene.fleet("set --apply"), 0);
    scene.change("app-a", "machines", json!([["m", "stopped"]]));
    let (out, _) = run(&mut scene.fleet("check"), 0);
    assert!(out.contains("right    digest"), "{out}");
    scene.change("app-a", "vault", json!({"USER_ID": OTHER}));
    assert_eq!(verdicts(&mut scene.fleet("check"), 8), pairs(&[("app-a", "asleep")]));
    let (out, _) = run(&mut scene.fleet("set --apply --unknown"), 0);
    assert!(out.contains("set USER_ID, deployed"), "{out}");
    assert_eq!(scene.user_of("app-a"), user(0));
}

#[test]
fn two_runs_at_a_time_are_one_too_many() {
    let mut scene = Scene::new();
    scene.wrong_apps(&["app-a"]);
    let lock = fs::File::create(scene.path("state.json.lock")).expect("a lock");
    lock.lock().expect("it can be locked");
    let (_, err) = run(&mut scene.fleet("set --apply --timeout 0.2"), 5);
    assert!(err.contains("another run") && scene.calls().is_empty(), "{err}");
    drop(lock);
    run(&mut scene.fleet("set --apply"), 0);
}
