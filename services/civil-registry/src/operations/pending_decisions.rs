//! Decisions of one-stop: how they are taken and entered by the registry itself, and answered; ListPendingDecisions, SettlePendingDecision,
//! ReturnPendingDecision.
//!
//! Every step can be repeated, and whoever is killed between two of them is followed by whoever comes next: a decision is kept once by its id; it is
//! entered in the transaction that says so in its row, which is held; the certificate is issued under a request id of the entry; one-stop answers a
//! repetition as it answered first.

use std::collections::HashSet;
use std::sync::Arc;

use egov_auth::{Assurance, Caller, CallerKind, Principal, Resource, RoleAt, RowScope};
use egov_clock::Clock as _;
use egov_database::{Event, Page, UnitOfWork};
use egov_fault::{Code, Fault};
use prost::Message;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::registration::{REGISTER, Signing};
use super::{Asked, CivilRegistry, READ_ENTRIES, WantedBirth, WantedDeath, WantedMarriage, WantedPaper};
use crate::cases::{CertificateFile, ToldEntry};
use crate::domain::birth::Birth;
use crate::domain::book::EventKind;
use crate::domain::death::Death;
use crate::domain::entry::{Details, Entry, printed_number};
use crate::domain::finding::Decision;
use crate::domain::marriage::Marriage;
use crate::domain::paper::PaperKind;
use crate::domain::pending_decision::{Decided, KeptFinding, PendingDecision, PendingState};
use crate::error::Error;
use crate::paper_error::PaperError;
use crate::store::{entries, pending_decisions};

/// The permission by which a caller sees what waits.
pub(crate) const READ_DECISIONS: &str = "civil_registry.decisions.read";

/// In whose role the registry enters what a commune decided: no more than its officer may.
const REGISTRAR: &str = "civil_status_officer";

/// For what.
const PURPOSE: &str = "civil_status_registration";

/// Of events.
const KIND: &str = "civil_decision";

/// So many are worked on at a time.
const BATCH: i64 = 50;

/// What is entered.
pub(crate) enum What {
    Birth(Box<Birth>),
    Marriage(Box<Marriage>),
    Death(Box<Death>),
}

impl What {
    const fn event(&self) -> EventKind {
        match self {
            Self::Birth(_) => EventKind::Birth,
            Self::Marriage(_) => EventKind::Marriage,
            Self::Death(_) => EventKind::Death,
        }
    }
}

/// What an officer says beside what the decision says.
pub(crate) struct Settling {
    /// What is entered; none to read it from the e-form of the case.
    pub(crate) what: Option<What>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) note: String,
}

/// Where a page of the list begins: after this one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AfterDecision {
    unit_id: i32,
    decision_id: Uuid,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Decisions that are new here.
    pub(crate) kept: usize,
    /// Decisions that were entered.
    pub(crate) entered: usize,
    /// Decisions that wait for an officer since this round.
    pub(crate) refused: usize,
    /// Decisions of which one-stop knows now.
    pub(crate) answered: usize,
    /// Decisions that failed; they come again.
    pub(crate) failed: usize,
}

/// What stood in the way, as it is kept; nothing if it is no answer to what was decided, but a fault that passes.
fn findings_of(error: Error) -> Result<Vec<KeptFinding>, Error> {
    if let Error::Store(_) = error {
        return Err(error);
    }
    let fault = Fault::from(error);
    let is_answer = matches!(
        fault.code(),
        Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound
    );
    if !is_answer {
        return Err(fault.into());
    }
    let violations = fault.violations();
    if violations.is_empty() {
        return Ok(vec![KeptFinding {
            code: fault.reason().to_owned(),
            field: String::new(),
            vi: fault.vi().to_owned(),
            en: fault.en().to_owned(),
        }]);
    }
    let kept = violations.iter().map(|one| KeptFinding {
        code: one.rule.clone(),
        field: one.field.clone(),
        vi: one.vi.clone(),
        en: one.en.clone(),
    });
    Ok(kept.collect())
}

