//! What one line of a session log says of one API response, and how what several lines say of the
//! same response becomes one. All of it is a function of the lines alone: merging is commutative,
//! associative and idempotent, so that neither the order of files nor re-reading changes a total.

use super::{ReplySpan, TokenCounts, UnixMillis};

#[cfg(test)]
mod tests;

/// A model name as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(pub String);

/// Fast mode is billed by a multiplier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speed {
    /// The ordinary speed, and every value that is not "fast".
    #[default]
    Standard,
    /// `"speed": "fast"`.
    Fast,
}

/// Where inference was asked to run; only the US has a price of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Geo {
    /// Anywhere: absent, null, "", "global", `not_available` and every value that is not "us".
    #[default]
    Global,
    /// `"inference_geo": "us"`.
    Us,
}

/// The service tier a response was served under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Standard, and every value that has no price of its own.
    #[default]
    Standard,
    /// Batch: half price.
    Batch,
    /// Priority: committed capacity, priced by contract; priced as standard and kept for the record.
    Priority,
}

/// Why a call inside a response is listed apart from the response's own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// An advisor's call: its tokens are not in the response's counters.
    Advisor,
    /// A compaction inside the call: its tokens are not in the response's counters.
    Compaction,
    /// An attempt that another model took over from: its tokens are not in the response's counters,
    /// and it is free when it produced no output.
    AbandonedAttempt,
    /// One of several steps whose sum the response's counters are: no extra tokens, but the
    /// long-prompt price is decided for each of them alone.
    Step,
}

impl PartKind {
    /// True where the part's tokens come on top of the response's own counters.
    pub fn is_extra(self) -> bool {
        self != Self::Step
    }
}

/// One entry of `usage.iterations` that matters for tokens or price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its own model, where the entry names one; else the response's.
    pub model: Option<ModelName>,
    /// Its tokens.
    pub tokens: TokenCounts,
}

/// The usage of one response, whole, as one line carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage {
    /// The response's own counters.
    pub tokens: TokenCounts,
    /// Thinking tokens: a part of `tokens.output`.
    pub thinking: u64,
    /// Web searches run by the API.
    pub web_searches: u64,
    /// Standard or fast.
    pub speed: Speed,
    /// Where inference ran.
    pub geo: Geo,
    /// Service tier.
    pub tier: Tier,
    /// Calls inside the response; empty for nearly all.
    pub parts: Vec<Part>,
}

/// What makes two lines speak of the same response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageKey {
    /// A first-party `message.id`, unique over all files for ever.
    Global(String),
    /// An id that a gateway may use again, or none at all: the line belongs to the response that
    /// goes by any of these names.
    Aliases {
        /// The id, for display; empty where the line has none.
        id: String,
        /// Names of the response; never empty.
        names: Vec<String>,
        /// What it is to the line before it, where lines belong together by following each other.
        chain: Option<Chain>,
    },
}

/// A line among lines that follow each other. Whichever of two such lines is read first, the second
/// finds it: by the name of the line it continues, or by the name under which that one awaited it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Names that a response is looked for under, but does not get.
    pub looks_for: Vec<String>,
    /// The name under which the response waits for the line that this one continues, if it does.
    pub awaits: Option<String>,
}

/// Which of several lines supplies the usage: the greatest. A function of the line alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Output tokens: the final count is the highest.
    pub output: u64,
    /// Not on a side chain: replays of a parent's history carry other counts.
    pub main_chain: bool,
    /// Carries a stop reason.
    pub stopped: bool,
    /// Time of the line.
    pub at: UnixMillis,
}

/// Which session paid: the smallest of all lines wins. A function of the line alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribution {
    /// A copy of history (a fork, a branch) rather than the original line.
    pub copied: bool,
    /// Time of the line.
    pub at: UnixMillis,
    /// The session that the line says paid.
    pub session: String,
}

