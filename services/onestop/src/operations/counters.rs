//! Quầy giao dịch: PutCounterGroup, TakeTicket, CallNext, RecallTicket, SkipTicket, FinishTicket, and what lists and the board show.

use egov_auth::{Caller, Resource, RowScope};
use egov_clock::Clock as _;
use egov_database::{Event, Leaf, Page, UnitOfWork, WriteRequest, violates};
use egov_fault::Fault;
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use super::act::Actor;
use crate::counter_error::CounterRefused;
use crate::domain::counters::{CounterGroup, Ticket, TicketAct, TicketState, label, rank};
use crate::error::Error;
use crate::store::StoreError;
use crate::store::counters::{self, Act, BoardRow};

const MANAGE: &str = "onestop.counters.manage";
const TAKE: &str = "onestop.tickets.take";
const SERVE: &str = "onestop.tickets.serve";

/// Of events and leaves of tickets.
const TICKET: &str = "queue_ticket";

/// Of events and leaves of groups.
const GROUP: &str = "counter_group";

/// Before everybody, for a count of all who wait.
const EVERYBODY: (i16, i32) = (i16::MAX, i32::MAX);

/// A group as somebody wants it.
pub(crate) struct WantedGroup {
    /// The one that is changed, with the version that the caller read; a new one if absent.
    pub(crate) existing: Option<(Uuid, String)>,
    pub(crate) unit_id: i32,
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) letter: String,
    pub(crate) counters: i32,
    pub(crate) open: bool,
}

/// Which request it is, and its whole message.
pub(crate) struct Asked<'a, M> {
    pub(crate) request_id: Uuid,
    pub(crate) body: &'a M,
    pub(crate) method: &'static str,
}

fn at(unit_id: i32) -> Resource {
    Resource {
        unit: Some(unit_id),
        owner: None,
        assignee: None,
    }
}

impl OneStop {
    fn asked<'a, M: Message>(caller: &'a Caller, permission: &str, asked: &Asked<'a, M>) -> WriteRequest<'a, M> {
        WriteRequest::keyed(
            caller.principal.caller_key(),
            caller.scope(permission),
            asked.method,
            asked.request_id,
            asked.body,
        )
    }

