//! The one integration binary: black-box tests on the built `tallyd`, one module a subject. None looks into the
//! program but `tidy`, which reads the sources, `fuzz_corpus`, which runs inputs through its pure parts, and
//! `model`, which drives the library, and `bill`, `incomplete` and `kill`, which read the ledger by it.

#[cfg(test)]
mod adversity;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod bill;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod corpora;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod deploy;
mod entrypoint;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod health;
mod hostile;
mod incomplete;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod known_bill;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod model;
#[cfg(test)]
mod otel;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod process;
#[cfg(test)]
mod publish_commands;
#[cfg(test)]
mod publish_reload;
#[cfg(test)]
mod publish_settings;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod replay;
mod service;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
mod torn;
#[cfg(test)]
mod truth;
#[cfg(test)]
mod vanishing;
