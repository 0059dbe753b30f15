//! CreateEntry.

use egov_auth::{Caller, Resource};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_proto::egov::integration::v1::{CreateEntryRequest, CreateEntryResponse};
use uuid::Uuid;

use super::{Integration, READ};
use crate::domain::entry::{Entry, normal_title};
use crate::error::Error;
use crate::store::entries;

impl Integration {
    /// Makes an entry, at most once for a request id.
    pub(crate) async fn create_entry(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &CreateEntryRequest,
        answer: impl FnOnce(&Entry) -> CreateEntryResponse + Send,
    ) -> Result<CreateEntryResponse, Error> {
        caller.require("integration.entries.create", &Resource::of_unit(body.unit_id))?;
        let method = "egov.integration.v1.IntegrationService/CreateEntry";
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let entry = Entry {
                    id: unit.new_id(),
                    unit_id: body.unit_id,
                    title: normal_title(&body.title),
                    create_time: unit.now(),
                };
                entries::insert(unit.conn(), &entry).await?;
                unit.publish(Event {
                    aggregate_kind: "entry",
                    aggregate_id: entry.id,
                    version: 1,
                    kind: "entry_created",
                    payload: serde_json::json!({ "unit_id": entry.unit_id }),
                });
                let canonical = serde_json::json!({
                    "entry_id": entry.id,
                    "unit_id": entry.unit_id,
                    "title": entry.title,
                    "create_time": entry.create_time,
                });
                unit.leaf(Leaf {
                    kind: "entry",
                    resource: entry.id,
                    version: 1,
                    canonical: canonical.to_string().as_bytes(),
                });
                unit.led_to("entry", entry.id, 1);
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }
}
