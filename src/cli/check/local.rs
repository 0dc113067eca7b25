//! What can be looked at without asking anybody: folders, ledger, prices, settings, what waits.

use super::row::{Row, State};
use crate::cli::engine;
use crate::cli::exit::ExitCode;
use crate::cli::publishing::{self, HOW_TO_SWITCH_ON, sessions};
use crate::cli::scan::counted;
use crate::config::Settings;
use crate::domain::UnixMillis;
use crate::ledger::{Activity, Ledger, LedgerError, LedgerReader, Outbox, Parked};
use crate::parse::RULES_VERSION;
use crate::publish::PublishOptions;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Parked sessions that are shown one by one in text; JSON has all.
const SHOWN_PARKED: usize = 5;

const MORE_EVENTS_HELP: &str = "raise the limits of inotify (sysctl fs.inotify.max_user_watches and fs.inotify.max_user_instances); tallyd finds out by itself";
const OPEN_TO_OTHERS: &str =
    "others may look into the state folder, or write in it; `chmod 700` on it keeps them out";

const PARKED_HELP: &str = "`tallyd publish` tries them again; where that does not help, the project's SQL or tallyd has a defect: please report it";

/// The folders of logs.
pub(super) fn roots(settings: &Settings) -> Row {
    let roots = match settings.roots() {
        Ok(roots) => roots,
        Err(error) => return Row::failed("roots", error),
    };
    let missing = |root: &PathBuf| !root.exists();
    let name =
        |root: &PathBuf| format!("{}{}", root.display(), if missing(root) { " (not there yet)" } else { "" });
    let detail = roots.iter().map(name).collect::<Vec<_>>().join("\n");
    let unreadable = roots.iter().filter(|root| !missing(root)).find_map(|root| {
        std::fs::read_dir(root).err().map(|error| format!("{} cannot be listed: {error}", root.display()))
    });
    let row = if let Some(unreadable) = unreadable {
        Row::wrong("roots", ExitCode::Failure, unreadable)
            .help("make the folder readable for the user that tallyd runs as")
    } else if roots.iter().all(missing) {
        Row::unknown("roots", detail)
            .help("Claude Code makes them when it is first used; --claude-dir DIR or CLAUDE_CONFIG_DIR names another place")
    } else {
        Row::ok("roots", detail)
    };
    let events = publishing::daemon(settings).ok().flatten().map(|daemon| !daemon.no_events);
    let row = if events == Some(false) { without_events(row) } else { row };
    row.fact("folders", roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>())
        .fact("events", events)
}

/// The system refuses the running tallyd file events: nothing is lost, but it costs time.
fn without_events(row: Row) -> Row {
    let is_ok = row.state == State::Ok;
    let row = row.also(
        "the system refuses the running tallyd file events: it looks at all folders every few seconds instead",
    );
    if is_ok { row.help(MORE_EVENTS_HELP) } else { row }
}

/// Logs that tallyd could not read when it last looked at them; nothing where there are none.
pub(super) fn unreadable(settings: &Settings) -> Option<Row> {
    let reader = LedgerReader::open(settings.state_dir().ok()?).ok()?;
    let logs = reader.unreadable_logs().ok().filter(|logs| *logs > 0)?;
    let detail =
        format!("{} could not be read when last looked at: not counted", counted(logs, "session log"));
    let help = "tallyd's own log names them; make them readable for the user that tallyd runs as";
    Some(Row::wrong("logs", ExitCode::Failure, detail).help(help).fact("unreadable", logs))
}

