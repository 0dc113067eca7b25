//! A toy client that keeps accounts as the real one does, through any story of processes, forks and crashes. It knows
//! what it never logged; the function is to find out.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Models = BTreeMap<&'static str, Counts>;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Reply {
        haiku: bool,
        side: bool,
        size: u64,
    },
    /// A call that is not logged.
    Hidden {
        haiku: bool,
        size: u64,
    },
    /// Esc: booked with an estimate.
    Cut {
        output: u64,
    },
    /// An orderly end, its account written once or twice; the session of this number goes on, later.
    Exit {
        twice: bool,
        next: usize,
    },
    /// The account is written before the reply that is being cut off.
    Interrupt,
    Kill,
    /// Nothing readable is left of the session's accounts.
    Lose,
    /// Another session goes on from the accounts of this one.
    Fork,
    /// Another session goes on from this one's messages, and from nothing.
    Branch,
}

fn event() -> impl Strategy<Value = Event> {
    let size = 1_u64..4;
    prop_oneof![
        6 => (any::<bool>(), any::<bool>(), size.clone()).prop_map(|(haiku, side, size)| Event::Reply { haiku, side, size }),
        3 => (any::<bool>(), size).prop_map(|(haiku, size)| Event::Hidden { haiku, size }),
        1 => (0_u64..200).prop_map(|output| Event::Cut { output }),
        4 => (any::<bool>(), 0_usize..8).prop_map(|(twice, next)| Event::Exit { twice, next }),
        1 => Just(Event::Interrupt),
        1 => Just(Event::Kill),
        1 => Just(Event::Lose),
        2 => Just(Event::Fork),
        1 => Just(Event::Branch),
    ]
}

/// A session between processes.
#[derive(Clone, Default)]
struct Session {
    started_at: Option<i64>,
    /// There is an account in its own log.
    has_own: bool,
    /// The last account: what, and for how long.
    kept: (Models, u64),
    /// Who paid for what is in the log before the session's own replies, and when the last of it was.
    history: BTreeMap<String, i64>,
    last_at: Option<i64>,
}

/// A process.
#[derive(Default)]
struct Process {
    session: usize,
    began: i64,
    models: Models,
    /// Never logged, as long as no account has it.
    hidden: Models,
    /// What of it was told by events.
    told: Models,
    replies: usize,
}

#[derive(Default)]
struct Toy {
    clock: i64,
    sessions: Vec<Session>,
    process: Process,
    lineages: BTreeMap<i64, Lineage>,
    replies: Vec<LoggedReply>,
    /// What accounts have and no log has.
    unlogged: Models,
    /// Each call that is not logged is told as it ends, but for its searches.
    tells: bool,
    witnessed: Vec<WitnessedCall>,
    /// What was told by a process that has written no account.
    told_alone: Models,
}

fn name(session: usize) -> String {
    format!("session {session}")
}

fn add(models: &mut Models, model: &'static str, counts: Counts) {
    let known = models.entry(model).or_default();
    *known = sum(*known, counts);
}

fn model(haiku: bool) -> &'static str {
    if haiku { HAIKU } else { OPUS }
}

impl Toy {
    fn new() -> Self {
        let mut toy = Self { clock: 1_000_000, ..Self::default() };
        toy.sessions.push(Session::default());
        toy.begin(0);
        toy
    }

    fn begin(&mut self, session: usize) {
        self.clock += 5000;
        let clock = self.clock;
        let of = &mut self.sessions[session];
        of.started_at.get_or_insert(clock);
        self.process = Process { session, began: clock, models: of.kept.0.clone(), ..Process::default() };
    }

    fn log(&mut self, model: &'static str, counts: Counts, main_chain: bool, complete: bool) {
        let session = name(self.process.session);
        let reply = reply(&session, self.clock, model, counts);
        self.replies.push(LoggedReply { main_chain, complete, ..reply });
        if main_chain {
            let session = &mut self.sessions[self.process.session];
            session.last_at = Some(self.clock);
            session.history.insert(name(self.process.session), self.clock);
        }
    }

    fn account(&mut self) {
        let Process { session, began, models, .. } = &self.process;
        let of = &mut self.sessions[*session];
        let duration = of.kept.1 + u64::try_from(self.clock - began).unwrap();
        of.kept = (models.clone(), duration);
        of.has_own = true;
        let models: Vec<_> = models.iter().map(|(model, counts)| (*model, *counts)).collect();
        let lineage = self.lineages.entry(of.started_at.unwrap()).or_default();
        lineage.lines.push(line(&name(*session), duration, of.last_at, &models));
        let history = of.history.iter().filter(|(payer, _)| **payer != name(*session));
        for (payer, until) in history {
            let copies = copies(&name(*session), payer, *until);
            if !lineage.copies.contains(&copies) {
                lineage.copies.push(copies);
            }
        }
        for (model, counts) in std::mem::take(&mut self.process.hidden) {
            add(&mut self.unlogged, model, counts);
        }
        self.process.told.clear();
        // What ends now may say so once more.
        self.process.began = self.clock;
    }

