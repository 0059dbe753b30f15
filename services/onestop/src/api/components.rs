//! ComponentService.

use egov_clock::Clock as _;
use egov_database::PageBinding;
use egov_fault::{Fault, Violation};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::component_service_server::ComponentService;
use egov_proto::timestamp;
use egov_runtime::accept;
use jiff::civil::Date;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Api, decode, encode, status};
use crate::domain::components::paper::{PaperKind, StoredPaper, Validity, WantedValidity};
use crate::domain::components::rules::{POPULATION, PaperRules, Register};
use crate::domain::components::{ChecklistItem, ComparedWith, ComponentCheck, ComponentState, Confirmation};
use crate::domain::pack::Fact;
use crate::operations::act::Target;
use crate::operations::components::{Avoidable, Checked, PaperTarget};

const PAPERS: &str = "egov.onestop.v1.ComponentService/ListStoredPapers";
const AVOIDABLE: &str = "egov.onestop.v1.ComponentService/ListAvoidablePapers";

fn wrong(field: String, vi: &str, en: &str) -> Fault {
    Fault::invalid(vec![Violation {
        field,
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }])
}

fn given(text: &str, field: &str) -> Result<Option<Uuid>, Fault> {
    if text.is_empty() {
        Ok(None)
    } else {
        decode::id(text, field).map(Some)
    }
}

fn confirmation(index: usize, of: &proto::ConfirmedComponent) -> Result<Confirmation, Fault> {
    let field = |name: &str| format!("components[{index}].{name}");
    Ok(Confirmation {
        component_code: of.component_code.clone(),
        compared_with: ComparedWith::from_number(of.compared_with)
            .ok_or_else(|| wrong(field("compared_with"), "không có giá trị này", "there is no such value"))?,
        file_ids: decode::ids(&of.file_ids, &field("file_ids"))?,
        valid_until: decode::day(of.valid_until, &field("valid_until"))?,
        note: of.note.trim().to_owned(),
    })
}

