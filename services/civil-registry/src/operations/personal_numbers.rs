//! The saga of a child's personal number (cấp số định danh cá nhân): wanted with the registration, asked for by a job under one request code, and written down
//! with what it means in one transaction; ListPersonalNumberRequests, RetryPersonalNumberRequest.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::{Caller, ReadRecord, Resource, RowScope};
use egov_clock::Clock as _;
use egov_codes::PersonalNumber;
use egov_database::{Database, Event, Leaf, Lease, Page, UnitOfWork};
use egov_directory::{Directory, UnitKind};
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Actor, Asked, CivilRegistry};
use crate::domain::birth::{Birth, Parent};
use crate::domain::entry::{Details, Entry};
use crate::domain::person::Country;
use crate::domain::personal_number::{
    HAS_ANOTHER_NUMBER, NO_AGENCY_CODE, NOT_CONNECTED, NOT_TAKEN, NUMBER_OF_ANOTHER, NumberRequest, OUTCOME_UNKNOWN,
    REFUSED_BY_DATABASE, RequestState, UNAVAILABLE, mismatch,
};
use crate::error::Error;
use crate::population::{NoNumber, NumberAssigner, WantedNumber};
use crate::store::{StoreError, entries, personal_numbers as numbers};

pub(crate) use crate::store::personal_numbers::RequestFilter;

/// The permission by which a caller sees what is asked for.
const READ: &str = "civil_registry.numbers.read";
const RETRY: &str = "civil_registry.numbers.retry";

/// Of events and leaves of requests.
pub(crate) const KIND: &str = "civil_personal_number";

const LEASE: &str = "civil_registry.personal-numbers";
/// Longer than an answer may take.
const LEASE_TIME: Duration = Duration::from_mins(2);
/// How many are asked for in one round.
const BATCH: i64 = 50;
/// Time between two rounds.
const EVERY: Duration = Duration::from_secs(1);
/// How long the database is left alone while it is away.
const PAUSE: Duration = Duration::from_secs(5);

/// Whoever does what no caller asked for.
const JOB: &str = "job";

/// What a request is about is no birth: it cannot have been made.
fn no_birth() -> Error {
    StoreError::Inconsistent {
        table: "personal_number_requests",
        column: "entry_id",
    }
    .into()
}

fn birth_of(entry: &Entry) -> Result<&Birth, Error> {
    match &entry.content.details {
        Details::Birth(birth) => Ok(birth),
        _ => Err(no_birth()),
    }
}

/// Keeps an act on a request: its history, and the leaf; the event is the caller's to publish.
async fn keep_act(
    unit: &mut UnitOfWork<'_>,
    request: &NumberRequest,
    act: &'static str,
    actor: Option<Actor>,
) -> Result<(), Error> {
    let canonical = request.canonical().map_err(Fault::internal)?;
    let actor = actor.map_or((None, JOB), |actor| (Some(actor.id), actor.kind));
    numbers::add_act(unit.conn(), request, act, actor, &canonical).await?;
    unit.leaf(Leaf {
        kind: KIND,
        resource: request.entry_id,
        version: request.version,
        canonical: canonical.as_bytes(),
    });
    Ok(())
}

/// The event of a request that was settled. It carries no number.
fn announce(unit: &mut UnitOfWork<'_>, request: &NumberRequest, kind: &'static str) {
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: request.entry_id,
        version: request.version,
        kind,
        payload: serde_json::json!({
            "responsible_unit_id": request.unit_id,
            "entry_id": request.entry_id,
            "subject_id": request.person_id,
            "problem": request.problem,
        }),
    });
}

/// The number of a child whose birth is entered without one is wanted: within the transaction of the registration, so that no birth is entered whose number
/// nobody asks for. What gets no number is noted as such.
pub(super) async fn want(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    entry: &Entry,
    legal_basis: &str,
) -> Result<(), Error> {
    let (which, now) = ((entry.entry_id, entry.unit_id), unit.now());
    let Some(request) = NumberRequest::of(birth_of(entry)?, which, legal_basis, now) else {
        return Ok(());
    };
    numbers::insert(unit.conn(), &request).await?;
    let act = match request.state {
        RequestState::NotAsked => "not_asked",
        _ => "wanted",
    };
    keep_act(unit, &request, act, Some(Actor::from(caller))).await
}

