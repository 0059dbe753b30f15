//! The desk at which a system is registered: at identity as a client, in the directory with its organisation and its key for
//! agreements. What is there already is found and kept, so that a run that was cut off is simply repeated.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use egov_clock::{Clock as _, SharedClock, SystemClock, SystemIds};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::identity::v1::system_service_client::SystemServiceClient as ClientRegister;
use egov_proto::egov::integration::v1::organisation_service_client::OrganisationServiceClient;
use egov_proto::egov::integration::v1::system_service_client::SystemServiceClient;
use egov_proto::egov::integration::v1::{
    AddSigningKeyRequest, ListOrganisationsRequest, ListSystemsRequest, Organisation, RegisterOrganisationRequest,
    RegisterSystemRequest, System, SystemState,
};
use egov_proto::{instant, timestamp};
use jiff::SignedDuration;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::keys::Key;
use crate::client::{self, Callers, Carrier};
use crate::place::{Place, Running};
use crate::problem::Problem;
use crate::reach::{Line, refused, request_id, unit_id};
use crate::say;

/// Why the command reads what it reads.
const PURPOSE: &str = "account_administration";
/// The role with which a system keeps its own entries and signs its own agreements.
pub(super) const ROLE: &str = "integration_partner";
/// What makes the ids of this command's requests distinct from those of others.
pub(super) const AREA: &str = "partner";
/// The X-Road member class of organisations that only try things out.
const MEMBER_CLASS: &str = "TEST";
/// How long a key for agreements counts.
const KEY_DAYS: i64 = 365;
/// The file with the key that proves a system at the token endpoint.
pub(super) const CLIENT_KEY: &str = "client-key.pem";
/// The file with the key that signs agreements.
pub(super) const SIGNING_KEY: &str = "signing-key.pem";

/// The running demonstration, its administrator, and what is told on the way.
pub(super) struct Desk {
    pub(super) callers: Callers,
    pub(super) channel: Channel,
    pub(super) url: String,
    pub(super) door: String,
    pub(super) clock: SharedClock,
    admin: String,
    quiet: bool,
}

/// Who is to be registered.
pub(super) struct Applicant<'a> {
    /// Its client id, and the X-Road code of its organisation.
    pub(super) client_id: &'a str,
    /// Of the system.
    pub(super) name: String,
    /// Of the organisation.
    pub(super) organisation: String,
    /// The unit that keeps the entries.
    pub(super) unit_code: &'a str,
    /// The roles of the system at that unit.
    pub(super) roles: &'a [&'a str],
    /// Where its keys lie.
    pub(super) folder: PathBuf,
    /// Whether its steps are told.
    pub(super) told: bool,
}

impl Applicant<'_> {
    fn tell(&self, desk: &Desk, what: &str, how: impl AsRef<str>) {
        if self.told {
            desk.tell(what, how);
        }
    }
}

/// Who is registered.
pub(super) struct Party {
    /// The account at identity: the subject of its tokens.
    pub(super) account_id: String,
    /// The unit that keeps the entries.
    pub(super) unit_id: i32,
    pub(super) organisation_id: String,
    pub(super) system_id: String,
    pub(super) client_key: Key,
    pub(super) signing_key: Key,
    /// For calls in its name.
    pub(super) line: Line,
    /// Its token.
    pub(super) token: String,
    /// Where that came from.
    pub(super) token_endpoint: String,
    /// The folder of the keys is this process's as long as this value lives.
    _held: File,
}

/// Waits until no other run works in a folder: two at once would make two keys and keep one.
fn hold(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("partner.lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Every page of a list.
pub(super) async fn pages<T>(
    mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String), Status>,
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let (more, next) = page(page_token).await.map_err(|status| refused(&status))?;
        found.extend(more);
        if next.is_empty() {
            return Ok(found);
        }
        page_token = next;
    }
}

impl Desk {
    /// The demonstration that runs on a data folder.
    pub(super) async fn open(place: Place, admin: &str, quiet: bool) -> anyhow::Result<Self> {
        let running: Running = client::running(&place)?;
        let url = running.url();
        let channel = client::connect(&url).await?;
        let clock = SystemClock::shared();
        let callers = Callers::open(place, url.clone(), channel.clone(), clock.clone(), SystemIds::shared())?;
        if callers.credentials().portal.is_none() {
            return Err(Problem::new(
                "this stack is no demonstration: nobody may sign an agreement here but the two sides themselves",
                "try it on a demonstration: cargo egov up --data DIR of another folder",
            )
            .or("docs/partners/README.md says what is done in production, step by step")
            .into());
        }
        Ok(Self {
            callers,
            channel,
            url,
            door: running.door_url(),
            clock,
            admin: admin.to_owned(),
            quiet,
        })
    }

