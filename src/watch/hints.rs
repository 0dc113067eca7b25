//! File events as hints.

use super::WatchError;
use super::walk::is_session_log;
use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Something may have changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Look at this file.
    File(PathBuf),
    /// Walk this folder: it is new, moved or gone.
    Folder(PathBuf),
    /// Walk everything: the system dropped events.
    Everything,
}

/// Watches folders.
pub struct Watcher {
    inner: Option<RecommendedWatcher>,
    /// Watched folders with device and inode: a folder that was removed and made again is another one.
    watched: HashMap<PathBuf, (u64, u64)>,
    pub(super) lost: Arc<Mutex<Lost>>,
    sink: Arc<dyn Fn(Hint) + Send + Sync>,
    force_polling: bool,
    /// What the system refuses since it was last asked for everything.
    refused: Refused,
    /// A refusal has been told of, and there has been one ever since.
    told: bool,
}

/// How much the system refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    Nothing,
    /// Some folder.
    Folder,
    /// Any further folder: it has no more watches to give.
    More,
}

/// Watches that may have gone with their folder. A folder that is made in its place can have its inode as
/// well: only the event tells them apart. notify lets go of everything below a removed path when it comes
/// to the event, also of what was made there and watched since: the folders below are lost as well.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Events were dropped.
    all: bool,
    folders: HashSet<PathBuf>,
}

impl Lost {
    /// Takes note of what an event says.
    pub(super) fn note(&mut self, event: &Event) {
        self.all |= event.need_rescan();
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            self.folders.extend(event.paths.iter().filter(|path| !is_session_log(path)).cloned());
        }
    }

    /// True where the watch of this folder may be gone.
    fn holds(&self, folder: &Path) -> bool {
        self.all || (!self.folders.is_empty() && folder.ancestors().any(|above| self.folders.contains(above)))
    }
}

impl Watcher {
    /// Makes a watcher that hands hints to `sink`, which must return at once. Where the system gives no
    /// events, or `force_polling` is set, it watches nothing.
    pub fn new(force_polling: bool, sink: impl Fn(Hint) + Send + Sync + 'static) -> Self {
        let sink: Arc<dyn Fn(Hint) + Send + Sync> = Arc::new(sink);
        let lost = Arc::default();
        // What the system says where it gives none is told when it is asked again.
        let inner = if force_polling { None } else { source_of_events(&lost, &sink).ok() };
        Self {
            inner,
            watched: HashMap::new(),
            lost,
            sink,
            force_polling,
            refused: Refused::Nothing,
            told: false,
        }
    }

    /// Asks the system anew for what it refused before: limits can be raised. To be called before everything
    /// is walked, and before anything is watched. The first refusal is returned; from then on the watcher is
    /// incomplete, and says no more until it has been complete again.
    pub fn ask(&mut self) -> Result<(), WatchError> {
        let is_answered = match &self.inner {
            Some(_) => Ok(()),
            None if self.force_polling => return Ok(()),
            None => source_of_events(&self.lost, &self.sink).map(|inner| self.inner = Some(inner)),
        };
        self.told &= !self.is_complete();
        self.refused = Refused::Nothing;
        is_answered.or_else(|source| self.tell_once(WatchError::NoEvents { source }))
    }

    /// A refusal, where it is the first.
    fn tell_once(&mut self, refusal: WatchError) -> Result<(), WatchError> {
        if std::mem::replace(&mut self.told, true) { Ok(()) } else { Err(refusal) }
    }

    /// True while every folder is watched; else the caller has to poll.
    pub fn is_complete(&self) -> bool {
        self.inner.is_some() && self.refused == Refused::Nothing
    }

    /// True where the system refuses something.
    pub fn is_refused(&self) -> bool {
        !self.force_polling && !self.is_complete()
    }

