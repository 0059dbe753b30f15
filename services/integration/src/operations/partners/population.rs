//! LookUpCitizen, ConfirmCitizen and AssignPersonalNumber.

use egov_auth::{Caller, ReadRecord, Resource};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest, violates};
use egov_partners::Partner;
use egov_partners::outcome::{CallError, NotSent};
use egov_partners::population::{
    Asker, Assignment, Birth, Citizen, Enquiry, Newborn, NotComplete, Number, RequestCode,
};
use egov_proto::egov::integration::v1::{AssignPersonalNumberResponse, ConfirmCitizenResponse, LookUpCitizenResponse};
use uuid::Uuid;

use super::{Partners, connected};
use crate::error::Error;
use crate::store::StoreError;
use crate::store::partner_records::{PopulationRequest, insert_request, request_under};

const READ: &str = "integration.population.read";
const ASSIGN: &str = "integration.population.assign";

/// A question about one person, as a caller asked it.
pub(crate) struct Question {
    pub(crate) unit_id: i32,
    pub(crate) agency_code: String,
    pub(crate) service_code: String,
    pub(crate) officer_code: String,
    pub(crate) legal_basis: String,
    pub(crate) case_code: String,
    pub(crate) citizen_id: Option<Uuid>,
    pub(crate) number: Number,
    pub(crate) full_name: String,
    pub(crate) birth: Birth,
}

/// A request for the number of a child, as a caller made it.
pub(crate) struct WantedNumber {
    pub(crate) unit_id: i32,
    pub(crate) request_code: String,
    pub(crate) agency_code: String,
    pub(crate) service_code: String,
    pub(crate) officer_code: String,
    pub(crate) legal_basis: String,
    /// In the province's codes.
    pub(crate) newborn: Newborn,
}

/// A person as the register told, in the province's codes.
pub(crate) struct Person {
    pub(crate) citizen: Citizen,
    /// Empty where no code table knows the register's code.
    pub(crate) gender: String,
    pub(crate) ethnic_group: String,
}

/// The kind of the events and the leaves of questions to the population database.
pub(crate) const QUESTION: &str = "population_request";

/// What the leaf of a question commits to: all of its row.
pub(crate) fn canonical(asked: &PopulationRequest) -> serde_json::Value {
    serde_json::json!({
        "population_request_id": asked.id,
        "unit_id": asked.unit_id,
        "request_code": asked.request_code,
        "operation": asked.operation,
        "service_code": asked.service_code,
        "legal_basis": asked.legal_basis,
        "officer_code": asked.officer_code,
        "case_code": asked.case_code,
        "citizen_id": asked.citizen_id,
        "actor": asked.actor,
        "purpose": asked.purpose,
        "time": asked.record_time,
    })
}

/// Keeps a question with its event and leaf.
async fn keep(unit: &mut UnitOfWork<'_>, asked: &PopulationRequest) -> Result<(), Error> {
    insert_request(unit.conn(), asked).await?;
    unit.publish(Event {
        aggregate_kind: QUESTION,
        aggregate_id: asked.id,
        version: 1,
        kind: "population_asked",
        payload: serde_json::json!({
            "unit_id": asked.unit_id,
            "service_code": asked.service_code,
            "operation": asked.operation,
        }),
    });
    unit.leaf(Leaf {
        kind: QUESTION,
        resource: asked.id,
        version: 1,
        canonical: canonical(asked).to_string().as_bytes(),
    });
    unit.led_to(QUESTION, asked.id, 1);
    Ok(())
}

impl Partners {
    /// The person, or none if the register knows nobody with these particulars. Recorded before anything leaves.
    pub(crate) async fn look_up_citizen<M: prost::Message>(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &M,
        question: Question,
    ) -> Result<(String, Option<Person>), Error> {
        let register = connected(self.connections.population.as_ref(), Partner::PopulationRegister)?;
        let method = "egov.integration.v1.PopulationService/LookUpCitizen";
        let answer = |request_code| LookUpCitizenResponse {
            request_code,
            citizen: None,
        };
        let claimed = self.claim(caller, request_id, body, method, &question, answer).await?;
        let enquiry = self.record_and_make(caller, &question, &claimed.request_code).await?;
        let found = register.partner.look_up(&enquiry).await.map_err(call)?;
        let person = match found {
            Some(citizen) => Some(self.in_our_codes(question.unit_id, citizen).await?),
            None => None,
        };
        Ok((claimed.request_code, person))
    }

