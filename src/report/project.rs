//! Projects: which one a session belongs to, how a user may name it, and how a table names it.
//!
//! Owns: the rule that the working folder a session was started in names its project, and the log
//! folder where that is unknown. Refuses: looking at the file system. Fails where a name matches nothing.

use super::ReportError;
use super::text::clean;
use crate::domain::{SessionInfo, SessionKey};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Stands for a project of which nothing is known.
const UNKNOWN: &str = "(unknown)";

/// How many known projects an error lists.
const LISTED: usize = 20;

/// A session as reports show it: every text made harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Claude Code's id.
    pub(super) id: Arc<str>,
    /// The whole path of the working folder, or what stands for it.
    pub(super) project: Arc<str>,
    /// The log folder.
    pub(super) folder: Arc<str>,
}

/// All sessions, found by the ledger's number.
#[derive(Debug, Default)]
pub(super) struct Directory {
    sessions: FxHashMap<SessionKey, Session>,
}

impl Directory {
    /// The directory of these sessions.
    pub(super) fn new(sessions: &[SessionInfo]) -> Self {
        Self { sessions: sessions.iter().map(|info| (info.key, Session::new(info))).collect() }
    }

    /// A session; one that the ledger does not describe goes by its number.
    pub(super) fn session(&self, key: SessionKey) -> Session {
        self.sessions.get(&key).cloned().unwrap_or_else(|| Session::unknown(key))
    }

    /// The project of a session.
    pub(super) fn project(&self, key: SessionKey) -> Arc<str> {
        self.sessions.get(&key).map_or_else(|| UNKNOWN.into(), |session| Arc::clone(&session.project))
    }

    /// The sessions of the project that a user names.
    ///
    /// # Errors
    /// [`ReportError::UnknownProject`], with the projects there are, when no session matches.
    pub(super) fn of_project(&self, name: &str) -> Result<FxHashSet<SessionKey>, ReportError> {
        let matching = self.sessions.iter().filter(|(_, session)| session.is_of(name));
        let keys: FxHashSet<SessionKey> = matching.map(|(key, _)| *key).collect();
        if keys.is_empty() {
            return Err(ReportError::UnknownProject { name: name.to_owned(), known: self.known_projects() });
        }
        Ok(keys)
    }

    /// The session that a user names by its id or the beginning of it.
    ///
    /// # Errors
    /// [`ReportError::UnknownSession`] or [`ReportError::AmbiguousSession`] with the id.
    pub(super) fn of_id(&self, id: &str) -> Result<SessionKey, ReportError> {
        let exact = self.sessions.iter().find(|(_, session)| &*session.id == id);
        if let Some((key, _)) = exact {
            return Ok(*key);
        }
        let matching =
            self.sessions.iter().filter(|(_, session)| !id.is_empty() && session.id.starts_with(id));
        let found: BTreeMap<&str, SessionKey> = matching.map(|(key, session)| (&*session.id, *key)).collect();
        match found.first_key_value() {
            None => Err(ReportError::UnknownSession { id: id.to_owned() }),
            Some((_, key)) if found.len() == 1 => Ok(*key),
            Some(_) => {
                Err(ReportError::AmbiguousSession { id: id.to_owned(), matches: listed(found.into_keys()) })
            }
        }
    }

    fn known_projects(&self) -> String {
        let projects: BTreeSet<&str> = self.sessions.values().map(|session| &*session.project).collect();
        if projects.is_empty() {
            return "no project is known yet".to_owned();
        }
        format!("known are {}", listed(projects.into_iter()))
    }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let list = names.take(LISTED).collect::<Vec<_>>().join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

impl Session {
    fn new(info: &SessionInfo) -> Self {
        let folder = clean(&info.folder);
        let cwd = info.cwd.as_deref().map(clean).filter(|path| !path.is_empty());
        let project = match cwd {
            Some(path) => path,
            None if folder.is_empty() => UNKNOWN.to_owned(),
            None => folder.clone(),
        };
        Self { id: clean(&info.id).into(), project: project.into(), folder: folder.into() }
    }

    fn unknown(key: SessionKey) -> Self {
        Self { id: format!("session {}", key.0).into(), project: UNKNOWN.into(), folder: "".into() }
    }

