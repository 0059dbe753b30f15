//! Dịch vụ công liên thông: what all acts on a linked application share, and how its members are brought on.
//!
//! Every change is one transaction: the row of the application is held, then the rows of its cases; what follows is worked out from what
//! is stored ([`crate::domain::linked::next_actions`]) and done; the application gets one new version with history, event and leaf.

pub(crate) mod coordinate;
mod decide_member;
mod list_services;
mod mirror_case;
mod read_cases;
mod submit;
mod withdraw;

use aws_lc_rs::digest;
use egov_auth::Resource;
use egov_database::{Event, Leaf, UnitOfWork};
use egov_directory::Whereabouts;
use egov_fault::{Code, Fault};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

pub(crate) use self::list_services::ListedService;
pub(crate) use self::mirror_case::{Mirrored, MirroredMember};
pub(crate) use self::read_cases::Readable;
pub(crate) use self::submit::{Application, MemberFiling};
use super::act::{Actor, Doer, PLATFORM};
use super::submit_case::{Order, Submission};
use super::{KnownUnit, OneStop, level_of, withdraw_case};
use crate::domain::case::{ActRefused, Case, FiledComponent};
use crate::domain::linked::{
    Action, CaseStand, EffectKind, Ended, LinkedCase, LinkedState, MemberRule, MemberState, next_actions,
};
use crate::domain::results::Standing;
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::linked::{self, Kept};
use crate::store::{Visible, cases};

/// Of events and leaves.
pub(crate) const KIND: &str = "linked_case";

/// More actions than any application has: members times members, and as many starts.
const MOST_ACTIONS: usize = 1_000;

/// Who acts, why, and what was left over for the caller.
pub(crate) struct Following<'a> {
    pub(crate) doer: Doer,
    /// A member that cannot be filed is refused (at filing) or held for an officer (later).
    pub(crate) strict: bool,
    /// Asked between two actions; the whole change is given up if it says so.
    pub(crate) stop: &'a (dyn Fn() -> bool + Sync),
    /// Codes and look-up secrets of cases that were filed.
    pub(crate) secrets: Vec<(String, String)>,
}

impl Following<'_> {
    /// Of a caller who waits for the answer.
    pub(crate) fn by(doer: Doer) -> Following<'static> {
        Following {
            doer,
            strict: false,
            stop: &|| false,
            secrets: Vec::new(),
        }
    }
}

/// What is written of a change of an application.
pub(crate) struct Change<'a> {
    pub(crate) operation: &'static str,
    pub(crate) event: &'static str,
    pub(crate) doer: Doer,
    pub(crate) reason: &'a str,
}

pub(crate) fn at(unit_id: i32) -> Resource {
    Resource {
        unit: Some(unit_id),
        owner: None,
        assignee: None,
    }
}

