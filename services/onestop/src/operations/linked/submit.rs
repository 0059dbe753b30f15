//! SubmitLinkedCase (nộp hồ sơ liên thông): one application, the first members filed at once, in one transaction.

use std::collections::BTreeMap;

use egov_auth::{Caller, Resource};
use egov_clock::Clock as _;
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{SubmitLinkedCaseRequest, SubmitLinkedCaseResponse};
use jiff::civil::Date;
use uuid::Uuid;

use super::super::act::{Doer, READ, usable_files};
use super::super::checks::check_settled;
use super::super::submit_case::{Submission, check_places, judge};
use super::super::{KnownUnit, OneStop};
use super::{Change, Following, hash_of, sha256};
use crate::domain::case::FiledComponent;
use crate::domain::linked::{
    LinkedCase, LinkedService, LinkedState, Member, MemberRule, MemberState, Owner, WrongMember,
};
use crate::domain::pack::Channel;
use crate::domain::party::Party;
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::linked::{self, Kept};
use crate::store::procedures;

const SUBMIT: &str = "onestop.cases.submit";

/// What is filed for a member.
pub(crate) struct MemberFiling {
    pub(crate) code: String,
    pub(crate) unit_code: Option<String>,
    pub(crate) components: Vec<FiledComponent>,
    pub(crate) conditions: Vec<String>,
}

/// The application, decoded and validated.
pub(crate) struct Application {
    pub(crate) service_code: String,
    pub(crate) receiving_unit_code: Option<String>,
    pub(crate) channel: Channel,
    pub(crate) owner: Party,
    pub(crate) submitter: Option<Party>,
    pub(crate) members: Vec<MemberFiling>,
    pub(crate) shared: Vec<FiledComponent>,
    pub(crate) subject: String,
}

