//! MirrorLinkedCase: how an application stands that the national system coordinates. Nothing is filed, withdrawn or compensated here.

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{MirrorLinkedCaseRequest, MirrorLinkedCaseResponse};
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::Actor;
use super::{Change, at, sha256};
use crate::domain::linked::{LinkedCase, LinkedService, LinkedState, Member, MemberState, Owner};
use crate::domain::pack::Channel;
use crate::domain::transitions::State;
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::linked;

const MIRROR: &str = "onestop.linked.mirror";

/// How a member stands there.
pub(crate) struct MirroredMember {
    pub(crate) code: String,
    pub(crate) unit_code: String,
    /// None while it is not filed.
    pub(crate) state: Option<State>,
    pub(crate) case_code: String,
    pub(crate) due_date: Option<Date>,
}

/// How an application stands there.
pub(crate) struct Mirrored {
    pub(crate) service_code: String,
    pub(crate) code: String,
    pub(crate) revision: i64,
    pub(crate) channel: Channel,
    pub(crate) submit_time: Timestamp,
    pub(crate) members: Vec<MirroredMember>,
}

impl OneStop {
    /// Takes over how an application stands, unless a later revision is known.
    pub(crate) async fn mirror_linked_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &MirrorLinkedCaseRequest,
        mirrored: Mirrored,
        answer: impl FnOnce(&LinkedCase) -> MirrorLinkedCaseResponse + Send,
    ) -> Result<MirrorLinkedCaseResponse, Error> {
        let today = self.clock.today();
        let service = self
            .law
            .get()
            .linked_service(&mirrored.service_code, today)
            .ok_or_else(|| LinkedRefused::ServiceNotFound(mirrored.service_code.clone()))?;
        if service
            .owner_on(today)
            .is_none_or(|period| period.owner != Owner::National)
        {
            return Err(LinkedRefused::Local(mirrored.service_code).into());
        }
        let members = self.mirrored_members(&service, &mirrored, today)?;
        for member in &members {
            caller.require(MIRROR, &at(member.unit_id))?;
        }
        let mut scope = caller.scope(MIRROR);
        scope.units.extend(members.iter().map(|member| member.unit_id));
        scope.units.sort_unstable();
        scope.units.dedup();
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.LinkedCaseService/MirrorLinkedCase",
            request_id,
            body,
        );
        let definition = serde_json::to_vec(service.as_ref()).map_err(Fault::internal)?;
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let known = linked::mirrored(unit.conn(), &mirrored.code).await?;
                if let Some(known) = known.as_ref().filter(|known| known.revision >= mirrored.revision) {
                    return Ok::<_, Error>(answer(known));
                }
                let first_unit = members.first().map_or(0, |member| member.unit_id);
                let (linked_case_id, version, submit_time) = match &known {
                    Some(known) => (known.linked_case_id, known.version, known.submit_time),
                    None => (unit.new_id(), 0, egov_database::stored_instant(mirrored.submit_time)),
                };
                // Like any application it keeps the definition with which it became known.
                let kept = match known {
                    Some(known) => (known.service, known.service_sha256),
                    None => (service.as_ref().clone(), sha256(&definition)),
                };
                let mut application = LinkedCase {
                    linked_case_id,
                    code: mirrored.code.clone(),
                    service_code: service.code.clone(),
                    service_version: service.version,
                    service: kept.0,
                    service_sha256: kept.1,
                    owner: Owner::National,
                    state: LinkedState::Running,
                    channel: mirrored.channel,
                    receiving_unit_id: first_unit,
                    owner_id: None,
                    submit_time,
                    end_time: None,
                    revision: mirrored.revision,
                    members,
                    effects: Vec::new(),
                    version,
                };
                // A member that is not filed while everything else is at its end will not be: that is the other system's to say, by leaving it.
                if application.members.iter().all(|member| member.state.is_final()) {
                    application.state = application.outcome();
                    application.end_time = Some(unit.now());
                }
                let actor = Actor::from(caller.principal.as_ref());
                let change = Change {
                    operation: "mirror",
                    event: "linked_case_mirrored",
                    actor: &actor,
                    reason: "",
                };
                self.keep_linked(unit, &mut application, change).await?;
                unit.led_to(super::KIND, linked_case_id, application.version);
                Ok(answer(&application))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Each member of the service once, as it stands there.
    fn mirrored_members(
        &self,
        service: &LinkedService,
        mirrored: &Mirrored,
        today: Date,
    ) -> Result<Vec<Member>, Error> {
        let wrong: Vec<String> = mirrored
            .members
            .iter()
            .enumerate()
            .filter(|(place, member)| {
                let known = service.members.iter().any(|rule| rule.code == member.code);
                let before = mirrored.members.iter().take(*place);
                !known || before.into_iter().any(|other| other.code == member.code)
            })
            .map(|(_, member)| member.code.clone())
            .collect();
        if !wrong.is_empty() {
            return Err(LinkedRefused::Members(wrong).into());
        }
        mirrored
            .members
            .iter()
            .map(|member| {
                let rule = service.members.iter().find(|rule| rule.code == member.code);
                Ok(Member {
                    code: member.code.clone(),
                    procedure_code: rule.and_then(|rule| rule.procedure.clone()).unwrap_or_default(),
                    unit_id: self.unit(&member.unit_code, today)?.unit_id,
                    state: member.state.map_or(MemberState::Waiting, MemberState::of_case),
                    case_id: None,
                    case_code: member.case_code.clone(),
                    case_state: member.state,
                    due_date: member.due_date,
                    submission_sha256: String::new(),
                })
            })
            .collect()
    }
}
