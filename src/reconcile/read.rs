//! A text that was given, to what it is: printed totals or an export.
//!
//! Owns: telling them apart by what is in them, never by a file's name. Fails with [`ReadError`] for a text that is
//! neither.

use super::theirs::NotUnderstood;
use super::{Reading, export, printed};
use std::collections::{BTreeMap, BTreeSet};

/// Why a text cannot be compared with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is neither JSON with a total nor an export.
    #[error("{name} has neither a total of the client's nor the columns of a Console export{}", first(.why.as_ref()))]
    Neither {
        /// The file.
        name: String,
        /// The first thing that was not understood, if anything.
        why: Option<NotUnderstood>,
    },
    /// Its first line has a day, and nothing to compare.
    #[error("{name} is no export of usage or cost: its columns are {found}")]
    Columns {
        /// The file.
        name: String,
        /// The columns.
        found: String,
    },
    /// It cannot be read as CSV.
    #[error("{name} cannot be read as CSV: {what}")]
    Csv {
        /// The file.
        name: String,
        /// Why.
        what: String,
    },
}

fn first(why: Option<&NotUnderstood>) -> String {
    why.map_or_else(String::new, |why| format!(" ({}: {})", why.place, why.what))
}

/// Texts that were read and are not yet statements: what a printed total means depends on the session's client.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    printed: Vec<printed::Printed>,
    not_understood: Vec<NotUnderstood>,
    exports: Option<Reading>,
}

/// Reads a text into what was read before. `name` is the file's, for messages.
///
/// # Errors
/// [`ReadError`], with the name.
pub fn read(texts: &mut Texts, text: &str, name: &str) -> Result<(), ReadError> {
    if export::is_export(text) {
        let reading = export::reading(text, name)?;
        match &mut texts.exports {
            Some(exports) => exports.merge(reading),
            None => texts.exports = Some(reading),
        }
        return Ok(());
    }
    let (printed, not_understood) = printed::find(text, name);
    if printed.is_empty() {
        return Err(ReadError::Neither { name: name.to_owned(), why: not_understood.into_iter().next() });
    }
    texts.printed.extend(printed);
    texts.not_understood.extend(not_understood);
    Ok(())
}

impl Texts {
    /// The sessions that printed totals are of.
    pub fn sessions(&self) -> BTreeSet<String> {
        printed::sessions(&self.printed)
    }

    /// What the texts say. `clients` has the versions that wrote a session's lines.
    pub fn readings(self, clients: &BTreeMap<String, Vec<String>>) -> Vec<Reading> {
        let mut readings = Vec::new();
        if !self.printed.is_empty() {
            let mut reading = printed::reading(self.printed, clients);
            reading.not_understood.extend(self.not_understood);
            readings.push(reading);
        }
        readings.extend(self.exports);
        readings
    }
}
