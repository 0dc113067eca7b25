//! `tallyd reconcile`: the ledger against what others say was used and billed.

mod book;

use super::errors::{NotCompared, UsageError};
use super::exit::ExitCode;
use super::{engine, output};
use crate::config::{Settings, read_text};
use crate::daemon;
use crate::domain::{Clock, SystemClock, UnixMillis};
use crate::ledger::LedgerReader;
use crate::reconcile::{
    self, Admin, AdminOptions, ApiError, Days, Only, Reading, Request, Source, Span, Texts, Tolerance,
};
use crate::report::{Format, ReportError, Style, parse_date};
use chrono::{Days as Count, NaiveDate};
use clap::Args;
use std::io::Read;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  claude -p 'hello' --output-format json | tallyd reconcile -
  tallyd reconcile run1.json run2.json            what the client printed, by session and model
  tallyd reconcile claude_api_tokens_2026_11.csv  a Console export of usage or cost, by day and model
  tallyd reconcile --api --since 2026-11-01       Anthropic's Usage & Cost API
  tallyd reconcile --analytics --user dev@example.com --json

What a file is, is seen from what is in it. The APIs want an Admin key in ANTHROPIC_ADMIN_KEY or
ANTHROPIC_ADMIN_KEY_FILE; they count the whole organization, unless told otherwise. Days are UTC.

Exit code 14 where a difference is left, or something was not understood that may hide one.";

/// A file or standard input of a month is a fraction of it; a name may lead to something that has no end.
const MAX_BYTES: u64 = 256 << 20;

/// Days that are asked for unless told otherwise, and at most: a request each, of the analytics.
const USUAL_DAYS: u64 = 30;
const MOST_DAYS: u64 = 366;

/// Arguments of `tallyd reconcile`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub struct ReconcileArgs {
    /// Totals that `claude -p --output-format json` (or stream-json) printed, and CSV files that the Console
    /// exports; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["api", "analytics"])]
    pub files: Vec<PathBuf>,
    /// Ask Anthropic's Usage & Cost API
    #[arg(long)]
    pub api: bool,
    /// Ask Anthropic's Claude Code Analytics API
    #[arg(long)]
    pub analytics: bool,
    /// With --api: only this workspace, by its id; repeatable
    #[arg(long = "workspace", value_name = "ID", requires = "api")]
    pub workspaces: Vec<String>,
    /// With --api: only this API key, by its id (apikey_…), never the key; repeatable
    #[arg(long = "api-key-id", value_name = "ID", requires = "api")]
    pub api_keys: Vec<String>,
    /// With --analytics: only this user, by e-mail address, or this API key, by its name; repeatable
    #[arg(long = "user", value_name = "NAME", requires = "analytics")]
    pub users: Vec<String>,
    /// First day (UTC), as 2026-11-30 or 20261130 [default: a file's first; of the APIs 30 days]
    #[arg(short, long, value_name = "DATE")]
    pub since: Option<String>,
    /// Last day (UTC), included [default: a file's last; of the APIs today]
    #[arg(short, long, value_name = "DATE")]
    pub until: Option<String>,
    /// What is no difference: dollars a row, or a share like 0.5% [default: 0.000000001]
    #[arg(long, value_name = "USD|PERCENT")]
    pub tolerance: Option<Tolerance>,
    /// Print JSON
    #[arg(short, long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV, safe to open in a spreadsheet
    #[arg(long)]
    pub csv: bool,
    /// Compare what the ledger has, without a look at the logs first
    #[arg(long)]
    pub no_scan: bool,
}

/// A key in the place of an id is in the argument list already; it is not repeated, and not sent as an id.
fn refuse_keys(args: &ReconcileArgs) -> Result<(), UsageError> {
    let flags =
        [("--workspace", &args.workspaces), ("--api-key-id", &args.api_keys), ("--user", &args.users)];
    let is_key =
        |text: &String| text.trim().is_empty() || text.trim().to_ascii_lowercase().starts_with("sk-");
    match flags.into_iter().find(|(_, texts)| texts.iter().any(is_key)) {
        Some((flag, _)) => Err(UsageError {
            what: format!("{flag} is given something that is no id and no name"),
            help: "keys have ids, like apikey_01…; the key itself goes into ANTHROPIC_ADMIN_KEY alone"
                .to_owned(),
        }),
        None => Ok(()),
    }
}

/// Compares, and prints what was found.
pub fn run(args: &ReconcileArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let request = request(args, now)?;
    refuse_keys(args)?;
    let options = asks(args).then(|| options(settings)).transpose()?;
    let (texts, as_of) = texts(&args.files)?;
    refuse_days_of_sessions(args, &texts)?;
    if !args.no_scan && settings.enabled {
        engine::refresh(settings, "reconcile")?;
    }
    let ledger = LedgerReader::open(settings.state_dir()?)?;
    ledger.check_read()?;
    let prices = engine::prices(settings)?;
    let mut book = book::read(&ledger, &prices)?;
    book::read_sessions(&ledger, &texts.sessions(), &mut book)?;
    let mut readings = texts.readings(&book.clients);
    for exports in readings.iter_mut().filter(|reading| reading.source == Source::Export) {
        exports.as_of = as_of;
    }
    if let Some(options) = options {
        readings.extend(ask(args, &options, days(&request, now)?)?);
    }
    readings.sort_by_key(|reading| reading.source);
    let comparison = reconcile::compare(readings, &book, &prices, &request);
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Table,
    };
    let style = Style { width: output::terminal_width(), color: settings.log.color.colours_stdout() };
    output::print(&reconcile::render(&comparison, format, &style))?;
    Ok(if comparison.differs() { ExitCode::Differs } else { ExitCode::Done })
}

