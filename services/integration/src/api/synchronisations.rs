//! gRPC handlers of what the portal knows of cases, and of its reconciliation.

use egov_database::page_of;
use egov_fault::{Fault, Violation};
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::synchronisation_service_server::SynchronisationService;
use egov_proto::google::r#type::Date as WireDate;
use egov_runtime::accept;
use jiff::civil::Date;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::partners::PartnerApi;
use super::status;
use crate::domain::reconciliation::{Difference, DifferenceFilter, Reconciliation, Standing};
use crate::domain::synchronisation::{Filter, Synchronisation};

fn violation(field: &str, vi: &str, en: &str) -> Fault {
    Fault::invalid(vec![Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }])
}

/// An id whose form the contract has checked.
fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| violation(field, "không phải là mã định danh UUID", "is not a UUID"))
}

fn day(date: Option<WireDate>, field: &str) -> Result<Date, Fault> {
    date.and_then(|date| Date::try_from(date).ok())
        .ok_or_else(|| violation(field, "không phải là một ngày", "is not a day"))
}

fn encode_day(day: Date) -> WireDate {
    WireDate {
        year: day.year().into(),
        month: day.month().into(),
        day: day.day().into(),
    }
}

fn encode_synchronisation(known: &Synchronisation) -> proto::Synchronisation {
    let (waiting_delivery_id, waiting_state, waiting_problem) = match &known.waiting {
        Some((id, state, problem)) => (id.to_string(), i32::from(*state), problem.clone()),
        None => Default::default(),
    };
    proto::Synchronisation {
        case_code: known.case_code.clone(),
        unit_id: known.unit_id,
        told_version: known.told_version,
        told_state: known.told_state.into(),
        told_time: Some(egov_proto::timestamp(known.told_time)),
        acknowledged_version: known.acknowledged_version.unwrap_or_default(),
        acknowledged_state: known.acknowledged_state.unwrap_or_default().into(),
        acknowledged_time: known.acknowledged_time.map(egov_proto::timestamp),
        issue_learn_time: known.issue_learn_time.map(egov_proto::timestamp),
        return_time: known.return_time.map(egov_proto::timestamp),
        synchronised: known.acknowledged_version == Some(known.told_version),
        waiting_delivery_id,
        waiting_state,
        waiting_problem,
        waiting_count: i32::try_from(known.waiting_count).unwrap_or(i32::MAX),
    }
}

fn encode_reconciliation(run: &Reconciliation) -> proto::Reconciliation {
    proto::Reconciliation {
        reconciliation_id: run.id.to_string(),
        unit_id: run.unit_id,
        from_date: Some(encode_day(run.from)),
        to_date: Some(encode_day(run.to)),
        repair: run.repair,
        state: run.state as i32,
        compared: run.tally.compared,
        equal: run.tally.equal,
        waiting: run.tally.waiting,
        differing: run.tally.differing,
        not_comparable: run.tally.not_comparable,
        looked_for_unknown: run.tally.looked_for_unknown,
        problem: run.problem.clone(),
        actor: run.actor.clone(),
        create_time: Some(egov_proto::timestamp(run.create_time)),
        end_time: run.end_time.map(egov_proto::timestamp),
    }
}

fn encode_difference(difference: &Difference) -> proto::PortalDifference {
    let state = match difference.standing() {
        Standing::Open => proto::DifferenceState::Open,
        Standing::Repairing => proto::DifferenceState::Repairing,
        Standing::Repaired => proto::DifferenceState::Repaired,
        Standing::RepairFailed => proto::DifferenceState::RepairFailed,
        Standing::Settled => proto::DifferenceState::Settled,
    };
    proto::PortalDifference {
        difference_id: difference.id.to_string(),
        reconciliation_id: difference.reconciliation_id.to_string(),
        unit_id: difference.unit_id,
        case_code: difference.case_code.clone(),
        kind: difference.finding.kind as i32,
        fields: difference.finding.fields.clone(),
        ours: difference.finding.ours.clone(),
        theirs: difference.finding.theirs.clone(),
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
impl SynchronisationService for PartnerApi {
    async fn get_synchronisation(
        &self,
        request: Request<proto::GetSynchronisationRequest>,
    ) -> Result<Response<proto::GetSynchronisationResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let code = &accepted.message.case_code;
        let known = self.partners.get_synchronisation(accepted.caller()?, code).await;
        Ok(Response::new(proto::GetSynchronisationResponse {
            synchronisation: Some(encode_synchronisation(&known.map_err(status)?)),
        }))
    }

    async fn list_synchronisations(
        &self,
        request: Request<proto::ListSynchronisationsRequest>,
    ) -> Result<Response<proto::ListSynchronisationsResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let asked = &accepted.message;
        let method = "egov.integration.v1.SynchronisationService/ListSynchronisations";
        let page = page_of!(self.partners.database.page_tokens(), caller, method, asked)?;
        let filter = Filter {
            unit_id: (asked.unit_id > 0).then_some(asked.unit_id),
            waiting: asked.waiting,
        };
        let (rows, next_page_token) = self
            .partners
            .list_synchronisations(caller, filter, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListSynchronisationsResponse {
            synchronisations: rows.iter().map(encode_synchronisation).collect(),
            next_page_token,
        }))
    }

    async fn reconcile_cases(
        &self,
        request: Request<proto::ReconcileCasesRequest>,
    ) -> Result<Response<proto::ReconcileCasesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let from = day(accepted.message.from_date, "from_date")?;
        let to = day(accepted.message.to_date, "to_date")?;
        let answer = |run: &Reconciliation| proto::ReconcileCasesResponse {
            reconciliation: Some(encode_reconciliation(run)),
        };
        let made = self
            .partners
            .reconcile_cases(accepted.caller()?, request_id, &accepted.message, (from, to), answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn get_reconciliation(
        &self,
        request: Request<proto::GetReconciliationRequest>,
    ) -> Result<Response<proto::GetReconciliationResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let run_id = id(&accepted.message.reconciliation_id, "reconciliation_id")?;
        let found = self.partners.get_reconciliation(accepted.caller()?, run_id).await;
        Ok(Response::new(proto::GetReconciliationResponse {
            reconciliation: Some(encode_reconciliation(&found.map_err(status)?)),
        }))
    }

    async fn list_differences(
        &self,
        request: Request<proto::ListDifferencesRequest>,
    ) -> Result<Response<proto::ListDifferencesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let asked = &accepted.message;
        let method = "egov.integration.v1.SynchronisationService/ListDifferences";
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
            .list_differences(caller, filter, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDifferencesResponse {
            differences: rows.iter().map(encode_difference).collect(),
            next_page_token,
        }))
    }

    async fn repair_difference(
        &self,
        request: Request<proto::RepairDifferenceRequest>,
    ) -> Result<Response<proto::RepairDifferenceResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let difference_id = id(&accepted.message.difference_id, "difference_id")?;
        let answer = |difference: &Difference| proto::RepairDifferenceResponse {
            difference: Some(encode_difference(difference)),
        };
        let made = self
            .partners
            .repair_difference(accepted.caller()?, request_id, difference_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn settle_difference(
        &self,
        request: Request<proto::SettleDifferenceRequest>,
    ) -> Result<Response<proto::SettleDifferenceResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let difference_id = id(&accepted.message.difference_id, "difference_id")?;
        let answer = |difference: &Difference| proto::SettleDifferenceResponse {
            difference: Some(encode_difference(difference)),
        };
        let made = self
            .partners
            .settle_difference(accepted.caller()?, request_id, difference_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }
}
