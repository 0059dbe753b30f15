//! SetComponentState (trạng thái của thành phần hồ sơ).

use aws_lc_rs::digest;
use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{SetComponentStateRequest, SetComponentStateResponse};
use uuid::Uuid;

use super::{Checked, OnComponents};
use crate::domain::case::Case;
use crate::domain::components::paper::StoredPaper;
use crate::domain::components::rules::{POPULATION, PaperRules};
use crate::domain::components::{ComponentRefused, ComponentState, Data, RegisterAnswer, SET_COMPONENT_STATE};
use crate::domain::listing::Versioned;
use crate::domain::party::{Birth, PartyKind};
use crate::domain::statistics::day_of;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Facts, READ, Recorded, Target, Version, acts_on, perform};
use crate::operations::checks::check_known;
use crate::population::Question;
use crate::population_error::{Particular, PopulationRefused};
use crate::store::{Visible, cases};

/// For what the population database is asked (mục đích): the handling of the case.
const PURPOSE: &str = "case_handling";

/// So many characters of a legal basis are said with a question.
const LEGAL_BASIS_CHARS: usize = 300;

pub(crate) const ACT: Act = Act {
    operation: SET_COMPONENT_STATE,
    event: "case_component_state_set",
    permission: "onestop.components.check",
    method: "egov.onestop.v1.ComponentService/SetComponentState",
    version: Version::OfTheCase,
};

/// What an officer says of a component.
pub(crate) struct Said<'a> {
    pub(crate) component_code: &'a str,
    pub(crate) state: ComponentState,
    pub(crate) reason: &'a str,
    pub(crate) register_code: &'a str,
    /// What the register said, if it was asked by machine.
    pub(crate) answer: Option<RegisterAnswer>,
}

/// The state: of a component of the procedure, and data only where the definition lets it stand and a register answers.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    rules: Option<&PaperRules>,
    said: &Said<'_>,
    officer: Uuid,
) -> Result<Recorded, Error> {
    let code = said.component_code;
    let procedure = &facts.procedure.procedure;
    check_known(procedure, [code])?;
    if said.state == ComponentState::ReplacedByData {
        if !procedure
            .component(code)
            .is_some_and(|component| component.data_allowed)
        {
            return Err(ComponentRefused::NotReusable(code.to_owned()).into());
        }
        let answering = rules.map(|rules| rules.answering(&case.procedure_code, code));
        let mut answering = answering.into_iter().flatten();
        let (register, _) = answering
            .find(|(register, _)| register.code == said.register_code)
            .ok_or_else(|| ComponentRefused::RegisterUnknown(said.register_code.to_owned()))?;
        let data = Data {
            component_code: code.to_owned(),
            source: register.name.clone(),
            paper_id: None,
            file_ids: Vec::new(),
            valid_until: None,
            reason: said.reason.to_owned(),
            answer: said.answer.clone(),
        };
        case.put_data(facts.transitions, data, officer, facts.now)?;
    } else {
        case.set_component_state(code, said.state, said.reason, officer, facts.now)?;
    }
    let mut details = serde_json::json!({
        "component": code,
        "component_state": said.state,
        "register": said.register_code,
    });
    if let (Some(details), Some(answer)) = (details.as_object_mut(), &said.answer) {
        details.insert("request_code".to_owned(), answer.request_code.clone().into());
        details.insert("register_confirmed".to_owned(), answer.confirmed.into());
    }
    Ok(Recorded {
        reason: said.reason.to_owned(),
        details,
        asked_for: match said.state {
            ComponentState::Needed => vec![code.to_owned()],
            _ => Vec::new(),
        },
        ..Recorded::default()
    })
}

