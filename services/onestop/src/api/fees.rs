//! FeeService.

use egov_auth::Caller;
use egov_database::PageBinding;
use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::fee_service_server::FeeService;
use egov_proto::google::r#type::{Date as WireDate, Money};
use egov_proto::timestamp;
use egov_runtime::accept;
use jiff::civil::Date;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Api, decode, encode, status};
use crate::domain::case::Case;
use crate::domain::charge::{Charge, ChargedFee, Exemption, Payment, Refund, UnsettledState, is_obliged};
use crate::domain::listing::{UnsettledCharge, UnsettledFilter};
use crate::domain::treasury::Booked;
use crate::operations::act::Target;
use crate::operations::charges::{
    Collected, Difference, Exempted, Imported, KnownFile, NewTreasuryFile, Reconciled, TakenBackFile,
};

const DIFFERENCES: &str = "egov.onestop.v1.FeeService/ListDifferences";
const TREASURY_FILES: &str = "egov.onestop.v1.FeeService/ListTreasuryFiles";
const TREASURY_LINES: &str = "egov.onestop.v1.FeeService/ListTreasuryLines";
const UNSETTLED: &str = "egov.onestop.v1.FeeService/ListUnsettledCharges";

/// For whom a charge is written: its applicant is not shown who decided inside the office.
#[derive(Clone, Copy)]
struct Shown {
    to_applicant: bool,
}

impl Shown {
    fn to(caller: &Caller) -> Self {
        Self {
            to_applicant: caller.principal.citizen().is_some(),
        }
    }

    fn official(self, id: Uuid) -> String {
        if self.to_applicant {
            String::new()
        } else {
            id.to_string()
        }
    }
}

/// The case and the version of its charge that a request names.
fn target<'a, M>(request_id: &str, case_id: &str, etag: &'a str, body: &'a M) -> Result<Target<'a, M>, Status> {
    Ok(Target {
        request_id: decode::id(request_id, "request_id")?,
        body,
        case_id: decode::id(case_id, "case_id")?,
        etag: Some(etag),
    })
}

/// A day that the contract demands.
fn day(date: Option<WireDate>, field: &str) -> Result<Date, Status> {
    Ok(decode::day(date, field)?.ok_or_else(|| decode::blank(field))?)
}