    /// How many folders are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Watches a folder, unless it is watched already. A refusal is returned as by [`Watcher::ask`].
    pub fn watch(&mut self, folder: &Path, metadata: &Metadata) -> Result<(), WatchError> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        let identity = (metadata.dev(), metadata.ino());
        match self.watched.get(folder) {
            Some(known) if *known == identity => return Ok(()),
            // The old folder's watch went with it; what notify remembers of the path must go as well.
            Some(_) => drop(inner.unwatch(folder)),
            None if self.refused == Refused::More => return Ok(()),
            None => {}
        }
        match inner.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder.to_owned(), identity);
                Ok(())
            }
            Err(source) => {
                self.watched.remove(folder);
                if is_gone(&source) {
                    // It may be made again before it is listed, and then nobody would tell of what is
                    // written to it: it has to be walked once more.
                    (self.sink)(Hint::Folder(folder.to_owned()));
                    return Ok(());
                }
                let is_limit = matches!(source.kind, notify::ErrorKind::MaxFilesWatch);
                self.refused = self.refused.max(if is_limit { Refused::More } else { Refused::Folder });
                self.tell_once(WatchError::Watch { path: folder.to_owned(), source })
            }
        }
    }

    /// Stops watching folders that are gone, that are others now or whose watch may be lost. To be called
    /// before new folders are watched: a moved folder keeps its watch, which goes by the old name until
    /// then. Returns them, for the caller to look at: an event that was not read yet goes with its watch,
    /// so that nobody else may tell of the end of a folder that was found missing here.
    #[must_use = "what became of these folders may be told by no event"]
    pub fn forget_missing(&mut self) -> Vec<PathBuf> {
        let mut forgotten = Vec::new();
        let Some(inner) = &mut self.inner else { return forgotten };
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        self.watched.retain(|folder, identity| {
            let stays = !lost.holds(folder)
                && std::fs::metadata(folder).is_ok_and(|now| (now.dev(), now.ino()) == *identity);
            if !stays {
                drop(inner.unwatch(folder));
                forgotten.push(folder.clone());
            }
            stays
        });
        forgotten
    }

    /// Stops watching one folder.
    pub fn unwatch(&mut self, folder: &Path) {
        if let Some(inner) = &mut self.inner
            && self.watched.remove(folder).is_some()
        {
            drop(inner.unwatch(folder));
        }
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher")
            .field("watched", &self.watched.len())
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

/// The system's file events, as hints for the sink.
fn source_of_events(
    lost: &Arc<Mutex<Lost>>,
    sink: &Arc<dyn Fn(Hint) + Send + Sync>,
) -> notify::Result<RecommendedWatcher> {
    let (lost, sink) = (Arc::clone(lost), Arc::clone(sink));
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Noted before it is handed on: who acts on the hint asks which watches are lost.
        let Ok(event) = event else {
            lost.lock().unwrap_or_else(PoisonError::into_inner).all = true;
            return sink(Hint::Everything);
        };
        lost.lock().unwrap_or_else(PoisonError::into_inner).note(&event);
        hints(&event).for_each(|hint| sink(hint));
    })
}

/// True where the system refused to watch a folder because it is not there (any more). notify asks for a
/// folder's metadata after it has watched it, and has another error where it went in between.
pub(super) fn is_gone(refusal: &notify::Error) -> bool {
    match &refusal.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(source) => {
            matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}

/// The hints in one event.
pub(super) fn hints(event: &Event) -> impl Iterator<Item = Hint> + '_ {
    let everything = event.need_rescan().then_some(Hint::Everything);
    everything.into_iter().chain(event.paths.iter().filter_map(|path| hint(event.kind, path)))
}

fn hint(kind: EventKind, path: &Path) -> Option<Hint> {
    let file = || is_session_log(path).then(|| Hint::File(path.to_owned()));
    let folder = || Some(Hint::Folder(path.to_owned()));
    match kind {
        EventKind::Create(CreateKind::Folder)
        | EventKind::Remove(RemoveKind::Folder)
        | EventKind::Any
        | EventKind::Other => folder(),
        // Moved here or away: what it is has to be looked at; what is gone may have been a folder.
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Create(_) | EventKind::Remove(_) => {
            if is_session_log(path) && !path.is_dir() {
                file()
            } else {
                changed_folder(path)
            }
        }
        EventKind::Modify(_) => file(),
        EventKind::Access(_) => None,
    }
}

/// A hint for a path that is a folder or, being gone, may have been one.
fn changed_folder(path: &Path) -> Option<Hint> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => None,
        _ => Some(Hint::Folder(path.to_owned())),
    }
}
