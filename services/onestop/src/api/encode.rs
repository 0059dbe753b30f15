//! From the domain to the contract.

use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::types::v1::{FactBasis, FactStatus, LocalizedText};
use egov_proto::google::r#type::{Date, Money};
use egov_proto::timestamp;

use super::encode_definition;
use crate::domain::case::{Basis, Case, CaseFee, CaseResult, Deadline, FiledComponent, Text};
use crate::domain::deadline::basis_of;
use crate::domain::listing::{Decided, HistoryEntry, Open, StoredFile, Summary, Versioned};
use crate::domain::pack::{Channel, Fact, FactKind, Fee, Procedure, Profile, Time};
use crate::domain::party::{Party, PartyKind};
use crate::domain::results::{Change, FileForm, Metadata, ResultVersion};
use crate::domain::transitions::{State, Transitions};
use crate::error::DECIDES_VI;
use crate::operations::read_case::Particulars;

pub(super) fn state(state: State) -> i32 {
    i32::from(state.code())
}

pub(super) fn channel(channel: Channel) -> i32 {
    i32::from(channel.number())
}

pub(super) fn text(text: &Text) -> LocalizedText {
    LocalizedText {
        vi: text.vi.clone(),
        en: text.en.clone(),
    }
}

/// How a fact of a pack is established.
pub(super) fn fact_basis(fact: &Fact) -> FactBasis {
    basis(&basis_of(fact))
}

pub(super) fn basis(basis: &Basis) -> FactBasis {
    let status = match basis.status.as_str() {
        "confirmed" => FactStatus::Confirmed,
        "decided" => FactStatus::Decided,
        "unconfirmed" => FactStatus::Unconfirmed,
        _ => FactStatus::Unspecified,
    };
    FactBasis {
        status: status.into(),
        decided_by: basis.by.clone(),
        basis: basis.basis.clone(),
        decided_on: basis.when.clone(),
    }
}

fn party(party: &Party) -> proto::Party {
    let kind = match party.kind {
        PartyKind::Citizen => proto::ApplicantKind::Citizen,
        PartyKind::Organisation => proto::ApplicantKind::Organisation,
    };
    proto::Party {
        kind: kind.into(),
        full_name: party.full_name.clone(),
        personal_number: party.personal_number.clone(),
        organisation_number: party.organisation_number.clone(),
        phone: party.phone.clone(),
        email: party.email.clone(),
        address: party.address.clone(),
        date_of_birth: party.date_of_birth.map(|birth| {
            let (year, month, day) = birth.numbers();
            Date { year, month, day }
        }),
    }
}

fn component(component: &FiledComponent) -> proto::CaseComponent {
    proto::CaseComponent {
        component_code: component.component_code.clone(),
        file_ids: component.file_ids.iter().map(ToString::to_string).collect(),
        originals: component.originals,
        copies: component.copies,
        replaced_by_data: component.replaced_by_data.clone(),
        form_data: component.form_data.clone().unwrap_or_default(),
    }
}

/// A result as it stands now.
fn result(result: &CaseResult) -> proto::CaseResult {
    proto::CaseResult {
        result_code: result.result_code.clone(),
        number: result.number_now().to_owned(),
        file_id: result.file_now().map(|id| id.to_string()).unwrap_or_default(),
        metadata: result.metadata_now().map(metadata),
        standing: result.standing().number(),
        document: result.newest().map(document),
    }
}

pub(super) fn metadata(said: &Metadata) -> proto::ResultMetadata {
    proto::ResultMetadata {
        issue_date: Some(said.issue_date.into()),
        signer_name: said.signer_name.clone(),
        signer_title: said.signer_title.clone(),
        valid_from: Some(said.valid_from.into()),
        valid_until: said.valid_until.map(Date::from),
        form: said.form.map_or(0, FileForm::number),
    }
}

