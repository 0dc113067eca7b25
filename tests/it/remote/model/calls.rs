//! One call that sends, as it went over the line: what it may say, what the server has by it, and what tallyd
//! may take from its answer.

use super::lines::LONG;
use super::sending::Account;
use super::server::read_item;
use super::trouble::{Meaning, Trouble, items};
use super::world::{Outcome, World};
use crate::remote::contract::value::Value;
use crate::remote::gateway::Seen;

/// Messages with their days.
pub(super) type Messages = Vec<(u8, String)>;

/// A call that sends.
pub(super) struct Call<'a> {
    pub(super) one: &'a Seen,
    pub(super) trouble: Option<Trouble>,
    /// Nothing came between the server's answer and tallyd.
    pub(super) is_answered: bool,
}

/// What a call says of a session.
pub(super) struct Sent {
    session: u8,
    value: Value,
    /// The messages that the value is made of, and their days.
    messages: Messages,
}

impl Sent {
    /// Whether the database cannot store it, so that the whole call fails.
    fn spoils(&self) -> bool {
        self.value.cells.keys().any(|(_, model)| model.contains('\0'))
    }
}

impl World {
    /// What the server made of a call, and tallyd of the answer.
    pub(super) fn go_through_answer(
        &mut self,
        by: usize,
        call: &Call,
        sent: &[Sent],
        account: &mut Account,
    ) -> Outcome {
        let is_done = call.trouble.is_none_or(Trouble::is_done);
        let is_refused = sent.iter().any(Sent::spoils) || matches!(sent, [one] if one.session == LONG);
        let expected = is_done.then_some(if is_refused { 400 } else { 200 });
        if call.one.upstream != expected {
            return Err(format!("the server answered {:?}, not {expected:?}", call.one.upstream));
        }
        if expected == Some(200) {
            self.is_committed(by, call, sent, account);
        }
        let refused = (expected == Some(400)).then_some(Meaning::Refused);
        if refused.is_some() {
            self.meet("a call refused");
        }
        account.last = call.trouble.map_or(refused, |trouble| trouble.meaning(&call.one.request));
        if let ([one], Some(Meaning::Refused)) = (sent, account.last) {
            self.containers[by].counted.blamed.insert(one.session);
        }
        Ok(())
    }

    /// The sessions of a call; each has the value that its lines say, and stays where it is from now on.
    pub(super) fn what_is_sent(
        &mut self,
        by: usize,
        call: &Call,
        account: &mut Account,
    ) -> Result<Vec<Sent>, String> {
        let (user, container) = (&self.users[self.containers[by].user], &mut self.containers[by]);
        let mut sent = Vec::new();
        for item in items(&call.one.request) {
            let (told, session, value) = read_item(&item);
            // In smaller parts the same value is sent again.
            let (expected, messages) = account.sent.entry(session).or_insert_with(|| {
                let expected = container.counted.value(session, container.revision);
                let messages = container.counted.places(session).collect();
                container.counted.offer(session);
                (expected, messages)
            });
            if told != *user || Some(&value) != expected.as_ref() || !container.counted.is_own(session) {
                return Err(format!("sent of session {session}: {value:#?}\nexpected: {expected:#?}"));
            }
            sent.push(Sent { session, value, messages: messages.clone() });
        }
        Ok(sent)
    }

    fn is_committed(&mut self, by: usize, call: &Call, sent: &[Sent], account: &mut Account) {
        let user = self.containers[by].user;
        for Sent { session, value, messages } in sent {
            if *session == LONG {
                self.containers[by].counted.blamed.insert(LONG);
                self.meet("an item refused");
                continue;
            }
            match self.server.commit(user, *session, value) {
                Some(days) => account.changed.entry((user, *session)).or_default().extend(days),
                None => self.meet("nothing better"),
            }
            for (message, day) in messages {
                self.places.entry((user, *message)).or_default().insert((*session, day.clone()));
            }
            if call.is_answered {
                self.containers[by].counted.arrived(*session, user);
            }
        }
    }
}
