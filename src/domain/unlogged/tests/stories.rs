//! One story a rule.

use super::*;
use pretty_assertions::assert_eq;

const HIDDEN: Counts = [3, 70, 0, 0, 900, 1];

#[test]
fn what_an_account_has_beyond_the_replies_before_it_is_unlogged() {
    let story = lineage(
        vec![line("s", 500, Some(1100), &[(OPUS, sum(of(1), HIDDEN))])],
        vec![reply("s", 1100, OPUS, of(1))],
    );
    let entries = unlogged(&story);
    let expected = UnloggedUsage {
        line: 0,
        model: ModelName(OPUS.to_owned()),
        at: UnixMillis(1100),
        used: used(HIDDEN),
        surplus: Used::default(),
        incomplete: 0,
        client_cost: Usd(price(sum(of(1), HIDDEN))),
        logged_cost: Some(Usd(price(of(1)))),
    };
    assert_eq!(entries, [expected]);
}

#[test]
fn an_account_without_any_reply_has_the_time_at_which_it_was_written() {
    let story = lineage(vec![line("s", 500, None, &[(OPUS, HIDDEN)])], vec![]);
    assert_eq!(unlogged(&story)[0].at, UnixMillis(1500));
    assert_eq!(found(&story), one(0, OPUS, HIDDEN));
}

#[test]
fn a_resumed_session_goes_on_from_its_line_before_and_a_line_said_twice_adds_nothing() {
    let lines = vec![
        line("s", 500, Some(1100), &[(OPUS, of(1))]),
        line("s", 900, Some(9000), &[(OPUS, sum(of(3), HIDDEN))]),
        line("s", 930, Some(9000), &[(OPUS, sum(of(3), HIDDEN))]),
    ];
    let replies = vec![reply("s", 1100, OPUS, of(1)), reply("s", 9000, OPUS, of(2))];
    assert_eq!(found(&lineage(lines, replies)), one(1, OPUS, HIDDEN));
}

#[test]
fn a_fork_goes_on_from_its_parent_and_not_from_a_smaller_sibling() {
    let lines = vec![
        line("parent", 500, Some(1100), &[(OPUS, sum(of(1), HIDDEN))]),
        line("small", 600, Some(5000), &[(OPUS, sum(of(2), HIDDEN))]),
        line("large", 700, Some(6000), &[(OPUS, sum(of(4), sum(HIDDEN, HIDDEN)))]),
    ];
    let replies = vec![
        reply("parent", 1100, OPUS, of(1)),
        reply("small", 5000, OPUS, of(1)),
        reply("large", 6000, OPUS, of(3)),
    ];
    let mut story = lineage(lines, replies);
    story.copies = vec![copies("small", "parent", 1100), copies("large", "parent", 1100)];
    assert_eq!(found(&story), [one(2, OPUS, HIDDEN), one(0, OPUS, HIDDEN)].concat());
}

#[test]
fn a_fork_does_not_go_on_from_what_its_parent_wrote_later() {
    let lines = vec![
        line("parent", 500, Some(1100), &[(OPUS, of(1))]),
        line("parent", 600, Some(7000), &[(OPUS, of(2))]),
        line("fork", 700, Some(6000), &[(OPUS, sum(of(3), HIDDEN))]),
    ];
    let replies = vec![
        reply("parent", 1100, OPUS, of(1)),
        reply("parent", 7000, OPUS, of(1)),
        reply("fork", 6000, OPUS, of(2)),
    ];
    let mut story = lineage(lines, replies);
    story.copies = vec![copies("fork", "parent", 1100)];
    assert_eq!(found(&story), one(2, OPUS, HIDDEN));
}

#[test]
fn forks_of_a_session_whose_lines_are_gone_count_its_calls_once() {
    let lines = vec![
        line("one", 600, Some(5000), &[(OPUS, sum(of(2), HIDDEN))]),
        line("two", 700, Some(6000), &[(OPUS, sum(of(3), sum(HIDDEN, HIDDEN)))]),
    ];
    let replies = vec![
        reply("gone", 1100, OPUS, of(1)),
        reply("gone", 4000, OPUS, of(9)),
        reply("one", 5000, OPUS, of(1)),
        reply("two", 6000, OPUS, of(2)),
    ];
    let mut story = lineage(lines, replies);
    story.copies = vec![copies("one", "gone", 1100), copies("two", "gone", 1100)];
    assert_eq!(found(&story), [one(0, OPUS, HIDDEN), one(1, OPUS, HIDDEN)].concat());
}

