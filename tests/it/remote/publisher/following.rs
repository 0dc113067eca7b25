//! The publisher beside a collector: what orders do, how often a growing session is sent, and the end.

use super::{Scene, is_upsert, runtime};
use crate::process::eventually;
use crate::remote::faults::{Fault, always};
use std::thread::JoinHandle;
use std::time::Duration;
use tallyd::domain::Revision;
use tallyd::publish::{KeyChoice, Order, PublishOptions, Publisher, Reloaded};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A publisher on a thread of its own, whose log lines are taken down.
pub(super) struct Running {
    orders: UnboundedSender<Order>,
    thread: JoinHandle<Publisher>,
}

impl Running {
    pub(super) fn start(scene: &Scene, publisher: Publisher) -> Self {
        let (orders, heard) = unbounded_channel();
        let log = scene.log.clone();
        let thread = std::thread::spawn(move || log.taking_down(|| runtime().block_on(publisher.run(heard))));
        Self { orders, thread }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect("the publisher runs");
    }

    pub(super) fn stop(self) {
        self.order(Order::Stop);
        self.thread.join().expect("the publisher ends");
    }
}

fn at_most_once_an_hour(mut options: PublishOptions) -> PublishOptions {
    options.interval = Duration::from_hours(1);
    options
}

#[test]
fn what_waits_at_the_start_is_sent_without_an_order() {
    let scene = Scene::with_sessions(3);
    let running = Running::start(&scene, scene.publisher());
    scene.gateway.wait_until(|seen| seen.iter().any(|seen| is_upsert(seen) && seen.is_over));
    running.stop();
    scene.assert_published();
}

#[test]
fn a_growing_session_is_sent_once_in_an_interval_and_once_more_at_the_end() {
    let scene = Scene::new();
    let running = Running::start(&scene, scene.publisher_with(at_most_once_an_hour(scene.options())));
    scene.grow("a");
    running.order(Order::Changed);
    scene.gateway.wait_until(|seen| seen.iter().filter(|seen| is_upsert(seen)).count() == 1);
    for reply in 0..5 {
        scene.grow(&format!("b{reply}"));
        running.order(Order::Changed);
    }
    // Another session is sent at once, and by then the growing one was looked at, too.
    scene.append("p/s-2.jsonl", &crate::process::reply("c").replace("\"s-1\"", "\"s-2\""));
    scene.sandbox.scan();
    running.order(Order::Changed);
    let seen = scene.gateway.wait_until(|seen| seen.iter().filter(|seen| is_upsert(seen)).count() == 2);
    let last = seen.last().expect("there are requests").request.text();
    assert!(last.contains("\"s-2\"") && !last.contains("\"s-1\""), "{last}");
    running.stop();
    let sent = scene.sent();
    assert_eq!(sent.len(), 3);
    assert!(sent[2].request.text().contains("\"message_count\":6"), "the end sends what grew");
    scene.assert_published();
}

#[test]
fn an_interval_later_it_is_sent_again() {
    let scene = Scene::new();
    let mut options = scene.options();
    options.interval = Duration::from_millis(1);
    let running = Running::start(&scene, scene.publisher_with(options));
    for count in 1..4 {
        scene.grow(&format!("a{count}"));
        running.order(Order::Changed);
        scene.gateway.wait_until(|seen| seen.iter().filter(|seen| is_upsert(seen)).count() == count);
    }
    running.stop();
    scene.assert_published();
}

#[test]
fn other_settings_end_a_fault_at_once() {
    let scene = Scene::with_sessions(2);
    let wrong = KeyChoice::service("sb_secret_wrong").expect("a key by its looks");
    let running = Running::start(&scene, scene.publisher_with(scene.options_with(wrong)));
    scene.gateway.wait_until(|seen| seen.iter().any(|seen| seen.is_over));
    // A hint does not shorten the pause after a fault, which is half a minute at least.
    running.order(Order::Changed);
    let reloaded =
        Reloaded { options: scene.options(), revision: Revision::new(1, 1, 0), prices: "prices".to_owned() };
    running.order(Order::Reload(Box::new(reloaded)));
    scene.gateway.wait_until(|seen| seen.iter().any(|seen| is_upsert(seen) && seen.is_over));
    running.stop();
    assert_eq!(scene.calls("rpc/token_usage_check").len(), 2);
    scene.assert_published();
}

#[test]
fn other_rules_publish_everything_anew() {
    let scene = Scene::with_sessions(4);
    let running = Running::start(&scene, scene.publisher());
    scene.gateway.wait_until(|seen| seen.iter().any(|seen| is_upsert(seen) && seen.is_over));
    let revision = Revision::new(1, 2, 0);
    let reloaded = Reloaded { options: scene.options(), revision, prices: "others".to_owned() };
    running.order(Order::Reload(Box::new(reloaded)));
    scene.gateway.wait_until(|seen| seen.iter().filter(|seen| is_upsert(seen) && seen.is_over).count() == 2);
    running.stop();
    let query =
        "select string_agg(distinct revision::text, ' ') from public.token_usage_sessions where user_id = ";
    assert_eq!(scene.database.text(&format!("{query} '{}'", scene.user)), revision.to_string());
    scene.assert_published();
}

#[test]
fn what_passes_is_told_once_and_so_is_its_end() {
    let scene = Scene::with_sessions(1);
    scene.gateway.plan(always(Fault::unavailable()));
    let running = Running::start(&scene, scene.publisher());
    scene.gateway.wait_until(|seen| seen.len() >= 3);
    scene.gateway.heal();
    let noted = || scene.outbox().noted().expect("the ledger can be read");
    eventually("it is over", || noted().refusal.is_none() && noted().last_success.is_some());
    running.stop();
    let [warnings, news] = ["WARN", "INFO"].map(|level| scene.log.lines(level));
    assert!(matches!(warnings.as_slice(), [one] if one.contains("503")), "{warnings:#?}");
    assert!(matches!(news.as_slice(), [one] if one.contains("publishing goes on")), "{news:#?}");
}

#[test]
fn the_end_does_not_wait_for_a_server_that_hangs() {
    let scene = Scene::with_sessions(2);
    let mut options = scene.options();
    (options.timeout, options.drain) = (Duration::from_hours(1), Duration::from_millis(100));
    scene.gateway.plan(always(Fault::Delay(Duration::from_hours(1))));
    let running = Running::start(&scene, scene.publisher_with(options));
    scene.gateway.wait_until(|seen| !seen.is_empty());
    // It ends: an hour is longer than any test may take.
    running.stop();
    assert!(scene.waiting() > 0, "all of it is kept");
}

#[test]
fn a_publisher_without_orders_ends() {
    let scene = Scene::with_sessions(2);
    let Running { orders, thread } = Running::start(&scene, scene.publisher());
    drop(orders);
    thread.join().expect("the publisher ends");
    scene.assert_published();
}
