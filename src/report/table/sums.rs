//! The lines of models and sums: what was logged, what was not, both together, and what is estimated.
//!
//! Owns: that a reader meets logged and unlogged usage together first, and that an estimate looks like none of them.
//! Cannot fail.

use super::{Line, Look, Page, cost};
use crate::domain::{Totals, grouped};
use crate::report::group::ModelSums;

impl Page<'_> {
    /// What was logged of a model, and what was not, where there is any.
    pub(super) fn breakdown_lines(&self, model: &ModelSums) -> Vec<Line> {
        let lines = breakdown_of(model).into_iter();
        lines
            .map(|(beside, totals)| {
                let name = format!("  └─ {}{beside}", self.model(&model.name));
                Line { cells: self.wide_name(name, totals), look: Look::Faint }
            })
            .collect()
    }

    /// The sum of the rows; what of it was logged and what was not, where there is any; behind that the estimate.
    pub(super) fn total_lines(&self) -> Vec<Line> {
        let mut sums = self.total_sums();
        // Both together first: that is what the rows add up to.
        sums.rotate_right(1);
        let lines = sums.into_iter().map(|(name, totals)| Line {
            cells: self.wide_name(name.to_owned(), &totals),
            look: Look::Total,
        });
        lines.chain(self.estimate_line()).collect()
    }

    /// The sums below a table, each with its name; both together last.
    pub(super) fn total_sums(&self) -> Vec<(&'static str, Totals)> {
        let sums = &self.report.totals;
        if sums.unlogged == Totals::default() {
            return vec![("Total", sums.totals)];
        }
        vec![("Logged", sums.totals), ("Unlogged", sums.unlogged), ("Total", sums.all())]
    }

    /// What replies without a final count most likely had: in no sum, and never looking like one.
    pub(super) fn estimated(&self) -> Option<&Totals> {
        let estimated = &self.report.totals.incomplete.estimated;
        (self.report.request.estimate && estimated.messages > 0).then_some(estimated)
    }

    fn estimate_line(&self) -> Option<Line> {
        let estimated = self.estimated()?;
        let output = format!("~{}", grouped(estimated.tokens.output));
        let blanks = 1 + usize::from(self.shows_project()) + usize::from(self.shows_models());
        let mut cells = vec!["Estimated".to_owned()];
        cells.extend(std::iter::repeat_n(String::new(), blanks));
        cells.push(output.clone());
        if !self.compact {
            cells.extend([String::new(), String::new(), output]);
        }
        if !self.report.request.no_cost {
            cells.push(format!("~{}", cost(estimated)));
        }
        if self.shows_activity() {
            cells.push(String::new());
        }
        Some(Line { cells, look: Look::Faint })
    }
}

/// What was logged of a model, and what was not: what there is of both, with what goes behind the name.
pub(super) fn breakdown_of(model: &ModelSums) -> Vec<(&'static str, &Totals)> {
    let nothing = Totals::default();
    let all = [("", &model.totals), (", unlogged", &model.unlogged)];
    all.into_iter().filter(|(_, totals)| **totals != nothing).collect()
}
