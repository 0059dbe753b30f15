//! One-stop, as far as its decisions go into the books: what waits is asked for, what a case's e-form says is read, and what became of a decision is told, by
//! one-stop's contract, as a system.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{SharedClock, SharedIds};
use egov_events::SystemToken;
use egov_fault::{Code, Fault, fault_of};
use egov_files::Digest;
use egov_keyring::Keyring;
use egov_proto::egov::onestop::v1 as onestop;
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::civil_decision_service_client::CivilDecisionServiceClient;
use egov_proto::egov::onestop::v1::file_service_client::FileServiceClient;
use jiff::civil::Date;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::calls::CallsConfig;
use crate::domain::pending_decision::Decided;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// For what cases are read.
const PURPOSE: &str = "civil_status_registration";

/// Bytes of a part of a file.
const PART: usize = 512 << 10;

/// What is told of a decision that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldEntry {
    /// The decision.
    pub decision_id: Uuid,
    /// The entry.
    pub entry_id: Uuid,
    /// Số as it is printed.
    pub printed_number: String,
    /// Ngày đăng ký.
    pub registration_date: Date,
}

/// A certificate as it was printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// Its id: the same paper is handed over once, whatever is repeated.
    pub paper_id: Uuid,
    /// PDF.
    pub pdf: Vec<u8>,
}

/// Shows no content.
impl std::fmt::Debug for CertificateFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateFile")
            .field("paper_id", &self.paper_id)
            .finish_non_exhaustive()
    }
}

/// One-stop's decisions.
#[async_trait]
pub trait CaseDecisions: Send + Sync + 'static {
    /// True if there is a one-stop at all.
    fn is_connected(&self) -> bool;
    /// What waits for the books.
    async fn waiting(&self) -> Result<Vec<Decided>, Fault>;
    /// The e-form in a component of a case, as it was filled in last; none if it was filed otherwise.
    async fn form(&self, case_id: Uuid, component: &str) -> Result<Option<String>, Fault>;
    /// Tells that a decision is entered, with the certificate if there is one. That one-stop knows already is no failure.
    async fn record_entry(&self, told: &ToldEntry, certificate: Option<&CertificateFile>) -> Result<(), Fault>;
    /// Gives a decision back. That one-stop knows already is no failure.
    async fn give_back(&self, decision_id: Uuid, reason: &str) -> Result<(), Fault>;
}

/// No one-stop: whatever is registered is registered by an officer.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotConnected;

impl NotConnected {
    fn fault() -> Fault {
        Fault::new(
            Code::FailedPrecondition,
            "ONE_STOP_NOT_CONNECTED",
            "chưa kết nối hệ thống một cửa",
            "no one-stop is connected",
        )
    }
}

#[async_trait]
impl CaseDecisions for NotConnected {
    fn is_connected(&self) -> bool {
        false
    }

    async fn waiting(&self) -> Result<Vec<Decided>, Fault> {
        Ok(Vec::new())
    }

    async fn form(&self, _: Uuid, _: &str) -> Result<Option<String>, Fault> {
        Err(Self::fault())
    }

    async fn record_entry(&self, _: &ToldEntry, _: Option<&CertificateFile>) -> Result<(), Fault> {
        Err(Self::fault())
    }

    async fn give_back(&self, _: Uuid, _: &str) -> Result<(), Fault> {
        Err(Self::fault())
    }
}

/// The way to one-stop by the section `one_stop`: none if there is no address. Nothing is called yet. The system's role there is `civil_decision_taker`, at the
/// units of which decisions are taken.
///
/// # Errors
/// The address is none, the authority cannot be read, or something is missing.
pub fn open(
    config: &CallsConfig,
    keyring: &Arc<Keyring>,
    clock: &SharedClock,
    ids: &SharedIds,
) -> anyhow::Result<Arc<dyn CaseDecisions>> {
    Ok(match config.open(("one_stop", ANSWER), keyring, clock, ids)? {
        None => Arc::new(NotConnected),
        Some((channel, token)) => Arc::new(OneStop {
            decisions: CivilDecisionServiceClient::new(channel.clone()),
            cases: CaseServiceClient::new(channel.clone()),
            files: FileServiceClient::new(channel),
            token,
        }),
    })
}

/// One-stop over gRPC.
#[derive(Debug)]
struct OneStop {
    decisions: CivilDecisionServiceClient<Channel>,
    cases: CaseServiceClient<Channel>,
    files: FileServiceClient<Channel>,
    token: SystemToken,
}

fn unreadable(what: &'static str) -> Fault {
    Fault::internal(format!("one-stop's answer has no {what}"))
}

fn decided(said: onestop::CivilDecision) -> Result<Decided, Fault> {
    let id = |text: &str| Uuid::try_parse(text).map_err(|_| unreadable("id"));
    Ok(Decided {
        decision_id: id(&said.decision_id)?,
        case_id: id(&said.case_id)?,
        case_code: said.case_code,
        procedure_code: said.procedure_code,
        unit_id: said.unit_id,
        decision_date: said
            .decision_date
            .and_then(|date| Date::try_from(date).ok())
            .ok_or_else(|| unreadable("day"))?,
        number: said.number,
        signer_name: said.signer_name,
        signer_title: said.signer_title,
        signer_authorisation: said.signer_authorisation,
        performer_name: said.performer_name,
    })
}

/// An id of another step of the same work: the same for the same, so that what is repeated is one.
fn derived(id: Uuid, step: u128) -> Uuid {
    Uuid::from_u128(id.as_u128() ^ step)
}

