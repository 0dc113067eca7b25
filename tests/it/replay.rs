//! A writer that makes log files grow the way clients do: several at a time, in pieces, in folders
//! that come into being on the way.
#![cfg(test)]

use crate::logs::Tree;
use crate::random::Random;
use crate::truth::Truth;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How many files grow at the same time.
const OPEN_FILES: usize = 6;

/// How a file's bytes are cut into writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// One line a write.
    Lines,
    /// Anywhere: one byte up to this many.
    Torn(u64),
}

struct Stream {
    name: PathBuf,
    bytes: Vec<u8>,
    written: usize,
    file: Option<File>,
}

impl Stream {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }
}

/// Writes files piece by piece; drop it and the files stay as far as they got.
pub(crate) struct Replay {
    projects: PathBuf,
    streams: Vec<Stream>,
    random: Random,
}

impl Replay {
    pub(crate) fn new(projects: &Path, files: BTreeMap<PathBuf, Vec<u8>>, random: Random) -> Self {
        let stream = |(name, bytes)| Stream { name, bytes, written: 0, file: None };
        Self { projects: projects.to_owned(), streams: files.into_iter().map(stream).collect(), random }
    }

    /// Writes one piece of one of the files that grow at present; false when all is written.
    pub(crate) fn write_piece(&mut self, cut: Cut) -> bool {
        let growing = self.streams.iter().enumerate().filter(|(_, stream)| !stream.rest().is_empty());
        let growing: Vec<usize> = growing.map(|(index, _)| index).take(OPEN_FILES).collect();
        if growing.is_empty() {
            return false;
        }
        let stream = &mut self.streams[*self.random.pick(&growing)];
        let length = match cut {
            Cut::Lines => stream.rest().iter().position(|byte| *byte == b'\n').map(|end| end + 1),
            Cut::Torn(most) => usize::try_from(self.random.range(1, most)).ok(),
        };
        let length = length.unwrap_or(usize::MAX).min(stream.rest().len());
        append(stream, &self.projects, length);
        true
    }

    /// Writes about this many bytes.
    pub(crate) fn write_bytes(&mut self, bytes: usize, cut: Cut) {
        let goal = self.written() + bytes;
        while self.written() < goal && self.write_piece(cut) {}
    }

    pub(crate) fn written(&self) -> usize {
        self.streams.iter().map(|stream| stream.written).sum()
    }

    pub(crate) fn size(&self) -> usize {
        self.streams.iter().map(|stream| stream.bytes.len()).sum()
    }

    /// Responses of the tree in the lines that have been written whole.
    pub(crate) fn responses(&self, tree: &Tree) -> u64 {
        let mut rest: BTreeMap<&Path, usize> = BTreeMap::new();
        rest.extend(self.streams.iter().map(|stream| (stream.name.as_path(), stream.written)));
        let mut truth = Truth::default();
        for line in &tree.lines {
            let rest = rest.get_mut(line.file.as_path()).expect("every file of the tree is written");
            if *rest > line.text.len() {
                truth.hear(&line.says);
            }
            *rest = rest.saturating_sub(line.text.len() + 1);
        }
        truth.messages()
    }
}

fn append(stream: &mut Stream, projects: &Path, length: usize) {
    let piece = stream.bytes[stream.written..stream.written + length].to_vec();
    let file = stream.file.get_or_insert_with(|| open(&projects.join(&stream.name)));
    file.write_all(&piece).expect("a log can be written");
    stream.written += length;
    if stream.written == stream.bytes.len() {
        stream.file = None;
    }
}

fn open(path: &Path) -> File {
    fs::create_dir_all(path.parent().expect("has a folder")).expect("a folder can be made");
    OpenOptions::new().create(true).append(true).open(path).expect("a log can be opened")
}

#[test]
fn all_pieces_make_the_files() {
    let tree = Tree::generate(5, 8);
    for cut in [Cut::Lines, Cut::Torn(700)] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut replay = Replay::new(folder.path(), tree.files(), Random::new(1));
        assert_eq!(replay.responses(&tree), 0);
        let mut last = 0;
        while replay.write_piece(cut) {
            assert!(replay.responses(&tree) >= last);
            last = replay.responses(&tree);
        }
        assert_eq!(last, tree.truth().messages());
        for (name, bytes) in tree.files() {
            assert!(fs::read(folder.path().join(&name)).expect("was written") == bytes, "{}", name.display());
        }
    }
}
