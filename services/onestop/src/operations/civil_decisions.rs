//! Quyết định hộ tịch: DecideCivilCase, ListCivilDecisions, RecordCivilEntry, ReturnCivilDecision.
//!
//! The civil registry asks what waits, and tells what it entered. Both may be repeated: a decision is answered once, under the lock of its case's row,
//! and what is answered is not listed again.

use egov_auth::Caller;
use egov_database::{Page, UnitOfWork, WriteRequest};
use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1::{DecideCivilCaseRequest, DecideCivilCaseResponse};
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Doer, Facts, READ, Recorded, Target, Version, attach, resource};
use crate::domain::case::{Case, CaseResult};
use crate::domain::civil_decision::{CivilDecision, DECIDE, DecisionState, Entered, RETURN_DECISION, Signing};
use crate::domain::definition::Done;
use crate::domain::listing::OUTCOME;
use crate::domain::statistics::day_of;
use crate::error::Error;
use crate::store::{Visible, civil_decisions};

/// The permission by which a caller answers a decision.
pub(crate) const ANSWER: &str = "onestop.civil_decisions.answer";

/// The permission by which a caller sees that decisions wait.
const READ_DECISIONS: &str = "onestop.civil_decisions.read";

/// Phê duyệt, into a book.
pub(crate) const DECISION: Act = Act {
    operation: DECIDE,
    event: "case_decided",
    permission: "onestop.cases.approve",
    method: "egov.onestop.v1.CivilDecisionService/DecideCivilCase",
    version: Version::OfTheCase,
};

/// Đã vào sổ: the case is approved by it.
const ENTRY: Act = Act {
    operation: "approve",
    event: "case_approved",
    permission: ANSWER,
    method: "egov.onestop.v1.CivilDecisionService/RecordCivilEntry",
    version: Version::OfTheCase,
};

/// Trả lại quyết định.
pub(crate) const RETURN: Act = Act {
    operation: RETURN_DECISION,
    event: "case_decision_returned",
    permission: ANSWER,
    method: "egov.onestop.v1.CivilDecisionService/ReturnCivilDecision",
    version: Version::OfTheCase,
};

/// Which decision a request is about, and which request it is.
pub(crate) struct Answered<'a, M> {
    pub(crate) request_id: Uuid,
    pub(crate) body: &'a M,
    pub(crate) decision_id: Uuid,
}

/// What the registry says of a decision.
pub(crate) enum Answer {
    /// Đã vào sổ.
    Entered(Entered),
    /// Trả lại, with its reason.
    Returned(String),
}

/// The decision of a case that goes into a book.
fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    goes_into_book: bool,
    details: serde_json::Value,
) -> Result<Recorded, Error> {
    if !goes_into_book {
        return Err(Fault::invalid(vec![Violation {
            field: "case_id".to_owned(),
            rule: "value".to_owned(),
            vi: "thủ tục này không ghi vào sổ hộ tịch".to_owned(),
            en: "this procedure goes into no book of civil status".to_owned(),
        }])
        .into());
    }
    case.decide(facts.transitions, facts.now)?;
    Ok(Recorded {
        details,
        ..Recorded::default()
    })
}

