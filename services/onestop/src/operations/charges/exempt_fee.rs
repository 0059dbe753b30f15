//! SetFeeQuantities and ExemptFee: what is owed.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{
    ExemptFeeRequest, ExemptFeeResponse, SetFeeQuantitiesRequest, SetFeeQuantitiesResponse,
};
use uuid::Uuid;

use super::{COLLECT, ChargeAct};
use crate::domain::case::Case;
use crate::domain::charge::{Charge, Exemption, SET_QUANTITIES};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::Target;

/// Miễn, giảm, as somebody decides it.
pub(crate) struct Exempted {
    pub(crate) number: i32,
    pub(crate) reduced_to_vnd: i64,
    pub(crate) reason: String,
    pub(crate) legal_basis: String,
    pub(crate) evidence_file_id: Option<Uuid>,
}

impl OneStop {
    /// Says how many of each there are.
    pub(crate) async fn set_fee_quantities(
        &self,
        caller: &Caller,
        target: Target<'_, SetFeeQuantitiesRequest>,
        answer: impl FnOnce(&Charge, &Case) -> SetFeeQuantitiesResponse + Send,
    ) -> Result<SetFeeQuantitiesResponse, Error> {
        let act = ChargeAct {
            operation: SET_QUANTITIES,
            event: "fee_quantities_set",
            permission: COLLECT,
            method: "egov.onestop.v1.FeeService/SetFeeQuantities",
            only_while_obliged: true,
            reason: String::new(),
            evidence: None,
        };
        let wanted: Vec<(i32, i32)> = target
            .body
            .quantities
            .iter()
            .map(|wanted| (wanted.number, wanted.quantity))
            .collect();
        self.charge_act(
            caller,
            act,
            target,
            |charge, _, _| Ok(charge.set_quantities(&wanted)?),
            answer,
        )
        .await
    }

    /// Waives or reduces a fee.
    pub(crate) async fn exempt_fee(
        &self,
        caller: &Caller,
        target: Target<'_, ExemptFeeRequest>,
        exempted: Exempted,
        answer: impl FnOnce(&Charge, &Case) -> ExemptFeeResponse + Send,
    ) -> Result<ExemptFeeResponse, Error> {
        let act = ChargeAct {
            operation: "exempt",
            event: "fee_exempted",
            permission: "onestop.fees.exempt",
            method: "egov.onestop.v1.FeeService/ExemptFee",
            only_while_obliged: true,
            reason: exempted.reason.clone(),
            evidence: exempted.evidence_file_id,
        };
        let officer_id = caller.principal.subject;
        self.charge_act(
            caller,
            act,
            target,
            |charge, _, unit| {
                let exemption = Exemption {
                    reduced_to_vnd: exempted.reduced_to_vnd,
                    reason: exempted.reason,
                    legal_basis: exempted.legal_basis,
                    evidence_file_id: exempted.evidence_file_id,
                    officer_id,
                    time: unit.now(),
                };
                Ok(charge.exempt(exempted.number, exemption)?)
            },
            answer,
        )
        .await
    }
}
