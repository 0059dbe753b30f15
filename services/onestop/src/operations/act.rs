//! The way every act on a case takes: look, authorise, judge, write, commit.
//!
//! An act's own file says which permission it needs and which rule of the case judges it; everything that all acts
//! share stands here once, so that none of them can forget the etag, the history or the ledger.

use std::sync::Arc;

use egov_auth::{Caller, Principal, Resource};
use egov_calendar::WorkCalendar;
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use jiff::Timestamp;
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use super::accept_case;
use super::checks::go_on;
use super::civil_decisions;
use super::results::{keep_versions, know_files};
use super::work::follow_tasks;
use crate::domain::case::Case;
use crate::domain::civil_decision::waits_for_book;
use crate::domain::deadline_rules::DeadlineRules;
use crate::domain::definition::migrate::MIGRATE;
use crate::domain::forecast::{DueNext, due_next};
use crate::domain::listing::{DeadlineChanged, HistoryEntry, Versioned};
use crate::domain::pack::Profile;
use crate::domain::transitions::Transitions;
use crate::domain::verify::{EXTEND_DEADLINE, EventFacts, KIND, RECALCULATE_DEADLINE};
use crate::domain::work::task::Task;
use crate::error::Error;
use crate::store::{Visible, cases, deadlines, files, history, procedures};

/// The permission by which a caller sees a case at all.
pub(crate) const READ: &str = "onestop.cases.read";

/// Which version of the procedure an act is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that the case keeps since its reception.
    OfTheCase,
    /// The one in force today: only the reception itself asks for it.
    InForceToday,
}

/// Which case a request is about, and which request it is.
pub(crate) struct Target<'a, M> {
    /// Makes a repetition safe.
    pub(crate) request_id: Uuid,
    /// The whole request, for the hash that recognises a repetition.
    pub(crate) body: &'a M,
    /// The case.
    pub(crate) case_id: Uuid,
    /// The version that the caller read; acts that do not depend on it have none.
    pub(crate) etag: Option<&'a str>,
}

/// What an act is called, and what it needs.
pub(crate) struct Act {
    /// Its name in the history: `accept`, `approve` …
    pub(crate) operation: &'static str,
    /// Its event, in the past tense: `case_accepted`.
    pub(crate) event: &'static str,
    /// What the caller needs.
    pub(crate) permission: &'static str,
    /// The full gRPC name.
    pub(crate) method: &'static str,
    /// Which version of the procedure judges.
    pub(crate) version: Version,
}

/// What an act is judged by, besides the case.
pub(crate) struct Facts<'a> {
    /// The one instant of this write.
    pub(crate) now: Timestamp,
    pub(crate) transitions: &'a Transitions,
    pub(crate) procedure: &'a Versioned,
    pub(crate) calendar: &'a WorkCalendar,
    /// Of extensions and reminders, if any were imported.
    pub(crate) deadline_rules: Option<&'a DeadlineRules>,
    pub(crate) profile: Profile,
}

/// What an act leaves in the history, and the files that the case takes.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) reason: String,
    pub(crate) legal_basis: String,
    /// What changed, without personal data.
    pub(crate) details: serde_json::Value,
    pub(crate) file_ids: Vec<Uuid>,
    /// The account in whose name a member of staff acted (thừa uỷ quyền).
    pub(crate) acting_for: Option<Uuid>,
    /// Components that the office asked for.
    pub(crate) asked_for: Vec<String>,
}

/// What an act leaves: the case, and all its tasks by number.
pub(crate) struct Applied {
    pub(crate) case: Case,
    pub(crate) tasks: Vec<Task>,
}

