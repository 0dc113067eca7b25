//! Settings: precedence, the config file and what is said of mistakes. Folders have their own tests.

use super::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;
use tempfile::TempDir;

/// A home of its own with surroundings that no variable of the machine leaks into.
pub(super) struct Sandbox {
    pub(super) folder: TempDir,
    variables: BTreeMap<String, String>,
    pub(super) overrides: Overrides,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: BTreeMap::new(),
            overrides: Overrides::default(),
        }
    }

    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.replace("HOME", &self.home().display().to_string()));
        self
    }

    /// The config file at its usual place.
    pub(super) fn file(self, text: &str) -> Self {
        self.put(".config/tallyd/tallyd.toml", text)
    }

    pub(super) fn put(self, path: &str, text: &str) -> Self {
        let path = self.home().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
        self
    }

    pub(super) fn environment_with(&self, home: Home) -> Environment {
        let variables = self.variables.clone();
        let folders = PlatformFolders {
            config: Some(self.home().join(".config/tallyd")),
            state: Some(self.home().join(".local/state/tallyd")),
        };
        Environment::new(move |name| variables.get(name).map(OsString::from), home, folders)
    }

    pub(super) fn load(&self) -> Result<Settings, ConfigError> {
        load(&self.overrides, &self.environment_with(Home::At(self.home())))
    }

    /// The error as a person reads it, with the sandbox's own path as HOME.
    pub(super) fn told(&self, error: &ConfigError) -> String {
        let home = self.home().display().to_string();
        format!("{error}\nhelp: {}", error.help()).replace(&home, "HOME")
    }
}

/// What is said of a config file.
fn complaint(text: &str) -> String {
    let sandbox = Sandbox::new().file(text);
    let error = sandbox.load().expect_err(text);
    sandbox.told(&error)
}

/// What is said of an environment variable.
fn complaint_of(variable: &str, value: &str) -> String {
    let sandbox = Sandbox::new().variable(variable, value);
    let error = sandbox.load().expect_err(value);
    sandbox.told(&error)
}

/// Config file, environment, flags and the expected outcome of one setting.
type Case<T> = (&'static str, &'static [(&'static str, &'static str)], fn(&mut Overrides), T);

#[track_caller]
fn check<T: PartialEq + fmt::Debug>(cases: &[Case<T>], read: impl Fn(&Settings) -> T) {
    for (file, variables, flags, expected) in cases {
        let mut sandbox = Sandbox::new().file(file);
        for (name, value) in *variables {
            sandbox = sandbox.variable(name, value);
        }
        flags(&mut sandbox.overrides);
        let settings = sandbox.load().expect(file);
        assert_eq!(&read(&settings), expected, "file {file:?}, environment {variables:?}");
    }
}

const NO_FLAGS: fn(&mut Overrides) = |_| {};

#[test]
fn nothing_said_gives_the_defaults() {
    let sandbox = Sandbox::new();
    let settings = sandbox.load().unwrap();
    let home = sandbox.home();
    assert_eq!(
        settings,
        Settings {
            enabled: true,
            roots_source: RootsSource::Default,
            prices: None,
            timezone: None,
            machine_timezone: None,
            start_of_week: Weekday::Sun,
            estimate: false,
            log: LogOptions { filter: Filter::Automatic, format: LogFormat::Text, color: ColorChoice::Auto },
            follow: FollowOptions {
                rescan: Duration::from_mins(5),
                poll: Duration::from_secs(2),
                force_polling: false,
            },
            max_line_bytes: 16_777_216,
            http: HttpOptions { listen: None, max_backlog: Duration::from_mins(15), otel: None },
            ledger_backup: true,
            admin: AdminSettings::gather(&sandbox.environment_with(Home::Unknown)),
            publish: PublishSettings::gather(
                &sandbox.environment_with(Home::Unknown),
                &publish::FilePublish::default(),
                None
            ),
            notify: None,
            config_file: None,
            roots: vec![home.join(".claude/projects"), home.join(".config/claude/projects")],
            state_dir: Some(home.join(".local/state/tallyd")),
            home: Home::At(home),
        }
    );
}

#[test]
fn switching_off_goes_environment_then_file() {
    check::<bool>(
        &[
            ("", &[], NO_FLAGS, true),
            ("enabled = false", &[], NO_FLAGS, false),
            ("enabled = false", &[("TOKEN_TRACKING_ENABLED", "On")], NO_FLAGS, true),
            ("enabled = true", &[("TOKEN_TRACKING_ENABLED", "0")], NO_FLAGS, false),
            ("enabled = false", &[("TOKEN_TRACKING_ENABLED", " ")], NO_FLAGS, false),
        ],
        |settings| settings.enabled,
    );
}