impl OneStop {
    /// Files an application. `answer` makes the caller's answer from it and the look-up secrets of the cases that were filed.
    pub(crate) async fn submit_linked_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &SubmitLinkedCaseRequest,
        application: Application,
        answer: impl FnOnce(&LinkedCase, &[(String, String)]) -> SubmitLinkedCaseResponse + Send,
    ) -> Result<SubmitLinkedCaseResponse, Error> {
        let today = self.clock.today();
        let service = self.linked_service_to_file(&application, today)?;
        let filings = by_member(&service, application.members)?;
        let units = self.units_of_members(&service, &filings, today)?;
        let first = service.coordinated().find_map(|rule| units.get(rule.code.as_str()));
        let first = first.ok_or_else(|| Fault::internal("a linked service coordinates no member"))?;
        let receiving = match &application.receiving_unit_code {
            Some(code) => self.unit(code, today)?,
            None => first.clone(),
        };
        check_places(&receiving, None)?;
        let agency_unit = first.unit_id;

        let owner_id = caller.principal.citizen().map(|(citizen, _)| citizen);
        if owner_id.is_some() != (application.channel == Channel::Online) {
            return Err(Error::NotOffered(format!(
                "channel {} for this caller",
                application.channel.number()
            )));
        }
        let filed_at = Resource {
            unit: Some(receiving.unit_id),
            owner: owner_id,
            assignee: None,
        };
        caller.require(SUBMIT, &filed_at)?;
        let doer = Doer::of(caller, SUBMIT, &filed_at);

        let shared = shared_components(&service, &application.shared)?;
        let uploader = caller.principal.record_owner();
        let mut scope = caller.scope(READ);
        scope.owner.get_or_insert(uploader);
        // Filing reaches the competent units, whether or not the clerk may read their cases afterwards.
        scope.units.extend(units.values().map(|unit| unit.unit_id));
        scope.units.push(receiving.unit_id);
        scope.units.sort_unstable();
        scope.units.dedup();
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.LinkedCaseService/SubmitLinkedCase",
            request_id,
            body,
        );
        let definition = serde_json::to_vec(&service).map_err(Fault::internal)?;

        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                let linked_case_id = unit.new_id();
                let mut members = Vec::with_capacity(filings.len());
                for rule in service.coordinated() {
                    let (Some(filing), Some(competent)) =
                        (filings.get(rule.code.as_str()), units.get(rule.code.as_str()))
                    else {
                        return Err(LinkedRefused::Members(vec![WrongMember::Missing(rule.code.clone())]).into());
                    };
                    let mut components = filing.components.clone();
                    components.extend(shared.get(rule.code.as_str()).into_iter().flatten().cloned());
                    let kept = Kept {
                        owner: application.owner.clone(),
                        submitter: application.submitter.clone(),
                        components,
                        conditions: filing.conditions.clone(),
                        subject: application.subject.clone(),
                        uploader_id: uploader,
                    };
                    let kept = self
                        .judge_member(unit, rule, competent, application.channel, kept)
                        .await
                        .map_err(|error| Error::from(Fault::from(error).with("member", &rule.code)))?;
                    linked::keep_submission(
                        unit.conn(),
                        linked_case_id,
                        (&rule.code, competent.unit_id),
                        owner_id,
                        &kept,
                    )
                    .await?;
                    members.push(Member {
                        code: rule.code.clone(),
                        procedure_code: rule.procedure.clone().unwrap_or_default(),
                        unit_id: competent.unit_id,
                        state: MemberState::Waiting,
                        case_id: None,
                        case_code: String::new(),
                        case_state: None,
                        due_date: None,
                        submission_sha256: hash_of(&kept)?,
                    });
                }
                let mut linked_case = LinkedCase {
                    linked_case_id,
                    code: self.linked_code(unit, agency_unit).await?,
                    service_code: service.code.clone(),
                    service_version: service.version,
                    service: service.clone(),
                    service_sha256: sha256(&definition),
                    owner: Owner::Local,
                    state: LinkedState::Running,
                    channel: application.channel,
                    receiving_unit_id: receiving.unit_id,
                    owner_id,
                    submit_time: now,
                    end_time: None,
                    revision: 0,
                    members,
                    effects: Vec::new(),
                    version: 0,
                };
                let mut following = Following {
                    strict: true,
                    ..Following::by(doer)
                };
                self.follow_through(unit, &mut linked_case, &mut following).await?;
                let change = Change {
                    operation: "submit",
                    event: "linked_case_submitted",
                    doer,
                    reason: "",
                };
                self.keep_linked(unit, &mut linked_case, change).await?;
                unit.led_to(super::KIND, linked_case_id, linked_case.version);
                Ok::<_, Error>(answer(&linked_case, &following.secrets))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// The service, if it may be filed here today on this channel.
    fn linked_service_to_file(&self, application: &Application, today: Date) -> Result<LinkedService, Error> {
        let code = &application.service_code;
        let service = self
            .law
            .get()
            .linked_service(code, today)
            .ok_or_else(|| LinkedRefused::ServiceNotFound(code.clone()))?;
        if service
            .owner_on(today)
            .is_none_or(|period| period.owner == Owner::National)
        {
            return Err(LinkedRefused::National(code.clone()).into());
        }
        service
            .fileable(self.profile)
            .map_err(|open| LinkedRefused::NotDecided {
                code: code.clone(),
                facts: open.into_iter().map(|fact| fact.path).collect(),
            })?;
        if !service.channels.contains(&application.channel) {
            return Err(Error::NotOffered(format!("channel {}", application.channel.number())));
        }
        Ok(service.as_ref().clone())
    }

    /// The competent unit of each member.
    fn units_of_members(
        &self,
        service: &LinkedService,
        filings: &BTreeMap<String, MemberFiling>,
        today: Date,
    ) -> Result<BTreeMap<String, KnownUnit>, Error> {
        let (mut units, mut wrong) = (BTreeMap::new(), Vec::new());
        for rule in service.coordinated() {
            // A chain of "the same unit as" ends: it is no longer than there are members.
            let mut named = rule;
            for _ in 0..service.members.len() {
                match named.same_unit_as.as_deref().and_then(|code| service.member(code)) {
                    Some(other) => named = other,
                    None => break,
                }
            }
            let code = filings.get(&named.code).and_then(|filing| filing.unit_code.clone());
            let own = filings.get(&rule.code).and_then(|filing| filing.unit_code.clone());
            if own.is_some() && own != code {
                wrong.push(WrongMember::OtherUnit(rule.code.clone()));
                continue;
            }
            let code = code.ok_or_else(|| Error::UnitNotFound(named.code.clone()))?;
            units.insert(rule.code.clone(), self.unit(&code, today)?);
        }
        if wrong.is_empty() {
            Ok(units)
        } else {
            Err(LinkedRefused::Members(wrong).into())
        }
    }

    /// Judges what is filed for a member by the version in force, as if what it takes over had come, its files as well: a member that waits
    /// would otherwise be refused weeks later. Gives it as it is kept.
    async fn judge_member(
        &self,
        unit: &mut UnitOfWork<'_>,
        rule: &MemberRule,
        competent: &KnownUnit,
        channel: Channel,
        kept: Kept,
    ) -> Result<Kept, Error> {
        let (now, today) = (unit.now(), unit.today());
        let code = rule.procedure.clone().unwrap_or_default();
        let found = procedures::in_force(unit.conn(), &code, today)
            .await?
            .ok_or_else(|| Error::ProcedureNotFound(code.clone()))?;
        check_settled(&found.procedure, self.profile)?;
        let own = kept.components.len();
        let mut components = kept.components.clone();
        let to_come = rule
            .takes
            .iter()
            .filter(|takes| !kept.components.iter().any(|own| own.component_code == takes.component));
        components.extend(to_come.map(|takes| FiledComponent {
            round: 0,
            component_code: takes.component.clone(),
            originals: 0,
            copies: 0,
            replaced_by_data: takes.result.clone(),
            file_ids: vec![Uuid::nil()],
            form_data: None,
        }));
        let mut submission = Submission {
            procedure_code: code,
            competent_unit_code: rule.code.clone(),
            receiving_unit_code: None,
            support_unit_code: None,
            channel,
            owner: kept.owner.clone(),
            submitter: kept.submitter.clone(),
            components,
            conditions: kept.conditions.clone(),
            subject: kept.subject.clone(),
        };
        judge(&found.procedure, competent.level, &mut submission, now)?;
        submission.components.truncate(own);
        let file_ids: Vec<Uuid> = submission
            .components
            .iter()
            .flat_map(|component| component.file_ids.clone())
            .collect();
        usable_files(unit, kept.uploader_id, &file_ids).await?;
        Ok(Kept {
            components: submission.components,
            ..kept
        })
    }

    /// Mã hồ sơ liên thông: our own, from the agency of the first member, the day and a number without gaps.
    async fn linked_code(&self, unit: &mut UnitOfWork<'_>, unit_id: i32) -> Result<String, Error> {
        let today = unit.today();
        let (agency, _) = self.agency_code(unit_id, today)?;
        let number = unit
            .next_number(agency.as_str(), "linked_case", &today.to_string())
            .await?;
        let year = today.year().rem_euclid(100);
        Ok(format!(
            "LT-{agency}-{year:02}{:02}{:02}-{number:04}",
            today.month(),
            today.day()
        ))
    }
}

