//! The gateway itself: each key is taken or refused as the hosted one does, each fault does what it says,
//! and what a test is told happened is what happened in the database.

use super::faults::{Fault, always, chaos, http_date, in_turn};
use super::gateway::Gateway;
use super::http::{Request, Response, exchange};
use super::keys::Role;
use super::{Database, Stack, Template};
use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A table that counts calls, and who it was that called.
const FUNCTIONS: &str = r"
    create table public.calls (id int generated always as identity, caller text);
    create function public.call(word text) returns jsonb language sql security definer as $$
      insert into public.calls (caller) values (coalesce(auth.role(), 'nobody'));
      select jsonb_build_object('word', word, 'role', auth.role(), 'user', auth.uid()) $$;";

struct Trial {
    database: Database,
    gateway: Gateway,
}

impl Trial {
    fn new() -> Self {
        let database = Stack::get().unserved(Template::Blank);
        database.execute(FUNCTIONS);
        let database = database.served();
        let gateway = Gateway::start(&database);
        Self { database, gateway }
    }

    /// One call on a connection of its own.
    fn send(&self, request: &Request) -> io::Result<Response> {
        exchange(TcpStream::connect(self.gateway.address())?, request)
    }

    fn call(&self) -> io::Result<Response> {
        self.send(&plain().with("apikey", Stack::get().secret_key()))
    }

    fn calls(&self) -> String {
        self.database.text("select count(*) from public.calls")
    }

    /// One call that meets this fault; what came of it, and how often the database did as asked.
    fn meet(&self, fault: Fault) -> (io::Result<Response>, String) {
        self.gateway.plan(in_turn([fault]));
        let before: u32 = self.calls().parse().expect("a count");
        let answer = self.call();
        self.gateway.wait_until(|seen| seen.iter().all(|seen| seen.is_over));
        let after: u32 = self.calls().parse().expect("a count");
        (answer, (after - before).to_string())
    }
}

fn plain() -> Request {
    Request::post("/rest/v1/rpc/call", r#"{"word":"hello"}"#).with("User-Agent", "tallyd/0.1.0")
}

#[test]
fn keys_of_the_new_kind_stand_for_a_role() {
    let (trial, stack) = (Trial::new(), Stack::get());
    let answer = trial.call().expect("an answer");
    assert_eq!((answer.status, answer.field("role").as_str()), (200, "service_role"));
    let publishable = plain().with("apikey", stack.publishable_key());
    assert_eq!(trial.send(&publishable).expect("an answer").field("role"), "anon");
    let user = trial.database.new_user();
    let bearer = format!("Bearer {}", stack.token(Role::Authenticated, Some(&user)));
    let answer = trial.send(&publishable.with("Authorization", &bearer)).expect("an answer");
    assert_eq!((answer.field("role"), answer.field("user")), ("authenticated".to_owned(), user));
}

#[test]
fn a_legacy_key_is_a_token_and_says_so_itself() {
    let (trial, stack) = (Trial::new(), Stack::get());
    let key = stack.token(Role::Service, None);
    let alone = plain().with("apikey", &key);
    assert_eq!(trial.send(&alone).expect("an answer").field("role"), "anon");
    let both = alone.with("Authorization", &format!("Bearer {key}"));
    assert_eq!(trial.send(&both).expect("an answer").field("role"), "service_role");
}

#[test]
fn what_the_hosted_gateway_refuses_is_refused() {
    let (trial, secret) = (Trial::new(), Stack::get().secret_key());
    let message = |request: &Request, status: u16| {
        let answer = trial.send(request).expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
        answer.field("message")
    };
    assert_eq!(message(&plain(), 401), "No API key found in request");
    assert_eq!(message(&plain().with("apikey", "sb_secret_other"), 401), "Invalid API key");
    let browser = plain().without("User-Agent").with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)");
    let browser = browser.with("apikey", secret);
    assert_eq!(message(&browser, 401), "Forbidden use of secret API key in browser");
    let twice = plain().with("apikey", secret).with("Authorization", &format!("Bearer {secret}"));
    // PostgREST's own words: a key is no token.
    assert!(message(&twice, 401).starts_with("JWSError"));
    let elsewhere = Request::get("/auth/v1/user").with("apikey", secret);
    assert_eq!(message(&elsewhere, 404), "no Route matched with those values");
    assert_eq!(trial.calls(), "0");
}

