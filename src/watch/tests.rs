//! Walking real folders, and events as hints.

use super::hints::{hints, is_gone};
use super::walk::is_session_log;
use super::*;
use notify::event::{
    AccessKind, CreateKind, DataChange, Event, EventKind, Flag, MetadataKind, ModifyKind, RemoveKind,
    RenameMode,
};
use pretty_assertions::assert_eq;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::Receiver;
use tempfile::TempDir;

/// A folder with these files in it.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    folder
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}

fn found(root: &Path) -> Vec<String> {
    walk(root, &mut |_, _| {}).files.iter().map(|file| below(root, &file.path)).collect()
}

#[test]
fn session_logs_are_found_at_any_depth_in_order_and_nothing_else() {
    let deep = "-b/s/subagents/workflows/wf_1/agent-1.jsonl";
    let root = folder(&[
        deep,
        "-b/s/subagents/agent-2.jsonl",
        "-a/s.jsonl",
        "top.jsonl",
        "-a/.hidden.jsonl",
        "-a/s.json",
        "-a/s.jsonl.bak",
        "-a/jsonl",
        "-a/s/subagents/journal.jsonl",
        "-b/s/subagents/workflows/wf_1/journal.jsonl",
        "-b/journal.jsonl",
        "-a/s/tool-results/result.txt",
    ]);
    let expected = [
        "-a/.hidden.jsonl",
        "-a/s.jsonl",
        "-b/journal.jsonl",
        "-b/s/subagents/agent-2.jsonl",
        deep,
        "top.jsonl",
    ];
    assert_eq!(found(root.path()), expected);
}

#[test]
fn a_folder_is_entered_before_it_is_listed_and_counted() {
    let root = folder(&["a/b/s.jsonl"]);
    let mut entered = Vec::new();
    let tree = walk(root.path(), &mut |path, metadata| {
        assert!(metadata.is_dir());
        entered.push(below(root.path(), path));
        // What is made while a folder is entered is in the listing.
        fs::write(path.join(format!("{}.jsonl", entered.len())), "").unwrap();
    });
    assert_eq!(entered, ["", "a", "a/b"]);
    assert_eq!((tree.folders, tree.problems.len()), (3, 0));
    let found: Vec<_> = tree.files.iter().map(|file| below(root.path(), &file.path)).collect();
    assert_eq!(found, ["1.jsonl", "a/2.jsonl", "a/b/3.jsonl", "a/b/s.jsonl"]);
}

#[test]
fn links_are_followed_and_loops_end() {
    let elsewhere = folder(&["other/linked.jsonl", "file"]);
    let root = folder(&["a/s.jsonl"]);
    symlink(root.path(), root.path().join("a/loop")).unwrap();
    symlink(root.path().join("a"), root.path().join("a/itself")).unwrap();
    symlink(elsewhere.path().join("other"), root.path().join("way-1")).unwrap();
    symlink(elsewhere.path().join("other"), root.path().join("way-2")).unwrap();
    symlink(elsewhere.path().join("file"), root.path().join("a/link.jsonl")).unwrap();
    symlink(elsewhere.path().join("nothing"), root.path().join("a/dangling.jsonl")).unwrap();
    symlink(root.path().join("round"), root.path().join("round")).unwrap();
    let tree = walk(root.path(), &mut |_, _| {});
    let mut found: Vec<_> = tree.files.iter().map(|file| below(root.path(), &file.path)).collect();
    let way = found.pop().unwrap();
    assert!(["way-1/linked.jsonl", "way-2/linked.jsonl"].contains(&way.as_str()), "{way}");
    assert_eq!(found, ["a/link.jsonl", "a/s.jsonl"]);
    assert_eq!((tree.folders, tree.problems.len()), (3, 0));
    let link = tree.files.iter().find(|file| file.path.ends_with("link.jsonl")).unwrap();
    assert_eq!(link.metadata.len(), 4, "what is known of a link is known of the file it leads to");
}

