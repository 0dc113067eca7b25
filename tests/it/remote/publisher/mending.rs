//! What a person has to mend: each fault is told apart, told once and loudly, keeps everything, and is over
//! at once when it is mended.

use super::following::Running;
use super::{Scene, assert_sent, obstacle};
use crate::process::eventually;
use crate::remote::faults::{Fault as Cause, always};
use crate::remote::http::Response;
use crate::remote::keys::Role;
use crate::remote::{Stack, Template};
use tallyd::ledger::{PublishNote, Reassign};
use tallyd::publish::{Drained, Fault, KeyChoice, Obstacle, PublishOptions, Publisher};

#[track_caller]
fn fault(drained: &Drained) -> &Fault {
    match obstacle(drained) {
        Obstacle::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// In the way at the start and again at the end, told once, in the log and in the ledger, with what mends it.
#[track_caller]
fn is_told_once(scene: &Scene, options: &PublishOptions, kind: &str, help: &str) {
    let waiting = scene.waiting();
    let drained = scene.drain(&mut scene.publisher_with(options.clone()));
    let fault = fault(&drained);
    assert_eq!(fault.kind(), kind, "{fault:?}");
    assert!(fault.help(options).contains(help), "{}", fault.help(options));
    assert_eq!((drained.sent, drained.left), (0, waiting));
    assert!(scene.log.lines("ERROR").is_empty(), "who asks is told by the answer");

    let noted = || scene.outbox().noted().expect("the ledger can be read").refusal;
    scene.outbox().note(&PublishNote::default()).expect("the ledger can be written");
    let running = Running::start(scene, scene.publisher_with(options.clone()));
    eventually("the fault is noted", || noted().is_some());
    running.stop();
    let lines = scene.log.lines("ERROR");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains(help), "{lines:#?}");
    assert_eq!(scene.log.lines("WARN").len(), 1, "what is left at the end: {}", scene.log.text());
    let noted = noted().expect("it is noted");
    assert_eq!(noted.kind, kind);
    assert!(noted.help.contains(help), "{noted:?}");
    assert_eq!(scene.waiting(), waiting);
}

#[test]
fn a_user_who_does_not_exist() {
    let scene = Scene::with_sessions(3);
    let remove = format!("delete from auth.users where id = '{}'", scene.user);
    scene.database.admin().batch_execute(&remove).expect("a user can be removed");
    let mut options = scene.options();
    options.fly_app = Some("meter".to_owned());
    is_told_once(&scene, &options, "unknown_user", "fly secrets set USER_ID=<the user's UUID> --app meter");
    assert!(scene.sent().is_empty(), "asking was enough");

    let sessions = scene.waiting();
    let add = format!("insert into auth.users (id, email) values ('{}', 'again@example.com')", scene.user);
    scene.database.admin().batch_execute(&add).expect("a user can be added");
    assert_sent(&scene.drain(&mut scene.publisher_with(options)), sessions);
    scene.assert_published();
}

#[test]
fn a_user_who_is_removed_while_tallyd_runs() {
    let scene = Scene::new();
    let mut publisher = scene.publisher();
    scene.grow("a");
    assert_sent(&scene.drain(&mut publisher), 1);
    let remove = format!("delete from auth.users where id = '{}'", scene.user);
    scene.database.admin().batch_execute(&remove).expect("a user can be removed");
    scene.grow("b");
    assert_eq!(fault(&scene.drain(&mut publisher)).kind(), "unknown_user");
    assert_eq!(scene.waiting(), 1);
}

#[test]
fn a_key_that_the_project_does_not_know() {
    let scene = Scene::with_sessions(2);
    let canary = "sb_secret_CANARYcanaryCANARY_1234";
    let options = scene.options_with(KeyChoice::service(canary).expect("a key by its looks"));
    is_told_once(&scene, &options, "key_refused", "SUPABASE_SERVICE_KEY");
    // A server may repeat what it was sent.
    let echo = format!(r#"{{"message":"Invalid API key: {canary}"}}"#);
    scene.gateway.plan(always(Cause::Instead(Response::new(401, "application/json", echo))));
    let mut publisher = scene.publisher_with(options.clone());
    let drained = scene.drain(&mut publisher);
    assert!(fault(&drained).what().contains("Invalid API key: …"), "{drained:?}");
    let noted = scene.outbox().noted().expect("the ledger can be read");
    let shown = format!("{options:?} {publisher:?} {drained:?} {noted:?} {}", scene.log.text());
    assert!(!shown.contains("CANARY"), "{shown}");
}

#[test]
fn a_token_that_has_expired() {
    let scene = Scene::with_sessions(1);
    let token = Stack::get().expired_token_of(&scene.user);
    let (key, _) = KeyChoice::user(Stack::get().publishable_key(), &token).expect("a token by its looks");
    is_told_once(&scene, &scene.options_with(key), "expired", "get a new one");
}

#[test]
fn a_token_of_another_user() {
    let scene = Scene::with_sessions(1);
    let other = scene.database.new_user();
    let token = Stack::get().token(Role::Authenticated, Some(&other));
    let (key, _) = KeyChoice::user(Stack::get().publishable_key(), &token).expect("a token");
    is_told_once(&scene, &scene.options_with(key), "forbidden", "sign in as the user of USER_ID");
    assert_eq!(scene.database.count("token_usage_sessions", &scene.user), 0);
    assert_eq!(scene.database.count("token_usage_sessions", &other), 0);
}

#[test]
fn a_project_without_the_contract() {
    for template in [Template::Blank, Template::Prototype] {
        let scene = Scene::on(Stack::get().database(template));
        scene.grow("a");
        is_told_once(&scene, &scene.options(), "no_contract", "tallyd schema | psql");
        assert!(scene.sent().is_empty(), "nothing is sent to a server that would count it otherwise");
    }
}

#[test]
fn a_contract_that_is_gone_is_not_blamed_on_a_session() {
    let scene = Scene::on(Stack::get().database(Template::Contract));
    let mut publisher = scene.publisher();
    scene.grow("a");
    assert_sent(&scene.drain(&mut publisher), 1);
    scene.database.execute(
        "drop function public.token_usage_check(uuid);
         drop function public.upsert_token_usage(jsonb, jsonb);
         create function public.upsert_token_usage(session_data jsonb, daily_data jsonb) returns void
           language plpgsql as $$ begin raise exception using errcode = '23502'; end $$;
         notify pgrst, 'reload schema';",
    );
    scene.grow("b");
    // PostgREST reads the schema when it comes to it.
    let mut drained = scene.drain(&mut publisher);
    while matches!(drained.obstacle, Some(Obstacle::Transient { .. })) {
        drained = scene.drain(&mut publisher);
    }
    assert_eq!(fault(&drained).kind(), "no_contract");
    assert_eq!((drained.left, drained.parked), (1, 0));
}

#[test]
fn a_ledger_of_another_user_is_sent_to_nobody_unasked() {
    let scene = Scene::with_sessions(4);
    let sessions = scene.waiting();
    assert_sent(&scene.drain(&mut scene.publisher()), sessions);
    scene.grow("a");
    let before = scene.gateway.seen().len();
    let other = scene.database.new_user();
    let mut options = scene.options();
    options.destination.user = tallyd::domain::UserId::parse(&other).expect("a user");
    is_told_once(&scene, &options, "foreign_ledger", "tallyd reassign");
    assert_eq!(scene.gateway.seen().len(), before, "not even a question was asked");
    scene.outbox().reassign(&options.destination, Reassign::Everything).expect("the ledger can be written");
    assert_sent(&scene.drain(&mut scene.publisher_with(options)), sessions + 1);
    assert_eq!(scene.database.count("token_usage_sessions", &other), i64::try_from(sessions + 1).unwrap());
}

#[test]
fn a_project_that_is_paused() {
    let scene = Scene::with_sessions(1);
    scene.gateway.plan(always(Cause::Instead(Response::new(540, "text/html", "<h1>Project paused</h1>"))));
    is_told_once(&scene, &scene.options(), "paused", "restore the project");
}

/// What follows a fault is asked about before anything is sent.
#[test]
fn after_a_fault_the_project_is_asked_again() {
    let scene = Scene::new();
    let mut publisher: Publisher = scene.publisher();
    scene.grow("a");
    let refusal = r#"{"code":"23503","message":"as asked","details":null,"hint":null}"#;
    let conflict = Cause::Instead(Response::new(409, "application/json", refusal));
    scene.gateway.plan(super::only_upserts(always(conflict)));
    assert_eq!(fault(&scene.drain(&mut publisher)).kind(), "unknown_user");
    scene.gateway.heal();
    assert_sent(&scene.drain(&mut publisher), 1);
    assert_eq!(scene.calls("rpc/token_usage_check").len(), 2);
}
