//! What may be typed and what may not.

use super::*;
use crate::telemetry::{ColorChoice, LogFormat};
use chrono::Weekday;
use clap::CommandFactory;
use clap::error::ErrorKind;
use report::{Order, Output, ReportKind, ReportQuery, TokenLimit};
use std::path::PathBuf;

fn typed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[track_caller]
fn query(line: &str) -> ReportQuery {
    match typed(line).expect(line).command {
        Some(Command::Report(command)) => command.query(),
        other => panic!("{line} is no report: {other:?}"),
    }
}

#[track_caller]
fn kind(line: &str) -> ReportKind {
    query(line).kind
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn plain_tallyd_is_run() {
    let plain = typed("tallyd --log-format json").unwrap();
    assert!(plain.command.is_none());
    assert_eq!(plain.usual_level(), Level::Info);
    let run = typed("tallyd run").unwrap();
    assert!(matches!(run.command, Some(Command::Run(_))));
    assert_eq!(run.usual_level(), Level::Info);
    assert_eq!(typed("tallyd daily").unwrap().usual_level(), Level::Warn);
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    let options = "--claude-dir a --claude-dir b --state-dir s --config c --prices p --log-level debug \
        --log-format json --color always";
    let expected = crate::config::Overrides {
        claude_dirs: vec![PathBuf::from("a"), PathBuf::from("b")],
        state_dir: Some(PathBuf::from("s")),
        config: Some(PathBuf::from("c")),
        prices: Some(PathBuf::from("p")),
        log_level: Some(Level::Debug),
        log_format: Some(LogFormat::Json),
        color: Some(ColorChoice::Always),
    };
    let names: Vec<String> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(names.len(), 23);
    for name in names {
        let operand = match name.as_str() {
            "explain" => "msg_1",
            "completions" => "bash",
            "reconcile" => "printed.json",
            "service" => "status",
            _ => "",
        };
        for line in
            [format!("tallyd {options} {name} {operand}"), format!("tallyd {name} {operand} {options}")]
        {
            assert_eq!(typed(&line).expect(&line).global.overrides(), expected, "{line}");
        }
    }
    assert_eq!(typed("tallyd --no-color").unwrap().global.overrides().color, Some(ColorChoice::Never));
}

#[test]
fn reports_take_the_flags_that_hands_know() {
    let asked = query(
        "tallyd monthly -j -s 20261101 -u 2026-11-30 -z UTC -o desc -b -p tallyd --compact --no-cost --estimate --last 3 --no-scan",
    );
    let expected = ReportQuery {
        kind: ReportKind::Monthly,
        output: Output::Json,
        since: Some("20261101".into()),
        until: Some("2026-11-30".into()),
        timezone: Some("UTC".into()),
        order: Some(Order::Desc),
        breakdown: true,
        project: Some("tallyd".into()),
        compact: true,
        no_cost: true,
        estimate: true,
        last: std::num::NonZeroUsize::new(3),
        no_scan: true,
    };
    assert_eq!(asked, expected);
    let long = "tallyd monthly --json --since 20261101 --until 2026-11-30 --timezone UTC --order desc --breakdown \
        --project tallyd --compact --no-cost --estimate --last 3 --no-scan";
    assert_eq!(query(long), expected);
    assert_eq!(query("tallyd model --csv").output, Output::Csv);
    assert_eq!(query("tallyd project").output, Output::Table);
}

#[test]
fn each_report_has_its_own_flags() {
    assert_eq!(kind("tallyd daily -i"), ReportKind::Daily { instances: true });
    assert_eq!(kind("tallyd weekly"), ReportKind::Weekly { start_of_week: None });
    for line in ["tallyd weekly -w monday", "tallyd weekly --start-of-week Monday"] {
        assert_eq!(kind(line), ReportKind::Weekly { start_of_week: Some(Weekday::Mon) });
    }
    assert_eq!(kind("tallyd session -i abc"), ReportKind::Session { id: Some("abc".into()) });
    let blocks = |active, recent, token_limit, session_length_hours| ReportKind::Blocks {
        active,
        recent,
        token_limit,
        session_length_hours,
    };
    assert_eq!(kind("tallyd blocks"), blocks(false, false, None, 5));
    assert_eq!(kind("tallyd blocks -a -r -t max -n 24"), blocks(true, true, Some(TokenLimit::Max), 24));
    assert_eq!(kind("tallyd blocks --token-limit 9"), blocks(false, false, Some(TokenLimit::Tokens(9)), 5));
}

#[test]
fn every_day_of_the_week_is_known() {
    for name in report::DayOfWeek::NAMES {
        assert!(typed(&format!("tallyd weekly -w {name}")).is_ok(), "{name}");
    }
}

#[test]
fn old_habits_are_taken_without_effect() {
    let plain = query("tallyd daily");
    for habit in ["-O", "--offline", "--no-offline", "-O --no-offline", "-m auto", "--mode calculate"] {
        assert_eq!(query(&format!("tallyd daily {habit}")), plain, "{habit}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    use ErrorKind::{
        ArgumentConflict, InvalidSubcommand, InvalidValue, MissingRequiredArgument, UnknownArgument,
    };
    for (line, kind) in [
        ("tallyd dayly", InvalidSubcommand),
        ("tallyd --verbose", UnknownArgument),
        ("tallyd run extra", UnknownArgument),
        ("tallyd monthly --instances", UnknownArgument),
        ("tallyd daily --start-of-week monday", UnknownArgument),
        ("tallyd daily --json --csv", ArgumentConflict),
        ("tallyd daily --color always --no-color", ArgumentConflict),
        ("tallyd prices --check f --json", ArgumentConflict),
        ("tallyd explain", MissingRequiredArgument),
        ("tallyd completions", MissingRequiredArgument),
        ("tallyd completions csh", InvalidValue),
        ("tallyd --log-level loud", InvalidValue),
        ("tallyd --log-format xml", InvalidValue),
        ("tallyd --color red", InvalidValue),
        ("tallyd --state-dir=", InvalidValue),
        ("tallyd daily --order up", InvalidValue),
        ("tallyd daily --project=", InvalidValue),
        ("tallyd weekly -w someday", InvalidValue),
        ("tallyd daily --last 0", ErrorKind::ValueValidation),
        ("tallyd daily --mode display", ErrorKind::ValueValidation),
        ("tallyd blocks -t 0", ErrorKind::ValueValidation),
        ("tallyd blocks -t some", ErrorKind::ValueValidation),
        ("tallyd blocks -n 0", ErrorKind::ValueValidation),
        ("tallyd blocks -n 1.5", ErrorKind::ValueValidation),
        ("tallyd publish --timeout 5", MissingRequiredArgument),
        ("tallyd publish --wait --timeout 0", ErrorKind::ValueValidation),
        ("tallyd publish --dry-run --wait", ArgumentConflict),
        ("tallyd verify --dry-run --timeout 5", ArgumentConflict),
        ("tallyd restore --dry-run --timeout 5", ArgumentConflict),
        ("tallyd reassign --everything --from-now-on", ArgumentConflict),
    ] {
        let error = typed(line).expect_err(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert_eq!(error.exit_code(), i32::from(ExitCode::Usage.number()), "{line}");
    }
}

#[test]
fn mode_display_is_refused_with_the_reason() {
    insta::assert_snapshot!(typed("tallyd daily -m display").unwrap_err(), @"
    error: invalid value 'display' for '--mode <MODE>': `display` shows costs that the logs carry, and Claude Code no longer writes any; tallyd works every cost out from the tokens: leave --mode out

    For more information, try '--help'.
    ");
}

#[test]
fn help_and_version_are_no_failure() {
    for (line, kind) in [
        ("tallyd --help", ErrorKind::DisplayHelp),
        ("tallyd blocks -h", ErrorKind::DisplayHelp),
        ("tallyd --version", ErrorKind::DisplayVersion),
        ("tallyd -V", ErrorKind::DisplayVersion),
    ] {
        let error = typed(line).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 0), "{line}");
    }
}

#[test]
fn every_command_has_examples_that_parse() {
    let command = Cli::command();
    for subcommand in command.get_subcommands().chain([&command]) {
        let text = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
        let is_example =
            |line: &&str| line.starts_with("  tallyd") || line.starts_with("  TOKEN_TRACKING_ENABLED");
        let examples: Vec<&str> = text.lines().filter(is_example).collect();
        assert!((2..=4).contains(&examples.len()), "{}: {examples:?}", subcommand.get_name());
        for example in examples {
            // What follows two spaces explains, what follows > or | is the shell's.
            let line = example.trim().split("   ").next().unwrap_or_default();
            let line = line.split(['>', '|']).next().unwrap_or_default();
            let line = line.strip_prefix("TOKEN_TRACKING_ENABLED=false ").unwrap_or(line);
            assert!(typed(line).is_ok(), "{line}");
        }
    }
}

#[test]
fn the_help_names_every_exit_code() {
    for code in ExitCode::ALL {
        let number = format!(" {} ", code.number());
        assert!(AFTER_HELP.replace('\n', " ").contains(&number), "{number}");
    }
}
