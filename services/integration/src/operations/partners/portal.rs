//! SynchroniseCase and ReportProgress.

use egov_auth::{Caller, Resource};
use egov_clock::Clock as _;
use egov_database::{UnitOfWork, WriteRequest};
use egov_partners::Partner;
use egov_partners::case_mapping::{MappedToldCase, SaidNames, Surroundings, told_case};
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
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Message, NewDelivery, Partners, connected};
use crate::domain::case_version;
use crate::domain::delivery::Delivery;
use crate::error::Error;
use crate::sealing::{digest, is_digest_of};
use crate::store::{deliveries, synchronisations};

const SUBMIT: &str = "integration.portal.submit";

impl Partners {
    /// Tells the portal a case as it stands: one delivery a version of the case, later versions after earlier ones. The same version with
    /// another content is another word: one-stop was restored, and came to its number again.
    pub(crate) async fn synchronise_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &SynchroniseCaseRequest,
        case: &Case,
        answer: impl FnOnce(&Delivery, &[Unmapped]) -> SynchroniseCaseResponse + Send,
    ) -> Result<SynchroniseCaseResponse, Error> {
        let portal = connected(self.portal(), Partner::NationalPortal)?;
        caller.require(SUBMIT, &Resource::of_unit(case.responsible_unit_id))?;
        if !case_version::is_one(case.version) {
            return Err(Error::NotAVersion(case_version::MOST));
        }
        let said = SaidNames {
            field_code: body.field_code.clone(),
            field_name: body.field_name.clone(),
            handling_unit: body.handling_unit.clone(),
        };
        let around = Surroundings {
            said,
            ..Surroundings::default()
        };
        let clock = self.database.clock();
        let mapped = match told_case(case, &around, &self.connections.tables, clock.today(), clock.now()) {
            Ok(mapped) => mapped,
            Err(why) => {
                self.report_not_mappable(case.responsible_unit_id, &why).await?;
                return Err(why.into());
            }
        };
        let content = content_of(&mapped)?;
        // What was handed in by a version of this service before is known by its version alone.
        let is_same = |known: &Delivery| known.content_digest.is_empty() || self.has_told(known, &content);
        let method = "egov.integration.v1.PortalService/SynchroniseCase";
        let request = WriteRequest::by(caller, SUBMIT, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let (unit_id, code) = (case.responsible_unit_id, &case.case_code);
                self.agencies
                    .require_case(unit, unit_id, "case.case_code", code)
                    .await?;
                deliveries::lock_matter(unit.conn(), &case.case_code).await?;
                let (partner, act) = (Partner::NationalPortal.name(), "sync_case");
                let last = deliveries::last_of_matter(unit.conn(), partner, act, &case.case_code).await?;
                if let Some(last) = last {
                    let told = case_version::of(&last.partner_key);
                    if told == Some(case.version) && is_same(&last) {
                        return Ok(answer(&last, &mapped.unmapped));
                    }
                    if told > Some(case.version) {
                        let key = case_version::key(&case.case_code, case.version);
                        let known = deliveries::by_key(unit.conn(), partner, act, &key).await?;
                        let known = known.filter(is_same).ok_or(Error::CaseVersionSuperseded)?;
                        return Ok(answer(&known, &mapped.unmapped));
                    }
                }
                let delivery = self
                    .hand_in_case(unit, case, &mapped, &caller.key(), &portal.contract)
                    .await?;
                Ok::<_, Error>(answer(&delivery, &mapped.unmapped))
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
    ) -> Result<Delivery, Error> {
        let key = unused_key(unit, case).await?;
        let bound = told_of(&case.case_code);
        let content_digest = digest(&self.connections.keyring, &content_of(mapped)?, &bound);
        // What the unit's own software said of the case is kept, whoever hands it in.
        let before = self.said_before(unit.conn(), &case.case_code).await?;
        let said = mapped.said.clone().or(before);
        let mut told = mapped.told.clone();
        said.put(&mut told.item);
        let new = NewDelivery {
            unit_id: case.responsible_unit_id,
            partner_key: &key,
            order_key: &case.case_code,
            message: &Message::of_case(told, said),
            content_digest: &content_digest,
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
            digest: &content_digest,
            state: i16::try_from(case.state).unwrap_or_default(),
            time: unit.now(),
            issued: finished && !case.results.is_empty(),
            return_time: handed_over.and_then(instant),
        };
        synchronisations::told(unit.conn(), &told).await?;
        self.report(unit, case.responsible_unit_id, &mapped.unmapped).await?;
        Ok(delivery)
    }

    /// The names that the unit's own software said with a case before. A word of a version of before has none of its own beside its item:
    /// there the item has them, as nobody else said any.
    pub(super) async fn said_before(&self, connection: &mut PgConnection, case_code: &str) -> Result<SaidNames, Error> {
        let portal = Partner::NationalPortal.name();
        let last = deliveries::last_of_matter(&mut *connection, portal, "sync_case", case_code).await?;
        let Some(last) = last else {
            return Ok(SaidNames::default());
        };
        let sealed = deliveries::message_of(connection, last.id).await?;
        // What the keyring opens no more says nothing.
        let message = sealed.and_then(|sealed| self.open_message(last.id, &sealed).ok());
        Ok(match message {
            Some(Message::SyncCase { item, said, .. }) => said.unwrap_or_else(|| SaidNames::of(&item)),
            _ => SaidNames::default(),
        })
    }

    /// Hands in the steps of a case that came after the version of it that was told last, each once: within a write that has locked the
    /// matter. They follow what is told of the case.
    pub(super) async fn hand_in_steps(
        &self,
        unit: &mut UnitOfWork<'_>,
        case: &Case,
        (mapped, told): (&MappedToldCase, Option<i64>),
        actor: &str,
        contract: &str,
    ) -> Result<(), Error> {
        let steps = mapped.steps.iter().filter(|(version, _)| Some(*version) > told);
        for (_, item) in steps {
            let message = Message::ReportProgress { item: item.clone() };
            let key = step_key(item)?;
            let (partner, act) = (Partner::NationalPortal.name(), message.act());
            if deliveries::by_key(unit.conn(), partner, act, &key).await?.is_some() {
                continue;
            }
            let new = NewDelivery {
                unit_id: case.responsible_unit_id,
                partner_key: &key,
                order_key: &case.case_code,
                message: &message,
                content_digest: "",
                subjects: Vec::new(),
                actor,
            };
            self.hand_in(unit, new, contract).await?;
        }
        Ok(())
    }

    /// Whether a delivery told this content of its case.
    pub(super) fn has_told(&self, delivery: &Delivery, content: &[u8]) -> bool {
        let (keyring, bound) = (&self.connections.keyring, told_of(&delivery.order_key));
        is_digest_of(keyring, &delivery.content_digest, content, &bound)
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
    ) -> Result<ReportProgressResponse, Error> {
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
        let key = step_key(&item)?;
        let message = Message::ReportProgress { item };
        let method = "egov.integration.v1.PortalService/ReportProgress";
        let request = WriteRequest::by(caller, SUBMIT, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let code = &body.case_code;
                self.agencies
                    .require_case(unit, body.unit_id, "case_code", code)
                    .await?;
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
                    content_digest: "",
                    subjects: Vec::new(),
                    actor: &caller.key(),
                };
                let delivery = self.hand_in(unit, new, &portal.contract).await?;
                Ok::<_, Error>(answer(&delivery))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// The content that the portal is told of a case: what one-stop's case says, without its surroundings, and without the instant at which it is
/// told. Of one version it is always the same, unless one-stop was restored and came to its number again.
pub(super) fn content_of(mapped: &MappedToldCase) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&mapped.bare).map_err(|error| Error::Unreadable(error.into()))
}

/// The key of a step: the same step again is the same delivery.
fn step_key(item: &ProgressItem) -> Result<String, Error> {
    let digest = sha256_hex(&serde_json::to_vec(item).map_err(|error| Error::Unreadable(error.into()))?);
    Ok(format!("{}#{digest}", item.case_code))
}

/// What the digest of such a content is bound to.
fn told_of(case_code: &str) -> Vec<u8> {
    format!("egov integration told {case_code}").into_bytes()
}

/// The key of the next word about a case: that of its version, or, where that was used before, one of its own with it. A version comes again
/// when the portal has lost it, and when one-stop was restored and counts on from an earlier one.
async fn unused_key(unit: &mut UnitOfWork<'_>, case: &Case) -> Result<String, Error> {
    let plain = case_version::key(&case.case_code, case.version);
    let used = deliveries::by_key(unit.conn(), Partner::NationalPortal.name(), "sync_case", &plain).await?;
    Ok(match used {
        Some(_) => format!("{plain}#{}", unit.new_id()),
        None => plain,
    })
}
