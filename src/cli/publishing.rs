//! What the commands of publishing share: the options in force, the revision, who the ledger belongs to.

use super::engine;
use super::errors::Unpublished;
use super::exit::ExitCode;
use crate::config::Settings;
use crate::domain::Revision;
use crate::ledger::{Holder, LedgerLock, LockError};
use crate::parse::RULES_VERSION;
use crate::price::PriceTable;
use crate::publish::PublishOptions;

/// How publishing is switched on.
pub(super) const HOW_TO_SWITCH_ON: &str = "set SUPABASE_URL, SUPABASE_SERVICE_KEY and USER_ID (or `url`, `key_file` and `user_id` under [publish] in tallyd.toml)";

/// The rules that usage is counted and priced by.
pub(super) fn revision(prices: &PriceTable) -> Revision {
    Revision::new(RULES_VERSION, prices.version(), prices.own_version().unwrap_or(0))
}

/// To whom and how usage is published, for a command that is of no use without.
pub(super) fn options(settings: &Settings, command: &str) -> anyhow::Result<PublishOptions> {
    engine::refuse_when_disabled(settings, command)?;
    let Some(options) = settings.publish()? else { return Err(is_off(settings, command).into()) };
    Ok(options)
}

fn is_off(settings: &Settings, command: &str) -> Unpublished {
    let by_switch = settings.publishing_is_switched_off().unwrap_or(false);
    let (reason, help) = if by_switch {
        ("switched off", "set TALLYD_PUBLISH=true, or `enabled = true` under [publish] in tallyd.toml")
    } else {
        ("not configured", HOW_TO_SWITCH_ON)
    };
    Unpublished {
        code: ExitCode::Configuration,
        what: format!("`tallyd {command}` has nothing to do: publishing is {reason}"),
        help: Some(help.to_owned()),
    }
}

/// The daemon that keeps the ledger, if one does.
pub(super) fn daemon(settings: &Settings) -> anyhow::Result<Option<Holder>> {
    match LedgerLock::holder(settings.state_dir()?) {
        Ok(holder) => Ok(holder.filter(Holder::is_daemon)),
        // Whoever cannot read the lock file knows of no daemon.
        Err(LockError::File { .. } | LockError::Held { .. }) => Ok(None),
    }
}

/// A number of sessions: `1 session`, `2,000 sessions`.
pub(super) fn sessions(number: u64) -> String {
    super::scan::counted(number, "session")
}