/// By whom the certificate is received: who asked for the registration, of a marriage the husband.
fn recipient(entry: &Entry) -> String {
    let name = match &entry.content.details {
        Details::Birth(birth) => birth.requester.as_ref().map(|requester| &requester.full_name),
        Details::Death(death) => death.requester.as_ref().map(|requester| &requester.full_name),
        Details::Marriage(marriage) => Some(&marriage.husband.person.full_name),
        _ => None,
    };
    // Whoever hands it over knows to whom; somebody is named.
    name.map_or_else(|| entry.content.performer_name.clone(), |name| name.as_str().to_owned())
}

impl CivilRegistry {
    /// The registry as it acts for a commune by itself, on what that commune decided.
    fn registrar(&self, unit_id: i32) -> Caller {
        let now = self.clock.now();
        let principal = Principal {
            subject: Uuid::nil(),
            kind: CallerKind::System,
            issuer: String::new(),
            name_hint: None,
            unit: None,
            roles: vec![RoleAt {
                role: REGISTRAR.to_owned(),
                unit: unit_id,
            }],
            delegated: Vec::new(),
            assurance: Assurance::None,
            client_id: None,
            certificate: None,
            on_behalf_of: None,
            session: None,
            token_id: String::new(),
            key_id: String::new(),
            issued_at: now,
            expires_at: now,
        };
        Caller::new(Arc::new(principal), Some(PURPOSE.to_owned()), Arc::clone(&self.access))
    }

    /// One round: what waits at one-stop is kept, what was kept is tried, and what was entered or given back is told. A failure that concerns one
    /// decision is logged, and the decision comes again.
    ///
    /// # Errors
    /// One-stop is away, or the database.
    pub(crate) async fn take_decisions(&self) -> Result<Taken, Error> {
        let kept = self.keep_waiting().await?;
        let mut taken = Taken {
            kept,
            ..Taken::default()
        };
        let everything = RowScope::everything();
        let mut after = Uuid::nil();
        loop {
            let page = self
                .database
                .read(&everything, async |connection| {
                    Ok::<_, Error>(pending_decisions::untried(connection, after, BATCH).await?)
                })
                .await?;
            let Some(last) = page.last() else { break };
            after = last.decided.decision_id;
            for pending in page {
                let decision_id = pending.decided.decision_id;
                match Box::pin(self.try_decision(pending)).await {
                    Ok(true) => taken.entered += 1,
                    Ok(false) => taken.refused += 1,
                    Err(error) => {
                        taken.failed += 1;
                        tracing::warn!(%decision_id, %error, "a decision was not entered; it is tried again");
                    }
                }
            }
        }
        let mut after = Uuid::nil();
        loop {
            let page = self
                .database
                .read(&everything, async |connection| {
                    Ok::<_, Error>(pending_decisions::unanswered(connection, after, BATCH).await?)
                })
                .await?;
            let Some(last) = page.last() else { break };
            after = last.decided.decision_id;
            for pending in page {
                let decision_id = pending.decided.decision_id;
                match Box::pin(self.answer_decision(pending)).await {
                    Ok(true) => taken.answered += 1,
                    Ok(false) => {}
                    Err(error) => {
                        taken.failed += 1;
                        tracing::warn!(%decision_id, %error, "one-stop was not told of a decision; it is told again");
                    }
                }
            }
        }
        Ok(taken)
    }

