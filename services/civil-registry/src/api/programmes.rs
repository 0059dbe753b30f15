//! RegistryService: the envelope of SPDCI around the same use cases.

use aws_lc_rs::digest;
use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_proto::egov::civil_registry::spdci::v1 as proto;
use egov_proto::egov::civil_registry::spdci::v1::registry_service_server::RegistryService;
use egov_runtime::accept;
use jiff::Timestamp;
use prost::Message;
use prost_types::value::Kind;
use serde_json::Value;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Api, status};
use crate::PUBLISHER;
use crate::domain::programme::{self, Answered, Expected, Flaw, Header, Outcome, Right, SearchItem, VERSION};
use crate::error::Error;
use crate::operations::{Asked, WantedSearch, WhichSearch};
use crate::store::programmes::KeptSearch;

const SYNC_SEARCH: &str = "/egov.civil_registry.spdci.v1.RegistryService/SyncSearch";
const SEARCH: &str = "/egov.civil_registry.spdci.v1.RegistryService/Search";

/// The calling system, as it names itself in messages: the client id of its token, or the subject where it has none.
fn sender(caller: &Caller) -> String {
    let principal = &caller.principal;
    principal
        .client_id
        .clone()
        .unwrap_or_else(|| principal.subject.to_string())
}

/// The id of a message, as requests are told apart: of any text one id.
fn message_key(message_id: &str) -> Uuid {
    let hash = digest::digest(&digest::SHA256, message_id.as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    Uuid::from_bytes(bytes)
}

/// JSON as protobuf carries it.
fn json(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::NumberValue(number)) => Value::from(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
        Some(Kind::StructValue(object)) => object
            .fields
            .into_iter()
            .map(|(name, value)| (name, json(value)))
            .collect(),
    }
}

fn header(said: Option<proto::MessageHeader>) -> Header {
    let said = said.unwrap_or_default();
    Header {
        version: said.version,
        message_id: said.message_id,
        message_ts: said.message_ts,
        action: said.action,
        sender_id: said.sender_id,
        receiver_id: said.receiver_id,
        total_count: said.total_count,
        is_encrypted: said.is_msg_encrypted,
    }
}

fn right(said: proto::Authorization) -> Right {
    let purpose = said.purpose.unwrap_or_default();
    Right {
        code: purpose.code,
        text: purpose.text,
    }
}

fn item(said: proto::SearchItem) -> SearchItem {
    let criteria = said.search_criteria.unwrap_or_default();
    SearchItem {
        reference_id: said.reference_id,
        timestamp: said.timestamp,
        version: criteria.version,
        reg_type: criteria.reg_type,
        reg_event_type: criteria.reg_event_type,
        query_type: criteria.query_type,
        query: criteria.search_query.map_or(Value::Null, json),
        is_sorted: !criteria.sort.is_empty(),
        page: criteria.pagination.map(|page| (page.page_size, page.page_number)),
        consent: criteria.consent.map(right),
        authorize: criteria.authorize.map(right),
        locale: said.locale,
    }
}

/// The head of an answer to a message.
fn answering(
    header: &Header,
    action: &str,
    status: &str,
    counts: (usize, usize),
    at: Timestamp,
) -> proto::CallbackHeader {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    proto::CallbackHeader {
        version: VERSION.to_owned(),
        message_id: header.message_id.clone(),
        message_ts: at.to_string(),
        action: action.to_owned(),
        status: status.to_owned(),
        status_reason_code: String::new(),
        status_reason_message: String::new(),
        total_count: count(counts.0),
        completed_count: count(counts.1),
        sender_id: PUBLISHER.to_owned(),
        receiver_id: header.sender_id.clone(),
        is_msg_encrypted: false,
    }
}

/// The head of an answer to a message that is refused as a whole.
fn refusing(header: &Header, action: &str, flaws: &[Flaw], at: Timestamp) -> proto::CallbackHeader {
    let (code, message) = programme::reason(flaws).unwrap_or_default();
    proto::CallbackHeader {
        status_reason_code: code.to_owned(),
        status_reason_message: message,
        ..answering(header, action, "rjct", (0, 0), at)
    }
}

fn record_type(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answers(_) => "Answer",
        _ => "Person",
    }
}

