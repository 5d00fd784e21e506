//! Help and completion: narrow enough, with examples, without any network.

use crate::run::inquest;

const COMMANDS: [&str; 15] = [
    "",
    "why",
    "profile",
    "incident",
    "incident list",
    "incident show",
    "signal list",
    "node list",
    "status",
    "doctor",
    "analyze",
    "bundle",
    "bundle create",
    "version",
    "completion",
];

#[test]
fn every_help_fits_100_columns_and_shows_an_example() {
    for command in COMMANDS {
        let text = inquest(command)
            .arg("--help")
            .env("COLUMNS", "300")
            .run()
            .quietly();
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
        let is_group = matches!(command, "incident" | "bundle");
        assert!(
            is_group || text.contains("\nExamples:\n"),
            "{command}: {text}"
        );
    }
}

#[test]
fn completion_is_made_for_each_shell() {
    for (shell, sign) in [
        ("bash", "complete -F _inquest"),
        ("zsh", "#compdef inquest"),
        ("fish", "complete -c inquest"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = inquest("completion").arg(shell).run().quietly();
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("incident"), "{shell}");
    }
}

#[test]
fn the_version_flag_needs_no_aggregator() {
    let expected = format!("inquest {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(inquest("--version").run().quietly(), expected);
}

#[test]
fn the_manual_names_every_command() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    for command in COMMANDS.iter().filter(|command| !command.is_empty()) {
        assert!(manual.contains(&format!("`inquest {command}")), "{command}");
    }
}
