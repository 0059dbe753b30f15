//! Thành phần hồ sơ: the checklist, what officers say of components, the store of papers, and what was asked for in vain.

pub(crate) mod confirm_components;
mod list_avoidable_papers;
mod list_checklist;
mod list_stored_papers;
pub(crate) mod reuse_stored_paper;
pub(crate) mod set_component_state;
mod set_paper_validity;

pub(crate) use list_avoidable_papers::Avoidable;
pub(crate) use list_checklist::Checked;
pub(crate) use set_paper_validity::PaperTarget;

use std::collections::BTreeSet;

use egov_auth::Caller;
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Actor, Facts, READ, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::domain::components::ComponentRefused;
use crate::domain::components::paper::{PaperKind, StoredPaper, Storing, WantedValidity, number_of};
use crate::domain::components::rules::{CITIZEN_STORE, PaperRules};
use crate::domain::pack::{Procedure, Profile};
use crate::domain::results::{Standing, is_of_results};
use crate::domain::transitions::{Operation, State};
use crate::error::Error;
use crate::store::Visible;
use crate::store::avoidable::{self, Asked};
use crate::store::stored_papers::{self, Type, Whose};

/// Of events and leaves of stored papers.
pub(crate) const KIND: &str = "stored_paper";

/// So many papers of a person are looked at to tell whether one would have answered.
const LOOKED_AT: i64 = 200;

/// Why a stored paper of the same component of the same case was replaced.
const CONFIRMED_ANEW: &str = "đối chiếu lại trong cùng hồ sơ";

/// Why a stored result was replaced by its newest version.
const CORRECTED: &str = "kết quả đã được đính chính";

