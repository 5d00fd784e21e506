//! Color: whether there is any, and which. Must never carry meaning that the words do not.

use crate::args::ColorWhen;

/// What a piece of text is, which decides its color.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Good,
    Warning,
    Bad,
    Faint,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Strong => "1",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Faint => "2",
        }
    }

    /// The style of a word that names a state, severity or verdict.
    pub(crate) fn of_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "open" | "critical" | "fail" | "failing" => Self::Bad,
            "warning" | "warn" | "disconnected" => Self::Warning,
            "resolved" | "ok" | "connected" => Self::Good,
            _ => Self::Plain,
        }
    }
}

/// Colors text, or leaves it as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// No color.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);

    /// Decides from the flag, the environment and whether a terminal reads.
    pub(crate) fn decide(when: ColorWhen, terminal: bool) -> Self {
        Self(wanted(when, terminal, |name| std::env::var(name).ok()))
    }

    /// The text in its style.
    pub(crate) fn apply(self, style: Style, text: &str) -> String {
        if self.0 && style != Style::Plain && !text.is_empty() {
            format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
        } else {
            text.to_owned()
        }
    }
}

fn wanted(when: ColorWhen, terminal: bool, var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| var(name).is_some_and(|value| !value.is_empty());
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if set("NO_COLOR") => false,
        ColorWhen::Auto if set("CLICOLOR_FORCE") => var("CLICOLOR_FORCE").as_deref() != Some("0"),
        ColorWhen::Auto => terminal && var("TERM").as_deref() != Some("dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_flag_then_environment_then_terminal() {
        type Environment = &'static [(&'static str, &'static str)];
        let cases: [(ColorWhen, bool, Environment, bool); 10] = [
            (ColorWhen::Auto, true, &[], true),
            (ColorWhen::Auto, false, &[], false),
            (ColorWhen::Auto, true, &[("NO_COLOR", "1")], false),
            (ColorWhen::Auto, true, &[("NO_COLOR", "")], true),
            (ColorWhen::Auto, true, &[("TERM", "dumb")], false),
            (ColorWhen::Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (ColorWhen::Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (
                ColorWhen::Auto,
                true,
                &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
                false,
            ),
            (ColorWhen::Always, false, &[("NO_COLOR", "1")], true),
            (ColorWhen::Never, true, &[("CLICOLOR_FORCE", "1")], false),
        ];
        for (when, terminal, environment, expected) in cases {
            let var = |name: &str| {
                let found = environment.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(
                wanted(when, terminal, var),
                expected,
                "{when:?} {terminal} {environment:?}"
            );
        }
    }
}