/// The request about an entry, for whoever issues a paper of it; the number that the child got by it stands on the paper.
pub(super) async fn of_entry(
    unit: &mut UnitOfWork<'_>,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Option<NumberRequest>, Error> {
    Ok(numbers::of_entry(unit.conn(), entry_id, scope).await?)
}

/// What an entry says, with the number that the child got after it was entered.
pub(super) fn with_number(mut details: Details, request: Option<&NumberRequest>) -> Details {
    let assigned = request.filter(|request| request.state == RequestState::Assigned);
    if let (Details::Birth(birth), Some(number)) = (&mut details, assigned.and_then(|request| request.number.as_ref()))
    {
        birth.child.person.personal_number.get_or_insert_with(|| number.clone());
    }
    details
}

/// What a round of the job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// How many were asked for.
    pub asked: usize,
    /// How many were assigned.
    pub assigned: usize,
    /// How many were refused.
    pub refused: usize,
    /// Whether the database, or the way to it, is away.
    pub is_away: bool,
}

/// The job that asks for the numbers that are wanted; of many processes one does, under a lease.
#[derive(Clone)]
pub struct PersonalNumbers {
    /// The service's database.
    pub database: Database,
    /// The tree of units.
    pub directory: Arc<Directory>,
    /// The population database.
    pub assigner: Arc<dyn NumberAssigner>,
}

