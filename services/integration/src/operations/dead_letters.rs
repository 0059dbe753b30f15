//! ListDeadLetters, GetDeadLetter, RedriveDeadLetters, PurgeDeadLetters.

use egov_auth::Caller;
use egov_database::{PageBinding, WriteRequest};
use egov_events::DeadLetter;
use egov_proto::egov::integration::v1::{
    ListDeadLettersRequest, PurgeDeadLettersRequest, PurgeDeadLettersResponse, RedriveDeadLettersRequest,
    RedriveDeadLettersResponse,
};
use uuid::Uuid;

use super::Events;
use super::topics::USE;
use crate::event_error::EventsError;
use crate::store::topics;

const LIST: &str = "/egov.integration.v1.EventService/ListDeadLetters";
const REDRIVE: &str = "/egov.integration.v1.EventService/RedriveDeadLetters";
const PURGE: &str = "/egov.integration.v1.EventService/PurgeDeadLetters";

impl Events {
    /// A page of a subscription's dead letters.
    pub(crate) async fn list_dead_letters(
        &self,
        caller: &Caller,
        request: &ListDeadLettersRequest,
        subscription_id: Uuid,
    ) -> Result<(Vec<DeadLetter>, String), EventsError> {
        let filter = ListDeadLettersRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let binding = PageBinding::of(caller, LIST, &filter);
        let page = self
            .database
            .page_tokens()
            .page::<i64>(request.page_size, &request.page_token, binding)?;
        let subscription = self.subscription(caller, subscription_id).await?;
        let limit = u32::try_from(page.fetch()).unwrap_or(u32::MAX);
        let letters = self
            .store
            .dead_letters(&subscription.spec(), page.after().copied(), limit)
            .await?;
        Ok(page.finish(letters, |letter| letter.place)?)
    }

    /// One dead letter.
    pub(crate) async fn get_dead_letter(
        &self,
        caller: &Caller,
        subscription_id: Uuid,
        offset: i64,
    ) -> Result<DeadLetter, EventsError> {
        let subscription = self.subscription(caller, subscription_id).await?;
        Ok(self.store.dead_letter(&subscription.spec(), offset).await?)
    }

    /// Delivers dead letters again, all if none is named. The store is asked first and the answer kept after it: redriving what is
    /// redriven already changes nothing, so that a repeated request is safe whichever way the first went.
    pub(crate) async fn redrive_dead_letters(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &RedriveDeadLettersRequest,
        subscription_id: Uuid,
    ) -> Result<RedriveDeadLettersResponse, EventsError> {
        let subscription = self.subscription(caller, subscription_id).await?;
        let offsets = (!body.offsets.is_empty()).then_some(body.offsets.as_slice());
        let redriven = self.store.redrive(&subscription.spec(), offsets).await?;
        let answer = RedriveDeadLettersResponse {
            redriven: i64::try_from(redriven).unwrap_or(i64::MAX),
        };
        let write = WriteRequest::by(caller, USE, REDRIVE, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                self.still_there(caller, unit, subscription_id).await?;
                unit.led_to("event_subscription", subscription_id, 1);
                Ok::<_, EventsError>(answer)
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Drops dead letters for good, all if none is named; as with redriving, the store is asked first.
    pub(crate) async fn purge_dead_letters(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &PurgeDeadLettersRequest,
        subscription_id: Uuid,
    ) -> Result<PurgeDeadLettersResponse, EventsError> {
        let subscription = self.subscription(caller, subscription_id).await?;
        let offsets = (!body.offsets.is_empty()).then_some(body.offsets.as_slice());
        let purged = self.store.purge(&subscription.spec(), offsets).await?;
        let answer = PurgeDeadLettersResponse {
            purged: i64::try_from(purged).unwrap_or(i64::MAX),
        };
        let write = WriteRequest::by(caller, USE, PURGE, request_id, body);
        let written = self
            .database
            .write(write, async |unit| {
                self.still_there(caller, unit, subscription_id).await?;
                unit.led_to("event_subscription", subscription_id, 1);
                Ok::<_, EventsError>(answer)
            })
            .await?;
        Ok(written.into_answer())
    }

    async fn still_there(
        &self,
        caller: &Caller,
        unit: &mut egov_database::UnitOfWork<'_>,
        subscription_id: Uuid,
    ) -> Result<(), EventsError> {
        topics::get_subscription(unit.conn(), subscription_id, &caller.scope(USE))
            .await?
            .map(drop)
            .ok_or(EventsError::SubscriptionNotFound)
    }
}
