//! What SIGHUP changes of publishing while a daemon runs. No project is needed: nothing has to arrive.
#![cfg(test)]

use crate::process::{Daemon, Sandbox};
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