impl PersonalNumbers {
    /// Asks for what is due until it is told to stop. What is given up halfway is asked for again, under the same code; a round that fails is tried again.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.round() => round,
            };
            let pause = match round {
                Ok(Some(Round { is_away: true, .. })) => PAUSE,
                Ok(_) => EVERY,
                Err(fault) => {
                    tracing::warn!(reason = fault.reason(), error = ?fault, "personal numbers are not asked for");
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One round: every request that is due; none if another process has the lease.
    ///
    /// # Errors
    /// The service's database is away, or the lease was lost.
    pub async fn round(&self) -> Result<Option<Round>, Fault> {
        let mut round = Round::default();
        if self.due(1).await?.is_empty() {
            return Ok(Some(round));
        }
        let Some(mut lease) = self.database.acquire_lease(LEASE, LEASE_TIME).await? else {
            return Ok(None);
        };
        let done = self.ask_due(&mut lease, &mut round).await;
        // Given back whatever became of the work: nobody shall wait until it runs out.
        let released = lease.release().await;
        done?;
        released?;
        Ok(Some(round))
    }

    async fn due(&self, limit: i64) -> Result<Vec<Uuid>, Error> {
        let now = self.database.clock().now();
        self.database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(numbers::due(connection, now, limit).await?)
            })
            .await
    }

    async fn ask_due(&self, lease: &mut Lease, round: &mut Round) -> Result<(), Error> {
        for entry_id in self.due(BATCH).await? {
            if lease.is_due() {
                lease.renew().await?;
            }
            let Some(wanted) = self.begin(lease, entry_id).await? else {
                continue;
            };
            round.asked += 1;
            let answer = self.assigner.assign(&wanted).await;
            round.is_away = matches!(answer, Err(NoNumber::Unavailable(_)));
            match self.settle(lease, entry_id, answer).await? {
                Some(RequestState::Assigned) => round.assigned += 1,
                Some(RequestState::Refused) => round.refused += 1,
                _ => {}
            }
            if round.is_away {
                break;
            }
        }
        Ok(())
    }

    /// Before the database is asked: that it is, under which code, and when again if no answer is ever written down. None if there is nothing to ask.
    async fn begin(&self, lease: &Lease, entry_id: Uuid) -> Result<Option<WantedNumber>, Error> {
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let (now, today) = (unit.now(), unit.today());
                let everything = RowScope::everything();
                let Some(mut request) = numbers::hold(unit.conn(), entry_id, &everything).await? else {
                    return Ok::<_, Error>(None);
                };
                if !request.is_due(now) {
                    return Ok(None);
                }
                let Some(agency_code) = self.agency_code(&request, today) else {
                    request.put_off(NO_AGENCY_CODE, now);
                    numbers::save(unit.conn(), &request).await?;
                    return Ok(None);
                };
                let entry = entries::get(unit.conn(), entry_id, &everything)
                    .await?
                    .ok_or_else(no_birth)?;
                request.begin(&agency_code, now);
                numbers::save(unit.conn(), &request).await?;
                Ok(Some(wanted(&request, &entry)?))
            })
            .await
    }

    /// Mã định danh under which a commune asks: that of the first time.
    fn agency_code(&self, request: &NumberRequest, today: Date) -> Option<String> {
        if !request.agency_code.is_empty() {
            return Some(request.agency_code.clone());
        }
        self.directory
            .agency_code(request.unit_id, today)
            .map(|agency| agency.code)
    }

    /// Mã tỉnh, three digits, of the province of a commune, as a number assigned there begins.
    fn province_code(&self, unit_id: i32) -> Option<String> {
        let mut unit = self.directory.unit(unit_id)?;
        while unit.kind != UnitKind::Province {
            unit = self.directory.unit(unit.parent?)?;
        }
        Some(format!("{:0>3}", unit.code))
    }

    /// Writes down what the database answered, with what it means, in one transaction. Whoever was settled meanwhile stays so.
    async fn settle(
        &self,
        lease: &Lease,
        entry_id: Uuid,
        answer: Result<PersonalNumber, NoNumber>,
    ) -> Result<Option<RequestState>, Error> {
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let (now, today) = (unit.now(), unit.today());
                let everything = RowScope::everything();
                let Some(mut request) = numbers::hold(unit.conn(), entry_id, &everything).await? else {
                    return Ok::<_, Error>(None);
                };
                if !request.state.is_open() {
                    return Ok(None);
                }
                match answer {
                    Ok(number) => {
                        let entry = entries::get(unit.conn(), entry_id, &everything)
                            .await?
                            .ok_or_else(no_birth)?;
                        let problem = self.problem_of(unit, &request, &entry, &number).await?;
                        match problem {
                            None => request.assign(number, today, now),
                            Some(problem) => request.refuse(problem, Some(number), now),
                        }
                    }
                    Err(NoNumber::Refused) => request.refuse(REFUSED_BY_DATABASE, None, now),
                    Err(NoNumber::Unknown(_)) => request.unanswered(OUTCOME_UNKNOWN),
                    Err(NoNumber::Unavailable(_)) => request.unanswered(UNAVAILABLE),
                    Err(NoNumber::NotTaken(fault)) => {
                        tracing::warn!(reason = fault.reason(), %entry_id, "a request for a personal number is not taken");
                        request.refuse(NOT_TAKEN, None, now);
                    }
                }
                numbers::save(unit.conn(), &request).await?;
                match request.state {
                    RequestState::Assigned => {
                        keep_act(unit, &request, "assigned", None).await?;
                        announce(unit, &request, "civil_personal_number_assigned");
                    }
                    RequestState::Refused => {
                        keep_act(unit, &request, "refused", None).await?;
                        announce(unit, &request, "civil_personal_number_refused");
                    }
                    _ => {}
                }
                Ok(Some(request.state))
            })
            .await
    }

    /// Why a number cannot be the child's; none if it is the child's from now on. Nobody who has a number gets another one, and no number another person.
    async fn problem_of(
        &self,
        unit: &mut UnitOfWork<'_>,
        request: &NumberRequest,
        entry: &Entry,
        number: &PersonalNumber,
    ) -> Result<Option<&'static str>, Error> {
        let child = &birth_of(entry)?.child.person;
        let province = self.province_code(request.unit_id);
        // By what the database was told: a correction of the entry since then is the officer's to see.
        if let Some(problem) = mismatch(number, (child.sex, child.born), province.as_deref()) {
            return Ok(Some(problem));
        }
        let now = unit.now();
        let (holder, _) = numbers::claim(unit.conn(), (number.reveal(), request.person_id), now).await?;
        Ok(match holder {
            Some(holder) if holder == request.person_id => None,
            Some(_) => Some(NUMBER_OF_ANOTHER),
            None => Some(HAS_ANOTHER_NUMBER),
        })
    }
}

