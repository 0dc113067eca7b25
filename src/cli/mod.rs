//! The command line: what may be typed, and which function answers.
//!
//! Owns: clap, stdout and the exit codes. Each command has a file with its arguments and its `run`.
//! Results go to stdout, everything else to stderr. `anyhow` is used here and nowhere below: this is where
//! errors of all modules meet, to be told once, by [`exit::report`].

pub mod check;
pub mod completions;
mod engine;
mod errors;
pub mod exit;
pub mod explain;
pub mod global;
pub mod man;
pub mod metrics;
pub mod output;
pub mod prices;
pub mod publish;
mod publishing;
pub mod reassign;
pub mod reconcile;
pub mod report;
mod report_help;
pub mod restore;
pub mod run;
pub mod scan;
pub mod schema;
pub mod service;
pub mod status;
pub mod verify;

#[cfg(test)]
mod tests;

use crate::config::{self, ConfigError, Environment, Settings};
use crate::telemetry::Level;
use clap::{Parser, Subcommand};
use exit::ExitCode;

const ABOUT: &str =
    "Meters Claude Code: counts every API response in its session logs exactly once and prices it exactly.";

const AFTER_HELP: &str = "\
Examples:
  tallyd                        follow the logs and keep counting
  tallyd daily                  what each day has cost
  tallyd daily --json --since 2026-11-01
  tallyd blocks --active        the running five-hour window

Without a command tallyd does `run`. `tallyd COMMAND --help` has more examples.
Settings come from flags, then the environment, then tallyd.toml, then defaults.

Exit codes: 0 done, 1 unexpected failure, 2 usage, 3 configuration, 4 no state folder or home,
5 ledger locked by another tallyd, 6 ledger written by a newer tallyd, 7 ledger cannot be read or
written, 8 a price file is wrong, 9 nothing found for the id given to `explain`, 10 Supabase refuses the
key or the user or lacks tallyd's SQL, or Anthropic refuses the key, 11 not sent in time, kept and sent
later, 12 the server refuses some sessions, 13 the ledger belongs to another user or project, 14 `verify`,
`restore` or `reconcile` found a lasting difference, 15 `status` finds no tallyd running, or not ready,
16 no service manager that does what `service` asks of it.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "tallyd", version, about = ABOUT, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: global::GlobalArgs,
    /// The command; `run` where there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow the logs and keep the ledger up to date, until told to stop (the default)
    Run(run::RunArgs),
    /// Take everything that is new in the logs into the ledger, once, and say what was found
    Scan(scan::ScanArgs),
    /// The reports: `daily` to `blocks`.
    #[command(flatten)]
    Report(report::ReportCommand),
    /// Show the prices in force, or check a file of prices
    Prices(prices::PricesArgs),
    /// Show how a response or a session was counted and priced, line by line and term by term
    Explain(explain::ExplainArgs),
    /// Send what waits to Supabase, now
    Publish(publish::PublishArgs),
    /// Say what is right and what is wrong: folders, ledger, prices, Supabase; change nothing
    Check(check::CheckArgs),
    /// Say how the running tallyd is: what it is at, what waits, what went wrong last
    Status(status::StatusArgs),
    /// Say to whom the ledger belongs, or give it to the configured user
    Reassign(reassign::ReassignArgs),
    /// Compare Supabase with the ledger, and send again what is missing there
    Verify(verify::VerifyArgs),
    /// Compare the ledger with what others bill: the client's totals, Anthropic's APIs, Console exports
    Reconcile(reconcile::ReconcileArgs),
    /// Take back from Supabase what no log has any more
    Restore(restore::RestoreArgs),
    /// Print the ledger's figures for a monitoring system, as Prometheus text
    Metrics(metrics::MetricsArgs),
    /// Have the system run tallyd for this user: install, look after and remove the service
    Service(service::ServiceArgs),
    /// Print the SQL that sets a Supabase project up
    Schema(schema::SchemaArgs),
    /// Print the completion script of a shell
    Completions(completions::CompletionsArgs),
    /// Print the man page, or write all of them into a folder
    Man(man::ManArgs),
}

impl Cli {
    /// What this process was started with. Ends the process for a wrong command line (code 2), for
    /// `--help` and for `--version` (code 0).
    pub fn from_command_line() -> Self {
        Self::parse()
    }

    /// Does what needs no settings and so works however broken they are: completions, man pages, SQL, the
    /// service, whose installation alone looks at them.
    /// `None` where the command is another one.
    pub fn run_without_settings(&self) -> Option<anyhow::Result<ExitCode>> {
        match &self.command {
            Some(Command::Completions(args)) => Some(completions::run(args)),
            Some(Command::Man(args)) => Some(man::run(args)),
            Some(Command::Schema(args)) => Some(schema::run(args)),
            Some(Command::Service(args)) => Some(service::run(args, self)),
            _ => None,
        }
    }

    /// Works out the settings, now; `run` does so again at each SIGHUP.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        config::load(&self.global.overrides(), &Environment::of_process())
    }

    /// How much the command logs unless told otherwise: one that prints a result should print only that.
    pub fn usual_level(&self) -> Level {
        match self.command {
            None | Some(Command::Run(_)) => Level::Info,
            Some(_) => Level::Warn,
        }
    }

    /// Does what was asked for.
    pub fn dispatch(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match &self.command {
            None => run::run(&run::RunArgs::default(), settings, self.reload()),
            Some(Command::Run(args)) => run::run(args, settings, self.reload()),
            Some(Command::Scan(args)) => scan::run(args, settings),
            Some(Command::Report(command)) => report::run(&command.query(), settings),
            Some(Command::Prices(args)) => prices::run(args, settings),
            Some(Command::Explain(args)) => explain::run(args, settings),
            Some(Command::Completions(args)) => completions::run(args),
            Some(Command::Man(args)) => man::run(args),
            Some(Command::Publish(args)) => publish::run(args, settings),
            Some(Command::Verify(args)) => verify::run(args, settings),
            Some(Command::Check(args)) => check::run(args, settings),
            Some(Command::Status(args)) => status::run(args, settings),
            Some(Command::Reassign(args)) => reassign::run(args, settings),
            Some(Command::Reconcile(args)) => reconcile::run(args, settings),
            Some(Command::Restore(args)) => restore::run(args, settings),
            Some(Command::Metrics(args)) => metrics::run(args, settings),
            Some(Command::Schema(args)) => schema::run(args),
            Some(Command::Service(args)) => service::run(args, self),
        }
    }

    /// The same flags over what file and environment say by then.
    fn reload(&self) -> run::Reload {
        let overrides = self.global.overrides();
        Box::new(move || config::load(&overrides, &Environment::of_process()))
    }
}
