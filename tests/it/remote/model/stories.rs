//! Stories that are told each time: every answer that there is, to one session and to several, to the question
//! whether the project is ready, once and for as long as it is asked; and what once went wrong.

use super::action::{Action, Send};
use super::lines::{LONG, Line, SPOILING};
use super::tell;
use super::trouble::{NUMBER, Trouble};
use std::collections::BTreeMap;

fn line(message: u8, session: u8) -> Line {
    Line { message, session, step: 1, day: 0, forked_from: None }
}

/// All that may go wrong with a call but what takes its time.
fn troubles() -> impl Iterator<Item = Trouble> {
    let answers = (0..NUMBER).flat_map(|number| [false, true].map(|done| Trouble::Answer { number, done }));
    [Trouble::CutBefore, Trouble::LoseAnswer, Trouble::CutAnswer].into_iter().chain(answers)
}

/// Everything is sent anew and meets each trouble in turn; each of them was met.
#[track_caller]
fn each_is_met(lines: Vec<Line>, send: impl Fn(Trouble) -> Send, is_asked: impl Fn(Trouble) -> bool) {
    let mut story = vec![Action::Write { by: 0, lines }];
    for trouble in troubles() {
        story.extend([Action::Raise(0), Action::Wait, Action::Send(send(trouble))]);
    }
    let met: BTreeMap<String, usize> = tell(&story).unwrap_or_else(|what| panic!("{what}"));
    for trouble in troubles().filter(|trouble| is_asked(*trouble)) {
        assert!(met.contains_key(&trouble.name()), "{trouble:?} was not met: {met:#?}");
    }
}

#[test]
fn every_answer_to_one_session_is_taken_for_what_it_is() {
    let send = |trouble| Send { calls: vec![Some(trouble)], ..Send::plainly(0) };
    // One session has no other order.
    let is_asked = |trouble| !matches!(trouble, Trouble::Answer { number, .. } if number + 1 == NUMBER);
    each_is_met(vec![line(0, 0), line(1, 0)], send, is_asked);
}

#[test]
fn every_answer_to_several_sessions_is_taken_for_what_it_is() {
    let send = |trouble| Send { calls: vec![Some(trouble)], ..Send::plainly(0) };
    each_is_met(vec![line(0, 0), line(1, 1), line(2, 2), line(3, 3), line(4, 3)], send, |_| true);
}

#[test]
fn every_answer_that_persists_is_taken_for_what_it_is() {
    let send = |trouble| Send { calls: vec![Some(trouble)], goes_on: true, ..Send::plainly(0) };
    each_is_met(vec![line(0, 0), line(1, 1), line(2, 2)], send, |_| true);
}

#[test]
fn every_answer_to_whether_the_project_is_ready_is_taken_for_what_it_is() {
    let send = |trouble| Send { check: Some(trouble), ..Send::plainly(0) };
    each_is_met(vec![line(0, 0)], send, |trouble| trouble.meaning_of_check().is_some());
}

fn write(lines: &[Line]) -> Action {
    Action::Write { by: 0, lines: lines.to_vec() }
}

fn send() -> Action {
    Action::Send(Send::plainly(0))
}

/// What happened in a story that ends well.
#[track_caller]
fn happens(story: &[Action], what: &str) {
    let met = tell(story).unwrap_or_else(|what| panic!("{what}"));
    assert!(met.contains_key(what), "{what} did not happen: {met:#?}");
}

#[test]
fn a_session_that_grows_while_it_is_sent_goes_on_waiting() {
    let growing = Send { meanwhile: vec![line(1, 0)], ..Send::plainly(0) };
    happens(&[write(&[line(0, 0)]), Action::Send(growing)], "taken in while sending");
}

#[test]
fn a_process_that_dies_between_commit_and_acknowledgement_sends_again_and_changes_no_row() {
    let dying = Send { killed_at: Some(0), ..Send::plainly(0) };
    happens(&[write(&[line(0, 0), line(1, 1)]), Action::Send(dying), send()], "nothing better");
}

#[test]
fn an_older_ledger_sends_what_the_server_has_and_changes_no_row() {
    let story =
        [write(&[line(0, 0)]), Action::Save(0), send(), write(&[line(1, 0)]), send(), Action::Return(0)];
    happens(&story, "an older ledger");
}