/// What the case knew of a version of a result.
pub(super) fn document(version: &ResultVersion) -> proto::ResultDocument {
    let file = version.wording.file.as_ref();
    proto::ResultDocument {
        title: version.title.clone(),
        issuing_unit_id: version.unit_id,
        issuing_unit_name: version.unit_name.clone(),
        media_type: file.map(|file| file.media_type.clone()).unwrap_or_default(),
        sha256: file.map(|file| file.sha256.clone()).unwrap_or_default(),
        version: version.version,
    }
}

pub(super) fn fee(fee: &CaseFee) -> proto::CaseFee {
    proto::CaseFee {
        name: fee.name.clone(),
        kind: fee.kind.clone(),
        amount: fee.amount_vnd.map(Money::vnd),
        basis: Some(basis(&fee.basis)),
    }
}

pub(super) fn deadline(deadline: &Deadline) -> proto::Deadline {
    proto::Deadline {
        due_date: Some(deadline.due_date.into()),
        due_time: Some(timestamp(deadline.due_time)),
        period: Some(text(&deadline.period)),
        basis: Some(basis(&deadline.basis)),
        days: deadline
            .days
            .iter()
            .map(|note| proto::DayNote {
                date: Some(note.date.into()),
                kind: note.kind.clone(),
                counted: note.counted,
                text: Some(text(&note.text)),
            })
            .collect(),
        calendar_version: deadline.calendar.clone(),
        awaits_notice: deadline.awaits_notice,
    }
}

/// The whole case, for a caller who may read it.
pub(super) fn case(case: &Case) -> proto::Case {
    proto::Case {
        case_id: case.case_id.to_string(),
        case_code: case.case_code.clone(),
        code_provisional: case.code_provisional,
        procedure_code: case.procedure_code.clone(),
        procedure_version: case.procedure_version,
        procedure_name: case.procedure_name.clone(),
        state: state(case.state),
        step: case.step.clone(),
        step_outcome: case.step_outcome.clone(),
        subject: case.subject.clone(),
        owner: Some(party(&case.owner)),
        submitter: case.submitter.as_ref().map(party),
        channel: channel(case.channel),
        responsible_unit_id: case.responsible_unit_id,
        receiving_unit_id: case.receiving_unit_id,
        support_unit_id: case.support_unit_id.unwrap_or_default(),
        assignee_id: case.assignee_id.map(|id| id.to_string()).unwrap_or_default(),
        submit_time: Some(timestamp(case.submit_time)),
        accept_time: case.accept_time.map(timestamp),
        deadline: case.deadline.as_ref().map(deadline),
        pauses: case
            .pauses
            .iter()
            .map(|pause| proto::Pause {
                state: state(pause.state),
                start_time: Some(timestamp(pause.start)),
                end_time: pause.end.map(timestamp),
            })
            .collect(),
        components: case.components.iter().map(component).collect(),
        fees: case.fees.iter().map(fee).collect(),
        results: case.results.iter().map(result).collect(),
        rating: case.rating.as_ref().map(|rating| proto::Rating {
            score: i32::from(rating.score),
            comment: rating.comment.clone(),
            rate_time: Some(timestamp(rating.time)),
        }),
        supplement_items: case
            .supplement_items
            .iter()
            .map(|item| proto::SupplementItem {
                component_code: item.component_code.clone(),
                instruction: item.instruction.clone(),
            })
            .collect(),
        etag: case.etag(),
        version: case.version,
        r#return: case.returned.as_ref().map(|returned| proto::CaseReturn {
            channel: channel(returned.channel),
            recipient_name: returned.recipient_name.clone(),
            return_time: Some(timestamp(returned.time)),
        }),
        extension: case.extension.as_ref().map(super::encode_deadlines::extension),
    }
}

/// The case as its applicant reads it: without the finer step and the official, which are the office's own business.
pub(super) fn own_case(whole: &Case) -> proto::Case {
    proto::Case {
        step: String::new(),
        step_outcome: String::new(),
        assignee_id: String::new(),
        ..case(whole)
    }
}