/// The ledger, and who keeps it up to date.
pub(super) fn ledger(settings: &Settings) -> Row {
    let folder = match settings.state_dir() {
        Ok(folder) => folder,
        Err(error) => return Row::failed("ledger", error),
    };
    match LedgerReader::open(folder).and_then(|ledger| ledger.audit()) {
        Ok(()) => {}
        Err(LedgerError::Missing { path }) => {
            return Row::unknown("ledger", format!("{} is not there yet", path.display()))
                .help("`tallyd` or `tallyd scan` makes it");
        }
        Err(error) => return Row::failed("ledger", error).fact("folder", folder.display().to_string()),
    }
    let place = folder.join(crate::ledger::LEDGER_FILE).display().to_string();
    let daemon = publishing::daemon(settings).ok().flatten();
    let kept = match &daemon {
        None => "no tallyd is running".to_owned(),
        Some(holder) => format!(
            "kept by a running tallyd{}",
            holder.pid.map_or(String::new(), |pid| format!(" (process {pid})"))
        ),
    };
    let failing = daemon.as_ref().is_some_and(|holder| holder.activity == Some(Activity::Failing));
    let row = if failing {
        Row::wrong("ledger", ExitCode::Ledger, format!("{place}; the running tallyd cannot write it")).help(
            "see the daemon's log and the space left; it tries again by itself, and loses nothing meanwhile",
        )
    } else if let Err(error) = Ledger::check_writable(folder) {
        Row::wrong("ledger", ExitCode::Ledger, format!("{:#}", anyhow::Error::new(error)))
            .help("reports go on with what it has; nothing new is counted until it can be written")
    } else {
        let row = Row::ok("ledger", format!("{place}; {kept}"));
        if is_open_to_others(folder) { row.help(OPEN_TO_OTHERS) } else { row }
    };
    row.fact("file", place)
        .fact("daemon", daemon.and_then(|holder| holder.pid).map_or(Value::Null, Value::from))
}