#[test]
fn a_copy_that_turns_up_after_sending_moves_nothing() {
    let story = [write(&[line(0, 1)]), send(), write(&[line(0, 0)]), send()];
    let met = tell(&story).unwrap_or_else(|what| panic!("{what}"));
    assert_eq!((met["kept where it was offered"], met.get("a message in two places")), (1, None), "{met:#?}");
}

/// The limit of what can be promised: nothing but the ledger knows under which session a message was offered
/// before an unmarked copy of it turned up under another one.
#[test]
fn a_ledger_that_is_lost_does_not_know_where_it_had_offered_a_message() {
    let story = [write(&[line(0, 1)]), send(), write(&[line(0, 0)]), Action::Lose(0), send()];
    happens(&story, "a message in two places");
}

/// Two ledgers have the same totals of a session, with a message in its midst on different days: the first
/// has sent its value, the second begins, and its value is the one that the server prefers.
fn two_ledgers_with_a_message_on_different_days() -> Vec<Action> {
    let at = |message, day| Line { day, ..line(message, 1) };
    vec![write(&[at(1, 2), at(0, 0), at(7, 1)]), send(), write(&[at(7, 0)]), Action::Add]
}

#[test]
fn two_ledgers_that_have_a_message_on_different_days_find_nothing_damaged() {
    let mut story = two_ledgers_with_a_message_on_different_days();
    story.extend([Action::Verify(1), Action::Verify(0)]);
    happens(&story, "a server ahead");
}

/// It was never taken: nobody knows yet which of the two the server prefers. Once it is the one that is
/// sent, once the one that is there.
#[test]
fn what_seemed_to_be_refused_is_missing_though_the_server_has_as_much_of_it() {
    let refused = Some(Trouble::Answer { number: 0, done: false });
    let refused = |by| Action::Send(Send { calls: vec![refused], ..Send::plainly(by) });
    let mut story = two_ledgers_with_a_message_on_different_days();
    story.extend([refused(1), Action::Verify(1), Action::Wait, Action::Verify(1)]);
    happens(&story, "a server refilled");
    story.extend([Action::Raise(1), Action::Send(Send::plainly(1)), Action::Raise(0), refused(0)]);
    story.extend([Action::Verify(0), Action::Wait, Action::Verify(0)]);
    happens(&story, "a server ahead");
}

#[test]
fn what_was_refused_for_what_is_in_it_is_not_sent_again_by_a_new_process() {
    let story = |refused| [write(&[line(0, 0), refused]), send(), Action::Restart(0), send()];
    happens(&story(line(1, LONG)), "an item refused");
    happens(&story(line(SPOILING, 1)), "a call refused");
}

/// Whoever compares finds it missing all the same; it goes through when its time has come.
#[test]
fn what_seemed_to_be_refused_is_found_missing_and_sent_in_the_end() {
    let refused = Trouble::Answer { number: 0, done: false };
    let refused = Send { lines: vec![line(0, 0)], calls: vec![Some(refused)], ..Send::plainly(0) };
    let story = [Action::Send(refused), Action::Verify(0), Action::Wait, Action::Verify(0)];
    happens(&story, "a server refilled");
}

/// It changes while others are sent, long after it was refused: it is tried again in the same go.
#[test]
fn what_was_refused_and_changes_while_others_are_sent_is_tried_again() {
    let send = |lines, meanwhile| Action::Send(Send { lines, meanwhile, ..Send::plainly(0) });
    let first = send(vec![line(0, 0)], vec![line(SPOILING, 2)]);
    let second = send(vec![line(1, 0)], vec![line(SPOILING, 2), line(2, 2)]);
    happens(&[first, Action::Wait, second], "a call refused");
}

/// Another user gets everything from the beginning, whatever the former one had acknowledged.
#[test]
fn a_ledger_that_is_given_away_is_sent_from_the_beginning_and_back_again() {
    let to = |user| {
        [Action::SetUser { of: 0, user }, send(), Action::Reassign { of: 0, is_everything: true }, send()]
    };
    let mut story = vec![write(&[line(0, 0), line(1, 1)]), send()];
    story.extend(to(1));
    story.push(write(&[line(2, 2)]));
    story.extend(to(0));
    happens(&story, "a foreign ledger");
}