    /// Opens a group, or changes one.
    pub(crate) async fn put_counter_group<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedGroup,
        answer: impl FnOnce(&CounterGroup) -> R + Send,
    ) -> Result<R, Error> {
        let today = self.clock.today();
        let known = self
            .directory
            .units()
            .get(wanted.unit_id)
            .is_some_and(|unit| unit.in_force(today));
        if wanted.existing.is_none() && !known {
            return Err(Error::UnitNotFound(wanted.unit_id.to_string()));
        }
        let units = self.counted_units(caller, MANAGE, None, false)?;
        let written = self
            .database
            .write(
                Self::asked(caller, MANAGE, &asked),
                async |unit: &mut UnitOfWork<'_>| {
                    let (group_id, version) = match &wanted.existing {
                        None => {
                            caller.require(MANAGE, &at(wanted.unit_id))?;
                            (unit.new_id(), 1)
                        }
                        Some((group_id, etag)) => {
                            let before = counters::get_group(unit.conn(), *group_id, &units, true)
                                .await?
                                .filter(|before| before.unit_id == wanted.unit_id)
                                .ok_or(CounterRefused::GroupNotFound)?;
                            if before.etag() != *etag {
                                return Err(CounterRefused::StaleEtag.into());
                            }
                            (before.group_id, before.version + 1)
                        }
                    };
                    let group = CounterGroup {
                        group_id,
                        unit_id: wanted.unit_id,
                        code: wanted.code,
                        name: wanted.name,
                        letter: wanted.letter,
                        counters: wanted.counters,
                        open: wanted.open,
                        version,
                    };
                    let now = unit.now();
                    counters::put_group(unit.conn(), &group, now)
                        .await
                        .map_err(|error| match error {
                            StoreError::Sql(sql)
                                if violates(&sql, "counter_groups_code") || violates(&sql, "counter_groups_letter") =>
                            {
                                Error::Counter(CounterRefused::GroupTaken)
                            }
                            error => error.into(),
                        })?;
                    let of = Of {
                        kind: GROUP,
                        event: "counter_group_put",
                        resource: group_id,
                        version,
                        unit_id: group.unit_id,
                    };
                    let facts = serde_json::json!({ "code": group.code, "open": group.open });
                    keep(unit, caller, of, "put", &group, facts).await?;
                    Ok::<_, Error>(answer(&group))
                },
            )
            .await?;
        Ok(written.into_answer())
    }

    /// One page of the groups that the caller may serve.
    pub(crate) async fn list_counter_groups(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        page: Page<(i32, String)>,
    ) -> Result<(Vec<CounterGroup>, String), Error> {
        let units = self.counted_units(caller, SERVE, unit_id, false)?;
        let (after, limit) = (page.after().cloned(), page.fetch());
        let rows = self
            .database
            .read(&caller.scope(SERVE), async |connection| {
                Ok::<_, Error>(counters::list_groups(connection, &units, after.as_ref(), limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.unit_id, row.code.clone()))?)
    }

    /// Gives the next number of the day.
    pub(crate) async fn take_ticket<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        group_id: Uuid,
        priority: &str,
        answer: impl FnOnce(&Ticket, i64) -> R + Send,
    ) -> Result<R, Error> {
        let units = self.counted_units(caller, TAKE, None, false)?;
        let written = self
            .database
            .write(Self::asked(caller, TAKE, &asked), async |unit: &mut UnitOfWork<'_>| {
                let group = counters::get_group(unit.conn(), group_id, &units, false)
                    .await?
                    .ok_or(CounterRefused::GroupNotFound)?;
                caller.require(TAKE, &at(group.unit_id))?;
                if !group.open {
                    return Err(CounterRefused::GroupClosed.into());
                }
                let today = unit.today();
                let rules = self.law.get().centre(today);
                let rank = rank(rules.as_deref(), priority, self.profile).map_err(CounterRefused::from)?;
                let ticket_id = unit.new_id();
                // From here on everybody else who takes a number of this group waits for the commit.
                let number = unit
                    .next_number(&group_id.to_string(), TICKET, &today.to_string())
                    .await?;
                let number = i32::try_from(number).map_err(Fault::internal)?;
                let ticket = Ticket {
                    ticket_id,
                    unit_id: group.unit_id,
                    group_id,
                    day: today,
                    number,
                    label: label(&group.letter, number),
                    priority: priority.to_owned(),
                    rank,
                    state: TicketState::Waiting,
                    counter: None,
                    calls: 0,
                    take_time: unit.now(),
                    call_time: None,
                    finish_time: None,
                    version: 1,
                };
                counters::insert_ticket(unit.conn(), &ticket).await?;
                let ahead = counters::waiting(unit.conn(), group_id, today, (rank, number)).await?;
                keep_ticket(unit, caller, &ticket, "take", "ticket_taken").await?;
                Ok::<_, Error>(answer(&ticket, ahead))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Calls who is next to a counter; nobody if nobody waits.
    pub(crate) async fn call_next<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        group_id: Uuid,
        counter: i32,
        answer: impl FnOnce(Option<&Ticket>, i64) -> R + Send,
    ) -> Result<R, Error> {
        let units = self.counted_units(caller, SERVE, None, false)?;
        let written = self
            .database
            .write(Self::asked(caller, SERVE, &asked), async |unit: &mut UnitOfWork<'_>| {
                let group = counters::get_group(unit.conn(), group_id, &units, false)
                    .await?
                    .ok_or(CounterRefused::GroupNotFound)?;
                caller.require(SERVE, &at(group.unit_id))?;
                check_counter(&group, counter)?;
                let today = unit.today();
                let next = counters::next_waiting(unit.conn(), group_id, today).await?;
                let called = match next {
                    Some(ticket) => Some(change(unit, caller, &ticket, TicketAct::Call { counter }).await?),
                    None => None,
                };
                let waiting = counters::waiting(unit.conn(), group_id, today, EVERYBODY).await?;
                Ok::<_, Error>(answer(called.as_ref(), waiting))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Does something with a ticket of today.
    pub(crate) async fn act_on_ticket<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        ticket_id: Uuid,
        act: TicketAct,
        answer: impl FnOnce(&Ticket) -> R + Send,
    ) -> Result<R, Error> {
        let units = self.counted_units(caller, SERVE, None, false)?;
        let written = self
            .database
            .write(Self::asked(caller, SERVE, &asked), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                let ticket = counters::get_ticket(unit.conn(), ticket_id, today, &units)
                    .await?
                    .ok_or(CounterRefused::TicketNotFound)?;
                caller.require(SERVE, &at(ticket.unit_id))?;
                if let TicketAct::Recall { counter } = act {
                    let group = counters::get_group(unit.conn(), ticket.group_id, &units, false)
                        .await?
                        .ok_or(CounterRefused::TicketNotFound)?;
                    check_counter(&group, counter)?;
                }
                let after = change(unit, caller, &ticket, act).await?;
                Ok::<_, Error>(answer(&after))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// One page of today's tickets of a group, by number.
    pub(crate) async fn list_tickets(
        &self,
        caller: &Caller,
        group_id: Uuid,
        state: Option<TicketState>,
        page: Page<i32>,
    ) -> Result<(Vec<Ticket>, String), Error> {
        let units = self.counted_units(caller, SERVE, None, false)?;
        let today = self.clock.today();
        let (after, limit) = (page.after().copied().unwrap_or(0), page.fetch());
        let rows = self
            .database
            .read(&caller.scope(SERVE), async |connection| {
                counters::get_group(&mut *connection, group_id, &units, false)
                    .await?
                    .ok_or(CounterRefused::GroupNotFound)?;
                Ok::<_, Error>(counters::list_tickets(connection, group_id, today, state, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| row.number)?)
    }

    /// What the board of a unit shows: numbers, for everybody.
    pub(crate) async fn board(&self, unit_id: i32) -> Result<Vec<BoardRow>, Error> {
        let today = self.clock.today();
        // Nobody in particular looks; one unit's rows are read, and nothing but numbers leaves.
        let scope = RowScope {
            units: vec![unit_id],
            ..RowScope::none()
        };
        self.database
            .read(&scope, async |connection| {
                Ok::<_, Error>(counters::board(connection, unit_id, today).await?)
            })
            .await
    }
}

fn check_counter(group: &CounterGroup, counter: i32) -> Result<(), CounterRefused> {
    if (1..=group.counters).contains(&counter) {
        Ok(())
    } else {
        Err(CounterRefused::CounterUnknown(counter))
    }
}

/// The ticket after an act, stored and told.
async fn change(unit: &mut UnitOfWork<'_>, caller: &Caller, ticket: &Ticket, act: TicketAct) -> Result<Ticket, Error> {
    let after = ticket.after(act, unit.now()).map_err(CounterRefused::from)?;
    counters::save_ticket(unit.conn(), &after)
        .await
        .map_err(|error| match error {
            StoreError::Sql(sql) if violates(&sql, "queue_tickets_at_counter") => {
                Error::Counter(CounterRefused::CounterBusy)
            }
            error => error.into(),
        })?;
    let event = match act {
        TicketAct::Call { .. } | TicketAct::Recall { .. } => "ticket_called",
        TicketAct::Skip => "ticket_skipped",
        TicketAct::Finish => "ticket_finished",
    };
    keep_ticket(unit, caller, &after, act.name(), event).await?;
    Ok(after)
}

async fn keep_ticket(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    ticket: &Ticket,
    act: &'static str,
    event: &'static str,
) -> Result<(), Error> {
    let of = Of {
        kind: TICKET,
        event,
        resource: ticket.ticket_id,
        version: ticket.version,
        unit_id: ticket.unit_id,
    };
    let facts = serde_json::json!({
        "group_id": ticket.group_id,
        "day": ticket.day,
        "label": ticket.label,
        "counter": ticket.counter,
    });
    keep(unit, caller, of, act, ticket, facts).await
}

/// Of what something is kept.
struct Of {
    kind: &'static str,
    event: &'static str,
    resource: Uuid,
    version: i64,
    unit_id: i32,
}

/// History, event and leaf of what was done.
async fn keep(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    of: Of,
    act: &'static str,
    content: &impl serde::Serialize,
    mut facts: serde_json::Value,
) -> Result<(), Error> {
    let content = serde_json::to_string(content).map_err(Fault::internal)?;
    let actor = Actor::from(caller.principal.as_ref());
    let row = Act {
        unit_id: of.unit_id,
        kind: of.kind,
        resource_id: of.resource,
        version: of.version,
        name: act,
        actor_id: actor.id,
        actor_kind: actor.kind,
        content: &content,
        now: unit.now(),
    };
    counters::append(unit.conn(), &row).await?;
    if let Some(facts) = facts.as_object_mut() {
        facts.insert("responsible_unit_id".to_owned(), of.unit_id.into());
    }
    unit.publish(Event {
        aggregate_kind: of.kind,
        aggregate_id: of.resource,
        version: of.version,
        kind: of.event,
        payload: facts,
    });
    unit.leaf(Leaf {
        kind: of.kind,
        resource: of.resource,
        version: of.version,
        canonical: content.as_bytes(),
    });
    Ok(())
}
