//! What can happen: to session logs, to the machine, to tallyd. Values only; stories are lists of them,
//! drawn at random and shrunk by leaving out and by making small.

use proptest::prelude::*;
use proptest::sample::select;

/// A session log, by its place. Few, so that what happens to one meets what happens to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Log {
    A,
    B,
    /// In another project than A and B.
    C,
    D,
    /// Of a sub-agent of A's session.
    E,
}

impl Log {
    pub(super) const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// Below the folder of logs.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::A => "-one/a.jsonl",
            Self::B => "-one/b.jsonl",
            Self::C => "-two/c.jsonl",
            Self::D => "-two/d.jsonl",
            Self::E => "-one/a/subagents/e.jsonl",
        }
    }

    /// The session that the client writes into its lines.
    pub(super) fn session(self) -> &'static str {
        match self {
            Self::A | Self::E => "a",
            Self::B => "b",
            Self::C => "c",
            Self::D => "d",
        }
    }
}

/// What one line says. Few messages, outputs and times, so that lines compete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Says {
    pub(super) message: u8,
    pub(super) output: u8,
    /// Tells apart the other counters: replays carry others.
    pub(super) rest: u8,
    /// Steps around a midnight.
    pub(super) step: i8,
    pub(super) model: u8,
    pub(super) stopped: bool,
    pub(super) side_chain: bool,
    /// Bytes of text: fingerprints cover one line, some, or a part of one.
    pub(super) text: u16,
}

/// Which lines of a log are written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    First,
    Middle,
    Last,
    All,
}

/// How long the new line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Same,
    Shorter,
    Longer,
    /// The line is left out.
    None,
}

/// How a log gets another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Same inode.
    InPlace,
    /// Written beside it and renamed over it.
    Rename,
    /// Deleted and made again, with the same inode number where the file system gives it out again.
    Again,
}

/// What happens to logs.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Append(Log, Says),
    /// Two records without the line end between them.
    Glued(Log, Says, Says),
    /// A part of a line, in thousandths of it; what is appended next is glued to it.
    Torn(Log, Says, u16),
    /// The rest of the torn line, if nothing came between.
    Completed(Log),
    /// What a crash of the machine leaves behind a line: so many NUL bytes.
    Padded(Log, u8),
    /// More lines than one read or one piece takes.
    Many(Log, Says),
    Renamed(Log, Log),
    /// Renamed, and a new log under the old name.
    Rotated(Log, Log, Says),
    /// Its history copied behind what is in the other, under the other's session; marked as newer
    /// clients do.
    Forked {
        from: Log,
        to: Log,
        marked: bool,
    },
    /// Byte for byte over the other, perhaps with its time.
    Copied {
        from: Log,
        to: Log,
        with_time: bool,
    },
    /// To so many thousandths of its size, perhaps to the next line end before: 0 empties it.
    Truncated {
        log: Log,
        keep: u16,
        at_line: bool,
    },
    Rewritten(Log, Part, Length, Way, Says),
    Deleted(Log),
    FolderDeleted(Log),
    HardLinked {
        from: Log,
        to: Log,
    },
    SymLinked {
        from: Log,
        to: Log,
    },
    /// It cannot be read for a while: a folder stands in its place.
    Hidden(Log),
    /// Everything that is hidden is back.
    Shown,
    /// Times of files written from now on are decades before or behind.
    Clock(Era),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Past,
    Present,
    Future,
}

/// A step of a story.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Logs(Happening),
    /// Everything that there is is taken in.
    Pass,
    /// The pass is ended after so many pieces.
    PassStopped(u8),
    /// Something happens between the walk and the reading, or behind the first piece.
    PassRaced {
        early: bool,
        what: Happening,
    },
    /// The process ends in order and starts anew.
    Restart,
    /// The process is killed, inside of a pass or after it: files are as it left them.
    Killed {
        inside: bool,
    },
    /// The machine is: of the write-ahead log, so many thousandths reached the disk.
    PowerCut(u16),
    /// No row can be written to a table until it is freed.
    Full(&'static str),
    Freed,
}

fn log() -> impl Strategy<Value = Log> {
    // Where a log is met more often than another, more can happen to what happened to it.
    select(&[Log::A, Log::A, Log::A, Log::B, Log::C, Log::C, Log::D, Log::E][..])
}

