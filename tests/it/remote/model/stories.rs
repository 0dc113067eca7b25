//! Stories that are told each time: every answer that there is, to one session and to several, to the question
//! whether the project is ready, once and for as long as it is asked; and what once went wrong.

use super::action::{Action, Send};
use super::lines::Line;
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
