//! gRPC handlers of the services for partners, and the payment platform's call-back.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Held};
use axum::routing::post;
use egov_database::page_of;
use egov_fault::{Fault, Violation};
use egov_partners::civil_status::{Entry, RegistrationKind};
use egov_partners::code_tables::Unmapped;
use egov_partners::payment::{NoticeError, Order, OrderState, SIGNATURE, TIMESTAMP};
use egov_partners::population::{Birth, Newborn, Number};
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::civil_status_service_server::CivilStatusService;
use egov_proto::egov::integration::v1::payment_service_server::PaymentService;
use egov_proto::egov::integration::v1::population_service_server::PopulationService;
use egov_proto::egov::integration::v1::portal_service_server::PortalService;
use egov_proto::google::r#type::{Date as WireDate, Money};
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use http::{HeaderMap, StatusCode};
use jiff::civil::Date;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::events::ids;
use super::status;
use crate::domain::delivery::{Delivery, State};
use crate::domain::payment::PaymentOrder;
use crate::domain::unmapped::Counted;
use crate::error::Error;
use crate::operations::partners::{Entered, NoticeRefusal, Question, Shared, WantedNumber};

/// The services of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct PartnerApi {
    pub(crate) contract: Arc<Contract>,
    pub(crate) partners: Shared,
}

/// The most bytes of a call-back.
const NOTICE_BYTES: usize = 16 * 1024;

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

/// A day, or a year alone: month and day are 0 then.
fn birth(date: Option<WireDate>, field: &str) -> Result<Birth, Fault> {
    match date {
        Some(WireDate { year, month: 0, day: 0 }) => i16::try_from(year)
            .ok()
            .filter(|year| (1800..=2200).contains(year))
            .map(Birth::Year)
            .ok_or_else(|| violation(field, "không phải là một năm", "is not a year")),
        date => day(date, field).map(Birth::Day),
    }
}

fn question(enquiry: Option<proto::PopulationEnquiry>) -> Result<Question, Fault> {
    let enquiry = enquiry.unwrap_or_default();
    let number = Number::parse(&enquiry.number).map_err(|_| {
        violation(
            "enquiry.number",
            "phải gồm 9 hoặc 12 chữ số",
            "has neither 9 nor 12 digits",
        )
    })?;
    let citizen_id = match enquiry.citizen_id.as_str() {
        "" => None,
        text => Some(id(text, "enquiry.citizen_id")?),
    };
    Ok(Question {
        unit_id: enquiry.unit_id,
        birth: birth(enquiry.birth_date, "enquiry.birth_date")?,
        agency_code: enquiry.agency_code,
        service_code: enquiry.service_code,
        officer_code: enquiry.officer_code,
        legal_basis: enquiry.legal_basis,
        case_code: enquiry.case_code,
        citizen_id,
        number,
        full_name: enquiry.full_name,
    })
}

fn wanted_number(said: &proto::AssignPersonalNumberRequest) -> Result<WantedNumber, Fault> {
    let newborn = said.newborn.clone().unwrap_or_default();
    Ok(WantedNumber {
        unit_id: said.unit_id,
        request_code: said.request_code.clone(),
        agency_code: said.agency_code.clone(),
        service_code: said.service_code.clone(),
        officer_code: said.officer_code.clone(),
        legal_basis: said.legal_basis.clone(),
        newborn: Newborn {
            birth: birth(newborn.birth_date, "newborn.birth_date")?,
            full_name: newborn.full_name,
            gender_code: newborn.gender,
            ethnic_group_code: newborn.ethnic_group_code,
            nationality: newborn.nationality,
            registration_place: newborn.registration_place,
            mother_number: newborn.mother_number,
            father_number: newborn.father_number,
        },
    })
}

fn encode_birth(birth: Birth) -> WireDate {
    match birth {
        Birth::Year(year) => WireDate {
            year: year.into(),
            month: 0,
            day: 0,
        },
        Birth::Day(day) => WireDate {
            year: day.year().into(),
            month: day.month().into(),
            day: day.day().into(),
        },
    }
}

fn encode_delivery(delivery: &Delivery) -> proto::Delivery {
    proto::Delivery {
        delivery_id: delivery.id.to_string(),
        unit_id: delivery.unit_id,
        partner: delivery.partner.clone(),
        act: delivery.act.clone(),
        partner_key: delivery.partner_key.clone(),
        contract: delivery.contract.clone(),
        state: delivery.state.number().into(),
        attempts: delivery.attempts,
        problem: delivery.problem.clone(),
        partner_code: delivery.partner_code.clone(),
        reference: delivery.reference.clone(),
        create_time: Some(egov_proto::timestamp(delivery.create_time)),
        update_time: Some(egov_proto::timestamp(delivery.update_time)),
        due_time: delivery
            .state
            .is_open()
            .then(|| egov_proto::timestamp(delivery.due_time)),
        etag: delivery.etag(),
    }
}