fn says() -> impl Strategy<Value = Says> {
    let text = select(&[0_u16, 0, 90, 500, 1_400, 1_400][..]);
    (0_u8..8, 0_u8..5, 0_u8..3, -2_i8..3, 0_u8..3, any::<bool>(), prop::bool::weighted(0.2), text).prop_map(
        |(message, output, rest, step, model, stopped, side_chain, text)| Says {
            message,
            output,
            rest,
            step,
            model,
            stopped,
            side_chain,
            text,
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    select(&[Part::First, Part::Middle, Part::Middle, Part::Last, Part::All][..])
}

fn length() -> impl Strategy<Value = Length> {
    select(&[Length::Same, Length::Shorter, Length::Longer, Length::None][..])
}

fn way() -> impl Strategy<Value = Way> {
    select(&[Way::InPlace, Way::InPlace, Way::Rename, Way::Again][..])
}

fn growth() -> impl Strategy<Value = Happening> {
    prop_oneof![
        60 => (log(), says()).prop_map(|(log, says)| Happening::Append(log, says)),
        4 => (log(), says(), says()).prop_map(|(log, one, other)| Happening::Glued(log, one, other)),
        12 => (log(), says(), 0_u16..=1000).prop_map(|(log, says, cut)| Happening::Torn(log, says, cut)),
        8 => log().prop_map(Happening::Completed),
        4 => (log(), 1_u8..60).prop_map(|(log, bytes)| Happening::Padded(log, bytes)),
        1 => (log(), says()).prop_map(|(log, says)| Happening::Many(log, says)),
    ]
}

fn upheaval() -> impl Strategy<Value = Happening> {
    prop_oneof![
        7 => (log(), log()).prop_map(|(from, to)| Happening::Renamed(from, to)),
        3 => (log(), log(), says()).prop_map(|(from, to, says)| Happening::Rotated(from, to, says)),
        4 => (log(), log(), any::<bool>())
            .prop_map(|(from, to, marked)| Happening::Forked { from, to, marked }),
        3 => (log(), log(), any::<bool>())
            .prop_map(|(from, to, with_time)| Happening::Copied { from, to, with_time }),
        9 => (log(), prop_oneof![1 => Just(0), 3 => 0_u16..1000], any::<bool>())
            .prop_map(|(log, keep, at_line)| Happening::Truncated { log, keep, at_line }),
        14 => (log(), part(), length(), way(), says()).prop_map(|(log, part, length, way, says)| {
            Happening::Rewritten(log, part, length, way, says)
        }),
        3 => log().prop_map(Happening::Deleted),
        1 => log().prop_map(Happening::FolderDeleted),
        4 => (log(), log()).prop_map(|(from, to)| Happening::HardLinked { from, to }),
        4 => (log(), log()).prop_map(|(from, to)| Happening::SymLinked { from, to }),
        2 => log().prop_map(Happening::Hidden),
        3 => Just(Happening::Shown),
        1 => select(&[Era::Past, Era::Present, Era::Future][..]).prop_map(Happening::Clock),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![1 => growth(), 1 => upheaval()]
}

/// What means something only together, on one log.
fn sequel() -> impl Strategy<Value = Vec<Action>> {
    let between =
        prop_oneof![2 => Just(None), 1 => Just(Some(Action::Pass)), 1 => Just(Some(Action::Restart))];
    let torn = (log(), says(), 0_u16..=1000, between).prop_map(|(log, says, cut, between)| {
        let first = Action::Logs(Happening::Torn(log, says, cut));
        [Some(first), between, Some(Action::Logs(Happening::Completed(log)))].into_iter().flatten().collect()
    });
    let changed = (log(), part(), length(), way(), says(), prop::option::of(says()));
    let changed = changed.prop_map(|(log, part, length, way, says, more)| {
        let first = Some(Action::Logs(Happening::Rewritten(log, part, length, way, says)));
        let more = more.map(|says| Action::Logs(Happening::Append(log, says)));
        [first, more, Some(Action::Pass)].into_iter().flatten().collect()
    });
    // Only a log of more than one piece is still being read behind the first one.
    let while_read = (log(), says(), part(), length(), says()).prop_map(|(log, says, part, length, new)| {
        let what = Happening::Rewritten(log, part, length, Way::InPlace, new);
        let raced = Action::PassRaced { early: false, what };
        vec![Action::Logs(Happening::Many(log, says)), raced, Action::Pass]
    });
    let hidden = log().prop_map(|log| {
        let [hidden, shown] = [Happening::Hidden(log), Happening::Shown].map(Action::Logs);
        vec![hidden, Action::Pass, shown]
    });
    let torn_often = (log(), prop::collection::vec((says(), 0_u16..=1000), 2..4), says());
    let torn_often = torn_often.prop_map(|(log, torn, says)| {
        let torn = torn.into_iter().map(|(says, cut)| Happening::Torn(log, says, cut));
        torn.chain([Happening::Append(log, says)]).map(Action::Logs).collect()
    });
    prop_oneof![8 => torn, 16 => changed, 4 => torn_often, 2 => hidden, 1 => while_read]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        60 => happening().prop_map(Action::Logs),
        22 => Just(Action::Pass),
        3 => (1_u8..4).prop_map(Action::PassStopped),
        4 => (any::<bool>(), happening()).prop_map(|(early, what)| Action::PassRaced { early, what }),
        3 => Just(Action::Restart),
        2 => any::<bool>().prop_map(|inside| Action::Killed { inside }),
        2 => (0_u16..=1000).prop_map(Action::PowerCut),
        2 => select(&["file", "response", "cell", "sighting"][..]).prop_map(Action::Full),
        8 => Just(Action::Freed),
    ]
}

/// Stories of a few to many steps: some logs, and then what happens to them.
pub(super) fn story() -> impl Strategy<Value = Vec<Action>> {
    let first = (select(&[Log::A, Log::A, Log::C, Log::C, Log::E][..]), says());
    let first = first.prop_map(|(log, says)| vec![Action::Logs(Happening::Append(log, says))]);
    let then = prop_oneof![5 => action().prop_map(|action| vec![action]), 1 => sequel()];
    (prop::collection::vec(first, 0..8), prop::collection::vec(then, 5..30))
        .prop_map(|(first, then)| first.into_iter().chain(then).flatten().collect())
}
