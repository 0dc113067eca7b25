//! Few open files: folders are watched by one descriptor, and logs are open only while they are read, so that a
//! handful serve any number of them, publishing included.

use super::{append_and_wait, open_files, said};
use crate::process::{Daemon, Sandbox, eventually, reply};
use crate::remote::Stack;
use crate::remote::exact::{publishing, server_account};
use crate::remote::gateway::Gateway;
use std::process::Command;

const FOLDERS: u64 = 300;
const FILES: u64 = 4;

#[test]
fn a_handful_of_open_files_serve_many_logs_and_publishing() {
    let database = Stack::get().contract();
    let (gateway, user) = (Gateway::start(&database), database.new_user());
    let sandbox = Sandbox::new();
    let log = |folder: u64, file: u64| format!("-p{folder}/{file}.jsonl");
    for (folder, file) in (0..FOLDERS).flat_map(|folder| (0..FILES).map(move |file| (folder, file))) {
        sandbox.write_log(&log(folder, file), &reply(&format!("{folder}x{file}")));
    }
    for limit in [1024, 64, 40] {
        let mut launcher = Command::new("prlimit");
        launcher.args([format!("--nofile={limit}:{limit}"), "--".to_owned()]);
        let mut command = sandbox.tallyd_by(launcher, "run");
        publishing(&mut command, &gateway.url(), &user);
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("following");
        let mut most = open_files(&daemon);
        for folder in [0, FOLDERS / 2, FOLDERS - 1] {
            append_and_wait(&sandbox, &log(folder, FILES - 1), &format!("more{limit}x{folder}"), 2);
            most = most.max(open_files(&daemon));
        }
        eventually("all is published", || {
            most = most.max(open_files(&daemon));
            server_account(&database, &user).messages() == sandbox.responses()
        });
        let told = daemon.stop();
        println!("limit {limit}: {most} open files at most");
        // The backup that is made meanwhile is opened too, and four are those of the socket that answers `status`.
        assert!(most <= 36, "{most} open files");
        assert_eq!(said(&told, "WARN") + said(&told, "ERROR"), 0, "{told:#?}");
    }
    assert_eq!(sandbox.responses(), FOLDERS * FILES + 18);
    assert_eq!(server_account(&database, &user), sandbox.account());
}
