//! Field-by-field copies between the engine's incident and the outward one. Must lose nothing:
//! there and back is the same incident.

use inquest_engine::model as engine;

use super::{
    CauseChange, ChainLink, Entity, Evidence, Factor, Hypothesis, Incident, RootCause, RuledOut,
};

/// A stored or received incident that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    #[error("failed to read incident `{id}`: `{value}` is not a known {what}")]
    UnknownWord {
        id: String,
        what: &'static str,
        value: String,
    },
    #[error("failed to read incident `{id}`: `{value}` is not an evidence id such as `e1`")]
    EvidenceId { id: String, value: String },
}

pub(super) fn to_dto(incident: &engine::Incident) -> Incident {
    Incident {
        id: incident.id.0.clone(),
        fingerprint: incident.fingerprint.0.clone(),
        state: state_word(incident.state).to_owned(),
        severity: severity_word(incident.severity).to_owned(),
        opened_at: incident.opened_at.into(),
        last_seen_at: incident.last_seen_at.into(),
        resolved_at: incident.resolved_at.map(Into::into),
        occurrences: incident.occurrences,
        headline: incident.headline.clone(),
        explanation: incident.explanation.clone(),
        root_cause: RootCause {
            cause: incident.root_cause.cause.0.clone(),
            entity: entity_to_dto(&incident.root_cause.entity),
            confidence: incident.root_cause.confidence.get(),
        },
        hypotheses: incident.hypotheses.iter().map(hypothesis_to_dto).collect(),
        chain: incident.chain.iter().map(link_to_dto).collect(),
        evidence: incident.evidence.iter().map(evidence_to_dto).collect(),
        ruled_out: incident.ruled_out.iter().map(ruled_out_to_dto).collect(),
        impact: incident.impact.clone(),
        remediation: incident.remediation.clone(),
        coverage: incident.coverage.clone(),
        history: incident.history.iter().map(change_to_dto).collect(),
        aliases: incident.aliases.clone(),
        analysis: None,
    }
}

fn hypothesis_to_dto(hypothesis: &engine::Hypothesis) -> Hypothesis {
    let factor = |f: &engine::Factor| Factor {
        name: f.name.clone().into_owned(),
        value: f.value,
    };
    Hypothesis {
        cause: hypothesis.cause.0.clone(),
        entity: entity_to_dto(&hypothesis.entity),
        score: hypothesis.score.get(),
        factors: hypothesis.factors.iter().map(factor).collect(),
        supports: ids_to_dto(&hypothesis.supports),
        contradicts: ids_to_dto(&hypothesis.contradicts),
    }
}

fn link_to_dto(link: &engine::ChainLink) -> ChainLink {
    ChainLink {
        time: link.at.into(),
        entity: entity_to_dto(&link.entity),
        what: link.what.clone(),
        evidence: ids_to_dto(&link.evidence),
    }
}

fn evidence_to_dto(evidence: &engine::Evidence) -> Evidence {
    Evidence {
        id: id_word(evidence.id),
        source: evidence.source.as_str().to_owned(),
        entity: entity_to_dto(&evidence.entity),
        time: evidence.at.into(),
        text: evidence.text.clone(),
        signal: evidence.signal.as_ref().map(|id| id.0.clone()),
    }
}

fn ruled_out_to_dto(ruled_out: &engine::RuledOut) -> RuledOut {
    RuledOut {
        cause: ruled_out.cause.0.clone(),
        because: ruled_out.because.clone(),
        evidence: ids_to_dto(&ruled_out.evidence),
    }
}

fn change_to_dto(change: &engine::CauseChange) -> CauseChange {
    CauseChange {
        time: change.at.into(),
        from: change.from.0.clone(),
        to: change.to.0.clone(),
    }
}

fn entity_to_dto(entity: &engine::Entity) -> Entity {
    Entity {
        kind: entity.kind.as_str().to_owned(),
        namespace: entity.namespace.clone(),
        name: entity.name.clone(),
        container: entity.container.clone(),
        node: entity.node.0.clone(),
    }
}

fn ids_to_dto(ids: &[engine::EvidenceId]) -> Vec<String> {
    ids.iter().copied().map(id_word).collect()
}

fn id_word(id: engine::EvidenceId) -> String {
    format!("e{}", id.0)
}

const fn state_word(state: engine::IncidentState) -> &'static str {
    match state {
        engine::IncidentState::Open => "open",
        engine::IncidentState::Resolved => "resolved",
    }
}

const fn severity_word(severity: engine::Severity) -> &'static str {
    match severity {
        engine::Severity::Critical => "critical",
        engine::Severity::Warning => "warning",
        engine::Severity::Info => "info",
    }
}