    fn happen(&mut self, event: Event) {
        self.clock += 100;
        match event {
            Event::Reply { haiku, side, size } => {
                // A sub-agent is started by a reply of its parent.
                let main_chain = !side || self.process.replies == 0;
                self.process.replies += 1;
                self.log(model(haiku), of(size), main_chain, true);
                add(&mut self.process.models, model(haiku), of(size));
            }
            // What never comes with a cache write can never stand for a reply.
            Event::Hidden { haiku, size } if self.process.replies > 0 => {
                let counts = [size, 2 * size, 0, 0, 5 * size, size % 2];
                add(&mut self.process.hidden, model(haiku), counts);
                add(&mut self.process.models, model(haiku), counts);
                if self.tells {
                    self.tell(model(haiku), counts);
                }
            }
            Event::Cut { output } => {
                self.log(OPUS, [10, 2, 400, 600, 20_000, 0], true, false);
                add(&mut self.process.models, OPUS, [10, 2 + output, 400, 600, 20_000, 0]);
                add(&mut self.process.hidden, OPUS, [0, output, 0, 0, 0, 0]);
                self.process.replies += 1;
            }
            Event::Exit { twice, next } => {
                self.account();
                if twice {
                    self.clock += 30;
                    self.account();
                }
                self.begin(next % self.sessions.len());
            }
            Event::Interrupt => {
                self.account();
                self.log(OPUS, [10, 2, 400, 600, 20_000, 0], true, false);
                self.begin(self.process.session);
            }
            Event::Kill | Event::Lose if !self.process.told.is_empty() => {
                for (model, counts) in std::mem::take(&mut self.process.told) {
                    add(&mut self.told_alone, model, counts);
                }
                self.happen(event);
            }
            Event::Kill if self.sessions[self.process.session].has_own => self.begin(self.process.session),
            Event::Kill | Event::Lose => {
                let session = &mut self.sessions[self.process.session];
                let Session { history, last_at, .. } = std::mem::take(session);
                *session = Session { history, last_at, ..Session::default() };
                self.begin(self.process.session);
            }
            Event::Fork => self.leave_for(true),
            Event::Branch => self.leave_for(false),
            Event::Hidden { .. } => {}
        }
    }

    fn tell(&mut self, model: &'static str, counts: Counts) {
        let [tokens @ .., _] = counts;
        let told = [tokens[0], tokens[1], tokens[2], tokens[3], tokens[4], 0];
        let reply = reply(&name(self.process.session), self.clock, model, told);
        let LoggedReply { at, session, calls, .. } = reply;
        let call = calls.into_iter().next().unwrap();
        self.witnessed.push(WitnessedCall { at, session, call, completes: false });
        add(&mut self.process.told, model, told);
    }

    /// Ends the process in order, and begins another session with a copy of this one's messages.
    fn leave_for(&mut self, goes_on: bool) {
        self.account();
        let of = self.sessions[self.process.session].clone();
        let new = Session { history: of.history.clone(), last_at: of.last_at, ..Session::default() };
        let fork = Session { has_own: false, ..of };
        self.sessions.push(if goes_on { fork } else { new });
        self.begin(self.sessions.len() - 1);
    }

    /// The lineages with all that is known, in an order that some number decides.
    fn lineages(mut self, order: usize) -> (Vec<Lineage>, Models) {
        self.account();
        let turn = order % self.replies.len().max(1);
        self.replies.rotate_left(turn);
        let replies = self.replies;
        let lineages = self.lineages.into_iter().map(|(started_at, mut lineage)| {
            let turn = order % lineage.lines.len().max(1);
            lineage.lines.rotate_left(turn);
            let (replies, witnessed) = (replies.clone(), self.witnessed.clone());
            Lineage { started_at: Some(UnixMillis(started_at)), replies, witnessed, ..lineage }
        });
        (lineages.collect(), self.unlogged)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn logged_and_unlogged_usage_are_the_toy_clients_bill(
        events in prop::collection::vec(event(), 0..40),
        order in 0_usize..1000,
    ) {
        check(&events, order, false)?;
    }

    /// The calls that are told are in the sum once: as such, or in what an account has left.
    #[test]
    fn what_is_told_and_what_accounts_have_left_are_the_same_bill(
        events in prop::collection::vec(event(), 0..40),
        order in 0_usize..1000,
    ) {
        check(&events, order, true)?;
    }
}

fn check(events: &[Event], order: usize, tells: bool) -> Result<(), TestCaseError> {
    let mut toy = Toy { tells, ..Toy::new() };
    for event in events {
        toy.happen(*event);
    }
    // What is told last is in the last account.
    toy.account();
    let mut found = Models::new();
    for WitnessedCall { call, .. } in &toy.witnessed {
        add(&mut found, if call.model.0 == OPUS { OPUS } else { HAIKU }, counts(call.used));
    }
    let told_alone = std::mem::take(&mut toy.told_alone);
    let (lineages, mut expected) = toy.lineages(order);
    for (model, counts) in told_alone {
        add(&mut expected, model, counts);
    }
    for entry in lineages.iter().flat_map(unlogged) {
        prop_assert!(entry.surplus.is_zero(), "{:?}", entry);
        add(&mut found, if entry.model.0 == OPUS { OPUS } else { HAIKU }, counts(entry.used));
    }
    found.retain(|_, counts| *counts != [0; 6]);
    let expected: Models = expected.into_iter().filter(|(_, counts)| *counts != [0; 6]).collect();
    prop_assert_eq!(found, expected);
    Ok(())
}

fn counts(used: Used) -> Counts {
    let [input, output, five, hour, read] = used.tokens.as_array();
    [input, output, five, hour, read, used.web_searches]
}

/// What a killed process has told is in no account, and takes the room of no call that is, of another model either.
#[test]
fn what_a_killed_process_has_told_takes_no_room_of_the_next() {
    let reply = Event::Reply { haiku: false, side: false, size: 1 };
    let hidden = |haiku| Event::Hidden { haiku, size: 1 };
    let killed =
        [reply, hidden(true), Event::Kill, reply, hidden(true), hidden(false), Event::Cut { output: 0 }];
    check(&killed, 0, true).unwrap();
    let resumed = [&[reply, Event::Exit { twice: false, next: 0 }][..], &killed].concat();
    check(&resumed, 0, true).unwrap();
}
