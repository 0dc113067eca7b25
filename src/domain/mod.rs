//! The nouns and units of tallyd: tokens, money, time, models, usage and the cells they add up to.
//!
//! Owns: the clock and every unit that crosses a module border. Does no input or output, knows no
//! serialisation format (session logs, SQL columns and JSON reports are different formats kept in
//! different places) and cannot fail except in constructors, which return `Option` or a named error.

mod cell;
mod cursor;
mod hash;
mod host;
mod identity;
mod incomplete;
mod money;
mod published;
mod response;
mod text;
mod time;
mod tokens;
mod unlogged;
mod zone;

pub use cell::{Cell, ModelKey, PeriodSums, SessionInfo, SessionKey, Totals};
pub use cursor::{Cursor, FileStat};
pub use hash::{fnv1a, fnv1a_128};
pub use host::{is_loopback, is_plain};
pub use identity::{Destination, UserId};
pub use incomplete::{Incompleteness, ReplySpan, client_version};
pub use money::{Cost, Picodollars, Usd};
pub use published::{
    DayCell, Fullness, LARGEST_COUNT, Revision, SessionValue, UnloggedDay, UnloggedTotals, ValueRank,
    fullness, rank,
};
pub use response::{
    Attribution, Chain, ClientAccount, ClientModelAccount, Geo, MessageKey, ModelName, Part, PartKind, Rank,
    Response, ResponseLine, Speed, Tier, Usage,
};
pub use text::{beginning, group_digits, grouped, is_harmful, shown};
pub use time::{Clock, Quarter, SystemClock, UnixMillis};
pub use tokens::TokenCounts;
pub use unlogged::{
    AccountLine, CallEvent, CopiedHistory, Lineage, LoggedCall, LoggedReply, Testimony, UnloggedUsage, Used,
    WitnessedCall, unlogged,
};
pub use zone::iana_zone;