fn asks(args: &ReconcileArgs) -> bool {
    args.api || args.analytics
}

fn request(args: &ReconcileArgs, now: UnixMillis) -> Result<Request, ReportError> {
    let date = |text: &Option<String>| text.as_deref().map(parse_date).transpose();
    let (since, until) = (date(&args.since)?, date(&args.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(ReportError::DatesReversed { since, until });
    }
    Ok(Request { since, until, tolerance: args.tolerance.unwrap_or_default(), now })
}

/// The days that an API is asked for.
fn days(request: &Request, now: UnixMillis) -> Result<Days, UsageError> {
    let today = now.to_utc().date_naive();
    let last = request.until.unwrap_or(today);
    let usual = last.checked_sub_days(Count::new(USUAL_DAYS - 1)).unwrap_or(last);
    let first = request.since.unwrap_or(usual);
    let refuse =
        |what: String| UsageError { what, help: "name other days with --since and --until".to_owned() };
    if first > last {
        return Err(refuse(format!("the first day, {first}, is after the last, {last}")));
    }
    if first.checked_add_days(Count::new(MOST_DAYS)).is_some_and(|end| end <= last) {
        return Err(refuse(format!("from {first} to {last} are more than {MOST_DAYS} days")));
    }
    Ok(Span { first, last })
}

/// A printed total is of a session over all its days.
fn refuse_days_of_sessions(args: &ReconcileArgs, texts: &Texts) -> Result<(), UsageError> {
    if texts.sessions().is_empty() || (args.since.is_none() && args.until.is_none()) {
        return Ok(());
    }
    Err(UsageError {
        what: "a total that the client printed is of a session over all its days, and cannot be cut by day"
            .to_owned(),
        help: "leave --since and --until out, or compare it by itself".to_owned(),
    })
}

fn options(settings: &Settings) -> anyhow::Result<AdminOptions> {
    let missing = || {
        NotCompared {
        code: ExitCode::Configuration,
        what: "Anthropic's Admin APIs want a key, and none is given".to_owned(),
        help: "set ANTHROPIC_ADMIN_KEY, or ANTHROPIC_ADMIN_KEY_FILE to the path of a file that only you may read; \
               an organization's admins make keys in the Console under Settings, Admin keys"
            .to_owned(),
    }
    };
    Ok(settings.admin()?.ok_or_else(missing)?)
}

/// All texts that were named, and when the oldest of them was written, where that is known.
fn texts(files: &[PathBuf]) -> anyhow::Result<(Texts, Option<UnixMillis>)> {
    let mut texts = Texts::default();
    let mut as_of: Option<UnixMillis> = None;
    for file in files {
        let name = file.display().to_string();
        let (text, written) = text(file).map_err(|error| UsageError {
            what: format!("{name} cannot be read: {error}"),
            help: "name files of at most 256 MiB of UTF-8 text, or `-` for standard input".to_owned(),
        })?;
        reconcile::read(&mut texts, &text, &name).map_err(|error| UsageError {
            what: error.to_string(),
            help:
                "give what `claude -p --output-format json` printed, or a CSV file of the Console's Usage or \
                   Cost page"
                    .to_owned(),
        })?;
        as_of = match (as_of, written) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok((texts, as_of))
}

fn text(file: &Path) -> std::io::Result<(String, Option<UnixMillis>)> {
    if file != Path::new("-") {
        let written = std::fs::metadata(file)?.modified().ok().map(UnixMillis::from);
        return Ok((read_text(file, MAX_BYTES)?, written));
    }
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok((text, None))
}

/// What the APIs say.
fn ask(args: &ReconcileArgs, options: &AdminOptions, days: Days) -> anyhow::Result<Vec<Reading>> {
    let only = Only {
        workspaces: args.workspaces.clone(),
        api_keys: args.api_keys.clone(),
        users: args.users.clone(),
    };
    let failed = |error: ApiError| failure(&error, options);
    let admin = Admin::new(options.clone()).map_err(failed)?;
    let mut readings = Vec::new();
    if args.api {
        readings.push(daemon::block_on(admin.usage_and_cost(days, &only))?.map_err(failed)?);
    }
    if args.analytics {
        readings.push(daemon::block_on(admin.claude_code(days, &only))?.map_err(failed)?);
    }
    Ok(readings)
}

fn failure(error: &ApiError, options: &AdminOptions) -> NotCompared {
    let (code, help) = match error {
        ApiError::Refused { .. } => (
            ExitCode::Refused,
            format!(
                "put a key that may read the organization's usage into {}: an Admin key, sk-ant-admin…",
                options.key_source
            ),
        ),
        ApiError::Rejected { .. } => {
            (ExitCode::Failure, "see the days and ids that were asked for".to_owned())
        }
        ApiError::Later { .. } | ApiError::Unanswered { .. } | ApiError::NoClient { .. } => {
            (ExitCode::Failure, "try again later; see that this machine reaches the server".to_owned())
        }
        ApiError::TooLong { .. } | ApiError::Unreadable { .. } | ApiError::Endless { .. } => (
            ExitCode::Failure,
            "the answer is not as its reference says: something on the way, or a newer API".to_owned(),
        ),
    };
    NotCompared { code, what: error.to_string(), help }
}

/// The day of a moment in UTC.
fn day(at: UnixMillis) -> NaiveDate {
    at.to_utc().date_naive()
}