impl OneStop {
    /// Does an act at most once and gives its answer. `judge` changes the case or refuses; `answer` is what the caller
    /// gets, now and if it asks again.
    pub(crate) async fn act<M, R>(
        &self,
        caller: &Caller,
        act: Act,
        target: Target<'_, M>,
        judge: impl FnOnce(&mut Case, &Facts<'_>) -> Result<Recorded, Error> + Send,
        answer: impl FnOnce(&Case) -> Result<R, Error> + Send,
    ) -> Result<R, Error>
    where
        M: Message,
        R: Message + Default,
    {
        let visible_scope = caller.scope(READ);
        let visible = Visible::from(&visible_scope);
        let uploader = caller.principal.record_owner();
        let mut scope = visible_scope;
        // The transaction also sees the caller's own uploads, which the act may give to the case.
        scope.owner.get_or_insert(uploader);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            act.method,
            target.request_id,
            target.body,
        );

        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let before = self
                    .case_to_change(unit, caller, &act, target.case_id, &visible)
                    .await?;
                if target.etag.is_some_and(|etag| !before.etag_matches(etag)) {
                    return Err(Error::StaleEtag);
                }
                // A citizen's scope is their own cases: the tasks of the competent unit follow the act all the same.
                if !visible.all && !visible.units.contains(&before.responsible_unit_id) {
                    unit.hand_over_to(&[before.responsible_unit_id]).await?;
                }
                let applied = self.apply(unit, caller, &act, &before, judge).await?;
                let after = applied.case;
                answer(&after)
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The case, held until the transaction ends, for a caller who may do the act: for the competent unit, or for the place of reception
    /// where the act belongs to it.
    pub(crate) async fn case_to_change(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        act: &Act,
        case_id: Uuid,
        visible: &Visible,
    ) -> Result<Case, Error> {
        if let Some(case) = cases::get_for_update(unit.conn(), case_id, visible).await? {
            return allowed(caller, act, case, acts_on);
        }
        // Seldom, and no part of what every act carries along.
        Box::pin(case_at_the_desk(unit, caller, act, (case_id, visible))).await
    }

    /// Does an act on a case whose row is held: judges, stores, lets the tasks follow, records and announces.
    pub(crate) async fn apply(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        act: &Act,
        before: &Case,
        judge: impl FnOnce(&mut Case, &Facts<'_>) -> Result<Recorded, Error> + Send,
    ) -> Result<Applied, Error> {
        let row = acts_on(caller, act, before).unwrap_or_else(|| resource(before));
        let doer = Doer::of(caller, act.permission, &row);
        self.carry_out(unit, (doer, Some(caller)), act, before, judge).await
    }

    /// The same without a caller who was asked for this act: the platform does it, or somebody who may do what it follows from. No role of
    /// a step is demanded, no file is taken and nothing goes to the store of papers.
    pub(crate) async fn apply_as(
        &self,
        unit: &mut UnitOfWork<'_>,
        doer: Doer,
        act: &Act,
        before: &Case,
        judge: impl FnOnce(&mut Case, &Facts<'_>) -> Result<Recorded, Error> + Send,
    ) -> Result<Applied, Error> {
        self.carry_out(unit, (doer, None), act, before, judge).await
    }

    async fn carry_out(
        &self,
        unit: &mut UnitOfWork<'_>,
        (doer, caller): (Doer, Option<&Caller>),
        act: &Act,
        before: &Case,
        judge: impl FnOnce(&mut Case, &Facts<'_>) -> Result<Recorded, Error> + Send,
    ) -> Result<Applied, Error> {
        if before.awaits_book() && act.permission != civil_decisions::ANSWER && waits_for_book(act.operation) {
            return Err(Error::DecisionAwaitsBook);
        }
        let (now, today) = (unit.now(), unit.today());
        let procedure = self.procedure_for(unit, before, act.version, today).await?;
        let law = self.law.get();
        let transitions = law.transitions(&procedure.procedure.transitions)?;
        let facts = Facts {
            now,
            transitions,
            procedure: &procedure,
            calendar: &law.calendar,
            deadline_rules: law.deadline_rules_on(today),
            profile: self.profile,
        };
        let (mut after, mut recorded) = perform(before, &facts, judge)?;
        recorded.acting_for = doer.acting_for;
        if let Some(caller) = caller {
            // The role of a step is held where the act is done.
            let at = acts_on(caller, act, before).and_then(|row| row.unit);
            let at = at.unwrap_or(before.responsible_unit_id);
            self.demand_work(unit, caller, (act.operation, at), &procedure.procedure, &after)
                .await?;
            know_files(unit, caller.principal.record_owner(), &mut after).await?;
        }

        cases::save(unit.conn(), before, &after, now).await?;
        keep_versions(unit, &after).await?;
        keep_deadline(unit, before, &after, &facts, act.operation).await?;
        let steps = &procedure.procedure.steps;
        let tasks = follow_tasks(unit, doer.actor.id, act.operation, steps, &after).await?;
        if let Some(caller) = caller {
            attach(unit, &after, caller.principal.record_owner(), &recorded.file_ids).await?;
        }
        let asked_for = std::mem::take(&mut recorded.asked_for);
        let entry = entry(&doer.actor, Some(before), &after, act.operation, recorded, now);
        history::append(unit.conn(), after.case_id, &entry).await?;
        if let Some(caller) = caller {
            self.follow_components(
                unit,
                caller,
                (act.operation, &asked_for),
                (before, &after),
                &procedure.procedure,
            )
            .await?;
        }
        announce(unit, &after, act.event)?;
        Ok(Applied { case: after, tasks })
    }

    pub(super) async fn procedure_for(
        &self,
        unit: &mut UnitOfWork<'_>,
        case: &Case,
        version: Version,
        today: Date,
    ) -> Result<Arc<Versioned>, Error> {
        let version = match version {
            Version::OfTheCase => case.procedure_version,
            Version::InForceToday => procedures::version_in_force(unit.conn(), &case.procedure_code, today)
                .await?
                .ok_or_else(|| Error::ProcedureNotFound(case.procedure_code.clone()))?,
        };
        self.procedures
            .version(unit.conn(), &case.procedure_code, version)
            .await
    }
}

/// The case as the decision function sees it.
pub(crate) fn resource(case: &Case) -> Resource {
    Resource {
        unit: Some(case.responsible_unit_id),
        owner: case.owner_id,
        assignee: case.assignee_id,
    }
}

/// The case for a caller of the place of reception, held in the scope of the competent unit.
async fn case_at_the_desk(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    act: &Act,
    (case_id, visible): (Uuid, &Visible),
) -> Result<Case, Error> {
    // Who received it for another unit, or is asked for an opinion, reads it and is told if they may do no more.
    let read = cases::get(unit.conn(), case_id, visible)
        .await?
        .ok_or(Error::CaseNotFound)?;
    let competent = read.responsible_unit_id;
    allowed(caller, act, read, acts_at_the_desk)?;
    // Its row is held, and what follows is written, in the scope of the competent unit: for this one case, of which it was decided
    // that the caller may.
    unit.hand_over_to(&[competent]).await?;
    let held = Visible {
        all: false,
        units: vec![competent],
        owner: None,
        assignee: None,
    };
    let case = cases::get_for_update(unit.conn(), case_id, &held)
        .await?
        .ok_or(Error::CaseNotFound)?;
    // It may have gone on while its row was waited for.
    allowed(caller, act, case, acts_at_the_desk)
}

/// The row over which a caller does an act: the case at the competent unit if the caller may do the act there, or else at the place of
/// reception. Nothing if the caller may do it nowhere.
pub(crate) fn acts_on(caller: &Caller, act: &Act, case: &Case) -> Option<Resource> {
    let competent = resource(case);
    if caller.decide(act.permission, &competent).allowed {
        return Some(competent);
    }
    acts_at_the_desk(caller, act, case)
}

/// The case at the unit that received it for another one, if the act belongs to the reception and the caller may do it there. All but handing
/// the result over needs the permission to take cases in besides: who only processes cases there does nothing to those of others.
fn acts_at_the_desk(caller: &Caller, act: &Act, case: &Case) -> Option<Resource> {
    let (unit, part) = case.part_of_reception(act.operation)?;
    let desk = Resource::of_unit(unit);
    let may = |permission: &str| caller.decide(permission, &desk).allowed;
    let takes_in = !part.is_of_who_takes_in() || may(accept_case::ACT.permission);
    (takes_in && may(act.permission)).then_some(desk)
}

/// The case, if the caller does the act over a row by this rule; or what the caller lacks at the competent unit.
fn allowed(
    caller: &Caller,
    act: &Act,
    case: Case,
    rule: fn(&Caller, &Act, &Case) -> Option<Resource>,
) -> Result<Case, Error> {
    if rule(caller, act, &case).is_some() {
        return Ok(case);
    }
    caller.require(act.permission, &resource(&case))?;
    Err(Error::CaseNotFound)
}

/// Gives the case the files of this act, all of them or none. One file may stand for several components.
pub(crate) async fn attach(
    unit: &mut UnitOfWork<'_>,
    case: &Case,
    uploader: Uuid,
    file_ids: &[Uuid],
) -> Result<(), Error> {
    let file_ids = each_once(file_ids);
    if file_ids.is_empty() {
        return Ok(());
    }
    let had = files::attach(unit.conn(), case.case_id, uploader, &file_ids).await?;
    demand_all(&file_ids, had)
}

/// Demands that a case which is filed later could take these files by now: each is a finished upload of `uploader` that no case has.
pub(crate) async fn usable_files(unit: &mut UnitOfWork<'_>, uploader: Uuid, file_ids: &[Uuid]) -> Result<(), Error> {
    let file_ids = each_once(file_ids);
    if file_ids.is_empty() {
        return Ok(());
    }
    let usable = files::usable(unit.conn(), uploader, &file_ids).await?;
    demand_all(&file_ids, usable)
}

fn each_once(file_ids: &[Uuid]) -> Vec<Uuid> {
    let mut file_ids = file_ids.to_vec();
    file_ids.sort_unstable();
    file_ids.dedup();
    file_ids
}

/// Demands that all files that were named are among those that were found.
fn demand_all(file_ids: &[Uuid], found: i64) -> Result<(), Error> {
    let wanted = i64::try_from(file_ids.len()).unwrap_or(i64::MAX);
    if found == wanted {
        Ok(())
    } else {
        Err(Error::FilesNotUsable(wanted.abs_diff(found)))
    }
}

/// Judges an act and gives the case as it is afterwards: the rule of the act, then what follows when the clock goes on.
pub(crate) fn perform(
    before: &Case,
    facts: &Facts<'_>,
    judge: impl FnOnce(&mut Case, &Facts<'_>) -> Result<Recorded, Error>,
) -> Result<(Case, Recorded), Error> {
    let mut after = before.clone();
    let recorded = judge(&mut after, facts)?;
    go_on(before, &mut after, facts)?;
    Ok((after, recorded))
}

/// Keeps what is due next of the case, and that its due date moved, if it did.
pub(crate) async fn keep_deadline(
    unit: &mut UnitOfWork<'_>,
    before: &Case,
    after: &Case,
    facts: &Facts<'_>,
    operation: &str,
) -> Result<(), Error> {
    if let Some(change) = deadline_changed(before, after, operation, facts.now) {
        deadlines::record_change(unit.conn(), &change).await?;
    }
    Ok(deadlines::keep(unit.conn(), before, next_of(after, facts).as_ref()).await?)
}

/// What is due next of a case by these facts.
pub(crate) fn next_of(case: &Case, facts: &Facts<'_>) -> Option<DueNext> {
    due_next(
        case,
        &facts.procedure.procedure,
        facts.calendar,
        facts.deadline_rules.map(|rules| &rules.reminder),
    )
}

/// How the due date of a case moved by an act; none if it did not, or if there was none before.
pub(crate) fn deadline_changed(
    before: &Case,
    after: &Case,
    operation: &str,
    now: Timestamp,
) -> Option<DeadlineChanged> {
    let (old, new) = (before.deadline.as_ref()?, after.deadline.as_ref()?);
    if old.due_time == new.due_time {
        return None;
    }
    Some(DeadlineChanged {
        case_id: after.case_id,
        case_code: after.case_code.clone(),
        owner_id: after.owner_id,
        version: after.version,
        cause: match operation {
            EXTEND_DEADLINE => 2,
            RECALCULATE_DEADLINE => 3,
            MIGRATE => 4,
            _ => 1,
        },
        old_due_time: old.due_time,
        new_due_time: new.due_time,
        old_calendar: old.calendar.clone(),
        new_calendar: new.calendar.clone(),
        responsible_unit_id: after.responsible_unit_id,
        change_time: now,
    })
}

/// Who acts, as the history names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor {
    pub(crate) id: Uuid,
    /// staff, citizen or system.
    pub(crate) kind: &'static str,
    /// The citizen for whom a system acts.
    pub(crate) on_behalf_of: Option<Uuid>,
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self {
            id: principal.subject,
            kind: principal.kind.as_str(),
            on_behalf_of: principal.on_behalf_of.as_ref().map(|citizen| citizen.subject),
        }
    }
}

/// The platform itself: nobody decided about the single case.
pub(crate) const PLATFORM: Actor = Actor {
    id: Uuid::nil(),
    kind: "system",
    on_behalf_of: None,
};

/// Whoever does an act.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doer {
    pub(crate) actor: Actor,
    /// The account in whose name a member of staff acts (thừa uỷ quyền).
    pub(crate) acting_for: Option<Uuid>,
}

impl Doer {
    /// The platform, which acts in nobody's name.
    pub(crate) const PLATFORM: Self = Self {
        actor: PLATFORM,
        acting_for: None,
    };

    /// A caller who does to a row what a permission names.
    pub(crate) fn of(caller: &Caller, permission: &str, row: &Resource) -> Self {
        Self {
            actor: Actor::from(caller.principal.as_ref()),
            acting_for: caller.acting_for(permission, row),
        }
    }

    /// In whose name, as histories keep it: the citizen for whom a system acts, or the account that delegated its role.
    pub(crate) fn on_behalf_of(&self) -> Option<Uuid> {
        self.actor.on_behalf_of.or(self.acting_for)
    }
}

/// The entry of an act in the history.
pub(crate) fn entry(
    actor: &Actor,
    before: Option<&Case>,
    after: &Case,
    operation: &str,
    recorded: Recorded,
    now: Timestamp,
) -> HistoryEntry {
    HistoryEntry {
        version: after.version,
        operation: operation.to_owned(),
        from_state: before.map(|case| case.state),
        to_state: after.state,
        step: after.step.clone(),
        actor_id: actor.id,
        actor_kind: actor.kind.to_owned(),
        on_behalf_of: actor.on_behalf_of.or(recorded.acting_for),
        reason: recorded.reason,
        legal_basis: recorded.legal_basis,
        details: with_what_counts(recorded.details, before, after),
        record_time: now,
    }
}

/// Details of an act with what it made of due date and assignee, so that the history alone tells where the case stood in the
/// figures ([`crate::domain::statistics::replay`]).
fn with_what_counts(details: serde_json::Value, before: Option<&Case>, after: &Case) -> serde_json::Value {
    let mut details = match details {
        serde_json::Value::Object(details) => details,
        _ => serde_json::Map::new(),
    };
    let due = |case: &Case| {
        case.deadline
            .as_ref()
            .map(|deadline| (deadline.due_date, deadline.due_time))
    };
    if let Some((date, time)) = due(after).filter(|due_now| before.and_then(due) != Some(*due_now)) {
        details.insert("due_date".to_owned(), date.to_string().into());
        details.insert("due_time".to_owned(), time.to_string().into());
    }
    let assignee = |case: &Case| case.assignee_id.map(|id| id.to_string());
    if before.is_some_and(|before| assignee(before) != assignee(after)) {
        details.insert("assignee_id".to_owned(), assignee(after).into());
    }
    details.into()
}

/// Tells the other services, and commits to the new version in the ledger.
pub(crate) fn announce(unit: &mut UnitOfWork<'_>, case: &Case, event: &'static str) -> Result<(), Error> {
    let canonical = case.canonical().map_err(egov_fault::Fault::internal)?;
    unit.publish(event_of(case, event));
    unit.leaf(Leaf {
        kind: KIND,
        resource: case.case_id,
        version: case.version,
        canonical: &canonical,
    });
    Ok(())
}

/// The event of an act, by the case as it is afterwards.
pub(crate) fn event_of(case: &Case, kind: &'static str) -> Event {
    Event {
        aggregate_kind: KIND,
        aggregate_id: case.case_id,
        version: case.version,
        kind,
        payload: crate::domain::verify::event_payload(&EventFacts {
            case_code: &case.case_code,
            procedure_code: &case.procedure_code,
            state: case.state,
            step: &case.step,
            responsible_unit_id: case.responsible_unit_id,
        }),
    }
}
