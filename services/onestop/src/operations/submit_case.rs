//! SubmitCase (nộp hồ sơ): the case code is given here, gapless, when everything is judged and before anything is stored.

use egov_auth::{Caller, Resource};
use egov_codes::{AgencyCode, CaseCode};
use egov_database::{UnitOfWork, WriteRequest};
use egov_keyring::Purpose;
use egov_proto::egov::onestop::v1::{SubmitCaseRequest, SubmitCaseResponse};
use jiff::Timestamp;
use uuid::Uuid;

use super::act::{Actor, READ, Recorded, announce, attach, entry};
use super::checks::{
    check_applicant, check_complete, check_conditions, check_contents, check_eligible, check_settled,
    check_shapes_and_forms,
};
use super::work::first_task;
use super::{KnownUnit, OneStop};
use crate::domain::case::{Case, FiledComponent};
use crate::domain::definition::Asked;
use crate::domain::listing::Versioned;
use crate::domain::lookup;
use crate::domain::pack::{Channel, Level, Procedure, Profile};
use crate::domain::party::Party;
use crate::domain::transitions::State;
use crate::error::Error;
use crate::store::filing;

/// What is filed, decoded and validated.
pub(crate) struct Submission {
    pub(crate) procedure_code: String,
    pub(crate) competent_unit_code: String,
    pub(crate) receiving_unit_code: Option<String>,
    pub(crate) support_unit_code: Option<String>,
    pub(crate) channel: Channel,
    pub(crate) owner: Party,
    pub(crate) submitter: Option<Party>,
    pub(crate) components: Vec<FiledComponent>,
    pub(crate) conditions: Vec<String>,
    pub(crate) subject: String,
}

/// Its name in the history.
pub(crate) const OPERATION: &str = "submit";

/// Its event.
pub(crate) const EVENT: &str = "case_submitted";

/// Judges a submission by the version of the procedure in force, for a competent unit of this level; gives the conditions
/// that hold of the case.
pub(crate) fn judge(
    procedure: &Procedure,
    level: Option<Level>,
    submission: &mut Submission,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    if procedure.offer(submission.channel).is_none() {
        return Err(Error::NotOffered(format!("channel {}", submission.channel.number())));
    }
    if !level.is_some_and(|level| procedure.levels.contains(&level)) {
        return Err(Error::NotOffered(format!("unit {}", submission.competent_unit_code)));
    }
    check_applicant(procedure, submission.owner.kind)?;
    check_contents(procedure, &submission.components)?;
    check_conditions(procedure, &submission.conditions)?;
    let conditions = procedure.conditions_for(submission.channel, &submission.conditions);
    let asked = Asked::at(submission.channel, submission.owner.kind, &conditions, now);
    check_eligible(procedure, &asked)?;
    let filed: Vec<(&str, bool)> = submission.components.iter().map(FiledComponent::as_filed).collect();
    check_complete(procedure, &conditions, &filed)?;
    check_shapes_and_forms(procedure, submission.channel, &conditions, &mut submission.components)?;
    Ok(conditions)
}

/// What a new case has that the submitter does not say.
pub(crate) struct Filing {
    pub(crate) case_id: Uuid,
    pub(crate) now: Timestamp,
    pub(crate) responsible_unit_id: i32,
    pub(crate) receiving_unit_id: i32,
    pub(crate) support_unit_id: Option<i32>,
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) code_provisional: bool,
    /// Sealed.
    pub(crate) lookup_secret: Vec<u8>,
}