#[test]
fn several_threads_find_what_one_does() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..400 {
        let folder = root.path().join(format!("{}/{}/{number}", number % 3, number % 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("s.jsonl"), "").unwrap();
        if number % 40 == 0 {
            symlink(root.path(), folder.join("loop")).unwrap();
            symlink("/dev/null", folder.join("device.jsonl")).unwrap();
        }
    }
    let expected = walk(root.path(), &mut |_, _| {});
    assert_eq!(expected.files.len(), 400);
    let mut found = Vec::new();
    let tree = walk_spread(root.path(), &mut |file| {
        found.push(file.path);
        ControlFlow::Continue(())
    });
    found.sort_unstable();
    assert_eq!(found, expected.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
    assert_eq!((tree.folders, tree.has_links), (expected.folders, expected.has_links));
    assert_eq!((tree.problems.len(), expected.problems.len()), (10, 10));
    // Whoever has enough is handed no more.
    let mut left = 100;
    walk_spread(root.path(), &mut |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(left, 0);
}

#[test]
fn what_is_no_folder_has_nothing_in_it() {
    let root = folder(&["file"]);
    for start in ["missing", "file"] {
        let tree = walk(&root.path().join(start), &mut |_, _| panic!("{start} was entered"));
        assert_eq!((tree.files.len(), tree.folders, tree.problems.len()), (0, 0, 0), "{start}");
    }
}

#[test]
fn a_folder_named_like_a_log_is_a_folder() {
    let root = folder(&["a.jsonl/b.jsonl"]);
    assert_eq!(found(root.path()), ["a.jsonl/b.jsonl"]);
}

#[test]
fn logs_are_known_by_their_names() {
    let cases = [
        ("a.jsonl", true),
        ("a.b.jsonl", true),
        ("journal.jsonl", true),
        ("subagents/journal.jsonl", false),
        ("subagents/wf/journal.jsonl", false),
        ("subagents/journal.jsonl/a.jsonl", true),
        ("a.JSONL", false),
        (".jsonl", false),
        ("a.jsonl/", true),
        ("", false),
    ];
    for (path, expected) in cases {
        assert_eq!(is_session_log(Path::new(path)), expected, "{path:?}");
    }
}

/// The hints in an event of one kind for one path.
fn hints_for(kind: EventKind, path: &Path) -> Vec<Hint> {
    hints(&Event::new(kind).add_path(path.to_owned())).collect()
}

#[test]
fn an_event_becomes_a_hint_where_to_look() {
    let root = folder(&["s.jsonl", "note.txt", "sub/x"]);
    let [log, note, sub, gone, gone_log, named_like_a_log] =
        ["s.jsonl", "note.txt", "sub", "gone", "gone.jsonl", "d.jsonl"].map(|name| root.path().join(name));
    fs::create_dir(&named_like_a_log).unwrap();
    let file = |path: &Path| vec![Hint::File(path.to_owned())];
    let walk = |path: &Path| vec![Hint::Folder(path.to_owned())];
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Any));
    let made = EventKind::Create(CreateKind::File);
    let removed = EventKind::Remove(RemoveKind::File);
    let cases = [
        (written, &log, file(&log)),
        (written, &note, vec![]),
        (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), &log, file(&log)),
        (made, &log, file(&log)),
        (made, &note, vec![]),
        (EventKind::Create(CreateKind::Any), &sub, walk(&sub)),
        (EventKind::Create(CreateKind::Folder), &sub, walk(&sub)),
        (made, &named_like_a_log, walk(&named_like_a_log)),
        (removed, &gone_log, file(&gone_log)),
        (removed, &gone, walk(&gone)),
        (EventKind::Remove(RemoveKind::Folder), &gone, walk(&gone)),
        (renamed, &log, file(&log)),
        (renamed, &gone_log, file(&gone_log)),
        (renamed, &sub, walk(&sub)),
        (renamed, &gone, walk(&gone)),
        (renamed, &note, vec![]),
        (EventKind::Any, &sub, walk(&sub)),
        (EventKind::Other, &sub, walk(&sub)),
        (EventKind::Access(AccessKind::Any), &log, vec![]),
    ];
    for (kind, path, expected) in cases {
        assert_eq!(hints_for(kind, path), expected, "{kind:?} {}", below(root.path(), path));
    }
}

#[test]
fn an_event_may_have_many_paths_or_say_that_events_were_lost() {
    let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
    let event = Event::new(renamed).add_path("/x/a.jsonl".into()).add_path("/x/b.jsonl".into());
    let paths = ["/x/a.jsonl", "/x/b.jsonl"].map(|path| Hint::File(path.into()));
    assert_eq!(hints(&event).collect::<Vec<_>>(), paths);
    let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    assert_eq!(hints(&lost).collect::<Vec<_>>(), [Hint::Everything]);
}

