//! Hints that wait for the worker.

use super::worker::Work;
use crate::watch::Hint;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// More files than this, and a walk finds them sooner than one by one.
const MANY_FILES: usize = 4096;

/// What is to be looked at next.
#[derive(Debug, Default)]
pub(super) struct Pending {
    everything: bool,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Pending {
    /// Adds a hint.
    pub(super) fn add(&mut self, hint: Hint) {
        match hint {
            Hint::Everything => self.everything = true,
            Hint::Folder(folder) => drop(self.folders.insert(folder)),
            Hint::File(file) => drop(self.files.insert(file)),
        }
        if self.files.len() > MANY_FILES {
            self.everything = true;
        }
    }

    /// The work that the hints make, if any; nothing is pending afterwards.
    pub(super) fn take(&mut self) -> Option<Work> {
        let Self { everything, folders, files } = std::mem::take(self);
        if everything {
            Some(Work::Everything)
        } else if folders.is_empty() && files.is_empty() {
            None
        } else {
            Some(Work::Paths { folders: folders.into_iter().collect(), files: files.into_iter().collect() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_becomes_one_piece_of_work() {
        let mut pending = Pending::default();
        assert_eq!(pending.take(), None);
        for name in ["b", "a", "b"] {
            pending.add(Hint::File(name.into()));
        }
        pending.add(Hint::Folder("f".into()));
        let (folders, files) = (vec!["f".into()], vec!["a".into(), "b".into()]);
        assert_eq!(pending.take(), Some(Work::Paths { folders, files }));
        assert_eq!(pending.take(), None);
    }

    #[test]
    fn everything_covers_the_rest() {
        let mut pending = Pending::default();
        pending.add(Hint::File("a".into()));
        pending.add(Hint::Everything);
        assert_eq!(pending.take(), Some(Work::Everything));
        (0..=MANY_FILES).for_each(|number| pending.add(Hint::File(number.to_string().into())));
        assert_eq!(pending.take(), Some(Work::Everything));
    }
}
