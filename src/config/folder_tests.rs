//! Folders: which roots and which state folder the settings come to.

use super::tests::Sandbox;
use super::*;

/// The roots, with the sandbox's own path as HOME.
fn roots(sandbox: &Sandbox) -> (Vec<String>, RootsSource) {
    let settings = sandbox.load().unwrap();
    let home = sandbox.home().display().to_string();
    let names =
        settings.roots().unwrap().iter().map(|root| root.display().to_string().replace(&home, "HOME"));
    (names.collect(), settings.roots_source)
}

/// The root that a folder given by flag comes to.
fn flag_root(sandbox: &mut Sandbox, folder: &str) -> String {
    sandbox.overrides.claude_dirs = vec![sandbox.home().join(folder)];
    roots(sandbox).0.join(" ")
}

#[test]
fn roots_go_flag_then_environment_then_file_then_default() {
    let mut sandbox = Sandbox::new();
    assert_eq!(
        roots(&sandbox),
        (vec!["HOME/.claude/projects".into(), "HOME/.config/claude/projects".into()], RootsSource::Default)
    );
    sandbox = sandbox.variable("XDG_CONFIG_HOME", "relative");
    assert_eq!(roots(&sandbox).0.last().unwrap(), "HOME/.config/claude/projects", "XDG wants absolute paths");
    sandbox = sandbox.variable("XDG_CONFIG_HOME", "HOME/xdg");
    assert_eq!(roots(&sandbox).0, ["HOME/.claude/projects", "HOME/xdg/claude/projects"]);
    sandbox = sandbox.file("claude_dirs = [\"~/one\", \"\", \"two/projects\"]");
    assert_eq!(
        roots(&sandbox),
        (
            vec!["HOME/one/projects".into(), "HOME/.config/tallyd/two/projects".into()],
            RootsSource::ConfigFile
        )
    );
    sandbox = sandbox.variable("CLAUDE_CONFIG_DIR", " , ~/three ,HOME/four/projects/,,");
    assert_eq!(
        roots(&sandbox),
        (vec!["HOME/three/projects".into(), "HOME/four/projects".into()], RootsSource::Environment)
    );
    sandbox.overrides.claude_dirs = vec![PathBuf::from("~/five"), sandbox.home().join("six")];
    assert_eq!(
        roots(&sandbox),
        (vec!["HOME/five/projects".into(), "HOME/six/projects".into()], RootsSource::Flag)
    );
}

#[test]
fn a_list_of_blanks_is_no_list() {
    for blank in ["", " ", ",", " , ,"] {
        let sandbox = Sandbox::new().variable("CLAUDE_CONFIG_DIR", blank);
        assert_eq!(roots(&sandbox).1, RootsSource::Default, "{blank:?}");
    }
}

#[test]
fn a_folder_may_be_claudes_or_its_projects() {
    let mut sandbox =
        Sandbox::new().put("claude/projects/-p/s.jsonl", "").put("odd/projects/projects/-p/s.jsonl", "");
    assert_eq!(flag_root(&mut sandbox, "claude"), "HOME/claude/projects");
    assert_eq!(flag_root(&mut sandbox, "claude/projects"), "HOME/claude/projects");
    assert_eq!(
        flag_root(&mut sandbox, "odd/projects"),
        "HOME/odd/projects/projects",
        "a Claude folder of that name"
    );
}

#[test]
fn a_flag_may_name_a_folder_of_copied_logs() {
    let mut sandbox = Sandbox::new()
        .put("flat/s.jsonl", "")
        .put("slugs/-p/s.jsonl", "")
        .put("deep/repo/x/projects/-p/s.jsonl", "")
        .put("notes/readme.txt", "");
    assert_eq!(flag_root(&mut sandbox, "flat"), "HOME/flat");
    assert_eq!(flag_root(&mut sandbox, "slugs"), "HOME/slugs");
    assert_eq!(flag_root(&mut sandbox, "deep"), "HOME/deep");
    assert_eq!(flag_root(&mut sandbox, "notes"), "HOME/notes/projects");
    assert_eq!(flag_root(&mut sandbox, "not-there-yet"), "HOME/not-there-yet/projects");
    let by_variable = Sandbox::new().put("flat/s.jsonl", "").variable("CLAUDE_CONFIG_DIR", "HOME/flat");
    assert_eq!(roots(&by_variable).0, ["HOME/flat/projects"], "only a flag may");
}

#[test]
fn a_claude_folder_without_sessions_waits_for_its_projects() {
    let mut sandbox = Sandbox::new().put("custom/history.jsonl", "").put(".claude/plugins/p/data.jsonl", "");
    assert_eq!(flag_root(&mut sandbox, "custom"), "HOME/custom/projects");
    assert_eq!(flag_root(&mut sandbox, ".claude"), "HOME/.claude/projects");
}

