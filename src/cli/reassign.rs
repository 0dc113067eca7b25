//! `tallyd reassign`: to whom the ledger belongs, and a person's decision to change that.
//!
//! Refuses to decide by itself: what one person used is never billed to another because a variable changed.

use super::exit::ExitCode;
use super::output;
use super::publishing::{self, sessions};
use crate::config::Settings;
use crate::domain::Destination;
use crate::ledger::{LedgerReader, Outbox, Reassign};
use clap::Args;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

const AFTER_HELP: &str = "\
Examples:
  tallyd reassign                    to whom the ledger belongs, and what each choice would do
  tallyd reassign --from-now-on      what was counted so far stays with the former owner
  tallyd reassign --everything       all of it goes to the user that is configured now

The ledger belongs to the user and project that first took something in. When USER_ID or
SUPABASE_URL name another, nothing is published until this is decided. It works beside a running
tallyd, which goes on by itself.

Exit code 13 where the two differ and nothing was decided.";

/// Arguments of `tallyd reassign`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ReassignArgs {
    /// Give everything to the configured user, what another was sent included
    #[arg(long, conflicts_with = "from_now_on")]
    pub everything: bool,
    /// Give the sessions that begin from now on to the configured user
    #[arg(long)]
    pub from_now_on: bool,
}

/// Says to whom the ledger belongs, or gives it to the configured user.
pub fn run(args: &ReassignArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let to = publishing::options(settings, "reassign")?.destination;
    let folder = settings.state_dir()?;
    let mut outbox = Outbox::open(folder)?;
    let what = match (args.everything, args.from_now_on) {
        (true, _) => Reassign::Everything,
        (_, true) => Reassign::FromNowOn,
        _ => {
            let (text, code) = describe(&Standing::of(&outbox, folder, to)?);
            output::print(&text)?;
            return Ok(code);
        }
    };
    let former = outbox.owner()?.filter(|former| *former != to);
    let number = outbox.reassign(&to, what)?;
    let by_daemon = publishing::daemon(settings)?.is_some();
    output::print(&done(what, &to, former.as_ref(), number, by_daemon))?;
    Ok(ExitCode::Done)
}

/// How things stand before a decision.
struct Standing {
    owner: Option<Destination>,
    configured: Destination,
    /// Sessions with usage.
    counted: u64,
    /// Those with something that was never sent.
    unsent: u64,
    /// Of these, the ones that are held for somebody else.
    held: u64,
}

impl Standing {
    fn of(outbox: &Outbox, folder: &Path, configured: Destination) -> anyhow::Result<Self> {
        let backlog = outbox.backlog()?;
        let cells = LedgerReader::open(folder)?.cells(None, None)?;
        let counted: HashSet<_> = cells.iter().map(|cell| cell.session).collect();
        Ok(Self {
            owner: outbox.owner()?,
            configured,
            counted: counted.len() as u64,
            unsent: backlog.waiting + backlog.parked + backlog.held,
            held: backlog.held,
        })
    }
}

/// What is said without an option.
fn describe(standing: &Standing) -> (String, ExitCode) {
    let Standing { owner, configured, counted, unsent, held } = standing;
    let belongs = owner.as_ref().map_or("nobody yet".to_owned(), ToString::to_string);
    let counted = sessions(*counted);
    let mut text = format!("The ledger belongs to  {belongs}\nConfigured is          {configured}\n");
    let _ = writeln!(text, "Counted so far         {counted}, {unsent} with something that was never sent");
    text.push('\n');
    match owner {
        None => {
            let _ = write!(
                text,
                "Nothing is to be decided: the ledger becomes that of the first user that takes something in.\n\
                 `tallyd reassign --from-now-on` keeps the {counted} counted so far from being published.\n"
            );
            (text, ExitCode::Done)
        }
        Some(owner) if owner == configured => {
            text.push_str("Nothing is to be decided.\n");
            if *held > 0 {
                let _ = writeln!(
                    text,
                    "{} are held for others; `tallyd reassign --everything` gives them to this user as well.",
                    sessions(*held)
                );
            }
            (text, ExitCode::Done)
        }
        Some(_) => {
            let _ = write!(
                text,
                "Nothing is published until you decide:\n  \
                 tallyd reassign --from-now-on  Sessions that begin from now on go to the configured user. What was\n  \
                 {0:30} counted so far stays with the owner and is not sent on, even where it grows.\n  \
                 tallyd reassign --everything   All {counted} go to the configured user, also what the owner was\n  \
                 {0:30} sent, which the owner keeps.\n\
                 Or set USER_ID and SUPABASE_URL back.\n",
                ""
            );
            (text, ExitCode::Foreign)
        }
    }
}

/// What is said after a decision.
fn done(
    what: Reassign,
    to: &Destination,
    former: Option<&Destination>,
    number: u64,
    by_daemon: bool,
) -> String {
    let sender = if by_daemon { "the running tallyd sends them" } else { "`tallyd publish` sends them" };
    let number = sessions(number);
    match (what, former) {
        (Reassign::Everything, _) => {
            format!("The ledger belongs to {to} now, all of it: {number}; {sender}.\n")
        }
        (Reassign::FromNowOn, Some(former)) => format!(
            "The ledger belongs to {to} now. {number} counted so far stay behind, with {former}; \
             sessions that begin from now on go to the new owner.\n"
        ),
        (Reassign::FromNowOn, None) => {
            format!(
                "The ledger belongs to {to} now. {number} counted so far stay unpublished or with former owners.\n"
            )
        }
    }
}
