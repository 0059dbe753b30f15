//! WithdrawLinkedCase (rút hồ sơ liên thông): every member that waits or runs is taken back in one transaction, or none is.

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{WithdrawLinkedCaseRequest, WithdrawLinkedCaseResponse};
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::{Doer, READ};
use super::{Change, Following, Readable, cancel_member, units_of};
use crate::domain::linked::{LinkedCase, MemberState, Owner};
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::Visible;

const WITHDRAW: &str = "onestop.cases.withdraw";

impl OneStop {
    /// Takes back the whole application at its owner's wish, or at the counter that received it. If the state of a case that runs allows
    /// no withdrawal, nothing is taken back.
    pub(crate) async fn withdraw_linked_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        linked_case_id: Uuid,
        body: &WithdrawLinkedCaseRequest,
        answer: impl FnOnce(&LinkedCase, &Readable) -> WithdrawLinkedCaseResponse + Send,
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

                let doer = Doer::of(caller, WITHDRAW, &resource);
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
                            self.withdraw_member(unit, &mut application, &code, doer, &body.reason)
                                .await?
                                .map_err(|refused| Fault::from(Error::Act(refused)).with("member", &code))?;
                            taken_back += 1;
                        }
                        _ => {}
                    }
                }
                if taken_back == 0 {
                    return Err(LinkedRefused::NothingToWithdraw.into());
                }
                self.follow_through(unit, &mut application, &mut Following::by(doer))
                    .await?;
                let change = Change {
                    operation: "withdraw",
                    event: "linked_case_withdrawn",
                    doer,
                    reason: &body.reason,
                };
                self.keep_linked(unit, &mut application, change).await?;
                unit.led_to(super::KIND, linked_case_id, application.version);
                let readable = Readable::of(unit.conn(), caller, &application).await?;
                Ok::<_, Error>(answer(&application, &readable))
            })
            .await?;
        Ok(written.into_answer())
    }
}
