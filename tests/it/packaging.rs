//! What containers, Machines and releases are made from says the same thing everywhere: versions, ports, folders,
//! exit codes. Whether it works is shown by `scripts/try-image` and the tests of the entry point.
#![cfg(test)]

use crate::support::root;
use pretty_assertions::assert_eq;
use std::fs;
use toml::Table;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn toml(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows this on the first line that begins with it.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
    line.unwrap_or_else(|| panic!("no line begins with {start:?}"))
}

#[test]
fn the_image_is_built_by_the_projects_compiler_and_has_its_version() {
    let dockerfile = read("Dockerfile");
    let channel = toml("rust-toolchain.toml")["toolchain"]["channel"].as_str().map(str::to_owned);
    assert_eq!(Some(after(&dockerfile, "ARG RUST=")), channel.as_deref());
    assert_eq!(after(&dockerfile, "ARG VERSION="), env!("CARGO_PKG_VERSION"));
    assert!(after(&dockerfile, "FROM rust:").starts_with("${RUST}-"));
}

#[test]
fn all_that_the_image_is_built_from_is_let_in() {
    let ignored = read(".dockerignore");
    let is_let_in = |path: &str| {
        let mut lines = ignored.lines().filter_map(|line| line.strip_prefix('!'));
        lines.any(|let_in| path == let_in || path.starts_with(&format!("{let_in}/")))
    };
    for path in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "src/main.rs", "config/prices.toml"] {
        assert!(is_let_in(path), "{path}");
    }
    for bench in toml("Cargo.toml")["bench"].as_array().expect("benches") {
        let path = format!("benches/{}.rs", bench["name"].as_str().expect("a name"));
        assert!(is_let_in(&path), "{path}");
    }
    for script in
        ["scripts/build-static", "scripts/image-root", "supabase/migrations", "systemd/user/tallyd.service"]
    {
        assert!(is_let_in(script), "{script}");
    }
    for kept_out in ["target", ".git", ".env", "fixtures"] {
        assert!(!is_let_in(kept_out), "{kept_out}");
    }
}

#[test]
fn the_machine_of_the_example_asks_tallyd_where_it_listens() {
    let fly = toml("fly.toml");
    let listen = fly["env"]["TALLYD_LISTEN"].as_str().expect("an address");
    let port = listen.strip_prefix("0.0.0.0:").and_then(|port| port.parse::<i64>().ok());
    assert_eq!(fly["metrics"]["port"].as_integer(), port);
    assert_eq!(fly["checks"]["tallyd"]["port"].as_integer(), port);
    assert_eq!(fly["checks"]["tallyd"]["path"].as_str(), Some("/healthz"), "a backlog stops no deploy");
    assert_ne!(fly["http_service"]["internal_port"].as_integer(), port, "it is not for the internet");
    assert!(fly["http_service"].get("checks").is_none(), "tallyd decides on no request to the app");
}

#[test]
fn the_containers_of_the_example_share_the_folder_of_the_logs() {
    let machine: serde_json::Value = serde_json::from_str(&read("config/fly/machine.json")).expect("JSON");
    let config = &machine["config"];
    let mounted = config["mounts"][0]["path"].as_str().expect("a path");
    let containers = config["containers"].as_array().expect("containers");
    let logs: Vec<_> = containers.iter().map(|one| one["env"]["CLAUDE_CONFIG_DIR"].as_str()).collect();
    assert!(logs.len() == 2 && logs[0] == logs[1], "{logs:?}");
    assert!(logs[0].is_some_and(|folder| folder.starts_with(&format!("{mounted}/"))), "{logs:?}");
}

#[test]
fn nobody_restarts_a_tallyd_that_a_restart_does_not_mend() {
    let units = ["systemd/system/tallyd@.service", "systemd/user/tallyd.service"];
    let script = read("config/fly/entrypoint.sh");
    let pattern = script.lines().find(|line| line.trim_end().ends_with(") return 1 ;;")).expect("the codes");
    let codes = pattern.split(|sign: char| !sign.is_ascii_digit()).filter(|code| !code.is_empty());
    // The last two are a shell's, for a program that is not there or cannot be run.
    let codes: Vec<_> = codes.filter(|code| !["1", "126", "127"].contains(code)).collect();
    for unit in units {
        let listed: Vec<_> = read(unit)
            .lines()
            .find_map(|line| line.strip_prefix("RestartPreventExitStatus=").map(str::to_owned))
            .expect("the codes")
            .split(' ')
            .map(str::to_owned)
            .collect();
        assert_eq!(listed, codes, "{unit}");
    }
}
