//! Starts an actor, listens to it and waits for its end. Must not judge what it did.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{ChildStdout, Command},
    time::timeout,
};

use super::{
    actor::{self, Said},
    check::{Check, Deed, NotPossible},
    scratch::Scratch,
};

/// Longest time for an act, generous for an emulated machine under load.
const ACT_DEADLINE: Duration = Duration::from_mins(1);
/// Bytes that an actor may say.
const MAX_SAID_BYTES: u64 = 64 << 10;

/// Has `check`'s act done in `scratch`, and tells what was done.
pub(super) async fn play(check: &Check, scratch: &Scratch) -> anyhow::Result<Deed> {
    let mut command = Command::from(actor::command(check.name, scratch.dirs())?);
    if check.place.network {
        command.arg("--network");
    }
    if check.place.init {
        command.arg("--init");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the actor")?;
    let stdout = child.stdout.take().context("the actor has no output")?;
    let whole = async {
        // Heard to the end of its output, which is the end of every process that has it.
        let said = Testimony::hear(stdout).await?;
        let ended = child.wait().await.context("failed to wait for the actor")?;
        anyhow::Ok((said, ended))
    };
    let (said, ended) = timeout(ACT_DEADLINE, whole)
        .await
        .map_err(|_elapsed| anyhow!("the actor did not end within {ACT_DEADLINE:?}"))??;
    if let Some(trouble) = said.trouble {
        return Err(trouble);
    }
    let (pid, netns) = said
        .acts
        .with_context(|| format!("the actor ended before it acted: {ended}"))?;
    Ok(Deed {
        pid,
        cgroup: scratch.path().to_owned(),
        netns,
        facts: said.facts,
        ended,
    })
}

/// All that an actor said.
#[derive(Debug, Default)]
struct Testimony {
    acts: Option<(u32, u64)>,
    facts: BTreeMap<String, String>,
    trouble: Option<anyhow::Error>,
}

impl Testimony {
    async fn hear(stdout: ChildStdout) -> anyhow::Result<Self> {
        let mut lines = BufReader::new(stdout.take(MAX_SAID_BYTES)).lines();
        let mut testimony = Self::default();
        while let Some(line) = lines
            .next_line()
            .await
            .context("failed to hear the actor")?
        {
            testimony.take(&line)?;
        }
        let room = lines.into_inner().into_inner().limit();
        ensure!(room > 0, "the actor said more than {MAX_SAID_BYTES} bytes");
        Ok(testimony)
    }

    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        let said = serde_json::from_str(line)
            .with_context(|| format!("failed to understand what the actor said: {line}"))?;
        match said {
            Said::Acts { pid, netns } => self.acts = Some((pid, netns)),
            Said::Fact { name, value } => drop(self.facts.insert(name, value)),
            Said::NotPossible(why) => self.trouble = Some(NotPossible(why).into()),
            Said::Failed(why) => self.trouble = Some(anyhow!("the act went wrong: {why}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_who_acts_the_facts_and_the_trouble() {
        let mut testimony = Testimony::default();
        for said in [
            Said::Acts { pid: 4, netns: 5 },
            Said::Fact {
                name: "port".to_owned(),
                value: "80".to_owned(),
            },
            Said::NotPossible("no such device".to_owned()),
        ] {
            let line = serde_json::to_string(&said).unwrap();
            testimony.take(&line).unwrap();
        }
        assert_eq!(testimony.acts, Some((4, 5)));
        assert_eq!(testimony.facts["port"], "80");
        assert!(testimony.trouble.unwrap().is::<NotPossible>());
        assert!(Testimony::default().take("inquest-agent 0.1.0").is_err());
    }
}
