//! Settings of publishing: where each piece may be said, what beats what, and what is said of mistakes.
//! No message and no debug output ever shows a key.

use super::*;
use crate::config::tests::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const USER: &str = "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e";
const OTHER: &str = "11111111-2222-4333-8444-555555555555";
const URL: &str = "https://abc.supabase.co";
const KEY: &str = "sb_secret_CANARY";

fn token(user: &str) -> String {
    let claims = format!("{{\"role\":\"authenticated\",\"sub\":\"{user}\"}}");
    format!("eyJCANARY.{}.CANARY", URL_SAFE_NO_PAD.encode(claims))
}

type Variables<'a> = &'a [(&'a str, &'a str)];

/// The three that most people set.
const USUAL: Variables<'static> = &[("SUPABASE_URL", URL), ("SUPABASE_SERVICE_KEY", KEY), ("USER_ID", USER)];

fn sandbox(variables: Variables<'_>) -> Sandbox {
    variables.iter().fold(Sandbox::new(), |sandbox, (name, value)| sandbox.variable(name, value))
}

/// What comes out, as one line; the settings' own debug output is searched for keys on the way.
fn outcome(sandbox: &Sandbox) -> String {
    let settings = sandbox.load().expect("only publishing may be wrong");
    let answer = match settings.publish() {
        Ok(None) => "off".to_owned(),
        Ok(Some(options)) => {
            let seen = format!("{options:?}");
            assert!(!seen.contains("CANARY"), "{seen}");
            format!("{} by {} from {}", options.destination, options.key.kind(), options.key_source)
        }
        Err(error) => {
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            sandbox.told(&error)
        }
    };
    let seen = format!("{settings:?}");
    assert!(!seen.contains("CANARY") && !seen.contains(USER), "{seen}");
    assert!(!answer.contains("CANARY"), "{answer}");
    answer.replace(&sandbox.home().display().to_string(), "HOME")
}

fn with(variables: Variables<'_>) -> String {
    outcome(&sandbox(variables))
}

/// The usual three with these over them; an empty value takes one away.
fn usual_but(variables: Variables<'_>) -> String {
    outcome(&variables.iter().fold(sandbox(USUAL), |sandbox, (name, value)| sandbox.variable(name, value)))
}

fn is_on(told: &str, source: &str) {
    assert_eq!(told, format!("user {USER} of {URL} by secret key from {source}"));
}

#[test]
fn an_assignment_pasted_for_the_path_of_a_key_is_not_shown() {
    let told = usual_but(&[
        ("SUPABASE_SERVICE_KEY", ""),
        ("SUPABASE_SERVICE_KEY_FILE", "SUPABASE_SERVICE_KEY=sb_secret_CANARY"),
    ]);
    let place = "SUPABASE_SERVICE_KEY_FILE (SUPABASE_SERVICE_KEY=****************)";
    assert!(told.contains(&format!("{place} cannot be read")), "{told}");
}

#[test]
fn what_is_no_name_of_an_app_is_in_no_command() {
    for app in ["sb_secret_CANARY", "eyJCANARY", "a; CANARY", "$(CANARY)", "a b"] {
        let told = usual_but(&[("USER_ID", "me"), ("FLY_APP_NAME", app)]);
        assert!(told.contains("help: set USER_ID=…"), "{app}: {told}");
    }
    let told = usual_but(&[("USER_ID", "me"), ("FLY_APP_NAME", "meter-2")]);
    assert!(told.contains("--app meter-2"), "{told}");
}