/// True where others may list the state folder, or make files in it. Those of tallyd are its user's alone.
fn is_open_to_others(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// True where a daemon keeps the ledger.
pub(super) fn has_daemon(settings: &Settings) -> bool {
    publishing::daemon(settings).is_ok_and(|daemon| daemon.is_some())
}

/// The prices, and the revision that values are published under.
pub(super) fn prices(settings: &Settings) -> Row {
    let table = match engine::prices(settings) {
        Ok(table) => table,
        Err(error) => return Row::failed("prices", error),
    };
    let revision = publishing::revision(&table);
    let own = match (&settings.prices, table.own_version()) {
        (Some(path), Some(0)) => format!(", {} without a version", path.display()),
        (Some(path), Some(version)) => format!(", {} version {version}", path.display()),
        _ => String::new(),
    };
    let detail = format!(
        "revision {revision}: counting rules {RULES_VERSION}, shipped prices version {}{own}",
        table.version()
    );
    let row = Row::ok("prices", detail).fact("revision", revision.number());
    let digest =
        settings.state_dir().ok().and_then(|folder| LedgerReader::open(folder).ok()?.price_digest().ok()?);
    if digest.is_some_and(|digest| digest != table.digest()) {
        row.help(
            "the ledger's costs are by other prices; `tallyd scan` or a restart of the daemon applies these",
        )
    } else if table.own_version() == Some(0) {
        row.help("give the file a `version` (a date such as 20261122) and raise it with each change: only then is what was published under the former prices replaced")
    } else {
        row
    }
}

/// Whether publishing is on, and the options where it is.
pub(super) fn publishing(settings: &Settings) -> (Row, Option<PublishOptions>) {
    let off = |why: &str, help: &str| {
        (Row::ok("publishing", format!("off: {why}")).help(help).fact("enabled", false), None)
    };
    if !settings.enabled {
        return off(
            "counting is switched off",
            "set TOKEN_TRACKING_ENABLED=true, or `enabled = true` in tallyd.toml",
        );
    }
    match (settings.publish(), settings.publishing_is_switched_off()) {
        (Err(error), _) => (Row::failed("publishing", error).fact("enabled", Value::Null), None),
        (Ok(None), Ok(true)) => off(
            "it is switched off",
            "set TALLYD_PUBLISH=true, or `enabled = true` under [publish] in tallyd.toml",
        ),
        (Ok(None), _) => {
            off("no Supabase project is configured", &format!("to switch it on, {HOW_TO_SWITCH_ON}"))
        }
        (Ok(Some(options)), _) => (Row::ok("publishing", "on").fact("enabled", true), Some(options)),
    }
}

/// To whom the ledger belongs.
pub(super) fn owner(outbox: &Outbox, options: Option<&PublishOptions>) -> Option<Row> {
    let owner = match outbox.owner() {
        Ok(owner) => owner,
        Err(error) => return Some(Row::failed("owner", error)),
    };
    let row = match (&owner, options) {
        (None, None) => return None,
        (None, Some(_)) => Row::ok("owner", "the ledger belongs to nobody yet"),
        (Some(owner), Some(options)) if *owner != options.destination => Row::wrong(
            "owner",
            ExitCode::Foreign,
            format!("the ledger belongs to {owner}, not to {}: nothing is published", options.destination),
        )
        .help("tallyd reassign  (says what each choice would do), or set USER_ID and SUPABASE_URL back"),
        (Some(owner), _) => Row::ok("owner", format!("the ledger belongs to {owner}")),
    };
    let text = |value: Option<String>| value.map_or(Value::Null, Value::from);
    Some(
        row.fact("user", text(owner.as_ref().map(|owner| owner.user.to_string())))
            .fact("project", text(owner.map(|owner| owner.project))),
    )
}

/// What waits to be sent, and what the server refuses.
pub(super) fn backlog(outbox: &Outbox, by_daemon: bool) -> Row {
    let looked = || Ok::<_, LedgerError>((outbox.backlog()?, outbox.parked()?, outbox.noted()?));
    let (backlog, parked, noted) = match looked() {
        Ok(looked) => looked,
        Err(error) => return Row::failed("backlog", error),
    };
    let time = |at: Option<UnixMillis>| at.map_or(Value::Null, |at| at.to_rfc3339().into());
    let mut lines = vec![match backlog.waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 session waits".to_owned(),
        many => format!("{} wait", sessions(many)),
    }];
    lines.extend(backlog.oldest.map(|at| format!("the longest since {}", at.to_rfc3339())));
    lines.extend((backlog.held > 0).then(|| format!("{} held for another owner", sessions(backlog.held))));
    lines.extend(noted.last_success.map(|at| format!("last sent {}", at.to_rfc3339())));
    // Whose the ledger is has a row of its own.
    let refusal = noted.refusal.filter(|refusal| refusal.kind != "foreign_ledger");
    let tried = refusal
        .as_ref()
        .map(|refusal| format!("the last try, {}, failed: {}", refusal.at.to_rfc3339(), refusal.message));
    let refused = (!parked.is_empty()).then(|| list(&parked));
    let detail =
        [Some(lines.join("; ")), tried, refused].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let row = match &refusal {
        _ if !parked.is_empty() => Row::wrong("backlog", ExitCode::Parked, detail).help(PARKED_HELP),
        // What a daemon noted holds; a command's note is as old as the command.
        Some(refusal) if by_daemon => {
            let passes = matches!(refusal.kind.as_str(), "unreachable" | "ledger");
            let code = if passes { ExitCode::Unsent } else { ExitCode::Refused };
            Row::wrong("backlog", code, detail).help(refusal.help.clone())
        }
        _ if backlog.waiting > 0 && !by_daemon => {
            Row::ok("backlog", detail).help("`tallyd publish` sends it, and so does a running tallyd")
        }
        _ => Row::ok("backlog", detail),
    };
    row.fact("waiting", backlog.waiting)
        .fact("held", backlog.held)
        .fact("oldest", time(backlog.oldest))
        .fact("lastSuccess", time(noted.last_success))
        .fact("refusal", refusal.map_or(Value::Null, |refusal| refusal.kind.into()))
        .fact("parked", parked.iter().map(parked_json).collect::<Vec<_>>())
}

fn list(parked: &[Parked]) -> String {
    let mut lines = vec![format!("the server refuses {}:", sessions(parked.len() as u64))];
    let line = |parked: &Parked| {
        format!(
            "  {}: {} {} ({})",
            publishing::short(&parked.session),
            parked.code,
            parked.message,
            parked.at.to_rfc3339()
        )
    };
    lines.extend(parked.iter().take(SHOWN_PARKED).map(line));
    let more = parked.len().saturating_sub(SHOWN_PARKED);
    lines.extend((more > 0).then(|| format!("  and {more} more, see --json")));
    lines.join("\n")
}

fn parked_json(parked: &Parked) -> Value {
    serde_json::json!({
        "session": parked.session, "code": parked.code, "message": parked.message,
        "version": parked.version, "at": parked.at.to_rfc3339(),
    })
}
