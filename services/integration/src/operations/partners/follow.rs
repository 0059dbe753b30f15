//! Cases that are told to the national portal by themselves: one-stop says in its log that something happened to a case, the case
//! is read by one-stop's contract, and what the portal is told of it becomes a delivery.
//!
//! The effect of an event happens once: the inbox knows it, in the transaction of the delivery, and a version of a case is one
//! delivery whatever led to it. Only then is the event acknowledged; a process that is killed in between finds it again.
//!
//! A case that one-stop does not show to this system is not this system's to tell, and its event is acknowledged. That is final: one-stop
//! publishes an event after the commit that it is about, so the case was there to be read. It may be shown later, after it went to
//! another unit or the system got a role at its unit: then its next event tells it, and that it went is such an event.
//!
//! While one-stop is away no event is fetched, so that an outage uses up no event's attempts, however long it is.

use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::Clock as _;
use egov_database::UnitOfWork;
use egov_events::{Batch, Delivery as EventDelivery, Rejection};
use egov_fault::{Code, Fault};
use egov_partners::Partner;
use egov_partners::case_mapping::{NotMappable, Surroundings, told_case};
use egov_proto::egov::onestop::v1::{Case, CaseParticulars};
use jiff::Timestamp;
use uuid::Uuid;

use super::portal::content_of;
use super::{Partners, connected};
use crate::domain::case_event::{CaseEvent, NotReadable, case_event};
use crate::domain::case_version;
use crate::domain::delivery::Delivery;
use crate::error::Error;
use crate::operations::Events;
use crate::partners::Follow;
use crate::store::deliveries;

/// Under this name the inbox knows what was applied, and the topic its subscription.
pub(crate) const CONSUMER: &str = "portal.cases";

/// Who acts.
const ACTOR: &str = "job:integration.portal-cases";

/// How many events are fetched at once.
const BATCH: u32 = 20;

/// When one-stop is asked about a case again after it failed.
const ONE_STOP_FAILED: Duration = Duration::from_mins(5);

/// What a round of following did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Events that were dealt with: told, known already, or about what is not followed.
    pub done: usize,
    /// Of these, events whose case one-stop does not show to this system.
    pub not_shown: usize,
    /// Events whose case cannot be told, at least not now: they come again, and lie with the dead letters in the end.
    pub put_off: usize,
    /// Whether one-stop is away: it could not be reached, did not answer in time, or did not know this system. The round ended there.
    pub one_stop_away: bool,
}

/// What came of an event.
enum Applied {
    /// Told, known already, or about what is not followed.
    Done,
    /// One-stop shows no such case to this system.
    NotShown,
}

