//! gRPC handlers of what the civil-status register knows of entries, what it reports, and its reconciliation.

use egov_database::page_of;
use egov_fault::{Fault, Violation};
use egov_partners::civil_books::ChangeAct;
use egov_partners::civil_status::RegistrationKind;
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::civil_register_service_server::CivilRegisterService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::partners::PartnerApi;
use super::status;
use crate::domain::civil_register::{EntryFilter, RegisterDifference, RegisterEntry, RegisterRun};
use crate::domain::reconciliation::{DifferenceFilter, Standing};
use crate::operations::partners::ShownChange;

/// An id whose form the contract has checked.
fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| {
        Fault::invalid(vec![Violation {
            field: field.to_owned(),
            rule: "value".to_owned(),
            vi: "không phải là mã định danh UUID".to_owned(),
            en: "is not a UUID".to_owned(),
        }])
    })
}

fn encode_entry(known: &RegisterEntry) -> proto::RegisterEntry {
    let (delivery_id, delivery_state, delivery_problem) = match &known.delivery {
        Some((id, state, problem)) => (id.to_string(), i32::from(*state), problem.clone()),
        None => Default::default(),
    };
    proto::RegisterEntry {
        entry_id: known.entry_id.to_string(),
        unit_id: known.unit_id,
        kind: known.kind.into(),
        year: known.year,
        number: known.number,
        told_version: known.told_version,
        told_time: Some(egov_proto::timestamp(known.told_time)),
        acknowledged_version: known.acknowledged_version.unwrap_or_default(),
        acknowledged_time: known.acknowledged_time.map(egov_proto::timestamp),
        synchronised: known.acknowledged_version == Some(known.told_version),
        delivery_id,
        delivery_state,
        delivery_problem,
    }
}

fn encode_change(shown: &ShownChange) -> proto::RegisterChange {
    let (received, change) = (&shown.received, &shown.change);
    let act = match change.act {
        ChangeAct::Registered => proto::RegisterChangeAct::Registered,
        ChangeAct::Corrected => proto::RegisterChangeAct::Corrected,
        ChangeAct::Annotated => proto::RegisterChangeAct::Annotated,
    };
    let kind = match change.kind {
        RegistrationKind::Birth => proto::RegistrationKind::Birth,
        RegistrationKind::Marriage => proto::RegistrationKind::Marriage,
        RegistrationKind::Death => proto::RegistrationKind::Death,
    };
    proto::RegisterChange {
        change_id: received.id.to_string(),
        unit_id: received.unit_id,
        act: act.into(),
        kind: kind.into(),
        agency_code: change.agency_code.clone(),
        year: change.year,
        number: change.number.clone(),
        place: change.place.clone(),
        full_name: change.full_name.clone(),
        personal_number: change.personal_number.clone(),
        content: change.content.clone(),
        matched_by: received.matched_by.into(),
        entry_ids: received.entry_ids.iter().map(Uuid::to_string).collect(),
        receive_time: Some(egov_proto::timestamp(received.receive_time)),
    }
}

fn encode_run(run: &RegisterRun) -> proto::RegisterReconciliation {
    proto::RegisterReconciliation {
        reconciliation_id: run.id.to_string(),
        unit_id: run.unit_id,
        year: run.year,
        repair: run.repair,
        state: run.state as i32,
        compared: run.tally.compared,
        equal: run.tally.equal,
        waiting: run.tally.waiting,
        differing: run.tally.differing,
        problem: run.problem.clone(),
        actor: run.actor.clone(),
        create_time: Some(egov_proto::timestamp(run.create_time)),
        end_time: run.end_time.map(egov_proto::timestamp),
    }
}

fn encode_difference(difference: &RegisterDifference) -> proto::RegisterDifference {
    let state = match difference.standing() {
        Standing::Open => proto::DifferenceState::Open,
        Standing::Repairing => proto::DifferenceState::Repairing,
        Standing::Repaired => proto::DifferenceState::Repaired,
        Standing::RepairFailed => proto::DifferenceState::RepairFailed,
        Standing::Settled => proto::DifferenceState::Settled,
    };
    proto::RegisterDifference {
        difference_id: difference.id.to_string(),
        reconciliation_id: difference.reconciliation_id.to_string(),
        unit_id: difference.unit_id,
        kind: difference.kind as i32,
        registration_kind: difference.registration_kind.into(),
        year: difference.year,
        number: difference.number.clone(),
        entry_id: difference.entry_id.map(|id| id.to_string()).unwrap_or_default(),
        fields: difference.fields.clone(),
        state: state.into(),
        delivery_id: difference.delivery_id.map(|id| id.to_string()).unwrap_or_default(),
        reason: difference.reason.clone(),
        actor: difference.actor.clone(),
        find_time: Some(egov_proto::timestamp(difference.find_time)),
        update_time: Some(egov_proto::timestamp(difference.update_time)),
        etag: difference.etag(),
    }
}

