//! A future to its end, for commands that end by themselves.

use super::DaemonError;
use std::future::Future;

/// Runs one future on a runtime of its own, on this thread. Signals do what they usually do.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, DaemonError> {
    let runtime = super::runtime("the runtime")?;
    let output = runtime.block_on(future);
    // Names are looked up on threads of the runtime that nothing can interrupt: a dead resolver would hold
    // up the end of the command.
    runtime.shutdown_background();
    Ok(output)
}
