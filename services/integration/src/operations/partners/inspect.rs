//! GetDelivery, ListDeliveries, RedriveDelivery, ListUnmappedValues.

use egov_auth::{Caller, Resource};
use egov_database::{Page, UnitOfWork, WriteRequest};
use egov_proto::egov::integration::v1::{RedriveDeliveryRequest, RedriveDeliveryResponse};
use jiff::Timestamp;
use uuid::Uuid;

use super::{ENTER, Partners, record};
use crate::domain::delivery::{Delivery, State};
use crate::domain::unmapped::Counted;
use crate::error::Error;
use crate::store::deliveries;
use crate::store::partner_records::list_unmapped;

const READ: &str = "integration.deliveries.read";
const REDRIVE: &str = "integration.deliveries.redrive";

/// A place in a list by time.
pub(crate) type Place = (Timestamp, Uuid);

impl Partners {
    /// A delivery that the caller sees.
    pub(crate) async fn get_delivery(&self, caller: &Caller, delivery_id: Uuid) -> Result<Delivery, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                deliveries::get(connection, delivery_id, &scope)
                    .await?
                    .ok_or(Error::DeliveryNotFound)
            })
            .await
    }

    /// One page of the deliveries that the caller sees, newest first.
    pub(crate) async fn list_deliveries(
        &self,
        caller: &Caller,
        state: Option<State>,
        page: Page<Place>,
    ) -> Result<(Vec<Delivery>, String), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(deliveries::list(connection, &scope, state, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.create_time, row.id))?)
    }

    /// Sends a delivery again that failed or was given up: the partner is asked first.
    pub(crate) async fn redrive_delivery(
        &self,
        caller: &Caller,
        request_id: Uuid,
        delivery_id: Uuid,
        body: &RedriveDeliveryRequest,
        answer: impl FnOnce(&Delivery) -> RedriveDeliveryResponse + Send,
    ) -> Result<RedriveDeliveryResponse, Error> {
        let method = "egov.integration.v1.PortalService/RedriveDelivery";
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let scope = caller.scope(READ);
                let known = deliveries::get(unit.conn(), delivery_id, &scope)
                    .await?
                    .ok_or(Error::DeliveryNotFound)?;
                deliveries::lock_matter(unit.conn(), &known.order_key).await?;
                let (mut delivery, _) = deliveries::lock(unit.conn(), delivery_id)
                    .await?
                    .ok_or(Error::DeliveryNotFound)?;
                caller.require(REDRIVE, &Resource::of_unit(delivery.unit_id))?;
                if delivery.etag() != body.etag {
                    return Err(Error::StaleEtag);
                }
                let last =
                    deliveries::last_of_matter(unit.conn(), &delivery.partner, &delivery.act, &delivery.order_key)
                        .await?;
                // A case, and an entry of a book, is told as it stands: an older word after a newer one would be wrong. Steps are all told.
                let is_whole = delivery.act == "sync_case" || delivery.act == ENTER;
                if is_whole && last.is_some_and(|last| last.id != delivery.id) {
                    return Err(Error::DeliverySuperseded);
                }
                if !delivery.redrive(unit.now()) {
                    return Err(Error::DeliveryNotRedrivable);
                }
                deliveries::update(unit.conn(), &delivery, None).await?;
                record(unit, &delivery, &caller.key(), None, "delivery_redriven").await?;
                Ok(answer(&delivery))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// One page of the codes that could not be translated, met last first.
    pub(crate) async fn list_unmapped_values(
        &self,
        caller: &Caller,
        page: Page<Place>,
    ) -> Result<(Vec<Counted>, String), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(list_unmapped(connection, &scope, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.last_time, row.id))?)
    }
}
