//! SubmitRegistration and GetRegistration.

use egov_auth::{Caller, ReadRecord, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_partners::Partner;
use egov_partners::civil_status::{Entry, RegistrationKind, Submission};
use egov_proto::egov::integration::v1::{SubmitRegistrationRequest, SubmitRegistrationResponse};
use jiff::civil::Date;
use uuid::Uuid;

use super::{ENTER, Message, NewDelivery, Partners, connected, sealed_for};
use crate::domain::delivery::Delivery;
use crate::error::Error;
use crate::sealing::open;
use crate::store::deliveries;

const SUBMIT: &str = "integration.civil_status.submit";
const READ: &str = "integration.civil_status.read";

/// What of an entry the contract's fields say in types of ours.
pub(crate) struct Entered {
    pub(crate) kind: RegistrationKind,
    /// Ngày đăng ký.
    pub(crate) date: Date,
    /// The persons concerned.
    pub(crate) subjects: Vec<Uuid>,
}

impl Partners {
    /// Hands an entry to the register, at most once for a request id.
    pub(crate) async fn submit_registration(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &SubmitRegistrationRequest,
        entered: Entered,
        answer: impl FnOnce(&Delivery) -> SubmitRegistrationResponse + Send,
    ) -> Result<SubmitRegistrationResponse, Error> {
        let register = connected(self.connections.civil_status.as_ref(), Partner::CivilStatusRegister)?;
        caller.require(SUBMIT, &Resource::of_unit(body.unit_id))?;
        let method = "egov.integration.v1.CivilStatusService/SubmitRegistration";
        let request = WriteRequest::by(caller, SUBMIT, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let (agency, case) = (&body.agency_code, &body.case_code);
                self.agencies.require(unit, body.unit_id, "agency_code", agency).await?;
                self.agencies
                    .require_case(unit, body.unit_id, "case_code", case)
                    .await?;
                let key = unit.new_id().to_string();
                let fields = body
                    .fields
                    .iter()
                    .map(|field| (field.name.clone(), field.value.clone().into()))
                    .collect();
                let message = Message::Register {
                    submission: Submission {
                        key: key.clone(),
                        kind: entered.kind,
                        case_code: body.case_code.clone(),
                        agency_code: body.agency_code.clone(),
                        register_date: entered.date.strftime("%d/%m/%Y").to_string(),
                        fields,
                    },
                };
                let new = NewDelivery {
                    unit_id: body.unit_id,
                    partner_key: &key,
                    order_key: &key,
                    message: &message,
                    content_digest: "",
                    subjects: entered.subjects,
                    actor: &caller.key(),
                };
                let delivery = self.hand_in(unit, new, &register.contract).await?;
                Ok::<_, Error>(answer(&delivery))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A registration that the caller sees, with the number that was issued. The reading is recorded before it leaves.
    pub(crate) async fn get_registration(
        &self,
        caller: &Caller,
        delivery_id: Uuid,
    ) -> Result<(Delivery, Option<Entry>), Error> {
        let scope = caller.scope(READ);
        let (delivery, sealed) = self
            .database
            .read(&scope, async |connection| {
                let delivery = deliveries::get(connection, delivery_id, &scope)
                    .await?
                    .filter(|delivery| delivery.partner == Partner::CivilStatusRegister.name() && delivery.act != ENTER)
                    .ok_or(Error::RegistrationNotFound)?;
                let sealed = deliveries::answer(connection, delivery_id).await?;
                Ok::<_, Error>((delivery, sealed))
            })
            .await?;
        let resources = vec![format!("registrations/{delivery_id}")];
        let record = ReadRecord::of(caller, delivery.subjects.clone(), resources, self.now());
        self.reads.record(record).await?;
        let Some(sealed) = sealed else {
            return Ok((delivery, None));
        };
        let plain = open(&self.connections.keyring, &sealed, &sealed_for("answer", delivery_id))
            .map_err(|error| Error::Unreadable(error.into()))?;
        let entry = serde_json::from_slice(&plain).map_err(|error| Error::Unreadable(error.into()))?;
        Ok((delivery, Some(entry)))
    }
}
