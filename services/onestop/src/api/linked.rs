//! LinkedCaseService.

use egov_clock::Clock as _;
use egov_database::PageBinding;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::linked_case_service_server::LinkedCaseService;
use egov_proto::egov::types::v1::LocalizedText;
use egov_proto::timestamp;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, status};
use crate::domain::linked::{Effect, LinkedCase, Member, MemberRule, Owner};
use crate::domain::transitions::State;
use crate::operations::linked::{Application, ListedService, MemberFiling, Mirrored, MirroredMember, Readable};

const LIST: &str = "egov.onestop.v1.LinkedCaseService/ListLinkedCases";

#[tonic::async_trait]
impl LinkedCaseService for Api {
    async fn list_linked_services(
        &self,
        request: Request<proto::ListLinkedServicesRequest>,
    ) -> Result<Response<proto::ListLinkedServicesResponse>, Status> {
        accept(&self.contract, request)?;
        let services = self.one_stop.list_linked_services();
        Ok(Response::new(proto::ListLinkedServicesResponse {
            services: services.iter().map(service).collect(),
        }))
    }

    async fn submit_linked_case(
        &self,
        request: Request<proto::SubmitLinkedCaseRequest>,
    ) -> Result<Response<proto::SubmitLinkedCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut members = Vec::with_capacity(message.members.len());
        for filing in &message.members {
            members.push(MemberFiling {
                code: filing.member_code.clone(),
                unit_code: given(&filing.competent_unit_code),
                components: decode::components(filing.components.clone())?,
                conditions: filing.conditions.clone(),
            });
        }
        let today = self.one_stop.clock.today();
        let application = Application {
            service_code: message.service_code.clone(),
            receiving_unit_code: given(&message.receiving_unit_code),
            channel: decode::channel(message.channel)?,
            owner: decode::party(message.owner.clone().unwrap_or_default(), "owner", today)?,
            submitter: message
                .submitter
                .clone()
                .map(|party| decode::party(party, "submitter", today))
                .transpose()?,
            members,
            shared: decode::components(message.shared_components.clone())?,
            subject: message.subject.trim().to_owned(),
        };
        let request_id = decode::id(&message.request_id, "request_id")?;
        let caller = request.caller()?;
        let answer = self
            .one_stop
            .submit_linked_case(caller, request_id, message, application, |linked, secrets| {
                proto::SubmitLinkedCaseResponse {
                    // Who files knows all of it.
                    linked_case: Some(self.linked_case(linked, &Readable::all(linked))),
                    lookup_secrets: secrets
                        .iter()
                        .map(|(case_code, secret)| proto::LinkedSecret {
                            case_code: case_code.clone(),
                            lookup_secret: secret.clone(),
                        })
                        .collect(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_linked_case(
        &self,
        request: Request<proto::GetLinkedCaseRequest>,
    ) -> Result<Response<proto::GetLinkedCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let id = decode::id(&request.message.linked_case_id, "linked_case_id")?;
        let (linked, readable) = self.one_stop.get_linked_case(caller, id).await.map_err(status)?;
        Ok(Response::new(proto::GetLinkedCaseResponse {
            linked_case: Some(self.linked_case(&linked, &readable)),
        }))
    }

    async fn list_linked_cases(
        &self,
        request: Request<proto::ListLinkedCasesRequest>,
    ) -> Result<Response<proto::ListLinkedCasesResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let case_id = given(&message.case_id)
            .map(|id| decode::id(&id, "case_id"))
            .transpose()?;
        let to_decide = message.to_decide;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, LIST, &request.message))?;
        let (rows, next_page_token) = self
            .one_stop
            .list_linked_cases(caller, case_id, to_decide, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListLinkedCasesResponse {
            linked_cases: rows
                .iter()
                .map(|(linked, readable)| self.linked_case(linked, readable))
                .collect(),
            next_page_token,
        }))
    }

    async fn withdraw_linked_case(
        &self,
        request: Request<proto::WithdrawLinkedCaseRequest>,
    ) -> Result<Response<proto::WithdrawLinkedCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let id = decode::id(&message.linked_case_id, "linked_case_id")?;
        if message.reason.trim().is_empty() {
            return Err(decode::blank("reason").into());
        }
        let caller = request.caller()?;
        let answer = self
            .one_stop
            .withdraw_linked_case(caller, request_id, id, message, |linked, readable| {
                proto::WithdrawLinkedCaseResponse {
                    linked_case: Some(self.linked_case(linked, readable)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn decide_linked_member(
        &self,
        request: Request<proto::DecideLinkedMemberRequest>,
    ) -> Result<Response<proto::DecideLinkedMemberResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let id = decode::id(&message.linked_case_id, "linked_case_id")?;
        if message.reason.trim().is_empty() {
            return Err(decode::blank("reason").into());
        }
        let withdraw = message.decision() == proto::LinkedDecision::Withdraw;
        let caller = request.caller()?;
        let answer = self
            .one_stop
            .decide_linked_member(caller, request_id, id, withdraw, message, |linked, readable| {
                proto::DecideLinkedMemberResponse {
                    linked_case: Some(self.linked_case(linked, readable)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn mirror_linked_case(
        &self,
        request: Request<proto::MirrorLinkedCaseRequest>,
    ) -> Result<Response<proto::MirrorLinkedCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let mut members = Vec::with_capacity(message.members.len());
        for member in &message.members {
            members.push(MirroredMember {
                code: member.member_code.clone(),
                unit_code: member.competent_unit_code.clone(),
                state: i16::try_from(member.state)
                    .ok()
                    .and_then(|code| State::try_from(code).ok()),
                case_code: member.case_code.trim().to_owned(),
                due_date: decode::day(member.due_date, "members.due_date")?,
            });
        }
        let mirrored = Mirrored {
            service_code: message.service_code.clone(),
            code: message.linked_code.trim().to_owned(),
            revision: message.revision,
            channel: decode::channel(message.channel)?,
            submit_time: decode::instant(message.submit_time, "submit_time")?,
            members,
        };
        if mirrored.code.is_empty() {
            return Err(decode::blank("linked_code").into());
        }
        let answer = self
            .one_stop
            .mirror_linked_case(request.caller()?, request_id, message, mirrored, |linked| {
                proto::MirrorLinkedCaseResponse {
                    linked_case: Some(self.linked_case(linked, &Readable::all(linked))),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}

/// An optional text: empty is absent.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn name_of(rule: &MemberRule) -> LocalizedText {
    LocalizedText {
        vi: rule.name.clone(),
        en: rule.name_en.clone(),
    }
}

fn owner(owner: Owner) -> i32 {
    match owner {
        Owner::Local => proto::LinkedOwner::Local,
        Owner::National => proto::LinkedOwner::National,
    }
    .into()
}

fn service(listed: &ListedService) -> proto::LinkedServiceInfo {
    let service = &listed.service;
    proto::LinkedServiceInfo {
        service_code: service.code.clone(),
        version: service.version,
        name: Some(LocalizedText {
            vi: service.name.clone(),
            en: service.name_en.clone(),
        }),
        owner: listed.owner.map_or(0, owner),
        owner_changes_on: listed.changes_on.map(Into::into),
        channels: service
            .channels
            .iter()
            .map(|channel| encode::channel(*channel))
            .collect(),
        members: service
            .members
            .iter()
            .map(|rule| proto::LinkedMemberRule {
                member_code: rule.code.clone(),
                name: Some(name_of(rule)),
                procedure_code: rule.procedure.clone().unwrap_or_default(),
                same_unit_as: rule.same_unit_as.clone().unwrap_or_default(),
                after: rule.after.clone(),
                takes_components: rule.takes.iter().map(|takes| takes.component.clone()).collect(),
                left_out: rule.left_out,
            })
            .collect(),
        shared_components: service
            .shared
            .iter()
            .map(|shared| proto::LinkedSharedComponent {
                component_code: shared.code.clone(),
                name: shared.name.clone(),
                member_codes: shared.stands_for.iter().map(|stands| stands.member.clone()).collect(),
            })
            .collect(),
        fileable: listed.fileable,
        open_facts: listed.open.clone(),
    }
}

fn effect(effect: &Effect, reason_shown: bool) -> proto::LinkedEffect {
    let decision = match effect.withdraw {
        Some(true) => proto::LinkedDecision::Withdraw,
        Some(false) => proto::LinkedDecision::Continue,
        None => proto::LinkedDecision::Unspecified,
    };
    proto::LinkedEffect {
        number: effect.number,
        cause_member_code: effect.cause.clone(),
        member_code: effect.affected.clone(),
        kind: i32::from(effect.kind.code()),
        refusal: effect.refusal.clone(),
        open: effect.is_open(),
        decision: decision.into(),
        reason: if reason_shown {
            effect.reason.clone()
        } else {
            String::new()
        },
    }
}

impl Api {
    /// The application as far as it may be read: of members whose case is not read, state and due date are left.
    fn linked_case(&self, linked: &LinkedCase, readable: &Readable) -> proto::LinkedCase {
        let member = |member: &Member| {
            let seen = readable.case_of(member);
            let rule = linked.service.members.iter().find(|rule| rule.code == member.code);
            proto::LinkedMember {
                member_code: member.code.clone(),
                name: rule.map(name_of),
                procedure_code: member.procedure_code.clone(),
                unit_id: member.unit_id,
                unit_name: self.one_stop.unit_name(member.unit_id),
                state: i32::from(member.state.code()),
                case_state: member.case_state.map_or(0, encode::state),
                due_date: member.due_date.map(Into::into),
                waits_for: linked.waits_for(&member.code),
                case_id: member
                    .case_id
                    .filter(|_| seen)
                    .map(|id| id.to_string())
                    .unwrap_or_default(),
                case_code: if seen { member.case_code.clone() } else { String::new() },
            }
        };
        proto::LinkedCase {
            linked_case_id: linked.linked_case_id.to_string(),
            linked_code: linked.code.clone(),
            service_code: linked.service_code.clone(),
            service_name: Some(LocalizedText {
                vi: linked.service.name.clone(),
                en: linked.service.name_en.clone(),
            }),
            owner: owner(linked.owner),
            state: i32::from(linked.state.code()),
            channel: encode::channel(linked.channel),
            submit_time: Some(timestamp(linked.submit_time)),
            end_time: linked.end_time.map(timestamp),
            members: linked.members.iter().map(member).collect(),
            effects: linked
                .effects
                .iter()
                .map(|of| {
                    let about = linked.member(&of.affected);
                    effect(of, about.is_some_and(|member| readable.reasons_about(member)))
                })
                .collect(),
            etag: linked.etag(),
        }
    }
}