fn encode_order(order: &PaymentOrder) -> proto::PaymentOrder {
    proto::PaymentOrder {
        order_id: order.id.to_string(),
        unit_id: order.unit_id,
        order_code: order.order_code.clone(),
        case_code: order.case_code.clone(),
        amount: Some(Money::vnd(order.amount)),
        state: order.state.number().into(),
        pay_url: order.pay_url.clone(),
        transaction: order.transaction.clone(),
        delivery_id: order.delivery_id.to_string(),
        create_time: Some(egov_proto::timestamp(order.create_time)),
        update_time: Some(egov_proto::timestamp(order.update_time)),
        settle_time: order.settle_time.map(egov_proto::timestamp),
        refund_time: order.refund_time.map(egov_proto::timestamp),
    }
}

fn encode_unmapped(unit_id: i32, unmapped: &Unmapped) -> proto::UnmappedValue {
    proto::UnmappedValue {
        unit_id,
        table: unmapped.table.clone(),
        from: unmapped.from.clone(),
        to: unmapped.to.clone(),
        table_version: i32::try_from(unmapped.version).unwrap_or(i32::MAX),
        value: unmapped.value.clone(),
        path: unmapped.path.clone(),
        count: 1,
        last_time: None,
    }
}

fn encode_counted(counted: &Counted) -> proto::UnmappedValue {
    proto::UnmappedValue {
        count: counted.count,
        last_time: Some(egov_proto::timestamp(counted.last_time)),
        ..encode_unmapped(counted.unit_id, &counted.unmapped)
    }
}

fn encode_registration(delivery: &Delivery, entry: Option<Entry>) -> proto::Registration {
    let (number, book, page, personal_number) = match entry {
        Some(entry) => (entry.number, entry.book, entry.page, entry.personal_number),
        None => Default::default(),
    };
    proto::Registration {
        delivery: Some(encode_delivery(delivery)),
        number,
        book,
        page,
        personal_number,
    }
}

#[tonic::async_trait]
impl PopulationService for PartnerApi {
    async fn look_up_citizen(
        &self,
        request: Request<proto::LookUpCitizenRequest>,
    ) -> Result<Response<proto::LookUpCitizenResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let question = question(accepted.message.enquiry.clone())?;
        let (request_code, person) = self
            .partners
            .look_up_citizen(accepted.caller()?, request_id, &accepted.message, question)
            .await
            .map_err(status)?;
        let citizen = person.map(|person| proto::PopulationCitizen {
            personal_number: person.citizen.personal_number,
            full_name: person.citizen.full_name,
            birth_date: Some(encode_birth(person.citizen.birth)),
            gender: person.gender,
            ethnic_group_code: person.ethnic_group,
            residence: person.citizen.residence,
        });
        Ok(Response::new(proto::LookUpCitizenResponse { request_code, citizen }))
    }

    async fn confirm_citizen(
        &self,
        request: Request<proto::ConfirmCitizenRequest>,
    ) -> Result<Response<proto::ConfirmCitizenResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let question = question(accepted.message.enquiry.clone())?;
        let (request_code, confirmed) = self
            .partners
            .confirm_citizen(accepted.caller()?, request_id, &accepted.message, question)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ConfirmCitizenResponse {
            request_code,
            confirmed,
        }))
    }

    async fn assign_personal_number(
        &self,
        request: Request<proto::AssignPersonalNumberRequest>,
    ) -> Result<Response<proto::AssignPersonalNumberResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let wanted = wanted_number(&accepted.message)?;
        let answer = self
            .partners
            .assign_number(accepted.caller()?, request_id, &accepted.message, wanted)
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl PaymentService for PartnerApi {
    async fn create_payment_order(
        &self,
        request: Request<proto::CreatePaymentOrderRequest>,
    ) -> Result<Response<proto::CreatePaymentOrderResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let answer = |order: &PaymentOrder| proto::CreatePaymentOrderResponse {
            order: Some(encode_order(order)),
        };
        let made = self
            .partners
            .create_payment_order(accepted.caller()?, request_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn get_payment_order(
        &self,
        request: Request<proto::GetPaymentOrderRequest>,
    ) -> Result<Response<proto::GetPaymentOrderResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let order_id = id(&accepted.message.order_id, "order_id")?;
        let found = self.partners.get_payment_order(accepted.caller()?, order_id).await;
        Ok(Response::new(proto::GetPaymentOrderResponse {
            order: Some(encode_order(&found.map_err(status)?)),
        }))
    }

    async fn refund_payment_order(
        &self,
        request: Request<proto::RefundPaymentOrderRequest>,
    ) -> Result<Response<proto::RefundPaymentOrderResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let order_id = id(&accepted.message.order_id, "order_id")?;
        let answer = |order: &PaymentOrder| proto::RefundPaymentOrderResponse {
            order: Some(encode_order(order)),
        };
        let ordered = self
            .partners
            .refund_payment_order(accepted.caller()?, request_id, &accepted.message, order_id, answer)
            .await;
        Ok(Response::new(ordered.map_err(status)?))
    }

    async fn list_settled_payments(
        &self,
        request: Request<proto::ListSettledPaymentsRequest>,
    ) -> Result<Response<proto::ListSettledPaymentsResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let day = accepted
            .message
            .day
            .and_then(|day| Date::try_from(day).ok())
            .ok_or_else(|| violation("day", "không phải là một ngày có thật", "is not a day of the calendar"))?;
        let settled = self
            .partners
            .settled_payments(accepted.caller()?, day)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListSettledPaymentsResponse {
            payments: settled
                .seen
                .iter()
                .map(|(unit_id, case_code, order)| encode_settled(*unit_id, case_code, order))
                .collect(),
            unknown: settled
                .unknown
                .iter()
                .map(|order| encode_settled(0, "", order))
                .collect(),
        }))
    }
}