impl OneStop {
    /// Records the decision of a case that goes into a book.
    pub(crate) async fn decide_for_book(
        &self,
        caller: &Caller,
        target: Target<'_, DecideCivilCaseRequest>,
        signing: Signing,
        answer: impl FnOnce(&CivilDecision, &Case) -> DecideCivilCaseResponse + Send,
    ) -> Result<DecideCivilCaseResponse, Error> {
        let visible_scope = caller.scope(READ);
        let visible = Visible::from(&visible_scope);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            visible_scope,
            DECISION.method,
            target.request_id,
            target.body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let before = self
                    .case_to_change(unit, caller, &DECISION, target.case_id, &visible)
                    .await?;
                if target.etag.is_some_and(|etag| !before.etag_matches(etag)) {
                    return Err(Error::StaleEtag);
                }
                let (decision_id, today, now) = (unit.new_id(), unit.today(), unit.now());
                let goes_into_book = self.books.result_of(&before.procedure_code, today).is_some();
                let details = serde_json::json!({ "decision_id": decision_id, "number": signing.number });
                let reason = &target.body.reason;
                let applied = self
                    .apply(unit, caller, &DECISION, &before, |case, facts| {
                        let recorded = judge(case, facts, goes_into_book, details)?;
                        Ok(Recorded {
                            reason: reason.clone(),
                            ..recorded
                        })
                    })
                    .await?;
                let case = applied.case;
                let decision = CivilDecision {
                    decision_id,
                    case_id: case.case_id,
                    case_code: case.case_code.clone(),
                    procedure_code: case.procedure_code.clone(),
                    responsible_unit_id: case.responsible_unit_id,
                    decision_date: today,
                    signing,
                    state: DecisionState::Waiting,
                    before: (before.step.clone(), before.step_outcome.clone()),
                    record_time: now,
                };
                civil_decisions::insert(unit.conn(), &decision, caller.principal.subject).await?;
                Ok::<_, Error>(answer(&decision, &case))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Whether a case of this procedure goes into a book if it is decided now.
    pub(super) fn goes_into_book(&self, case: &Case, facts: &Facts<'_>) -> bool {
        self.books.result_of(&case.procedure_code, day_of(facts.now)).is_some()
    }

    /// One page of the decisions that wait.
    pub(crate) async fn list_civil_decisions(
        &self,
        caller: &Caller,
        page: Page<Uuid>,
    ) -> Result<(Vec<CivilDecision>, String), Error> {
        let scope = caller.scope(READ_DECISIONS);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied().unwrap_or_default(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(civil_decisions::waiting(connection, &visible, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |decision: &CivilDecision| decision.decision_id)?)
    }

    /// Answers a decision that waits, once: its case is completed with the entry, or stands where it stood before. The case's row is held first, then
    /// the decision is looked at.
    pub(crate) async fn answer_civil_decision<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Answered<'_, M>,
        said: Answer,
        answer: impl FnOnce(&CivilDecision) -> R + Send,
    ) -> Result<R, Error> {
        let (act, state, entry_id) = match &said {
            Answer::Entered(entered) => (&ENTRY, DecisionState::Entered, Some(entered.entry_id)),
            Answer::Returned(_) => (&RETURN, DecisionState::Returned, None),
        };
        let uploader = caller.principal.record_owner();
        let mut scope = caller.scope(ANSWER);
        let visible = Visible::from(&scope);
        // The transaction also sees the caller's own uploads, which the case may be given.
        scope.owner.get_or_insert(uploader);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            act.method,
            asked.request_id,
            asked.body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let decision = civil_decisions::get(unit.conn(), asked.decision_id, &visible)
                    .await?
                    // Not that it waits no longer: whoever asks would take that for done.
                    .ok_or(Error::CaseNotFound)?;
                let before = self
                    .case_to_change(unit, caller, act, decision.case_id, &visible)
                    .await?;
                let now = unit.now();
                let closed = (decision.decision_id, state);
                if !before.awaits_book() || !civil_decisions::close(unit.conn(), closed, entry_id, now).await? {
                    return Err(Error::CivilDecisionNotWaiting);
                }
                let doer = Doer::of(caller, ANSWER, &resource(&before));
                match said {
                    Answer::Entered(entered) => {
                        let file_ids: Vec<Uuid> = entered.file_id.into_iter().collect();
                        let kept = self.books.result_of(&before.procedure_code, decision.decision_date);
                        let code = kept.ok_or_else(|| Error::ResultUnknown(before.procedure_code.clone()))?;
                        let details = serde_json::json!({
                            "results": [code],
                            "decision_id": decision.decision_id,
                            "entry_id": entered.entry_id,
                            "registration_date": entered.registration_date,
                        });
                        let result = CaseResult {
                            result_code: code.to_owned(),
                            number: entered.printed_number,
                            file_id: entered.file_id,
                            versions: Vec::new(),
                        };
                        let applied = self
                            .apply_as(unit, doer, act, &before, |case, facts| {
                                case.approve(facts.transitions, facts.now, vec![result])?;
                                Ok(Recorded {
                                    details,
                                    ..Recorded::default()
                                })
                            })
                            .await?;
                        attach(unit, &applied.case, uploader, &file_ids).await?;
                    }
                    Answer::Returned(reason) => {
                        let (step, outcome) = (decision.before.0.as_str(), decision.before.1.as_str());
                        let mut details = serde_json::Map::new();
                        details.insert("decision_id".to_owned(), decision.decision_id.to_string().into());
                        if !outcome.is_empty() {
                            details.insert(OUTCOME.to_owned(), outcome.into());
                        }
                        self.apply_as(unit, doer, act, &before, |case, facts| {
                            case.take_decision_back(facts.now, Done { step, outcome });
                            Ok(Recorded {
                                reason,
                                details: details.into(),
                                ..Recorded::default()
                            })
                        })
                        .await?;
                    }
                }
                Ok::<_, Error>(answer(&CivilDecision { state, ..decision }))
            })
            .await?;
        Ok(written.into_answer())
    }
}
