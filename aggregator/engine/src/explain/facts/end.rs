//! The facts of how a process ended: who sent the signal, the exit, the end of its container. Must
//! not say why.

use super::{Fact, FactKind};
use crate::correlate::death::{Death, Observed};
use crate::correlate::workload::label;
use crate::explain::quote::clean;
use crate::explain::signal_name::signal_name;
use crate::model::signal::{FatalSignal, SignalOrigin};
use crate::model::{EntityKind, EvidenceSource, Signal};

/// Words what was recorded of the end itself.
pub(super) fn facts(death: &Death<'_>) -> impl Iterator<Item = Fact> {
    let sender = death.killer().map(|fatal| sender(death, fatal));
    [sender, exit(death), init_exit(death)]
        .into_iter()
        .flatten()
}

fn sender(death: &Death<'_>, fatal: Observed<'_, FatalSignal>) -> Fact {
    let record = fatal.record;
    let signal = signal_name(record.signal);
    let victim = death.victim();
    let text = match (record.origin, &record.sender) {
        (SignalOrigin::Kernel, _) => format!("The kernel itself sent {signal} to {victim}"),
        (SignalOrigin::User, Some(sender)) => {
            let from = record
                .sender_cgroup
                .as_ref()
                .and_then(|cgroup| cgroup.path.as_deref())
                .map_or_else(String::new, |path| format!(" from cgroup {}", clean(path)));
            format!("{}{from} sent {signal} to {victim}", label(sender))
        }
        (SignalOrigin::User, None) => {
            format!("A process that could not be named sent {signal} to {victim}")
        }
        (SignalOrigin::Fault, _) => match record.fault_address {
            Some(address) => {
                format!("A fault of {victim} at address {address:#x} raised {signal}")
            }
            None => format!("A fault of {victim} raised {signal}"),
        },
        (SignalOrigin::Unknown, _) => {
            format!("{victim} got {signal} from where could not be told")
        }
    };
    Fact {
        kind: FactKind::Sender,
        source: EvidenceSource::Kernel,
        entity: death.victim_entity(),
        at: fatal.at,
        text: format!("{text} (si_code {})", record.code),
        signal: Some(fatal.signal.id.clone()),
    }
}

fn exit(death: &Death<'_>) -> Option<Fact> {
    let exit = death.exit?;
    let workload = death.workload_entity();
    let place = match workload.kind {
        EntityKind::Cgroup => format!(" in cgroup {}", workload.name),
        _ => String::new(),
    };
    let text = if exit.record.signal == 0 {
        format!(
            "{}{place} ended by itself with exit code {}",
            death.victim(),
            exit.record.code
        )
    } else {
        let core = if exit.record.core_dumped {
            " and left a core dump"
        } else {
            ""
        };
        format!(
            "{}{place} ended by {}{core}",
            death.victim(),
            signal_name(exit.record.signal)
        )
    };
    Some(Fact {
        kind: FactKind::Exit,
        source: EvidenceSource::Kernel,
        entity: death.victim_entity(),
        at: exit.at,
        text,
        signal: Some(exit.signal.id.clone()),
    })
}

fn init_exit(death: &Death<'_>) -> Option<Fact> {
    let init = death.init_exit?;
    Some(Fact {
        kind: FactKind::InitExit,
        source: EvidenceSource::Kernel,
        entity: death.workload_entity(),
        at: init.at,
        text: format!(
            "Process 1 of the container, {}, ended too",
            process_of(init.signal)
        ),
        signal: Some(init.signal.id.clone()),
    })
}

fn process_of(signal: &Signal) -> String {
    signal
        .subject
        .process
        .as_ref()
        .map_or_else(|| "an unknown process".to_owned(), label)
}