fn encode_settled(unit_id: i32, case_code: &str, order: &Order) -> proto::SettledPayment {
    let state = match order.state {
        OrderState::Pending => proto::PaymentState::Pending,
        OrderState::Paid => proto::PaymentState::Paid,
        OrderState::Refunded => proto::PaymentState::Refunded,
        OrderState::Expired => proto::PaymentState::Expired,
    };
    proto::SettledPayment {
        order_code: order.order_code.clone(),
        unit_id,
        case_code: case_code.to_owned(),
        amount: Some(Money::vnd(order.amount)),
        transaction: order.transaction.clone(),
        state: state.into(),
        settle_time: order.settle_time.map(egov_proto::timestamp),
        refund_time: order.refund_time.map(egov_proto::timestamp),
    }
}

#[tonic::async_trait]
impl PortalService for PartnerApi {
    async fn synchronise_case(
        &self,
        request: Request<proto::SynchroniseCaseRequest>,
    ) -> Result<Response<proto::SynchroniseCaseResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let case = accepted.message.case.clone().unwrap_or_default();
        let unit_id = case.responsible_unit_id;
        let answer = |delivery: &Delivery, unmapped: &[Unmapped]| proto::SynchroniseCaseResponse {
            delivery: Some(encode_delivery(delivery)),
            unmapped: unmapped.iter().map(|one| encode_unmapped(unit_id, one)).collect(),
        };
        let made = self
            .partners
            .synchronise_case(accepted.caller()?, request_id, &accepted.message, &case, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn report_progress(
        &self,
        request: Request<proto::ReportProgressRequest>,
    ) -> Result<Response<proto::ReportProgressResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let at = accepted.message.process_time.as_ref().and_then(egov_proto::instant);
        let at = at.ok_or_else(|| violation("process_time", "không phải là một thời điểm", "is not an instant"))?;
        let answer = |delivery: &Delivery| proto::ReportProgressResponse {
            delivery: Some(encode_delivery(delivery)),
        };
        let made = self
            .partners
            .report_progress(accepted.caller()?, request_id, &accepted.message, at, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn get_delivery(
        &self,
        request: Request<proto::GetDeliveryRequest>,
    ) -> Result<Response<proto::GetDeliveryResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let delivery_id = id(&accepted.message.delivery_id, "delivery_id")?;
        let found = self.partners.get_delivery(accepted.caller()?, delivery_id).await;
        Ok(Response::new(proto::GetDeliveryResponse {
            delivery: Some(encode_delivery(&found.map_err(status)?)),
        }))
    }

    async fn list_deliveries(
        &self,
        request: Request<proto::ListDeliveriesRequest>,
    ) -> Result<Response<proto::ListDeliveriesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let filter = &accepted.message;
        let page = page_of!(
            self.partners.database.page_tokens(),
            caller,
            "egov.integration.v1.PortalService/ListDeliveries",
            filter
        )?;
        let state = i16::try_from(filter.state).ok().and_then(State::from_number);
        let (rows, next_page_token) = self
            .partners
            .list_deliveries(caller, state, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDeliveriesResponse {
            deliveries: rows.iter().map(encode_delivery).collect(),
            next_page_token,
        }))
    }

    async fn redrive_delivery(
        &self,
        request: Request<proto::RedriveDeliveryRequest>,
    ) -> Result<Response<proto::RedriveDeliveryResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let delivery_id = id(&accepted.message.delivery_id, "delivery_id")?;
        let answer = |delivery: &Delivery| proto::RedriveDeliveryResponse {
            delivery: Some(encode_delivery(delivery)),
        };
        let made = self
            .partners
            .redrive_delivery(accepted.caller()?, request_id, delivery_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn list_unmapped_values(
        &self,
        request: Request<proto::ListUnmappedValuesRequest>,
    ) -> Result<Response<proto::ListUnmappedValuesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let filter = &accepted.message;
        let page = page_of!(
            self.partners.database.page_tokens(),
            caller,
            "egov.integration.v1.PortalService/ListUnmappedValues",
            filter
        )?;
        let (rows, next_page_token) = self.partners.list_unmapped_values(caller, page).await.map_err(status)?;
        Ok(Response::new(proto::ListUnmappedValuesResponse {
            values: rows.iter().map(encode_counted).collect(),
            next_page_token,
        }))
    }
}

