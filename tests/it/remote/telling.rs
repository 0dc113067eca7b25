//! Telling stories of chance: how many, from which seeds, and what happened in all of them together.
#![cfg(test)]

use super::publisher::Log;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What happened, and how often.
pub(super) type Met = BTreeMap<String, usize>;

/// Stories of one kind.
pub(super) struct Stories<S> {
    /// How they are drawn.
    pub(super) strategy: S,
    /// Where the seeds of those that failed are kept, and tried first.
    pub(super) seeds: &'static str,
    /// The variable that says how many are told.
    pub(super) variable: &'static str,
    /// How many otherwise, where the run is not to be a long one.
    pub(super) usual: u32,
}

impl<A: Debug, S: Strategy<Value = Vec<A>>> Stories<S> {
    /// Tells as many stories of chance as are asked for.
    pub(super) fn tell_any(&self, tell: impl Fn(&[A]) -> Result<Met, String>) {
        self.tell_with(&mut TestRunner::new(self.config(self.cases())), tell);
    }

    /// Tells the same stories each time; what they are about has to happen in them.
    pub(super) fn tell_the_same(
        &self,
        expected: &[(&str, usize)],
        tell: impl Fn(&[A]) -> Result<Met, String>,
    ) {
        let config = Config { failure_persistence: None, ..self.config(self.usual) };
        let rng = TestRng::deterministic_rng(config.rng_algorithm);
        let met = self.tell_with(&mut TestRunner::new_with_rng(config, rng), tell);
        for (what, least) in expected {
            let count = met.get(*what).copied().unwrap_or_default();
            assert!(count >= *least, "{what}: {count}, at least {least} were expected");
        }
    }

    fn config(&self, cases: u32) -> Config {
        let seeds = FileFailurePersistence::Direct(self.seeds);
        let failure_persistence = Some(Box::new(seeds) as Box<_>);
        Config { cases, failure_persistence, max_shrink_iters: 400, ..Config::default() }
    }

    fn cases(&self) -> u32 {
        let given = std::env::var(self.variable).ok();
        let given = given.map(|text| text.parse().expect("a number of cases"));
        given.unwrap_or(if std::env::var_os("TALLYD_LONG").is_some() { 1_000 } else { self.usual })
    }

    fn tell_with(&self, runner: &mut TestRunner, tell: impl Fn(&[A]) -> Result<Met, String>) -> Met {
        let met = RefCell::new(Met::new());
        let outcome = runner.run(&self.strategy, |story| {
            for (what, count) in tell(&story).map_err(TestCaseError::fail)? {
                *met.borrow_mut().entry(what).or_default() += count;
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        println!("{:#?}", met.borrow());
        met.into_inner()
    }
}

/// What is wrong after an action, and what tallyd has said by then.
pub(super) fn wrong(number: usize, what: &str, log: &Log) -> String {
    let text = log.text();
    let log: Vec<&str> = text.lines().filter(|line| line.contains(" tallyd::")).collect();
    format!("after action {number}: {what}\nlog:\n{}", log.join("\n"))
}
