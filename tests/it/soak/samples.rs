//! Looks at the daemon and its ledger again and again, and writes down what it sees: one row of CSV a look. Holds
//! one promise all along: the ledger never has more responses than have been written.
#![cfg(test)]

use super::scene::Scene;
use super::settings::Settings;
use crate::remote::Stack;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

const HEADER: &str = "milliseconds,daemon,process,rss_kb,rss_anon_kb,threads,descriptors,cpu_ticks,ledger_bytes,\
     responses,truth,is_quiet";

/// What a process takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) rss_kb: u64,
    pub(super) anonymous_kb: u64,
    pub(super) threads: u64,
    pub(super) descriptors: u64,
    /// User and system together, in hundredths of a second.
    pub(super) cpu_ticks: u64,
}

impl Taken {
    /// Of a process; none where it is gone.
    pub(super) fn of(process: u32) -> Option<Self> {
        let folder = Path::new("/proc").join(process.to_string());
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // Behind the name, which may hold anything: state is the first of what follows, utime the 12th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            // A process that has ended and is waited for has no memory any more.
            rss_kb: field("VmRSS:")?,
            anonymous_kb: field("RssAnon:")?,
            threads: field("Threads:")?,
            descriptors: u64::try_from(fs::read_dir(folder.join("fd")).ok()?.count()).ok()?,
            cpu_ticks: ticks(11)? + ticks(12)?,
        })
    }
}

pub(super) struct Sampler<'a> {
    scene: &'a Scene,
    interval: Duration,
    file: File,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(scene: &'a Scene, settings: &Settings) -> Self {
        let mut file = File::create(settings.file("csv")).expect("a file can be made");
        writeln!(file, "{HEADER}").expect("a file can be written");
        Self { scene, interval: settings.interval(), file }
    }

    pub(super) fn sample(&mut self) {
        while !self.scene.is_over() {
            self.look();
            Stack::get().stay().expect("the stack is told that it is in use");
            self.scene.pause(self.interval);
        }
    }

    fn look(&mut self) {
        let scene = self.scene;
        let (number, process) = (scene.daemons.load(Ordering::SeqCst), scene.daemon.load(Ordering::SeqCst));
        let responses = scene.sandbox.responses();
        let truth = scene.truth().messages();
        assert!(responses <= truth, "the ledger has {responses} responses, {truth} are written");
        let Some(taken) = Taken::of(process) else { return };
        let Taken { rss_kb, anonymous_kb, threads, descriptors, cpu_ticks } = taken;
        let size = |name: &str| fs::metadata(scene.sandbox.state().join(name)).map_or(0, |file| file.len());
        let ledger = size("ledger.sqlite") + size("ledger.sqlite-wal");
        let milliseconds = scene.begun.elapsed().as_millis();
        writeln!(
            self.file,
            "{milliseconds},{number},{process},{rss_kb},{anonymous_kb},{threads},{descriptors},{cpu_ticks},{ledger},\
             {responses},{truth},{}",
            u8::from(scene.is_quiet())
        )
        .expect("a file can be written");
    }
}