/// Why an event is put off.
#[derive(Debug, thiserror::Error)]
enum PutOff {
    #[error(transparent)]
    Event(#[from] NotReadable),
    #[error("one-stop: {0}")]
    OneStop(Fault),
    #[error("the case cannot be told: {0}")]
    NotMappable(#[from] NotMappable),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Whether one-stop is away, for whatever it is asked; any other fault concerns the one case. That identity issues no token is
/// `UNAVAILABLE` too, and a time-out of our own is `CANCELLED`: tonic names it so.
pub(super) fn is_away(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unauthenticated
    )
}

impl Partners {
    /// Applies what is due, at most one batch. Nothing while the topic is not there.
    ///
    /// Fetching an event is one of its attempts. Unless one-stop is known to answer (`one_stop_answers`: it was not away in the round
    /// before), it is asked first, for a case that there cannot be.
    pub(crate) async fn follow(
        &self,
        events: &Events,
        follow: &Follow,
        one_stop_answers: bool,
    ) -> Result<Followed, Error> {
        let mut followed = Followed::default();
        if !one_stop_answers
            && let Err(fault) = follow.cases.case(Uuid::nil()).await
            && is_away(&fault)
        {
            tracing::warn!(reason = fault.reason(), error = ?fault, "one-stop is away, its cases are not told to the portal");
            followed.one_stop_away = true;
            return Ok(followed);
        }
        let Some(subscription) = events.own_feed(&follow.topic, CONSUMER).await? else {
            return Ok(followed);
        };
        let due = events.fetch(&subscription, Batch::of(BATCH), Duration::ZERO).await?;
        for delivery in due {
            let token = delivery.token.clone();
            let (acknowledged, rejected) = match self.apply(follow, &delivery).await {
                Ok(applied) => {
                    followed.done += 1;
                    if let Applied::NotShown = applied {
                        followed.not_shown += 1;
                        tracing::debug!(
                            event = delivery.event.id,
                            offset = delivery.offset,
                            "one-stop does not show this case"
                        );
                    }
                    (vec![token], vec![])
                }
                Err(why) => {
                    followed.put_off += 1;
                    let one_stop = match &why {
                        PutOff::OneStop(fault) => Some(fault),
                        _ => None,
                    };
                    followed.one_stop_away = one_stop.is_some_and(is_away);
                    // Ids and codes only: the words of a dead letter are no secret.
                    tracing::warn!(event = delivery.event.id, offset = delivery.offset, %why, "a case was not told to the portal");
                    let rejection = Rejection {
                        token,
                        cause: why.to_string(),
                        retry_after: one_stop.map(|_| ONE_STOP_FAILED),
                    };
                    (vec![], vec![rejection])
                }
            };
            events.settle_on(&subscription, &acknowledged, &rejected).await?;
            if followed.one_stop_away {
                // The rest of the batch was not tried: it is not rejected, and comes again when its time to be acknowledged is over.
                break;
            }
        }
        Ok(followed)
    }

    /// Applies one event.
    async fn apply(&self, follow: &Follow, delivery: &EventDelivery) -> Result<Applied, PutOff> {
        let Some(said) = case_event(&delivery.event)? else {
            return Ok(Applied::Done);
        };
        if !follow.follows(said.unit_id) || self.is_told(&said).await? {
            return Ok(Applied::Done);
        }
        let asked_at = self.now();
        let read = follow.cases.case(said.case_id).await.map_err(PutOff::OneStop)?;
        let Some((case, known)) = read else {
            return Ok(Applied::NotShown);
        };
        // It may have gone to another unit since.
        if follow.follows(case.responsible_unit_id) {
            self.tell(delivery, &case, known, asked_at).await?;
        }
        Ok(Applied::Done)
    }

    /// Whether this version of the case, or a later one, was handed in already: then nobody need read the case again, unless that was long
    /// ago. Then the event is an old one that comes late, or one-stop was restored and counts on from an earlier version, also to the very
    /// number that was told, and the case as it is says which.
    async fn is_told(&self, said: &CaseEvent) -> Result<bool, Error> {
        let (act, now) = ("sync_case", self.now());
        self.database
            .read(&RowScope::everything(), async |connection| {
                let portal = Partner::NationalPortal.name();
                let last = deliveries::last_of_matter(connection, portal, act, &said.case_code).await?;
                Ok(last.is_some_and(|last| case_version::needs_no_reading(&last, said.version, now)))
            })
            .await
    }

    /// Hands in what the portal is told of a case as it is now, once for the event and once for the version.
    async fn tell(
        &self,
        delivery: &EventDelivery,
        case: &Case,
        known: CaseParticulars,
        asked_at: Timestamp,
    ) -> Result<(), PutOff> {
        let portal = connected(self.portal(), Partner::NationalPortal)?;
        let (tables, clock) = (&self.connections.tables, self.database.clock());
        let around = Surroundings {
            known,
            ..Surroundings::default()
        };
        let mapped = match told_case(case, &around, tables, clock.today(), clock.now()) {
            Ok(mapped) => mapped,
            Err(why) => {
                self.report_not_mappable(case.responsible_unit_id, &why).await?;
                return Err(why.into());
            }
        };
        let content = content_of(&mapped)?;
        let event = delivery.event.dedupe();
        self.database
            .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
                if !unit.first_time(CONSUMER, event).await? {
                    return Ok(());
                }
                deliveries::lock_matter(unit.conn(), &case.case_code).await?;
                let last = deliveries::last_of_matter(
                    unit.conn(),
                    Partner::NationalPortal.name(),
                    "sync_case",
                    &case.case_code,
                )
                .await?;
                let is_told = |last: &Delivery| {
                    case_version::is_told(last, case.version, self.has_told(last, &content), asked_at)
                };
                if last.as_ref().is_some_and(is_told) {
                    return Ok(());
                }
                self.hand_in_case(unit, case, &mapped, ACTOR, &portal.contract).await?;
                // What was told of the case says up to which version its steps were told.
                let told = last.as_ref().and_then(|last| case_version::of(&last.partner_key));
                self.hand_in_steps(unit, case, (&mapped, told), ACTOR, &portal.contract)
                    .await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(())
    }
}