#[tonic::async_trait]
impl CivilRegisterService for PartnerApi {
    async fn list_register_entries(
        &self,
        request: Request<proto::ListRegisterEntriesRequest>,
    ) -> Result<Response<proto::ListRegisterEntriesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let asked = &accepted.message;
        let method = "egov.integration.v1.CivilRegisterService/ListRegisterEntries";
        let page = page_of!(self.partners.database.page_tokens(), caller, method, asked)?;
        let filter = EntryFilter {
            unit_id: (asked.unit_id > 0).then_some(asked.unit_id),
            waiting: asked.waiting,
        };
        let (rows, next_page_token) = self
            .partners
            .list_register_entries(caller, filter, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListRegisterEntriesResponse {
            entries: rows.iter().map(encode_entry).collect(),
            next_page_token,
        }))
    }

    async fn list_register_changes(
        &self,
        request: Request<proto::ListRegisterChangesRequest>,
    ) -> Result<Response<proto::ListRegisterChangesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let asked = &accepted.message;
        let method = "egov.integration.v1.CivilRegisterService/ListRegisterChanges";
        let page = page_of!(self.partners.database.page_tokens(), caller, method, asked)?;
        let unit_id = (asked.unit_id > 0).then_some(asked.unit_id);
        let (rows, next_page_token) = self
            .partners
            .list_register_changes(caller, unit_id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListRegisterChangesResponse {
            changes: rows.iter().map(encode_change).collect(),
            next_page_token,
        }))
    }

    async fn reconcile_register(
        &self,
        request: Request<proto::ReconcileRegisterRequest>,
    ) -> Result<Response<proto::ReconcileRegisterResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let answer = |run: &RegisterRun| proto::ReconcileRegisterResponse {
            reconciliation: Some(encode_run(run)),
        };
        let made = self
            .partners
            .reconcile_register(accepted.caller()?, request_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn get_register_reconciliation(
        &self,
        request: Request<proto::GetRegisterReconciliationRequest>,
    ) -> Result<Response<proto::GetRegisterReconciliationResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let run_id = id(&accepted.message.reconciliation_id, "reconciliation_id")?;
        let found = self
            .partners
            .get_register_reconciliation(accepted.caller()?, run_id)
            .await;
        Ok(Response::new(proto::GetRegisterReconciliationResponse {
            reconciliation: Some(encode_run(&found.map_err(status)?)),
        }))
    }

    async fn list_register_differences(
        &self,
        request: Request<proto::ListRegisterDifferencesRequest>,
    ) -> Result<Response<proto::ListRegisterDifferencesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let asked = &accepted.message;
        let method = "egov.integration.v1.CivilRegisterService/ListRegisterDifferences";
        let page = page_of!(self.partners.database.page_tokens(), caller, method, asked)?;
        let reconciliation_id = match asked.reconciliation_id.as_str() {
            "" => None,
            text => Some(id(text, "reconciliation_id")?),
        };
        let filter = DifferenceFilter {
            reconciliation_id,
            open: asked.open,
        };
        let (rows, next_page_token) = self
            .partners
            .list_register_differences(caller, filter, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListRegisterDifferencesResponse {
            differences: rows.iter().map(encode_difference).collect(),
            next_page_token,
        }))
    }

    async fn settle_register_difference(
        &self,
        request: Request<proto::SettleRegisterDifferenceRequest>,
    ) -> Result<Response<proto::SettleRegisterDifferenceResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let difference_id = id(&accepted.message.difference_id, "difference_id")?;
        let answer = |difference: &RegisterDifference| proto::SettleRegisterDifferenceResponse {
            difference: Some(encode_difference(difference)),
        };
        let made = self
            .partners
            .settle_register_difference(accepted.caller()?, request_id, difference_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }
}
