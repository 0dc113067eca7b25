//! What is to be done, one thing after the other: said, then done.
//!
//! Owns writing and removing the service's file. A file is replaced as a whole, and a link that stands in its place is
//! replaced, not followed. Fails with the first step that does, and does no further one.

use super::child::Children;
use crate::cli::errors::ServiceError;
use crate::cli::output;
use std::path::{Path, PathBuf};

/// One thing to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is to be done here: why.
    Say(String),
    /// This file is to hold this text.
    Write { path: PathBuf, text: String },
    /// This file is to go.
    Remove(PathBuf),
    /// This program is to be run, and to end well.
    Run(Vec<String>),
    /// This program is to be run, however it ends and whatever it says.
    Try(Vec<String>),
}

/// Takes the steps, or with `is_dry` says what they would be.
pub(super) fn take(steps: &[Step], children: &Children, is_dry: bool) -> anyhow::Result<()> {
    if is_dry {
        output::print("Nothing is done; without --dry-run this would be:\n")?;
    }
    for step in steps {
        output::print_lines(&told(step, is_dry))?;
        if !is_dry {
            do_it(step, children)?;
        }
    }
    Ok(())
}

/// A step as it is told, with the text of a file where that is not to be looked at afterwards.
fn told(step: &Step, is_dry: bool) -> String {
    match step {
        Step::Say(text) => format!("{text}\n"),
        Step::Write { path, text } if is_dry => {
            let text: String = text.lines().flat_map(|line| ["          ", line, "\n"]).collect();
            format!("writes    {}\n{text}", path.display())
        }
        Step::Write { path, .. } => format!("writes    {}\n", path.display()),
        Step::Remove(path) => format!("removes   {}\n", path.display()),
        Step::Run(line) | Step::Try(line) => format!("runs      {}\n", line.join(" ")),
    }
}

fn do_it(step: &Step, children: &Children) -> Result<(), ServiceError> {
    match step {
        Step::Say(_) => Ok(()),
        Step::Write { path, text } => write(path, text),
        Step::Remove(path) => std::fs::remove_file(path).map_err(|source| ServiceError::File {
            path: path.clone(),
            done: "removed",
            source,
        }),
        Step::Run(line) => {
            let status = children.run(line)?;
            let refused = || ServiceError::Refused { line: line.join(" "), status };
            status.success().then_some(()).ok_or_else(refused)
        }
        Step::Try(line) => children.ask(line).map(drop),
    }
}

/// Writes a file beside its place and moves it there.
fn write(path: &Path, text: &str) -> Result<(), ServiceError> {
    let failed = |source| ServiceError::File { path: path.to_owned(), done: "written", source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // The service manager reads files that end in `.service` or `.plist`.
    let new = path.with_extension("new");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
}

/// What stands in the place of a file that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Written here before, with this text.
    Ours(String),
    /// Something else: a link, too.
    Theirs,
}

/// Looks at a file, which is ours where one of its first lines holds the mark.
pub(super) fn look(path: &Path, mark: &str) -> Result<Found, ServiceError> {
    let failed = |source| ServiceError::File { path: path.to_owned(), done: "read", source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(failed(error)),
        Ok(metadata) if !metadata.is_file() => Ok(Found::Theirs),
        Ok(_) => {
            let bytes = std::fs::read(path).map_err(failed)?;
            let text = String::from_utf8(bytes).unwrap_or_default();
            let is_ours = text.lines().take(3).any(|line| line.contains(mark));
            Ok(if is_ours { Found::Ours(text) } else { Found::Theirs })
        }
    }
}

/// What is to be done so that a file holds this text: whether it has changed, and the step. Refuses to replace
/// what another wrote, unless told to.
pub(super) fn putting(
    path: &Path,
    mark: &str,
    text: String,
    is_forced: bool,
) -> Result<(bool, Step), ServiceError> {
    let found = look(path, mark)?;
    if found == Found::Theirs && !is_forced {
        let help = "look at it; --force replaces it";
        return Err(ServiceError::NotOurs { path: path.to_owned(), help });
    }
    if matches!(&found, Found::Ours(now) if *now == text) {
        return Ok((false, Step::Say(format!("is there  {}", path.display()))));
    }
    Ok((found != Found::Nothing, Step::Write { path: path.to_owned(), text }))
}

/// Whether a file is there to be removed. Refuses to remove what another wrote.
pub(super) fn removable(path: &Path, mark: &str) -> Result<bool, ServiceError> {
    match look(path, mark)? {
        Found::Nothing => Ok(false),
        Found::Ours(_) => Ok(true),
        Found::Theirs => {
            Err(ServiceError::NotOurs { path: path.to_owned(), help: "remove it by hand, if it is to go" })
        }
    }
}