/// What a case says by code, with its names, and what became of it.
pub(super) fn particulars(known: Particulars) -> proto::CaseParticulars {
    let by_procedure = match &known.procedure {
        Some(known) => names_of(&known.procedure),
        None => proto::CaseParticulars::default(),
    };
    proto::CaseParticulars {
        responsible_unit_name: known.unit_name,
        files: known
            .files
            .into_iter()
            .map(|(file_id, name)| proto::NamedFile {
                file_id: file_id.to_string(),
                name,
            })
            .collect(),
        fees: known
            .charge
            .into_iter()
            .flat_map(|charge| charge.fees)
            .map(|fee| proto::DueFee {
                due: fee.due_vnd().map(Money::vnd),
                name: fee.name,
                kind: fee.kind,
            })
            .collect(),
        history: known.history.into_iter().map(history_entry).collect(),
        ..by_procedure
    }
}

/// The names in a version of a procedure.
fn names_of(procedure: &Procedure) -> proto::CaseParticulars {
    let named = |code: &String, name: &String| proto::CodedName {
        code: code.clone(),
        name: name.clone(),
    };
    proto::CaseParticulars {
        sector_code: procedure.sector.code.clone(),
        sector_name: procedure.sector.name.clone(),
        components: procedure
            .components
            .iter()
            .map(|one| named(&one.code, &one.name))
            .collect(),
        results: procedure
            .results
            .iter()
            .map(|one| named(&one.code, &one.name))
            .collect(),
        steps: procedure.steps.iter().map(|one| named(&one.code, &one.name)).collect(),
        ..proto::CaseParticulars::default()
    }
}

/// The names of the three places of a case.
pub(super) struct Places {
    /// Cơ quan có thẩm quyền.
    pub(super) responsible: String,
    /// Nơi tiếp nhận.
    pub(super) receiving: String,
    /// Nơi hỗ trợ nộp; empty if there was none.
    pub(super) support: String,
}

/// Giấy tiếp nhận hồ sơ và hẹn trả kết quả.
pub(super) fn receipt(case: &Case, secret: &str, places: Places) -> proto::Receipt {
    proto::Receipt {
        case_code: case.case_code.clone(),
        lookup_secret: secret.to_owned(),
        receiving_unit_name: places.receiving,
        responsible_unit_name: places.responsible,
        support_unit_name: places.support,
        accept_time: case.accept_time.map(timestamp),
        deadline: case.deadline.as_ref().map(deadline),
        components: case.components.iter().map(component).collect(),
        fees: case.fees.iter().map(fee).collect(),
        code_provisional: case.code_provisional,
    }
}

pub(super) fn summary(summary: Summary) -> proto::CaseSummary {
    proto::CaseSummary {
        case_id: summary.case_id.to_string(),
        case_code: summary.case_code,
        procedure_code: summary.procedure_code,
        state: state(summary.state),
        step: summary.step,
        owner_name: summary.owner_name,
        responsible_unit_id: summary.responsible_unit_id,
        submit_time: Some(timestamp(summary.submit_time)),
        due_date: summary.due_date.map(Date::from),
    }
}

pub(super) fn history_entry(entry: HistoryEntry) -> proto::HistoryEntry {
    let (outcome, from_outcome) = (entry.outcome().to_owned(), entry.from_outcome().to_owned());
    proto::HistoryEntry {
        version: entry.version,
        operation: entry.operation,
        from_state: entry.from_state.map(state).unwrap_or_default(),
        to_state: state(entry.to_state),
        step: entry.step,
        actor_id: entry.actor_id.to_string(),
        actor_kind: entry.actor_kind,
        on_behalf_of_id: entry.on_behalf_of.map(|id| id.to_string()).unwrap_or_default(),
        outcome,
        from_outcome,
        reason: entry.reason,
        legal_basis: entry.legal_basis,
        record_time: Some(timestamp(entry.record_time)),
    }
}