    /// A step, for people.
    pub(super) fn tell(&self, what: &str, how: impl AsRef<str>) {
        if !self.quiet {
            say::line(format!("  {what:<14} {}", how.as_ref()));
        }
    }

    /// For calls with a token.
    pub(super) fn line(&self, token: String) -> Line {
        InterceptedService::new(self.channel.clone(), Carrier::of(token, PURPOSE))
    }

    /// Registers an applicant, or finds what is registered already.
    pub(super) async fn register(&self, applicant: &Applicant<'_>) -> anyhow::Result<Party> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&applicant.folder)
            .with_context(|| format!("cannot make {}", applicant.folder.display()))?;
        let held = hold(&applicant.folder)?;
        let (client_key, new) = Key::open_or_make(&applicant.folder.join(CLIENT_KEY))?;
        let (signing_key, _) = Key::open_or_make(&applicant.folder.join(SIGNING_KEY))?;
        let unit_id = unit_id(&self.channel, applicant.unit_code).await?;
        let account_id = self.client(applicant, &client_key, new, unit_id).await?;
        let token = self
            .callers
            .token_of_system(applicant.client_id, |claims| client_key.assertion(claims))
            .await
            .map_err(|error| {
                Problem::new(
                    format!("{} gets no token: {error:#}", applicant.client_id),
                    format!(
                        "{} must hold the key with which it was registered; bring that file back",
                        applicant.folder.join(CLIENT_KEY).display()
                    ),
                )
                .or("or take another NAME")
            })?;
        let line = self.line(token.access_token.clone());
        let organisation = self.organisation(applicant, &line, unit_id).await?;
        let system = self
            .system(applicant, &line, &organisation.organisation_id, &signing_key)
            .await?;
        Ok(Party {
            account_id,
            unit_id,
            organisation_id: organisation.organisation_id,
            system_id: system.system_id,
            client_key,
            signing_key,
            line,
            token: token.access_token,
            token_endpoint: token.endpoint,
            _held: held,
        })
    }

    /// The client at identity: the subject of its tokens. Only the administrator registers one.
    async fn client(&self, applicant: &Applicant<'_>, key: &Key, new: bool, unit_id: i32) -> anyhow::Result<String> {
        let client_id = applicant.client_id;
        let mut register = ClientRegister::new(self.line(self.callers.token(&self.admin).await?));
        let known = pages(async |page_token| {
            let request = identity::ListSystemsRequest {
                page_size: 200,
                page_token,
            };
            let answer = register.list_systems(request).await?.into_inner();
            Ok((answer.systems, answer.next_page_token))
        })
        .await?;
        if let Some(known) = known.into_iter().find(|known| known.client_id == client_id) {
            if known.disabled {
                return Err(Problem::new(format!("{client_id} was closed for good"), "take another NAME").into());
            }
            if new {
                // The key that was just made is not the one that is registered, and must not be taken for it.
                let _ = std::fs::remove_file(applicant.folder.join(CLIENT_KEY));
                return Err(Problem::new(
                    format!(
                        "{client_id} is registered already, and its key is not in {}",
                        applicant.folder.display()
                    ),
                    "name the folder with its keys: --out DIR",
                )
                .or("or take another NAME")
                .into());
            }
            if !known
                .roles
                .iter()
                .any(|held| held.role == ROLE && held.unit_id == unit_id)
            {
                return Err(Problem::new(
                    format!("{client_id} is registered, but not at unit {}", applicant.unit_code),
                    "name the unit with which it was made: --unit CODE",
                )
                .or("or take another NAME")
                .into());
            }
            applicant.tell(self, "client", format!("{client_id} is registered"));
            return Ok(known.system_id);
        }
        let request = identity::RegisterSystemRequest {
            request_id: request_id(AREA, &self.admin, format!("client {client_id} {}", key.id).as_bytes()),
            client_id: client_id.to_owned(),
            name: applicant.name.clone(),
            public_jwk: key.public_jwk(),
            roles: applicant
                .roles
                .iter()
                .map(|role| identity::SystemRole {
                    role: (*role).to_owned(),
                    unit_id,
                })
                .collect(),
            acts_for_citizens: false,
        };
        let made = register
            .register_system(request)
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        applicant.tell(
            self,
            "client",
            format!(
                "{client_id} registered at identity with its key, role {ROLE} at unit {}",
                applicant.unit_code
            ),
        );
        Ok(made.system.unwrap_or_default().system_id)
    }

