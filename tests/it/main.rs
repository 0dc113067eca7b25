//! The integration tests: one binary, one module a subject.

mod follow;
mod kill;
mod lifecycle;
mod logs;
mod process;
mod random;
mod replay;
mod tidy;
mod truth;
mod vanishing;