impl OneStop {
    /// Says what was found out of a component. Where the population database is said to replace a paper and this installation is connected to
    /// it, it is asked first, before the transaction; `born` is the owner's date of birth, for a case that states none.
    pub(crate) async fn set_component_state(
        &self,
        caller: &Caller,
        target: Target<'_, SetComponentStateRequest>,
        (state, born): (ComponentState, Option<Birth>),
        answer: impl FnOnce(&Checked) -> SetComponentStateResponse + Send,
    ) -> Result<SetComponentStateResponse, Error> {
        let officer = caller.principal.subject;
        let law = self.law.get();
        let body = target.body;
        let said = Said {
            component_code: &body.component_code,
            state,
            reason: &body.reason,
            register_code: &body.register_code,
            answer: None,
        };
        let asks = state == ComponentState::ReplacedByData
            && body.register_code == POPULATION
            && self.population.is_connected();
        let said = if asks {
            let answer = Box::pin(self.ask_population(caller, &target, &said, born)).await?;
            Said { answer, ..said }
        } else {
            said
        };
        let what = OnComponents {
            act: ACT,
            puts_data: (state == ComponentState::ReplacedByData).then(|| body.component_code.clone()),
            paper_id: None,
        };
        let judge = |case: &mut Case, facts: &Facts<'_>, _: Option<&StoredPaper>| {
            // It was not asked because the case had gone on, or was not the caller's: neither is so now, and the caller looks again.
            if asks && said.answer.is_none() {
                return Err(Error::StaleEtag);
            }
            judge(case, facts, law.paper_rules_on(day_of(facts.now)), &said, officer)
        };
        self.act_on_components(caller, what, target, judge, answer).await
    }

    /// Asks the population database whether the particulars of the owner are those of one person, once everything else allows that its data
    /// replaces the paper. Nothing is asked, and nothing answered, for a request that the transaction knows or refuses: a repeated one, one
    /// with a stale etag, one of a caller who may not.
    async fn ask_population(
        &self,
        caller: &Caller,
        target: &Target<'_, SetComponentStateRequest>,
        said: &Said<'_>,
        born: Option<Birth>,
    ) -> Result<Option<RegisterAnswer>, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let found = self
            .database
            .read(&scope, async |connection| {
                let Some(case) = cases::get(&mut *connection, target.case_id, &visible).await? else {
                    return Ok::<_, Error>(None);
                };
                let version = self
                    .procedures
                    .version(connection, &case.procedure_code, case.procedure_version)
                    .await?;
                Ok(Some((case, version)))
            })
            .await?;
        let Some((case, version)) = found else {
            return Ok(None);
        };
        let is_stale = target.etag.is_some_and(|etag| !case.etag_matches(etag));
        if is_stale || acts_on(caller, &ACT, &case).is_none() {
            return Ok(None);
        }
        self.demand_allowed(&case, &version, said, caller.principal.subject)?;
        let question = self.question(caller, target, &case, born)?;
        let answer = self
            .population
            .confirm(&question)
            .await
            .map_err(PopulationRefused::from)?;
        if answer.confirmed {
            Ok(Some(answer))
        } else {
            Err(PopulationRefused::NotConfirmed(answer.request_code).into())
        }
    }

    /// Demands that the act would be allowed if the database confirmed.
    fn demand_allowed(&self, case: &Case, version: &Versioned, said: &Said<'_>, officer: Uuid) -> Result<(), Error> {
        let law = self.law.get();
        let now = self.clock.now();
        let facts = Facts {
            now,
            transitions: law.transitions(&version.procedure.transitions)?,
            procedure: version,
            calendar: &law.calendar,
            deadline_rules: law.deadline_rules_on(day_of(now)),
            profile: self.profile,
        };
        let rules = law.paper_rules_on(day_of(now));
        perform(case, &facts, |case, facts| judge(case, facts, rules, said, officer))?;
        Ok(())
    }

    /// The question about the owner; everything that is missing for it is named.
    fn question(
        &self,
        caller: &Caller,
        target: &Target<'_, SetComponentStateRequest>,
        case: &Case,
        born: Option<Birth>,
    ) -> Result<Question, Error> {
        let owner = &case.owner;
        let birth = owner.date_of_birth.or(born);
        let mut missing = Vec::new();
        if owner.kind == PartyKind::Organisation {
            missing.push(Particular::Person);
        } else {
            if owner.personal_number.is_empty() {
                missing.push(Particular::PersonalNumber);
            }
            if birth.is_none() {
                missing.push(Particular::DateOfBirth);
            }
        }
        let Some(birth) = birth.filter(|_| missing.is_empty()) else {
            return Err(PopulationRefused::ParticularsMissing(missing).into());
        };
        let today = self.clock.today();
        let (agency, _) = self.agency_code(case.responsible_unit_id, today)?;
        // It is shipped with the policies: an installation that took it away can read nothing for it.
        let purpose = caller.policies().purpose(PURPOSE, today);
        let purpose = purpose.ok_or_else(|| Fault::internal(format!("no policy declares the purpose {PURPOSE}")))?;
        let mut question = Question {
            request_id: Uuid::nil(),
            purpose: PURPOSE.to_owned(),
            unit_id: case.responsible_unit_id,
            agency_code: agency.to_string(),
            procedure_code: case.procedure_code.clone(),
            officer_code: caller.principal.subject.to_string(),
            legal_basis: purpose.legal_basis.chars().take(LEGAL_BASIS_CHARS).collect(),
            case_code: case.case_code.clone(),
            citizen_id: case.owner_id,
            number: owner.personal_number.clone(),
            full_name: owner.full_name.clone(),
            birth,
        };
        question.request_id = request_of(target.request_id, &target.body.component_code, &question)?;
        Ok(question)
    }
}

/// The request by which integration knows the question: the same for the same request of the officer about the same component, whoever of
/// the processes asks and however often, and another one if anything in the question is another.
fn request_of(request_id: Uuid, component_code: &str, question: &Question) -> Result<Uuid, Error> {
    let asked = serde_json::to_vec(&(request_id, component_code, question)).map_err(Fault::internal)?;
    let hash = digest::digest(&digest::SHA256, &asked);
    let bytes = hash.as_ref().first_chunk::<16>().copied().unwrap_or_default();
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_of_the_same_request_is_asked_under_one_id_and_any_other_under_another() {
        let question = |name: &str| Question {
            request_id: Uuid::nil(),
            purpose: PURPOSE.to_owned(),
            unit_id: 2,
            agency_code: "H41.201".to_owned(),
            procedure_code: "1.001193".to_owned(),
            officer_code: "1".to_owned(),
            legal_basis: "x".to_owned(),
            case_code: "H41.201-261123-0001".to_owned(),
            citizen_id: None,
            number: "040099000001".to_owned(),
            full_name: name.to_owned(),
            birth: Birth::Year(1999),
        };
        let of = |request, component, name| request_of(Uuid::from_u128(request), component, &question(name)).unwrap();
        let first = of(1, "giay_to_tuy_than", "An");
        assert_eq!(first, of(1, "giay_to_tuy_than", "An"));
        for other in [
            of(2, "giay_to_tuy_than", "An"),
            of(1, "to_khai", "An"),
            of(1, "giay_to_tuy_than", "Ba"),
        ] {
            assert_ne!(first, other);
        }
    }
}
