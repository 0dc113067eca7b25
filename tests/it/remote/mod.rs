//! The remote side for tests: PostgreSQL and PostgREST as they are, and a gateway in front of them that
//! does as Supabase's does and fails as a test asks. Starts them where none run. Fails, and never skips,
//! where they cannot be had: `scripts/test` installs them.
//!
//! ```ignore
//! let stack = Stack::get();
//! let user = stack.contract().new_user();              // cheapest isolation: a user nobody else has
//! let gateway = Gateway::start(&stack.contract());
//! gateway.plan(faults::in_turn([Fault::LoseAnswer]));
//! // … run tallyd with SUPABASE_URL=gateway.url(), SUPABASE_SECRET_KEY=stack.secret_key(), USER_ID=user …
//! assert_eq!(stack.contract().count("token_usage_sessions", &user), 1);
//! ```
#![cfg(test)]

mod answers;
mod chaos;
mod contract;
mod damaged;
mod deployed;
pub(crate) mod exact;
mod failing;
pub(crate) mod faults;
mod gate;
pub(crate) mod gateway;
pub(crate) mod http;
mod isolation;
pub(crate) mod keys;
mod model;
mod published;
mod publisher;
mod rebuilt;
mod restored;
mod stack;
mod telling;

pub(crate) use stack::{Database, Stack, Template};