#[test]
fn a_branch_has_copies_of_what_is_not_in_its_account() {
    let mut story = lineage(
        vec![line("branch", 500, Some(1200), &[(OPUS, of(1))])],
        vec![reply("origin", 900, OPUS, of(5)), reply("branch", 1200, OPUS, of(1))],
    );
    story.copies = vec![copies("branch", "origin", 900)];
    assert_eq!(found(&story), []);
}

#[test]
fn what_a_session_logged_before_its_lineage_began_is_not_in_it() {
    let story = lineage(
        vec![line("s", 500, Some(1100), &[(OPUS, sum(of(1), HIDDEN))])],
        vec![reply("s", 900, OPUS, of(7)), reply("s", 1100, OPUS, of(1)), reply("s", 1200, OPUS, of(2))],
    );
    assert_eq!(found(&story), one(0, OPUS, HIDDEN));
}

#[test]
fn a_sub_agent_that_ends_behind_its_parents_last_line_is_in_the_same_account() {
    let mut late = reply("s", 1200, OPUS, of(2));
    late.main_chain = false;
    let lines = vec![
        line("s", 500, Some(1100), &[(OPUS, of(3))]),
        line("s", 900, Some(9000), &[(OPUS, sum(of(6), HIDDEN))]),
    ];
    let mut next = reply("s", 8500, OPUS, of(1));
    next.main_chain = false;
    let replies = vec![
        reply("s", 1100, OPUS, of(1)),
        late,
        reply("s", 8000, OPUS, of(1)),
        next,
        reply("s", 9000, OPUS, of(1)),
    ];
    assert_eq!(found(&lineage(lines, replies)), one(1, OPUS, HIDDEN));
}

fn cut(at: i64) -> LoggedReply {
    LoggedReply { complete: false, ..reply("s", at, OPUS, [10, 2, 400, 600, 20_000, 0]) }
}

#[test]
fn of_a_cut_off_reply_that_the_client_went_on_from_the_rest_is_unlogged() {
    let estimated = [10, 140, 400, 600, 20_000, 0];
    let story = lineage(
        vec![line("s", 500, Some(1300), &[(OPUS, sum(of(1), estimated))])],
        vec![cut(1100), reply("s", 1300, OPUS, of(1))],
    );
    assert_eq!(found(&story), one(0, OPUS, [0, 138, 0, 0, 0, 0]));
    assert_eq!(unlogged(&story)[0].incomplete, 1);
}

#[test]
fn a_reply_cut_off_behind_the_account_of_its_process_is_in_none() {
    let nothing = line("s", 500, None, &[]);
    let lines = vec![nothing.clone(), line("s", 900, Some(9000), &[(OPUS, sum(of(1), HIDDEN))])];
    let story = lineage(lines, vec![cut(1400), reply("s", 9000, OPUS, of(1))]);
    assert_eq!(found(&story), one(1, OPUS, HIDDEN));
    assert_eq!(found(&lineage(vec![nothing], vec![cut(1400)])), []);
    // The same in a process that began nobody knows when: the account cannot have it in it.
    let lines = vec![
        line("s", 500, Some(1100), &[(OPUS, of(1))]),
        line("s", 600, Some(5000), &[(OPUS, of(2))]),
        line("s", 700, Some(9000), &[(OPUS, of(3))]),
    ];
    let replies = vec![
        reply("s", 1100, OPUS, of(1)),
        reply("s", 5000, OPUS, of(1)),
        cut(5010),
        reply("s", 9000, OPUS, of(1)),
    ];
    assert_eq!(found(&lineage(lines, replies)), []);
}

