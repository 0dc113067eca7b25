//! Replies whose final output count is in no log: why it is not there, how long they took, and what output they most
//! likely had.
//!
//! Owns: the reasons, and the rule of the estimate. Refuses to mix: an estimate is a number of its own, which nobody
//! adds to what was counted. Never fails; where the input of an estimate is lacking there is none.
//! docs/incomplete.md has the measurements.

use super::{Response, ResponseLine, UnixMillis};

/// The last client that writes lines before the output is counted and corrects none of them (measured on 25 versions
/// from 1.0.128 to 2.1.330; the client's own change log has the change in 2.1.97).
const PLACEHOLDERS_UNTIL: [u32; 3] = [2, 1, 96];

/// Output tokens in a thousand seconds from the line before a reply to its last line: least squares through the origin
/// over the 1,499 replies of published logs whose count is known (`scripts/measure-incomplete`). A constant beside it,
/// or another rate for the seconds before the first block, makes the sum no better and needs more to be known.
const TOKENS_IN_1000_SECONDS: u64 = 57_500;

/// A reply takes no longer for the estimate, in milliseconds: behind a longer pause was somebody who slept.
const LONGEST_MS: u64 = 120_000;

/// Why the final output count of a reply is in no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Incompleteness {
    /// A client up to 2.1.96: lines carry the count of the stream's start. Whole replies look the same as cut ones.
    Placeholder,
    /// The user stopped it (`isAbortedMidStream`).
    Aborted,
    /// Cut off by an error of the API or a lost connection: there is a stop reason, but no mark of a whole reply.
    Error,
    /// None of these: still being written, interrupted without a mark, or by a client that names no version.
    Unknown,
}

impl Incompleteness {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Placeholder, Self::Aborted, Self::Error, Self::Unknown];

    /// A short stable name: a key of JSON, the label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Aborted => "aborted",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// The reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Placeholder => {
                "written by a client up to 2.1.96, which logs the count of the stream's start"
            }
            Self::Aborted => "stopped by the user",
            Self::Error => "cut off by an error or a lost connection",
            Self::Unknown => "cut off for an unknown reason, or still being written",
        }
    }

    /// The reason, by the version of the client, whether a line says that the user stopped it, and whether the line
    /// that counts has a stop reason.
    pub fn of(version: Option<&str>, is_aborted: bool, is_stopped: bool) -> Self {
        match version.and_then(client_version) {
            Some(version) if version <= PLACEHOLDERS_UNTIL => Self::Placeholder,
            _ if is_aborted => Self::Aborted,
            Some(_) if is_stopped => Self::Error,
            _ => Self::Unknown,
        }
    }
}

/// A version such as "2.1.330" or "2.1.330-beta" as numbers.
pub fn client_version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.split(['.', '-']).map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// From when to when a reply was written, as far as its lines tell; nothing of one whose count is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplySpan {
    /// Time of the line before it in its log: when it was asked for.
    pub asked_at: Option<UnixMillis>,
    /// Time of its last line.
    pub last_at: Option<UnixMillis>,
}

impl ReplySpan {
    /// What one line tells by itself; one without a time of its own tells nothing.
    pub(super) fn of(line: &ResponseLine) -> Self {
        let last_at = Some(line.rank.at).filter(|_| !line.is_final && !line.time_is_guessed);
        Self { asked_at: None, last_at }
    }

    /// What two sets of lines tell of the same reply.
    pub(super) fn merged(self, other: Self) -> Self {
        let asked = [self.asked_at, other.asked_at].into_iter().flatten().min();
        Self { asked_at: asked, last_at: self.last_at.max(other.last_at) }
    }

    /// The output that a reply of this span most likely had, in tokens.
    pub fn estimated_output(self) -> Option<u64> {
        let took = self.last_at?.0.saturating_sub(self.asked_at?.0);
        let took = u64::try_from(took).ok()?.min(LONGEST_MS);
        Some(took * TOKENS_IN_1000_SECONDS / 1_000_000)
    }
}

impl Response {
    /// Takes in that the line before one of its lines, which is of `at`, is of `before`. One that is later says nothing.
    pub fn see_asked(&mut self, before: UnixMillis, at: UnixMillis) {
        if !self.is_final && before <= at {
            self.span = self.span.merged(ReplySpan { asked_at: Some(before), last_at: None });
        }
    }

    /// Why its final output count is not known; `None` where it is.
    pub fn incompleteness(&self) -> Option<Incompleteness> {
        let why = || Incompleteness::of(self.version.as_deref(), self.is_aborted, self.rank.stopped);
        (!self.is_final).then(why)
    }

    /// Output tokens that it most likely had beyond those that are logged; `None` where nothing tells.
    pub fn estimated_rest(&self) -> Option<u64> {
        Some(self.span.estimated_output()?.saturating_sub(self.usage.tokens.output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_by_version_and_marks() {
        use Incompleteness::{Aborted, Error, Placeholder, Unknown};
        for (version, is_aborted, is_stopped, why) in [
            (Some("1.0.128"), false, false, Placeholder),
            (Some("2.1.96"), false, false, Placeholder),
            (Some("2.1.97"), false, false, Unknown),
            (Some("2.1.112"), true, false, Aborted),
            (Some("2.1.200"), false, true, Error),
            (Some("2.1.330-beta"), true, true, Aborted),
            (Some("2.1.330"), false, false, Unknown),
            (Some("ours"), false, true, Unknown),
            (None, false, false, Unknown),
            (None, true, false, Aborted),
        ] {
            assert_eq!(Incompleteness::of(version, is_aborted, is_stopped), why, "{version:?}");
        }
    }

    #[test]
    fn an_estimate_goes_by_the_seconds_and_needs_both_ends() {
        let span = |asked: Option<i64>, last: Option<i64>| {
            let span = ReplySpan { asked_at: asked.map(UnixMillis), last_at: last.map(UnixMillis) };
            span.estimated_output()
        };
        assert_eq!(span(Some(1_000), Some(11_000)), Some(575));
        assert_eq!(span(Some(5), Some(5)), Some(0));
        assert_eq!(span(Some(0), Some(120_000)), Some(6_900));
        assert_eq!(span(Some(i64::MIN), Some(i64::MAX)), Some(6_900), "longer is somebody who slept");
        assert_eq!(span(Some(6), Some(5)), None);
        assert_eq!([span(None, Some(5)), span(Some(5), None), span(None, None)], [None; 3]);
    }
}
