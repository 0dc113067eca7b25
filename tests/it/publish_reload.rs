//! What SIGHUP changes of publishing while a daemon runs. No project is needed: nothing has to arrive.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, eventually, reply};
use rusqlite::Connection;
use std::fs;

#[test]
fn hup_takes_a_key_from_another_file_when_the_former_one_is_gone() {
    let sandbox = Sandbox::new();
    let (config, former, other) =
        (sandbox.path("publish.toml"), sandbox.path("former.key"), sandbox.path("other.key"));
    let write = |key: &std::path::Path| {
        fs::write(key, "sb_secret_CANARY").expect("a key can be written");
        let user = "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e";
        let table =
            format!("[publish]\nurl = \"http://127.0.0.1:9\"\nuser_id = \"{user}\"\nkey_file = {key:?}\n");
        fs::write(&config, table).expect("a config can be written");
    };
    write(&former);
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(&config));
    daemon.wait_for("following");
    write(&other);
    fs::remove_file(&former).expect("it is there");
    daemon.signal("HUP");
    let told = daemon.wait_for("settings");
    assert!(told.contains("reloaded settings and prices"), "{told}");
    daemon.stop();
}

/// Publishing has not begun by then: costs by new prices may not go out under the revision of the old ones.
#[test]
fn hup_before_the_logs_were_read_once_is_heard_by_publishing() {
    let sandbox = Sandbox::new();
    let own = sandbox.path("prices.toml");
    let write_prices = |version: u32| {
        let model = "[[models]]\nid = \"mine\"\ninput = \"1\"\noutput = \"1\"\ncache_write_5m = \"1\"\n\
             cache_write_1h = \"1\"\ncache_read = \"1\"\nsource = \"a test\"\n";
        fs::write(&own, format!("version = {version}\n{model}")).expect("prices can be written");
    };
    write_prices(20_261_121);
    sandbox.write_log("-p/a.jsonl", &reply("A"));
    sandbox.scan();
    let ledger = Connection::open(sandbox.ledger().expect("a ledger")).expect("it opens");
    let refusal =
        "CREATE TRIGGER refuse BEFORE INSERT ON response BEGIN SELECT RAISE (ABORT, 'refused'); END";
    ledger.execute_batch(refusal).expect("a trigger can be made");
    sandbox.write_log("-p/b.jsonl", &reply("B"));
    let mut run = sandbox.tallyd("run");
    run.arg("--prices").arg(&own).env("SUPABASE_URL", "http://127.0.0.1:9");
    run.env("SUPABASE_SECRET_KEY", "sb_secret_CANARY").env("USER_ID", "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e");
    let mut daemon = Daemon::start(&mut run);
    daemon.wait_for("cannot be written");
    write_prices(20_261_122);
    daemon.signal("HUP");
    daemon.wait_for("reloaded settings and prices");
    ledger.execute_batch("DROP TRIGGER refuse").expect("a trigger can be removed");
    daemon.wait_for("following");
    let query = "SELECT coalesce((SELECT value FROM meta WHERE key = 'published_revision'), '')";
    let revision = || ledger.query_row(query, [], |row| row.get::<_, String>(0)).expect("it can be read");
    eventually("publishing has begun", || !revision().is_empty());
    assert!(revision().ends_with("20261122"), "{}", revision());
    daemon.stop();
}