/// What the public look-up shows: states and dates, never a name, a number or a reason in words.
pub(super) fn tracked(
    case: &Case,
    entries: &[HistoryEntry],
    responsible_unit_name: String,
    names: Option<&Transitions>,
) -> proto::TrackCaseResponse {
    let name = |of: State| {
        names.map(|names| {
            let info = names.info(of);
            LocalizedText {
                vi: info.name.clone(),
                en: info.name_en.clone(),
            }
        })
    };
    let mut states: Vec<proto::TrackedState> = Vec::new();
    for entry in entries {
        // Acts that stay in a state are the office's own business.
        if states.last().is_none_or(|last| last.state != state(entry.to_state)) {
            states.push(proto::TrackedState {
                state: state(entry.to_state),
                name: name(entry.to_state),
                since: Some(timestamp(entry.record_time)),
            });
        }
    }
    proto::TrackCaseResponse {
        case_code: case.case_code.clone(),
        procedure_name: case.procedure_name.clone(),
        responsible_unit_name,
        state: state(case.state),
        state_name: name(case.state),
        deadline: case.deadline.as_ref().map(deadline),
        states,
        paused: case.is_paused(),
        results: case
            .results
            .iter()
            .map(|result| proto::TrackedResult {
                result_code: result.result_code.clone(),
                standing: result.standing().number(),
                amend_time: result
                    .newest()
                    .filter(|newest| newest.change != Change::Issued)
                    .map(|newest| timestamp(newest.time)),
            })
            .collect(),
    }
}

