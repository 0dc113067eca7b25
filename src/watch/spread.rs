//! Walking by several threads, for a pass that watches nothing.
//!
//! Most of a walk is the kernel's work, and most of a report over many logs with nothing new is the walk. Owns: who
//! lists which folder; what is listed and what comes of it is `walk`'s. A thread that cannot be had is done without.

use super::walk::{FoundFile, Tree, Walk, list};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Fewer folders that wait are listed sooner than threads are started.
const MANY_FOLDERS: usize = 32;
/// More threads than this only wait for each other in the kernel.
const MAX_THREADS: usize = 4;
/// Logs that are handed over together.
const BUNDLE: usize = 128;
/// Bundles that may wait to be looked at: bounds the memory.
const WAITING_BUNDLES: usize = 16;

/// Walks everything below `start` as [`super::walk_each`] does, and hands each session log to `visit`, in no order,
/// which may end the walk there.
pub fn walk_spread(start: &Path, visit: &mut dyn FnMut(FoundFile) -> ControlFlow<()>) -> Tree {
    let mut walk = Walk::new(start);
    if !walk.go_on(|waiting| waiting < MANY_FOLDERS, &mut |_, _| {}, visit) {
        return walk.tree;
    }
    let made_up = walk.made_up.clone();
    let state = Mutex::new(State { walk, listing: 0, is_over: false });
    let shared = Shared { state, changed: Condvar::new(), made_up };
    let started = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING_BUNDLES);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let start = |_: &usize| {
            let (sender, shared) = (sender.clone(), &shared);
            std::thread::Builder::new().spawn_scoped(scope, move || shared.list_all(sender)).is_ok()
        };
        let started = (0..threads).filter(start).count();
        drop(sender);
        let _ = receiver.into_iter().flatten().try_for_each(&mut *visit);
        shared.end();
        started
    });
    let mut walk = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner).walk;
    if started == 0 {
        walk.go_on(|_| true, &mut |_, _| {}, visit);
    }
    walk.tree
}

struct State {
    walk: Walk,
    /// How many folders are being listed: as long as there are any, more may come.
    listing: usize,
    is_over: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    made_up: Vec<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody wants any more.
    fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Lists one folder after the other until there are no more, or nobody wants any.
    fn list_all(&self, sender: SyncSender<Vec<FoundFile>>) {
        let mut bundle = Bundle { sender, logs: Vec::new() };
        let mut state = self.lock();
        while !state.is_over {
            let Some(folder) = state.walk.next() else {
                if state.listing == 0 {
                    break;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.listing += 1;
            drop(state);
            let (listing, flow) = list(&folder.path, &self.made_up, &mut |log| bundle.add(log));
            state = self.lock();
            state.listing -= 1;
            state.is_over |= flow.is_break();
            state.walk.take(listing);
            self.changed.notify_all();
        }
        drop(state);
        let _ = bundle.send();
    }
}

/// Logs on their way to whoever looks at them.
struct Bundle {
    sender: SyncSender<Vec<FoundFile>>,
    logs: Vec<FoundFile>,
}

impl Bundle {
    /// Break: nobody wants any more.
    fn add(&mut self, log: FoundFile) -> ControlFlow<()> {
        self.logs.push(log);
        if self.logs.len() < BUNDLE { ControlFlow::Continue(()) } else { self.send() }
    }

    fn send(&mut self) -> ControlFlow<()> {
        match self.sender.send(std::mem::take(&mut self.logs)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
