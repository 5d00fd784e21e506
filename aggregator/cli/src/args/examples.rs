//! The examples that each command's help ends with. Must hold only lines that parse: a test runs
//! the parser over each of them.

/// A line of the help: what it is for, and the arguments after the command's own path.
type Example = (&'static str, &'static str);

/// Path of each command below `inquest`, with its examples.
const EXAMPLES: [(&str, &[Example]); 12] = [
    (
        "why",
        &[
            ("Why did this process die?", "4242"),
            ("By cgroup, container id or incident id", "/shop/cart"),
            ("For a program", "inc-3f2a9c01d4e5 -o json"),
        ],
    ),
    (
        "profile",
        &[
            ("Why is it slow? Ten seconds tell", "/shop/cart"),
            ("A container, for a minute", "3f9d1b7c5a2e --for 1m"),
            (
                "On another node, by a forwarded port",
                "/shop/cart --agent http://127.0.0.1:17702",
            ),
        ],
    ),
    (
        "incident list",
        &[
            ("What is wrong now?", "--state open"),
            (
                "Fail a pipeline while anything is",
                "--state open --exit-code",
            ),
            (
                "All out-of-memory kills on one node",
                "--node n1 --cause memory-limit-oom",
            ),
        ],
    ),
    (
        "incident show",
        &[
            ("Everything, nothing left out", "inc-3f2a9c01d4e5"),
            ("As YAML", "inc-3f2a9c01d4e5 -o yaml"),
        ],
    ),
    (
        "signal list",
        &[
            ("The last quarter of an hour", "--since 15m"),
            (
                "Watch out-of-memory kills as they happen",
                "--follow --kind oom_kill",
            ),
            (
                "Everything of one process, one JSON object",
                "--pid 4242 -o json",
            ),
        ],
    ),
    (
        "node list",
        &[
            ("Which agents are connected, and what do they see?", ""),
            ("With kernels and losses", "-o wide"),
        ],
    ),
    (
        "status",
        &[
            ("Is the aggregator well?", ""),
            ("End with 10 while an incident is open", "--exit-code"),
        ],
    ),
    (
        "doctor",
        &[
            ("Check everything; ends with 1 when something fails", ""),
            ("Another aggregator", "--aggregator http://10.0.0.7:7700"),
        ],
    ),
    (
        "analyze",
        &[
            ("Explain a recorded case", "case.tar.gz"),
            ("The report as JSON", "case.tar.gz -o json"),
        ],
    ),
    (
        "bundle create",
        &[
            ("Record the last hour", "case.tar.gz"),
            (
                "The last ten minutes of one node, as a folder",
                "case --since 10m --node n1",
            ),
            ("One workload only", "case.tar.gz --cgroup /shop/cart"),
        ],
    ),
    (
        "version",
        &[
            ("This program and the aggregator", ""),
            ("Without asking the aggregator", "--client -o json"),
        ],
    ),
    (
        "completion",
        &[
            ("bash: put this line into ~/.bashrc as source <(…)", "bash"),
            ("zsh: write it to a folder of $fpath as _inquest", "zsh"),
            (
                "fish: write it to ~/.config/fish/completions/inquest.fish",
                "fish",
            ),
            (
                "PowerShell: pipe it to Out-String | Invoke-Expression",
                "powershell",
            ),
        ],
    ),
];

/// What the top of the tree shows.
const FIRST_STEPS: &str = "why 4242";

/// Adds its examples to every command, spelled with the name the program was called by.
pub(super) fn add(root: clap::Command, name: &str) -> clap::Command {
    let top = format!(
        "Examples:\n  {name} {FIRST_STEPS}\n  {name} incident list --state open\n  {name} doctor"
    );
    EXAMPLES
        .iter()
        .fold(root.after_help(top), |root, (path, examples)| {
            let mut words: Vec<&str> = path.split(' ').collect();
            words.reverse();
            add_below(root, &words, &section(name, path, examples))
        })
}

/// `path` is reversed: its last word is the next command down.
fn add_below(command: clap::Command, path: &[&str], text: &str) -> clap::Command {
    let Some((next, rest)) = path.split_last() else {
        return command.after_help(text.to_owned());
    };
    command.mut_subcommand(next, |child| add_below(child, rest, text))
}

fn section(name: &str, path: &str, examples: &[Example]) -> String {
    let lines = examples.iter().map(|(purpose, args)| {
        let line = format!("{name} {path} {args}");
        format!("\n  # {purpose}\n  {}", line.trim_end())
    });
    format!("Examples:{}", lines.collect::<String>())
}

/// Every example as path and arguments.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    EXAMPLES
        .iter()
        .flat_map(|(path, examples)| examples.iter().map(move |(_, args)| (*path, *args)))
}