/// What was found, by record, and which page it is; none if the request is refused.
fn records(outcome: &Outcome) -> Option<(Vec<proto::RegistryRecord>, proto::Pagination)> {
    match outcome {
        Outcome::Refused { .. } => None,
        Outcome::Persons {
            persons,
            page_size,
            page_number,
            total,
        } => {
            let records = persons.iter().map(|one| {
                let number = one.personal_number.iter().map(|number| ("UIN", number.clone()));
                let id = std::iter::once(("PERSON_ID", one.person_id.to_string()));
                proto::RegistryRecord {
                    identifier: number
                        .chain(id)
                        .map(|(kind, value)| proto::Identifier {
                            r#type: kind.to_owned(),
                            identifier_value: value,
                        })
                        .collect(),
                    person_name: one.name.clone(),
                    birth_date: one.born.map(String::from).unwrap_or_default(),
                    ..Default::default()
                }
            });
            let page = proto::Pagination {
                page_size: *page_size,
                page_number: *page_number,
                total_count: *total,
            };
            Some((records.collect(), page))
        }
        Outcome::Answers(answers) => {
            let records = answers.iter().map(|one| proto::RegistryRecord {
                seq_num: one.seq_num,
                attribute_name: one.attribute.clone(),
                answer: one.answer.clone(),
                ..Default::default()
            });
            let count = i32::try_from(answers.len()).unwrap_or(i32::MAX);
            let page = proto::Pagination {
                page_size: count,
                page_number: 1,
                total_count: count,
            };
            Some((records.collect(), page))
        }
    }
}

fn result(answered: &Answered, at: Timestamp) -> proto::SearchResult {
    let told = proto::SearchResult {
        reference_id: answered.reference_id.clone(),
        timestamp: at.to_string(),
        locale: answered.locale.clone(),
        ..Default::default()
    };
    if let Outcome::Refused { code, message } = &answered.outcome {
        return proto::SearchResult {
            status: "rjct".to_owned(),
            status_reason_code: code.clone(),
            status_reason_message: message.clone(),
            ..told
        };
    }
    let (reg_records, pagination) = records(&answered.outcome).unwrap_or_default();
    proto::SearchResult {
        status: "succ".to_owned(),
        data: Some(proto::SearchData {
            version: VERSION.to_owned(),
            reg_type: answered.reg_type.clone(),
            reg_event_type: answered.reg_event_type.clone(),
            reg_record_type: record_type(&answered.outcome).to_owned(),
            reg_records,
        }),
        pagination: Some(pagination),
        ..told
    }
}

/// A message with its answers, if it has any.
fn answer(kept: &KeptSearch) -> proto::SearchAnswer {
    proto::SearchAnswer {
        transaction_id: kept.transaction_id.clone(),
        correlation_id: kept.correlation_id.to_string(),
        search_response: kept
            .answer
            .iter()
            .flat_map(|(answered, _, at)| answered.iter().map(move |one| result(one, *at)))
            .collect(),
    }
}

/// What is wrong with what stands around the requests of a message.
fn flaws_of_message(message: &proto::SearchMessage) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if message.transaction_id.trim().is_empty() {
        flaws.push(Flaw {
            code: "err.request.bad",
            field: "message.transaction_id".to_owned(),
            vi: "bắt buộc phải có".to_owned(),
            en: "is required".to_owned(),
        });
    }
    flaws
}

impl Api {
    fn now(&self) -> Timestamp {
        self.registry.clock.now()
    }

    /// Everything that is wrong with a message before its requests are looked at.
    fn flaws(caller: &Caller, header: &Header, message: &proto::SearchMessage) -> Vec<Flaw> {
        let mut flaws = header.flaws(Expected {
            action: "search",
            sender: &sender(caller),
            receiver: PUBLISHER,
            count: message.search_request.len(),
        });
        flaws.extend(flaws_of_message(message));
        flaws
    }

