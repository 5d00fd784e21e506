//! A firewall rule that drops, and counts what it drops: the harness's own count of drops.

use anyhow::Context as _;

use super::Namespaces;
use crate::tool::Tool;

/// Where packets meet the rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// What comes in for a process here.
    Input,
    /// What a process here sends.
    Output,
}

/// A rule of a network namespace, gone with it.
#[derive(Debug)]
pub struct DropRule;

impl DropRule {
    /// Drops what goes to a port, `protocol` being `tcp` or `udp`.
    pub fn add(at: &Namespaces, hook: Hook, protocol: &str, port: u16) -> anyhow::Result<Self> {
        let hook = match hook {
            Hook::Input => "input",
            Hook::Output => "output",
        };
        let rules = format!(
            "add table inet inquest; \
             add chain inet inquest drops {{ type filter hook {hook} priority 0; }}; \
             add rule inet inquest drops {protocol} dport {port} counter drop"
        );
        at.run(Tool::Nft, &[&rules])?;
        Ok(Self)
    }

    /// How many packets it has dropped, by the kernel's own counter.
    pub fn dropped(&self, at: &Namespaces) -> anyhow::Result<u64> {
        let rules = at.run(Tool::Nft, &["list", "table", "inet", "inquest"])?;
        packets(&rules).with_context(|| format!("no counter in `{rules}`"))
    }
}

fn packets(rules: &str) -> Option<u64> {
    let (_, counted) = rules.split_once("counter packets ")?;
    counted.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counter_of_a_rule() {
        let rules = "chain drops {\n\t\tudp dport 9 counter packets 12 bytes 1104 drop\n\t}\n";
        assert_eq!(packets(rules), Some(12));
        assert_eq!(packets("chain drops { }"), None);
    }
}
