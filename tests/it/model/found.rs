//! Stories that once went wrong, or that the drawing seldom comes upon, each told on its own.

use super::action::{Action, Happening, Log, Says};
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
