//! Sending what the ledger holds to a Supabase project, and comparing the two.
//!
//! Owns: the wire, the HTTP client and the decision what an answer means. The ledger stays the only state:
//! what is unpublished is a query over it, an acknowledgement is a row in it, and everything here can be
//! killed at any moment. Refuses to drop anything, to follow redirects, to speak without TLS to another
//! machine, and to send one user's usage as another's. Fails by saying so: collecting never waits for it.

mod answer;
mod backoff;
mod fault;
#[doc(hidden)]
pub mod given;
mod obstacle;
mod options;
mod pace;
mod pass;
mod remote;
mod restore;
mod url;
mod verify;
mod voice;
mod wire;
mod worker;

pub use answer::{CONTRACT, CheckAnswer, ItemAnswer, Refusal, UNLOGGED_CONTRACT};
pub use fault::Fault;
pub use obstacle::Obstacle;
pub use options::{KeyChoice, KeyProblem, PublishOptions};
pub use remote::{PublishError, Remote};
pub use restore::Restored;
pub use url::{UrlProblem, project_url};
pub use verify::Verified;
pub use wire::rows::Stored;
pub use wire::{Body, digest};
pub use worker::{Drained, OnDamage, Order, Publisher, Reloaded};
