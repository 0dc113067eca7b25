//! The publisher's pauses. What it does with a server is tested against one, in `tests/it/remote/publisher`.

use super::*;
use crate::domain::{Destination, SystemClock};
use crate::ledger::{Ledger, LedgerLock};
use crate::publish::fault::tests::options;

fn publisher(folder: &std::path::Path) -> Publisher {
    let lock = LedgerLock::acquire(folder, "test").expect("nobody else holds it");
    drop(Ledger::open(folder, lock).expect("a ledger can be made"));
    let outbox = Outbox::open(folder).expect("it is there");
    Publisher::new(outbox, options(), Revision::new(1, 1, 0), "prices".to_owned(), Box::new(SystemClock))
}

fn transient(retry_after: Option<Duration>) -> Obstacle {
    Obstacle::Transient { what: "as asked".to_owned(), retry_after }
}

#[test]
fn a_hint_brings_the_next_look_forward_unless_something_is_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut publisher = publisher(folder.path());
    let next = monotonic() + LOOK_INTERVAL;
    assert!(publisher.hinted(next) < next);
    let soon = monotonic();
    assert_eq!(publisher.hinted(soon), soon, "nor does it put it off");
    publisher.met(&transient(None));
    assert_eq!(publisher.hinted(next), next);
    let blocked = publisher.after(Heard { changed: true, ..Heard::default() });
    assert_eq!(Some(blocked), publisher.blocked);
    publisher.succeeded();
    assert!(publisher.hinted(next) < next);
}

#[test]
fn other_settings_are_looked_at_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut publisher = publisher(folder.path());
    publisher.met(&Obstacle::Fault(Fault::Expired));
    let (revision, prices) = (Revision::new(1, 2, 0), "others".to_owned());
    let reload = Some(Box::new(Reloaded { options: options(), revision, prices }));
    let next = publisher.after(Heard { reload, ..Heard::default() });
    assert!(next <= monotonic() && publisher.blocked.is_none());
    assert_eq!(publisher.revision, revision);
}

#[test]
fn each_obstacle_has_its_pause() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut publisher = publisher(folder.path());
    let mut pause = |obstacle: &Obstacle| publisher.pause_after(obstacle);
    let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
    let is_within = |pause: Duration, longest: Duration| pause >= longest / 2 && pause <= longest;
    assert!(is_within(pause(&transient(None)), second));
    assert!(is_within(pause(&transient(None)), 2 * second), "it grows");
    assert_eq!(pause(&transient(Some(minute))), minute, "as the server asks");
    assert!(is_within(pause(&Obstacle::Fault(Fault::Expired)), minute));
    // Only the ledger says when this is over, and it is at hand.
    let Destination { project, user } = options().destination;
    let foreign = Fault::ForeignLedger {
        owner: Destination { project: project.clone(), user },
        wanted: Destination { project, user },
    };
    assert_eq!(pause(&Obstacle::Fault(foreign)), LOOK_INTERVAL);
}
