//! What would be sent, a line for each session. Nothing is sent and nothing is written; the logs are not
//! looked at either.

use crate::cli::exit::ExitCode;
use crate::cli::{engine, output, publishing};
use crate::config::Settings;
use crate::domain::SessionKey;
use crate::ledger::{Offer, Outbox};
use crate::publish::{Body, PublishOptions};

/// Sessions that are in memory at once.
const PAGE: usize = 200;

/// Prints the bodies of what waits, or with `full` of everything.
pub(super) fn run(full: bool, settings: &Settings, options: &PublishOptions) -> anyhow::Result<ExitCode> {
    let outbox = Outbox::open(settings.state_dir()?)?;
    publishing::refuse_foreign(&outbox, options)?;
    let revision = publishing::revision(&engine::prices(settings)?);
    let print = |offers: &[Offer]| {
        let body = |offer: &Offer| {
            let revision = offer.revision.unwrap_or(revision);
            Some(Body::new(offer.value.as_ref()?, revision, options.destination.user).json + "\n")
        };
        let lines: String = offers.iter().filter_map(body).collect();
        output::print(&lines)
    };
    if full {
        let mut after = None;
        loop {
            let page = outbox.values(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(ExitCode::Done) };
            after = Some(last.key);
            print(&page)?;
        }
    }
    let keys: Vec<SessionKey> = outbox.waiting(usize::MAX)?.iter().map(|waiting| waiting.key).collect();
    for page in keys.chunks(PAGE) {
        print(&outbox.preview(page)?)?;
    }
    Ok(ExitCode::Done)
}
