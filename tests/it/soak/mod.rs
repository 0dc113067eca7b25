//! The soak: writers that behave like Claude Code and worse, one `tallyd run` that publishes through the gateway
//! to the real server, and faults of every kind by a seed, for as long as is asked. In the end the ledger and the
//! server have what the writers' own account says, to the token and to the picodollar, and nothing waits.
//!
//! About 20 seconds on the built program in every run; `scripts/soak` runs it for hours on a release build. A
//! failing run names its seed and its folder, which stays.
#![cfg(test)]

mod damage;
mod figures;
mod samples;
mod scene;
mod settings;
mod trouble;
mod writer;

use crate::process::{Sandbox, succeed};
use crate::random::Random;
use crate::remote::exact::{publisher, server_account};
use crate::remote::gateway::Gateway;
use crate::remote::{Database, Stack};
use crate::truth::Account;
use figures::Figures;
use samples::Sampler;
use scene::{OnPanic, Scene};
use settings::Settings;
use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use trouble::Trouble;
use writer::Writer;

/// How long the end may take: the longest pause of a reader or a sender that has failed is a minute. No test
/// passes by waiting this long.
const DEADLINE: Duration = Duration::from_mins(6);

/// Descriptors that a daemon may have open, whatever happens to it and however many logs there are: measured are
/// at most 24.
const MOST_DESCRIPTORS: u64 = 40;

/// Looks again and again, with enough time for the longest pause of a program that has failed.
fn in_the_end(what: &str, mut is_so: impl FnMut() -> bool) {
    // clock: a deadline for another process.
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "not within {} s: {what}", DEADLINE.as_secs());
        thread::sleep(Duration::from_millis(100));
    }
}

/// Fails with the rows that differ: all of them would be thousands.
fn check_equal(what: &str, account: &Account, truth: &Account) {
    let lists = [
        (&account.days, &truth.days),
        (&account.sessions, &truth.sessions),
        (&account.models, &truth.models),
    ];
    let mut differing = Vec::new();
    for (told, written) in lists {
        let names: BTreeSet<&String> = told.keys().chain(written.keys()).collect();
        let differ = names.into_iter().filter(|name| told.get(*name) != written.get(*name));
        differing.extend(
            differ.map(|name| format!("{name}: {:?}, written {:?}", told.get(name), written.get(name))),
        );
    }
    let first = differing.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(differing.is_empty(), "{what}: {} rows differ:\n{first}", differing.len());
}

/// A state folder on a small file system of its own, that can be filled.
fn mount_state(sandbox: &Sandbox) {
    std::fs::create_dir(sandbox.state()).expect("a folder can be made");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=256m,mode=0700", "tallyd-soak"]).arg(sandbox.state());
    succeed(&mut mount);
}

/// All traffic and all trouble, for as long as is asked.
fn run(scene: &Scene, settings: &Settings, trouble: &mut Trouble) {
    let mut random = Random::new(settings.seed);
    thread::scope(|scope| {
        let _end = OnPanic(scene);
        for number in 0..settings.writers {
            let mut writer = Writer::new(scene, number, Random::new(random.next()), settings.haste());
            scope.spawn(move || {
                let _end = OnPanic(scene);
                writer.write();
            });
        }
        let mut sampler = Sampler::new(scene, settings);
        scope.spawn(move || {
            let _end = OnPanic(scene);
            sampler.sample();
        });
        trouble.make(settings);
        scene.end();
    });
}

/// The ledger and the server say what the writers say, and go on saying it.
fn check(scene: &Scene, trouble: &mut Trouble, database: &Database, user: &str) {
    let truth = scene.truth().account();
    let sandbox = &scene.sandbox;
    in_the_end("every response is in the ledger", || sandbox.responses() == truth.messages());
    let mut account = Account::default();
    in_the_end("the ledger stands still", || {
        let before = std::mem::replace(&mut account, sandbox.account());
        account == truth || account == before
    });
    check_equal("the ledger", &account, &truth);
    in_the_end("everything is published", || server_account(database, user).messages() >= truth.messages());
    let url = trouble.end();
    succeed(publisher(sandbox, "publish", &url, user).args(["--wait", "--timeout", "120"]));
    check_equal("the server", &server_account(database, user), &truth);
    succeed(publisher(sandbox, "verify", &url, user).arg("--dry-run"));
    sandbox.scan();
    check_equal("the ledger after one more scan", &sandbox.account(), &truth);
    sandbox.check_integrity();
}

#[test]
fn traffic_under_all_faults_ends_in_exact_totals() {
    let settings = Settings::from_environment();
    println!("soak: TALLYD_SOAK_SEED={} in {}", settings.seed, settings.folder.display());
    let stack = Stack::get();
    let database = stack.contract();
    let (user, gateway) = (database.new_user(), Gateway::start(&database));
    gateway.forget_bodies();
    let sandbox = Sandbox::lasting(&settings.folder);
    if settings.mounts {
        mount_state(&sandbox);
    }
    let scene = Scene::new(sandbox);
    let mut trouble = Trouble::new(&scene, gateway, &user, &settings);
    run(&scene, &settings, &mut trouble);
    if !settings.is_long() {
        trouble.start_anew();
    }
    check(&scene, &mut trouble, &database, &user);
    let figures = Figures::gather(&scene, &settings);
    println!("{}", figures.text());
    figures.check();
    if settings.mounts {
        succeed(Command::new("umount").arg(scene.sandbox.state()));
    }
    drop(trouble);
    scene.sandbox.discard();
}