    fn is_of(&self, name: &str) -> bool {
        let path = trimmed(&self.project);
        let last = path.rsplit(is_separator).next();
        *name == *self.project || trimmed(name) == path || *name == *self.folder || last == Some(name)
    }
}

/// A path without a separator at its end; the root stays what it is.
fn trimmed(path: &str) -> &str {
    let short = path.trim_end_matches(is_separator);
    if short.is_empty() { path } else { short }
}

/// Windows clients log paths with backslashes.
fn is_separator(next: char) -> bool {
    next == '/' || next == '\\'
}

/// Projects by their last two path components, or more where two projects end alike.
pub(super) fn short_projects<'a>(
    projects: impl IntoIterator<Item = &'a Arc<str>>,
) -> BTreeMap<Arc<str>, String> {
    let projects: BTreeSet<&Arc<str>> = projects.into_iter().collect();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for project in &projects {
        for ending in endings(project) {
            *taken.entry(ending).or_default() += 1;
        }
    }
    let shortest = |project: &str| {
        let unique = endings(project).into_iter().find(|ending| taken.get(ending) == Some(&1));
        unique.unwrap_or_else(|| project.to_owned())
    };
    projects.into_iter().map(|project| (Arc::clone(project), shortest(project))).collect()
}

/// The endings of a path from two components up to the whole.
fn endings(path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split(is_separator).filter(|part| !part.is_empty()).collect();
    let ending = |count: usize| parts.iter().skip(parts.len() - count).copied().collect::<Vec<_>>().join("/");
    let mut all: Vec<String> = (2..parts.len()).map(ending).collect();
    all.push(path.to_owned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(key: i64, id: &str, cwd: Option<&str>, folder: &str) -> SessionInfo {
        SessionInfo { key: SessionKey(key), id: id.into(), cwd: cwd.map(Into::into), folder: folder.into() }
    }

    fn directory() -> Directory {
        Directory::new(&[
            info(1, "aaaa-1", Some("/home/ann/work/api"), "-home-ann-work-api"),
            info(2, "aaaa-2", Some("/home/ann/play/api/"), "-home-ann-play-api"),
            info(3, "bbbb-1", None, "-srv-old"),
            info(4, "cccc-1", Some("C:\\code\\shop"), "C--code-shop"),
        ])
    }

    #[test]
    fn a_project_is_named_by_path_last_component_or_log_folder() {
        let directory = directory();
        for (name, expected) in [
            ("/home/ann/work/api", vec![1]),
            ("/home/ann/work/api/", vec![1]),
            ("api", vec![1, 2]),
            ("-home-ann-play-api", vec![2]),
            ("-srv-old", vec![3]),
            ("shop", vec![4]),
        ] {
            let mut keys: Vec<i64> =
                directory.of_project(name).expect(name).iter().map(|key| key.0).collect();
            keys.sort_unstable();
            assert_eq!(keys, expected, "{name}");
        }
    }

    #[test]
    fn an_unknown_project_lists_the_known_ones() {
        let error = directory().of_project("ap").expect_err("no such project").to_string();
        let expected = "no project is named `ap`; known are -srv-old, /home/ann/play/api/, /home/ann/work/api, C:\\code\\shop";
        assert_eq!(error, expected);
        let none = Directory::new(&[]).of_project("x").expect_err("no projects").to_string();
        assert_eq!(none, "no project is named `x`; no project is known yet");
    }

    #[test]
    fn a_session_is_named_by_its_id_or_the_beginning_of_it() {
        let directory = directory();
        assert_eq!(directory.of_id("aaaa-1"), Ok(SessionKey(1)));
        assert_eq!(directory.of_id("bb"), Ok(SessionKey(3)));
        let ambiguous = ReportError::AmbiguousSession { id: "aaaa".into(), matches: "aaaa-1, aaaa-2".into() };
        assert_eq!(directory.of_id("aaaa"), Err(ambiguous));
        for id in ["zz", ""] {
            assert_eq!(directory.of_id(id), Err(ReportError::UnknownSession { id: id.into() }));
        }
    }

    #[test]
    fn tables_show_the_end_of_a_path_as_long_as_needed() {
        let paths =
            ["/home/ann/work/api", "/home/bob/work/api", "/srv/shop", "/srv", "-srv-old", "/a/work/web"];
        let projects: Vec<Arc<str>> = paths.into_iter().map(Arc::from).collect();
        let short = short_projects(&projects);
        let shown: Vec<&str> = projects.iter().map(|project| short[project].as_str()).collect();
        assert_eq!(shown, ["ann/work/api", "bob/work/api", "/srv/shop", "/srv", "-srv-old", "work/web"]);
    }
}