pub(super) fn from_dto(incident: &Incident) -> Result<engine::Incident, IncidentError> {
    Reader { incident }.read()
}

/// Reads one incident; knows its id for the error message.
struct Reader<'a> {
    incident: &'a Incident,
}

impl Reader<'_> {
    fn read(&self) -> Result<engine::Incident, IncidentError> {
        let from = self.incident;
        Ok(engine::Incident {
            id: engine::IncidentId(from.id.clone()),
            fingerprint: engine::Fingerprint(from.fingerprint.clone()),
            state: self.state()?,
            severity: self.severity()?,
            opened_at: from.opened_at.into(),
            last_seen_at: from.last_seen_at.into(),
            resolved_at: from.resolved_at.map(Into::into),
            occurrences: from.occurrences,
            headline: from.headline.clone(),
            explanation: from.explanation.clone(),
            root_cause: engine::RootCause {
                cause: engine::CauseId(from.root_cause.cause.clone()),
                entity: self.entity(&from.root_cause.entity)?,
                confidence: engine::Confidence::new(from.root_cause.confidence),
            },
            hypotheses: each(&from.hypotheses, |h| self.hypothesis(h))?,
            chain: each(&from.chain, |l| self.link(l))?,
            evidence: each(&from.evidence, |e| self.evidence(e))?,
            ruled_out: each(&from.ruled_out, |r| self.ruled_out(r))?,
            impact: from.impact.clone(),
            remediation: from.remediation.clone(),
            coverage: from.coverage.clone(),
            history: from.history.iter().map(change).collect(),
            aliases: from.aliases.clone(),
        })
    }

    fn state(&self) -> Result<engine::IncidentState, IncidentError> {
        match self.incident.state.as_str() {
            "open" => Ok(engine::IncidentState::Open),
            "resolved" => Ok(engine::IncidentState::Resolved),
            other => Err(self.unknown("state", other)),
        }
    }

    fn severity(&self) -> Result<engine::Severity, IncidentError> {
        match self.incident.severity.as_str() {
            "critical" => Ok(engine::Severity::Critical),
            "warning" => Ok(engine::Severity::Warning),
            "info" => Ok(engine::Severity::Info),
            other => Err(self.unknown("severity", other)),
        }
    }

    fn entity(&self, entity: &Entity) -> Result<engine::Entity, IncidentError> {
        let kind = match entity.kind.as_str() {
            "Node" => engine::EntityKind::Node,
            "Pod" => engine::EntityKind::Pod,
            "Cgroup" => engine::EntityKind::Cgroup,
            "Process" => engine::EntityKind::Process,
            other => return Err(self.unknown("entity kind", other)),
        };
        Ok(engine::Entity {
            kind,
            namespace: entity.namespace.clone(),
            name: entity.name.clone(),
            container: entity.container.clone(),
            node: engine::NodeName(entity.node.clone()),
        })
    }

    fn hypothesis(&self, from: &Hypothesis) -> Result<engine::Hypothesis, IncidentError> {
        Ok(engine::Hypothesis {
            cause: engine::CauseId(from.cause.clone()),
            entity: self.entity(&from.entity)?,
            score: engine::Confidence::new(from.score),
            factors: from.factors.iter().map(factor).collect(),
            supports: self.ids(&from.supports)?,
            contradicts: self.ids(&from.contradicts)?,
        })
    }

    fn link(&self, from: &ChainLink) -> Result<engine::ChainLink, IncidentError> {
        Ok(engine::ChainLink {
            at: from.time.into(),
            entity: self.entity(&from.entity)?,
            what: from.what.clone(),
            evidence: self.ids(&from.evidence)?,
        })
    }

    fn evidence(&self, from: &Evidence) -> Result<engine::Evidence, IncidentError> {
        let source = match from.source.as_str() {
            "kernel" => engine::EvidenceSource::Kernel,
            "node" => engine::EvidenceSource::Node,
            "coverage" => engine::EvidenceSource::Coverage,
            other => return Err(self.unknown("evidence source", other)),
        };
        Ok(engine::Evidence {
            id: self.id(&from.id)?,
            source,
            entity: self.entity(&from.entity)?,
            at: from.time.into(),
            text: from.text.clone(),
            signal: from.signal.clone().map(engine::SignalId),
        })
    }

    fn ruled_out(&self, from: &RuledOut) -> Result<engine::RuledOut, IncidentError> {
        Ok(engine::RuledOut {
            cause: engine::CauseId(from.cause.clone()),
            because: from.because.clone(),
            evidence: self.ids(&from.evidence)?,
        })
    }

    fn ids(&self, words: &[String]) -> Result<Vec<engine::EvidenceId>, IncidentError> {
        each(words, |word| self.id(word))
    }

    fn id(&self, word: &str) -> Result<engine::EvidenceId, IncidentError> {
        let number = word
            .strip_prefix('e')
            .and_then(|digits| digits.parse().ok());
        number
            .map(engine::EvidenceId)
            .ok_or_else(|| IncidentError::EvidenceId {
                id: self.incident.id.clone(),
                value: word.to_owned(),
            })
    }

    fn unknown(&self, what: &'static str, value: &str) -> IncidentError {
        IncidentError::UnknownWord {
            id: self.incident.id.clone(),
            what,
            value: value.to_owned(),
        }
    }
}