#[test]
fn polling_watches_nothing_and_says_so() {
    let root = folder(&["a/s.jsonl"]);
    let mut watcher = Watcher::new(true, |_| {});
    let metadata = fs::metadata(root.path()).unwrap();
    watcher.watch(root.path(), &metadata).unwrap();
    assert!(watcher.forget_missing().is_empty());
    watcher.unwatch(root.path());
    watcher.ask().expect("polling that was asked for is no refusal");
    assert_eq!((watcher.is_complete(), watcher.is_refused(), watcher.watched()), (false, false, 0));
}

/// Writes a log of a name that no event had before. Events of an end of its folder may still come in, and take
/// the new watch with them; each brings the folder's hint as well.
fn check_that_a_new_log_is_told_of(watcher: &mut Watcher, hints: &Receiver<Hint>, log: &Path) {
    let folder = log.parent().unwrap();
    fs::write(log, "new").unwrap();
    let told = hints.iter().any(|hint| match hint {
        Hint::Folder(path) if path == folder => {
            let _ = watcher.forget_missing();
            let tree = walk(folder, &mut |path, metadata| watcher.watch(path, metadata).unwrap());
            tree.files.iter().any(|file| file.path == log)
        }
        hint => hint == Hint::File(log.to_owned()),
    });
    assert!(told, "hints ended without the file");
}

#[test]
fn folders_are_watched_until_they_are_gone() {
    let root = folder(&["a/s.jsonl", "b/s.jsonl"]);
    let (sender, hints) = std::sync::mpsc::channel();
    let mut watcher = Watcher::new(false, move |hint| drop(sender.send(hint)));
    for _ in 0..2 {
        walk(root.path(), &mut |path, metadata| watcher.watch(path, metadata).unwrap());
        assert_eq!((watcher.watched(), watcher.is_complete()), (3, true));
    }
    let log = root.path().join("a/s.jsonl");
    fs::write(&log, "more").unwrap();
    assert!(hints.iter().any(|hint| hint == Hint::File(log.clone())), "hints ended without the file");
    fs::remove_dir_all(root.path().join("b")).unwrap();
    assert_eq!(watcher.forget_missing(), [root.path().join("b")]);
    assert_eq!(watcher.watched(), 2);
    // Made again under the same name, it is another folder: it can be watched and is.
    fs::create_dir(root.path().join("b")).unwrap();
    let again = root.path().join("b");
    watcher.watch(&again, &fs::metadata(&again).unwrap()).unwrap();
    check_that_a_new_log_is_told_of(&mut watcher, &hints, &again.join("new.jsonl"));
    watcher.unwatch(&again);
    assert_eq!((watcher.watched(), watcher.is_complete()), (2, true));
}

#[test]
fn a_folder_that_was_removed_and_made_again_at_once_is_watched_anew() {
    let root = folder(&["b/s.jsonl"]);
    let (sender, hints) = std::sync::mpsc::channel();
    let mut watcher = Watcher::new(false, move |hint| drop(sender.send(hint)));
    walk(root.path(), &mut |path, metadata| watcher.watch(path, metadata).unwrap());
    let again = root.path().join("b");
    for round in 0..3 {
        // The new folder may well have the inode of the old one.
        fs::remove_dir_all(&again).unwrap();
        fs::create_dir(&again).unwrap();
        // A hint may be one of the round before, and know nothing of this end.
        let forgotten = hints.iter().any(|hint| {
            hint == Hint::Folder(again.clone()) && watcher.forget_missing() == std::slice::from_ref(&again)
        });
        assert!(forgotten, "round {round}: hints ended without the end of the folder");
        assert_eq!(watcher.watched(), 1, "round {round}: the watch went with the old folder");
        walk(&again, &mut |path, metadata| watcher.watch(path, metadata).unwrap());
        check_that_a_new_log_is_told_of(&mut watcher, &hints, &again.join(format!("{round}.jsonl")));
    }
}