    /// Whether the particulars are those of one person. Recorded before anything leaves.
    pub(crate) async fn confirm_citizen<M: prost::Message>(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &M,
        question: Question,
    ) -> Result<(String, bool), Error> {
        let register = connected(self.connections.population.as_ref(), Partner::PopulationRegister)?;
        let method = "egov.integration.v1.PopulationService/ConfirmCitizen";
        let answer = |request_code| ConfirmCitizenResponse {
            request_code,
            confirmed: false,
        };
        let claimed = self.claim(caller, request_id, body, method, &question, answer).await?;
        let enquiry = self.record_and_make(caller, &question, &claimed.request_code).await?;
        let confirmed = register.partner.confirm(&enquiry).await.map_err(call)?;
        Ok((claimed.request_code, confirmed))
    }

    /// Makes the request code once for a request id: the stored answer to a repetition is the code of the first.
    async fn claim<M, A>(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &M,
        method: &'static str,
        question: &Question,
        answer: impl FnOnce(String) -> A + Send,
    ) -> Result<A, Error>
    where
        M: prost::Message,
        A: prost::Message + Default,
    {
        caller.require(READ, &Resource::of_unit(question.unit_id))?;
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let (field, code) = ("enquiry.agency_code", &question.agency_code);
                self.agencies.require(unit, question.unit_id, field, code).await?;
                let id = unit.new_id();
                let asked = PopulationRequest {
                    id,
                    unit_id: question.unit_id,
                    request_code: id.simple().to_string().to_uppercase(),
                    operation: method.rsplit('/').next().unwrap_or(method).to_owned(),
                    service_code: question.service_code.clone(),
                    legal_basis: question.legal_basis.clone(),
                    officer_code: question.officer_code.clone(),
                    case_code: question.case_code.clone(),
                    citizen_id: question.citizen_id,
                    actor: caller.key(),
                    purpose: caller.purpose.clone().unwrap_or_default(),
                    record_time: unit.now(),
                };
                keep(unit, &asked).await?;
                Ok::<_, Error>(answer(asked.request_code))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The number that the register assigns to a child, under the code that the caller gives. Recorded before anything leaves; asked again with the same
    /// code, it is one request here and at the register.
    pub(crate) async fn assign_number<M: prost::Message>(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &M,
        wanted: WantedNumber,
    ) -> Result<AssignPersonalNumberResponse, Error> {
        caller.require(ASSIGN, &Resource::of_unit(wanted.unit_id))?;
        let register = connected(self.connections.population.as_ref(), Partner::PopulationRegister)?;
        let method = "egov.integration.v1.PopulationService/AssignPersonalNumber";
        let request = WriteRequest::by(caller, ASSIGN, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let agency_code = &wanted.agency_code;
                self.agencies
                    .require(unit, wanted.unit_id, "agency_code", agency_code)
                    .await?;
                let id = unit.new_id();
                let asked = PopulationRequest {
                    id,
                    unit_id: wanted.unit_id,
                    request_code: wanted.request_code.clone(),
                    operation: method.rsplit('/').next().unwrap_or(method).to_owned(),
                    service_code: wanted.service_code.clone(),
                    legal_basis: wanted.legal_basis.clone(),
                    officer_code: wanted.officer_code.clone(),
                    case_code: String::new(),
                    citizen_id: None,
                    actor: caller.key(),
                    purpose: caller.purpose.clone().unwrap_or_default(),
                    record_time: unit.now(),
                };
                // Under another request id the code was recorded before: the request is the same one, whose record stands.
                match request_under(unit.conn(), &asked.request_code).await? {
                    Some((unit_id, operation)) if (unit_id, &operation) == (asked.unit_id, &asked.operation) => {}
                    Some(_) => return Err(Error::RequestCodeTaken),
                    None => keep(unit, &asked).await.map_err(|error| match error {
                        Error::Store(StoreError::Sql(sql))
                            if violates(&sql, "population_requests_request_code_key") =>
                        {
                            Error::RequestCodeTaken
                        }
                        error => error,
                    })?,
                }
                Ok::<_, Error>(AssignPersonalNumberResponse {
                    request_code: asked.request_code,
                    personal_number: String::new(),
                })
            })
            .await?;
        // What is stored is the answer to a repetition: it holds no number, which is the register's to tell.
        let claimed = written.into_answer();
        let resources = vec![format!("population/{}", claimed.request_code)];
        let record = ReadRecord::of(caller, Vec::new(), resources, self.now());
        self.reads.record(record).await?;
        let newborn = self.in_their_codes(wanted.unit_id, wanted.newborn).await?;
        let (account, phone) = &self.connections.population_account;
        let incomplete = |error: NotComplete| Error::Unreadable(error.into());
        let (service, officer, agency) = (&wanted.service_code, &wanted.officer_code, &wanted.agency_code);
        let assignment = Assignment {
            code: RequestCode::new(&claimed.request_code).map_err(incomplete)?,
            asker: Asker::new(service, officer, agency, account, phone).map_err(incomplete)?,
            newborn,
        };
        let personal_number = register.partner.assign(&assignment).await.map_err(call)?;
        Ok(AssignPersonalNumberResponse {
            personal_number,
            ..claimed
        })
    }

