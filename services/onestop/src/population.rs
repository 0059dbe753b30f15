//! Questions to the national population database (CSDL quốc gia về dân cư), as far as one-stop has to do with them: asked by the contract
//! of the integration service, as a system. What an answer means for a case is decided here; how the database is spoken to, there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{SharedClock, SharedIds};
use egov_events::SystemToken;
use egov_fault::{Code, Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1 as integration;
use egov_proto::egov::integration::v1::population_service_client::PopulationServiceClient;
use egov_proto::google::r#type::Date;
use egov_runtime::server::remaining;
use serde::Serialize;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::calls::CallsConfig;
use crate::domain::components::RegisterAnswer;
use crate::domain::party::Birth;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// What is left of the caller's own time when the answer is there: for the transaction.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Whether the particulars are those of one person: who asks, about whom, for what. `Debug` shows the request only.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// By it integration knows a repetition: the same again is asked under the same code.
    #[serde(skip)]
    pub request_id: Uuid,
    /// Mục đích, as integration's policies know it.
    pub purpose: String,
    /// The unit for which it is asked.
    pub unit_id: i32,
    /// Mã định danh of that unit.
    pub agency_code: String,
    /// Mã thủ tục: for which public service (MaDVC).
    pub procedure_code: String,
    /// Mã cán bộ (MaCanBo): which officer asks.
    pub officer_code: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// Mã hồ sơ.
    pub case_code: String,
    /// The person's account, if the case came with one.
    pub citizen_id: Option<Uuid>,
    /// Số định danh cá nhân.
    pub number: String,
    /// Họ và tên.
    pub full_name: String,
    /// Ngày tháng năm sinh.
    pub birth: Birth,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Questions to the population database.
#[async_trait]
pub trait PopulationQuestions: Send + Sync + 'static {
    /// True if there is a way to the database at all.
    fn is_connected(&self) -> bool;
    /// Whether the particulars are those of one person, and under which code that was asked: one code for a request id.
    async fn confirm(&self, question: &Question) -> Result<RegisterAnswer, Fault>;
}

/// No way to the database: that its data stands in the place of a paper is the officer's word.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotConnected;

#[async_trait]
impl PopulationQuestions for NotConnected {
    fn is_connected(&self) -> bool {
        false
    }

    async fn confirm(&self, _: &Question) -> Result<RegisterAnswer, Fault> {
        // Nobody asks who was told that there is no way.
        Err(Fault::internal("no population database is connected"))
    }
}

/// The way to the database by the section `population`: where the population database is asked. Empty takes the officer's word.
///
/// # Errors
/// The address is none, the authority cannot be read, or something is missing.
pub fn open(
    config: &CallsConfig,
    keyring: &Arc<Keyring>,
    clock: &SharedClock,
    ids: &SharedIds,
) -> anyhow::Result<Arc<dyn PopulationQuestions>> {
    Ok(match config.open(("population", ANSWER), keyring, clock, ids)? {
        None => Arc::new(NotConnected),
        Some((channel, token)) => Arc::new(IntegrationPopulation {
            client: PopulationServiceClient::new(channel),
            token,
        }),
    })
}

/// Integration over gRPC.
#[derive(Debug)]
pub struct IntegrationPopulation {
    client: PopulationServiceClient<Channel>,
    token: SystemToken,
}

#[async_trait]
impl PopulationQuestions for IntegrationPopulation {
    fn is_connected(&self) -> bool {
        true
    }

    async fn confirm(&self, question: &Question) -> Result<RegisterAnswer, Fault> {
        let (year, month, day) = question.birth.numbers();
        let message = integration::ConfirmCitizenRequest {
            request_id: question.request_id.to_string(),
            enquiry: Some(integration::PopulationEnquiry {
                unit_id: question.unit_id,
                agency_code: question.agency_code.clone(),
                service_code: question.procedure_code.clone(),
                officer_code: question.officer_code.clone(),
                legal_basis: question.legal_basis.clone(),
                case_code: question.case_code.clone(),
                citizen_id: question.citizen_id.map(|id| id.to_string()).unwrap_or_default(),
                number: question.number.clone(),
                full_name: question.full_name.clone(),
                birth_date: Some(Date { year, month, day }),
            }),
        };
        let mut request = self.token.request(message).await?;
        let purpose = AsciiMetadataValue::try_from(question.purpose.as_str()).map_err(Fault::internal)?;
        request.metadata_mut().insert("x-egov-purpose", purpose);
        // Integration stops asking when nobody waits any more, and the answer comes in time for the transaction.
        let own = remaining().map_or(ANSWER, |left| left.saturating_sub(AFTERWARDS));
        request.set_timeout(own.min(ANSWER));
        match self.client.clone().confirm_citizen(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                if answer.request_code.is_empty() {
                    return Err(Fault::internal("integration's answer has no request code"));
                }
                Ok(RegisterAnswer {
                    request_code: answer.request_code,
                    confirmed: answer.confirmed,
                })
            }
            Err(status) => {
                let fault = fault_of(&status);
                if fault.code() == Code::Unauthenticated {
                    // A token that is believed no more is exchanged before the next call.
                    self.token.forget().await;
                }
                Err(fault)
            }
        }
    }
}
