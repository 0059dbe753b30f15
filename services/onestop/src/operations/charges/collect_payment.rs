//! RequestPayment and RecordCashPayment: what is left to pay is asked for, or taken at the counter.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{
    RecordCashPaymentRequest, RecordCashPaymentResponse, RequestPaymentRequest, RequestPaymentResponse,
};

use super::{COLLECT, ChargeAct, REQUEST_PAYMENT};
use crate::domain::case::Case;
use crate::domain::charge::Charge;
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::operations::act::Target;

impl OneStop {
    /// Asks the applicant to pay. What makes the order at integration is a job: the request is in the database before anything leaves, and the
    /// payment's id is the id of the request there, so that whatever dies in between leaves one order.
    pub(crate) async fn request_payment(
        &self,
        caller: &Caller,
        target: Target<'_, RequestPaymentRequest>,
        answer: impl FnOnce(&Charge, &Case) -> RequestPaymentResponse + Send,
    ) -> Result<RequestPaymentResponse, Error> {
        let act = ChargeAct {
            operation: REQUEST_PAYMENT.operation,
            event: "payment_requested",
            permission: COLLECT,
            method: REQUEST_PAYMENT.method,
            only_while_obliged: true,
            reason: String::new(),
            evidence: None,
        };
        let connected = self.payments.is_connected();
        self.charge_act(
            caller,
            act,
            target,
            |charge, _, unit| {
                if !connected {
                    return Err(FeeError::NotConnected);
                }
                Ok(charge.request(unit.new_id(), unit.now())?)
            },
            answer,
        )
        .await
    }

    /// Records cash against a receipt.
    pub(crate) async fn record_cash_payment(
        &self,
        caller: &Caller,
        target: Target<'_, RecordCashPaymentRequest>,
        answer: impl FnOnce(&Charge, &Case) -> RecordCashPaymentResponse + Send,
    ) -> Result<RecordCashPaymentResponse, Error> {
        let act = ChargeAct {
            operation: "take_cash",
            event: "payment_received",
            permission: COLLECT,
            method: "egov.onestop.v1.FeeService/RecordCashPayment",
            only_while_obliged: true,
            reason: String::new(),
            evidence: None,
        };
        let body = target.body;
        self.charge_act(
            caller,
            act,
            target,
            |charge, _, unit| {
                let when = (unit.now(), unit.today());
                Ok(charge.take_cash(unit.new_id(), &body.receipt_number, body.amount_vnd, when)?)
            },
            answer,
        )
        .await
    }
}