#[test]
fn every_request_is_written_down() {
    let trial = Trial::new();
    trial.call().expect("an answer");
    let seen = trial.gateway.wait_until(|seen| seen.len() == 1 && seen[0].is_over);
    let request = &seen[0].request;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/rest/v1/rpc/call"));
    assert_eq!((request.text().as_str(), seen[0].upstream), (r#"{"word":"hello"}"#, Some(200)));
    assert_eq!(request.header("APIKEY"), Some(Stack::get().secret_key()));
    assert!(seen[0].fault.is_none());
}

#[test]
fn an_answer_that_is_lost_leaves_the_row_there() {
    let trial = Trial::new();
    let (answer, calls) = trial.meet(Fault::LoseAnswer);
    assert_eq!(answer.expect_err("no answer").kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(calls, "1");
    assert_eq!(trial.gateway.seen()[0].upstream, Some(200));
}

#[test]
fn a_cut_before_leaves_nothing_and_a_cut_after_half_an_answer() {
    let trial = Trial::new();
    let (answer, calls) = trial.meet(Fault::CutBefore);
    assert!(answer.is_err());
    assert_eq!((calls.as_str(), trial.gateway.seen()[0].upstream), ("0", None));
    let (answer, calls) = trial.meet(Fault::CutAnswer);
    assert_eq!(answer.expect_err("half an answer").kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(calls, "1");
}

#[test]
fn what_is_answered_instead_never_reaches_the_database() {
    let trial = Trial::new();
    for (fault, status, header, value, words) in [
        (Fault::too_many("7"), 429, "Retry-After", "7", "Too many"),
        (Fault::too_many(&http_date(784_111_777)), 429, "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT", ""),
        (Fault::unavailable(), 503, "Content-Type", "text/plain", "upstream"),
        (Fault::too_large(), 413, "Content-Type", "text/html", "413"),
        (Fault::captive_portal(), 200, "Content-Type", "text/html; charset=utf-8", "DOCTYPE html"),
        (Fault::redirect("http://127.0.0.1:1/"), 302, "Location", "http://127.0.0.1:1/", ""),
        (Fault::foreign_json(), 200, "Content-Type", "application/json; charset=utf-8", r#"{"status"#),
        (Fault::truncated_json(), 200, "Content-Length", "27", "sta"),
    ] {
        let (answer, calls) = trial.meet(fault);
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, calls.as_str()), (status, "0"), "{}", answer.text());
        assert_eq!(answer.header(header), Some(value));
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let (answer, _) = trial.meet(Fault::empty());
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.body.len(), answer.header("Content-Length")), (204, 0, None));
    for code in ["57014", "40P01"] {
        let (answer, calls) = trial.meet(Fault::database_error(code));
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.field("code").as_str(), calls.as_str()), (500, code, "0"));
    }
}

#[test]
fn a_plan_may_look_at_what_arrives() {
    let trial = Trial::new();
    trial.gateway.plan(Box::new(|arrival| {
        let is_meant = arrival.number == 1 && arrival.request.path.ends_with("/rpc/call");
        is_meant.then(|| Fault::too_many(""))
    }));
    let answers = [0, 1, 2].map(|_| trial.call().expect("an answer"));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 429, 200]);
    assert_eq!(answers[1].header("Retry-After"), None);
}

#[test]
fn what_is_answered_afterwards_was_done() {
    let trial = Trial::new();
    let Fault::Instead(answer) = Fault::unavailable() else { panic!("an answer") };
    let (answer, calls) = trial.meet(Fault::Afterwards(answer));
    assert_eq!((answer.expect("an answer").status, calls.as_str()), (503, "1"));
}

#[test]
fn a_delayed_answer_comes_after_its_time() {
    let trial = Trial::new();
    let begun = Instant::now();
    let (answer, calls) = trial.meet(Fault::Delay(Duration::from_millis(200)));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!((answer.expect("an answer").status, calls.as_str()), (200, "1"));
}

#[test]
fn an_answer_that_drips_outlasts_the_patience_of_a_client() {
    let trial = Trial::new();
    trial.gateway.plan(always(Fault::Drip));
    let stream = TcpStream::connect(trial.gateway.address()).expect("the gateway listens");
    let request = plain().with("apikey", Stack::get().secret_key());
    let client = std::thread::spawn(move || exchange(stream, &request));
    trial.gateway.wait_until(|seen| seen.first().is_some_and(|seen| seen.upstream.is_some()));
    assert!(!client.is_finished() && trial.calls() == "1");
    // The body has begun and has no end: the client sees one only when the gateway goes away.
    drop(trial.gateway);
    assert!(client.join().expect("the client ends").is_err());
}

#[test]
fn a_closed_gateway_refuses_and_an_opened_one_is_where_it_was() {
    let mut trial = Trial::new();
    let url = trial.gateway.url();
    assert_eq!(trial.call().expect("an answer").status, 200);
    trial.gateway.close();
    assert_eq!(trial.call().expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
    trial.gateway.open();
    assert_eq!(trial.call().expect("an answer").status, 200);
    assert_eq!((trial.gateway.url(), trial.calls().as_str()), (url, "2"));
}

#[test]
fn chaos_is_the_same_for_a_seed_and_as_frequent_as_asked() {
    let arrival = super::faults::Arrival { number: 0, request: Request::get("/") };
    let drawn = |seed| {
        let mut plan = chaos(seed, vec![(20, Fault::LoseAnswer), (10, Fault::unavailable())]);
        (0..10_000).map(|_| format!("{:?}", plan(&arrival))).collect::<Vec<_>>()
    };
    let first = drawn(1);
    assert!(first == drawn(1) && first != drawn(2));
    let count = |word: &str| first.iter().filter(|fault| fault.contains(word)).count();
    assert!((1_800..2_200).contains(&count("LoseAnswer")), "{}", count("LoseAnswer"));
    assert!((850..1_150).contains(&count("503")), "{}", count("503"));
}

#[test]
fn one_connection_carries_many_requests_and_healing_ends_a_plan() {
    let trial = Trial::new();
    trial.gateway.plan(always(Fault::unavailable()));
    assert_eq!(trial.call().expect("an answer").status, 503);
    trial.gateway.heal();
    let stream = TcpStream::connect(trial.gateway.address()).expect("the gateway listens");
    for _ in 0..3 {
        let again = stream.try_clone().expect("a second handle");
        let request = plain().with("apikey", Stack::get().secret_key());
        assert_eq!(exchange(again, &request).expect("an answer").status, 200);
    }
    assert_eq!((trial.gateway.seen().len(), trial.calls().as_str()), (4, "3"));
}
