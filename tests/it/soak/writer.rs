//! One client: writes sessions line by line into logs of its own, whole or in torn pieces, crashes in the middle of a
//! line, and now and then does to its logs what people and clients do. Says before each line what it says.
#![cfg(test)]

use super::damage::Log;
use super::scene::Scene;
use crate::logs::{Line, Tree};
use crate::random::Random;
use crate::truth::{MODELS, UNPRICED};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Sessions that a client writes at the same time.
const SESSIONS: usize = 3;

pub(super) struct Writer<'a> {
    pub(super) scene: &'a Scene,
    pub(super) random: Random,
    /// Begins the names of its projects, which no other client touches.
    mark: String,
    /// How many times as fast as people it is.
    haste: u64,
    sessions: Vec<VecDeque<Line>>,
    /// Where the generator's files are.
    places: BTreeMap<PathBuf, PathBuf>,
    /// All that are there.
    pub(super) logs: Vec<Log>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(scene: &'a Scene, number: u64, random: Random, haste: u64) -> Self {
        let (mark, sessions) = (format!("-client{number}"), vec![VecDeque::new(); SESSIONS]);
        Self { scene, random, mark, haste, sessions, places: BTreeMap::new(), logs: Vec::new() }
    }

    /// Writes until the soak is over.
    pub(super) fn write(&mut self) {
        while !self.scene.is_over() {
            if self.scene.is_quiet() {
                self.scene.pause(Duration::from_millis(50));
                continue;
            }
            self.line();
            if self.random.chance(4) {
                self.damage();
            }
            let millis = match self.random.range(1, 100) {
                1..=60 => self.random.range(0, 30),
                61..=95 => self.random.range(30, 500),
                _ => self.random.range(500, 4_000),
            };
            self.scene.pause(Duration::from_micros(millis * 1_000 / self.haste));
        }
        for log in &mut self.logs {
            log.end_line();
        }
    }

    fn line(&mut self) {
        let number = self.random.index(SESSIONS);
        let Some(line) = self.sessions[number].pop_front() else {
            self.sessions[number] = self.new_session();
            return;
        };
        let log = self.log(&line.file);
        // A client that has died in the middle of a line: its next one stands right behind, or NUL bytes that the
        // file system has left. What holds other records whole would count all the same.
        let may_crash = line.says.len() <= 1 && !line.text.contains("agent_progress");
        if may_crash && self.random.chance(2) {
            self.scene.count("lines: cut off by a crash");
            self.logs[log].crash(&mut self.random, &line.text);
            return;
        }
        self.scene.hear(&line.says);
        self.scene.count("lines");
        let is_torn = self.random.chance(30);
        let pieces = if is_torn { self.random.range(2, 5) } else { 1 };
        self.scene.add("lines: in torn pieces", u64::from(is_torn));
        self.logs[log].append(self.scene, &mut self.random, &line.text, pieces);
    }

    /// Lines of a new session, some of them by a model without a price.
    pub(super) fn new_session(&mut self) -> VecDeque<Line> {
        let mut lines = Tree::generate(self.random.next(), 1).lines;
        if self.random.chance(10) {
            lines.iter_mut().for_each(unprice);
        }
        // Most go on in a log that is there, as a resumed session does.
        if let Some(first) = lines.first().filter(|_| self.random.chance(60)) {
            let main: Vec<PathBuf> = self.logs.iter().map(|log| log.path.clone()).collect();
            if !main.is_empty() {
                self.places.insert(first.file.clone(), self.random.pick(&main).clone());
            }
        }
        self.scene.count("sessions");
        lines.into()
    }

    /// The log that stands for a file of the generator.
    fn log(&mut self, file: &Path) -> usize {
        let (mark, projects) = (&self.mark, self.scene.sandbox.projects());
        let path = self.places.entry(file.to_owned());
        let path = path.or_insert_with(|| projects.join(format!("{mark}{}", file.display()))).clone();
        self.logs.iter().position(|log| log.path == path).unwrap_or_else(|| {
            self.logs.push(Log::new(path));
            self.scene.count("logs");
            self.logs.len() - 1
        })
    }

    /// A log has another name now.
    pub(super) fn moved(&mut self, from: &Path, to: &Path) {
        self.places.values_mut().filter(|place| *place == from).for_each(|place| to.clone_into(place));
    }

    /// A folder below `projects` that only this client uses.
    pub(super) fn project(&mut self) -> PathBuf {
        let name = format!("{}-moved-{}", self.mark, self.random.range(1, 3));
        self.scene.sandbox.projects().join(name)
    }
}

/// The same said by the model that no table knows.
fn unprice(line: &mut Line) {
    for said in &mut line.says {
        line.text = line.text.replace(MODELS[said.model].name, MODELS[UNPRICED].name);
        said.model = UNPRICED;
    }
}
