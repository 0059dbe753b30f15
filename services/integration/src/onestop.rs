//! One-stop, as far as its cases are followed: read by its contract, as a system, for a purpose.

use std::sync::Arc;
use std::time::Duration;

use egov_clock::{SharedClock, SharedIds};
use egov_events::{SystemToken, SystemTokenConfig};
use egov_fault::{Code, Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::file_service_client::FileServiceClient;
use egov_proto::egov::onestop::v1::{
    Case, CaseParticulars, GetCaseRequest, ListCaseHistoryRequest, ListCasesRequest, ListCasesResponse,
    ReadFileRequest, SearchCasesRequest,
};
use jiff::civil::Date;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use uuid::Uuid;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where one-stop is, and as whom its cases are read.
#[derive(Clone, Debug)]
pub struct OneStopConfig {
    /// Its gRPC address.
    pub address: String,
    /// The authority of its certificate and of identity's, PEM; needed for an `https` address.
    pub authority: Option<String>,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which assertions are for.
    pub audience: String,
    /// The client id of the system as which cases are read.
    pub client_id: String,
    /// For what they are read: a code of `purposes.toml`.
    pub purpose: String,
}

/// What one-stop gives of a file.
pub(crate) enum FileContent {
    /// All of it.
    Whole(Vec<u8>),
    /// There is none that this system may read.
    NotShown,
    /// It is larger than was asked for.
    TooLarge,
}

/// Reads cases from one-stop. Each reading is recorded there, for the persons concerned, under the system's name and the purpose.
#[derive(Clone)]
pub struct OneStopCases {
    client: CaseServiceClient<Channel>,
    files: FileServiceClient<Channel>,
    token: Arc<SystemToken>,
    purpose: String,
}

impl OneStopCases {
    /// Connects when it first reads.
    ///
    /// # Errors
    /// If the address or the authority is none.
    pub fn new(
        config: OneStopConfig,
        keyring: Arc<Keyring>,
        clock: SharedClock,
        ids: SharedIds,
    ) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::from_shared(config.address)?
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER);
        if let Some(authority) = &config.authority {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
            endpoint = endpoint.tls_config(tls)?;
        }
        let token = SystemTokenConfig {
            token_endpoint: config.token_endpoint,
            audience: config.audience,
            client_id: config.client_id,
            authority: config.authority,
        };
        let channel = endpoint.connect_lazy();
        Ok(Self {
            client: CaseServiceClient::new(channel.clone()),
            files: FileServiceClient::new(channel),
            token: Arc::new(SystemToken::new(token, keyring, clock, ids)?),
            purpose: config.purpose,
        })
    }

    /// A case as it is now, with what it says by code and what became of it; none if there is none that this system may read. A one-stop of
    /// a version before says nothing more than the case.
    ///
    /// # Errors
    /// One-stop's, and those of its connection.
    pub(crate) async fn case(&self, case_id: Uuid) -> Result<Option<(Case, CaseParticulars)>, Fault> {
        let message = GetCaseRequest {
            case_id: case_id.to_string(),
            with_particulars: true,
        };
        let request = self.request(message).await?;
        match self.client.clone().get_case(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let mut known = answer.particulars.unwrap_or_default();
                self.rest_of_the_history(case_id, &mut known).await?;
                Ok(answer.case.map(|case| (case, known)))
            }
            Err(status) => {
                let fault = self.judge(&status).await;
                if fault.code() == Code::NotFound {
                    return Ok(None);
                }
                Err(fault)
            }
        }
    }

    /// What of a long history did not come with the case: when it ended stands at its end.
    async fn rest_of_the_history(&self, case_id: Uuid, known: &mut CaseParticulars) -> Result<(), Fault> {
        let mut page_token = std::mem::take(&mut known.history_page_token);
        while !page_token.is_empty() {
            let message = ListCaseHistoryRequest {
                case_id: case_id.to_string(),
                page_size: 200,
                page_token,
            };
            let request = self.request(message).await?;
            let answer = match self.client.clone().list_case_history(request).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => return Err(self.judge(&status).await),
            };
            known.history.extend(answer.entries);
            page_token = answer.next_page_token;
        }
        Ok(())
    }

    /// A page of the cases of a unit that were filed in these days of Việt Nam, filed last first. A one-stop of a version before knows no days
    /// of filing, and lists all.
    ///
    /// # Errors
    /// One-stop's, and those of its connection.
    pub(crate) async fn list(
        &self,
        unit_id: i32,
        (from, until): (Date, Date),
        page_token: &str,
    ) -> Result<ListCasesResponse, Fault> {
        let message = ListCasesRequest {
            page_size: 200,
            page_token: page_token.to_owned(),
            unit_id,
            filed_from: Some(from.into()),
            filed_until: Some(until.into()),
            ..ListCasesRequest::default()
        };
        let request = self.request(message).await?;
        match self.client.clone().list_cases(request).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.judge(&status).await),
        }
    }

    /// Whether there is a case under this code that this system may read.
    ///
    /// # Errors
    /// One-stop's, and those of its connection.
    pub(crate) async fn has_code(&self, case_code: &str) -> Result<bool, Fault> {
        if case_code.len() < 2 || case_code.len() > 60 {
            return Ok(false);
        }
        let message = SearchCasesRequest {
            query: case_code.to_owned(),
            page_size: 5,
            ..SearchCasesRequest::default()
        };
        let request = self.request(message).await?;
        match self.client.clone().search_cases(request).await {
            Ok(answer) => Ok(answer.into_inner().cases.iter().any(|case| case.case_code == case_code)),
            Err(status) => Err(self.judge(&status).await),
        }
    }

    /// The content of a file, part by part; each reading is recorded there. A file that is larger than `most` bytes is not read on.
    ///
    /// # Errors
    /// One-stop's, and those of its connection; a content that is not as long as it said.
    pub(crate) async fn file(&self, file_id: &str, most: u64) -> Result<FileContent, Fault> {
        let mut content = Vec::new();
        loop {
            let message = ReadFileRequest {
                file_id: file_id.to_owned(),
                offset: i64::try_from(content.len()).map_err(Fault::internal)?,
                length: 0,
            };
            let request = self.request(message).await?;
            let part = match self.files.clone().read_file(request).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    let fault = self.judge(&status).await;
                    return match fault.code() {
                        Code::NotFound | Code::PermissionDenied => Ok(FileContent::NotShown),
                        _ => Err(fault),
                    };
                }
            };
            let size = u64::try_from(part.size).map_err(Fault::internal)?;
            if size > most {
                return Ok(FileContent::TooLarge);
            }
            let ended = part.data.is_empty();
            content.extend_from_slice(&part.data);
            match u64::try_from(content.len()).map_err(Fault::internal)? {
                read if read == size => return Ok(FileContent::Whole(content)),
                read if read > size || ended => {
                    return Err(Fault::internal("a file that is not as long as one-stop says"));
                }
                _ => {}
            }
        }
    }

    /// With our token and the purpose.
    async fn request<T>(&self, message: T) -> Result<tonic::Request<T>, Fault> {
        let mut request = self.token.request(message).await?;
        let purpose = self.purpose.parse().map_err(Fault::internal)?;
        request.metadata_mut().insert(egov_auth::PURPOSE_HEADER, purpose);
        Ok(request)
    }

    async fn judge(&self, status: &tonic::Status) -> Fault {
        let fault = fault_of(status);
        if fault.code() == Code::Unauthenticated {
            self.token.forget().await;
        }
        fault
    }
}
