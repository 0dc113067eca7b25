//! What is told of events that are not as the log, or as our prices, have it.
//!
//! Owns: how often. Each model's price once; of counts that disagree the first few, since every one is in the metrics.

use crate::domain::{Usd, shown};
use crate::ledger::EventNews;
use std::collections::HashSet;

/// Events with other counts than the log that are told one by one.
const MOST_TOLD: usize = 10;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Testimonies {
    disagreeing: usize,
    models: HashSet<String>,
}

impl Testimonies {
    /// Tells what is news.
    pub(super) fn tell(&mut self, news: &[EventNews]) {
        for news in news {
            match news {
                EventNews::Disagrees { request } => self.disagrees(request.as_deref()),
                EventNews::OtherPrice { model, theirs, ours } => self.other_price(model, *theirs, *ours),
            }
        }
    }

    fn disagrees(&mut self, request: Option<&str>) {
        self.disagreeing += 1;
        if self.disagreeing <= MOST_TOLD {
            let request = shown(request.unwrap_or("without an id"));
            tracing::warn!(
                request,
                "OpenTelemetry tells other counts of a request than the log, which counts"
            );
        }
    }

    fn other_price(&mut self, model: &str, theirs: i64, ours: Option<i64>) {
        if !self.models.insert(model.to_owned()) {
            return;
        }
        let amount = |amount: i64| Usd(amount.into()).to_string();
        tracing::info!(
            model = shown(model),
            theirs = amount(theirs),
            ours = ours.map(amount),
            "Claude Code has another price for a call: that of the model it asked for, of web searches, of which no \
             event tells, or of another day's list"
        );
    }
}
