//! Hostile names and doubled daemons on the way to the server: real PostgreSQL and PostgREST.
#![cfg(test)]

use super::names::{assert_harmless, catalogue, write_logs};
use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, succeed, text};
use crate::remote::Stack;
use crate::remote::exact::{publisher, server_account};
use crate::remote::gateway::Gateway;
use pretty_assertions::assert_eq;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn hostile_names_arrive_as_they_are_or_are_parked_and_told_of() {
    let database = Stack::get().contract();
    let (gateway, user) = (Gateway::start(&database), database.new_user());
    let sandbox = Sandbox::new();
    write_logs(&sandbox);
    let publish = |subcommand: &str| {
        let output = publisher(&sandbox, subcommand, &gateway.url(), &user).output().expect("tallyd runs");
        assert_harmless(&format!("stdout of {subcommand}"), &text(&output.stdout));
        assert_harmless(&format!("stderr of {subcommand}"), &text(&output.stderr));
        output.status.code()
    };
    assert_eq!(publish("publish"), Some(12), "two are refused");
    assert_eq!(publish("check"), Some(12));
    // What PostgreSQL has no text for, and what is longer than a name may be.
    let is_refused = |name: &String| name.contains('\0') || name.chars().count() > 200;
    let expected: BTreeSet<String> = catalogue().into_iter().filter(|name| !is_refused(name)).collect();
    let account = server_account(&database, &user);
    assert_eq!(account.sessions.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(account.models.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(account.messages(), u64::try_from(expected.len()).expect("fits"));
    let parked = catalogue().iter().filter(|name| is_refused(name)).count();
    let metrics = succeed(&mut publisher(&sandbox, "metrics", &gateway.url(), &user));
    assert!(metrics.contains(&format!("\ntallyd_publish_parked_sessions {parked}\n")), "{metrics}");
    let bodies = succeed(publisher(&sandbox, "publish", &gateway.url(), &user).arg("--dry-run"));
    assert!(
        !bodies.contains(|letter: char| letter < ' ' && letter != '\n'),
        "JSON has no raw control characters"
    );
}

#[test]
fn two_daemons_with_ledgers_of_their_own_on_the_same_logs_publish_once() {
    let database = Stack::get().contract();
    let (gateway, user) = (Gateway::start(&database), database.new_user());
    let (one, other) = (Sandbox::new(), Sandbox::new());
    fs::create_dir(other.claude()).expect("a folder can be made");
    fs::create_dir_all(one.projects()).expect("a folder can be made");
    symlink(one.projects(), other.projects()).expect("a link can be made");
    let start = |sandbox: &Sandbox| {
        let mut daemon = Daemon::start(&mut publisher(sandbox, "run", &gateway.url(), &user));
        daemon.wait_for("following");
        daemon
    };
    let daemons = [start(&one), start(&other)];
    let tree = Tree::generate(77, 6);
    tree.write(&one.projects());
    let truth = tree.truth().account();
    eventually("both have counted, and the server has it once", || {
        one.account() == truth && other.account() == truth && server_account(&database, &user) == truth
    });
    for daemon in daemons {
        daemon.stop();
    }
    assert_eq!(server_account(&database, &user), truth);
}
