//! That a database has the pages, tables, columns and types of a ledger, whatever is in them.

use super::Finding;
use crate::ledger::schema;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(sql: &Connection) -> Result<(), Finding> {
    pages(sql)?;
    tables(sql)?;
    types(sql)
}

/// Pages, the order of keys, and that indexes say what tables do.
fn pages(sql: &Connection) -> Result<(), Finding> {
    let found: String = sql.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let line = found.lines().last().unwrap_or_default().to_owned();
    if found == "ok" { Ok(()) } else { Err(Finding::Damage(line)) }
}

/// Tables, their columns and indexes are those of this version.
fn tables(sql: &Connection) -> Result<(), Finding> {
    let there = shape(sql)?;
    let model = Connection::open_in_memory()?;
    for migration in schema::MIGRATIONS {
        model.execute_batch(migration)?;
    }
    match shape(&model)?.difference(&there).next() {
        Some(missing) => Err(Finding::Damage(format!("a table is not as it was made: {missing} is missing"))),
        None => Ok(()),
    }
}

/// Values are of the type of their column, and texts are texts: nothing that is read later fails for that.
fn types(sql: &Connection) -> Result<(), Finding> {
    for (table, columns) in columns(sql)? {
        let wrong: Vec<String> =
            columns.iter().map(|(name, kind)| format!("typeof({name}) NOT IN ({kind})")).collect();
        let query = format!("SELECT count(*) FROM {table} WHERE {}", wrong.join(" OR "));
        let wrong: i64 = sql.query_row(&query, [], |row| row.get(0))?;
        let is_text = |(name, kind): &(String, String)| kind.starts_with("'text'").then(|| name.clone());
        let texts: Vec<String> = columns.iter().filter_map(is_text).collect();
        if wrong > 0 || !(texts.is_empty() || are_texts(sql, &table, &texts)?) {
            return Err(Finding::Damage(format!(
                "a value in the table {table} is not what its column holds"
            )));
        }
    }
    Ok(())
}

/// The columns of each table, each with the types that its values may have.
fn columns(sql: &Connection) -> Result<BTreeMap<String, Vec<(String, String)>>, Finding> {
    let mut statement = sql.prepare(
        "SELECT m.name, c.name, lower(c.type), c.\"notnull\" FROM sqlite_schema AS m \
         JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
    )?;
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind: String = row.get(2)?;
        let or_null = if row.get(3)? { "" } else { ", 'null'" };
        let column = (format!("\"{}\"", row.get::<_, String>(1)?), format!("'{kind}'{or_null}"));
        tables.entry(format!("\"{}\"", row.get::<_, String>(0)?)).or_default().push(column);
    }
    Ok(tables)
}

fn are_texts(sql: &Connection, table: &str, columns: &[String]) -> Result<bool, Finding> {
    let mut statement = sql.prepare(&format!("SELECT {} FROM {table}", columns.join(", ")))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns.len() {
            if row.get_ref(column)?.as_str_or_null().is_err() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Every column of every table and index, in words.
fn shape(sql: &Connection) -> Result<BTreeSet<String>, rusqlite::Error> {
    let mut statement = sql.prepare(
        "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk \
         FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' \
         UNION ALL SELECT m.tbl_name || ' by ' || coalesce(c.name, '') || ' as ' || c.seqno \
         FROM sqlite_schema AS m JOIN pragma_index_info(m.name) AS c WHERE m.type = 'index'",
    )?;
    let lines = statement.query_map([], |row| row.get(0))?;
    lines.collect()
}
