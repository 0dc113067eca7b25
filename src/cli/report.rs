//! `tallyd daily`, `weekly`, `monthly`, `session`, `project`, `model` and `blocks`: what may be typed.
//!
//! The flags are those that users of ccusage know (version 20.0.24). Some have no effect here and are
//! taken for the sake of old scripts. Dates and zones stay texts: the report knows what they mean.

mod answer;
mod beside;

pub(super) use answer::text;
pub use answer::{data, run};

use super::global::one_of;
use super::report_help as help;
use crate::config;
use crate::telemetry::NotAccepted;
use chrono::Weekday;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use std::num::NonZeroUsize;

/// The reports.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Tokens and cost of each day
    #[command(after_help = help::DAILY)]
    Daily(DailyArgs),
    /// Tokens and cost of each week
    #[command(after_help = help::WEEKLY)]
    Weekly(WeeklyArgs),
    /// Tokens and cost of each month
    #[command(after_help = help::MONTHLY)]
    Monthly(CommonArgs),
    /// Tokens and cost of each session, sub-agents included
    #[command(after_help = help::SESSION)]
    Session(SessionArgs),
    /// Tokens and cost of each project
    #[command(after_help = help::PROJECT)]
    Project(CommonArgs),
    /// Tokens and cost of each model
    #[command(after_help = help::MODEL)]
    Model(CommonArgs),
    /// Tokens and cost of each five-hour billing window
    #[command(after_help = help::BLOCKS)]
    Blocks(BlocksArgs),
}

/// Which end of the list comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// The oldest first.
    Asc,
    /// The newest first.
    Desc,
}

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A table that fits the terminal.
    Table,
    /// JSON.
    Json,
    /// CSV.
    Csv,
}

/// Flags of all reports.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub struct CommonArgs {
    /// Print JSON
    #[arg(short, long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV, safe to open in a spreadsheet
    #[arg(long)]
    pub csv: bool,
    /// First day, as 2026-11-30 or 20261130 [default: the first there is]
    #[arg(short, long, value_name = "DATE")]
    pub since: Option<String>,
    /// Last day, included [default: the last there is]
    #[arg(short, long, value_name = "DATE")]
    pub until: Option<String>,
    /// Zone that days are counted in: UTC, local or an IANA name [default: local]
    ///
    /// Beats `TALLYD_TIMEZONE` and `timezone` in tallyd.toml.
    #[arg(short = 'z', long, value_name = "ZONE", value_parser = NonEmptyStringValueParser::new())]
    pub timezone: Option<String>,
    /// Which end comes first [default: asc]
    #[arg(short, long, value_enum)]
    pub order: Option<Order>,
    /// Show each model of a row
    #[arg(short, long)]
    pub breakdown: bool,
    /// Only this project: its path, the path's last part, or its folder below `projects`
    #[arg(short, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub project: Option<String>,
    /// Few columns, whatever the width of the terminal
    #[arg(long)]
    pub compact: bool,
    /// Leave costs out
    #[arg(long)]
    pub no_cost: bool,
    /// Show what replies without a final output count most likely had, beside the exact sums
    ///
    /// Also `TALLYD_ESTIMATE` and `report.estimate` in tallyd.toml.
    #[arg(long)]
    pub estimate: bool,
    /// Only the last N rows [default: all]
    #[arg(long, value_name = "N")]
    pub last: Option<NonZeroUsize>,
    /// Report what the ledger has, without a look at the logs first
    #[arg(long)]
    pub no_scan: bool,
    /// No effect: prices are always local
    #[arg(short = 'O', long, overrides_with = "no_offline", hide_short_help = true)]
    pub offline: bool,
    /// No effect: prices are always local
    #[arg(long, overrides_with = "offline", hide_short_help = true)]
    pub no_offline: bool,
    /// No effect: auto and calculate both mean that costs are worked out from tokens
    #[arg(short, long, value_name = "MODE", value_parser = cost_mode, hide_short_help = true)]
    pub mode: Option<CostMode>,
}

/// Modes of cost that old scripts ask for and that mean the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostMode {
    /// `auto`.
    Auto,
    /// `calculate`.
    Calculate,
}

/// Arguments of `tallyd daily`.
#[derive(Clone, Debug, Default, Args)]
pub struct DailyArgs {
    /// Flags of all reports.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Days of each project apart
    #[arg(short, long)]
    pub instances: bool,
}

/// Arguments of `tallyd weekly`.
#[derive(Clone, Debug, Default, Args)]
pub struct WeeklyArgs {
    /// Flags of all reports.
    #[command(flatten)]
    pub common: CommonArgs,
    /// First day of a week [default: sunday]
    ///
    /// Beats `start_of_week` in tallyd.toml.
    #[arg(
        short = 'w', long, value_name = "DAY", ignore_case = true,
        value_parser = one_of::<DayOfWeek>(&DayOfWeek::NAMES)
    )]
    pub start_of_week: Option<DayOfWeek>,
}

/// Arguments of `tallyd session`.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionArgs {
    /// Flags of all reports.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Only the session of this id
    #[arg(short, long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub id: Option<String>,
}