#[test]
fn what_a_killed_process_logged_is_in_no_account() {
    let lines = |hidden| {
        vec![
            line("s", 500, Some(1100), &[(OPUS, of(1))]),
            line("s", 900, Some(9000), &[(OPUS, sum(of(3), hidden))]),
        ]
    };
    let replies = |killed| {
        vec![reply("s", 1100, OPUS, of(1)), reply("s", killed, OPUS, of(4)), reply("s", 9000, OPUS, of(2))]
    };
    assert_eq!(found(&lineage(lines(HIDDEN), replies(5000))), one(1, OPUS, HIDDEN));
    // It may have ended right before the process that wrote the account.
    assert_eq!(found(&lineage(lines(HIDDEN), replies(8990))), one(1, OPUS, HIDDEN));
    // When the process began is known: it is not the killed one's reply that a larger call made up for.
    let large = [5, 300, 400, 500, 10_000, 0];
    assert_eq!(found(&lineage(lines(large), replies(5000))), one(1, OPUS, large));
}

#[test]
fn a_token_more_than_the_account_has_is_a_surplus_and_no_unlogged_reply() {
    let mut less = of(3);
    less[1] -= 1;
    let story = lineage(
        vec![line("s", 500, Some(1300), &[(OPUS, sum(less, [5, 0, 0, 0, 0, 0]))])],
        vec![reply("s", 1100, OPUS, of(1)), reply("s", 1300, OPUS, of(2))],
    );
    let entries = unlogged(&story);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].used, used([5, 0, 0, 0, 0, 0]));
    assert_eq!(entries[0].surplus, used([0, 1, 0, 0, 0, 0]));
}

#[test]
fn a_reply_served_by_another_model_is_in_the_account_of_the_one_asked_for() {
    let lines = vec![line("s", 500, Some(1300), &[(HAIKU, HIDDEN), (OPUS, sum(of(2), HIDDEN))])];
    let replies = vec![reply("s", 1100, OPUS, of(1)), reply("s", 1300, "claude-sonnet-4-5", of(1))];
    let expected = [one(0, HAIKU, HIDDEN), one(0, OPUS, HIDDEN)].concat();
    assert_eq!(found(&lineage(lines, replies)), expected);
    // The same model by another name is preferred to one that could take it as well.
    let long = "claude-opus-5-5[1m]";
    let lines = vec![line("s", 500, Some(1300), &[("claude-a", of(2)), (long, sum(of(1), HIDDEN))])];
    let replies = vec![reply("s", 1100, OPUS, of(1)), reply("s", 1300, "claude-a", of(2))];
    assert_eq!(found(&lineage(lines, replies)), one(0, long, HIDDEN));
}

#[test]
fn cache_writes_that_the_client_does_not_tell_apart_are_what_was_logged() {
    let unsplit = [10, 500, 1000, 0, 20_000, 0];
    let lines = vec![
        line("s", 500, Some(1100), &[(OPUS, sum(unsplit, HIDDEN))]),
        // The client was brought up to date in between.
        line("s", 900, Some(9000), &[(OPUS, sum(of(2), HIDDEN))]),
    ];
    let replies = vec![reply("s", 1100, OPUS, of(1)), reply("s", 9000, OPUS, of(1))];
    assert_eq!(found(&lineage(lines, replies)), one(0, OPUS, HIDDEN));
}

#[test]
fn a_count_that_began_again_goes_on_from_nothing() {
    let lines = vec![
        line("s", 500, Some(1100), &[(OPUS, of(5))]),
        line("s", 900, Some(9000), &[(OPUS, sum(of(1), HIDDEN))]),
    ];
    let replies = vec![reply("s", 1100, OPUS, of(5)), reply("s", 9000, OPUS, of(1))];
    assert_eq!(found(&lineage(lines, replies)), one(1, OPUS, HIDDEN));
}

#[test]
fn a_lineage_without_a_beginning_is_one_all_the_same() {
    let mut story = lineage(
        vec![line("s", 500, Some(1100), &[(OPUS, sum(of(1), HIDDEN))])],
        vec![reply("s", 1100, OPUS, of(1))],
    );
    story.started_at = None;
    assert_eq!(found(&story), one(0, OPUS, HIDDEN));
}