/// Every unit that has to do with an application.
pub(crate) fn units_of(application: &LinkedCase) -> Vec<i32> {
    let members = application.members.iter().map(|member| member.unit_id);
    members.chain([application.receiving_unit_id]).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// What was interrupted between two actions: nothing of it is stored.
fn interrupted() -> Error {
    Fault::new(
        Code::Unavailable,
        "SHUTTING_DOWN",
        "dịch vụ đang dừng",
        "the service is shutting down",
    )
    .into()
}

impl OneStop {
    /// Brings what is known of the members in line with their cases; true if anything differed.
    pub(crate) async fn refresh_members(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &mut LinkedCase,
    ) -> Result<bool, Error> {
        let case_ids: Vec<Uuid> = application.members.iter().filter_map(|member| member.case_id).collect();
        let stands = cases::stands(unit.conn(), &case_ids).await?;
        let mut changed = false;
        for member in &mut application.members {
            let Some(case_id) = member.case_id else { continue };
            let stand = stands.iter().find(|stand| stand.case_id == case_id);
            changed |= member.stand_as(stand.ok_or(Error::CaseNotFound)?);
        }
        Ok(changed)
    }

    /// Does what follows, until nothing follows any more; true if anything was done.
    pub(crate) async fn follow_through(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &mut LinkedCase,
        following: &mut Following<'_>,
    ) -> Result<bool, Error> {
        let (mut done, mut answered) = (0, false);
        loop {
            // What was done last, or happened to a member, may have taken away what somebody was asked about.
            answered |= application.answer_moot_questions();
            // Two applications that begin at once take numbers of agencies in the same order.
            let unit_of = |action: &Action| match action {
                Action::Start { member } => application.member(member).map_or(0, |member| member.unit_id),
                _ => 0,
            };
            // One at a time: what is done may take away the reason for the next one.
            let Some(action) = next_actions(application).into_iter().min_by_key(unit_of) else {
                return Ok(answered || done > 0);
            };
            if (following.stop)() {
                return Err(interrupted());
            }
            done += 1;
            if done > MOST_ACTIONS {
                return Err(Fault::internal("a linked application never comes to rest").into());
            }
            self.do_action(unit, application, action, following).await?;
        }
    }

    async fn do_action(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &mut LinkedCase,
        action: Action,
        following: &mut Following<'_>,
    ) -> Result<(), Error> {
        match action {
            Action::Start { member } => self.start_member(unit, application, &member, following).await,
            Action::Withdraw { member, cause, ended } => {
                let reason = reason_of(application, &cause, ended);
                let kind = if self
                    .withdraw_member(unit, application, &member, Doer::PLATFORM, &reason)
                    .await?
                    .is_ok()
                {
                    EffectKind::Withdrawn
                } else {
                    // The transitions of its procedure allow no withdrawal in this state: somebody decides.
                    EffectKind::Asked
                };
                application.push_effect(&cause, &member, kind, "");
                Ok(())
            }
            Action::Cancel { member, cause } => {
                application.push_effect(&cause, &member, EffectKind::Cancelled, "");
                cancel_member(unit, application, &member).await
            }
            Action::Record { member, cause, kind } => {
                application.push_effect(&cause, &member, kind, "");
                Ok(())
            }
            Action::Finish { state } => {
                application.state = state;
                application.end_time = Some(unit.now());
                Ok(())
            }
        }
    }

    /// Files the case of a member whose turn it is.
    async fn start_member(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &mut LinkedCase,
        code: &str,
        following: &mut Following<'_>,
    ) -> Result<(), Error> {
        linked::mark(unit.conn()).await?;
        let filed = self.file_member(unit, application, code, following).await;
        let (case, secret) = match filed {
            Ok(filed) => filed,
            Err(error) => {
                let fault = Fault::from(error).with("member", code);
                let refused = matches!(
                    fault.code(),
                    Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound | Code::ResourceExhausted
                );
                if following.strict || !refused {
                    return Err(fault.into());
                }
                linked::back_to_mark(unit.conn()).await?;
                application.push_effect(code, code, EffectKind::NotFiled, fault.reason());
                if let Some(member) = application.member_mut(code) {
                    member.state = MemberState::Held;
                }
                return Ok(());
            }
        };
        linked::forget_submission(unit.conn(), application.linked_case_id, code).await?;
        if let Some(member) = application.member_mut(code) {
            member.submission_sha256 = String::new();
            member.stand_as(&CaseStand::from(&case));
        }
        following.secrets.push((case.case_code, secret));
        Ok(())
    }

    async fn file_member(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &LinkedCase,
        code: &str,
        following: &Following<'_>,
    ) -> Result<(Case, String), Error> {
        let today = unit.today();
        let (Some(member), Some(rule)) = (application.member(code), application.service.member(code)) else {
            return Err(Fault::internal("a linked application has a member that its service has not").into());
        };
        let kept = linked::submission(unit.conn(), application.linked_case_id, code)
            .await?
            .ok_or_else(|| Fault::internal("what was filed for a member that waits is gone"))?;
        let mut components = kept.components.clone();
        components.extend(self.taken_over(unit, application, rule).await?);
        let files: Vec<Uuid> = components
            .iter()
            .flat_map(|component| component.file_ids.clone())
            .collect();
        let siblings: Vec<Uuid> = application.members.iter().filter_map(|member| member.case_id).collect();
        let of_files = linked::cases_of_files(unit.conn(), &files).await?;
        let handed_over: Vec<Uuid> = of_files
            .into_iter()
            .filter(|(_, case_id)| case_id.is_some_and(|case_id| siblings.contains(&case_id)))
            .map(|(file_id, _)| file_id)
            .collect();
        let doer = following.doer;
        let actor = Actor {
            on_behalf_of: doer
                .actor
                .on_behalf_of
                .or_else(|| application.owner_id.filter(|_| doer.actor.kind == PLATFORM.kind)),
            ..doer.actor
        };
        let order = Order {
            submission: Submission {
                procedure_code: member.procedure_code.clone(),
                competent_unit_code: self.unit_name(member.unit_id),
                receiving_unit_code: None,
                support_unit_code: None,
                channel: application.channel,
                owner: kept.owner.clone(),
                submitter: kept.submitter.clone(),
                components,
                conditions: kept.conditions.clone(),
                subject: kept.subject.clone(),
            },
            responsible: self.unit_now(member.unit_id, today)?,
            receiving: self.unit_now(application.receiving_unit_id, today)?,
            support: None,
            owner_id: application.owner_id,
            uploader: kept.uploader_id,
            actor,
            acting_for: doer.acting_for,
            handed_over: handed_over.clone(),
        };
        let filed = self.file_case(unit, order).await?;
        linked::hand_over_files(unit.conn(), filed.0.case_id, &handed_over).await?;
        Ok(filed)
    }

    /// The components that a member takes over from results of others.
    async fn taken_over(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &LinkedCase,
        rule: &MemberRule,
    ) -> Result<Vec<FiledComponent>, Error> {
        let mut taken = Vec::with_capacity(rule.takes.len());
        for takes in &rule.takes {
            let giver = application.member(&takes.from).and_then(|giver| giver.case_id);
            let Some(case_id) = giver else { continue };
            let case = cases::get(unit.conn(), case_id, &Visible::everything())
                .await?
                .ok_or(Error::CaseNotFound)?;
            // As it stands now; what was revoked stands for nothing.
            let mut standing = case
                .results
                .iter()
                .filter(|result| result.standing() != Standing::Revoked);
            let Some(result) = standing.find(|result| result.result_code == takes.result) else {
                continue;
            };
            taken.push(FiledComponent {
                round: 0,
                component_code: takes.component.clone(),
                originals: 0,
                copies: 0,
                replaced_by_data: format!("{} {} ({})", takes.result, result.number_now(), case.case_code),
                file_ids: result.file_now().into_iter().collect(),
                form_data: None,
            });
        }
        Ok(taken)
    }

    /// Takes back the case of a member; `Err` of the inner result if its state does not allow it.
    pub(crate) async fn withdraw_member(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &mut LinkedCase,
        code: &str,
        doer: Doer,
        reason: &str,
    ) -> Result<Result<(), ActRefused>, Error> {
        let case_id = application.member(code).and_then(|member| member.case_id);
        let case_id = case_id.ok_or_else(|| Fault::internal("a member that runs has no case"))?;
        let before = cases::get_for_update(unit.conn(), case_id, &Visible::everything())
            .await?
            .ok_or(Error::CaseNotFound)?;
        let applied = self
            .apply_as(unit, doer, &withdraw_case::ACT, &before, |case, facts| {
                withdraw_case::judge(case, facts, reason)
            })
            .await;
        let after = match applied {
            Ok(applied) => applied.case,
            Err(Error::Act(refused)) => return Ok(Err(refused)),
            Err(error) => return Err(error),
        };
        if let Some(member) = application.member_mut(code) {
            member.stand_as(&CaseStand::from(&after));
        }
        Ok(Ok(()))
    }

    /// Where the work of a unit is on a day.
    pub(crate) fn unit_now(&self, unit_id: i32, on: Date) -> Result<KnownUnit, Error> {
        let units = self.directory.units();
        match units.whereabouts(unit_id, on) {
            Some(Whereabouts::Here(unit) | Whereabouts::MovedTo(unit)) => Ok(KnownUnit {
                unit_id: unit.id,
                level: level_of(unit.kind),
            }),
            _ => Err(Error::UnitNotFound(unit_id.to_string())),
        }
    }

    /// Stores the next version of an application: row, history, event, leaf.
    pub(crate) async fn keep_linked(
        &self,
        unit: &mut UnitOfWork<'_>,
        application: &mut LinkedCase,
        change: Change<'_>,
    ) -> Result<(), Error> {
        let now = unit.now();
        application.version = application.version.saturating_add(1);
        if application.version == 1 {
            linked::insert(unit.conn(), application, now).await?;
        } else {
            linked::save(unit.conn(), application, now).await?;
        }
        let canonical = application.canonical().map_err(Fault::internal)?;
        let content = String::from_utf8(canonical.clone()).map_err(Fault::internal)?;
        let entry = linked::Entry {
            operation: change.operation,
            actor_id: change.doer.actor.id,
            actor_kind: change.doer.actor.kind,
            on_behalf_of: change.doer.on_behalf_of(),
            reason: change.reason,
            content: &content,
        };
        linked::record(unit.conn(), application, &entry, now).await?;
        unit.publish(Event {
            aggregate_kind: KIND,
            aggregate_id: application.linked_case_id,
            version: application.version,
            kind: change.event,
            payload: payload(application),
        });
        unit.leaf(Leaf {
            kind: KIND,
            resource: application.linked_case_id,
            version: application.version,
            canonical: &canonical,
        });
        Ok(())
    }

    /// An application that is to be changed: seen by the caller, held, of the version that the caller read, and not at its end.
    pub(crate) async fn hold_linked(
        &self,
        unit: &mut UnitOfWork<'_>,
        linked_case_id: Uuid,
        visible: &Visible,
        etag: &str,
    ) -> Result<LinkedCase, Error> {
        let application = linked::get(unit.conn(), linked_case_id, visible, true)
            .await?
            .ok_or(LinkedRefused::NotFound)?;
        if application.etag() != etag {
            return Err(LinkedRefused::StaleEtag.into());
        }
        if application.state != LinkedState::Running {
            return Err(LinkedRefused::Ended.into());
        }
        Ok(application)
    }
}

/// A member is not filed any more.
pub(crate) async fn cancel_member(
    unit: &mut UnitOfWork<'_>,
    application: &mut LinkedCase,
    code: &str,
) -> Result<(), Error> {
    linked::forget_submission(unit.conn(), application.linked_case_id, code).await?;
    if let Some(member) = application.member_mut(code) {
        member.state = MemberState::Cancelled;
        member.submission_sha256 = String::new();
    }
    Ok(())
}

/// Why a case was taken back, for its history.
fn reason_of(application: &LinkedCase, cause: &str, ended: Ended) -> String {
    let name = application
        .service
        .member(cause)
        .map_or(cause, |rule| rule.name.as_str());
    let how = match ended {
        Ended::Rejected => "không được tiếp nhận",
        Ended::Stopped => "đã dừng xử lý",
        Ended::Withdrawn => "đã được rút",
    };
    format!("Hồ sơ liên thông {}: {name} {how}", application.code)
}

/// Ids, codes and states.
fn payload(application: &LinkedCase) -> serde_json::Value {
    let members: Vec<serde_json::Value> = application
        .members
        .iter()
        .map(|member| {
            json!({
                "member": member.code,
                "procedure_code": member.procedure_code,
                "state": member.state.code(),
                "case_id": member.case_id,
                "responsible_unit_id": member.unit_id,
            })
        })
        .collect();
    json!({
        "linked_code": application.code,
        "service_code": application.service_code,
        "state": application.state.code(),
        "members": members,
    })
}

/// What was filed for a member, hashed: the ledger commits to it while it waits.
fn hash_of(kept: &Kept) -> Result<String, Error> {
    Ok(sha256(&serde_json::to_vec(kept).map_err(Fault::internal)?))
}
