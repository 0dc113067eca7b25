//! A story told to tallyd and to the oracle, step by step; after each pass both must say the same.

use super::action::{Action, Happening};
use super::oracle::{Oracle, cells};
use super::subject::{Subject, crash};
use super::world::{World, share};
use std::collections::BTreeMap;

/// From here on the write-ahead log may begin anew from its start, and a length says nothing.
const LOG_MAY_TURN: u64 = 3 << 20;

/// What is longer is still being read when its first piece is handed on.
const ONE_READ: usize = 256 << 10;

/// How often which action took effect, and how.
pub(super) type Tally = BTreeMap<&'static str, u64>;

/// What is wrong.
type Wrong = String;

struct Story {
    world: World,
    subject: Subject,
    oracle: Oracle,
    /// What must be in the ledger where the write-ahead log is so long.
    commits: Vec<(u64, Oracle)>,
    is_full: bool,
    tally: Tally,
}

/// Tells the story to its end; says how often what took effect, or what is wrong.
pub(super) fn tell(actions: &[Action]) -> Result<Tally, Wrong> {
    let mut story = Story::begin();
    for (step, action) in actions.iter().enumerate() {
        story.act(action).map_err(|wrong| format!("after step {step}, {action:?}: {wrong}"))?;
    }
    story.end()
}

impl Story {
    fn begin() -> Self {
        let world = World::new();
        let subject = Subject::start(world.root());
        let mut story = Self {
            world,
            subject,
            oracle: Oracle::default(),
            commits: Vec::new(),
            is_full: false,
            tally: Tally::new(),
        };
        story.reopened();
        story
    }

    fn act(&mut self, action: &Action) -> Result<(), Wrong> {
        match action {
            Action::Logs(what) => {
                if let Some(effect) = self.world.happen(what) {
                    self.count(effect);
                }
                return Ok(());
            }
            Action::Pass => return self.pass(),
            Action::PassStopped(pieces) => return self.pass_stopped(usize::from(*pieces)),
            Action::PassRaced { early, what } => return self.pass_raced(*early, what),
            Action::Restart => {
                self.count("restarted");
                self.subject.restart();
                self.reopened();
            }
            Action::Killed { inside } => self.kill(*inside),
            Action::PowerCut(kept) => self.cut_power(*kept)?,
            Action::Full(table) => {
                self.subject.refuse(Some(table));
                self.is_full = true;
            }
            Action::Freed => self.free(),
        }
        self.check()
    }

    fn count(&mut self, effect: &'static str) {
        *self.tally.entry(effect).or_default() += 1;
    }

    fn free(&mut self) {
        self.subject.refuse(None);
        self.is_full = false;
    }

    fn pass(&mut self) -> Result<(), Wrong> {
        let logs = self.world.logs();
        match self.subject.pass() {
            Ok(summary) => {
                if summary.files_read > 0 {
                    self.count("pass");
                }
                self.oracle.see(&self.world.book, &logs);
                self.committed();
                self.check()?;
                self.check_places()?;
                match self.subject.pass().map_err(|error| error.to_string())?.files_read {
                    0 => Ok(()),
                    files => Err(format!("{files} files are read again although nothing happened")),
                }
            }
            Err(_) if self.is_full => {
                self.count("pass on a full disk");
                self.check()
            }
            Err(error) => Err(format!("the pass failed: {error}")),
        }
    }

    fn pass_stopped(&mut self, pieces: usize) -> Result<(), Wrong> {
        let logs = self.world.logs();
        let tree = self.subject.walk();
        let mut stopped = false;
        let result = self.subject.take_in(&tree, &mut |_, piece| {
            stopped = piece >= pieces;
            stopped
        });
        self.cut_short(result.is_ok(), if stopped { "pass stopped" } else { "pass not stopped" })?;
        self.oracle.see_perhaps(&self.world.book, &logs);
        self.committed();
        self.check()
    }

    fn pass_raced(&mut self, early: bool, what: &Happening) -> Result<(), Wrong> {
        let tree = self.subject.walk();
        let before = self.world.logs();
        // Two versions of one line, read half and half, may make a third that nobody wrote.
        let early = early || before.iter().any(|found| found.bytes.len() > ONE_READ);
        let mut effect = None;
        if early {
            effect = self.world.happen(what);
        }
        let (world, late) = (&mut self.world, &mut effect);
        let result = self.subject.take_in(&tree, &mut |_, piece| {
            if !early && piece == 1 {
                *late = world.happen(what);
            }
            false
        });
        self.cut_short(result.is_ok(), if effect.is_some() { "pass raced" } else { "pass not raced" })?;
        self.oracle.see_perhaps(&self.world.book, &before);
        self.oracle.see_perhaps(&self.world.book, &self.world.logs());
        self.committed();
        self.check()
    }

