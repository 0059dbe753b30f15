//! Số định danh cá nhân from the national population database (CSDL quốc gia về dân cư): asked for by the contract of the integration service, as a system.
//! What an answer means for a child is decided by the domain; how the database is spoken to, there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{Ids as _, SharedClock, SharedIds};
use egov_codes::PersonalNumber;
use egov_events::SystemToken;
use egov_fault::{Code, Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1 as integration;
use egov_proto::egov::integration::v1::population_service_client::PopulationServiceClient;
use egov_proto::google::r#type::Date;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;

use crate::calls::CallsConfig;
use crate::domain::person::{Born, Sex};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// For what the number is asked for, as integration's policies know it.
const PURPOSE: &str = "civil_status_registration";
/// Mã thủ tục of the registration of a birth, on the national portal.
const SERVICE_CODE: &str = "1.001193";

/// The request for the number of a child. `Debug` shows its code only.
#[derive(Clone, PartialEq, Eq)]
pub struct WantedNumber {
    /// Mã yêu cầu: one for the child.
    pub request_code: String,
    /// The commune.
    pub unit_id: i32,
    /// Mã định danh of the commune.
    pub agency_code: String,
    /// Mã cán bộ (MaCanBo): which officer registered the birth.
    pub officer_code: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// Họ, chữ đệm, tên.
    pub full_name: String,
    /// Ngày, tháng, năm sinh.
    pub born: Born,
    /// Giới tính.
    pub sex: Sex,
    /// Mã dân tộc; empty if it is not known.
    pub ethnic_group: String,
    /// Quốc tịch: ISO 3166-1 alpha-2.
    pub nationality: String,
    /// Nơi đăng ký khai sinh.
    pub registration_place: String,
    /// Số định danh cá nhân of the mother; empty if it is not known.
    pub mother_number: String,
    /// Số định danh cá nhân of the father; empty if it is not known.
    pub father_number: String,
}

impl std::fmt::Debug for WantedNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WantedNumber")
            .field("request_code", &self.request_code)
            .finish_non_exhaustive()
    }
}

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum NoNumber {
    /// The database refused: asked the same again it refuses again.
    #[error("the population database refused")]
    Refused,
    /// Whether the number was assigned is not known.
    #[error("whether the number was assigned is not known")]
    Unknown(#[source] Fault),
    /// Nothing reached the database.
    #[error("the population database is not reached")]
    Unavailable(#[source] Fault),
    /// Integration does not pass this request on as it is: somebody has to look at it. Nothing reached the database.
    #[error("integration does not take the request")]
    NotTaken(#[source] Fault),
}

/// Asks the population database for numbers.
#[async_trait]
pub trait NumberAssigner: Send + Sync + 'static {
    /// Whether there is a way to the database at all.
    fn is_connected(&self) -> bool;
    /// The number of the child: one for a request code, however often it is asked.
    async fn assign(&self, wanted: &WantedNumber) -> Result<PersonalNumber, NoNumber>;
}

/// No way to the database: requests wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotConnected;

#[async_trait]
impl NumberAssigner for NotConnected {
    fn is_connected(&self) -> bool {
        false
    }

    async fn assign(&self, _: &WantedNumber) -> Result<PersonalNumber, NoNumber> {
        // Nobody asks who was told that there is no way.
        Err(NoNumber::Unavailable(Fault::internal(
            "no population database is connected",
        )))
    }
}

/// The way to the database by the section `population`. Without an address requests wait.
///
/// # Errors
/// The address is none, the authority cannot be read, or something is missing.
pub fn open(
    config: &CallsConfig,
    keyring: &Arc<Keyring>,
    clock: &SharedClock,
    ids: &SharedIds,
) -> anyhow::Result<Arc<dyn NumberAssigner>> {
    Ok(match config.open(("population", ANSWER), keyring, clock, ids)? {
        None => Arc::new(NotConnected),
        Some((channel, token)) => Arc::new(IntegrationPopulation {
            client: PopulationServiceClient::new(channel),
            token,
            ids: ids.clone(),
        }),
    })
}

/// Integration over gRPC.
pub struct IntegrationPopulation {
    client: PopulationServiceClient<Channel>,
    token: SystemToken,
    ids: SharedIds,
}

impl IntegrationPopulation {
    fn message(&self, wanted: &WantedNumber) -> integration::AssignPersonalNumberRequest {
        // Where the day is not known the year alone is told: so the contract has it.
        let (year, month, day) = match wanted.born.numbers() {
            (year, _, 0) => (year, 0, 0),
            day => day,
        };
        integration::AssignPersonalNumberRequest {
            // Each try is a request of its own; that they are one is what the code says.
            request_id: self.ids.uuid().to_string(),
            request_code: wanted.request_code.clone(),
            unit_id: wanted.unit_id,
            agency_code: wanted.agency_code.clone(),
            service_code: SERVICE_CODE.to_owned(),
            officer_code: wanted.officer_code.clone(),
            legal_basis: wanted.legal_basis.clone(),
            newborn: Some(integration::Newborn {
                full_name: wanted.full_name.clone(),
                birth_date: Some(Date { year, month, day }),
                gender: match wanted.sex {
                    Sex::Male => "male",
                    Sex::Female => "female",
                    Sex::Undetermined => "",
                }
                .to_owned(),
                ethnic_group_code: wanted.ethnic_group.clone(),
                nationality: wanted.nationality.clone(),
                registration_place: wanted.registration_place.clone(),
                mother_number: wanted.mother_number.clone(),
                father_number: wanted.father_number.clone(),
            }),
        }
    }

    /// What a refusal by integration means: only what the database itself refused is final, and only what certainly did not reach it left nothing behind.
    async fn no_number(&self, fault: Fault) -> NoNumber {
        if fault.code() == Code::Unauthenticated {
            // A token that is believed no more is exchanged before the next call.
            self.token.forget().await;
        }
        match fault.reason() {
            "PARTNER_REFUSED" => match fault.metadata().get("partner_code").map(String::as_str) {
                Some("01" | "02" | "03") => NoNumber::Refused,
                // Refused is how the platform asks (a key, a clock), and not the child.
                _ => NoNumber::Unavailable(fault),
            },
            "PARTNER_UNAVAILABLE" | "PARTNER_NOT_CONFIGURED" => NoNumber::Unavailable(fault),
            _ => match fault.code() {
                Code::Unauthenticated | Code::PermissionDenied => NoNumber::Unavailable(fault),
                Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists => NoNumber::NotTaken(fault),
                _ => NoNumber::Unknown(fault),
            },
        }
    }
}

#[async_trait]
impl NumberAssigner for IntegrationPopulation {
    fn is_connected(&self) -> bool {
        true
    }

    async fn assign(&self, wanted: &WantedNumber) -> Result<PersonalNumber, NoNumber> {
        let mut request = match self.token.request(self.message(wanted)).await {
            Ok(request) => request,
            Err(fault) => return Err(NoNumber::Unavailable(fault)),
        };
        let purpose = AsciiMetadataValue::from_static(PURPOSE);
        request.metadata_mut().insert("x-egov-purpose", purpose);
        request.set_timeout(ANSWER);
        match self.client.clone().assign_personal_number(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                answer
                    .personal_number
                    .parse()
                    .map_err(|_| NoNumber::Unknown(Fault::internal("integration's answer is no personal number")))
            }
            Err(status) => Err(self.no_number(fault_of(&status)).await),
        }
    }
}
