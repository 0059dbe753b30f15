//! WithdrawLinkedCase (rút hồ sơ liên thông): everything that can still be taken back, in one transaction.

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{WithdrawLinkedCaseRequest, WithdrawLinkedCaseResponse};
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::{Actor, READ};
use super::{Change, Following, cancel_member, units_of};
use crate::domain::linked::{LinkedCase, MemberState, Owner};
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::Visible;

const WITHDRAW: &str = "onestop.cases.withdraw";

impl OneStop {
    /// Takes back the whole application at its owner's wish, or at the counter that received it.
    pub(crate) async fn withdraw_linked_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        linked_case_id: Uuid,
        body: &WithdrawLinkedCaseRequest,
        answer: impl FnOnce(&LinkedCase) -> WithdrawLinkedCaseResponse + Send,
    ) -> Result<WithdrawLinkedCaseResponse, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.LinkedCaseService/WithdrawLinkedCase",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let mut application = self.hold_linked(unit, linked_case_id, &visible, &body.etag).await?;
                // The application is the owner's, and of the counter that received it: no competent unit takes the others' cases back.
                let resource = Resource {
                    unit: Some(application.receiving_unit_id),
                    owner: application.owner_id,
                    assignee: None,
                };
                caller.require(WITHDRAW, &resource)?;
                if application.owner == Owner::National {
                    return Err(LinkedRefused::National(application.service_code.clone()).into());
                }
                unit.hand_over_to(&units_of(&application)).await?;
                self.refresh_members(unit, &mut application).await?;

                let actor = Actor::from(caller.principal.as_ref());
                let codes: Vec<(String, MemberState)> = application
                    .members
                    .iter()
                    .map(|member| (member.code.clone(), member.state))
                    .collect();
                let mut taken_back = 0;
                for (code, state) in codes {
                    match state {
                        MemberState::Waiting | MemberState::Held => {
                            cancel_member(unit, &mut application, &code).await?;
                            taken_back += 1;
                        }
                        MemberState::Running => {
                            self.withdraw_member(unit, &mut application, &code, &actor, &body.reason)
                                .await?
                                .map_err(Error::Act)?;
                            taken_back += 1;
                        }
                        _ => {}
                    }
                }
                if taken_back == 0 {
                    return Err(LinkedRefused::NothingToWithdraw.into());
                }
                // A question about a member that is not filed any more has its answer.
                for effect in &mut application.effects {
                    if effect.is_open() && effect.kind == crate::domain::linked::EffectKind::NotFiled {
                        effect.withdraw = Some(true);
                        effect.decided_by = Some(actor.id);
                    }
                }
                self.follow_through(unit, &mut application, &mut Following::by(actor))
                    .await?;
                let change = Change {
                    operation: "withdraw",
                    event: "linked_case_withdrawn",
                    actor: &actor,
                    reason: &body.reason,
                };
                self.keep_linked(unit, &mut application, change).await?;
                unit.led_to(super::KIND, linked_case_id, application.version);
                Ok::<_, Error>(answer(&application))
            })
            .await?;
        Ok(written.into_answer())
    }
}