    /// A pass that need not have seen everything.
    fn cut_short(&mut self, is_ok: bool, effect: &'static str) -> Result<(), Wrong> {
        self.count(effect);
        if is_ok || self.is_full { Ok(()) } else { Err("the pass failed".to_owned()) }
    }

    fn kill(&mut self, inside: bool) {
        let mut crashed = None;
        if inside {
            let tree = self.subject.walk();
            // Nothing of this pass has been committed by then. How it ends, nobody learns.
            let _ = self.subject.take_in(&tree, &mut |state, _| {
                crashed.get_or_insert_with(|| crash(state, None));
                true
            });
        }
        self.count(if crashed.is_some() { "killed inside of a pass" } else { "killed" });
        let crashed = crashed.unwrap_or_else(|| crash(self.subject.state(), None));
        self.subject.restart_from(crashed);
    }

    fn cut_power(&mut self, kept: u16) -> Result<(), Wrong> {
        let length = self.subject.log_bytes();
        let in_order = self.commits.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        if length == 0 || length > LOG_MAY_TURN || !in_order {
            self.kill(false);
            return Ok(());
        }
        let kept = share(usize::try_from(length).unwrap_or_default(), kept) as u64;
        let survivor = self.commits.iter().rev().find(|(length, _)| *length <= kept);
        let Some((_, oracle)) = survivor.or(self.commits.first()).cloned() else { return Ok(()) };
        let lost = self.commits.iter().any(|(length, _)| *length > kept);
        self.count(if lost { "power cut, commits lost" } else { "power cut" });
        self.oracle = oracle;
        let crashed = crash(self.subject.state(), Some(kept));
        self.subject.restart_from(crashed);
        self.check()?;
        // The log may be longer now than what is valid of it; an orderly end leaves none.
        self.free();
        self.subject.restart();
        self.reopened();
        Ok(())
    }

    /// The ledger has been opened: what it holds now is in the database itself.
    fn reopened(&mut self) {
        self.commits = vec![(self.subject.log_bytes(), self.oracle.clone())];
    }

    fn committed(&mut self) {
        self.commits.push((self.subject.log_bytes(), self.oracle.clone()));
    }

    fn check(&self) -> Result<(), Wrong> {
        let contents = self.subject.contents()?;
        self.oracle.check(&contents.counted)?;
        let sums = cells(contents.counted.values());
        if contents.cells == sums {
            Ok(())
        } else {
            Err(format!("cells are no sums\ncells: {:#?}\nsums: {sums:#?}", contents.cells))
        }
    }

    /// Every line that stands in a log is known by its place, as far as it could be seen.
    fn check_places(&self) -> Result<(), Wrong> {
        if self.oracle.blind > 0 {
            return Ok(());
        }
        let known = self.subject.places();
        for found in self.world.logs() {
            for (offset, spoken) in self.world.book.read_file(&found.bytes) {
                for spoken in spoken {
                    let place = (found.path.clone(), offset as u64, spoken.said.message);
                    if !known.contains(&place) {
                        return Err(format!("no sighting of {place:?}, which stands there"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything is well again: a whole pass makes the ledger exact, another start changes nothing, and a
    /// second ledger finds in the logs what is in them.
    fn end(mut self) -> Result<Tally, Wrong> {
        self.free();
        self.world.happen(&Happening::Shown);
        self.pass().map_err(|wrong| format!("in the end: {wrong}"))?;
        let before = self.subject.contents()?;
        self.subject.check_reports().map_err(|wrong| format!("two ways to a report: {wrong}"))?;
        let watcher = self.subject.connection();
        let version = || watcher.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
        let version_before = version().map_err(|error| error.to_string())?;
        self.subject.restart();
        let read = self.subject.pass().map_err(|error| error.to_string())?.files_read;
        let written = version().map_err(|error| error.to_string())? != version_before;
        if read > 0 || written || self.subject.contents()? != before {
            return Err(format!("another start has read {read} files and written something: {written}"));
        }
        let mut oracle = Oracle::default();
        oracle.see(&self.world.book, &self.world.logs());
        let mut second = Subject::start(self.world.root());
        second.pass().map_err(|error| error.to_string())?;
        let contents = second.contents()?;
        oracle.check(&contents.counted).map_err(|wrong| format!("a second ledger: {wrong}"))?;
        if self.oracle.blind > 0 {
            self.count("blind spot");
        }
        Ok(self.tally)
    }
}