#[test]
fn the_log_goes_flag_then_environment_then_file() {
    let directives = |text: &str| Filter::Directives(text.to_owned());
    check::<Filter>(
        &[
            ("log.level = \"debug\"", &[], NO_FLAGS, directives("debug")),
            ("log.level = \"auto\"", &[], NO_FLAGS, Filter::Automatic),
            (
                "log.level = \"debug\"",
                &[("TALLYD_LOG", "warn,tallyd=trace")],
                NO_FLAGS,
                directives("warn,tallyd=trace"),
            ),
            (
                "",
                &[("TALLYD_LOG", "warn")],
                |flags| flags.log_level = Some(Level::Error),
                directives("error"),
            ),
        ],
        |settings| settings.log.filter.clone(),
    );
    check::<LogFormat>(
        &[
            ("[log]\nformat = \"json\"", &[], NO_FLAGS, LogFormat::Json),
            ("[log]\nformat = \"json\"", &[("TALLYD_LOG_FORMAT", "text")], NO_FLAGS, LogFormat::Text),
            (
                "",
                &[("TALLYD_LOG_FORMAT", "text")],
                |flags| flags.log_format = Some(LogFormat::Json),
                LogFormat::Json,
            ),
        ],
        |settings| settings.log.format,
    );
    check::<ColorChoice>(
        &[
            ("", &[("NO_COLOR", "1")], NO_FLAGS, ColorChoice::Never),
            ("", &[("NO_COLOR", "")], NO_FLAGS, ColorChoice::Auto),
            ("", &[("NO_COLOR", "1")], |flags| flags.color = Some(ColorChoice::Always), ColorChoice::Always),
        ],
        |settings| settings.log.color,
    );
}

#[test]
fn time_zone_and_week_go_environment_then_file() {
    let named = |name: &str| Some(name.to_owned());
    check::<Option<String>>(
        &[
            ("timezone = \"Asia/Kathmandu\"", &[], NO_FLAGS, named("Asia/Kathmandu")),
            ("timezone = \"Asia/Kathmandu\"", &[("TALLYD_TIMEZONE", "utc")], NO_FLAGS, named("UTC")),
            ("timezone = \"Asia/Kathmandu\"", &[("TALLYD_TIMEZONE", "local")], NO_FLAGS, None),
            ("", &[("TZ", "Europe/Berlin")], NO_FLAGS, None),
        ],
        |settings| settings.timezone.clone(),
    );
    let zoned = Sandbox::new().variable("TZ", "Europe/Berlin").load().unwrap();
    assert_eq!(zoned.machine_timezone.as_deref(), Some("Europe/Berlin"));
    check::<Weekday>(&[("start_of_week = \"Monday\"", &[], NO_FLAGS, Weekday::Mon)], |settings| {
        settings.start_of_week
    });
    check::<bool>(
        &[
            ("", &[], NO_FLAGS, false),
            ("report.estimate = true", &[], NO_FLAGS, true),
            ("report.estimate = true", &[("TALLYD_ESTIMATE", "no")], NO_FLAGS, false),
            ("", &[("TALLYD_ESTIMATE", "1")], NO_FLAGS, true),
        ],
        |settings| settings.estimate,
    );
}

#[test]
fn prices_go_flag_then_environment_then_file() {
    let sandbox = Sandbox::new().file("prices = \"my/prices.toml\"");
    assert_eq!(sandbox.load().unwrap().prices, Some(sandbox.home().join(".config/tallyd/my/prices.toml")));
    let mut sandbox = sandbox.variable("TALLYD_PRICES", "~/p.toml");
    assert_eq!(sandbox.load().unwrap().prices, Some(sandbox.home().join("p.toml")));
    sandbox.overrides.prices = Some(PathBuf::from("here.toml"));
    assert_eq!(sandbox.load().unwrap().prices, Some(std::path::absolute("here.toml").unwrap()));
}

#[test]
fn the_file_is_found_by_flag_then_environment_then_place() {
    let read = |sandbox: &Sandbox| sandbox.load().unwrap().config_file;
    let sandbox =
        Sandbox::new().file("").put("two.toml", "enabled = false").put("three.toml", "enabled = true");
    assert_eq!(read(&sandbox), Some(sandbox.home().join(".config/tallyd/tallyd.toml")));
    let mut sandbox = sandbox.variable("TALLYD_CONFIG", "~/two.toml");
    assert_eq!(read(&sandbox), Some(sandbox.home().join("two.toml")));
    assert!(!sandbox.load().unwrap().enabled);
    sandbox.overrides.config = Some(sandbox.home().join("three.toml"));
    assert_eq!(read(&sandbox), Some(sandbox.home().join("three.toml")));
    assert!(sandbox.load().unwrap().enabled);
}