#[tonic::async_trait]
impl FeeService for Api {
    async fn get_charge(
        &self,
        request: Request<proto::GetChargeRequest>,
    ) -> Result<Response<proto::GetChargeResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let case_id = decode::id(&request.message.case_id, "case_id")?;
        let (found, case) = self.one_stop.get_charge(caller, case_id).await.map_err(status)?;
        Ok(Response::new(proto::GetChargeResponse {
            charge: Some(charge(&found, &case, Shown::to(caller))),
        }))
    }

    async fn set_fee_quantities(
        &self,
        request: Request<proto::SetFeeQuantitiesRequest>,
    ) -> Result<Response<proto::SetFeeQuantitiesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = target(&message.request_id, &message.case_id, &message.etag, message)?;
        let caller = request.caller()?;
        let shown = Shown::to(caller);
        let answer = self
            .one_stop
            .set_fee_quantities(caller, target, |made, case| proto::SetFeeQuantitiesResponse {
                charge: Some(charge(made, case, shown)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn exempt_fee(
        &self,
        request: Request<proto::ExemptFeeRequest>,
    ) -> Result<Response<proto::ExemptFeeResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let [reason, legal_basis] = words([
            (message.reason.as_str(), "reason"),
            (message.legal_basis.as_str(), "legal_basis"),
        ])?;
        let exempted = Exempted {
            number: message.number,
            reduced_to_vnd: message.reduced_to_vnd,
            reason,
            legal_basis,
            evidence_file_id: if message.evidence_file_id.is_empty() {
                None
            } else {
                Some(decode::id(&message.evidence_file_id, "evidence_file_id")?)
            },
        };
        let target = target(&message.request_id, &message.case_id, &message.etag, message)?;
        let caller = request.caller()?;
        let shown = Shown::to(caller);
        let answer = self
            .one_stop
            .exempt_fee(caller, target, exempted, |made, case| proto::ExemptFeeResponse {
                charge: Some(charge(made, case, shown)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn request_payment(
        &self,
        request: Request<proto::RequestPaymentRequest>,
    ) -> Result<Response<proto::RequestPaymentResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = target(&message.request_id, &message.case_id, &message.etag, message)?;
        let caller = request.caller()?;
        let shown = Shown::to(caller);
        let answer = self
            .one_stop
            .request_payment(caller, target, |made, case| proto::RequestPaymentResponse {
                charge: Some(charge(made, case, shown)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn record_cash_payment(
        &self,
        request: Request<proto::RecordCashPaymentRequest>,
    ) -> Result<Response<proto::RecordCashPaymentResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = target(&message.request_id, &message.case_id, &message.etag, message)?;
        let caller = request.caller()?;
        let shown = Shown::to(caller);
        let answer = self
            .one_stop
            .record_cash_payment(caller, target, |made, case| proto::RecordCashPaymentResponse {
                charge: Some(charge(made, case, shown)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn decide_refund(
        &self,
        request: Request<proto::DecideRefundRequest>,
    ) -> Result<Response<proto::DecideRefundResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        words([
            (message.reason.as_str(), "reason"),
            (message.decision_number.as_str(), "decision_number"),
        ])?;
        let payment_id = decode::id(&message.payment_id, "payment_id")?;
        let target = target(&message.request_id, &message.case_id, &message.etag, message)?;
        let caller = request.caller()?;
        let shown = Shown::to(caller);
        let answer = self
            .one_stop
            .decide_refund(caller, target, payment_id, |made, case| proto::DecideRefundResponse {
                charge: Some(charge(made, case, shown)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn import_treasury_file(
        &self,
        request: Request<proto::ImportTreasuryFileRequest>,
    ) -> Result<Response<proto::ImportTreasuryFileResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let new = NewTreasuryFile {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            day: day(message.day, "day")?,
        };
        let answer = self
            .one_stop
            .import_treasury_file(request.caller()?, new, |imported: &Imported| {
                proto::ImportTreasuryFileResponse {
                    file_id: imported.file_id.map(|id| id.to_string()).unwrap_or_default(),
                    entries: imported.entries,
                    amount: Some(Money::vnd(imported.amount_vnd)),
                    format: imported.format.clone(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn take_back_treasury_file(
        &self,
        request: Request<proto::TakeBackTreasuryFileRequest>,
    ) -> Result<Response<proto::TakeBackTreasuryFileResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let [reason] = words([(message.reason.as_str(), "reason")])?;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let file_id = decode::id(&message.file_id, "file_id")?;
        let answer = self
            .one_stop
            .take_back_treasury_file(
                request.caller()?,
                request_id,
                message,
                (file_id, reason),
                |done: &TakenBackFile| proto::TakeBackTreasuryFileResponse {
                    file: Some(treasury_file(&done.file)),
                    reopened_payments: number(done.reopened),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_treasury_files(
        &self,
        request: Request<proto::ListTreasuryFilesRequest>,
    ) -> Result<Response<proto::ListTreasuryFilesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let narrowed = (
            decode::day(message.from, "from")?,
            decode::day(message.to, "to")?,
            match message.state() {
                proto::TreasuryFileState::Unspecified => None,
                proto::TreasuryFileState::Counts => Some(false),
                proto::TreasuryFileState::TakenBack => Some(true),
            },
        );
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, TREASURY_FILES, &request.message))?;
        let (files, next_page_token) = self
            .one_stop
            .list_treasury_files(caller, unit_id, narrowed, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListTreasuryFilesResponse {
            files: files.iter().map(treasury_file).collect(),
            next_page_token,
        }))
    }

    async fn list_treasury_lines(
        &self,
        request: Request<proto::ListTreasuryLinesRequest>,
    ) -> Result<Response<proto::ListTreasuryLinesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let file_id = decode::id(&message.file_id, "file_id")?;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, TREASURY_LINES, &request.message))?;
        let (taken_back, lines, next_page_token) = self
            .one_stop
            .list_treasury_lines(caller, file_id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListTreasuryLinesResponse {
            state: file_state(taken_back).into(),
            lines: lines.iter().map(treasury_line).collect(),
            next_page_token,
        }))
    }

    async fn reconcile_day(
        &self,
        request: Request<proto::ReconcileDayRequest>,
    ) -> Result<Response<proto::ReconcileDayResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let on = day(message.day, "day")?;
        let answer = self
            .one_stop
            .reconcile_day(request.caller()?, request_id, message, on, |done: &Reconciled| {
                proto::ReconcileDayResponse {
                    matched: number(done.matched),
                    open_differences: number(done.open),
                    gone_differences: number(done.gone),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_differences(
        &self,
        request: Request<proto::ListDifferencesRequest>,
    ) -> Result<Response<proto::ListDifferencesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let narrowed = (
            decode::day(message.from, "from")?,
            decode::day(message.to, "to")?,
            message.open_only,
        );
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, DIFFERENCES, &request.message))?;
        let (differences, next_page_token) = self
            .one_stop
            .list_differences(caller, unit_id, narrowed, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDifferencesResponse {
            differences: differences.iter().map(difference).collect(),
            next_page_token,
        }))
    }

    async fn settle_difference(
        &self,
        request: Request<proto::SettleDifferenceRequest>,
    ) -> Result<Response<proto::SettleDifferenceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        words([(message.resolution.as_str(), "resolution")])?;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let difference_id = decode::id(&message.difference_id, "difference_id")?;
        let answer = self
            .one_stop
            .settle_difference(request.caller()?, request_id, message, difference_id, |settled| {
                proto::SettleDifferenceResponse {
                    difference: Some(difference(settled)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_unsettled_charges(
        &self,
        request: Request<proto::ListUnsettledChargesRequest>,
    ) -> Result<Response<proto::ListUnsettledChargesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let filter = UnsettledFilter {
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            state: UnsettledState::of_code(message.state),
        };
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, UNSETTLED, &request.message))?;
        let (charges, next_page_token) = self
            .one_stop
            .list_unsettled_charges(caller, filter, page)
            .await
            .map_err(status)?;
        let charges = charges
            .into_iter()
            .map(|charge| {
                let unit_name = self.one_stop.unit_name(charge.responsible_unit_id);
                unsettled(charge, unit_name)
            })
            .collect();
        Ok(Response::new(proto::ListUnsettledChargesResponse {
            charges,
            next_page_token,
        }))
    }

    async fn get_payment_figures(
        &self,
        request: Request<proto::GetPaymentFiguresRequest>,
    ) -> Result<Response<proto::GetPaymentFiguresResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let period = (day(message.from, "from")?, day(message.to, "to")?);
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let ways = self
            .one_stop
            .payment_figures(request.caller()?, unit_id, period)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetPaymentFiguresResponse {
            ways: ways.iter().map(way).collect(),
        }))
    }
}

/// Texts that are not blank, each with its field; every one that is blank is named.
fn words<const N: usize>(texts: [(&str, &str); N]) -> Result<[String; N], Status> {
    let blank = texts.iter().filter(|(text, _)| text.trim().is_empty());
    let wrong: Vec<Violation> = blank
        .flat_map(|(_, field)| decode::blank(field).violations().to_vec())
        .collect();
    if wrong.is_empty() {
        Ok(texts.map(|(text, _)| text.trim().to_owned()))
    } else {
        Err(Fault::invalid(wrong).into())
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn charge(charge: &Charge, case: &Case, shown: Shown) -> proto::CaseCharge {
    proto::CaseCharge {
        case_id: charge.case_id.to_string(),
        case_code: charge.case_code.clone(),
        state: charge.state(is_obliged(case)) as i32,
        fees: charge.fees.iter().map(|one| fee(one, shown)).collect(),
        payments: charge
            .payments
            .iter()
            .map(|one| payment(one, shown, charge.is_payable(is_obliged(case))))
            .collect(),
        owed: charge.owed_vnd().map(Money::vnd),
        held: Some(Money::vnd(charge.held_vnd())),
        etag: charge.etag(),
    }
}

fn fee(fee: &ChargedFee, shown: Shown) -> proto::ChargedFee {
    proto::ChargedFee {
        number: fee.number,
        name: fee.name.clone(),
        kind: fee.kind.clone(),
        amount: fee.amount_vnd.map(Money::vnd),
        per: fee.per.clone().unwrap_or_default(),
        quantity: fee.quantity,
        basis: Some(encode::basis(&fee.basis)),
        exemption: fee.exemption.as_ref().map(|one| exemption(one, shown)),
        due: fee.due_vnd().map(Money::vnd),
    }
}

fn exemption(exemption: &Exemption, shown: Shown) -> proto::FeeExemption {
    proto::FeeExemption {
        reduced_to: Some(Money::vnd(exemption.reduced_to_vnd)),
        reason: exemption.reason.clone(),
        legal_basis: exemption.legal_basis.clone(),
        evidence_file_id: exemption.evidence_file_id.map(|id| id.to_string()).unwrap_or_default(),
        officer_id: shown.official(exemption.officer_id),
        decide_time: Some(timestamp(exemption.time)),
    }
}

/// `payable`: whether anything is to be paid. Where an order could be paid is shown only then: what is paid all the same has to go back.
fn payment(payment: &Payment, shown: Shown, payable: bool) -> proto::CasePayment {
    proto::CasePayment {
        payment_id: payment.payment_id.to_string(),
        way: payment.way.code().into(),
        amount: Some(Money::vnd(payment.amount_vnd)),
        state: payment.state.code().into(),
        reference: payment.reference.clone(),
        pay_url: if payable && payment.state.is_open() {
            payment.pay_url.clone()
        } else {
            String::new()
        },
        transaction: payment.transaction.clone(),
        request_time: Some(timestamp(payment.request_time)),
        paid_time: payment.paid_time.map(timestamp),
        refund: payment.refund.as_ref().map(|one| refund(one, shown)),
        collecting_unit_id: payment.collecting_unit_id,
        problem: if shown.to_applicant {
            String::new()
        } else {
            payment.problem.clone()
        },
    }
}

fn refund(refund: &Refund, shown: Shown) -> proto::PaymentRefund {
    proto::PaymentRefund {
        reason: refund.reason.clone(),
        decision_number: refund.decision_number.clone(),
        decided_by: shown.official(refund.decided_by),
        decide_time: Some(timestamp(refund.decide_time)),
        done_time: refund.done_time.map(timestamp),
    }
}

fn difference(difference: &Difference) -> proto::PaymentDifference {
    let (found, sides) = (&difference.found, &difference.found.sides);
    proto::PaymentDifference {
        difference_id: difference.id.to_string(),
        unit_id: difference.unit_id,
        day: Some(difference.day.into()),
        kind: found.kind.code().into(),
        reference: found.reference.clone(),
        case_code: found.case_code.clone(),
        payment_id: found.payment_id.map(|id| id.to_string()).unwrap_or_default(),
        our_amount: sides.our_vnd.map(Money::vnd),
        platform_amount: sides.platform_vnd.map(Money::vnd),
        treasury_amount: sides.treasury_vnd.map(Money::vnd),
        our_day: sides.our_day.map(Into::into),
        platform_day: sides.platform_day.map(Into::into),
        treasury_day: sides.treasury_day.map(Into::into),
        treasury_case_code: sides.treasury_case.clone().unwrap_or_default(),
        state: difference.state.code().into(),
        resolution: difference.resolution.clone(),
        settled_by: difference.settled_by.map(|id| id.to_string()).unwrap_or_default(),
        settle_time: difference.settle_time.map(timestamp),
        find_time: Some(timestamp(difference.find_time)),
        etag: difference.etag(),
    }
}

fn way(collected: &Collected) -> proto::WayFigures {
    proto::WayFigures {
        way: collected.way.code().into(),
        payments: collected.payments,
        amount: Some(Money::vnd(collected.amount_vnd)),
        refunded: collected.refunded,
    }
}

const fn file_state(taken_back: bool) -> proto::TreasuryFileState {
    if taken_back {
        proto::TreasuryFileState::TakenBack
    } else {
        proto::TreasuryFileState::Counts
    }
}

fn treasury_file(known: &KnownFile) -> proto::TreasuryFile {
    let (file, taken_back) = (&known.file, known.taken_back.as_ref());
    proto::TreasuryFile {
        file_id: file.file_id.to_string(),
        unit_id: file.unit_id,
        day: Some(file.day.into()),
        state: file_state(taken_back.is_some()).into(),
        entries: file.entries,
        amount: Some(Money::vnd(file.amount_vnd)),
        format: file.format.clone(),
        sha256: hex::encode(&file.sha256),
        imported_by: file.actor_id.to_string(),
        import_time: Some(timestamp(file.import_time)),
        taken_back_by: taken_back.map(|back| back.actor_id.to_string()).unwrap_or_default(),
        take_back_time: taken_back.map(|back| timestamp(back.time)),
        take_back_reason: taken_back.map(|back| back.reason.clone()).unwrap_or_default(),
        reconcile_again: known.reconcile_again.iter().map(|day| (*day).into()).collect(),
    }
}

fn treasury_line(booked: &Booked) -> proto::TreasuryLine {
    proto::TreasuryLine {
        line: booked.line,
        day: Some(booked.day.into()),
        case_code: booked.case_code.clone(),
        reference: booked.reference.clone(),
        amount: Some(Money::vnd(booked.amount_vnd)),
    }
}

fn unsettled(charge: UnsettledCharge, unit_name: String) -> proto::UnsettledCharge {
    let what = charge.unsettled;
    proto::UnsettledCharge {
        case_id: charge.case_id.to_string(),
        case_code: charge.case_code,
        procedure_code: charge.procedure_code,
        unit_id: charge.responsible_unit_id,
        unit_name,
        states: what.states().into_iter().map(UnsettledState::code).collect(),
        left: what.left_vnd.map(Money::vnd),
        held: Some(Money::vnd(what.held_vnd)),
        refund: Some(Money::vnd(what.refund_vnd)),
        order_open: what.order_open,
        open_since: Some(timestamp(charge.since)),
    }
}
