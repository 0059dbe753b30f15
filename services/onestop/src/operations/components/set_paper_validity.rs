//! SetPaperValidity (hiệu lực của giấy tờ trong kho dữ liệu).

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1::{SetPaperValidityRequest, SetPaperValidityResponse};
use uuid::Uuid;

use super::keep;
use crate::domain::components::ComponentRefused;
use crate::domain::components::paper::{StoredPaper, WantedValidity};
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::stored_papers;

const MANAGE: &str = "onestop.papers.manage";

/// Which paper a request is about, and which request it is.
pub(crate) struct PaperTarget<'a> {
    pub(crate) request_id: Uuid,
    pub(crate) body: &'a SetPaperValidityRequest,
    pub(crate) paper_id: Uuid,
}

fn ends_first(paper: &StoredPaper) -> Error {
    let from = paper.valid_from.strftime("%d/%m/%Y");
    Fault::invalid(vec![Violation {
        field: "valid_until".to_owned(),
        rule: "value".to_owned(),
        vi: format!("không được trước ngày bắt đầu có hiệu lực {from}"),
        en: format!("must not be before {from}, from which day on the paper holds"),
    }])
    .into()
}

impl OneStop {
    /// Says until when a paper holds, or by what it was replaced: the unit that issued or confirmed it.
    pub(crate) async fn set_paper_validity(
        &self,
        caller: &Caller,
        target: PaperTarget<'_>,
        wanted: WantedValidity,
        answer: impl FnOnce(&StoredPaper) -> SetPaperValidityResponse + Send,
    ) -> Result<SetPaperValidityResponse, Error> {
        let units = self.counted_units(caller, MANAGE, None, false)?;
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            caller.scope(MANAGE),
            "egov.onestop.v1.ComponentService/SetPaperValidity",
            target.request_id,
            target.body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let before = stored_papers::get_for_update(unit.conn(), target.paper_id, &units)
                    .await?
                    .ok_or(ComponentRefused::PaperNotFound)?;
                let of_the_unit = Resource {
                    unit: Some(before.unit_id),
                    owner: before.owner_id,
                    assignee: None,
                };
                caller.require(MANAGE, &of_the_unit)?;
                if before.etag() != target.body.etag {
                    return Err(ComponentRefused::StalePaper.into());
                }
                if wanted.valid_until.is_some_and(|last| last < before.valid_from) {
                    return Err(ends_first(&before));
                }
                if let Some(by) = wanted.replaced_by {
                    let by = stored_papers::get(unit.conn(), by, None).await?;
                    by.filter(|by| by.owner_number == before.owner_number)
                        .ok_or(ComponentRefused::PaperNotFound)?;
                }
                let after = before.with_validity(wanted)?;
                stored_papers::save_validity(unit.conn(), &after).await?;
                keep(unit, caller, &after, "set_validity", "paper_validity_set").await?;
                Ok::<_, Error>(answer(&after))
            })
            .await?;
        Ok(written.into_answer())
    }
}