/// One-stop knows what became of the decision.
fn is_known(fault: &Fault) -> bool {
    // The second, if the certificate was told of in the meantime: under this id nothing but this entry is told.
    ["CIVIL_DECISION_NOT_WAITING", "REQUEST_ID_REUSED"].contains(&fault.reason())
}

impl OneStop {
    /// With our token and the purpose.
    async fn request<T>(&self, message: T) -> Result<tonic::Request<T>, Fault> {
        let mut request = self.token.request(message).await?;
        let purpose = PURPOSE.parse().map_err(Fault::internal)?;
        request.metadata_mut().insert(egov_auth::PURPOSE_HEADER, purpose);
        Ok(request)
    }

    /// A refusal; a token that is believed no more is exchanged before the next call.
    async fn refused(&self, status: &tonic::Status) -> Fault {
        let fault = fault_of(status);
        if fault.code() == Code::Unauthenticated {
            self.token.forget().await;
        }
        fault
    }

    /// Hands a certificate over: the same paper is one upload, however often it is begun.
    async fn upload(&self, certificate: &CertificateFile) -> Result<String, Fault> {
        let mut files = self.files.clone();
        let digest = Digest::of(&certificate.pdf);
        // By what is uploaded: a release that prints otherwise makes another upload of the same paper, and not another body under one id.
        let (of_content, _) = digest
            .as_bytes()
            .split_first_chunk()
            .ok_or_else(|| unreadable("digest"))?;
        let start = onestop::StartUploadRequest {
            request_id: derived(certificate.paper_id, u128::from_be_bytes(*of_content)).to_string(),
            name: format!("{}.pdf", certificate.paper_id),
            size: i64::try_from(certificate.pdf.len()).map_err(Fault::internal)?,
            sha256: digest.to_string(),
        };
        let upload_id = match files.start_upload(self.request(start).await?).await {
            Ok(answer) => answer.into_inner().upload_id,
            Err(status) => return Err(self.refused(&status).await),
        };
        for (place, part) in certificate.pdf.chunks(PART).enumerate() {
            let put = onestop::PutChunkRequest {
                upload_id: upload_id.clone(),
                offset: i64::try_from(place.saturating_mul(PART)).map_err(Fault::internal)?,
                sha256: Digest::of(part).to_string(),
                data: part.to_vec().into(),
            };
            if let Err(status) = files.put_chunk(self.request(put).await?).await {
                return Err(self.refused(&status).await);
            }
        }
        let finish = onestop::FinishUploadRequest {
            request_id: derived(Uuid::try_parse(&upload_id).map_err(|_| unreadable("upload"))?, 2).to_string(),
            upload_id,
        };
        match files.finish_upload(self.request(finish).await?).await {
            Ok(answer) => Ok(answer.into_inner().file.ok_or_else(|| unreadable("file"))?.file_id),
            Err(status) => Err(self.refused(&status).await),
        }
    }
}

#[async_trait]
impl CaseDecisions for OneStop {
    fn is_connected(&self) -> bool {
        true
    }

    async fn waiting(&self) -> Result<Vec<Decided>, Fault> {
        let mut waiting = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = onestop::ListCivilDecisionsRequest {
                page_size: 200,
                page_token,
            };
            let request = self.request(request).await?;
            let answer = match self.decisions.clone().list_civil_decisions(request).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => return Err(self.refused(&status).await),
            };
            for one in answer.decisions {
                waiting.push(decided(one)?);
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(waiting);
            }
        }
    }

    async fn form(&self, case_id: Uuid, component: &str) -> Result<Option<String>, Fault> {
        let request = onestop::GetCaseRequest {
            case_id: case_id.to_string(),
            with_particulars: false,
        };
        let request = self.request(request).await?;
        let case = match self.cases.clone().get_case(request).await {
            Ok(answer) => answer.into_inner().case.ok_or_else(|| unreadable("case"))?,
            Err(status) => return Err(self.refused(&status).await),
        };
        let filed = case.components.into_iter().rev();
        Ok(filed
            .filter(|filed| filed.component_code == component)
            .map(|filed| filed.form_data)
            .find(|form| !form.is_empty()))
    }

    async fn record_entry(&self, told: &ToldEntry, certificate: Option<&CertificateFile>) -> Result<(), Fault> {
        let file_id = match certificate {
            None => String::new(),
            Some(certificate) => self.upload(certificate).await?,
        };
        let request = onestop::RecordCivilEntryRequest {
            request_id: told.entry_id.to_string(),
            decision_id: told.decision_id.to_string(),
            entry_id: told.entry_id.to_string(),
            printed_number: told.printed_number.clone(),
            registration_date: Some(told.registration_date.into()),
            file_id,
        };
        let request = self.request(request).await?;
        match self.decisions.clone().record_civil_entry(request).await {
            Ok(_) => Ok(()),
            Err(status) => {
                let fault = self.refused(&status).await;
                if is_known(&fault) { Ok(()) } else { Err(fault) }
            }
        }
    }

    async fn give_back(&self, decision_id: Uuid, reason: &str) -> Result<(), Fault> {
        let request = onestop::ReturnCivilDecisionRequest {
            request_id: decision_id.to_string(),
            decision_id: decision_id.to_string(),
            reason: reason.to_owned(),
        };
        let request = self.request(request).await?;
        match self.decisions.clone().return_civil_decision(request).await {
            Ok(_) => Ok(()),
            Err(status) => {
                let fault = self.refused(&status).await;
                if is_known(&fault) { Ok(()) } else { Err(fault) }
            }
        }
    }
}
