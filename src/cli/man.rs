//! `tallyd man`: the man pages, made from the same text as `--help`.

use super::exit::ExitCode;
use super::{Cli, output};
use anyhow::Context;
use clap::{Args, Command, CommandFactory, ValueHint};
use clap_mangen::Man;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  tallyd man | man -l -                                  read the main page
  tallyd man --dir ~/.local/share/man/man1               install all pages";

/// Arguments of `tallyd man`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ManArgs {
    /// Write a page for each command into this folder, which is made where it is missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Prints the main page, or writes all pages.
pub fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.dir {
        Some(folder) => write_all(folder)?,
        None => output::print_bytes(&main_page()?)?,
    }
    Ok(ExitCode::Done)
}

fn command() -> Command {
    Cli::command().disable_help_subcommand(true)
}

fn main_page() -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command()).render(&mut page).context("the man page cannot be made")?;
    Ok(page)
}

fn write_all(folder: &Path) -> anyhow::Result<()> {
    let failed = || format!("the man pages cannot be written into {}", folder.display());
    fs_err::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(command(), folder).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_page_has_the_examples() {
        let page = String::from_utf8(main_page().unwrap()).unwrap();
        assert!(page.starts_with(".ie") && page.contains(".TH tallyd 1"), "{page:.80}");
        assert!(page.contains("tallyd blocks \\-\\-active"), "{page}");
    }

    #[test]
    fn each_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write_all(&folder.path().join("new/man1")).unwrap();
        let mut names: Vec<_> = fs_err::read_dir(folder.path().join("new/man1"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        insta::assert_snapshot!(names.join("\n"), @"
        tallyd-blocks.1
        tallyd-check.1
        tallyd-completions.1
        tallyd-daily.1
        tallyd-explain.1
        tallyd-man.1
        tallyd-metrics.1
        tallyd-model.1
        tallyd-monthly.1
        tallyd-prices.1
        tallyd-project.1
        tallyd-publish.1
        tallyd-reassign.1
        tallyd-reconcile.1
        tallyd-restore.1
        tallyd-run.1
        tallyd-scan.1
        tallyd-schema.1
        tallyd-service-install.1
        tallyd-service-logs.1
        tallyd-service-status.1
        tallyd-service-uninstall.1
        tallyd-service.1
        tallyd-session.1
        tallyd-status.1
        tallyd-verify.1
        tallyd-weekly.1
        tallyd.1
        ");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write_all(&file.path().join("man1")).unwrap_err();
        assert!(error.to_string().contains("man1"), "{error:#}");
    }
}
