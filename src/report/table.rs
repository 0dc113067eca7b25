//! Reports as tables for people.
//!
//! Owns: columns, their fit to the terminal, marks and footnotes. Refuses: showing what is unknown as
//! zero: a row without any price says `unpriced`, one with some `+?`, and `≥` marks a lower bound. This
//! is the one output that rounds. Cannot fail.

use super::build::{Body, Report};
use super::group::{Row, RowKey, Sums};
use super::project::short_projects;
use super::text::{dollars, named, short_models};
use super::{Kind, Style};
use crate::domain::grouped;
use crate::domain::{Totals, UnixMillis};
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use std::collections::BTreeMap;
use std::sync::Arc;

mod blocks;
mod notes;
mod sums;

/// Terminals narrower than this get the table with few columns.
const FULL_WIDTH: u16 = 100;

/// The same for reports whose rows have a project or a last activity too.
const FULL_WIDTH_WITH_MORE: u16 = 140;

/// Terminals this wide show session ids whole.
const WHOLE_ID_WIDTH: u16 = 160;

/// Room for a date with a blank on each side.
const DATE_FITS: ColumnConstraint = ColumnConstraint::LowerBoundary(Width::Fixed(12));

/// Characters of a session id that a table shows: enough to tell sessions apart and to ask for one.
const ID_LENGTH: usize = 8;

/// The report as a title, a table and footnotes; one sentence when there is nothing to show.
pub(super) fn render(report: &Report, style: Style) -> String {
    if report.is_empty() {
        return notes::nothing(&report.request);
    }
    let mut page = Page::new(report, style);
    let table = loop {
        if let Some(table) = page.table() {
            break table;
        }
        page.give_way();
    };
    let footnotes = notes::footnotes(report, &page);
    format!("{}\n{table}\n{footnotes}", page.strong(&notes::title(&report.request)))
}

/// How the parts of one report are shown.
struct Page<'a> {
    report: &'a Report,
    style: Style,
    /// Without cache columns and sum of tokens.
    compact: bool,
    /// Wide enough for projects and last activities.
    roomy: bool,
    /// Numbers and dates wrap where they must: nothing narrower is left.
    wraps: bool,
    models: BTreeMap<Arc<str>, String>,
    projects: BTreeMap<Arc<str>, String>,
}

/// One line of a table before it is laid out.
struct Line {
    cells: Vec<String>,
    look: Look,
}

/// A column of a table.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    alignment: CellAlignment,
    /// Numbers, dates and ids are not wrapped while the terminal is wide enough.
    constraint: Option<ColumnConstraint>,
}

impl Column {
    /// Names, which may wrap.
    const fn text(name: &'static str) -> Self {
        Self { name, alignment: CellAlignment::Left, constraint: None }
    }

    /// Dates and ids.
    const fn word(name: &'static str) -> Self {
        Self { name, alignment: CellAlignment::Left, constraint: Some(ColumnConstraint::ContentWidth) }
    }

    /// Counts and costs.
    const fn number(name: &'static str) -> Self {
        Self { name, alignment: CellAlignment::Right, constraint: Some(ColumnConstraint::ContentWidth) }
    }
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Faint,
    Total,
}

impl<'a> Page<'a> {
    fn new(report: &'a Report, style: Style) -> Self {
        let request = &report.request;
        let has_more = matches!(request.kind, Kind::Session { .. } | Kind::Project);
        let full = if has_more { FULL_WIDTH_WITH_MORE } else { FULL_WIDTH };
        let wider_than = |least: u16| style.width.is_none_or(|width| width >= least) && !request.compact;
        Self {
            report,
            style,
            compact: !wider_than(full),
            roomy: wider_than(FULL_WIDTH),
            wraps: false,
            models: short_models(report.totals.models.iter().map(|model| &model.name)),
            projects: short_projects(projects_of(report)),
        }
    }

    /// The table, if numbers and dates can stay whole in it or may wrap.
    fn table(&self) -> Option<String> {
        match &self.report.body {
            Body::Rows(rows) => self.rows(rows),
            Body::Projects(projects) => self.projects(projects),
            Body::Blocks(blocks) => blocks::table(self, blocks),
        }
    }

    /// Asks for less width: first without some columns, at last with numbers that wrap.
    fn give_way(&mut self) {
        match self {
            Self { compact: false, .. } => self.compact = true,
            Self { roomy: true, .. } => self.roomy = false,
            _ => self.wraps = true,
        }
    }

