//! `tallyd service`: has the system run tallyd for this user.
//!
//! Writes one file, the unit or the agent, and asks the service manager for the rest; says each thing before it does
//! it. Refuses to touch a file that it did not write, to hand on what is secret, and to become root. Fails with a
//! code of its own where no service manager can be asked.

mod child;
mod launchd;
mod step;
mod systemd;

use super::errors::{ServiceError, UsageError};
use super::exit::ExitCode;
use super::global::GlobalArgs;
use super::{Cli, output};
use crate::config::{self, Environment};
use crate::telemetry::LogFormat;
use child::Children;
use clap::{Args, Subcommand};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use step::Step;

const AFTER_HELP: &str = "\
Examples:
  tallyd service install --dry-run     what would be written and run
  tallyd service install               start tallyd now and at each login
  tallyd service logs -f               what it logs, as it does
  tallyd service uninstall             stop it and take the unit away; the ledger stays

Linux with systemd: the unit ~/.config/systemd/user/tallyd.service. macOS: an agent of launchd. Elsewhere, as in most
containers, let a supervisor or the entrypoint start `tallyd run`. Exit code 16 where there is no service manager, where
it refuses, and of `status` where the service does not run.";

/// Arguments of `tallyd service`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ServiceArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Write the unit for this user, with this program and these flags, and start it
    Install(InstallArgs),
    /// Say what the service manager says of it
    Status,
    /// Show what it has logged
    Logs(LogsArgs),
    /// Stop it and remove what `install` wrote; ledger and settings stay
    Uninstall(UninstallArgs),
}

/// Arguments of `tallyd service install`.
#[derive(Debug, Default, Args)]
pub struct InstallArgs {
    /// Say what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a unit that something else wrote
    #[arg(long)]
    pub force: bool,
    /// Print, as a script, what an administrator would run to have the system do it without a login
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    pub system: bool,
}

/// Arguments of `tallyd service logs`.
#[derive(Debug, Default, Args)]
pub struct LogsArgs {
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// The latest so many lines
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<NonZeroUsize>,
}

/// Arguments of `tallyd service uninstall`.
#[derive(Debug, Default, Args)]
pub struct UninstallArgs {
    /// Say what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What a service manager needs to know.
struct Site {
    environment: Environment,
    home: PathBuf,
    children: Children,
}

/// Who runs services here.
#[derive(Clone, Copy)]
enum Manager {
    Systemd,
    Launchd,
}

/// Where services of this system are kept.
const MANAGER: Manager = if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd };

/// Does what was asked for.
pub fn run(args: &ServiceArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_process();
    let children = Children::of(&environment);
    let home = environment.home().path().map(Path::to_owned);
    let home = home.ok_or_else(|| UsageError {
        what: "there is no home folder that a service of this user could be in".to_owned(),
        help: "set HOME".to_owned(),
    })?;
    let site = Site { environment, home, children };
    match &args.action {
        Action::Install(args) if args.system => administer(cli, &site),
        Action::Install(args) => install(args, cli, &site),
        Action::Status => status(&site),
        Action::Logs(args) => logs(args, &site),
        Action::Uninstall(args) => uninstall(args, cli, &site),
    }
}

fn install(args: &InstallArgs, cli: &Cli, site: &Site) -> anyhow::Result<ExitCode> {
    // A service that ends at once for its settings is none.
    let settings = cli.settings()?;
    settings.publish()?;
    let folders = (settings.roots()?, settings.state_dir()?);
    let program = site.environment.program().map_err(|source| ServiceError::File {
        path: "tallyd".into(),
        done: "found",
        source,
    })?;
    let words = words(&program, &cli.global)?;
    let steps = match MANAGER {
        Manager::Systemd => systemd::install(site, &words, args.force)?,
        Manager::Launchd => launchd::install(&site.home, &words, args.force)?,
    };
    if !args.dry_run
        && let Manager::Systemd = MANAGER
    {
        systemd::probe(site)?;
    }
    step::take(&steps, &site.children, args.dry_run)?;
    if !args.dry_run {
        let roots: Vec<_> = folders.0.iter().map(|root| root.display().to_string()).collect();
        output::print_lines(&format!("reads     {}\nkeeps     {}\n", roots.join(", "), folders.1.display()))?;
    }
    say_what_is_left_behind(site)?;
    match MANAGER {
        Manager::Systemd => systemd::say_of_lingering(site, args.dry_run)?,
        Manager::Launchd => {}
    }
    Ok(ExitCode::Done)
}

