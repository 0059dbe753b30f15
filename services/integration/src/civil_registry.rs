//! The civil registry, as far as its books are told to the Ministry's register: read by its contract, as a system, for a purpose.

use std::sync::Arc;
use std::time::Duration;

use egov_clock::{SharedClock, SharedIds};
use egov_events::{SystemToken, SystemTokenConfig};
use egov_fault::{Code, Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::civil_registry::v1::book_service_client::BookServiceClient;
use egov_proto::egov::civil_registry::v1::entry_service_client::EntryServiceClient;
use egov_proto::egov::civil_registry::v1::person_service_client::PersonServiceClient;
use egov_proto::egov::civil_registry::v1::{
    EventKind, GetEntryRequest, GetEntryResponse, ListBooksRequest, ListEntriesRequest, SearchPersonsRequest,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use uuid::Uuid;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where the civil registry is, and as whom its books are read.
#[derive(Clone, Debug)]
pub struct CivilRegistryConfig {
    /// Its gRPC address.
    pub address: String,
    /// The authority of its certificate and of identity's, PEM; needed for an `https` address.
    pub authority: Option<String>,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which assertions are for.
    pub audience: String,
    /// The client id of the system as which books are read.
    pub client_id: String,
    /// For what they are read: a code of `purposes.toml`.
    pub purpose: String,
}

/// Reads books and entries from the civil registry. Each reading is recorded there, for the persons concerned, under the system's name and the purpose.
#[derive(Clone)]
pub struct CivilBooks {
    books: BookServiceClient<Channel>,
    entries: EntryServiceClient<Channel>,
    persons: PersonServiceClient<Channel>,
    token: Arc<SystemToken>,
    purpose: String,
}

impl CivilBooks {
    /// Connects when it first reads.
    ///
    /// # Errors
    /// If the address or the authority is none.
    pub fn new(
        config: CivilRegistryConfig,
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
            books: BookServiceClient::new(channel.clone()),
            entries: EntryServiceClient::new(channel.clone()),
            persons: PersonServiceClient::new(channel),
            token: Arc::new(SystemToken::new(token, keyring, clock, ids)?),
            purpose: config.purpose,
        })
    }

    /// An entry as it is now with what stands beside it; none if there is none that this system may read.
    ///
    /// # Errors
    /// The registry's, and those of its connection.
    pub(crate) async fn entry(&self, entry_id: Uuid) -> Result<Option<Box<GetEntryResponse>>, Fault> {
        let message = GetEntryRequest {
            entry_id: entry_id.to_string(),
            ..GetEntryRequest::default()
        };
        let request = self.request(message).await?;
        let mut client = self.entries.clone();
        // An answer is large: it does not lie within the futures of whoever waits for it.
        match Box::pin(client.get_entry(request)).await {
            Ok(answer) => Ok(Some(Box::new(answer.into_inner()))),
            Err(status) => {
                let fault = self.judge(&status).await;
                if fault.code() == Code::NotFound {
                    return Ok(None);
                }
                Err(fault)
            }
        }
    }

    /// The ids of all entries in the book of a commune, kind and year; none if the registry shows no such book.
    ///
    /// # Errors
    /// The registry's, and those of its connection.
    pub(crate) async fn entry_ids(
        &self,
        unit_id: i32,
        event: EventKind,
        year: i32,
    ) -> Result<Option<Vec<Uuid>>, Fault> {
        let message = ListBooksRequest {
            unit_id,
            event: event.into(),
            year,
            page_size: 200,
            ..ListBooksRequest::default()
        };
        let request = self.request(message).await?;
        let books = match self.books.clone().list_books(request).await {
            Ok(answer) => answer.into_inner().books,
            Err(status) => return Err(self.judge(&status).await),
        };
        if books.is_empty() {
            return Ok(None);
        }
        let mut ids = Vec::new();
        for book in books {
            let mut page_token = String::new();
            loop {
                let message = ListEntriesRequest {
                    book_id: book.book_id.clone(),
                    page_size: 200,
                    page_token,
                };
                let request = self.request(message).await?;
                let answer = match self.entries.clone().list_entries(request).await {
                    Ok(answer) => answer.into_inner(),
                    Err(status) => return Err(self.judge(&status).await),
                };
                for entry in &answer.entries {
                    ids.push(Uuid::try_parse(&entry.entry_id).map_err(Fault::internal)?);
                }
                page_token = answer.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
        }
        Ok(Some(ids))
    }

    /// The person of a personal number (số định danh cá nhân); none if the registry knows none, or it is no number.
    ///
    /// # Errors
    /// The registry's, and those of its connection.
    pub(crate) async fn person(&self, personal_number: &str) -> Result<Option<Uuid>, Fault> {
        let message = SearchPersonsRequest {
            personal_number: personal_number.to_owned(),
            ..SearchPersonsRequest::default()
        };
        let request = self.request(message).await?;
        match self.persons.clone().search_persons(request).await {
            Ok(answer) => {
                let found = answer.into_inner().persons;
                Ok(found.first().and_then(|one| Uuid::try_parse(&one.person_id).ok()))
            }
            Err(status) => {
                let fault = self.judge(&status).await;
                if matches!(fault.code(), Code::NotFound | Code::InvalidArgument) {
                    return Ok(None);
                }
                Err(fault)
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