#[tonic::async_trait]
impl ComponentService for Api {
    async fn list_checklist(
        &self,
        request: Request<proto::ListChecklistRequest>,
    ) -> Result<Response<proto::ListChecklistResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let case_id = decode::id(&request.message.case_id, "case_id")?;
        let checked = self.one_stop.list_checklist(caller, case_id).await.map_err(status)?;
        let open = caller.principal.citizen().is_none();
        Ok(Response::new(proto::ListChecklistResponse {
            items: items(&checked, open),
            etag: checked.case.etag(),
        }))
    }

    async fn confirm_components(
        &self,
        request: Request<proto::ConfirmComponentsRequest>,
    ) -> Result<Response<proto::ConfirmComponentsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let confirmed = message
            .components
            .iter()
            .enumerate()
            .map(|(index, one)| confirmation(index, one))
            .collect::<Result<_, _>>()?;
        let answer = self
            .one_stop
            .confirm_components(request.caller()?, target, confirmed, |checked| {
                proto::ConfirmComponentsResponse {
                    case: Some(encode::case(&checked.case)),
                    items: items(checked, true),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn set_component_state(
        &self,
        request: Request<proto::SetComponentStateRequest>,
    ) -> Result<Response<proto::SetComponentStateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let state = ComponentState::from_number(message.state)
            .ok_or_else(|| wrong("state".to_owned(), "không có trạng thái này", "there is no such state"))?;
        if message.reason.trim().is_empty() {
            return Err(decode::blank("reason").into());
        }
        if (state == ComponentState::ReplacedByData) == message.register_code.is_empty() {
            return Err(wrong(
                "register_code".to_owned(),
                "phải nêu cơ sở dữ liệu khi, và chỉ khi, dữ liệu thay cho giấy tờ",
                "must name the register if, and only if, data stands in the place of the paper",
            )
            .into());
        }
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let born = decode::birth(
            message.owner_date_of_birth,
            "owner_date_of_birth",
            self.one_stop.clock.today(),
        )?;
        if born.is_some() && message.register_code != POPULATION {
            return Err(wrong(
                "owner_date_of_birth".to_owned(),
                "chỉ nêu khi Cơ sở dữ liệu quốc gia về dân cư được hỏi",
                "is named only if the population database is asked",
            )
            .into());
        }
        let answer = self
            .one_stop
            .set_component_state(request.caller()?, target, (state, born), |checked| {
                proto::SetComponentStateResponse {
                    case: Some(encode::case(&checked.case)),
                    items: items(checked, true),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn reuse_stored_paper(
        &self,
        request: Request<proto::ReuseStoredPaperRequest>,
    ) -> Result<Response<proto::ReuseStoredPaperResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let paper_id = decode::id(&message.paper_id, "paper_id")?;
        let citizen = caller.principal.citizen().is_some();
        let answer = self
            .one_stop
            .reuse_stored_paper(caller, target, paper_id, |checked| proto::ReuseStoredPaperResponse {
                case: Some(if citizen {
                    encode::own_case(&checked.case)
                } else {
                    encode::case(&checked.case)
                }),
                items: items(checked, !citizen),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_stored_papers(
        &self,
        request: Request<proto::ListStoredPapersRequest>,
    ) -> Result<Response<proto::ListStoredPapersResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let case_id = given(&message.case_id, "case_id")?;
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, PAPERS, &request.message))?;
        let (papers, next_page_token) = self
            .one_stop
            .list_stored_papers(caller, case_id, page)
            .await
            .map_err(status)?;
        let today = self.one_stop.clock.today();
        let open = caller.principal.citizen().is_none();
        let papers = papers.into_iter().map(|(paper, stands_for)| proto::StoredPaper {
            stands_for,
            ..self.paper(&paper, today, open)
        });
        Ok(Response::new(proto::ListStoredPapersResponse {
            papers: papers.collect(),
            next_page_token,
        }))
    }

    async fn set_paper_validity(
        &self,
        request: Request<proto::SetPaperValidityRequest>,
    ) -> Result<Response<proto::SetPaperValidityResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let reason = message.reason.trim();
        if reason.is_empty() {
            return Err(decode::blank("reason").into());
        }
        let replaced_by = given(&message.replaced_by, "replaced_by")?;
        if replaced_by.is_some() && !message.replaced {
            return Err(wrong(
                "replaced_by".to_owned(),
                "chỉ nêu khi giấy tờ bị thay thế",
                "is named only if the paper was replaced",
            )
            .into());
        }
        let wanted = WantedValidity {
            valid_until: decode::day(message.valid_until, "valid_until")?,
            replaced: message.replaced,
            replaced_by,
            reason: reason.to_owned(),
        };
        let target = PaperTarget {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            paper_id: decode::id(&message.paper_id, "paper_id")?,
        };
        let today = self.one_stop.clock.today();
        let answer = self
            .one_stop
            .set_paper_validity(request.caller()?, target, wanted, |paper| {
                proto::SetPaperValidityResponse {
                    paper: Some(self.paper(paper, today, true)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_avoidable_papers(
        &self,
        request: Request<proto::ListAvoidablePapersRequest>,
    ) -> Result<Response<proto::ListAvoidablePapersResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let days = (decode::day(message.from, "from")?, decode::day(message.to, "to")?);
        if let (Some(from), Some(to)) = days
            && to < from
        {
            return Err(wrong("to".to_owned(), "không được trước from", "must not be before from").into());
        }
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, AVOIDABLE, &request.message))?;
        let (rows, next_page_token) = self
            .one_stop
            .list_avoidable_papers(caller, unit_id, days, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListAvoidablePapersResponse {
            papers: rows.iter().map(avoidable).collect(),
            next_page_token,
        }))
    }
}

impl Api {
    fn paper(&self, paper: &StoredPaper, today: Date, open: bool) -> proto::StoredPaper {
        proto::StoredPaper {
            paper_id: paper.paper_id.to_string(),
            kind: match paper.kind {
                PaperKind::Result => proto::StoredPaperKind::Result.into(),
                PaperKind::Component => proto::StoredPaperKind::Component.into(),
            },
            type_code: paper.type_code.clone(),
            title: paper.title.clone(),
            number: paper.number.clone(),
            procedure_code: paper.procedure_code.clone(),
            case_code: paper.case_code.clone(),
            file_ids: texts(&paper.file_ids),
            unit_id: paper.unit_id,
            unit_name: self.one_stop.unit_name(paper.unit_id),
            compared_with: paper.compared_with.map_or(0, ComparedWith::number),
            validity: match paper.validity(today) {
                Validity::Valid => proto::PaperValidity::Valid.into(),
                Validity::Expired => proto::PaperValidity::Expired.into(),
                Validity::Replaced => proto::PaperValidity::Replaced.into(),
                Validity::NotYet => proto::PaperValidity::NotYet.into(),
                Validity::Revoked => proto::PaperValidity::Revoked.into(),
            },
            valid_from: Some(paper.valid_from.into()),
            valid_until: paper.valid_until.map(Into::into),
            replaced_by: paper.replaced_by.map(|id| id.to_string()).unwrap_or_default(),
            validity_reason: if open {
                paper.validity_reason.clone()
            } else {
                String::new()
            },
            store_time: Some(timestamp(paper.store_time)),
            etag: paper.etag(),
            stands_for: Vec::new(),
        }
    }
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// The checklist; `open` shows officials and their reasons.
fn items(checked: &Checked, open: bool) -> Vec<proto::ChecklistItem> {
    let rules = checked.rules();
    let procedure_code = &checked.case.procedure_code;
    let lines = checked.items();
    lines
        .iter()
        .map(|line| item(line, (procedure_code, rules, checked.asks_population), open))
        .collect()
}

fn item(
    line: &ChecklistItem<'_>,
    (procedure_code, rules, asks_population): (&str, Option<&PaperRules>, bool),
    open: bool,
) -> proto::ChecklistItem {
    let component = line.component;
    let answering = rules.map(|rules| rules.answering(procedure_code, &component.code));
    let registers = answering.into_iter().flatten().map(|(known, fact)| proto::Register {
        connected: known.is_connected(asks_population),
        ..register(known, fact)
    });
    proto::ChecklistItem {
        component_code: component.code.clone(),
        name: component.name.clone(),
        state: line.state.number(),
        required: line.required,
        alternative_group: component.alternative_group.clone().unwrap_or_default(),
        presented: component.presented,
        reusable: component.is_reusable(),
        originals: line.originals,
        copies: line.copies,
        e_form: line.e_form,
        digitised: !line.file_ids.is_empty(),
        file_ids: texts(&line.file_ids),
        source: line.source.to_owned(),
        check: line.check.map(|said| check(said, open)),
        registers: registers.collect(),
    }
}

fn check(said: &ComponentCheck, open: bool) -> proto::ComponentCheck {
    proto::ComponentCheck {
        state: said.state.number(),
        compared_with: said.compared_with.map_or(0, ComparedWith::number),
        file_ids: texts(&said.file_ids),
        source: said.source.clone(),
        reason: if open { said.reason.clone() } else { String::new() },
        valid_until: said.valid_until.map(Into::into),
        officer_id: if open {
            said.officer_id.to_string()
        } else {
            String::new()
        },
        time: Some(timestamp(said.time)),
        request_code: said.request_code.clone().unwrap_or_default(),
        register_confirmed: said.confirmed.unwrap_or_default(),
    }
}

fn register(register: &Register, fact: &Fact) -> proto::Register {
    proto::Register {
        code: register.code.clone(),
        name: register.name.clone(),
        connection: register.connection.clone(),
        connected: register.connected,
        basis: Some(encode::fact_basis(fact)),
    }
}

fn avoidable(row: &Avoidable) -> proto::AvoidablePaper {
    let known = row.register.as_ref().zip(row.fact.as_ref());
    proto::AvoidablePaper {
        unit_id: row.count.of.unit_id,
        unit_name: row.unit_name.clone(),
        procedure_code: row.count.of.procedure_code.clone(),
        component_code: row.count.of.component_code.clone(),
        register: Some(match known {
            Some((known, fact)) => register(known, fact),
            None => proto::Register {
                code: row.count.of.register_code.clone(),
                ..Default::default()
            },
        }),
        count: row.count.amount,
    }
}