/// What one line says of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseLine {
    /// Which response.
    pub key: MessageKey,
    /// How good its usage is.
    pub rank: Rank,
    /// Who paid.
    pub attribution: Attribution,
    /// The model that served.
    pub model: ModelName,
    /// What was used.
    pub usage: Usage,
    /// The line carries the final output count.
    pub is_final: bool,
    /// The line says that the user stopped the reply.
    pub is_aborted: bool,
    /// The line had no usable timestamp and `rank.at` is a stand-in.
    pub time_is_guessed: bool,
    /// A hash of the request's id, where the line names one: what the client's events say is told by it.
    pub request: Option<u64>,
    /// Version of the client that wrote it.
    pub version: Option<String>,
    /// Working folder named by the line.
    pub cwd: Option<String>,
}

/// Everything that all lines seen so far say of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Rank of the line that supplied usage, model and version.
    pub rank: Rank,
    /// The model that served.
    pub model: ModelName,
    /// What was used.
    pub usage: Usage,
    /// Version of the client that wrote the winning line.
    pub version: Option<String>,
    /// Time of the earliest line: the response's day.
    pub first_at: UnixMillis,
    /// Who paid.
    pub attribution: Attribution,
    /// Some line carried the final output count.
    pub is_final: bool,
    /// Some line says that the user stopped it.
    pub is_aborted: bool,
    /// From when to when it was written; nothing where the count is final.
    pub span: ReplySpan,
    /// No line had a usable timestamp.
    pub time_is_guessed: bool,
}

impl Response {
    /// The response as its first line has it.
    pub fn new(line: ResponseLine) -> Self {
        Self {
            span: ReplySpan::of(&line),
            is_aborted: line.is_aborted,
            rank: line.rank,
            model: line.model,
            usage: line.usage,
            version: line.version,
            first_at: line.rank.at,
            attribution: line.attribution,
            is_final: line.is_final,
            time_is_guessed: line.time_is_guessed,
        }
    }

    /// Takes in what another set of lines says of the same response. Whole usage vectors compete,
    /// never single counters: a mid-stream fallback writes lines of two attempts under one id.
    pub fn merge(&mut self, other: Self) {
        self.is_final |= other.is_final;
        self.is_aborted |= other.is_aborted;
        self.span = if self.is_final { ReplySpan::default() } else { self.span.merged(other.span) };
        // A line with a time of its own beats any stand-in.
        match (self.time_is_guessed, other.time_is_guessed) {
            (true, false) => {
                self.first_at = other.first_at;
                self.attribution = other.attribution;
                self.time_is_guessed = false;
            }
            (false, true) => {}
            _ => {
                self.first_at = self.first_at.min(other.first_at);
                if other.attribution < self.attribution {
                    self.attribution = other.attribution;
                }
            }
        }
        let theirs = (&other.rank, &other.usage, &other.model, &other.version);
        if theirs > (&self.rank, &self.usage, &self.model, &self.version) {
            self.rank = other.rank;
            self.usage = other.usage;
            self.model = other.model;
            self.version = other.version;
        }
    }
}

/// One model's part of the client's own account of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientModelAccount {
    /// The model, as the client names it.
    pub model: ModelName,
    /// Tokens, cumulative over the session.
    pub tokens: TokenCounts,
    /// Thinking tokens, a part of the output.
    pub thinking: u64,
    /// Web searches.
    pub web_searches: u64,
    /// The client's own price for it.
    pub cost: super::Usd,
}

/// A `cost-state` line: the client's own cumulative account of a session, calls that never reach the
/// log included. Kept beside the counted responses, never added to them; what it has beyond them is for
/// [`super::unlogged()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAccount {
    /// The session.
    pub session: String,
    /// When the first process started that this count goes on from: resumed and forked sessions keep it.
    pub started_at: Option<UnixMillis>,
    /// Milliseconds that processes have run since, without the time between them; says which of several lines is newer.
    pub duration_ms: u64,
    /// The client's total.
    pub cost: super::Usd,
    /// By model.
    pub models: Vec<ClientModelAccount>,
}
