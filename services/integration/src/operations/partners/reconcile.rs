//! Đối soát với Cổng dịch vụ công quốc gia: one-stop's cases of a unit and period against the portal's, case by case; what differs is
//! kept and, if it is wanted, mended by handing the case in again as it stands, after what was told of it before.
//!
//! A run that is broken off begins anew: a difference is found once a run, and what was handed in again is under way then. Neither side is
//! changed by comparing.
//!
//! One case of which a side says nothing that can be read holds up no other: it is asked about again when the run is, a few times, and
//! then counts as not comparable. While a side is away, the run is put off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use egov_auth::{Caller, Resource, RowScope};
use egov_clock::{Clock as _, vietnam};
use egov_database::{Event, Leaf, Lease, Page, UnitOfWork, WriteRequest, stored_instant};
use egov_fault::{Code, Fault};
use egov_partners::Partner;
use egov_partners::case_mapping::{MappedToldCase, NotMappable, Surroundings, told_case};
use egov_partners::outcome::{CallError, NotSent};
use egov_partners::portal::NationalPortal;
use egov_proto::egov::integration::v1::{
    ReconcileCasesRequest, ReconcileCasesResponse, RepairDifferenceRequest, RepairDifferenceResponse,
    SettleDifferenceRequest, SettleDifferenceResponse,
};
use egov_proto::egov::onestop::v1::{Case, CaseParticulars};
use egov_proto::instant;
use jiff::civil::{Date, time};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::follow::is_away;
use super::inspect::Place;
use super::{Partners, connected};
use crate::domain::case_version;
use crate::domain::delivery::{Delivery, State};
use crate::domain::reconciliation::{
    DIFFERENCE, Difference, DifferenceFilter, Finding, Handling, RUN, Reconciliation, RunState, Tally, check_period,
    daily_period, of_difference, of_older_run, of_run, turn_of,
};
use crate::error::Error;
use crate::partners::{Connection, Follow};
use crate::store::{deliveries, reconciliations, synchronisations};

const READ: &str = "integration.synchronisations.read";
const RECONCILE: &str = "integration.portal.reconcile";

const LEASE: &str = "integration.portal-reconciliation";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// Who acts when nobody calls.
const JOB: &str = "job:integration.portal-reconciliation";
/// How many cases are compared at once.
const AT_ONCE: usize = 8;
/// How many rows of our own record are read at once.
const ROWS: i64 = 500;
/// A run is begun again so long after it was begun without a word, or failed.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// After so many tries it is given up.
const MOST_ATTEMPTS: i32 = 12;
/// So many tries wait for what a side does not say about single cases; then those are not comparable.
const PATIENT_ATTEMPTS: i32 = 3;
/// The most letters of a code that the portal lists: more than any case code has.
const CODE_LETTERS: usize = 60;

/// What a round of the job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Daily reconciliations that were asked for.
    pub queued: usize,
    /// Reconciliations that were done.
    pub done: usize,
    /// Those that could not be done, and are put off or given up.
    pub put_off: usize,
}

/// What comparing one case came to.
enum Outcome {
    Equal,
    Waiting,
    Different,
    NotComparable,
    /// It is another unit's by now.
    Elsewhere,
    /// A side that is there said nothing of it that can be read.
    Unanswered(Stuck),
}

/// Why a run is put off.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error("one-stop: {0}")]
    OneStop(Fault),
    #[error("the portal: {0}")]
    Portal(CallError),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Stuck {
    /// A word for the table and the contract.
    fn word(&self) -> &'static str {
        match self {
            Self::OneStop(_) => "one_stop_failed",
            Self::Portal(error) => error.word(),
            Self::Failed(_) => "failed",
        }
    }

    /// What a fault of one-stop's about one case comes to: nothing goes on while it is away, and otherwise this case alone is unanswered.
    fn of_one_stop(fault: Fault) -> Result<Self, Self> {
        let away = is_away(&fault);
        let stuck = Self::OneStop(fault);
        if away { Err(stuck) } else { Ok(stuck) }
    }

    /// The same of the portal: what was not sent says that it is away.
    fn of_portal(error: CallError) -> Result<Self, Self> {
        let away = matches!(&error, CallError::NotSent(_));
        let stuck = Self::Portal(error);
        if away { Err(stuck) } else { Ok(stuck) }
    }
}