/// What the database is told of a child: what the entry says, which never changes. What integration adds of its own (its account, its code tables) is the same
/// in a repetition as long as that is.
fn wanted(request: &NumberRequest, entry: &Entry) -> Result<WantedNumber, Error> {
    let birth = birth_of(entry)?;
    let child = &birth.child.person;
    let number_of = |parent: Option<&Parent>| {
        let number = parent.and_then(|parent| parent.person.personal_number.as_ref());
        number.map(PersonalNumber::reveal).unwrap_or_default().to_owned()
    };
    Ok(WantedNumber {
        request_code: request.request_code.clone(),
        unit_id: request.unit_id,
        agency_code: request.agency_code.clone(),
        officer_code: entry.actor_id.to_string(),
        legal_basis: request.legal_basis.clone(),
        full_name: child.full_name.as_str().to_owned(),
        born: child.born.ok_or_else(no_birth)?,
        sex: child.sex,
        ethnic_group: child
            .ethnic_group
            .as_ref()
            .map(|group| group.code().to_owned())
            .unwrap_or_default(),
        // It is asked for those who are Vietnamese, if not by their first nationality then by the other one.
        nationality: Country::VIET_NAM.code().to_owned(),
        registration_place: entry.content.registration_place.clone(),
        mother_number: number_of(birth.mother.as_ref()),
        father_number: number_of(birth.father.as_ref()),
    })
}

impl CivilRegistry {
    /// What stands in the way of an open request, for whoever is shown it: without a way to the database it waits from the start.
    pub(super) fn awaited_for(&self, request: &NumberRequest) -> String {
        if request.state.is_open() && request.problem.is_empty() && !self.numbers.is_connected() {
            NOT_CONNECTED.to_owned()
        } else {
            request.problem.clone()
        }
    }

    /// One page of the requests in the caller's scope, and whether there is a way to the database; with one record of reading for the whole page.
    pub(crate) async fn list_number_requests(
        &self,
        caller: &Caller,
        wanted: RequestFilter,
        page: Page<Uuid>,
    ) -> Result<(Vec<NumberRequest>, String, bool), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(numbers::list(connection, &scope, wanted, after, limit).await?)
            })
            .await?;
        let (mut rows, next) = page.finish(rows, |request: &NumberRequest| request.entry_id)?;
        for request in &mut rows {
            request.problem = self.awaited_for(request);
        }
        let read = rows.iter().map(|request| {
            let name = format!("civil_personal_number_requests/{}", request.entry_id);
            (Some(request.person_id), name)
        });
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok((rows, next, self.numbers.is_connected()))
    }

    /// Lets a refused request be asked for again, under the same code.
    pub(crate) async fn retry_number_request<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        entry_id: Uuid,
        answer: impl FnOnce(&NumberRequest) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ);
        let written = self
            .database
            .write(asked.write(caller, READ), async |unit: &mut UnitOfWork<'_>| {
                let mut request = numbers::hold(unit.conn(), entry_id, &scope)
                    .await?
                    .ok_or(Error::EntryNotFound)?;
                caller.require(RETRY, &Resource::of_unit(request.unit_id))?;
                if !request.retry(unit.now()) {
                    return Err(Error::NumberRequestState(request.state.code()));
                }
                numbers::save(unit.conn(), &request).await?;
                keep_act(unit, &request, "retried", Some(Actor::from(caller))).await?;
                announce(unit, &request, "civil_personal_number_wanted");
                Ok::<_, Error>(answer(&request))
            })
            .await?;
        Ok(written.into_answer())
    }
}