/// Which papers of a store may stand for the components of a procedure that `wanted` chooses.
fn types(
    procedure: &Procedure,
    rules: Option<&PaperRules>,
    profile: Profile,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Type> {
    let code = procedure.code.to_string();
    let mut found = Vec::new();
    let components = procedure.components.iter();
    for component in components.filter(|component| component.is_reusable() && wanted(&component.code)) {
        found.push(Type {
            kind: PaperKind::Component,
            code: component.code.clone(),
            procedure_code: Some(code.clone()),
        });
        let results = rules.into_iter().flat_map(|rules| {
            let results = rules.stands_for.iter().map(|rule| rule.result.as_str());
            results.filter_map(|result| rules.standing(result, &code, &component.code))
        });
        for rule in results.filter(|rule| rule.fact.is_settled(profile)) {
            found.push(Type {
                kind: PaperKind::Result,
                code: rule.result.clone(),
                procedure_code: None,
            });
        }
    }
    found
}

/// An act on the components of a case.
pub(crate) struct OnComponents {
    pub(crate) act: Act,
    /// The component for which data is put in the place of a paper: of the last that a supplement asked for that is the supply.
    pub(crate) puts_data: Option<String>,
    /// The stored paper that it needs.
    pub(crate) paper_id: Option<Uuid>,
}

impl OneStop {
    /// Does an act on the components of a case at most once, in one transaction with its history, event, leaf, what goes to the store and
    /// what is counted. `judge` gets the stored paper that the act needs, if the caller may see it.
    pub(crate) async fn act_on_components<M, R>(
        &self,
        caller: &Caller,
        what: OnComponents,
        target: Target<'_, M>,
        judge: impl FnOnce(&mut Case, &Facts<'_>, Option<&StoredPaper>) -> Result<Recorded, Error> + Send,
        answer: impl FnOnce(&Checked) -> R + Send,
    ) -> Result<R, Error>
    where
        M: Message,
        R: Message + Default,
    {
        let mut scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        // The transaction also sees the caller's own uploads, which the act may give to the case.
        scope.owner.get_or_insert_with(|| caller.principal.record_owner());
        let OnComponents {
            act,
            puts_data,
            paper_id,
        } = what;
        let (request_id, body) = (target.request_id, target.body);
        let request = WriteRequest::keyed(caller.principal.caller_key(), scope, act.method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let before = self
                    .case_to_change(unit, caller, &act, target.case_id, &visible)
                    .await?;
                if target.etag.is_some_and(|etag| !before.etag_matches(etag)) {
                    return Err(Error::StaleEtag);
                }
                let paper = match paper_id {
                    Some(paper_id) => Some(self.paper_for(unit, caller, paper_id, (&before, &visible)).await?),
                    None => None,
                };
                // A citizen's scope is their own cases: the tasks of the competent unit follow the act all the same.
                if !visible.all && !visible.units.contains(&before.responsible_unit_id) {
                    unit.hand_over_to(&[before.responsible_unit_id]).await?;
                }
                let supplies = puts_data.as_deref().is_some_and(|code| before.completes_supply(code));
                let act = if supplies {
                    Act {
                        operation: Operation::Supply.as_str(),
                        event: super::supply_components::ACT.event,
                        ..act
                    }
                } else {
                    act
                };
                let stored = paper.as_ref();
                let applied = self
                    .apply(unit, caller, &act, &before, |case, facts| judge(case, facts, stored))
                    .await?;
                let now = unit.now();
                if let Some(paper) = &paper {
                    stored_papers::use_in(unit.conn(), before.case_id, paper, now).await?;
                }
                let today = unit.today();
                let version = self
                    .procedure_for(unit, &applied.case, Version::OfTheCase, today)
                    .await?;
                Ok::<_, Error>(answer(&Checked {
                    case: applied.case,
                    version,
                    law: self.law.get(),
                    today,
                    asks_population: self.population.is_connected(),
                }))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A stored paper that a caller may put into this case: a citizen's own, for officials one of the owner of the case, or one that their
    /// unit issued.
    async fn paper_for(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        paper_id: Uuid,
        (case, visible): (&Case, &Visible),
    ) -> Result<StoredPaper, Error> {
        let citizen = caller.principal.citizen().map(|(citizen, _)| citizen);
        let paper = stored_papers::get(unit.conn(), paper_id, citizen)
            .await?
            .ok_or(ComponentRefused::PaperNotFound)?;
        let seen = citizen.is_some()
            || number_of(&case.owner) == Some(paper.owner_number.as_str())
            || visible.units.contains(&paper.unit_id);
        if seen {
            Ok(paper)
        } else {
            Err(ComponentRefused::PaperNotFound.into())
        }
    }

    /// What follows from an act on a case for components: papers that go to the owner's store, and papers that were asked for although
    /// something could have answered.
    pub(super) async fn follow_components(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        (operation, asked_for): (&str, &[String]),
        (before, after): (&Case, &Case),
        procedure: &Procedure,
    ) -> Result<(), Error> {
        if !asked_for.is_empty() {
            self.count_avoidable(unit, after, asked_for, procedure).await?;
        }
        let storing = Storing {
            case: after,
            procedure,
            now: unit.now(),
            today: unit.today(),
        };
        let new = after.checks.get(before.checks.len()..).unwrap_or_default();
        let stored = if operation == Operation::ReturnResult.as_str() {
            storing.results(|| unit.new_id())
        } else {
            storing.components(new, || unit.new_id())
        };
        for paper in stored {
            let earlier = same_component(unit, &paper).await?;
            store(unit, caller, &paper).await?;
            for replaced in earlier {
                // Stored by the unit that had the case before: only what it stored for this very case is replaced.
                if replaced.unit_id != after.responsible_unit_id {
                    unit.hand_over_to(&[replaced.unit_id]).await?;
                }
                let wanted = WantedValidity {
                    valid_until: replaced.valid_until,
                    replaced: true,
                    replaced_by: Some(paper.paper_id),
                    reason: CONFIRMED_ANEW.to_owned(),
                };
                let replaced = replaced.with_validity(wanted)?;
                stored_papers::save_validity(unit.conn(), &replaced).await?;
                keep(unit, caller, &replaced, "set_validity", "paper_validity_set").await?;
            }
        }
        if is_of_results(operation) {
            Box::pin(follow_amended(unit, caller, before, &storing)).await?;
        }
        Ok(())
    }

    /// Counts each paper that was asked for although a register of the pack, or the owner's store, could have answered.
    async fn count_avoidable(
        &self,
        unit: &mut UnitOfWork<'_>,
        case: &Case,
        asked_for: &[String],
        procedure: &Procedure,
    ) -> Result<(), Error> {
        let today = unit.today();
        let law = self.law.get();
        let rules = law.paper_rules_on(today);
        let stored = self
            .in_store(unit, (case, asked_for), procedure, (rules, today))
            .await?;
        let mut found = BTreeSet::new();
        for code in asked_for {
            let answering = rules.map(|rules| rules.answering(&case.procedure_code, code));
            let codes = answering.into_iter().flatten().map(|(register, _)| &register.code);
            for register_code in codes {
                found.insert(Asked {
                    component_code: code.clone(),
                    register_code: register_code.clone(),
                });
            }
            if stored.contains(code.as_str()) {
                found.insert(Asked {
                    component_code: code.clone(),
                    register_code: CITIZEN_STORE.to_owned(),
                });
            }
        }
        let found: Vec<Asked> = found.into_iter().collect();
        Ok(avoidable::count(unit.conn(), case, &found, today).await?)
    }

    /// For which components the store of the owner holds a paper that may stand for them today; all of these codes are looked for at once.
    async fn in_store<'a>(
        &self,
        unit: &mut UnitOfWork<'_>,
        (case, codes): (&Case, &[String]),
        procedure: &'a Procedure,
        (rules, today): (Option<&PaperRules>, Date),
    ) -> Result<BTreeSet<&'a str>, Error> {
        let Some(number) = number_of(&case.owner) else {
            return Ok(BTreeSet::new());
        };
        let types = types(procedure, rules, self.profile, |component| {
            codes.iter().any(|code| code == component)
        });
        if types.is_empty() {
            return Ok(BTreeSet::new());
        }
        let whose = Whose::Number(number.to_owned(), types);
        let stored = stored_papers::list(unit.conn(), &whose, None, LOOKED_AT).await?;
        let standing = stored
            .iter()
            .flat_map(|paper| paper.components_of(procedure, (rules, self.profile), today));
        Ok(standing.collect())
    }
}

/// Puts a paper into the store.
async fn store(unit: &mut UnitOfWork<'_>, caller: &Caller, paper: &StoredPaper) -> Result<(), Error> {
    stored_papers::insert(unit.conn(), paper).await?;
    keep(unit, caller, paper, "store", "paper_stored").await
}

/// What becomes of an amended result in the store of its owner, once it was handed over: the newest version takes the place of the earlier
/// one, and what was revoked is used no more.
async fn follow_amended(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    before: &Case,
    storing: &Storing<'_>,
) -> Result<(), Error> {
    // Issued is not delivered: the store takes what is returned, as it stands then.
    let Some(number) = number_of(&before.owner).filter(|_| before.state == State::Returned) else {
        return Ok(());
    };
    let amended = before.results.iter().zip(&storing.case.results);
    for (was, is) in amended.filter(|(was, is)| was.versions.len() != is.versions.len()) {
        let stored = stored_papers::results_of(unit.conn(), number, before.case_id).await?;
        let earlier = match StoredPaper::showing(&stored, was).map(|paper| (paper.paper_id, paper.unit_id)) {
            None => None,
            Some((paper_id, unit_id)) => {
                // Stored by the unit that had the case before: it is that unit's still.
                if unit_id != storing.case.responsible_unit_id {
                    unit.hand_over_to(&[unit_id]).await?;
                }
                // Held: who says meanwhile how long it holds, or that something took its place, does so before this or after it.
                stored_papers::get_for_update(unit.conn(), paper_id, &[unit_id]).await?
            }
        };
        let newest = storing.result(is, unit.new_id()).map(|newest| match &earlier {
            Some(earlier) => newest.following(earlier),
            None => newest,
        });
        if let Some(newest) = &newest {
            store(unit, caller, newest).await?;
        }
        // What was revoked is changed no more, and what was replaced before only by a revocation.
        let is_revoked = is.standing() == Standing::Revoked;
        let Some(earlier) = earlier.filter(|earlier| !earlier.revoked && (is_revoked || !earlier.replaced)) else {
            continue;
        };
        let (follows, act, event) = match is.newest().filter(|_| is_revoked) {
            Some(revocation) => (earlier.revoke(&revocation.words.reason), "revoke", "paper_revoked"),
            None => {
                let wanted = WantedValidity {
                    valid_until: earlier.valid_until,
                    replaced: true,
                    replaced_by: newest.map(|newest| newest.paper_id),
                    reason: CORRECTED.to_owned(),
                };
                (earlier.with_validity(wanted)?, "set_validity", "paper_validity_set")
            }
        };
        stored_papers::save_validity(unit.conn(), &follows).await?;
        keep(unit, caller, &follows, act, event).await?;
    }
    Ok(())
}

/// The papers of the same component of the same case that were stored before and hold still.
async fn same_component(unit: &mut UnitOfWork<'_>, paper: &StoredPaper) -> Result<Vec<StoredPaper>, Error> {
    if paper.kind != PaperKind::Component {
        return Ok(Vec::new());
    }
    let same = Type {
        kind: paper.kind,
        code: paper.type_code.clone(),
        procedure_code: Some(paper.procedure_code.clone()),
    };
    let whose = Whose::Number(paper.owner_number.clone(), vec![same]);
    let mut stored = stored_papers::list(unit.conn(), &whose, None, LOOKED_AT).await?;
    stored.retain(|one| one.case_id == paper.case_id && !one.replaced);
    Ok(stored)
}

/// History, event and leaf of what was done with a stored paper.
async fn keep(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    paper: &StoredPaper,
    act: &'static str,
    event: &'static str,
) -> Result<(), Error> {
    let content = serde_json::to_string(paper).map_err(Fault::internal)?;
    let actor = Actor::from(caller.principal.as_ref());
    let row = stored_papers::Act {
        paper,
        name: act,
        actor_id: actor.id,
        actor_kind: actor.kind,
        now: unit.now(),
        content: &content,
    };
    stored_papers::append(unit.conn(), &row).await?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: paper.paper_id,
        version: paper.version,
        kind: event,
        payload: serde_json::json!({
            "kind": paper.kind,
            "type_code": paper.type_code,
            "procedure_code": paper.procedure_code,
            "case_id": paper.case_id,
            "case_code": paper.case_code,
            "valid_until": paper.valid_until,
            "replaced": paper.replaced,
            "revoked": paper.revoked,
            "responsible_unit_id": paper.unit_id,
        }),
    });
    unit.leaf(Leaf {
        kind: KIND,
        resource: paper.paper_id,
        version: paper.version,
        canonical: content.as_bytes(),
    });
    Ok(())
}