/// Arguments of `tallyd blocks`.
#[derive(Clone, Debug, Args)]
pub struct BlocksArgs {
    /// Flags of all reports.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Only the running window, with its burn rate and projection
    #[arg(short, long)]
    pub active: bool,
    /// Only the windows of the last three days, and the running one
    #[arg(short, long)]
    pub recent: bool,
    /// Measure windows against N tokens, or against the largest window there was (max)
    #[arg(short, long, value_name = "N|max", value_parser = token_limit)]
    pub token_limit: Option<TokenLimit>,
    /// Length of a window in hours
    #[arg(
        short = 'n', long, value_name = "HOURS", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=744)
    )]
    pub session_length: u32,
}

/// What the tokens of a window are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    /// The largest finished window.
    Max,
    /// So many tokens.
    Tokens(u64),
}

/// A day of the week, read from its English name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOfWeek(pub Weekday);

impl DayOfWeek {
    /// Names that are accepted.
    pub const NAMES: [&'static str; 7] =
        ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
}

impl std::str::FromStr for DayOfWeek {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        config::weekday(text).map(Self).ok_or(NotAccepted { allowed: "the English name of a day" })
    }
}

fn cost_mode(text: &str) -> Result<CostMode, String> {
    match text {
        "auto" => Ok(CostMode::Auto),
        "calculate" => Ok(CostMode::Calculate),
        "display" => Err("`display` shows costs that the logs carry, and Claude Code no longer writes any; \
             tallyd works every cost out from the tokens: leave --mode out"
            .to_owned()),
        _ => Err("expected auto or calculate, which mean the same here: leave --mode out".to_owned()),
    }
}

fn token_limit(text: &str) -> Result<TokenLimit, String> {
    if text == "max" {
        return Ok(TokenLimit::Max);
    }
    match text.parse() {
        Ok(tokens) if tokens > 0 => Ok(TokenLimit::Tokens(tokens)),
        _ => Err("expected a number of tokens above 0, or max".to_owned()),
    }
}

/// What is reported, and its own flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// By day.
    Daily {
        /// Days of each project apart.
        instances: bool,
    },
    /// By week.
    Weekly {
        /// First day of a week; `None` leaves it to the settings.
        start_of_week: Option<Weekday>,
    },
    /// By month.
    Monthly,
    /// By session.
    Session {
        /// Only this one.
        id: Option<String>,
    },
    /// By project.
    Project,
    /// By model.
    Model,
    /// By billing window.
    Blocks {
        /// Only the running one.
        active: bool,
        /// Only those of the last three days.
        recent: bool,
        /// What to measure against.
        token_limit: Option<TokenLimit>,
        /// Length of a window in hours.
        session_length_hours: u32,
    },
}

/// A report as it was asked for: flags resolved among each other, not yet against settings or ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub struct ReportQuery {
    /// What is reported.
    pub kind: ReportKind,
    /// What comes out.
    pub output: Output,
    /// First day, as typed.
    pub since: Option<String>,
    /// Last day, as typed.
    pub until: Option<String>,
    /// Time zone, as typed; `None` leaves it to the settings.
    pub timezone: Option<String>,
    /// Which end comes first; `None` is the report's own order.
    pub order: Option<Order>,
    /// Show each model of a row.
    pub breakdown: bool,
    /// Only this project, as typed.
    pub project: Option<String>,
    /// Few columns.
    pub compact: bool,
    /// Leave costs out.
    pub no_cost: bool,
    /// Show estimates.
    pub estimate: bool,
    /// Only the last rows.
    pub last: Option<NonZeroUsize>,
    /// Do not look at the logs first.
    pub no_scan: bool,
}

impl ReportCommand {
    /// The report that was asked for.
    pub fn query(&self) -> ReportQuery {
        match self {
            Self::Daily(args) => args.common.query(ReportKind::Daily { instances: args.instances }),
            Self::Weekly(args) => {
                let start_of_week = args.start_of_week.map(|day| day.0);
                args.common.query(ReportKind::Weekly { start_of_week })
            }
            Self::Monthly(args) => args.query(ReportKind::Monthly),
            Self::Session(args) => args.common.query(ReportKind::Session { id: args.id.clone() }),
            Self::Project(args) => args.query(ReportKind::Project),
            Self::Model(args) => args.query(ReportKind::Model),
            Self::Blocks(args) => args.common.query(ReportKind::Blocks {
                active: args.active,
                recent: args.recent,
                token_limit: args.token_limit,
                session_length_hours: args.session_length,
            }),
        }
    }
}

impl CommonArgs {
    fn query(&self, kind: ReportKind) -> ReportQuery {
        let output = match (self.json, self.csv) {
            (true, _) => Output::Json,
            (false, true) => Output::Csv,
            (false, false) => Output::Table,
        };
        ReportQuery {
            kind,
            output,
            since: self.since.clone(),
            until: self.until.clone(),
            timezone: self.timezone.clone(),
            order: self.order,
            breakdown: self.breakdown,
            project: self.project.clone(),
            compact: self.compact,
            no_cost: self.no_cost,
            estimate: self.estimate,
            last: self.last,
            no_scan: self.no_scan,
        }
    }
}

impl ReportQuery {
    /// A report as the command without a flag makes it.
    pub fn plain(kind: ReportKind) -> Self {
        CommonArgs::default().query(kind)
    }
}
