//! DecideLinkedMember: an officer says what happens to a member where the definition leaves it to one.

use egov_auth::Caller;
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{DecideLinkedMemberRequest, DecideLinkedMemberResponse};
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::{Doer, READ};
use super::{Change, Readable, at, cancel_member, units_of};
use crate::domain::linked::{EffectKind, LinkedCase, MemberState};
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::Visible;

const DECIDE: &str = "onestop.linked.decide";

impl OneStop {
    /// Answers a question about a member of the caller's unit.
    pub(crate) async fn decide_linked_member(
        &self,
        caller: &Caller,
        request_id: Uuid,
        linked_case_id: Uuid,
        withdraw: bool,
        body: &DecideLinkedMemberRequest,
        answer: impl FnOnce(&LinkedCase, &Readable) -> DecideLinkedMemberResponse + Send,
    ) -> Result<DecideLinkedMemberResponse, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.LinkedCaseService/DecideLinkedMember",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let mut application = self.hold_linked(unit, linked_case_id, &visible, &body.etag).await?;
                let unknown = LinkedRefused::QuestionUnknown(body.number);
                let open = application
                    .effects
                    .iter()
                    .find(|effect| effect.number == body.number && effect.is_open());
                let Some((affected, kind)) = open.map(|effect| (effect.affected.clone(), effect.kind)) else {
                    return Err(unknown.into());
                };
                let of_unit = application.member(&affected).map(|member| member.unit_id);
                // A question about the neighbour's member is none for this unit.
                let of_unit = of_unit.filter(|unit_id| visible.all || visible.units.contains(unit_id));
                let Some(of_unit) = of_unit else {
                    return Err(unknown.into());
                };
                caller.require(DECIDE, &at(of_unit))?;
                let doer = Doer::of(caller, DECIDE, &at(of_unit));
                unit.hand_over_to(&units_of(&application)).await?;
                self.refresh_members(unit, &mut application).await?;

                let state = application.member(&affected).map(|member| member.state);
                match (withdraw, state) {
                    (true, Some(MemberState::Waiting | MemberState::Held)) => {
                        cancel_member(unit, &mut application, &affected).await?;
                    }
                    (true, Some(MemberState::Running)) => {
                        self.withdraw_member(unit, &mut application, &affected, doer, &body.reason)
                            .await?
                            .map_err(Error::Act)?;
                    }
                    (true, Some(state)) if state.has_result() => {
                        return Err(LinkedRefused::UndoImpossible(affected).into());
                    }
                    // Its turn comes again.
                    (false, Some(MemberState::Held)) if kind == EffectKind::NotFiled => {
                        if let Some(member) = application.member_mut(&affected) {
                            member.state = MemberState::Waiting;
                        }
                    }
                    _ => {}
                }
                if let Some(effect) = application
                    .effects
                    .iter_mut()
                    .find(|effect| effect.number == body.number)
                {
                    effect.withdraw = Some(withdraw);
                    body.reason.trim().clone_into(&mut effect.reason);
                    effect.decided_by = Some(doer.actor.id);
                }
                // What follows from it, the coordinator does: it files with the applicant's files, which this caller may not touch.
                let change = Change {
                    operation: "decide",
                    event: "linked_case_decided",
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
