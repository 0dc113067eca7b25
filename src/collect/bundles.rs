//! What readers hand to the writer, several files at once.

use super::plan::Job;
use super::reading::{End, Piece};
use crate::tail::{Flow, TailError};
use std::sync::mpsc::SyncSender;

/// Statements and files that a reader gathers before it hands them on: waking the writer for each file of a few
/// lines takes longer than taking it in.
const BUNDLE_WEIGHT: usize = 512;
/// What a file weighs beside its statements.
const FILE_WEIGHT: usize = 8;

/// What a reader tells the writer.
pub(super) enum Delivery {
    Piece(Box<Piece>),
    Done(Box<Job>, Result<End, TailError>),
}

/// What a reader has gathered for the writer.
pub(super) struct Bundles {
    sender: SyncSender<Vec<Delivery>>,
    bundle: Vec<Delivery>,
    weight: usize,
}

impl Bundles {
    pub(super) fn new(sender: SyncSender<Vec<Delivery>>) -> Self {
        Self { sender, bundle: Vec::new(), weight: 0 }
    }

    /// Break: the writer wants no more.
    pub(super) fn add(&mut self, delivery: Delivery) -> Flow {
        self.weight += match &delivery {
            Delivery::Piece(piece) => piece.update.seen.lines(),
            Delivery::Done(..) => FILE_WEIGHT,
        };
        self.bundle.push(delivery);
        if self.weight < BUNDLE_WEIGHT { Flow::Continue(()) } else { self.send() }
    }

    pub(super) fn send(&mut self) -> Flow {
        self.weight = 0;
        match self.sender.send(std::mem::take(&mut self.bundle)) {
            Ok(()) => Flow::Continue(()),
            Err(_) => Flow::Break(()),
        }
    }
}
