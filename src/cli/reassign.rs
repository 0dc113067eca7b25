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
    /// Sessions that were read from a server.
    restored: u64,
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
            restored: outbox.restoration()?.sessions,
        })
    }
}

/// What is said without an option.
fn describe(standing: &Standing) -> (String, ExitCode) {
    let Standing { owner, configured, counted, unsent, held, restored } = standing;
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
            if *restored > 0 {
                let _ = writeln!(
                    text,
                    "{} restored from the server stay with the user they were read for, whatever you decide.",
                    sessions(*restored)
                );
            }
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
            "The ledger belongs to {to} now, with the sessions that begin from now on. \
             Left with {former}: {number} counted so far.\n"
        ),
        (Reassign::FromNowOn, None) => {
            format!(
                "The ledger belongs to {to} now, with the sessions that begin from now on. \
                 Kept unpublished, or with former owners: {number} counted so far.\n"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn user(digit: char) -> Destination {
        let user = UserId::parse(&format!("{digit}0000000-0000-4000-8000-000000000000"));
        Destination { project: "https://abc.supabase.co".to_owned(), user: user.unwrap() }
    }

    fn standing(owner: Option<Destination>) -> Standing {
        Standing { owner, configured: user('b'), counted: 12, unsent: 3, held: 2, restored: 0 }
    }

    #[test]
    fn each_choice_is_told_before_it_is_made() {
        let (text, code) = describe(&standing(Some(user('a'))));
        assert_eq!(code, ExitCode::Foreign);
        insta::assert_snapshot!(text, @"
        The ledger belongs to  user a0000000-0000-4000-8000-000000000000 of https://abc.supabase.co
        Configured is          user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co
        Counted so far         12 sessions, 3 with something that was never sent

        Nothing is published until you decide:
          tallyd reassign --from-now-on  Sessions that begin from now on go to the configured user. What was
                                         counted so far stays with the owner and is not sent on, even where it grows.
          tallyd reassign --everything   All 12 sessions go to the configured user, also what the owner was
                                         sent, which the owner keeps.
        Or set USER_ID and SUPABASE_URL back.
        ");
        let restored = Standing { restored: 2, ..standing(Some(user('a'))) };
        assert!(describe(&restored).0.ends_with(
            "2 sessions restored from the server stay with the user they were read for, whatever you decide.\n"
        ));
        let (text, code) = describe(&standing(Some(user('b'))));
        assert_eq!(code, ExitCode::Done);
        insta::assert_snapshot!(text, @"
        The ledger belongs to  user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co
        Configured is          user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co
        Counted so far         12 sessions, 3 with something that was never sent

        Nothing is to be decided.
        2 sessions are held for others; `tallyd reassign --everything` gives them to this user as well.
        ");
        let (text, code) = describe(&standing(None));
        assert_eq!(code, ExitCode::Done);
        insta::assert_snapshot!(text, @"
        The ledger belongs to  nobody yet
        Configured is          user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co
        Counted so far         12 sessions, 3 with something that was never sent

        Nothing is to be decided: the ledger becomes that of the first user that takes something in.
        `tallyd reassign --from-now-on` keeps the 12 sessions counted so far from being published.
        ");
    }

    #[test]
    fn each_choice_is_told_when_it_was_made() {
        let to = user('b');
        insta::assert_snapshot!(done(Reassign::Everything, &to, Some(&user('a')), 12, true), @"
        The ledger belongs to user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co now, all of it: 12 sessions; the running tallyd sends them.
        ");
        insta::assert_snapshot!(done(Reassign::FromNowOn, &to, Some(&user('a')), 1, false), @"
        The ledger belongs to user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co now, with the sessions that begin from now on. Left with user a0000000-0000-4000-8000-000000000000 of https://abc.supabase.co: 1 session counted so far.
        ");
        insta::assert_snapshot!(done(Reassign::FromNowOn, &to, None, 12, false), @"
        The ledger belongs to user b0000000-0000-4000-8000-000000000000 of https://abc.supabase.co now, with the sessions that begin from now on. Kept unpublished, or with former owners: 12 sessions counted so far.
        ");
    }
}
