//! What the commands of publishing share: the options in force, the revision, who the ledger belongs to.

use super::engine;
use super::errors::Unpublished;
use super::exit::ExitCode;
use crate::config::Settings;
use crate::domain::{Revision, SystemClock, beginning};
use crate::http;
use crate::ledger::{Holder, LedgerReader, Outbox};
use crate::parse::RULES_VERSION;
use crate::price::PriceTable;
use crate::publish::{Fault, Obstacle, PublishOptions, Publisher};

/// Characters of a session's id that are shown.
const SHOWN_OF_ID: usize = 64;

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

/// A publisher of costs that are by these prices.
pub(super) fn publisher(prices: &PriceTable, options: PublishOptions, outbox: Outbox) -> Publisher {
    Publisher::new(outbox, options, revision(prices), prices.digest(), Box::new(SystemClock))
}

/// What is in the way, as the error that ends a command.
pub(super) fn failure(obstacle: &Obstacle, options: &PublishOptions) -> Unpublished {
    let code = match obstacle {
        Obstacle::Fault(Fault::ForeignLedger { .. }) => ExitCode::Foreign,
        Obstacle::Fault(_) => ExitCode::Refused,
        Obstacle::Transient { .. } => {
            return Unpublished { code: ExitCode::Unsent, what: obstacle.what(), help: None };
        }
        Obstacle::Ledger(_) => ExitCode::Ledger,
    };
    Unpublished { code, what: obstacle.what(), help: Some(obstacle.help(options)) }
}

/// Refuses a ledger that belongs to somebody else than the configured user.
pub(super) fn refuse_foreign(outbox: &Outbox, options: &PublishOptions) -> anyhow::Result<()> {
    let wanted = &options.destination;
    let Some(owner) = outbox.owner()?.filter(|owner| owner != wanted) else { return Ok(()) };
    let fault = Fault::ForeignLedger { owner, wanted: wanted.clone() };
    Err(failure(&Obstacle::Fault(fault), options).into())
}

/// Whether the ledger's costs are by these prices. A daemon that was started with other prices,
/// or by another version, has made them by its own: sent from here, they would go out under a revision that is
/// not theirs, and nothing could correct them on the server under that revision.
pub(super) fn is_priced_alike(settings: &Settings, prices: &PriceTable) -> anyhow::Result<bool> {
    let of_ledger = LedgerReader::open(settings.state_dir()?)?.price_digest()?;
    Ok(of_ledger.is_none_or(|digest| digest == prices.digest()))
}

/// Refuses to send costs that are by other prices.
pub(super) fn refuse_other_prices(settings: &Settings, prices: &PriceTable) -> anyhow::Result<()> {
    if is_priced_alike(settings, prices)? {
        return Ok(());
    }
    Err(Unpublished {
        code: ExitCode::Prices,
        what: "the ledger's costs are by other prices than these settings have".to_owned(),
        help: Some(
            "`tallyd scan` or a restart of the running tallyd applies these; or give --prices or TALLYD_PRICES as the running one has it"
                .to_owned(),
        ),
    }
    .into())
}

/// The daemon that keeps the ledger, if one does.
pub(super) fn daemon(settings: &Settings) -> anyhow::Result<Option<Holder>> {
    Ok(http::daemon(settings.state_dir()?))
}

/// A number of sessions: `1 session`, `2,000 sessions`.
pub(super) fn sessions(number: u64) -> String {
    super::scan::counted(number, "session")
}

/// The beginning of a session's id, for a line: the server refuses some for their length. JSON has it whole.
pub(super) fn short(session: &str) -> String {
    beginning(session, SHOWN_OF_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_however_long_leaves_room_for_the_reason() {
        assert_eq!(short("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e"), "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e");
        assert_eq!(short(&"é".repeat(5_000)), format!("{}…", "é".repeat(SHOWN_OF_ID)));
    }
}