#[tonic::async_trait]
impl CivilStatusService for PartnerApi {
    async fn submit_registration(
        &self,
        request: Request<proto::SubmitRegistrationRequest>,
    ) -> Result<Response<proto::SubmitRegistrationResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let kind = match accepted.message.kind() {
            proto::RegistrationKind::Birth => RegistrationKind::Birth,
            proto::RegistrationKind::Marriage => RegistrationKind::Marriage,
            proto::RegistrationKind::Death => RegistrationKind::Death,
            proto::RegistrationKind::Unspecified => {
                return Err(violation("kind", "phải nêu loại đăng ký", "is not said").into());
            }
        };
        let date = day(accepted.message.register_date, "register_date")?;
        let subjects = ids(&accepted.message.subject_ids, "subject_ids")?;
        let answer = |delivery: &Delivery| proto::SubmitRegistrationResponse {
            delivery: Some(encode_delivery(delivery)),
        };
        let made = self
            .partners
            .submit_registration(
                accepted.caller()?,
                request_id,
                &accepted.message,
                Entered { kind, date, subjects },
                answer,
            )
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn get_registration(
        &self,
        request: Request<proto::GetRegistrationRequest>,
    ) -> Result<Response<proto::GetRegistrationResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let delivery_id = id(&accepted.message.delivery_id, "delivery_id")?;
        let (delivery, entry) = self
            .partners
            .get_registration(accepted.caller()?, delivery_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetRegistrationResponse {
            registration: Some(encode_registration(&delivery, entry)),
        }))
    }
}

/// The payment platform's call-back. It is open to all who reach the port: what it says is believed by its signature alone.
pub(crate) fn notices(partners: Shared) -> Router {
    Router::new()
        .route("/v1/integration/payment-notices", post(notice))
        .layer(DefaultBodyLimit::max(NOTICE_BYTES))
        .with_state(partners)
}

async fn notice(Held(partners): Held<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    match partners
        .payment_notice(header(TIMESTAMP), header(SIGNATURE), &body)
        .await
    {
        Ok(_) => (StatusCode::OK, "{\"received\":true}"),
        Err(NoticeRefusal::Disbelieved(NoticeError::Form)) => (StatusCode::BAD_REQUEST, ""),
        Err(NoticeRefusal::Disbelieved(_)) => (StatusCode::UNAUTHORIZED, ""),
        Err(NoticeRefusal::UnknownOrder | NoticeRefusal::Failed(Error::PartnerNotConfigured(_))) => {
            (StatusCode::NOT_FOUND, "")
        }
        Err(NoticeRefusal::WrongAmount) => (StatusCode::UNPROCESSABLE_ENTITY, ""),
        Err(NoticeRefusal::Failed(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a call-back of the payment platform was not recorded"
            );
            (StatusCode::SERVICE_UNAVAILABLE, "")
        }
    }
}
