//! SynchroniseCase and ReportProgress.

use egov_auth::{Caller, Resource};
use egov_clock::Clock as _;
use egov_database::{UnitOfWork, WriteRequest};
use egov_partners::Partner;
use egov_partners::case_mapping::{MappedToldCase, Surroundings, told_case};
use egov_partners::code_tables::Unmapped;
use egov_partners::portal::ProgressItem;
use egov_partners::signing::sha256_hex;
use egov_partners::wire_time::WireTime;
use egov_proto::egov::integration::v1::{
    ReportProgressRequest, ReportProgressResponse, SynchroniseCaseRequest, SynchroniseCaseResponse,
};
use egov_proto::egov::onestop::v1::{Case, CaseState};
use egov_proto::instant;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Message, NewDelivery, Partners, connected};
use crate::domain::case_version;
use crate::domain::delivery::Delivery;
use crate::operations::agencies::require_case;
use crate::partner_error::PartnerError;
use crate::store::{deliveries, synchronisations};

const SUBMIT: &str = "integration.portal.submit";

impl Partners {
    /// Tells the portal a case as it stands: one delivery a version of the case, later versions after earlier ones.
    pub(crate) async fn synchronise_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &SynchroniseCaseRequest,
        case: &Case,
        answer: impl FnOnce(&Delivery, &[Unmapped]) -> SynchroniseCaseResponse + Send,
    ) -> Result<SynchroniseCaseResponse, PartnerError> {
        let portal = connected(self.portal(), Partner::NationalPortal)?;
        caller.require(SUBMIT, &Resource::of_unit(case.responsible_unit_id))?;
        if !case_version::is_one(case.version) {
            return Err(PartnerError::NotAVersion(case_version::MOST));
        }
        let around = Surroundings {
            field_code: body.field_code.clone(),
            field_name: body.field_name.clone(),
            handling_unit: body.handling_unit.clone(),
        };
        let clock = self.database.clock();
        let mapped = match told_case(case, &around, &self.connections.tables, clock.today(), clock.now()) {
            Ok(mapped) => mapped,
            Err(why) => {
                self.report_not_mappable(case.responsible_unit_id, &why).await?;
                return Err(why.into());
            }
        };
        let method = "egov.integration.v1.PortalService/SynchroniseCase";
        let request = WriteRequest::by(caller, SUBMIT, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                require_case(unit.conn(), case.responsible_unit_id, "case.case_code", &case.case_code).await?;
                deliveries::lock_matter(unit.conn(), &case.case_code).await?;
                let (partner, act) = (Partner::NationalPortal.name(), "sync_case");
                let last = deliveries::last_of_matter(unit.conn(), partner, act, &case.case_code).await?;
                if let Some(last) = last {
                    let told = case_version::of(&last.partner_key);
                    if told == Some(case.version) {
                        return Ok(answer(&last, &mapped.unmapped));
                    }
                    if told > Some(case.version) {
                        let key = case_version::key(&case.case_code, case.version);
                        let known = deliveries::by_key(unit.conn(), partner, act, &key).await?;
                        let known = known.ok_or(PartnerError::CaseVersionSuperseded)?;
                        return Ok(answer(&known, &mapped.unmapped));
                    }
                }
                let delivery = self
                    .hand_in_case(unit, case, &mapped, &caller.key(), &portal.contract)
                    .await?;
                Ok::<_, PartnerError>(answer(&delivery, &mapped.unmapped))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Hands in what the portal is told of a case, and notes what it will know: within a write that has locked the matter, and has found that
    /// it follows what was told last.
    pub(super) async fn hand_in_case(
        &self,
        unit: &mut UnitOfWork<'_>,
        case: &Case,
        mapped: &MappedToldCase,
        actor: &str,
        contract: &str,
    ) -> Result<Delivery, PartnerError> {
        let key = unused_key(unit, case).await?;
        let new = NewDelivery {
            unit_id: case.responsible_unit_id,
            partner_key: &key,
            order_key: &case.case_code,
            message: &Message::of_case(mapped.told.clone()),
            subjects: Vec::new(),
            actor,
        };
        let delivery = self.hand_in(unit, new, contract).await?;
        // The unit's software may hand a case in without one-stop's id; then it is not compared by it.
        let case_id = Uuid::try_parse(&case.case_id).unwrap_or_default();
        let finished = matches!(case.state(), CaseState::Completed | CaseState::Returned);
        let handed_over = case.r#return.as_ref().and_then(|given| given.return_time.as_ref());
        let told = synchronisations::Told {
            case_code: &case.case_code,
            unit_id: case.responsible_unit_id,
            case_id,
            version: case.version,
            state: i16::try_from(case.state).unwrap_or_default(),
            time: unit.now(),
            issued: finished && !case.results.is_empty(),
            return_time: handed_over.and_then(instant),
        };
        synchronisations::told(unit.conn(), &told).await?;
        self.report(unit, case.responsible_unit_id, &mapped.unmapped).await?;
        Ok(delivery)
    }

    /// Tells the portal a step of a case, after what was told of the case before. A step of a case that the portal does not know waits for
    /// the case: it fails, and is told when the portal has acknowledged the case.
    pub(crate) async fn report_progress(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &ReportProgressRequest,
        at: Timestamp,
        answer: impl FnOnce(&Delivery) -> ReportProgressResponse + Send,
    ) -> Result<ReportProgressResponse, PartnerError> {
        let portal = connected(self.portal(), Partner::NationalPortal)?;
        caller.require(SUBMIT, &Resource::of_unit(body.unit_id))?;
        let item = ProgressItem {
            case_code: body.case_code.clone(),
            officer: body.officer_name.clone(),
            title: body.officer_title.clone(),
            at: WireTime::of(at),
            department: body.department.clone(),
            content: body.content.clone(),
            state: body.state.to_string(),
            start_time: None,
            due_time: None,
        };
        let digest = sha256_hex(&serde_json::to_vec(&item).map_err(|error| PartnerError::Unreadable(error.into()))?);
        let key = format!("{}#{digest}", body.case_code);
        let message = Message::ReportProgress { item };
        let method = "egov.integration.v1.PortalService/ReportProgress";
        let request = WriteRequest::by(caller, SUBMIT, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                require_case(unit.conn(), body.unit_id, "case_code", &body.case_code).await?;
                deliveries::lock_matter(unit.conn(), &body.case_code).await?;
                let (partner, act) = (Partner::NationalPortal.name(), message.act());
                if let Some(known) = deliveries::by_key(unit.conn(), partner, act, &key).await? {
                    return Ok(answer(&known));
                }
                let new = NewDelivery {
                    unit_id: body.unit_id,
                    partner_key: &key,
                    order_key: &body.case_code,
                    message: &message,
                    subjects: Vec::new(),
                    actor: &caller.key(),
                };
                let delivery = self.hand_in(unit, new, &portal.contract).await?;
                Ok::<_, PartnerError>(answer(&delivery))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// The key of the next word about a case: that of its version, or, where that was used before, one of its own with it. A version comes again
/// when the portal has lost it, and when one-stop was restored and counts on from an earlier one.
async fn unused_key(unit: &mut UnitOfWork<'_>, case: &Case) -> Result<String, PartnerError> {
    let plain = case_version::key(&case.case_code, case.version);
    let used = deliveries::by_key(unit.conn(), Partner::NationalPortal.name(), "sync_case", &plain).await?;
    Ok(match used {
        Some(_) => format!("{plain}#{}", unit.new_id()),
        None => plain,
    })
}
