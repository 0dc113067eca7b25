//! `tallyd schema`: the SQL that sets a Supabase project up, from the binary alone.

use super::exit::ExitCode;
use super::output;
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  tallyd schema | psql \"$DATABASE_URL\"     set a project up, or bring it up to date
  tallyd schema --list                     the names of the migrations
  tallyd schema > token_usage.sql          to read first, or for the dashboard's SQL editor

The connection string is in the project's dashboard under Connect. Each migration is one
transaction; running it again changes nothing. In scripts add -v ON_ERROR_STOP=1, so that psql's
exit code tells of a failure.";

/// The migrations in order of their time, as the Supabase CLI finds them in `supabase/migrations`.
const MIGRATIONS: [(&str, &str); 2] = [
    (
        "20261122000000_token_usage.sql",
        include_str!("../../supabase/migrations/20261122000000_token_usage.sql"),
    ),
    (
        "20261123000000_unlogged_usage.sql",
        include_str!("../../supabase/migrations/20261123000000_unlogged_usage.sql"),
    ),
];

/// Arguments of `tallyd schema`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct SchemaArgs {
    /// Print the names of the migrations instead
    #[arg(long)]
    pub list: bool,
}

/// Prints the migrations or their names.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    output::print(&if args.list { names() } else { all() })?;
    Ok(ExitCode::Done)
}

fn names() -> String {
    MIGRATIONS.iter().flat_map(|(name, _)| [*name, "\n"]).collect()
}

/// All of them, one after the other, as SQL alone: not every editor knows psql's own commands.
fn all() -> String {
    MIGRATIONS.iter().flat_map(|(_, sql)| [sql.trim_end(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_built_in_and_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/migrations");
        let mut files: Vec<String> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(names().lines().collect::<Vec<_>>(), files);
        for (name, sql) in MIGRATIONS {
            assert_eq!(sql, fs_err::read_to_string(format!("{folder}/{name}")).unwrap());
            assert!(all().contains(sql.trim_end()), "{name}");
        }
    }
}
