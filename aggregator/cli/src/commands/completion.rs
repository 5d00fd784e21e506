//! `inquest completion SHELL`. Must work without network and configuration.

use clap_complete::aot;

use super::Outcome;
use crate::args::{self, CompletionArgs, Shell};
use crate::failure::Exit;
use crate::output;

pub(crate) fn run(args: &CompletionArgs) -> Outcome {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
        Shell::Power => aot::Shell::PowerShell,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut args::command("inquest"), "inquest", &mut script);
    output::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
