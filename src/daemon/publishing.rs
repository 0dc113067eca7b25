//! The thread that publishes, beside the one that collects.
//!
//! Owns: its life: started when the first pass is done, woken when something was counted, given new
//! settings at SIGHUP, ended last, when nothing is collected any more. Neither thread waits for the other:
//! a network that is away never holds up counting. Fails only where the system refuses a thread.

use super::DaemonError;
use crate::publish::{Order, Publisher};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Publishing under way.
#[derive(Debug)]
pub(super) struct Publishing {
    orders: UnboundedSender<Order>,
    thread: JoinHandle<Publisher>,
}

impl Publishing {
    /// Starts a publisher, which has the ledger that is in place now, on a thread of its own.
    pub(super) fn start(publisher: Publisher) -> Result<Self, DaemonError> {
        let what = "the thread that publishes";
        let runtime = super::runtime(what)?;
        let (orders, received) = unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("publish".to_owned())
            .spawn(move || {
                let publisher = runtime.block_on(publisher.run(received));
                // A name that is still being looked up holds up no exit.
                runtime.shutdown_background();
                publisher
            })
            .map_err(|source| DaemonError::SetUp { what, source })?;
        Ok(Self { orders, thread })
    }

    /// Tells it something. One that has ended hears nothing, and its end has been told of.
    pub(super) fn tell(&self, order: Order) {
        drop(self.orders.send(order));
    }

    /// Has it stop where it is, and gives it back: the ledger is made anew.
    pub(super) fn pause(self) -> Result<Publisher, DaemonError> {
        self.tell(Order::Pause);
        self.thread.join().map_err(|_| DaemonError::WorkerGone)
    }

    /// Has it send what waits, within its time, and waits for its end.
    pub(super) fn end(self) -> Result<(), DaemonError> {
        self.tell(Order::Stop);
        self.thread.join().map(drop).map_err(|_| DaemonError::WorkerGone)
    }
}