    fn rows(&self, rows: &[Row]) -> Option<String> {
        let mut lines: Vec<Line> = rows.iter().flat_map(|row| self.row_lines(row)).collect();
        lines.extend(self.total_lines());
        self.layout(&self.header(), lines)
    }

    fn projects(&self, projects: &[(Arc<str>, Vec<Row>)]) -> Option<String> {
        let header = self.header();
        let mut lines = Vec::new();
        for (project, rows) in projects {
            let mut cells = vec![self.project(project)];
            cells.resize(header.len(), String::new());
            lines.push(Line { cells, look: Look::Total });
            lines.extend(rows.iter().flat_map(|row| self.row_lines(row)));
        }
        lines.extend(self.total_lines());
        self.layout(&header, lines)
    }

    fn header(&self) -> Vec<Column> {
        let mut header = vec![match &self.report.body {
            // Names of projects stand above the days; those may wrap.
            Body::Projects(_) => Column { constraint: Some(DATE_FITS), ..Column::word("Date") },
            _ => key_column(&self.report.request.kind),
        }];
        if self.shows_project() {
            header.push(Column::text("Project"));
        }
        if self.shows_models() {
            header.push(Column::text("Models"));
        }
        header.extend(["Input", "Output"].map(Column::number));
        if !self.compact {
            header.extend(["Cache Create", "Cache Read", "Total Tokens"].map(Column::number));
        }
        if !self.report.request.no_cost {
            header.push(Column::number("Cost (USD)"));
        }
        if self.shows_activity() {
            header.push(Column::word("Last Activity"));
        }
        header
    }

    fn shows_project(&self) -> bool {
        matches!(self.report.request.kind, Kind::Session { .. }) && self.roomy
    }

    fn shows_models(&self) -> bool {
        self.report.request.kind != Kind::Model
    }

    fn shows_activity(&self) -> bool {
        matches!(self.report.request.kind, Kind::Session { .. } | Kind::Project) && self.roomy
    }

    /// The row, and each of its models below it where that is asked for.
    fn row_lines(&self, row: &Row) -> Vec<Line> {
        let mut cells = vec![self.row_name(row)];
        if let RowKey::Session(session) = &row.key
            && self.shows_project()
        {
            cells.push(self.project(&session.project));
        }
        if self.shows_models() {
            cells.push(self.model_list(&row.sums));
        }
        cells.extend(self.numbers(&row.sums.all()));
        if self.shows_activity() {
            cells.push(self.minute(row.last));
        }
        let mut lines = vec![Line { cells, look: Look::Plain }];
        if self.report.request.breakdown && self.shows_models() {
            lines.extend(row.sums.models.iter().flat_map(|model| self.breakdown_lines(model)));
        }
        lines
    }

    /// A name in the first column and numbers, with nothing between.
    fn wide_name(&self, name: String, totals: &Totals) -> Vec<String> {
        let mut cells = vec![name];
        let blanks = usize::from(self.shows_project()) + usize::from(self.shows_models());
        cells.extend(std::iter::repeat_n(String::new(), blanks));
        cells.extend(self.numbers(totals));
        if self.shows_activity() {
            cells.push(String::new());
        }
        cells
    }

    fn numbers(&self, totals: &Totals) -> Vec<String> {
        let tokens = totals.tokens;
        let bound = lower_bound(totals);
        let mut cells = vec![grouped(tokens.input), format!("{bound}{}", grouped(tokens.output))];
        if !self.compact {
            cells.push(grouped(tokens.cache_write()));
            cells.push(grouped(tokens.cache_read));
            cells.push(format!("{bound}{}", grouped(tokens.total())));
        }
        if !self.report.request.no_cost {
            cells.push(cost(totals));
        }
        cells
    }

    fn row_name(&self, row: &Row) -> String {
        match &row.key {
            RowKey::Day(day) | RowKey::Week(day) => day.to_string(),
            RowKey::Month(day) => super::json::month(*day),
            RowKey::Session(session) => self.session(&session.id),
            RowKey::Project(project) => self.project(project),
            RowKey::Model(model) => self.model(model),
        }
    }

    fn session(&self, id: &str) -> String {
        let whole = !self.compact && self.style.width.is_none_or(|width| width >= WHOLE_ID_WIDTH);
        if whole { named(id) } else { named(&id.chars().take(ID_LENGTH).collect::<String>()) }
    }