    /// The organisation, which the system enters itself.
    async fn organisation(&self, applicant: &Applicant<'_>, line: &Line, unit_id: i32) -> anyhow::Result<Organisation> {
        let mut directory = OrganisationServiceClient::new(line.clone());
        let request = ListOrganisationsRequest {
            member_code: applicant.client_id.to_owned(),
            page_size: 200,
            ..ListOrganisationsRequest::default()
        };
        let known = directory
            .list_organisations(request)
            .await
            .map_err(|status| refused(&status))?
            .into_inner()
            .organisations
            .into_iter()
            .find(|known| known.member_class == MEMBER_CLASS && known.member_code == applicant.client_id);
        if let Some(known) = known {
            applicant.tell(self, "organisation", format!("{} is in the directory", known.name));
            return Ok(known);
        }
        let request = RegisterOrganisationRequest {
            request_id: request_id(AREA, applicant.client_id, b"organisation"),
            responsible_unit_id: unit_id,
            name: applicant.organisation.clone(),
            member_class: MEMBER_CLASS.to_owned(),
            member_code: applicant.client_id.to_owned(),
            ..RegisterOrganisationRequest::default()
        };
        let made = directory
            .register_organisation(request)
            .await
            .map_err(|status| refused(&status))?
            .into_inner()
            .organisation
            .unwrap_or_default();
        applicant.tell(self, "organisation", format!("{} entered in the directory", made.name));
        Ok(made)
    }

    /// The system with its key for agreements.
    async fn system(
        &self,
        applicant: &Applicant<'_>,
        line: &Line,
        organisation_id: &str,
        key: &Key,
    ) -> anyhow::Result<System> {
        let mut directory = SystemServiceClient::new(line.clone());
        let known = pages(async |page_token| {
            let request = ListSystemsRequest {
                page_size: 200,
                page_token,
                organisation_id: organisation_id.to_owned(),
            };
            let answer = directory.list_systems(request).await?.into_inner();
            Ok((answer.systems, answer.next_page_token))
        })
        .await?
        .into_iter()
        .find(|known| known.client_id == applicant.client_id);
        let system = match known {
            Some(known) if known.state() != SystemState::Active => {
                return Err(Problem::new(
                    format!(
                        "the system {} is suspended or closed in the directory",
                        applicant.client_id
                    ),
                    "resume it: cargo egov call ChangeSystemState … --token \"$(cargo egov partner token NAME)\"",
                )
                .or("or take another NAME")
                .into());
            }
            Some(known) => known,
            None => {
                let request = RegisterSystemRequest {
                    request_id: request_id(AREA, applicant.client_id, b"system"),
                    organisation_id: organisation_id.to_owned(),
                    name: applicant.name.clone(),
                    client_id: applicant.client_id.to_owned(),
                    subsystem_code: "main".to_owned(),
                };
                let made = directory
                    .register_system(request)
                    .await
                    .map_err(|status| refused(&status))?
                    .into_inner();
                made.system.unwrap_or_default()
            }
        };
        let now = self.clock.now();
        if let Some(kept) = system.signing_keys.iter().find(|kept| kept.key_id == key.id) {
            let ended = kept.withdraw_time.is_some()
                || kept
                    .valid_to
                    .as_ref()
                    .and_then(instant)
                    .is_none_or(|until| until <= now);
            if ended {
                let path = applicant.folder.join(SIGNING_KEY);
                return Err(Problem::new(
                    format!("the key {} was withdrawn or has ended", path.display()),
                    "move the file away and run this again: a new key is made and entered",
                )
                .into());
            }
            applicant.tell(
                self,
                "system",
                format!("{} is in the directory with its key", system.name),
            );
            return Ok(system);
        }
        let request = AddSigningKeyRequest {
            request_id: request_id(AREA, applicant.client_id, format!("signing key {}", key.id).as_bytes()),
            system_id: system.system_id.clone(),
            etag: system.etag,
            public_jwk: key.public_jwk(),
            valid_from: None,
            valid_to: Some(timestamp(now + SignedDuration::from_hours(24 * KEY_DAYS))),
        };
        let system = directory
            .add_signing_key(request)
            .await
            .map_err(|status| refused(&status))?
            .into_inner()
            .system
            .unwrap_or_default();
        applicant.tell(
            self,
            "system",
            format!("{} entered with its key for agreements", system.name),
        );
        Ok(system)
    }
}