impl From<Fault> for Stuck {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

/// With what a run compares.
struct Sides<'a> {
    run: &'a Reconciliation,
    follow: &'a Follow,
    portal: &'a Connection<dyn NationalPortal>,
    today: Date,
}

impl Partners {
    fn one_stop(&self) -> Result<&Follow, Error> {
        self.connections.follow.as_deref().ok_or(Error::OneStopNotConfigured)
    }

    /// Asks for a reconciliation.
    pub(crate) async fn reconcile_cases(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &ReconcileCasesRequest,
        (from, to): (Date, Date),
        answer: impl FnOnce(&Reconciliation) -> ReconcileCasesResponse + Send,
    ) -> Result<ReconcileCasesResponse, Error> {
        connected(self.portal(), Partner::NationalPortal)?;
        self.one_stop()?;
        caller.require(RECONCILE, &Resource::of_unit(body.unit_id))?;
        check_period(from, to, self.database.clock().today()).map_err(Error::NotAPeriod)?;
        let method = "egov.integration.v1.SynchronisationService/ReconcileCases";
        let request = WriteRequest::by(caller, RECONCILE, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let new = queued(unit, body.unit_id, (from, to), body.repair, None, &caller.key());
                reconciliations::insert(unit.conn(), &new).await?;
                record_run(unit, &new, "portal_reconciliation_queued").await?;
                unit.led_to("portal_reconciliation", new.id, new.version);
                Ok::<_, Error>(answer(&new))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A reconciliation that the caller sees.
    pub(crate) async fn get_reconciliation(&self, caller: &Caller, id: Uuid) -> Result<Reconciliation, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                reconciliations::get(connection, &scope, id)
                    .await?
                    .ok_or(Error::ReconciliationNotFound)
            })
            .await
    }

    /// One page of the differences that the caller sees, found last first.
    pub(crate) async fn list_differences(
        &self,
        caller: &Caller,
        filter: DifferenceFilter,
        page: Page<Place>,
    ) -> Result<(Vec<Difference>, String), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                let rows = reconciliations::list_differences(connection, &scope, filter, after, limit).await?;
                Ok::<_, Error>(rows)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.find_time, row.id))?)
    }

    /// Hands the case of a difference in again as it stands.
    pub(crate) async fn repair_difference(
        &self,
        caller: &Caller,
        request_id: Uuid,
        difference_id: Uuid,
        body: &RepairDifferenceRequest,
        answer: impl FnOnce(&Difference) -> RepairDifferenceResponse + Send,
    ) -> Result<RepairDifferenceResponse, Error> {
        let scope = caller.scope(READ);
        let known = self
            .database
            .read(&scope, async |connection| {
                reconciliations::difference(connection, &scope, difference_id)
                    .await?
                    .ok_or(Error::DifferenceNotFound)
            })
            .await?;
        caller.require(RECONCILE, &Resource::of_unit(known.unit_id))?;
        // A repetition is answered below as it was the first time: what can be judged of the row is judged there. The case is read before
        // the transaction, and only if there is something to repair.
        let asked_at = self.now();
        let read = match (known.may_be_repaired(), known.case_id) {
            (Ok(()), Some(case_id)) => Some(self.case_to_tell(case_id).await),
            _ => None,
        };
        let method = "egov.integration.v1.SynchronisationService/RepairDifference";
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let mut difference = reconciliations::difference(unit.conn(), &scope, difference_id)
                    .await?
                    .ok_or(Error::DifferenceNotFound)?;
                if difference.etag() != body.etag {
                    return Err(Error::StaleEtag);
                }
                difference.may_be_repaired()?;
                let (case, mapped) = read.ok_or(Error::DifferenceClosed)??;
                if case.responsible_unit_id != difference.unit_id {
                    return Err(Error::DifferenceNotRepairable);
                }
                let delivery = self
                    .hand_in_again(unit, &case, &mapped, asked_at, &caller.key())
                    .await?;
                difference.handed_in((delivery.id, delivery.state), &caller.key(), unit.now());
                reconciliations::update_difference(unit.conn(), &difference).await?;
                record_difference(unit, &difference, "portal_difference_repairing").await?;
                unit.led_to("portal_difference", difference.id, difference.version);
                Ok(answer(&difference))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Settles a difference by hand.
    pub(crate) async fn settle_difference(
        &self,
        caller: &Caller,
        request_id: Uuid,
        difference_id: Uuid,
        body: &SettleDifferenceRequest,
        answer: impl FnOnce(&Difference) -> SettleDifferenceResponse + Send,
    ) -> Result<SettleDifferenceResponse, Error> {
        let method = "egov.integration.v1.SynchronisationService/SettleDifference";
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let scope = caller.scope(READ);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let mut difference = reconciliations::difference(unit.conn(), &scope, difference_id)
                    .await?
                    .ok_or(Error::DifferenceNotFound)?;
                caller.require(RECONCILE, &Resource::of_unit(difference.unit_id))?;
                if difference.etag() != body.etag {
                    return Err(Error::StaleEtag);
                }
                difference.settle(&body.reason, &caller.key(), unit.now())?;
                reconciliations::update_difference(unit.conn(), &difference).await?;
                record_difference(unit, &difference, "portal_difference_settled").await?;
                unit.led_to("portal_difference", difference.id, difference.version);
                Ok(answer(&difference))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A case as one-stop has it now, and as the portal is told of it.
    async fn case_to_tell(&self, case_id: Uuid) -> Result<(Case, MappedToldCase), Error> {
        let (case, known) = self
            .one_stop()?
            .cases
            .case(case_id)
            .await?
            .ok_or(Error::DifferenceNotRepairable)?;
        match self.map(&case, known) {
            Ok(mapped) => Ok((case, mapped)),
            Err(why) => {
                self.report_not_mappable(case.responsible_unit_id, &why).await?;
                Err(why.into())
            }
        }
    }

    fn map(&self, case: &Case, known: CaseParticulars) -> Result<MappedToldCase, NotMappable> {
        let clock = self.database.clock();
        let around = Surroundings {
            known,
            ..Surroundings::default()
        };
        told_case(case, &around, &self.connections.tables, clock.today(), clock.now())
    }

    /// Hands a case in again as it stood when one-stop was asked. If it is on its way already, or the portal has acknowledged a later version
    /// of it, that is the repair; a later version that did not go through is to be redriven. Where one-stop went back behind the later
    /// version, that one counts no more.
    async fn hand_in_again(
        &self,
        unit: &mut UnitOfWork<'_>,
        case: &Case,
        mapped: &MappedToldCase,
        asked_at: Timestamp,
        actor: &str,
    ) -> Result<Delivery, Error> {
        let portal = connected(self.portal(), Partner::NationalPortal)?;
        let (partner, act) = (Partner::NationalPortal.name(), "sync_case");
        deliveries::lock_matter(unit.conn(), &case.case_code).await?;
        let last = deliveries::last_of_matter(unit.conn(), partner, act, &case.case_code).await?;
        if let Some(last) = last {
            let later = case_version::is_behind(&last, case.version, asked_at);
            if last.state.is_open() || (later && last.state == State::Acknowledged) {
                return Ok(last);
            }
            if later {
                return Err(Error::DeliverySuperseded);
            }
        }
        self.hand_in_case(unit, case, mapped, actor, &portal.contract).await
    }

    /// A round of the job: asks for the daily reconciliations and does what is due; none if another process is at it, or no cases are read
    /// from one-stop.
    pub(crate) async fn reconcile_round(&self) -> Result<Option<Reconciled>, Error> {
        let (Some(follow), Some(_)) = (self.connections.follow.clone(), self.portal()) else {
            return Ok(None);
        };
        let Some(mut lease) = self.database.acquire_lease(LEASE, LEASE_TIME).await? else {
            return Ok(None);
        };
        let mut reconciled = Reconciled::default();
        let outcome = self.reconcile_due(&mut lease, &follow, &mut reconciled).await;
        lease.release().await?;
        outcome.map(|()| Some(reconciled))
    }

    async fn reconcile_due(
        &self,
        lease: &mut Lease,
        follow: &Follow,
        reconciled: &mut Reconciled,
    ) -> Result<(), Error> {
        reconciled.queued = self.queue_daily(lease, follow).await?;
        loop {
            lease.renew().await?;
            let now = self.now();
            let due = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    Ok::<_, Error>(reconciliations::due(connection, now).await?)
                })
                .await?;
            let Some(mut run) = due else {
                return Ok(());
            };
            if run.attempts >= MOST_ATTEMPTS {
                // Each time whoever did it was gone before it could say how it ended.
                if run.problem.is_empty() {
                    "lost".clone_into(&mut run.problem);
                }
                run.state = RunState::Failed;
                run.end_time = Some(stored_instant(now));
                self.write_run(lease, &mut run, "portal_reconciliation_failed").await?;
                reconciled.put_off += 1;
                continue;
            }
            run.attempts = run.attempts.saturating_add(1);
            run.due_time = now.checked_add(AGAIN).unwrap_or(Timestamp::MAX);
            self.write_run(lease, &mut run, "").await?;
            match self.compare(lease, follow, &run).await {
                Ok(tally) => {
                    run.tally = tally;
                    run.state = RunState::Done;
                    run.problem.clear();
                    run.end_time = Some(stored_instant(self.now()));
                    self.write_run(lease, &mut run, "portal_reconciled").await?;
                    reconciled.done += 1;
                }
                // Whoever has the lease by now does it.
                Err(Stuck::Failed(Error::Fault(fault))) if fault.reason() == "LEASE_LOST" => {
                    return Err(fault.into());
                }
                Err(why) => {
                    tracing::warn!(reconciliation = %run.id, %why, "a reconciliation with the portal is put off");
                    why.word().clone_into(&mut run.problem);
                    let given_up = run.attempts >= MOST_ATTEMPTS;
                    if given_up {
                        run.state = RunState::Failed;
                        run.end_time = Some(stored_instant(self.now()));
                    }
                    let event = if given_up { "portal_reconciliation_failed" } else { "" };
                    self.write_run(lease, &mut run, event).await?;
                    reconciled.put_off += 1;
                }
            }
        }
    }

    /// Asks for the reconciliation of the days before today, once a unit and day, when the hour has come; days that were missed, because
    /// nobody was there to compare them or it could not be done, come with them.
    async fn queue_daily(&self, lease: &Lease, follow: &Follow) -> Result<usize, Error> {
        let settings = self.connections.reconciling;
        let here = self.now().to_zoned(vietnam());
        if settings.days == 0 || here.hour() < settings.hour {
            return Ok(0);
        }
        let Ok(to) = here.date().yesterday() else {
            return Ok(0);
        };
        let units = if follow.units.is_empty() {
            self.database
                .read(&RowScope::everything(), async |connection| {
                    Ok::<_, Error>(reconciliations::units(connection).await?)
                })
                .await?
        } else {
            follow.units.clone()
        };
        let mut asked = 0;
        for unit_id in units {
            let (there, last) = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    let there = reconciliations::has_daily(&mut *connection, unit_id, to).await?;
                    let last = reconciliations::last_daily(connection, unit_id).await?;
                    Ok::<_, Error>((there, last))
                })
                .await?;
            if there {
                continue;
            }
            let period = daily_period(to, settings.days, last);
            self.database
                .work(lease, async |unit: &mut UnitOfWork<'_>| {
                    let new = queued(unit, unit_id, period, settings.repair, Some(()), JOB);
                    if reconciliations::insert(unit.conn(), &new).await? {
                        record_run(unit, &new, "portal_reconciliation_queued").await?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
            asked += 1;
        }
        Ok(asked)
    }

    async fn write_run(&self, lease: &Lease, run: &mut Reconciliation, event: &'static str) -> Result<(), Error> {
        run.version = run.version.saturating_add(1);
        let run = &*run;
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                reconciliations::update(unit.conn(), run).await?;
                record_run(unit, run, event).await
            })
            .await
    }

    /// Compares all cases of a run.
    async fn compare(&self, lease: &mut Lease, follow: &Follow, run: &Reconciliation) -> Result<Tally, Stuck> {
        let sides = Sides {
            run,
            follow,
            portal: connected(self.portal(), Partner::NationalPortal)?,
            today: self.database.clock().today(),
        };
        let cases = self.cases_of(lease, &sides).await?;
        let mut tally = Tally::default();
        let mut unanswered = None;
        let all: Vec<(&String, &Uuid)> = cases.iter().collect();
        for some in all.chunks(AT_ONCE) {
            if lease.is_due() {
                lease.renew().await?;
            }
            let held = &*lease;
            let sides = &sides;
            let compared = some
                .iter()
                .map(|(code, id)| Box::pin(self.compare_case(held, sides, code, **id)));
            for outcome in futures::future::join_all(compared).await {
                let of = match outcome? {
                    Outcome::Equal => &mut tally.equal,
                    Outcome::Waiting => &mut tally.waiting,
                    Outcome::Different => &mut tally.compared,
                    Outcome::NotComparable => &mut tally.not_comparable,
                    Outcome::Elsewhere => continue,
                    Outcome::Unanswered(why) => {
                        unanswered = Some(why);
                        &mut tally.not_comparable
                    }
                };
                *of += 1;
            }
        }
        tally.compared += tally.equal + tally.waiting;
        // If nothing at all was said that can be read, a side is not there, whatever it answers.
        if let Some(why) = unanswered {
            if tally.compared == 0 || run.attempts < PATIENT_ATTEMPTS {
                return Err(why);
            }
            tracing::warn!(reconciliation = %run.id, %why, "of single cases nothing is said that can be read: they are not compared");
        }
        tally.looked_for_unknown = self.look_for_unknown(lease, &sides, &cases).await?;
        tally.differing = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(reconciliations::count_differences(connection, run.id).await?)
            })
            .await?;
        Ok(tally)
    }

    /// The cases of a run: those that were filed in the period, as one-stop lists them, and those that were told in it. A daily run adds a
    /// share of those that by what was told are not over, however old: what became of one of them may never have been heard of here.
    async fn cases_of(&self, lease: &mut Lease, sides: &Sides<'_>) -> Result<BTreeMap<String, Uuid>, Stuck> {
        let run = sides.run;
        let begin = begin_of(run.from);
        let end = run.to.tomorrow().map_or(Timestamp::MAX, begin_of);
        let mut cases = BTreeMap::new();
        let mut token = String::new();
        loop {
            if lease.is_due() {
                lease.renew().await?;
            }
            let page = sides
                .follow
                .cases
                .list(run.unit_id, (run.from, run.to), &token)
                .await
                .map_err(Stuck::OneStop)?;
            let mut older = false;
            for case in page.cases {
                let filed = case.submit_time.as_ref().and_then(instant);
                // Newest first: nothing that follows was filed later. A one-stop of a version before lists what was filed since, too.
                older |= filed.is_some_and(|filed| filed < begin);
                let within = filed.is_some_and(|filed| (begin..end).contains(&filed));
                if within && let Ok(id) = Uuid::try_parse(&case.case_id) {
                    cases.insert(case.case_code, id);
                }
            }
            token = page.next_page_token;
            if older || token.is_empty() {
                break;
            }
        }
        let mut after = String::new();
        loop {
            let place = after.as_str();
            let told = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    let period = (begin, end);
                    let told = synchronisations::told_between(connection, run.unit_id, period, place, ROWS).await?;
                    Ok::<_, Error>(told)
                })
                .await?;
            let Some((last, _)) = told.last() else { break };
            after.clone_from(last);
            for (code, id) in told {
                if !id.is_nil() {
                    cases.entry(code).or_insert(id);
                }
            }
        }
        let turn = turn_of(run.to, self.connections.reconciling.open_within_days);
        let Some(share) = turn.filter(|_| run.daily) else {
            return Ok(cases);
        };
        let mut after = String::new();
        loop {
            let place = after.as_str();
            let open = self
                .database
                .read(&RowScope::everything(), async |connection| {
                    let open = synchronisations::not_over(connection, run.unit_id, share, place, ROWS).await?;
                    Ok::<_, Error>(open)
                })
                .await?;
            let Some((last, _)) = open.last() else {
                return Ok(cases);
            };
            after.clone_from(last);
            for (code, id) in open {
                if !id.is_nil() {
                    cases.entry(code).or_insert(id);
                }
            }
        }
    }

    async fn compare_case(&self, lease: &Lease, sides: &Sides<'_>, code: &str, id: Uuid) -> Result<Outcome, Stuck> {
        let read_at = self.now();
        let (case, known) = match sides.follow.cases.case(id).await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Outcome::NotComparable),
            Err(fault) => return Stuck::of_one_stop(fault).map(Outcome::Unanswered),
        };
        if case.responsible_unit_id != sides.run.unit_id {
            return Ok(Outcome::Elsewhere);
        }
        let mut mapped = match self.map(&case, known) {
            Ok(mapped) => mapped,
            Err(why) => {
                self.report_not_mappable(case.responsible_unit_id, &why).await?;
                return Ok(Outcome::NotComparable);
            }
        };
        // What a unit's own software said is no difference, and stays when the case is handed in again.
        let said = self
            .database
            .read(&RowScope::everything(), async |connection| {
                self.said_before(connection, code).await
            })
            .await?;
        said.put(&mut mapped.told.item);
        let asked_at = stored_instant(self.now());
        let there = match sides.portal.partner.find_case(code).await {
            Ok(there) => there,
            Err(error) => return Stuck::of_portal(error).map(Outcome::Unanswered),
        };
        let finding = match &there {
            None => Some(Finding::missing(&mapped.told.item.state)),
            Some(there) => {
                // What holds already what it was told is not mended by telling it again.
                let mendable = !sides.portal.partner.holds(&mapped.told, there);
                Finding::of_fields(&sides.portal.partner.differences(&mapped.told, there), mendable)
            }
        };
        let Some(finding) = finding else {
            return Ok(Outcome::Equal);
        };
        let kept = self
            .database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                deliveries::lock_matter(unit.conn(), code).await?;
                let partner = Partner::NationalPortal.name();
                let last = deliveries::last_of_matter(unit.conn(), partner, "sync_case", code).await?;
                // Told, or told otherwise, since one side or the other was read: what was read is no difference. A later version that was
                // told long before one-stop was read is none: one-stop went back behind it.
                let gone_on = |last: &Delivery| {
                    last.state.is_open()
                        || last.update_time > asked_at
                        || case_version::is_behind(last, case.version, read_at)
                };
                if last.as_ref().is_some_and(gone_on) {
                    return Ok::<_, Error>(Outcome::Waiting);
                }
                let mut difference = found(unit, sides.run, code, Some(id), finding);
                if difference.finding.mendable {
                    if sides.run.repair {
                        let delivery = self.hand_in_again(unit, &case, &mapped, read_at, JOB).await?;
                        difference.handed_in((delivery.id, delivery.state), JOB, unit.now());
                        difference.version = 1;
                    } else {
                        synchronisations::doubted(unit.conn(), code, case.responsible_unit_id).await?;
                    }
                }
                if reconciliations::insert_difference(unit.conn(), &difference).await? {
                    record_difference(unit, &difference, "portal_difference_found").await?;
                }
                Ok(Outcome::Different)
            })
            .await?;
        Ok(kept)
    }

    /// Looks for cases that only the portal has; false if it did not list those of each agency code of the unit. What it did list is looked
    /// at all the same.
    async fn look_for_unknown(
        &self,
        lease: &mut Lease,
        sides: &Sides<'_>,
        cases: &BTreeMap<String, Uuid>,
    ) -> Result<bool, Stuck> {
        let run = sides.run;
        let codes = self
            .database
            .read(&RowScope::everything(), async |connection| {
                let codes = reconciliations::agency_codes(connection, run.unit_id, run.from, run.to).await?;
                Ok::<_, Error>(codes)
            })
            .await?;
        let to = run.to.min(sides.today);
        let mut suspicious = BTreeMap::new();
        let mut all_listed = true;
        for agency in codes {
            if lease.is_due() {
                lease.renew().await?;
            }
            match sides.portal.partner.list_cases(&agency, run.from, to).await {
                Ok(listed) => {
                    let listed = listed.into_iter().map(|one| (plain_code(&one.case_code), one.state));
                    suspicious.extend(listed.filter(|(code, _)| !cases.contains_key(code)));
                }
                // It has no such list, or not for us.
                Err(
                    CallError::NotSent(NotSent::NotInContract | NotSent::RefusedBefore(_)) | CallError::Refused { .. },
                ) => all_listed = false,
                // A list that cannot be read does not become readable for ever: what was compared counts without it.
                Err(CallError::Unknown(_)) if run.attempts >= PATIENT_ATTEMPTS => all_listed = false,
                Err(error) => return Err(Stuck::Portal(error)),
            }
        }
        let already: BTreeSet<String> = self
            .database
            .read(&RowScope::everything(), async |connection| {
                let codes = reconciliations::found_codes(connection, run.id).await?;
                Ok::<_, Error>(codes.into_iter().collect())
            })
            .await?;
        for (code, state) in suspicious {
            if lease.is_due() {
                lease.renew().await?;
            }
            if already.contains(&code) || self.is_ours(sides.follow, &code).await? {
                continue;
            }
            self.database
                .work(lease, async |unit: &mut UnitOfWork<'_>| {
                    let difference = found(unit, run, &code, None, Finding::unknown_here(&state));
                    if reconciliations::insert_difference(unit.conn(), &difference).await? {
                        record_difference(unit, &difference, "portal_difference_found").await?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
        }
        Ok(all_listed)
    }

    /// Whether one-stop has a case, or we have told it once.
    async fn is_ours(&self, follow: &Follow, code: &str) -> Result<bool, Stuck> {
        let told = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(synchronisations::is_known(connection, code).await?)
            })
            .await?;
        if told {
            return Ok(true);
        }
        match follow.cases.has_code(code).await {
            // Not even a question that one-stop takes: no case of its has this code.
            Err(fault) if fault.code() == Code::InvalidArgument => Ok(false),
            asked => asked.map_err(Stuck::OneStop),
        }
    }
}

