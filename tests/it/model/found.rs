//! Stories that once went wrong, or that the drawing seldom comes upon, each told on its own.

use super::action::{Action, Happening, Length, Log, Part, Says, Way};
use super::story::tell;

/// A plain line of a message.
fn says(message: u8) -> Says {
    Says { message, output: 1, rest: 0, step: 0, model: 0, stopped: true, side_chain: false, text: 0 }
}

fn check(actions: &[Action]) {
    if let Err(wrong) = tell(actions) {
        panic!("{wrong}");
    }
}

#[test]
fn a_whole_record_between_two_cut_off_ones_is_counted() {
    let torn = |message, cut| Action::Logs(Happening::Torn(Log::A, says(message), cut));
    check(&[
        torn(1, 300),
        torn(2, 1000),
        torn(3, 300),
        Action::Pass,
        Action::Logs(Happening::Append(Log::A, says(4))),
    ]);
}

fn append(message: u8) -> Action {
    Action::Logs(Happening::Append(Log::A, Says { text: 1_400, ..says(message) }))
}

#[test]
fn a_change_in_the_middle_of_a_log_of_the_same_size_is_seen() {
    for way in [Way::InPlace, Way::Rename, Way::Again] {
        let change = Happening::Rewritten(Log::A, Part::Middle, Length::Same, way, says(5));
        check(&[append(0), append(1), append(2), Action::Pass, Action::Logs(change), Action::Pass]);
    }
}

#[test]
fn a_log_replaced_by_one_that_differs_in_the_middle_and_goes_on_is_read_anew() {
    let change = Happening::Rewritten(Log::A, Part::Middle, Length::Same, Way::Rename, says(5));
    check(&[append(0), append(1), append(2), Action::Pass, Action::Logs(change), append(3), Action::Pass]);
}

#[test]
fn what_a_stopped_pass_did_not_read_of_a_log_is_read_by_the_next() {
    // The last of many lines says what no line before it says.
    let many = Action::Logs(Happening::Many(Log::A, says(1)));
    check(&[many, append(2), Action::PassStopped(1), Action::Pass]);
}

/// What ARCHITECTURE.md says is not seen; all else is.
#[test]
fn a_change_between_the_fingerprints_of_a_log_that_has_also_grown_is_the_one_blind_spot() {
    let change = |part| Action::Logs(Happening::Rewritten(Log::A, part, Length::Same, Way::InPlace, says(5)));
    for (part, blind) in [(Part::Middle, Some(&1)), (Part::First, None), (Part::Last, None)] {
        let tally =
            tell(&[append(0), append(1), append(2), Action::Pass, change(part), append(3), Action::Pass]);
        let tally = tally.unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(tally.get("blind spot"), blind, "{part:?}");
    }
}

#[test]
fn a_log_that_was_renamed_and_got_a_second_name_is_read_under_both() {
    let logs = Action::Logs;
    check(&[
        append(0),
        Action::Pass,
        append(1),
        logs(Happening::Renamed(Log::A, Log::D)),
        logs(Happening::SymLinked { from: Log::D, to: Log::B }),
        logs(Happening::Append(Log::B, says(2))),
    ]);
}
