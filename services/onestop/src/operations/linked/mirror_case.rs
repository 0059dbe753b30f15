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
use super::super::act::Doer;
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
    /// Takes over how an application stands, unless a later revision is known. One that is known is judged by the definition that it keeps.
    pub(crate) async fn mirror_linked_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &MirrorLinkedCaseRequest,
        mirrored: Mirrored,
        answer: impl FnOnce(&LinkedCase) -> MirrorLinkedCaseResponse + Send,
    ) -> Result<MirrorLinkedCaseResponse, Error> {
        let today = self.clock.today();
        let units: Vec<i32> = mirrored
            .members
            .iter()
            .map(|member| Ok::<_, Error>(self.unit(&member.unit_code, today)?.unit_id))
            .collect::<Result<_, _>>()?;
        for unit_id in &units {
            caller.require(MIRROR, &at(*unit_id))?;
        }
        let doer = units.first().map(|unit_id| Doer::of(caller, MIRROR, &at(*unit_id)));
        let doer = doer.ok_or_else(|| Fault::internal("the contract lets nobody name no member"))?;
        let mut scope = caller.scope(MIRROR);
        scope.units.extend_from_slice(&units);
        scope.units.sort_unstable();
        scope.units.dedup();
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.LinkedCaseService/MirrorLinkedCase",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                linked::hold_code(unit.conn(), &mirrored.code).await?;
                let mut application = match linked::mirrored(unit.conn(), &mirrored.code).await? {
                    Some(known) => known,
                    None => self.first_mirrored(&mirrored, unit.new_id(), today)?,
                };
                if application.service_code != mirrored.service_code {
                    return Err(LinkedRefused::OtherService {
                        code: application.code,
                        service: application.service_code,
                    }
                    .into());
                }
                let members = members_there(&application.service, &mirrored, &units)?;
                if application.revision >= mirrored.revision {
                    return Ok(answer(&application));
                }
                application.channel = mirrored.channel;
                application.receiving_unit_id = members.first().map_or(0, |member| member.unit_id);
                application.revision = mirrored.revision;
                application.members = members;
                // A member that is not filed while everything else is at its end will not be: that is the other system's to say, by leaving it.
                let is_over = application.members.iter().all(|member| member.state.is_final());
                application.state = if is_over {
                    application.outcome()
                } else {
                    LinkedState::Running
                };
                application.end_time = is_over.then(|| unit.now());
                let change = Change {
                    operation: "mirror",
                    event: "linked_case_mirrored",
                    doer,
                    reason: "",
                };
                self.keep_linked(unit, &mut application, change).await?;
                unit.led_to(super::KIND, application.linked_case_id, application.version);
                Ok::<_, Error>(answer(&application))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// An application that becomes known: by the service in force, if the national system coordinates it today. Like any application it keeps
    /// the definition with which it began. Its revision is before the first one.
    fn first_mirrored(&self, mirrored: &Mirrored, linked_case_id: Uuid, today: Date) -> Result<LinkedCase, Error> {
        let service = self
            .law
            .get()
            .linked_service(&mirrored.service_code, today)
            .ok_or_else(|| LinkedRefused::ServiceNotFound(mirrored.service_code.clone()))?;
        if service
            .owner_on(today)
            .is_none_or(|period| period.owner != Owner::National)
        {
            return Err(LinkedRefused::Local(mirrored.service_code.clone()).into());
        }
        let definition = serde_json::to_vec(service.as_ref()).map_err(Fault::internal)?;
        Ok(LinkedCase {
            linked_case_id,
            code: mirrored.code.clone(),
            service_code: service.code.clone(),
            service_version: service.version,
            service: service.as_ref().clone(),
            service_sha256: sha256(&definition),
            owner: Owner::National,
            state: LinkedState::Running,
            channel: mirrored.channel,
            receiving_unit_id: 0,
            owner_id: None,
            submit_time: egov_database::stored_instant(mirrored.submit_time),
            end_time: None,
            revision: 0,
            members: Vec::new(),
            effects: Vec::new(),
            version: 0,
        })
    }
}

/// The members as they stand there, in the order of the service. `units` are theirs, in the order in which they are named.
fn members_there(service: &LinkedService, mirrored: &Mirrored, units: &[i32]) -> Result<Vec<Member>, Error> {
    let named: Vec<&str> = mirrored.members.iter().map(|member| member.code.as_str()).collect();
    let wrong = service.wrong_members(&named, true);
    if !wrong.is_empty() {
        return Err(LinkedRefused::Members(wrong).into());
    }
    let members = service.members.iter().filter_map(|rule| {
        let mut named = mirrored.members.iter().zip(units);
        let (member, unit_id) = named.find(|(member, _)| member.code == rule.code)?;
        Some(Member {
            code: member.code.clone(),
            procedure_code: rule.procedure.clone().unwrap_or_default(),
            unit_id: *unit_id,
            state: member.state.map_or(MemberState::Waiting, MemberState::of_case),
            case_id: None,
            case_code: member.case_code.clone(),
            case_state: member.state,
            due_date: member.due_date,
            submission_sha256: String::new(),
        })
    });
    Ok(members.collect())
}
