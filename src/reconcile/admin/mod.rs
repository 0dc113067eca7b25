//! Anthropic's Admin APIs: usage and cost of an organisation, and Claude Code's analytics.
//!
//! Owns: which requests are made, page after page, and what is done about a refusal: what passes by itself is tried
//! again with pauses, as long as the server says where it says so. Reads no more of an answer than it can be, and
//! no more pages than there can be. Follows no redirect. Fails with [`ApiError`], in which no key is.
//!
//! Source of paths, parameters, paging and errors: platform.claude.com, Usage and Cost API, Claude Code Analytics
//! API, Errors (as of 2026-11).

mod error;
mod transport;
mod wire;

pub use error::ApiError;

use super::options::AdminOptions;
use super::theirs::{Reading, Source, Span};
use crate::domain::UnixMillis;
use chrono::NaiveDate;
use std::collections::BTreeSet;
use transport::Transport;
use wire::Page;

const USAGE: &str = "/v1/organizations/usage_report/messages";
const COST: &str = "/v1/organizations/cost_report";
const CLAUDE_CODE: &str = "/v1/organizations/usage_report/claude_code";

/// Days that a request gives at most.
const DAYS_A_PAGE: &str = "31";
/// Records of the analytics that a request gives at most.
const RECORDS_A_PAGE: &str = "1000";
/// No report has more pages; one that seems to would be read for ever.
const MAX_PAGES: usize = 1_000;
/// No token of a page is longer.
const MAX_TOKEN: usize = 4_096;

/// The days that are asked for, both included.
pub type Days = Span;

/// What part of the organisation is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Usage of these workspaces.
    pub workspaces: Vec<String>,
    /// Usage under these API keys, by their ids (`apikey_…`).
    pub api_keys: Vec<String>,
    /// Claude Code's usage by these users (e-mail address) or keys (name).
    pub users: Vec<String>,
}

/// The Admin APIs, with a key.
#[derive(Debug)]
pub struct Admin {
    transport: Transport,
}

impl Admin {
    /// Prepares to ask; sends nothing.
    ///
    /// # Errors
    /// [`ApiError::NoClient`] where the machine has no certificates to tell servers by.
    pub fn new(options: AdminOptions) -> Result<Self, ApiError> {
        Ok(Self { transport: Transport::new(options)? })
    }

    /// Tokens of each day and model, and their cost. Costs are not known by API key: where keys are asked for, it is
    /// tokens alone.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn usage_and_cost(&self, days: Days, only: &Only) -> Result<Reading, ApiError> {
        let mut reading = Reading::new(Source::Api);
        reading.kinds = wire::usage_kinds();
        reading.counted = Some(days);
        let mut asked = bounds(days);
        asked.extend(["model"].map(|group| ("group_by[]", group.to_owned())));
        asked.extend(only.api_keys.iter().map(|id| ("api_key_ids[]", id.clone())));
        asked.extend(only.workspaces.iter().map(|id| ("workspace_ids[]", id.clone())));
        self.pages(USAGE, &asked, |body, place| wire::usage(body, place, &mut reading)).await?;
        if !only.api_keys.is_empty() {
            reading.notes.push("costs are not known by API key: tokens alone are compared".to_owned());
            return Ok(reading);
        }
        reading.billed = Some(days);
        let mut asked = bounds(days);
        asked.extend(["workspace_id", "description"].map(|group| ("group_by[]", group.to_owned())));
        self.pages(COST, &asked, |body, place| wire::cost(body, place, &only.workspaces, &mut reading))
            .await?;
        Ok(reading)
    }

    /// What Claude Code used, by day and model, with its estimated cost.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn claude_code(&self, days: Days, only: &Only) -> Result<Reading, ApiError> {
        let mut reading = Reading::new(Source::Analytics);
        reading.kinds = wire::analytics_kinds();
        (reading.counted, reading.billed) = (Some(days), Some(days));
        for day in days.first.iter_days().take_while(|day| *day <= days.last) {
            let asked = [("starting_at", day.to_string()), ("limit", RECORDS_A_PAGE.to_owned())];
            self.pages(CLAUDE_CODE, &asked, |body, place| {
                wire::claude_code(body, place, day, &only.users, &mut reading)
            })
            .await?;
        }
        Ok(reading)
    }

    /// Asks for page after page until there is no more.
    async fn pages(
        &self,
        path: &'static str,
        asked: &[(&'static str, String)],
        mut take: impl FnMut(&str, &str) -> Result<Page, String>,
    ) -> Result<(), ApiError> {
        let mut next: Option<String> = None;
        let mut seen = BTreeSet::new();
        for _ in 0..MAX_PAGES {
            let mut query = asked.to_vec();
            query.extend(next.take().map(|token| ("page", token)));
            let body = self.transport.get(path, &query).await?;
            let page = take(&body, path).map_err(|why| ApiError::Unreadable { path, why })?;
            let Some(token) = page.next else { return Ok(()) };
            if token.is_empty() || token.len() > MAX_TOKEN || !seen.insert(token.clone()) {
                return Err(ApiError::Endless { path });
            }
            next = Some(token);
        }
        Err(ApiError::Endless { path })
    }
}

/// The days as a request has them: from midnight to the midnight after the last.
fn bounds(days: Days) -> Vec<(&'static str, String)> {
    let midnight = |day: NaiveDate| format!("{day}T00:00:00Z");
    let end = days.last.succ_opt().unwrap_or(days.last);
    vec![
        ("starting_at", midnight(days.first)),
        ("ending_at", midnight(end)),
        ("bucket_width", "1d".to_owned()),
        ("limit", DAYS_A_PAGE.to_owned()),
    ]
}

/// The day of a moment that an answer names.
fn day_of(text: &str) -> Option<NaiveDate> {
    let by_moment = UnixMillis::parse(text).map(|at| at.to_utc().date_naive());
    by_moment.or_else(|| text.parse().ok())
}