/// The case of a submission that was judged, under its code.
pub(crate) fn new_case(
    found: &Versioned,
    submission: Submission,
    conditions: Vec<String>,
    case_code: String,
    filing: Filing,
) -> Case {
    let procedure = &found.procedure;
    let owner_kind = submission.owner.kind;
    Case {
        case_id: filing.case_id,
        case_code,
        code_provisional: filing.code_provisional,
        procedure_code: submission.procedure_code,
        procedure_version: found.version,
        procedure_name: procedure.name.clone(),
        state: State::Registered,
        entered_from: None,
        step: String::new(),
        step_outcome: String::new(),
        channel: submission.channel,
        responsible_unit_id: filing.responsible_unit_id,
        receiving_unit_id: filing.receiving_unit_id,
        support_unit_id: filing.support_unit_id,
        owner_id: filing.owner_id,
        assignee_id: None,
        owner: submission.owner,
        submitter: submission.submitter,
        subject: submission.subject,
        fees: procedure.fees_on(&Asked::at(submission.channel, owner_kind, &conditions, filing.now)),
        conditions,
        submit_time: filing.now,
        accept_time: None,
        deadline: None,
        supplement_items: Vec::new(),
        supplement_rounds: 0,
        lookup_secret: filing.lookup_secret,
        version: 1,
        components: submission.components,
        pauses: Vec::new(),
        results: Vec::new(),
        returned: None,
        rating: None,
        extension: None,
        checks: Vec::new(),
        step_since: None,
    }
}

/// A case to be filed, with everything that has been decided about who files it and where.
pub(crate) struct Order {
    pub(crate) submission: Submission,
    pub(crate) responsible: KnownUnit,
    pub(crate) receiving: KnownUnit,
    pub(crate) support: Option<KnownUnit>,
    pub(crate) owner_id: Option<Uuid>,
    /// Whose uploads the files are.
    pub(crate) uploader: Uuid,
    pub(crate) actor: Actor,
    pub(crate) acting_for: Option<Uuid>,
    /// Files that another case has, and that this one shows as well.
    pub(crate) handed_over: Vec<Uuid>,
}

/// What filing leaves in the history.
pub(crate) fn recorded_of(case: &Case) -> Recorded {
    Recorded {
        details: serde_json::json!({ "channel": case.channel, "components": case.components.len() }),
        ..Recorded::default()
    }
}

/// Nơi tiếp nhận and nơi hỗ trợ: any unit of the province that handles procedures, whatever the boundary (QĐ 29/2026/QĐ-TTg; facts 1.5).
/// Neither of them decides the case, and support alone gives no sight of it.
pub(crate) fn check_places(receiving: &KnownUnit, support: Option<&KnownUnit>) -> Result<(), Error> {
    match [Some(receiving), support]
        .into_iter()
        .flatten()
        .find(|unit| unit.level.is_none())
    {
        Some(unit) => Err(Error::NotOffered(format!(
            "reception or support at unit {}",
            unit.unit_id
        ))),
        None => Ok(()),
    }
}