#[test]
fn a_flag_that_names_a_file_is_refused() {
    let mut sandbox = Sandbox::new().put("s.jsonl", "");
    sandbox.overrides.claude_dirs = vec![sandbox.home().join("s.jsonl")];
    insta::assert_snapshot!(sandbox.told(&sandbox.load().unwrap_err()), @"
    `--claude-dir HOME/s.jsonl` on the command line: expected a folder: Claude Code's own, its `projects`, or one that holds session logs; this is a file
    help: give --claude-dir another value
    ");
}

#[cfg(unix)]
#[test]
fn a_root_of_two_names_counts_once() {
    let mut sandbox = Sandbox::new().put("real/settings.json", "{}");
    std::os::unix::fs::symlink(sandbox.home().join("real"), sandbox.home().join("link")).unwrap();
    let names = ["link", "real", "real/projects", "real/../real", "link/projects"];
    sandbox.overrides.claude_dirs = names.map(|name| sandbox.home().join(name)).to_vec();
    assert_eq!(roots(&sandbox).0, ["HOME/link/projects"], "although projects is not there yet");
    let sandbox = sandbox.put("real/projects/-p/s.jsonl", "");
    assert_eq!(roots(&sandbox).0, ["HOME/link/projects"]);
}

#[test]
fn the_state_folder_goes_flag_environment_file_systemd_default() {
    let state = |sandbox: &Sandbox| {
        let settings = sandbox.load().unwrap();
        settings.state_dir().unwrap().strip_prefix(sandbox.home()).unwrap().display().to_string()
    };
    let mut sandbox = Sandbox::new();
    assert_eq!(state(&sandbox), ".local/state/tallyd");
    sandbox = sandbox.variable("STATE_DIRECTORY", "HOME/systemd:HOME/other");
    assert_eq!(state(&sandbox), "systemd");
    sandbox = sandbox.file("state_dir = \"~/by-file\"");
    assert_eq!(state(&sandbox), "by-file");
    sandbox = sandbox.variable("TALLYD_STATE_DIR", "~/by-variable");
    assert_eq!(state(&sandbox), "by-variable");
    sandbox.overrides.state_dir = Some(sandbox.home().join("by-flag"));
    assert_eq!(state(&sandbox), "by-flag");
}

#[test]
fn without_a_home_only_what_needs_one_fails() {
    let sandbox = Sandbox::new().file("enabled = false");
    for home in [Home::Unknown, Home::Missing(PathBuf::from("/nonexistent"))] {
        let settings = load(&Overrides::default(), &sandbox.environment_with(home)).unwrap();
        assert!(settings.enabled, "no config file is looked for below a home that is not there");
        assert!(settings.roots().is_err() && settings.state_dir().is_err());
    }
    let told = |claude: Option<&str>, state: Option<&str>, home: Home| {
        let flags = Overrides {
            claude_dirs: claude.map(PathBuf::from).into_iter().collect(),
            state_dir: state.map(PathBuf::from),
            ..Overrides::default()
        };
        let settings = load(&flags, &sandbox.environment_with(home)).unwrap();
        sandbox.told(&settings.roots().and_then(|_| settings.state_dir()).unwrap_err())
    };
    let missing = Home::Missing(PathBuf::from("/nonexistent"));
    insta::assert_snapshot!(told(None, None, missing), @"
    the home folder /nonexistent does not exist, so the ledger and Claude Code's logs have no default place
    help: say where to keep the ledger with --state-dir DIR or TALLYD_STATE_DIR, and where Claude Code's logs are with --claude-dir DIR or CLAUDE_CONFIG_DIR
    ");
    insta::assert_snapshot!(told(Some("/c"), None, Home::Unknown), @"
    there is no home folder (HOME is not set), so the ledger has no default place
    help: say where to keep the ledger with --state-dir DIR or TALLYD_STATE_DIR
    ");
    insta::assert_snapshot!(told(None, Some("/s"), Home::Unknown), @"
    there is no home folder (HOME is not set), so Claude Code's logs have no default place
    help: say where Claude Code's logs are with --claude-dir DIR or CLAUDE_CONFIG_DIR
    ");
}

#[test]
fn without_a_home_what_is_named_is_used() {
    let mut sandbox = Sandbox::new().variable("CLAUDE_CONFIG_DIR", "HOME/c");
    sandbox.overrides.state_dir = Some(sandbox.home().join("s"));
    let settings = load(&sandbox.overrides, &sandbox.environment_with(Home::Unknown)).unwrap();
    assert_eq!(settings.state_dir().unwrap(), sandbox.home().join("s"));
    assert_eq!(settings.roots().unwrap(), [sandbox.home().join("c/projects")]);

    let sandbox = Sandbox::new()
        .variable("XDG_STATE_HOME", "HOME/state")
        .variable("XDG_CONFIG_HOME", "HOME/config")
        .put("config/tallyd/tallyd.toml", "enabled = false");
    let settings = load(&sandbox.overrides, &sandbox.environment_with(Home::Unknown)).unwrap();
    assert_eq!(settings.state_dir().unwrap(), sandbox.home().join("state/tallyd"));
    assert_eq!(settings.roots().unwrap(), [sandbox.home().join("config/claude/projects")]);
    assert!(!settings.enabled);
}

#[test]
fn a_tilde_without_a_home_is_refused() {
    let sandbox = Sandbox::new().variable("CLAUDE_CONFIG_DIR", "/srv/a,~/b");
    let error = load(&Overrides::default(), &sandbox.environment_with(Home::Unknown)).unwrap_err();
    insta::assert_snapshot!(sandbox.told(&error), @"
    `CLAUDE_CONFIG_DIR=~/b` in the environment: expected a path without `~`, as there is no home folder that it could stand for
    help: change or unset CLAUDE_CONFIG_DIR
    ");
    let sandbox =
        Sandbox::new().put("c.toml", "state_dir = \"~/s\"").variable("TALLYD_CONFIG", "HOME/c.toml");
    let error = load(&Overrides::default(), &sandbox.environment_with(Home::Unknown)).unwrap_err();
    insta::assert_snapshot!(sandbox.told(&error), @r#"
    `state_dir = "~/s"` in HOME/c.toml: expected a path in quotes (`~` needs a home folder)
    help: change or remove `state_dir` in HOME/c.toml
    "#);
}