/// What is said in this shell does not reach the service; a key that is exported is not written into a file, either.
fn say_what_is_left_behind(site: &Site) -> anyhow::Result<()> {
    let set = config::set_variables(&site.environment);
    if !set.is_empty() {
        output::print_lines(&format!(
            "note      set in this shell, which the service does not see: {}; what is to count there belongs in \
             tallyd.toml, keys as the path of a file (`key_file`)\n",
            set.join(", ")
        ))?;
    }
    Ok(())
}

fn administer(cli: &Cli, site: &Site) -> anyhow::Result<ExitCode> {
    if let Manager::Launchd = MANAGER {
        let what =
            "`--system` is for systemd; on macOS the agent of `tallyd service install` is what there is";
        let help = "leave --system out";
        return Err(UsageError { what: what.to_owned(), help: help.to_owned() }.into());
    }
    if cli.global.state_dir.is_some() {
        let what = "a system unit keeps the ledger in /var/lib/tallyd, and may write nowhere else";
        let help = "leave --state-dir out, or write a drop-in with ReadWritePaths= and TALLYD_STATE_DIR";
        return Err(UsageError { what: what.to_owned(), help: help.to_owned() }.into());
    }
    let program = site.environment.program()?;
    let words = words(Path::new(systemd::SYSTEM_PROGRAM), &cli.global)?;
    let user = site.environment.text("USER")?.unwrap_or_else(|| "NAME".to_owned());
    output::print(&systemd::administration(&path_text(&program)?, &words, &user))?;
    Ok(ExitCode::Done)
}

fn status(site: &Site) -> anyhow::Result<ExitCode> {
    let line = match MANAGER {
        Manager::Systemd => {
            systemd::probe(site)?;
            systemd::status()
        }
        Manager::Launchd => launchd::status(&site.home),
    };
    let is_up = site.children.run(&line)?.success();
    output::print("\n`tallyd check` says what is right and wrong with what it does.\n")?;
    Ok(if is_up { ExitCode::Done } else { ExitCode::NotServed })
}

fn logs(args: &LogsArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let mut line = match MANAGER {
        Manager::Systemd => systemd::logs(),
        Manager::Launchd => launchd::logs(),
    };
    if args.follow {
        line.push("-f".to_owned());
    }
    if let Some(lines) = args.lines {
        line.extend(["-n".to_owned(), lines.to_string()]);
    }
    if let Manager::Launchd = MANAGER {
        line.push(path_text(&launchd::log_file(&site.home))?);
    }
    Err(site.children.become_it(&line).into())
}

fn uninstall(args: &UninstallArgs, cli: &Cli, site: &Site) -> anyhow::Result<ExitCode> {
    let steps = match MANAGER {
        Manager::Systemd => systemd::uninstall(site)?,
        Manager::Launchd => launchd::uninstall(&site.home)?,
    };
    if !args.dry_run
        && let Manager::Systemd = MANAGER
        && steps.iter().any(|step| matches!(step, Step::Run(_)))
    {
        systemd::probe(site)?;
    }
    step::take(&steps, &site.children, args.dry_run)?;
    // Settings may be what is wrong.
    let ledger = cli.settings().ok().and_then(|settings| settings.state_dir().map(Path::to_owned).ok());
    let ledger = ledger.map_or_else(String::new, |folder| format!(" in {}", folder.display()));
    output::print_lines(&format!("stays     the ledger{ledger}; reports go on to read it\n"))?;
    Ok(ExitCode::Done)
}

/// The command line of the service: the program and the settings that were given by flag, whole.
fn words(program: &Path, global: &GlobalArgs) -> Result<Vec<String>, ServiceError> {
    let mut words = vec![path_text(program)?, "run".to_owned()];
    let flags = [
        ("--config", global.config.as_slice()),
        ("--claude-dir", global.claude_dir.as_slice()),
        ("--state-dir", global.state_dir.as_slice()),
        ("--prices", global.prices.as_slice()),
    ];
    for (flag, paths) in flags {
        for path in paths {
            words.extend([flag.to_owned(), path_text(&whole(path))?]);
        }
    }
    let level = global.log_level.map(|level| ("--log-level", level.name()));
    let format = global.log_format.map(|format| match format {
        LogFormat::Text => ("--log-format", "text"),
        LogFormat::Json => ("--log-format", "json"),
    });
    words.extend(
        level.into_iter().chain(format).flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]),
    );
    Ok(words)
}

/// A path that means the same in another folder. `~` is tallyd's own to understand.
fn whole(path: &Path) -> PathBuf {
    if path.starts_with("~") {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A path as text; nothing in it may end a line of the file that it goes into.
fn path_text(path: &Path) -> Result<String, ServiceError> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    text.map(str::to_owned).ok_or_else(|| ServiceError::Path { path: path.to_owned() })
}

/// The words of a command.
fn line(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