    /// Keeps what is new of what waits at one-stop.
    async fn keep_waiting(&self) -> Result<usize, Error> {
        let waiting = self.cases.waiting().await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Uuid> = waiting.iter().map(|one| one.decision_id).collect();
        let known: HashSet<Uuid> = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(pending_decisions::known(connection, &ids).await?)
            })
            .await?
            .into_iter()
            .collect();
        let new = waiting.into_iter().filter(|one| !known.contains(&one.decision_id));
        let new: Vec<(Decided, EventKind)> = new
            .filter_map(|one| {
                let procedure = self.law.cases.procedure(&one.procedure_code, one.decision_date);
                if procedure.is_none() {
                    // One-stop knows another version of the packs; the decision stays there.
                    tracing::warn!(
                        procedure = one.procedure_code,
                        "no pack says which book this procedure goes into"
                    );
                }
                let event = procedure?.event;
                Some((one, event))
            })
            .collect();
        if new.is_empty() {
            return Ok(0);
        }
        self.database
            .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                for (decided, event) in &new {
                    pending_decisions::keep(unit.conn(), decided, *event, now).await?;
                }
                Ok::<_, Error>(new.len())
            })
            .await
    }

    /// What the e-form of a case says for the book.
    async fn what_of(&self, decided: &Decided) -> Result<What, Error> {
        let on = decided.decision_date;
        let procedure = self.law.cases.procedure(&decided.procedure_code, on);
        let component = procedure.map_or("", |procedure| procedure.component.as_str());
        if component.is_empty() {
            return Err(Error::PendingDecisionContent);
        }
        let form = self.cases.form(decided.case_id, component).await?;
        let form = form.ok_or(Error::PendingDecisionContent)?;
        let birth = self.law.cases.birth(&form, &self.law.ethnic_groups, on)?;
        Ok(What::Birth(Box::new(birth)))
    }

    /// Tries to enter a decision by itself: true if it is entered, false if it waits for an officer now.
    async fn try_decision(&self, pending: PendingDecision) -> Result<bool, Error> {
        let decided = &pending.decided;
        let decision_id = decided.decision_id;
        let caller = self.registrar(decided.unit_id);
        let scope = caller.scope(REGISTER);
        let entered = match self.what_of(decided).await {
            Err(error) => Err(error),
            Ok(what) => {
                let settling = (what, Vec::new(), String::new());
                self.database
                    .write_unkeyed(&scope, async |unit: &mut UnitOfWork<'_>| {
                        self.enter_decision(unit, &caller, (decision_id, &scope), settling)
                            .await
                    })
                    .await
            }
        };
        let error = match entered {
            // An officer was quicker.
            Ok(_) | Err(Error::PendingDecisionClosed) => return Ok(true),
            Err(error) => error,
        };
        let findings = serde_json::to_string(&findings_of(error)?).map_err(Fault::internal)?;
        self.database
            .write_unkeyed(&scope, async |unit: &mut UnitOfWork<'_>| {
                Ok::<_, Error>(pending_decisions::refuse(unit.conn(), decision_id, &findings).await?)
            })
            .await?;
        Ok(false)
    }

    /// Enters a decision in this transaction, once: its row is held.
    async fn enter_decision(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        (decision_id, scope): (Uuid, &RowScope),
        (what, decisions, note): (What, Vec<Decision>, String),
    ) -> Result<Entry, Error> {
        let pending = pending_decisions::hold(unit.conn(), decision_id, scope)
            .await?
            .ok_or(Error::PendingDecisionNotFound)?;
        let decided = pending.decided;
        caller.require(REGISTER, &Resource::of_unit(decided.unit_id))?;
        if pending.state != PendingState::Pending {
            return Err(Error::PendingDecisionClosed);
        }
        if what.event() != pending.event {
            return Err(Error::PendingDecisionContent);
        }
        let unit_id = decided.unit_id;
        let signing = Signing {
            registration_date: Some(decided.decision_date),
            signer_name: decided.signer_name,
            signer_title: decided.signer_title,
            signer_authorisation: decided.signer_authorisation,
            performer_name: decided.performer_name,
            note,
            decisions,
        };
        let entry = match what {
            What::Birth(birth) => {
                let birth = *birth;
                let wanted = WantedBirth {
                    unit_id,
                    birth,
                    signing,
                };
                Box::pin(self.enter_birth(unit, caller, wanted)).await?
            }
            What::Marriage(marriage) => {
                let marriage = *marriage;
                let wanted = WantedMarriage {
                    unit_id,
                    marriage,
                    signing,
                };
                Box::pin(self.enter_marriage(unit, caller, wanted)).await?
            }
            What::Death(death) => {
                let death = *death;
                let wanted = WantedDeath {
                    unit_id,
                    death,
                    signing,
                };
                Box::pin(self.enter_death(unit, caller, wanted)).await?
            }
        };
        pending_decisions::enter(unit.conn(), decision_id, entry.entry_id).await?;
        unit.publish(Event {
            aggregate_kind: KIND,
            aggregate_id: decision_id,
            version: 1,
            kind: "civil_decision_entered",
            payload: serde_json::json!({
                "responsible_unit_id": unit_id,
                "case_id": decided.case_id,
                "case_code": decided.case_code,
                "procedure_code": decided.procedure_code,
                "entry_id": entry.entry_id,
                "event": entry.event,
                "year": entry.year,
                "number": entry.number,
            }),
        });
        Ok(entry)
    }

    /// Tells one-stop what became of a decision: true once it knows. The certificate is issued first, and printed in a later round, when the ledger has
    /// placed it; without a press the case is completed without a file.
    async fn answer_decision(&self, pending: PendingDecision) -> Result<bool, Error> {
        let decided = &pending.decided;
        let decision_id = decided.decision_id;
        let caller = self.registrar(decided.unit_id);
        let scope = caller.scope(READ_ENTRIES);
        match (pending.state, pending.entry_id) {
            (PendingState::Entered, Some(entry_id)) => {
                let entry = self
                    .database
                    .read(&scope, async |connection| {
                        entries::get(connection, entry_id, &scope)
                            .await?
                            .ok_or(Error::EntryNotFound)
                    })
                    .await?;
                let Some(paper_id) = pending.paper_id else {
                    self.issue_certificate(&caller, decided, &entry).await?;
                    return Ok(false);
                };
                let certificate = match self.get_paper(&caller, paper_id).await {
                    // What was withdrawn meanwhile is handed to nobody; the case is completed without a file.
                    Ok(printed) if printed.kept.revocation.is_some() => None,
                    Ok(printed) => Some(CertificateFile {
                        paper_id,
                        pdf: printed.pdf,
                    }),
                    Err(Error::Paper(PaperError::NoPress)) => None,
                    // The ledger has not placed it yet.
                    Err(Error::Paper(PaperError::NotSealed)) => return Ok(false),
                    Err(error) => return Err(error),
                };
                let told = ToldEntry {
                    decision_id,
                    entry_id,
                    printed_number: printed_number(entry.number, entry.year),
                    registration_date: entry.registration_date,
                };
                self.cases.record_entry(&told, certificate.as_ref()).await?;
            }
            (PendingState::Returned, _) => self.cases.give_back(decision_id, &pending.return_reason).await?,
            _ => return Ok(false),
        }
        self.database
            .write_unkeyed(&caller.scope(REGISTER), async |unit: &mut UnitOfWork<'_>| {
                Ok::<_, Error>(pending_decisions::answer(unit.conn(), decision_id).await?)
            })
            .await?;
        Ok(true)
    }

    /// Issues the certificate of an entry, of a death its extract, once: under the id of the entry.
    async fn issue_certificate(&self, caller: &Caller, decided: &Decided, entry: &Entry) -> Result<(), Error> {
        let asked = Asked {
            request_id: entry.entry_id,
            body: &(),
            method: "egov.civil_registry.v1.PaperService/IssuePaper",
        };
        let wanted = WantedPaper {
            entry_id: entry.entry_id,
            kind: match entry.event {
                EventKind::Birth | EventKind::Marriage => PaperKind::Certificate,
                _ => PaperKind::Extract,
            },
            is_copy: false,
            copies: 1,
            recipient_name: recipient(entry),
            recipient_paper: String::new(),
            signer_name: decided.signer_name.clone(),
            signer_title: decided.signer_title.clone(),
            signer_authorisation: decided.signer_authorisation.clone(),
        };
        let issued: String = self
            .issue_paper(caller, asked, wanted, |kept| kept.paper.paper_id.to_string())
            .await?;
        let paper_id = Uuid::try_parse(&issued).map_err(Fault::internal)?;
        let decision_id = decided.decision_id;
        self.database
            .write_unkeyed(&caller.scope(REGISTER), async |unit: &mut UnitOfWork<'_>| {
                Ok::<_, Error>(pending_decisions::issue(unit.conn(), decision_id, paper_id).await?)
            })
            .await
    }

    /// One page of what waits. Nothing of a person stands in it but who signs in office.
    pub(crate) async fn list_pending_decisions(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        page: Page<AfterDecision>,
    ) -> Result<(Vec<PendingDecision>, String), Error> {
        let scope = caller.scope(READ_DECISIONS);
        let after = page.after().map(|after| (after.unit_id, after.decision_id));
        let (after, limit) = (after.unwrap_or((i32::MIN, Uuid::nil())), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(pending_decisions::list(connection, &scope, unit_id, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |pending: &PendingDecision| AfterDecision {
            unit_id: pending.decided.unit_id,
            decision_id: pending.decided.decision_id,
        })?)
    }

    /// Enters a decision as an officer says.
    pub(crate) async fn settle_pending_decision<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        decision_id: Uuid,
        settling: Settling,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_DECISIONS);
        let pending = self
            .database
            .read(&scope, async |connection| {
                pending_decisions::get(connection, decision_id, &scope)
                    .await?
                    .ok_or(Error::PendingDecisionNotFound)
            })
            .await?;
        caller.require(REGISTER, &Resource::of_unit(pending.decided.unit_id))?;
        let Settling { what, decisions, note } = settling;
        let what = match what {
            Some(what) => Some(what),
            // A repetition is answered as it was, also when the form cannot be read any more.
            None if pending.state != PendingState::Pending => None,
            None => Some(self.what_of(&pending.decided).await?),
        };
        let written = self
            .database
            .write(
                asked.write(caller, READ_DECISIONS),
                async |unit: &mut UnitOfWork<'_>| {
                    let what = what.ok_or(Error::PendingDecisionClosed)?;
                    let said = (what, decisions, note);
                    let entry = Box::pin(self.enter_decision(unit, caller, (decision_id, &scope), said)).await?;
                    Ok::<_, Error>(answer(&entry))
                },
            )
            .await?;
        Ok(written.into_answer())
    }

    /// Gives a decision back to one-stop.
    pub(crate) async fn return_pending_decision<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        (decision_id, reason): (Uuid, String),
        answer: impl FnOnce(&PendingDecision) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ_DECISIONS);
        let written = self
            .database
            .write(
                asked.write(caller, READ_DECISIONS),
                async |unit: &mut UnitOfWork<'_>| {
                    let mut pending = pending_decisions::hold(unit.conn(), decision_id, &scope)
                        .await?
                        .ok_or(Error::PendingDecisionNotFound)?;
                    let unit_id = pending.decided.unit_id;
                    caller.require(REGISTER, &Resource::of_unit(unit_id))?;
                    if pending.state != PendingState::Pending {
                        return Err(Error::PendingDecisionClosed);
                    }
                    pending_decisions::give_back(unit.conn(), decision_id, &reason).await?;
                    unit.publish(Event {
                        aggregate_kind: KIND,
                        aggregate_id: decision_id,
                        version: 1,
                        kind: "civil_decision_returned",
                        payload: serde_json::json!({
                            "responsible_unit_id": unit_id,
                            "case_id": pending.decided.case_id,
                            "case_code": pending.decided.case_code,
                            "procedure_code": pending.decided.procedure_code,
                        }),
                    });
                    pending.state = PendingState::Returned;
                    pending.return_reason = reason;
                    Ok::<_, Error>(answer(&pending))
                },
            )
            .await?;
        Ok(written.into_answer())
    }
}
