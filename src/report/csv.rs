//! Reports as CSV, by RFC 4180 but for the line ends, which are single line feeds.
//!
//! Owns: the columns, named like the keys of the JSON output. Refuses: rounding, and text that a
//! spreadsheet takes for a formula. A cost has every digit; it is empty where nothing in the row has a
//! price, and its column is absent where costs are not wanted. Cannot fail: writing to memory does not.

use super::blocks::Block;
use super::build::{Body, Report};
use super::group::{ModelSums, Row, RowKey, SessionRow, Sums};
use super::text::formula_safe;
use super::{Kind, Request};
use crate::domain::{Totals, UnixMillis};
use std::sync::Arc;

/// The report as CSV: a header line, then a line a row, or a line a row and model.
pub(super) fn render(report: &Report) -> String {
    let request = &report.request;
    let mut sheet = Sheet { writer: ::csv::Writer::from_writer(Vec::new()), request };
    sheet.write(&sheet.header());
    match &report.body {
        Body::Rows(rows) => sheet.rows(None, rows),
        Body::Projects(projects) => {
            for (project, rows) in projects {
                sheet.rows(Some(project), rows);
            }
        }
        Body::Blocks(blocks) => {
            for block in blocks {
                sheet.sums(&block_fields(block), &block.sums);
            }
        }
    }
    sheet.into_text()
}

struct Sheet<'a> {
    writer: ::csv::Writer<Vec<u8>>,
    request: &'a Request,
}

impl Sheet<'_> {
    fn header(&self) -> Vec<String> {
        let mut names: Vec<&str> = Vec::new();
        if self.request.instances && self.request.kind == Kind::Daily {
            names.push("project");
        }
        names.extend(key_names(&self.request.kind));
        // A row of the model report is a model already: its own column names it.
        if self.request.kind != Kind::Model {
            names.push(if self.request.breakdown { "modelName" } else { "modelsUsed" });
        }
        names.extend(TOTALS);
        if !self.request.breakdown {
            names.extend(["sessionCount", "unpricedModels"]);
        }
        let is_of_blocks = matches!(self.request.kind, Kind::Blocks(_));
        if !self.request.no_cost {
            names.push(if is_of_blocks { "costUSD" } else { "totalCost" });
        }
        names.push("unloggedTokens");
        names.extend((!self.request.no_cost).then_some("unloggedCost"));
        if self.has_estimates() {
            names.push("estimatedTokens");
            names.extend((!self.request.no_cost).then_some("estimatedCost"));
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// They are of rows, not of models inside one.
    fn has_estimates(&self) -> bool {
        self.request.estimate && !self.request.breakdown
    }

    fn rows(&mut self, project: Option<&Arc<str>>, rows: &[Row]) {
        for row in rows {
            let mut fields: Vec<String> = project.map(|path| formula_safe(path)).into_iter().collect();
            fields.extend(row_fields(row));
            self.sums(&fields, &row.sums);
        }
    }

    fn sums(&mut self, key: &[String], sums: &Sums) {
        if self.request.breakdown {
            for model in &sums.models {
                let mut fields = self.fields(key, &formula_safe(&model.name), &model.totals, None);
                fields.extend(self.tokens_and_cost(&model.unlogged));
                self.write(&fields);
            }
            return;
        }
        let unpriced = [sums.sessions.to_string(), joined(sums.unpriced())];
        let mut fields = self.fields(key, &joined(sums.models.iter()), &sums.totals, Some(unpriced));
        fields.extend(self.tokens_and_cost(&sums.unlogged));
        if self.has_estimates() {
            let is_known = sums.incomplete.estimated.messages > 0 || sums.incomplete.without == 0;
            let estimated = self.tokens_and_cost(&sums.incomplete.estimated);
            fields.extend(estimated.into_iter().map(|field| if is_known { field } else { String::new() }));
        }
        self.write(&fields);
    }

    fn tokens_and_cost(&self, totals: &Totals) -> Vec<String> {
        let cost = (!self.request.no_cost).then(|| cost(totals));
        std::iter::once(totals.tokens.total().to_string()).chain(cost).collect()
    }

    fn fields(
        &self,
        key: &[String],
        models: &str,
        totals: &Totals,
        whole: Option<[String; 2]>,
    ) -> Vec<String> {
        let mut fields = key.to_vec();
        if self.request.kind != Kind::Model {
            fields.push(models.to_owned());
        }
        fields.extend(total_fields(totals));
        fields.extend(whole.into_iter().flatten());
        if !self.request.no_cost {
            fields.push(cost(totals));
        }
        fields
    }

    fn write(&mut self, fields: &[String]) {
        self.writer.write_record(fields).expect("lines of one length, written to memory");
    }

    fn into_text(self) -> String {
        let bytes = self.writer.into_inner().expect("memory can always be flushed to");
        String::from_utf8(bytes).expect("made of strings")
    }
}

/// Every digit; nothing where there is no price.
fn cost(totals: &Totals) -> String {
    totals.known_cost().map(|cost| cost.to_string()).unwrap_or_default()
}

fn key_names(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Daily => &["date"],
        Kind::Weekly { .. } => &["week"],
        Kind::Monthly => &["month"],
        Kind::Session { .. } => &["sessionId", "project", "projectPath", "firstActivity", "lastActivity"],
        Kind::Project => &["project", "firstActivity", "lastActivity"],
        Kind::Model => &["modelName", "firstActivity", "lastActivity"],
        Kind::Blocks(_) => &["id", "startTime", "endTime", "actualEndTime", "isActive", "isGap"],
    }
}

/// In the order of [`key_names`].
fn row_fields(row: &Row) -> Vec<String> {
    let activity = [row.first.to_rfc3339(), row.last.to_rfc3339()];
    let names = match &row.key {
        RowKey::Day(day) | RowKey::Week(day) => return vec![day.to_string()],
        RowKey::Month(day) => return vec![super::json::month(*day)],
        RowKey::Session(SessionRow { id, project, folder }) => vec![id, project, folder],
        RowKey::Project(name) | RowKey::Model(name) => vec![name],
    };
    names.into_iter().map(|name| formula_safe(name)).chain(activity).collect()
}

/// In the order of [`key_names`].
fn block_fields(block: &Block) -> Vec<String> {
    vec![
        block.id(),
        block.start.to_rfc3339(),
        block.end.to_rfc3339(),
        block.last.map(UnixMillis::to_rfc3339).unwrap_or_default(),
        block.is_active.to_string(),
        block.is_gap.to_string(),
    ]
}

const TOTALS: [&str; 12] = [
    "inputTokens",
    "outputTokens",
    "cacheCreationTokens",
    "cacheReadTokens",
    "totalTokens",
    "cacheCreation5mTokens",
    "cacheCreation1hTokens",
    "thinkingTokens",
    "messageCount",
    "webSearchRequests",
    "unpricedMessages",
    "incompleteMessages",
];

/// In the order of [`TOTALS`].
fn total_fields(totals: &Totals) -> [String; 12] {
    let tokens = totals.tokens;
    [
        tokens.input,
        tokens.output,
        tokens.cache_write(),
        tokens.cache_read,
        tokens.total(),
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        totals.thinking,
        totals.messages,
        totals.web_searches,
        totals.unpriced,
        totals.incomplete,
    ]
    .map(|number| number.to_string())
}

fn joined<'a>(models: impl Iterator<Item = &'a ModelSums>) -> String {
    formula_safe(&models.map(|model| &*model.name).collect::<Vec<_>>().join(";"))
}