pub(super) fn stored_file(file: &StoredFile) -> proto::StoredFile {
    proto::StoredFile {
        file_id: file.file_id.to_string(),
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
        create_time: Some(timestamp(file.create_time)),
        case_id: file.case_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

pub(super) fn procedure(versioned: &Versioned, profile: Profile) -> proto::Procedure {
    let procedure = &versioned.procedure;
    let open = procedure.open_facts_for(profile);
    proto::Procedure {
        procedure_code: procedure.code.to_string(),
        version: versioned.version,
        name: procedure.name.clone(),
        sector_code: procedure.sector.code.clone(),
        sector_name: procedure.sector.name.clone(),
        decision: procedure.decision.clone(),
        levels: procedure.levels.iter().map(|level| level.as_str().to_owned()).collect(),
        effective_from: Some(versioned.effective_from.into()),
        effective_to: versioned.effective_to.map(Date::from),
        channels: procedure
            .channels
            .iter()
            .map(|offer| proto::ProcedureChannel {
                channel: channel(offer.channel),
                time: period_text(&offer.time),
                time_basis: Some(basis(&basis_of(&offer.time.fact))),
                fees: offer.fees.iter().map(procedure_fee).collect(),
                special_times: offer
                    .special_times
                    .iter()
                    .map(|special| proto::ProcedureTime {
                        condition_code: special.when.clone(),
                        time: period_text(&special.time),
                        basis: Some(basis(&basis_of(&special.time.fact))),
                    })
                    .collect(),
            })
            .collect(),
        components: procedure
            .components
            .iter()
            .map(|component| {
                encode_definition::with_ways(
                    component,
                    proto::ProcedureComponent {
                        code: component.code.clone(),
                        name: component.name.clone(),
                        form: component.form.clone().unwrap_or_default(),
                        originals: i32::try_from(component.originals).unwrap_or(i32::MAX),
                        copies: i32::try_from(component.copies).unwrap_or(i32::MAX),
                        required: component.required,
                        condition_code: component.when.clone().unwrap_or_default(),
                        alternative_group: component.alternative_group.clone().unwrap_or_default(),
                        data_allowed: component.data_allowed,
                        basis: Some(basis(&basis_of(&component.fact))),
                        exempting_condition_code: component.unless.clone().unwrap_or_default(),
                        presented: component.presented,
                        ..proto::ProcedureComponent::default()
                    },
                )
            })
            .collect(),
        steps: procedure
            .steps
            .iter()
            .map(|step| {
                encode_definition::with_branches(
                    procedure,
                    step,
                    proto::ProcedureStep {
                        code: step.code.clone(),
                        name: step.name.clone(),
                        role: step.role.clone(),
                        state: state(step.state),
                        ..proto::ProcedureStep::default()
                    },
                )
            })
            .collect(),
        results: procedure
            .results
            .iter()
            .map(|result| proto::ProcedureResult {
                code: result.code.clone(),
                name: result.name.clone(),
            })
            .collect(),
        legal_bases: procedure
            .legal_basis
            .iter()
            .map(|legal| proto::LegalBasis {
                number: legal.number.clone(),
                title: legal.title.clone().unwrap_or_default(),
                basis: Some(basis(&basis_of(&legal.fact))),
            })
            .collect(),
        conditions: procedure
            .conditions
            .iter()
            .map(|condition| proto::ProcedureCondition {
                code: condition.code.clone(),
                text: condition.text.clone(),
                choice: condition.choice.clone().unwrap_or_default(),
                channel: condition.channel.map(channel).unwrap_or_default(),
            })
            .collect(),
        open_facts: open.iter().map(ToString::to_string).collect(),
        open_fact_count: i32::try_from(open.len()).unwrap_or(i32::MAX),
        etag: versioned.etag(),
        facts: Vec::new(),
        catalogue_line: procedure
            .catalogue
            .as_ref()
            .map(|catalogue| catalogue.raw.clone())
            .unwrap_or_default(),
        applicants: procedure
            .applicants
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        blocking_facts: procedure
            .fileable(profile)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|fact| fact.path)
            .collect(),
        ..proto::Procedure::default()
    }
}

/// The procedure with every fact, for whoever reads one.
pub(super) fn whole_procedure(versioned: &Versioned, profile: Profile) -> proto::Procedure {
    let facts = versioned
        .procedure
        .facts()
        .into_iter()
        .map(|(path, fact)| proto::ProcedureFact {
            kind: fact_kind(FactKind::of(&path).as_str()),
            path,
            basis: Some(basis(&basis_of(fact))),
            source: fact.source.clone(),
        });
    let shown = proto::Procedure {
        facts: facts.collect(),
        ..procedure(versioned, profile)
    };
    encode_definition::with_tables(&versioned.procedure, shown)
}

/// The contract's number of a kind of fact.
pub(super) fn fact_kind(kind: &str) -> i32 {
    proto::FactKind::from_str_name(&format!("FACT_KIND_{}", kind.to_uppercase()))
        .unwrap_or_default()
        .into()
}

pub(super) fn open_fact(open: Open) -> proto::OpenFact {
    proto::OpenFact {
        etag: format!("{}-{}", open.procedure_code, open.version),
        procedure_code: open.procedure_code,
        version: open.version,
        procedure_name: open.name,
        sector_code: open.sector_code,
        sector_name: open.sector_name,
        levels: open.levels,
        kind: fact_kind(&open.kind),
        paths: open.paths,
        source: open.raw,
        decided_by_role: DECIDES_VI.to_owned(),
    }
}

pub(super) fn decision(decided: &Decided) -> proto::FactDecision {
    proto::FactDecision {
        decision_id: decided.decision_id.to_string(),
        procedure_code: decided.procedure_code.clone(),
        version: decided.version,
        kind: fact_kind(&decided.kind),
        paths: decided.paths.clone(),
        value: decided.value.to_string(),
        decided_by: decided.decided_by.clone(),
        basis: decided.basis.clone(),
        note: decided.note.clone(),
        effective_from: Some(decided.effective_from.into()),
        decide_time: Some(timestamp(decided.decide_time)),
        superseded: decided.superseded,
    }
}

fn procedure_fee(fee: &Fee) -> proto::ProcedureFee {
    proto::ProcedureFee {
        name: fee.name.clone(),
        kind: fee.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        amount: fee.amount_vnd.map(Money::vnd),
        exemptions: fee.exemptions.clone(),
        basis: Some(basis(&basis_of(&fee.fact))),
        condition_code: fee.when.clone().unwrap_or_default(),
        per: fee.per.clone().unwrap_or_default(),
    }
}

/// A time in words; none while value or unit are open.
fn period_text(time: &Time) -> Option<LocalizedText> {
    time.period().map(|period| LocalizedText {
        vi: period.text(egov_calendar::Language::Vietnamese),
        en: period.text(egov_calendar::Language::English),
    })
}