    /// A child in the register's codes. What a code table does not know is not left out, since the request would say something else once the table does:
    /// it waits until the table is mended.
    async fn in_their_codes(&self, unit_id: i32, newborn: Newborn) -> Result<Newborn, Error> {
        let mut translator = self.connections.tables.translator(self.database.clock().today());
        let (province, register) = ("province", "population-register");
        let gender = translator.translate("gender", province, register, &newborn.gender_code, "GioiTinh");
        let ethnic_group = match newborn.ethnic_group_code.as_str() {
            "" => Some(String::new()),
            code => translator.translate("ethnic-group", province, register, code, "DanToc"),
        };
        self.report_alone(unit_id, &translator.into_unmapped()).await?;
        let (Some(gender_code), Some(ethnic_group_code)) = (gender, ethnic_group) else {
            let unmapped = NotSent::Unsendable("a code without a translation");
            return Err(call(CallError::NotSent(unmapped)));
        };
        Ok(Newborn {
            gender_code,
            ethnic_group_code,
            ..newborn
        })
    }

    /// The record of the reading, and after it the question.
    async fn record_and_make(&self, caller: &Caller, question: &Question, code: &str) -> Result<Enquiry, Error> {
        let subjects = question.citizen_id.into_iter().collect();
        let resources = vec![format!("population/{code}")];
        let record = ReadRecord::of(caller, subjects, resources, self.now());
        self.reads.record(record).await?;
        let (account, phone) = &self.connections.population_account;
        let incomplete = |error: NotComplete| Error::Unreadable(error.into());
        let asker = Asker::new(
            &question.service_code,
            &question.officer_code,
            &question.agency_code,
            account,
            phone,
        )
        .map_err(incomplete)?;
        Ok(Enquiry {
            code: RequestCode::new(code).map_err(incomplete)?,
            asker,
            number: question.number.clone(),
            full_name: question.full_name.clone(),
            birth: question.birth,
        })
    }

    async fn in_our_codes(&self, unit_id: i32, citizen: Citizen) -> Result<Person, Error> {
        let mut translator = self.connections.tables.translator(self.database.clock().today());
        let (register, province) = ("population-register", "province");
        let gender = translator.translate("gender", register, province, &citizen.gender_code, "CongDan/GioiTinh");
        let ethnic_group = match citizen.ethnic_group_code.as_str() {
            "" => None,
            code => translator.translate("ethnic-group", register, province, code, "CongDan/DanToc"),
        };
        self.report_alone(unit_id, &translator.into_unmapped()).await?;
        Ok(Person {
            citizen,
            gender: gender.unwrap_or_default(),
            ethnic_group: ethnic_group.unwrap_or_default(),
        })
    }
}

fn call(error: CallError) -> Error {
    Error::PartnerCall(Partner::PopulationRegister, error)
}
