//! DecideRefund (hoàn phí, lệ phí): what is held without being owed goes back.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{DecideRefundRequest, DecideRefundResponse};
use uuid::Uuid;

use super::ChargeAct;
use crate::domain::case::Case;
use crate::domain::charge::{Charge, Refund, is_obliged};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::Target;

impl OneStop {
    /// Decides that a payment goes back. Of an order a job asks integration to have it done, under an id that is kept with the decision.
    pub(crate) async fn decide_refund(
        &self,
        caller: &Caller,
        target: Target<'_, DecideRefundRequest>,
        payment_id: Uuid,
        answer: impl FnOnce(&Charge, &Case) -> DecideRefundResponse + Send,
    ) -> Result<DecideRefundResponse, Error> {
        let body = target.body;
        let act = ChargeAct {
            operation: "decide_refund",
            event: "payment_refund_decided",
            permission: "onestop.fees.refund",
            method: "egov.onestop.v1.FeeService/DecideRefund",
            only_while_obliged: false,
            reason: body.reason.clone(),
            evidence: None,
        };
        let decided_by = caller.principal.subject;
        self.charge_act(
            caller,
            act,
            target,
            |charge, case, unit| {
                let refund = Refund {
                    request_id: unit.new_id(),
                    reason: body.reason.clone(),
                    decision_number: body.decision_number.clone(),
                    decided_by,
                    decide_time: unit.now(),
                    done_time: None,
                };
                Ok(charge.decide_refund(payment_id, refund, is_obliged(case))?)
            },
            answer,
        )
        .await
    }
}