fn each<T, U, E>(items: &[T], read: impl Fn(&T) -> Result<U, E>) -> Result<Vec<U>, E> {
    items.iter().map(read).collect()
}

fn factor(from: &Factor) -> engine::Factor {
    engine::Factor {
        name: from.name.clone().into(),
        value: from.value,
    }
}

fn change(from: &CauseChange) -> engine::CauseChange {
    engine::CauseChange {
        at: from.time.into(),
        from: engine::CauseId(from.from.clone()),
        to: engine::CauseId(from.to.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity() -> engine::Entity {
        engine::Entity {
            kind: engine::EntityKind::Cgroup,
            namespace: String::new(),
            name: "/shop/cart".into(),
            container: String::new(),
            node: engine::NodeName("n1".into()),
        }
    }

    fn incident() -> engine::Incident {
        let at = engine::Timestamp::from_nanos(1_780_000_000_000_000_001);
        let cause = engine::CauseId("memory-limit-oom".into());
        let confidence = engine::Confidence::new(0.1 + 0.2);
        engine::Incident {
            id: engine::IncidentId("inc-1".into()),
            fingerprint: engine::Fingerprint("n1/shop/cart".into()),
            state: engine::IncidentState::Resolved,
            severity: engine::Severity::Critical,
            opened_at: at,
            last_seen_at: at,
            resolved_at: Some(at),
            occurrences: 3,
            headline: "headline".into(),
            explanation: "explanation".into(),
            root_cause: engine::RootCause {
                cause: cause.clone(),
                entity: entity(),
                confidence,
            },
            hypotheses: vec![engine::Hypothesis {
                cause: cause.clone(),
                entity: entity(),
                score: confidence,
                factors: vec![engine::Factor {
                    name: "prior".into(),
                    value: 1.0 / 3.0,
                }],
                supports: vec![engine::EvidenceId(1)],
                contradicts: vec![engine::EvidenceId(12)],
            }],
            chain: vec![engine::ChainLink {
                at,
                entity: entity(),
                what: "what".into(),
                evidence: vec![engine::EvidenceId(1)],
            }],
            evidence: vec![engine::Evidence {
                id: engine::EvidenceId(1),
                source: engine::EvidenceSource::Kernel,
                entity: entity(),
                at,
                text: "text".into(),
                signal: Some(engine::SignalId("s-1".into())),
            }],
            ruled_out: vec![engine::RuledOut {
                cause: cause.clone(),
                because: "because".into(),
                evidence: vec![engine::EvidenceId(1)],
            }],
            impact: vec!["impact".into()],
            remediation: vec!["remediation".into()],
            coverage: vec!["coverage".into()],
            history: vec![engine::CauseChange {
                at,
                from: cause.clone(),
                to: cause,
            }],
            aliases: vec!["4242".into()],
        }
    }

    #[test]
    fn there_and_back_through_json_is_the_same_incident() {
        let json = serde_json::to_string(&Incident::from(&incident())).unwrap();
        let outward: Incident = serde_json::from_str(&json).unwrap();
        assert_eq!(engine::Incident::try_from(&outward).unwrap(), incident());
    }

    #[test]
    fn says_which_word_it_does_not_know() {
        let mut outward = Incident::from(&incident());
        outward.severity = "apocalyptic".into();
        let error = engine::Incident::try_from(&outward)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "failed to read incident `inc-1`: `apocalyptic` is not a known severity"
        );
    }

    #[test]
    fn refuses_an_evidence_id_that_is_none() {
        let mut outward = Incident::from(&incident());
        outward.chain[0].evidence = vec!["x1".into()];
        let error = engine::Incident::try_from(&outward).unwrap_err();
        assert!(matches!(error, IncidentError::EvidenceId { .. }), "{error}");
    }
}