/// What is filed for each member.
fn by_member(service: &LinkedService, filed: Vec<MemberFiling>) -> Result<BTreeMap<String, MemberFiling>, Error> {
    let named: Vec<&str> = filed.iter().map(|filing| filing.code.as_str()).collect();
    let wrong = service.wrong_members(&named, false);
    if wrong.is_empty() {
        Ok(filed.into_iter().map(|filing| (filing.code.clone(), filing)).collect())
    } else {
        Err(LinkedRefused::Members(wrong).into())
    }
}

/// What is asked once, as the components of the members for which it stands.
fn shared_components(
    service: &LinkedService,
    filed: &[FiledComponent],
) -> Result<BTreeMap<String, Vec<FiledComponent>>, Error> {
    let mut by_member: BTreeMap<String, Vec<FiledComponent>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for component in filed {
        let Some(shared) = service
            .shared
            .iter()
            .find(|shared| shared.code == component.component_code)
        else {
            unknown.push(component.component_code.clone());
            continue;
        };
        for stands in shared
            .stands_for
            .iter()
            .filter(|stands| service.member(&stands.member).is_some())
        {
            by_member
                .entry(stands.member.clone())
                .or_default()
                .push(FiledComponent {
                    component_code: stands.component.clone(),
                    ..component.clone()
                });
        }
    }
    if unknown.is_empty() {
        Ok(by_member)
    } else {
        Err(LinkedRefused::Components(unknown).into())
    }
}
