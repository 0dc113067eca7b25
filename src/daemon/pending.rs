//! Hints that wait for the worker.

use super::worker::Work;
use crate::watch::Hint;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// More files or folders than this, and a walk finds them sooner than one by one.
const MANY: usize = 4096;

/// What is to be looked at next.
#[derive(Debug, Default)]
pub(super) struct Pending {
    everything: bool,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Pending {
    /// Adds a hint. What a walk of everything finds anyway is not kept: a burst while the worker is at a
    /// long pass takes no memory.
    pub(super) fn add(&mut self, hint: Hint) {
        match hint {
            Hint::Everything => self.everything = true,
            Hint::Folder(folder) if !self.everything => drop(self.folders.insert(folder)),
            Hint::File(file) if !self.everything => drop(self.files.insert(file)),
            Hint::Folder(_) | Hint::File(_) => {}
        }
        if self.everything || self.files.len().max(self.folders.len()) > MANY {
            *self = Self { everything: true, ..Self::default() };
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
        let kinds: [fn(PathBuf) -> Hint; 2] = [Hint::File, Hint::Folder];
        for kind in kinds {
            (0..2 * MANY).for_each(|number| pending.add(kind(number.to_string().into())));
            assert_eq!((pending.folders.len(), pending.files.len()), (0, 0), "a walk finds them");
            assert_eq!(pending.take(), Some(Work::Everything));
        }
    }
}