#[test]
fn dropped_events_may_have_been_the_end_of_any_watch() {
    let root = folder(&["a/s.jsonl"]);
    let mut watcher = Watcher::new(false, |_| {});
    walk(root.path(), &mut |path, metadata| watcher.watch(path, metadata).unwrap());
    assert!(watcher.forget_missing().is_empty());
    assert_eq!(watcher.watched(), 2);
    watcher.lost.lock().unwrap().note(&Event::new(EventKind::Other).set_flag(Flag::Rescan));
    assert_eq!(watcher.forget_missing().len(), 2);
    assert_eq!(watcher.watched(), 0);
}

#[test]
fn the_end_of_a_folder_may_have_been_the_end_of_the_watches_below_it() {
    let root = folder(&["a/b/s.jsonl", "ab/s.jsonl"]);
    let mut watcher = Watcher::new(false, |_| {});
    walk(root.path(), &mut |path, metadata| watcher.watch(path, metadata).unwrap());
    assert_eq!(watcher.watched(), 4);
    let removed = Event::new(EventKind::Remove(RemoveKind::Folder)).add_path(root.path().join("a"));
    watcher.lost.lock().unwrap().note(&removed);
    let mut forgotten = watcher.forget_missing();
    forgotten.sort();
    assert_eq!(forgotten, [root.path().join("a"), root.path().join("a/b")]);
    assert_eq!(watcher.watched(), 2, "the root and ab stay");
}

#[test]
fn a_folder_that_is_gone_before_it_is_watched_is_no_trouble_and_looked_at_again() {
    let root = folder(&["a/s.jsonl"]);
    let (sender, hints) = std::sync::mpsc::channel();
    let mut watcher = Watcher::new(false, move |hint| sender.send(hint).unwrap());
    let metadata = fs::metadata(root.path()).unwrap();
    let gone = root.path().join("gone");
    watcher.watch(&gone, &metadata).unwrap();
    assert_eq!((watcher.watched(), watcher.is_complete()), (0, true));
    assert_eq!(hints.try_recv(), Ok(Hint::Folder(gone)));
}

#[test]
fn a_folder_that_goes_while_it_is_watched_is_gone_and_any_other_refusal_is_one() {
    let io = |kind| notify::Error::io(std::io::Error::from(kind));
    let gone = [
        notify::Error::path_not_found(),
        io(std::io::ErrorKind::NotFound),
        io(std::io::ErrorKind::NotADirectory),
    ];
    assert!(gone.iter().all(is_gone), "{gone:?}");
    let refused =
        [io(std::io::ErrorKind::PermissionDenied), notify::Error::new(notify::ErrorKind::MaxFilesWatch)];
    assert!(!refused.iter().any(is_gone), "{refused:?}");
}

#[test]
fn what_waits_or_never_ends_is_told_of_and_not_read() {
    let root = folder(&["-p/s.jsonl"]);
    let project = root.path().join("-p");
    let _socket = std::os::unix::net::UnixListener::bind(project.join("socket.jsonl")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(project.join("pipe.jsonl")).status().unwrap();
    assert!(made.success());
    symlink("/dev/zero", project.join("zero.jsonl")).unwrap();
    let mut expected = vec!["pipe.jsonl", "socket.jsonl", "zero.jsonl"];
    if cfg!(target_os = "linux") {
        symlink("/proc/self/status", project.join("proc.jsonl")).unwrap();
        symlink("/proc/self", project.join("processes")).unwrap();
        expected.insert(1, "proc.jsonl");
    }
    let tree = walk(root.path(), &mut |folder, _| {
        assert!(!folder.ends_with("processes"), "{}", folder.display());
    });
    assert_eq!(
        tree.files.iter().map(|file| below(root.path(), &file.path)).collect::<Vec<_>>(),
        ["-p/s.jsonl"]
    );
    let mut told: Vec<_> = tree
        .problems
        .iter()
        .map(|problem| match problem {
            WatchError::NoLog { path } => below(&project, path),
            other => panic!("{other}"),
        })
        .collect();
    told.sort_unstable();
    assert_eq!(told, expected);
    for name in expected {
        assert!(matches!(log_at(&project.join(name)), Err(WatchError::NoLog { .. })), "{name}");
    }
    assert!(log_at(&project.join("s.jsonl")).unwrap().is_some());
    assert!([project.join("missing.jsonl"), project].iter().all(|path| log_at(path).unwrap().is_none()));
}
