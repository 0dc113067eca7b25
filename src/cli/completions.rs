//! `tallyd completions`: the completion script of a shell.

use super::exit::ExitCode;
use super::{Cli, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Examples:
  tallyd completions bash > ~/.local/share/bash-completion/completions/tallyd
  tallyd completions zsh > ~/.zfunc/_tallyd
  tallyd completions fish > ~/.config/fish/completions/tallyd.fish";

/// Arguments of `tallyd completions`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    output::print_bytes(&script(args.shell))?;
    Ok(ExitCode::Done)
}

/// The script, in memory first: clap's generator panics when its writer fails.
fn script(shell: Shell) -> Vec<u8> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tallyd", &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(script(*shell)).unwrap();
            for word in ["weekly", "explain", "state-dir", "start-of-week"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }
}
