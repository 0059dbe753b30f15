//! DecideFact: what no source confirms is settled by somebody named, and a new version of the procedure says it.

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_directory::UnitKind;
use egov_proto::egov::onestop::v1::{DecideFactRequest, DecideFactResponse};
use jiff::civil::Date;
use uuid::Uuid;

use super::OneStop;
use crate::domain::listing::{Decided, NewVersion, Origin, Versioned};
use crate::domain::pack::{Decision, Decisions, Profile, Subject, apply_decisions};
use crate::error::Error;
use crate::store::{decisions, procedures};

const METHOD: &str = "egov.onestop.v1.ProcedureService/DecideFact";

/// The kind of the leaves of decisions.
pub(crate) const LEAF_KIND: &str = "procedure_decision";

fn facts(decided: &Decided) -> serde_json::Value {
    serde_json::json!({
        "procedure_code": decided.procedure_code,
        "version": decided.version,
        "kind": decided.kind,
        "paths": decided.paths,
        "effective_from": decided.effective_from.to_string(),
    })
}

/// The bytes to which the leaf of a decision commits.
pub(crate) fn canonical(decided: &Decided) -> Result<Vec<u8>, Error> {
    Ok(serde_json::to_vec(&serde_json::json!({
        "decision": facts(decided), "value": decided.value, "by": decided.decided_by, "basis": decided.basis,
        "note": decided.note,
    }))
    .map_err(egov_fault::Fault::internal)?)
}

/// What a caller decides, decoded and validated.
pub(crate) struct Ruling {
    pub(crate) procedure_code: String,
    pub(crate) subject: Subject,
    pub(crate) basis: String,
    pub(crate) note: String,
    pub(crate) effective_from: Date,
}

/// Who decides beside what: a caller, or a decisions file.
pub(crate) struct Decider {
    pub(crate) by: String,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) when: Date,
    pub(crate) demonstration: bool,
    pub(crate) supersede: bool,
    pub(crate) source_sha256: Option<Vec<u8>>,
}

impl OneStop {
    /// Decides a fact of the latest version. `ruling` is what the caller decides about it.
    pub(crate) async fn decide_fact(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &DecideFactRequest,
        ruling: impl FnOnce(&Versioned) -> Result<Ruling, egov_fault::Fault> + Send,
        answer: impl FnOnce(&Versioned, &Decided) -> DecideFactResponse + Send,
    ) -> Result<DecideFactResponse, Error> {
        let today = self.clock.today();
        let units = self.directory.units();
        let province = units.on(today).find(|unit| unit.kind == UnitKind::Province);
        // A decision is about the whole province, so whoever decides is somebody there.
        let province = Resource {
            unit: Some(province.map_or(0, |unit| unit.id)),
            owner: None,
            assignee: None,
        };
        caller.require("onestop.procedures.decide", &province)?;
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            RowScope::none(),
            METHOD,
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                procedures::hold(unit.conn(), &body.procedure_code).await?;
                let latest = procedures::latest(unit.conn(), &body.procedure_code)
                    .await?
                    .ok_or_else(|| Error::ProcedureNotFound(body.procedure_code.clone()))?;
                if latest.etag() != body.etag {
                    return Err(Error::ProcedureChanged);
                }
                let ruling = ruling(&latest)?;
                let decider = Decider {
                    by: caller.principal.subject.to_string(),
                    actor_id: Some(caller.principal.subject),
                    when: unit.today(),
                    // What is decided in a demonstration binds nobody in production.
                    demonstration: self.profile == Profile::Demo,
                    supersede: true,
                    source_sha256: None,
                };
                let (versioned, decided) = add_version(unit, &latest, &ruling, decider).await?;
                Ok::<_, Error>(answer(&versioned, &decided))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// Makes the version that follows `latest` by this ruling, and records who decided it. The one rule for callers and files.
pub(crate) async fn add_version(
    unit: &mut UnitOfWork<'_>,
    latest: &Versioned,
    ruling: &Ruling,
    decider: Decider,
) -> Result<(Versioned, Decided), Error> {
    // Versions follow one another in time as they do by number; a case filed yesterday keeps the one of yesterday.
    let earliest = unit.today().max(latest.effective_from);
    if ruling.effective_from < earliest {
        return Err(Error::EffectiveTooEarly(earliest));
    }
    if latest.effective_to.is_some_and(|end| end <= ruling.effective_from) {
        return Err(Error::ProcedureNotFound(ruling.procedure_code.clone()));
    }
    let mut procedure = latest.procedure.clone();
    procedure.version = latest.version;
    let paths = ruling.subject.paths(&procedure);
    let said = Decisions {
        by: decider.by.clone(),
        when: decider.when,
        basis: ruling.basis.clone(),
        demonstration: decider.demonstration,
        decisions: vec![Decision {
            procedure: procedure.code.clone(),
            version: latest.version,
            what: ruling.subject.clone(),
            basis: None,
        }],
        supersede: decider.supersede,
    };
    apply_decisions(&mut procedure, &said)?;
    procedure.version = latest.version + 1;
    let content = serde_json::to_vec(&procedure).map_err(egov_fault::Fault::internal)?;
    let new = NewVersion {
        versioned: Versioned {
            version: procedure.version,
            effective_from: ruling.effective_from,
            effective_to: latest.effective_to,
            procedure,
        },
        origin: Origin::Decision,
        content_sha256: super::import::sha256(&content),
    };
    let now = unit.now();
    let decided = Decided {
        procedure_code: ruling.procedure_code.clone(),
        version: new.versioned.version,
        decision_id: unit.new_id(),
        kind: ruling.subject.kind().as_str().to_owned(),
        paths,
        value: serde_json::to_value(&ruling.subject).map_err(egov_fault::Fault::internal)?,
        decided_by: decider.by,
        actor_id: decider.actor_id,
        basis: ruling.basis.clone(),
        note: ruling.note.clone(),
        effective_from: ruling.effective_from,
        decide_time: now,
        source_sha256: decider.source_sha256,
        superseded: false,
    };
    procedures::insert(unit.conn(), std::slice::from_ref(&new), now).await?;
    decisions::insert(unit.conn(), &decided).await?;
    let canonical = canonical(&decided)?;
    let payload = facts(&decided);
    unit.publish(Event {
        aggregate_kind: "procedure_decision",
        aggregate_id: decided.decision_id,
        version: 1,
        kind: "fact_decided",
        payload,
    });
    unit.leaf(Leaf {
        kind: LEAF_KIND,
        resource: decided.decision_id,
        version: 1,
        canonical: &canonical,
    });
    Ok((new.versioned, decided))
}