/// The first instant of a day in Việt Nam.
fn begin_of(day: Date) -> Timestamp {
    day.to_datetime(time(0, 0, 0, 0))
        .to_zoned(vietnam())
        .map_or(Timestamp::MIN, |begin| begin.timestamp())
}

fn queued(
    unit: &mut UnitOfWork<'_>,
    unit_id: i32,
    (from, to): (Date, Date),
    repair: bool,
    daily: Option<()>,
    actor: &str,
) -> Reconciliation {
    Reconciliation {
        id: unit.new_id(),
        unit_id,
        from,
        to,
        repair,
        daily: daily.is_some(),
        state: RunState::Queued,
        tally: Tally::default(),
        attempts: 0,
        problem: String::new(),
        due_time: unit.now(),
        actor: actor.to_owned(),
        version: 1,
        create_time: unit.now(),
        end_time: None,
    }
}

fn found(
    unit: &mut UnitOfWork<'_>,
    run: &Reconciliation,
    code: &str,
    case_id: Option<Uuid>,
    finding: Finding,
) -> Difference {
    Difference {
        id: unit.new_id(),
        reconciliation_id: run.id,
        unit_id: run.unit_id,
        case_code: plain_code(code),
        case_id,
        finding,
        handling: Handling::Open,
        delivery_id: None,
        delivery_state: None,
        reason: String::new(),
        actor: JOB.to_owned(),
        version: 1,
        find_time: unit.now(),
        update_time: unit.now(),
    }
}