    fn project(&self, project: &Arc<str>) -> String {
        named(self.projects.get(project).map_or(project, String::as_str))
    }

    fn model(&self, model: &Arc<str>) -> String {
        named(self.models.get(model).map_or(model, String::as_str))
    }

    /// One model a line.
    fn model_list(&self, sums: &Sums) -> String {
        sums.models.iter().map(|model| self.model(&model.name)).collect::<Vec<_>>().join("\n")
    }

    /// A local date and time to the minute.
    fn minute(&self, at: UnixMillis) -> String {
        self.report.request.zone.wall(at).format("%Y-%m-%d %H:%M").to_string()
    }

    /// Lays lines out to the width of the terminal. Numbers and dates stay on one line; where that runs
    /// over the edge of the terminal there is no table, unless they may wrap.
    fn layout(&self, header: &[Column], lines: Vec<Line>) -> Option<String> {
        let mut table = self.empty_table(header);
        for line in lines {
            table.add_row(line.cells.into_iter().map(|text| cell(text, line.look)).collect::<Vec<_>>());
        }
        for (column, wanted) in table.column_iter_mut().zip(header) {
            column.set_cell_alignment(wanted.alignment);
            if let Some(constraint) = wanted.constraint.filter(|_| !self.wraps) {
                column.set_constraint(constraint);
            }
        }
        let text = table.to_string();
        let width =
            text.lines().next().map_or(0, |border| border.chars().filter(|next| is_shown(*next)).count());
        let fits = self.style.width.is_none_or(|limit| width <= usize::from(limit));
        (fits || self.wraps).then_some(text)
    }

    fn empty_table(&self, header: &[Column]) -> Table {
        let mut table = Table::new();
        // Whether to use colour and how wide to be is the caller's to say, not the process's stdout's.
        table.force_no_tty().load_style(presets::UTF8_FULL_CONDENSED);
        if self.style.color {
            table.enforce_styling();
        }
        if let Some(width) = self.style.width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.set_header(
            header.iter().map(|column| Cell::new(column.name).fg(Color::Cyan)).collect::<Vec<_>>(),
        );
        table
    }

    fn strong(&self, text: &str) -> String {
        if self.style.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn faint(&self, text: &str) -> String {
        if self.style.color { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn cell(text: String, look: Look) -> Cell {
    let cell = Cell::new_owned(text);
    match look {
        Look::Plain => cell,
        Look::Faint => cell.fg(Color::DarkGrey),
        Look::Total => cell.fg(Color::Yellow).add_attribute(Attribute::Bold),
    }
}

fn is_shown(next: char) -> bool {
    !next.is_control()
}

fn key_column(kind: &Kind) -> Column {
    match kind {
        Kind::Daily => Column::word("Date"),
        Kind::Weekly { .. } => Column::word("Week"),
        Kind::Monthly => Column::word("Month"),
        Kind::Session { .. } => Column::word("Session"),
        Kind::Project => Column::text("Project"),
        Kind::Model => Column::text("Model"),
        Kind::Blocks(_) => Column::text("Block Start"),
    }
}

fn projects_of(report: &Report) -> Vec<&Arc<str>> {
    match &report.body {
        Body::Projects(projects) => projects.iter().map(|(project, _)| project).collect(),
        Body::Rows(rows) => rows.iter().filter_map(project_of).collect(),
        Body::Blocks(_) => Vec::new(),
    }
}

fn project_of(row: &Row) -> Option<&Arc<str>> {
    match &row.key {
        RowKey::Session(session) => Some(&session.project),
        RowKey::Project(project) => Some(project),
        _ => None,
    }
}

/// Marks counts that are too low because a final count never reached the log.
fn lower_bound(totals: &Totals) -> &'static str {
    if totals.incomplete > 0 { "≥" } else { "" }
}

/// What is known of a cost: nothing, a part, a lower bound, or all of it.
fn cost(totals: &Totals) -> String {
    marked(totals, totals.known_cost().map(dollars))
}

/// Dollars that come from these totals, with the marks of what is missing in them.
fn marked(totals: &Totals, known: Option<String>) -> String {
    let Some(known) = known else { return "unpriced".to_owned() };
    let more = if totals.unpriced > 0 { " +?" } else { "" };
    format!("{}{known}{more}", lower_bound(totals))
}