#[test]
fn a_named_file_must_exist_and_be_readable() {
    insta::assert_snapshot!(complaint_of("TALLYD_CONFIG", "HOME/gone.toml"), @"
    the config file HOME/gone.toml named by TALLYD_CONFIG does not exist
    help: name a file that exists, or leave TALLYD_CONFIG out
    ");
    let mut sandbox = Sandbox::new();
    sandbox.overrides.config = Some(sandbox.home().join("gone.toml"));
    insta::assert_snapshot!(sandbox.told(&sandbox.load().unwrap_err()), @"
    the config file HOME/gone.toml named by --config does not exist
    help: name a file that exists, or leave --config out
    ");
    sandbox.overrides.config = Some(sandbox.home());
    insta::assert_snapshot!(sandbox.told(&sandbox.load().unwrap_err()), @"
    the config file HOME cannot be read
    help: make the file readable, or name another with --config
    ");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    insta::assert_snapshot!(complaint("claude_dir = []"), @"
    the config file HOME/.config/tallyd/tallyd.toml has an unknown key `claude_dir`
    help: did you mean `claude_dirs`?
    ");
    insta::assert_snapshot!(complaint("[follow]\npoll_secs = 2"), @"
    the config file HOME/.config/tallyd/tallyd.toml has an unknown key `follow.poll_secs`
    help: did you mean `follow.poll_seconds`?
    ");
    insta::assert_snapshot!(complaint("[remote]\nurl = \"x\""), @"
    the config file HOME/.config/tallyd/tallyd.toml has an unknown key `remote`
    help: remove it; the keys are claude_dirs, state_dir, ledger_backup, prices, timezone, start_of_week, enabled, report.estimate, log.level, log.format, follow.rescan_seconds, follow.poll_seconds, follow.force_polling, tail.max_line_bytes, http.listen, http.max_backlog_seconds, otel.listen, publish.enabled, publish.url, publish.user_id, publish.key_file, publish.publishable_key_file, publish.access_token_file, publish.interval_seconds, publish.timeout_seconds
    ");
}

#[test]
fn a_wrong_value_is_named_with_what_is_allowed() {
    for (text, reader) in [
        ("enabled = \"yes\"", "enabled"),
        ("claude_dirs = \"~/.claude\"", "claude_dirs"),
        ("claude_dirs = [1]", "claude_dirs"),
        ("state_dir = 1", "state_dir"),
        ("prices = false", "prices"),
        ("timezone = \"Berlin\"", "timezone"),
        ("start_of_week = \"montag\"", "start_of_week"),
        ("log.level = \"loud\"", "log.level"),
        ("log.format = \"xml\"", "log.format"),
        ("follow.rescan_seconds = 0", "follow.rescan_seconds"),
        ("follow.poll_seconds = 1.5", "follow.poll_seconds"),
        ("follow.force_polling = 1", "follow.force_polling"),
        ("tail.max_line_bytes = 1", "tail.max_line_bytes"),
    ] {
        let told = complaint(text);
        assert!(
            told.starts_with(&format!("`{text}` in HOME/.config/tallyd/tallyd.toml: expected ")),
            "{told}"
        );
        assert!(told.ends_with(&format!("`{reader}` in HOME/.config/tallyd/tallyd.toml")), "{told}");
    }
    insta::assert_snapshot!(complaint("timezone = \"Berlin\""), @r#"
    `timezone = "Berlin"` in HOME/.config/tallyd/tallyd.toml: expected UTC, local or an IANA name such as Europe/Berlin, in quotes
    help: change or remove `timezone` in HOME/.config/tallyd/tallyd.toml
    "#);
    insta::assert_snapshot!(complaint("tail.max_line_bytes = 1000"), @"
    `tail.max_line_bytes = 1000` in HOME/.config/tallyd/tallyd.toml: expected a number of bytes from 65536 (64 KiB) to 268435456 (256 MiB)
    help: change or remove `tail.max_line_bytes` in HOME/.config/tallyd/tallyd.toml
    ");
    insta::assert_snapshot!(complaint("follow.poll_seconds = -2"), @"
    `follow.poll_seconds = -2` in HOME/.config/tallyd/tallyd.toml: expected whole seconds from 1 to 86400
    help: change or remove `follow.poll_seconds` in HOME/.config/tallyd/tallyd.toml
    ");
    insta::assert_snapshot!(complaint("log = \"debug\""), @r#"
    `log = "debug"` in HOME/.config/tallyd/tallyd.toml: expected a table, written as [log]
    help: change or remove `log` in HOME/.config/tallyd/tallyd.toml
    "#);
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let sandbox = Sandbox::new().file("enabled = true\nprices = oops\n");
    let error = sandbox.load().unwrap_err();
    insta::assert_snapshot!(sandbox.told(&error), @"
    the config file HOME/.config/tallyd/tallyd.toml is not valid TOML
    help: mend the line named above; config/tallyd.toml lists every key
    ");
    let cause = std::error::Error::source(&error).expect("the parser's own words").to_string();
    assert!(cause.contains("line 2"), "{cause}");
}

#[test]
fn a_wrong_variable_is_named() {
    insta::assert_snapshot!(complaint_of("TOKEN_TRACKING_ENABLED", "maybe"), @"
    `TOKEN_TRACKING_ENABLED=maybe` in the environment: expected true or false (also 1/0, yes/no, on/off)
    help: change or unset TOKEN_TRACKING_ENABLED
    ");
    insta::assert_snapshot!(complaint_of("TALLYD_LEDGER_BACKUP", "daily"), @"
    `TALLYD_LEDGER_BACKUP=daily` in the environment: expected true or false (also 1/0, yes/no, on/off)
    help: change or unset TALLYD_LEDGER_BACKUP
    ");
    insta::assert_snapshot!(complaint_of("TALLYD_LOG", "verbose"), @"
    `TALLYD_LOG=verbose` in the environment: expected auto, error, warn, info, debug, trace, or directives such as `info,tallyd::watch=trace`
    help: change or unset TALLYD_LOG
    ");
    insta::assert_snapshot!(complaint_of("TALLYD_LOG_FORMAT", "xml"), @"
    `TALLYD_LOG_FORMAT=xml` in the environment: expected text or json
    help: change or unset TALLYD_LOG_FORMAT
    ");
    insta::assert_snapshot!(complaint_of("TALLYD_TIMEZONE", "Mars/Base"), @"
    `TALLYD_TIMEZONE=Mars/Base` in the environment: expected UTC, local or an IANA name such as Europe/Berlin
    help: change or unset TALLYD_TIMEZONE
    ");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let sandbox = Sandbox::new();
    let lookup = |name: &str| (name == "TALLYD_STATE_DIR").then(|| OsString::from_vec(vec![0xff]));
    let environment = Environment::new(lookup, Home::At(sandbox.home()), PlatformFolders::default());
    let error = load(&Overrides::default(), &environment).unwrap_err();
    insta::assert_snapshot!(sandbox.told(&error), @"
    the environment variable TALLYD_STATE_DIR is not valid UTF-8
    help: unset TALLYD_STATE_DIR and use the flag, which takes any bytes
    ");
}

#[test]
fn every_key_has_an_effect() {
    let text = "claude_dirs = [\"a\"]\nstate_dir = \"s\"\nledger_backup = false\nprices = \"p\"\ntimezone = \"UTC\"\nenabled = false\nreport.estimate = true\n\
        start_of_week = \"friday\"\nlog.level = \"trace\"\nlog.format = \"json\"\nfollow.rescan_seconds = 7\n\
        follow.poll_seconds = 8\nfollow.force_polling = true\ntail.max_line_bytes = 65536\n\
        http.listen = \"9464\"\nhttp.max_backlog_seconds = 3\notel.listen = \"4318\"\npublish.enabled = false\npublish.url = \"u\"\npublish.user_id = \"u\"\npublish.key_file = \"k\"\n\
        publish.publishable_key_file = \"k\"\npublish.access_token_file = \"k\"\npublish.interval_seconds = 3\n\
        publish.timeout_seconds = 3\n";
    // One sandbox for all, so that a difference between two settings is never one of paths.
    let mut sandbox = Sandbox::new().file(text);
    let all = sandbox.load().unwrap();
    for key in KEYS {
        let without: String =
            text.lines().filter(|line| !line.starts_with(key)).flat_map(|line| [line, "\n"]).collect();
        assert!(without.len() < text.len(), "{key} is not in the text");
        sandbox = sandbox.file(&without);
        assert_ne!(sandbox.load().unwrap(), all, "{key}");
    }
}