impl OneStop {
    /// Files a case. `answer` makes the caller's answer from the case and its look-up secret.
    pub(crate) async fn submit_case(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &SubmitCaseRequest,
        submission: Submission,
        answer: impl FnOnce(&Case, &str) -> SubmitCaseResponse + Send,
    ) -> Result<SubmitCaseResponse, Error> {
        let today = self.clock.today();
        let responsible = self.unit(&submission.competent_unit_code, today)?;
        let receiving = match &submission.receiving_unit_code {
            Some(code) => self.unit(code, today)?,
            None => responsible.clone(),
        };
        let support = submission
            .support_unit_code
            .as_ref()
            .map(|code| self.unit(code, today))
            .transpose()?;

        check_places(&receiving, support.as_ref())?;

        // A citizen, or a system for one, files its own case wherever it is to be decided; a clerk files what came to
        // the counter of their unit, which may be another than the competent one.
        let owner_id = caller.principal.citizen().map(|(citizen, _)| citizen);
        // The channel decides components, time and fees: a citizen's is online, a clerk's is not.
        if owner_id.is_some() != (submission.channel == Channel::Online) {
            return Err(Error::NotOffered(format!(
                "channel {} for this caller",
                submission.channel.number()
            )));
        }
        let filed_at = Resource {
            unit: Some(receiving.unit_id),
            owner: owner_id,
            assignee: None,
        };
        caller.require("onestop.cases.submit", &filed_at)?;

        let uploader = caller.principal.record_owner();
        let mut scope = caller.scope(READ);
        scope.owner.get_or_insert(uploader);
        // Filing reaches the competent unit, whether or not the clerk may read its cases afterwards.
        if !scope.units.contains(&responsible.unit_id) {
            scope.units.push(responsible.unit_id);
        }
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.CaseService/SubmitCase",
            request_id,
            body,
        );

        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let order = Order {
                    submission,
                    responsible,
                    receiving,
                    support,
                    owner_id,
                    uploader,
                    actor: Actor::from(caller.principal.as_ref()),
                    acting_for: caller.acting_for("onestop.cases.submit", &filed_at),
                    handed_over: Vec::new(),
                };
                let (case, secret) = self.file_case(unit, order).await?;
                Ok::<_, Error>(answer(&case, &secret))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Files a case in a transaction that runs: judges, gives it its code, stores, records and announces it. Gives the look-up secret
    /// along. Whoever files has been asked for their permission.
    pub(crate) async fn file_case(&self, unit: &mut UnitOfWork<'_>, order: Order) -> Result<(Case, String), Error> {
        let (now, today) = (unit.now(), unit.today());
        let responsible = &order.responsible;
        let facts = filing::facts(
            unit.conn(),
            &order.submission.procedure_code,
            responsible.unit_id,
            today,
        )
        .await?
        .ok_or_else(|| Error::ProcedureNotFound(order.submission.procedure_code.clone()))?;
        let found = self
            .procedures
            .version(unit.conn(), &order.submission.procedure_code, facts.procedure_version)
            .await?;
        check_settled(&found.procedure, self.profile)?;
        let mut submission = order.submission;
        let conditions = judge(&found.procedure, responsible.level, &mut submission, now)?;
        let (agency, provisional) = self.agency_code(responsible.unit_id, today)?;

        let secret = lookup::secret(|bytes| self.ids.random_bytes(bytes));
        let case_id = unit.new_id();
        let beginning = Filing {
            case_id,
            now,
            responsible_unit_id: responsible.unit_id,
            receiving_unit_id: order.receiving.unit_id,
            support_unit_id: order.support.as_ref().map(|unit| unit.unit_id),
            owner_id: order.owner_id,
            code_provisional: provisional,
            lookup_secret: self
                .keyring
                .seal(Purpose::LookupSecrets, secret.as_bytes(), case_id.as_bytes()),
        };
        // From here on every other case of this agency and day waits for the commit, three statements away.
        let number = unit.next_number(agency.as_str(), "case", &today.to_string()).await?;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let code = CaseCode::issue(&agency, today, number, facts.digits).map_err(Error::DailyNumbersExhausted)?;

        let case = new_case(&found, submission, conditions, code.to_string(), beginning);
        let recorded = Recorded {
            acting_for: order.acting_for,
            ..recorded_of(&case)
        };
        let entry = entry(&order.actor, None, &case, OPERATION, recorded, now);
        let first = first_task(&found.procedure.steps, OPERATION, &case, entry.actor_id, unit.new_id());
        filing::insert(unit.conn(), &case, &entry, first.as_ref(), now).await?;
        let file_ids: Vec<Uuid> = case
            .components
            .iter()
            .flat_map(|component| component.file_ids.clone())
            .filter(|file_id| !order.handed_over.contains(file_id))
            .collect();
        attach(unit, &case, order.uploader, &file_ids).await?;
        announce(unit, &case, EVENT)?;
        Ok((case, secret))
    }

    /// The agency code from which case codes of this unit are made, and whether it is provisional. The production
    /// profile issues nothing from a provisional one.
    pub(crate) fn agency_code(&self, unit_id: i32, on: jiff::civil::Date) -> Result<(AgencyCode, bool), Error> {
        let agency = self
            .directory
            .agency_code(unit_id, on)
            .ok_or(Error::AgencyCodeMissing(unit_id))?;
        if agency.provisional && self.profile == Profile::Production {
            return Err(Error::AgencyCodeMissing(unit_id));
        }
        let code = agency.code.parse().map_err(|_| Error::AgencyCodeMissing(unit_id))?;
        Ok((code, agency.provisional))
    }
}