    async fn take<M: Message>(
        &self,
        caller: &Caller,
        (method, body): (&'static str, &M),
        (header, message): (&Header, proto::SearchMessage),
        is_sync: bool,
    ) -> Result<KeptSearch, Error> {
        let asked = Asked {
            request_id: message_key(&header.message_id),
            body,
            method,
        };
        let wanted = WantedSearch {
            transaction_id: message.transaction_id,
            items: message.search_request.into_iter().map(item).collect(),
            is_sync,
        };
        self.registry.search_for_programme(caller, asked, wanted).await
    }
}

#[tonic::async_trait]
impl RegistryService for Api {
    async fn sync_search(
        &self,
        request: Request<proto::SyncSearchRequest>,
    ) -> Result<Response<proto::SyncSearchResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, said) = (request.caller()?, &request.message);
        let (header, message) = (header(said.header.clone()), said.message.clone().unwrap_or_default());
        let flaws = Self::flaws(caller, &header, &message);
        if !flaws.is_empty() {
            let transaction_id = message.transaction_id;
            return Ok(Response::new(proto::SyncSearchResponse {
                header: Some(refusing(&header, "on-search", &flaws, self.now())),
                message: Some(proto::SearchAnswer {
                    transaction_id,
                    ..Default::default()
                }),
            }));
        }
        let kept = self
            .take(caller, (SYNC_SEARCH, said), (&header, message), true)
            .await
            .map_err(status)?;
        let at = kept.answer.as_ref().map_or(kept.record_time, |(_, _, at)| *at);
        let count = kept.items.len();
        Ok(Response::new(proto::SyncSearchResponse {
            header: Some(answering(&header, "on-search", "succ", (count, count), at)),
            message: Some(answer(&kept)),
        }))
    }

    async fn search(&self, request: Request<proto::SearchRequest>) -> Result<Response<proto::SearchResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, said) = (request.caller()?, &request.message);
        let (header, message) = (header(said.header.clone()), said.message.clone().unwrap_or_default());
        let flaws = Self::flaws(caller, &header, &message);
        if let Some((code, message)) = programme::reason(&flaws) {
            return Ok(Response::new(proto::SearchResponse {
                message: Some(proto::AckMessage {
                    ack_status: "ERR".to_owned(),
                    timestamp: self.now().to_string(),
                    error: Some(proto::AckError {
                        code: code.to_owned(),
                        message,
                    }),
                    correlation_id: String::new(),
                }),
            }));
        }
        let kept = self
            .take(caller, (SEARCH, said), (&header, message), false)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::SearchResponse {
            message: Some(proto::AckMessage {
                ack_status: "ACK".to_owned(),
                timestamp: kept.record_time.to_string(),
                error: None,
                correlation_id: kept.correlation_id.to_string(),
            }),
        }))
    }

    async fn sync_txn_status(
        &self,
        request: Request<proto::SyncTxnStatusRequest>,
    ) -> Result<Response<proto::SyncTxnStatusResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, said) = (request.caller()?, &request.message);
        let (header, message) = (header(said.header.clone()), said.message.clone().unwrap_or_default());
        let asked = message.txnstatus_request.unwrap_or_default();
        let mut flaws = header.flaws(Expected {
            action: "txn-status",
            sender: &sender(caller),
            receiver: PUBLISHER,
            count: 1,
        });
        let mut wrong = |field: &str, vi: &str, en: &str| {
            flaws.push(Flaw {
                code: "err.request.bad",
                field: format!("message.txnstatus_request.{field}"),
                vi: vi.to_owned(),
                en: en.to_owned(),
            });
        };
        if asked.txn_type != "search" {
            wrong("txn_type", "phải là search", "must be search");
        }
        // What is no id is nobody's search, as an id that is another one's.
        let which = match asked.attribute_type.as_str() {
            "correlation_id" => Some(WhichSearch::Correlation(
                Uuid::try_parse(&asked.attribute_value).unwrap_or_default(),
            )),
            "transaction_id" => Some(WhichSearch::Transaction(asked.attribute_value)),
            _ => {
                wrong(
                    "attribute_type",
                    "phải là correlation_id hoặc transaction_id",
                    "must be correlation_id or transaction_id",
                );
                None
            }
        };
        let kept = match which {
            Some(which) if flaws.is_empty() => {
                let kept = self.registry.programme_search(caller, &which).await.map_err(status)?;
                if kept.is_none() {
                    flaws.push(Flaw {
                        code: "err.request.not_found",
                        field: "message.txnstatus_request.attribute_value".to_owned(),
                        vi: "không có yêu cầu tra cứu này của hệ thống đang gọi".to_owned(),
                        en: "the calling system has no such search".to_owned(),
                    });
                }
                kept
            }
            _ => None,
        };
        let transaction_id = message.transaction_id;
        let Some(kept) = kept else {
            return Ok(Response::new(proto::SyncTxnStatusResponse {
                header: Some(refusing(&header, "txn-on-status", &flaws, self.now())),
                message: Some(proto::TxnStatusAnswer {
                    transaction_id,
                    ..Default::default()
                }),
            }));
        };
        let count = kept.items.len();
        let (stands, done) = if kept.answer.is_some() {
            ("succ", count)
        } else {
            ("pdng", 0)
        };
        Ok(Response::new(proto::SyncTxnStatusResponse {
            header: Some(answering(&header, "txn-on-status", stands, (count, done), self.now())),
            message: Some(proto::TxnStatusAnswer {
                transaction_id,
                correlation_id: kept.correlation_id.to_string(),
                txnstatus_response: Some(proto::TxnStatusResult {
                    txn_type: "on-search".to_owned(),
                    txn_status: Some(answer(&kept)),
                }),
            }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_one_request_whatever_it_looks_like() {
        assert_eq!(message_key("789"), message_key("789"));
        assert_ne!(message_key("789"), message_key("790"));
    }
}
