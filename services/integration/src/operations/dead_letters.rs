//! ListDeadLetters, GetDeadLetter, RedriveDeadLetters, PurgeDeadLetters.

use egov_auth::Caller;
use egov_database::{Page, WriteRequest, page_of};
use egov_events::{DeadLetter, Letters};
use egov_proto::egov::integration::v1::{
    ListDeadLettersRequest, PurgeDeadLettersRequest, PurgeDeadLettersResponse, RedriveDeadLettersRequest,
    RedriveDeadLettersResponse,
};
use uuid::Uuid;

use super::Events;
use super::topics::USE;
use crate::error::Error;
use crate::store::topics;

const LIST: &str = "/egov.integration.v1.EventService/ListDeadLetters";
const REDRIVE: &str = "/egov.integration.v1.EventService/RedriveDeadLetters";
const PURGE: &str = "/egov.integration.v1.EventService/PurgeDeadLetters";

/// The most bytes of events on a page, so that an answer passes whatever is dead: one event has at most 1 MiB, an answer 4.
const MOST_BYTES: usize = 3 * 1024 * 1024;

impl Events {
    /// A page of a subscription's dead letters.
    pub(crate) async fn list_dead_letters(
        &self,
        caller: &Caller,
        request: &ListDeadLettersRequest,
        subscription_id: Uuid,
    ) -> Result<(Vec<DeadLetter>, String), Error> {
        let page: Page<i64> = page_of!(self.database.page_tokens(), caller, LIST, request)?;
        let subscription = self.subscription(caller, subscription_id).await?;
        let found = self
            .store
            .dead_letters(&subscription.spec(), page.after().copied(), page.size(), MOST_BYTES)
            .await?;
        Ok(page.cut(found.letters, found.more, |letter| letter.place)?)
    }

    /// One dead letter.
    pub(crate) async fn get_dead_letter(
        &self,
        caller: &Caller,
        subscription_id: Uuid,
        offset: i64,
    ) -> Result<DeadLetter, Error> {
        let subscription = self.subscription(caller, subscription_id).await?;
        Ok(self.store.dead_letter(&subscription.spec(), offset).await?)
    }

    /// Delivers dead letters again. A repeated request gets the first one's answer and the store is not asked; if this process dies
    /// before the answer is kept, the store is asked again, and what the request means is no more than it was.
    pub(crate) async fn redrive_dead_letters(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &RedriveDeadLettersRequest,
        subscription_id: Uuid,
        letters: Letters<'_>,
    ) -> Result<RedriveDeadLettersResponse, Error> {
        let subscription = self.subscription(caller, subscription_id).await?;
        let write = WriteRequest::by(caller, USE, REDRIVE, request_id, body);
        let _one = self.one_at_a_time.lock().await;
        let written = self
            .database
            .write(write, async |unit| {
                self.still_there(caller, unit, subscription_id).await?;
                let redriven = self.store.redrive(&subscription.spec(), letters).await?;
                unit.led_to("event_subscription", subscription_id, 1);
                Ok::<_, Error>(RedriveDeadLettersResponse {
                    redriven: i64::try_from(redriven.letters).unwrap_or(i64::MAX),
                    more: redriven.more,
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Drops dead letters for good, at most once for a request id as with redriving.
    pub(crate) async fn purge_dead_letters(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &PurgeDeadLettersRequest,
        subscription_id: Uuid,
        letters: Letters<'_>,
    ) -> Result<PurgeDeadLettersResponse, Error> {
        let subscription = self.subscription(caller, subscription_id).await?;
        let write = WriteRequest::by(caller, USE, PURGE, request_id, body);
        let _one = self.one_at_a_time.lock().await;
        let written = self
            .database
            .write(write, async |unit| {
                self.still_there(caller, unit, subscription_id).await?;
                let purged = self.store.purge(&subscription.spec(), letters).await?;
                unit.led_to("event_subscription", subscription_id, 1);
                Ok::<_, Error>(PurgeDeadLettersResponse {
                    purged: i64::try_from(purged).unwrap_or(i64::MAX),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    async fn still_there(
        &self,
        caller: &Caller,
        unit: &mut egov_database::UnitOfWork<'_>,
        subscription_id: Uuid,
    ) -> Result<(), Error> {
        topics::get_subscription(unit.conn(), subscription_id, &caller.scope(USE))
            .await?
            .map(drop)
            .ok_or(Error::SubscriptionNotFound)
    }
}