/// A code that the portal lists, as it is asked about and kept: without what no code has, and no longer than a code may be.
fn plain_code(code: &str) -> String {
    code.chars()
        .filter(|letter| !letter.is_control())
        .take(CODE_LETTERS)
        .collect()
}

/// Adds a reconciliation as it is now to its history and commits to it; an event of this kind tells the others, unless it is empty.
async fn record_run(unit: &mut UnitOfWork<'_>, run: &Reconciliation, event: &'static str) -> Result<(), Error> {
    let (document, now) = (of_run(run).to_string(), unit.now());
    reconciliations::append_run_history(unit.conn(), run, &document, now).await?;
    if !event.is_empty() {
        unit.publish(Event {
            aggregate_kind: "portal_reconciliation",
            aggregate_id: run.id,
            version: run.version,
            kind: event,
            payload: of_older_run(run),
        });
    }
    unit.leaf(Leaf {
        kind: RUN,
        resource: run.id,
        version: run.version,
        canonical: document.as_bytes(),
    });
    Ok(())
}

/// Adds a difference as it is now to its history, commits to it and tells the others.
async fn record_difference(
    unit: &mut UnitOfWork<'_>,
    difference: &Difference,
    event: &'static str,
) -> Result<(), Error> {
    reconciliations::append_history(unit.conn(), difference).await?;
    unit.publish(Event {
        aggregate_kind: DIFFERENCE,
        aggregate_id: difference.id,
        version: difference.version,
        kind: event,
        payload: serde_json::json!({
            "unit_id": difference.unit_id,
            "case_code": difference.case_code,
            "kind": difference.finding.kind as i16,
            "delivery_id": difference.delivery_id,
        }),
    });
    unit.leaf(Leaf {
        kind: DIFFERENCE,
        resource: difference.id,
        version: difference.version,
        canonical: of_difference(difference).to_string().as_bytes(),
    });
    Ok(())
}