#[test]
fn nothing_is_published_unless_somebody_says_where() {
    assert_eq!(with(&[]), "off");
    for alone in [
        &[("USER_ID", "not even a UUID")] as Variables<'_>,
        &[("USER_ID_FILE", "/nowhere")],
        &[("SUPABASE_ANON_KEY", "sb_publishable_CANARY")],
        &[("SUPABASE_ACCESS_TOKEN", "sbp_CANARY"), ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_CANARY")],
    ] {
        assert_eq!(with(alone), "off", "{alone:?}");
    }
}

#[test]
fn it_can_be_switched_off_by_name_whatever_else_is_wrong() {
    for (file, switch, expected) in [
        ("", "false", "off"),
        ("publish.enabled = false", "", "off"),
        ("publish.enabled = true", "0", "off"),
        ("publish.enabled = false", "on", "wrong"),
    ] {
        let sandbox = sandbox(&[("SUPABASE_URL", "nonsense"), ("TALLYD_PUBLISH", switch)]).file(file);
        let told = outcome(&sandbox);
        assert_eq!(told == "off", expected == "off", "{file} {switch}: {told}");
        let is_off = sandbox.load().unwrap().publishing_is_switched_off().unwrap();
        assert_eq!(is_off, expected == "off");
    }
    insta::assert_snapshot!(with(&[("TALLYD_PUBLISH", "maybe")]), @"
    `TALLYD_PUBLISH=maybe` in the environment: expected true or false (also 1/0, yes/no, on/off)
    help: change or unset TALLYD_PUBLISH
    ");
}

#[test]
fn a_service_key_has_three_names() {
    is_on(&with(USUAL), "SUPABASE_SERVICE_KEY");
    for name in ["SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"] {
        is_on(&with(&[("SUPABASE_URL", URL), (name, KEY), ("USER_ID", USER)]), name);
    }
    is_on(&usual_but(&[("SUPABASE_SECRET_KEY", KEY)]), "SUPABASE_SERVICE_KEY");
    insta::assert_snapshot!(usual_but(&[("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_CANARY2")]), @"
    SUPABASE_SERVICE_KEY and SUPABASE_SERVICE_ROLE_KEY are both set and differ
    help: unset SUPABASE_SERVICE_KEY or SUPABASE_SERVICE_ROLE_KEY: they mean the same
    ");
}

#[test]
fn a_users_own_token_says_whose_it_is() {
    let told = |more: Variables<'_>| {
        let token = token(USER);
        let own = [
            ("SUPABASE_URL", URL),
            ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_CANARY"),
            ("SUPABASE_ACCESS_TOKEN", &*token),
        ];
        with(&[&own as Variables<'_>, more].concat())
    };
    let by_token = format!("user {USER} of {URL} by access token of a user from SUPABASE_ACCESS_TOKEN");
    assert_eq!(told(&[]), by_token);
    assert_eq!(told(&[("USER_ID", USER)]), by_token);
    is_on(&told(&[("SUPABASE_SECRET_KEY", KEY), ("USER_ID", USER)]), "SUPABASE_SECRET_KEY");
    insta::assert_snapshot!(told(&[("USER_ID", OTHER)]), @"
    USER_ID is 11111111-2222-4333-8444-555555555555, but SUPABASE_ACCESS_TOKEN is a token of the user 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e
    help: unset USER_ID, or use a token of that user
    ");
    insta::assert_snapshot!(told(&[("SUPABASE_PUBLISHABLE_KEY", KEY)]), @"
    SUPABASE_PUBLISHABLE_KEY: it is a key to the whole project: expected the publishable key (sb_publishable_…) or the legacy anon key
    help: set SUPABASE_PUBLISHABLE_KEY=…; the project's dashboard lists its keys under Project Settings, API Keys
    ");
    insta::assert_snapshot!(told(&[("SUPABASE_PUBLISHABLE_KEY", "")]), @"
    publishing is configured by SUPABASE_ACCESS_TOKEN, but there is no publishable key (SUPABASE_PUBLISHABLE_KEY)
    help: set SUPABASE_PUBLISHABLE_KEY=sb_publishable_…; the project's dashboard lists its keys under Project Settings, API Keys; TALLYD_PUBLISH=false switches publishing off
    ");
    insta::assert_snapshot!(told(&[("SUPABASE_ACCESS_TOKEN", KEY)]), @"
    SUPABASE_ACCESS_TOKEN: it is no access token of a user: expected a JWT with role authenticated
    help: set SUPABASE_ACCESS_TOKEN=…; the project's dashboard lists its keys under Project Settings, API Keys
    ");
}

#[test]
fn each_piece_may_come_from_a_file_without_the_newline_at_its_end() {
    let sandbox = sandbox(&[
        ("SUPABASE_URL_FILE", "HOME/url"),
        ("SUPABASE_SECRET_KEY_FILE", "~/key"),
        ("USER_ID_FILE", "HOME/user"),
    ]);
    let sandbox = sandbox.put("url", &format!("{URL}\n")).put("key", &format!("{KEY}\r\n")).put("user", USER);
    is_on(&outcome(&sandbox), "SUPABASE_SECRET_KEY_FILE (HOME/key)");
}

#[test]
fn a_file_that_cannot_serve_is_named() {
    let key_file = |path: &str, content: Option<&str>| {
        let sandbox =
            sandbox(&[("SUPABASE_URL", URL), ("USER_ID", USER), ("SUPABASE_SERVICE_KEY_FILE", path)]);
        outcome(&content.into_iter().fold(sandbox, |sandbox, content| sandbox.put("key", content)))
    };
    insta::assert_snapshot!(key_file("HOME/key", None), @"
    SUPABASE_SERVICE_KEY_FILE (HOME/key) cannot be read: No such file or directory (os error 2)
    help: make the file readable for the user that tallyd runs as, or name another
    ");
    insta::assert_snapshot!(key_file("HOME/key", Some(" \n")), @"
    SUPABASE_SERVICE_KEY_FILE (HOME/key) is empty
    help: see what was put into SUPABASE_SERVICE_KEY_FILE (HOME/key)
    ");
    let long = "CANARY".repeat(11_000);
    insta::assert_snapshot!(key_file("HOME/key", Some(&long)), @"
    SUPABASE_SERVICE_KEY_FILE (HOME/key) is longer than any key or token: more than 64 KiB
    help: see what was put into SUPABASE_SERVICE_KEY_FILE (HOME/key)
    ");
    insta::assert_snapshot!(key_file("HOME/key", Some("CANARY\n")), @"
    SUPABASE_SERVICE_KEY_FILE (HOME/key): it is no Supabase key: they begin with sb_secret_, sb_publishable_ or, the legacy ones, with eyJ
    help: correct SUPABASE_SERVICE_KEY_FILE (HOME/key); the project's dashboard lists its keys under Project Settings, API Keys
    ");
    insta::assert_snapshot!(key_file(KEY, None), @"
    SUPABASE_SERVICE_KEY_FILE is a key or token itself: expected the path of a file that holds it
    help: use SUPABASE_SERVICE_KEY instead
    ");
    insta::assert_snapshot!(usual_but(&[("USER_ID_FILE", "HOME/user")]), @"
    USER_ID and USER_ID_FILE are both set
    help: unset USER_ID or USER_ID_FILE
    ");
}

#[test]
fn credentials_stand_between_environment_and_file() {
    let file = "[publish]\nurl = \"https://file.supabase.co\"\nuser_id = \"11111111-2222-4333-8444-555555555555\"\n\
                key_file = \"keys/mine\"\n";
    let sandbox = Sandbox::new().file(file).put(".config/tallyd/keys/mine", "sb_secret_CANARY_of_file\n");
    assert_eq!(
        outcome(&sandbox),
        format!(
            "user {OTHER} of https://file.supabase.co by secret key from `publish.key_file` (HOME/.config/tallyd/keys/mine)"
        )
    );
    let sandbox = sandbox.variable("CREDENTIALS_DIRECTORY", "HOME/credentials");
    let sandbox = sandbox.put("credentials/supabase_service_role_key", KEY).put("credentials/user_id", USER);
    let told = outcome(&sandbox);
    let expected = "from the credential HOME/credentials/supabase_service_role_key";
    assert_eq!(told, format!("user {USER} of https://file.supabase.co by secret key {expected}"));
    let sandbox = sandbox.variable("SUPABASE_URL", URL).variable("SUPABASE_SERVICE_KEY", "sb_secret_CANARY2");
    is_on(&outcome(&sandbox), "SUPABASE_SERVICE_KEY");
    let token = token(OTHER);
    let sandbox = sandbox.variable("SUPABASE_SERVICE_KEY", "").variable("SUPABASE_ACCESS_TOKEN", &token);
    let sandbox = sandbox.variable("SUPABASE_ANON_KEY", "sb_publishable_CANARY").variable("USER_ID", OTHER);
    let told = outcome(&sandbox);
    assert!(told.ends_with("by access token of a user from SUPABASE_ACCESS_TOKEN"), "{told}");
}

#[test]
fn the_file_may_name_a_users_token() {
    let file = "[publish]\nurl = \"https://abc.supabase.co\"\npublishable_key_file = \"p\"\naccess_token_file = \"t\"\n\
                interval_seconds = 5\ntimeout_seconds = 20";
    let sandbox = Sandbox::new().file(file).put(".config/tallyd/p", "sb_publishable_CANARY");
    let sandbox = sandbox.put(".config/tallyd/t", &token(USER)).variable("FLY_APP_NAME", "meter");
    let options = sandbox.load().unwrap().publish().unwrap().unwrap();
    assert_eq!(options.key.kind(), "access token of a user");
    assert_eq!(options.destination.to_string(), format!("user {USER} of {URL}"));
    assert_eq!((options.interval, options.timeout), (Duration::from_secs(5), Duration::from_secs(20)));
    assert_eq!(options.fly_app.as_deref(), Some("meter"));
    insta::assert_snapshot!(outcome(&Sandbox::new().file("publish.access_token_file = \"t\"")), @"
    publishing is configured by `publish.access_token_file` (HOME/.config/tallyd/t), but there is no URL of the project (SUPABASE_URL)
    help: set SUPABASE_URL=https://….supabase.co; TALLYD_PUBLISH=false switches publishing off
    ");
}

#[test]
fn what_is_missing_is_said_with_the_command_that_sets_it() {
    insta::assert_snapshot!(usual_but(&[("USER_ID", "")]), @"
    publishing is configured by SUPABASE_URL, but there is no user that the usage is billed to (USER_ID)
    help: set USER_ID=…; the project's dashboard lists its users under Authentication, Users; TALLYD_PUBLISH=false switches publishing off
    ");
    insta::assert_snapshot!(usual_but(&[("USER_ID", " "), ("FLY_APP_NAME", "meter")]), @"
    publishing is configured by SUPABASE_URL, but there is no user that the usage is billed to (USER_ID)
    help: run `fly secrets set USER_ID=… --app meter`; the project's dashboard lists its users under Authentication, Users; TALLYD_PUBLISH=false switches publishing off
    ");
    insta::assert_snapshot!(usual_but(&[("SUPABASE_URL", "")]), @"
    publishing is configured by SUPABASE_SERVICE_KEY, but there is no URL of the project (SUPABASE_URL)
    help: set SUPABASE_URL=https://….supabase.co; TALLYD_PUBLISH=false switches publishing off
    ");
    insta::assert_snapshot!(usual_but(&[("SUPABASE_SERVICE_KEY", "")]), @"
    publishing is configured by SUPABASE_URL, but there is no key (SUPABASE_SERVICE_KEY)
    help: set SUPABASE_SERVICE_KEY=sb_secret_…; the project's dashboard lists its keys under Project Settings, API Keys; TALLYD_PUBLISH=false switches publishing off
    ");
    let anon = [("SUPABASE_SERVICE_KEY", ""), ("SUPABASE_ANON_KEY", "sb_publishable_CANARY")];
    insta::assert_snapshot!(usual_but(&anon), @"
    publishing is configured by SUPABASE_ANON_KEY, but there is no user's access token (SUPABASE_ACCESS_TOKEN), and a publishable key alone may write nothing
    help: set SUPABASE_SERVICE_KEY=sb_secret_…, or SUPABASE_ACCESS_TOKEN to the user's own token; TALLYD_PUBLISH=false switches publishing off
    ");
}

#[test]
fn a_wrong_user_is_described_and_not_shown() {
    for (wrong, looks) in [
        ("sb_secret_CANARY", "a key, not a user"),
        ("eyJCANARY.x.y", "a key, not a user"),
        ("CANARY@example.com", "an e-mail address"),
        ("'3dfb3580-b7c4-4da3-8d9e-b9775c216f7e'", "in quotes"),
        ("<your user id>", "a placeholder that was not filled in"),
        ("$USER_ID", "a placeholder that was not filled in"),
        ("00000000-0000-0000-0000-000000000000", "all zeros, which is nobody's id"),
        ("3dfb3580b7c44da38d9eb9775c216f7e", "32 characters long and no UUID with hyphens"),
        ("CANARY", "6 characters long and no UUID with hyphens"),
    ] {
        let told = usual_but(&[("USER_ID", wrong)]);
        assert!(told.starts_with(&format!("USER_ID is {looks}: expected the id of a user")), "{told}");
    }
    insta::assert_snapshot!(usual_but(&[("USER_ID", "CANARY"), ("FLY_APP_NAME", "meter")]), @"
    USER_ID is 6 characters long and no UUID with hyphens: expected the id of a user, a UUID such as 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e
    help: run `fly secrets set USER_ID=… --app meter`; the project's dashboard lists its users under Authentication, Users
    ");
}

#[test]
fn a_wrong_url_or_key_is_told_with_the_reason() {
    insta::assert_snapshot!(usual_but(&[("SUPABASE_URL", "http://abc.supabase.co")]), @"
    SUPABASE_URL: http:// sends the key in the clear to abc.supabase.co: use https://, http:// is for this machine alone
    help: set SUPABASE_URL=https://….supabase.co
    ");
    insta::assert_snapshot!(usual_but(&[("SUPABASE_URL", KEY)]), @"
    SUPABASE_URL: it is no URL: expected one like https://abcdefghijklmnopqrst.supabase.co
    help: set SUPABASE_URL=https://….supabase.co
    ");
    let anon = [("SUPABASE_SERVICE_KEY", "sb_publishable_CANARY"), ("FLY_APP_NAME", "meter")];
    insta::assert_snapshot!(usual_but(&anon), @"
    SUPABASE_SERVICE_KEY: it is the project's publishable (anon) key, which may write nothing: expected a secret key (sb_secret_…) or the legacy service_role key
    help: give `fly secrets import --app meter` the line SUPABASE_SERVICE_KEY=… on its stdin; the project's dashboard lists its keys under Project Settings, API Keys
    ");
}

#[test]
fn the_config_file_holds_no_keys() {
    let refused = |text: &str| {
        let sandbox = Sandbox::new().file(text);
        let error = sandbox.load().expect_err(text);
        let mut told = sandbox.told(&error);
        if let Some(cause) = std::error::Error::source(&error) {
            told = format!("{told}\n{cause}");
        }
        assert!(!told.contains("CANARY"), "{told}");
        told
    };
    insta::assert_snapshot!(refused("[publish]\nservice_key = \"sb_secret_CANARY\""), @"
    the config file HOME/.config/tallyd/tallyd.toml has `publish.service_key`: keys and tokens do not belong in it
    help: remove it and have it replaced by the project; put the new one into a file that only tallyd may read and name that with `publish.key_file`, or set it in the environment
    ");
    insta::assert_snapshot!(refused("[publish]\nkey_file = sb_secret_CANARY"), @"
    the config file HOME/.config/tallyd/tallyd.toml is not valid TOML
    help: mend the line named above; config/tallyd.toml lists every key
    TOML parse error at line 2, column 12
      |
    2 | key_file = ****************
      |            ^^^^^^^^^^^^^^^^
    string values must be quoted, expected literal string
    ");
    insta::assert_snapshot!(refused("publish = \"sb_secret_CANARY\""), @r#"
    `publish = "****************"` in HOME/.config/tallyd/tallyd.toml: expected a table, written as [publish]
    help: change or remove `publish` in HOME/.config/tallyd/tallyd.toml
    "#);
    insta::assert_snapshot!(refused("[publish]\nurl = [\"sb_secret_CANARY\"]"), @r#"
    `publish.url = ["****************"]` in HOME/.config/tallyd/tallyd.toml: expected a text, in quotes
    help: change or remove `publish.url` in HOME/.config/tallyd/tallyd.toml
    "#);
    insta::assert_snapshot!(refused("[publish]\nsb_secret_CANARY = 1"), @"
    the config file HOME/.config/tallyd/tallyd.toml has an unknown key `************************`
    help: remove it; the keys are claude_dirs, state_dir, ledger_backup, prices, timezone, start_of_week, enabled, report.estimate, log.level, log.format, follow.rescan_seconds, follow.poll_seconds, follow.force_polling, tail.max_line_bytes, http.listen, http.max_backlog_seconds, otel.listen, publish.enabled, publish.url, publish.user_id, publish.key_file, publish.publishable_key_file, publish.access_token_file, publish.interval_seconds, publish.timeout_seconds
    ");
    insta::assert_snapshot!(outcome(&Sandbox::new().file("[publish]\nkey_file = \"sb_secret_CANARY\"\nurl = \"https://abc.supabase.co\"")), @"
    `publish.key_file` in HOME/.config/tallyd/tallyd.toml is a key or token itself: expected the path of a file that holds it
    help: put it into a file that only tallyd may read, and name that
    ");
}
