//! The connections to the province's partners: how they are configured, and what the service is given of them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use egov_clock::{SharedClock, SharedIds};
use egov_keyring::Keyring;
use egov_partners::Partner;
use egov_partners::backoff::Backoff;
use egov_partners::civil_status::{CivilStatusAccount, CivilStatusRegister, SimCivilStatusRegister};
use egov_partners::code_tables::CodeTables;
use egov_partners::line::{Line, LineConfig};
use egov_partners::payment::{PaymentAccount, PaymentPlatform, SimPaymentPlatform};
use egov_partners::population::{PopulationAccount, PopulationRegister, SoapPopulationRegister};
use egov_partners::portal::{NationalPortal, OpenCpsPortal, PortalAccount};
use egov_partners::portal_rest::{RestAccount, RestPortal};
use egov_runtime::config::Secret;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::civil_registry::{CivilBooks, CivilRegistryConfig};
use crate::domain::delivery::Patience;
use crate::onestop::{OneStopCases, OneStopConfig};

/// What the service is given of its partners. A partner without a connection is refused with PARTNER_NOT_CONFIGURED.
#[derive(Clone)]
pub struct Connections {
    /// Cổng dịch vụ công quốc gia, by the first generation of its contract.
    pub portal: Option<Connection<dyn NationalPortal>>,
    /// The same by the second generation (REST), from this day on.
    pub portal_second: Option<(Date, Connection<dyn NationalPortal>)>,
    /// Nền tảng thanh toán.
    pub payment: Option<Connection<dyn PaymentPlatform>>,
    /// CSDL quốc gia về dân cư.
    pub population: Option<Connection<dyn PopulationRegister>>,
    /// Hộ tịch điện tử.
    pub civil_status: Option<Connection<dyn CivilStatusRegister>>,
    /// Our account and telephone at the population database (TaiKhoan, SoDienThoai).
    pub population_account: (String, String),
    /// Bảng mã.
    pub tables: Arc<CodeTables>,
    /// Seals messages and answers.
    pub keyring: Arc<Keyring>,
    /// How patient deliveries are.
    pub delivering: Delivering,
    /// Which cases the portal is told of by themselves.
    pub follow: Option<Arc<Follow>>,
    /// How cases are compared with the portal's every day.
    pub reconciling: Reconciling,
    /// Which entries of the civil registry the civil-status register is told of by themselves.
    pub books: Option<Arc<Books>>,
}

/// Whose entries the civil-status register is told of, when the civil registry says that something was entered.
#[derive(Clone)]
pub struct Books {
    /// The topic of the civil registry's events.
    pub topic: String,
    /// Where the entries are read.
    pub registry: CivilBooks,
    /// How books are compared with the register's by themselves.
    pub reconciling: ReconcilingBooks,
}

/// How the communes' books are compared with the civil-status register's (đối soát).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconcilingBooks {
    /// Each commune's books are compared once in so many days, the communes in turn; 0 for never.
    pub every_days: u8,
    /// From which hour on, in Việt Nam.
    pub hour: i8,
    /// Whether entries that the register lacks, or has otherwise, are told again at once.
    pub repair: bool,
}

impl Default for ReconcilingBooks {
    fn default() -> Self {
        Self {
            every_days: 7,
            hour: 2,
            repair: true,
        }
    }
}

/// Which cases the portal is told of, when one-stop says that something happened to them.
#[derive(Clone)]
pub struct Follow {
    /// The topic of one-stop's events.
    pub topic: String,
    /// The units whose cases are followed, identity's internal ids; empty for all that the system may read.
    pub units: Vec<i32>,
    /// Where the cases are read.
    pub cases: OneStopCases,
}

impl Follow {
    /// Whether the cases of a unit are followed.
    pub(crate) fn follows(&self, unit: i32) -> bool {
        self.units.is_empty() || self.units.contains(&unit)
    }
}

impl Connections {
    /// To nobody.
    pub fn none(keyring: Arc<Keyring>) -> Self {
        Self {
            portal: None,
            portal_second: None,
            payment: None,
            population: None,
            civil_status: None,
            population_account: (String::new(), String::new()),
            tables: Arc::new(CodeTables::default()),
            keyring,
            delivering: Delivering::default(),
            follow: None,
            reconciling: Reconciling::default(),
            books: None,
        }
    }
}

impl Connections {
    /// Whether this process has something to deliver to.
    pub(crate) fn delivers(&self) -> bool {
        let portal = self.portal.is_some() || self.portal_second.is_some();
        self.delivering.here && (portal || self.payment.is_some() || self.civil_status.is_some())
    }

    /// The portal by the generation of its contract that is spoken on a day.
    pub(crate) fn portal_on(&self, day: Date) -> Option<&Connection<dyn NationalPortal>> {
        match &self.portal_second {
            Some((from, second)) if day >= *from => Some(second),
            _ => self.portal.as_ref(),
        }
    }
}

/// How cases are compared with the portal's every day (đối soát).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reconciling {
    /// How many days before today are compared; 0 for none.
    pub days: u8,
    /// From which hour on, in Việt Nam.
    pub hour: i8,
    /// Whether differences are repaired at once.
    pub repair: bool,
    /// Within so many days each case that by what was told is not over is compared, whenever it was filed or told; 0 for none.
    pub open_within_days: u8,
}

impl Default for Reconciling {
    fn default() -> Self {
        Self {
            days: 3,
            hour: 1,
            repair: true,
            open_within_days: 7,
        }
    }
}

/// A partner and the version of its contract that is spoken.
pub struct Connection<P: ?Sized> {
    /// The partner.
    pub partner: Arc<P>,
    /// The version.
    pub contract: String,
}

impl<P: ?Sized> Clone for Connection<P> {
    fn clone(&self) -> Self {
        Self {
            partner: Arc::clone(&self.partner),
            contract: self.contract.clone(),
        }
    }
}

/// How patient deliveries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivering {
    /// Whether this process sends what was handed in; false leaves it to another process of the service.
    pub here: bool,
    /// After so many seconds without a word a try counts as lost with its process. More than a line's dead line.
    pub lost_after_seconds: u32,
    /// After so many tries a delivery is given up.
    pub most_attempts: i32,
    /// For so many hours after it was handed in, or sent again by an operator, tries that came to nothing because the partner was away do
    /// not count: its outage gives nothing up, whichever partner it is.
    pub wait_for_partner_hours: u32,
    /// That a partner does not have what was sent is believed when it says so again after so many seconds, where it knows the act by no
    /// key of its own: it may take it late, and sent again it would be done twice.
    pub believe_after_seconds: u32,
    /// So many days after a partner said first that it has taken an act and does it later, it is asked whether it has done it; then the
    /// delivery is given up. Such answers are no tries.
    pub wait_for_taken_days: u32,
    /// So many deliveries to one partner at once, each of another matter.
    pub at_once: u8,
    /// A file of a case is handed over to a partner if it has at most so many bytes: each that is under way lies in memory.
    pub most_file_bytes: u32,
    /// The waits between the tries.
    pub backoff: Backoff,
    /// After so many seconds the platform is asked about a pending payment again.
    pub ask_payment_seconds: u32,
}

impl Default for Delivering {
    fn default() -> Self {
        Self {
            here: true,
            lost_after_seconds: 120,
            most_attempts: 12,
            wait_for_partner_hours: 72,
            believe_after_seconds: 120,
            wait_for_taken_days: 7,
            at_once: 4,
            most_file_bytes: 16 << 20,
            backoff: Backoff {
                first_ms: 1_000,
                longest_ms: 15 * 60 * 1_000,
            },
            ask_payment_seconds: 300,
        }
    }
}

impl Delivering {
    /// With a delivery that is open since then.
    pub(crate) fn patience(&self, open_since: Timestamp) -> Patience {
        let wait = SignedDuration::from_hours(self.wait_for_partner_hours.into());
        Patience {
            lost_after: SignedDuration::from_secs(self.lost_after_seconds.into()),
            most_attempts: self.most_attempts,
            wait_until: open_since.checked_add(wait).unwrap_or(Timestamp::MAX),
            believe_after: SignedDuration::from_secs(self.believe_after_seconds.into()),
            taken_for: SignedDuration::from_hours(24 * i64::from(self.wait_for_taken_days)),
        }
    }
}

/// The section `partners`: a partner without an address has no connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartnersSection {
    /// The folder of the code tables.
    pub code_tables: PathBuf,
    /// How patient deliveries are.
    pub delivering: Delivering,
    /// Cổng dịch vụ công quốc gia.
    pub portal: PortalSection,
    /// Nền tảng thanh toán.
    pub payment: PaymentSection,
    /// CSDL quốc gia về dân cư.
    pub population: PopulationSection,
    /// Hộ tịch điện tử.
    pub civil_status: CivilStatusSection,
}

/// The national portal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortalSection {
    /// How it is reached.
    pub line: LineConfig,
    /// Our user.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The topic of one-stop's events: the portal is told of the cases that they are about. Empty leaves it to the units' software.
    pub follow: String,
    /// The units whose cases are followed, identity's internal ids; empty for all that the system may read.
    pub follow_units: Vec<i32>,
    /// Where the cases are read.
    pub one_stop: OneStopSection,
    /// The second generation of the contract (REST), beside the first or in its place.
    pub second: SecondPortalSection,
    /// How cases are compared with the portal's every day.
    pub reconcile: Reconciling,
}

/// The national portal by the second generation of its contract.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecondPortalSection {
    /// How it is reached. Deliveries name its contract with `rest-` before it.
    pub line: LineConfig,
    /// Our client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// The first day on which it is spoken; before it the first generation is. Needed with an address.
    pub effective_from: Option<Date>,
}

/// One-stop, where the cases that are followed are read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneStopSection {
    /// Its gRPC address.
    pub address: String,
    /// The authority of its certificate and of identity's, PEM; needed for an `https` address.
    pub ca: Option<PathBuf>,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which the proofs of the system's key are for.
    pub audience: String,
    /// The system as which cases are read; its key is the keyring's for assertions, its role `case_synchroniser`.
    pub client_id: String,
    /// For what they are read.
    pub purpose: String,
}

impl Default for OneStopSection {
    fn default() -> Self {
        Self {
            address: String::new(),
            ca: None,
            token_endpoint: String::new(),
            audience: String::new(),
            client_id: "egov-integration".to_owned(),
            purpose: "portal_synchronisation".to_owned(),
        }
    }
}

impl PortalSection {
    /// What is followed; nothing if no topic is named.
    fn follow(
        &self,
        keyring: Arc<Keyring>,
        clock: &SharedClock,
        ids: &SharedIds,
    ) -> anyhow::Result<Option<Arc<Follow>>> {
        if self.follow.is_empty() {
            return Ok(None);
        }
        let (here, one_stop) = ("partners.portal", &self.one_stop);
        let reached = !self.line.address.is_empty() || !self.second.line.address.is_empty();
        anyhow::ensure!(
            reached,
            "{here}.follow needs {here}.line.address, or {here}.second.line.address"
        );
        for (key, value) in [
            ("address", &one_stop.address),
            ("token_endpoint", &one_stop.token_endpoint),
            ("audience", &one_stop.audience),
        ] {
            anyhow::ensure!(!value.is_empty(), "{here}.follow needs {here}.one_stop.{key}");
        }
        let authority = match &one_stop.ca {
            None => None,
            Some(ca) => {
                let read = std::fs::read_to_string(ca);
                Some(read.with_context(|| format!("{} cannot be read ({here}.one_stop.ca)", ca.display()))?)
            }
        };
        let config = OneStopConfig {
            address: one_stop.address.clone(),
            authority,
            token_endpoint: one_stop.token_endpoint.clone(),
            audience: one_stop.audience.clone(),
            client_id: one_stop.client_id.clone(),
            purpose: one_stop.purpose.clone(),
        };
        Ok(Some(Arc::new(Follow {
            topic: self.follow.clone(),
            units: self.follow_units.clone(),
            cases: OneStopCases::new(config, keyring, clock.clone(), ids.clone())?,
        })))
    }
}

/// The payment platform.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentSection {
    /// How it is reached.
    pub line: LineConfig,
    /// Signs requests and answers.
    pub secret: Secret,
    /// Signs call-backs.
    pub notice_secret: Secret,
}

/// The population database.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PopulationSection {
    /// How it is reached.
    pub line: LineConfig,
    /// The user of the signature.
    pub user: String,
    /// The secret of the signature.
    pub secret: Secret,
    /// The header ApiKey.
    pub api_key: Secret,
    /// The header X-Road-Client.
    pub x_road_client: String,
    /// The operation that confirms a match.
    pub confirm_operation: String,
    /// The path below the address.
    pub path: String,
    /// TaiKhoan.
    pub account: String,
    /// SoDienThoai; may be empty.
    pub phone: String,
}

/// The civil-status register.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CivilStatusSection {
    /// How it is reached.
    pub line: LineConfig,
    /// The bearer token.
    pub token: Secret,
    /// The topic of the civil registry's events: the register is told of the entries that they are about, and what it reports is received. Empty leaves it.
    pub follow: String,
    /// Where the entries are read.
    pub registry: CivilRegistrySection,
    /// How books are compared with the register's by themselves.
    pub reconcile: ReconcilingBooks,
}

/// The civil registry, where the entries that are told are read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CivilRegistrySection {
    /// Its gRPC address.
    pub address: String,
    /// The authority of its certificate and of identity's, PEM; needed for an `https` address.
    pub ca: Option<PathBuf>,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which the proofs of the system's key are for.
    pub audience: String,
    /// The system as which entries are read; its key is the keyring's for assertions, its role `civil_status_synchroniser`.
    pub client_id: String,
    /// For what they are read.
    pub purpose: String,
}

impl Default for CivilRegistrySection {
    fn default() -> Self {
        Self {
            address: String::new(),
            ca: None,
            token_endpoint: String::new(),
            audience: String::new(),
            client_id: "egov-integration".to_owned(),
            purpose: "civil_status_registration".to_owned(),
        }
    }
}

impl CivilStatusSection {
    /// What is followed; nothing if no topic is named.
    fn books(&self, keyring: Arc<Keyring>, clock: &SharedClock, ids: &SharedIds) -> anyhow::Result<Option<Arc<Books>>> {
        if self.follow.is_empty() {
            return Ok(None);
        }
        let (here, registry) = ("partners.civil_status", &self.registry);
        for (key, value) in [
            ("line.address", &self.line.address),
            ("registry.address", &registry.address),
            ("registry.token_endpoint", &registry.token_endpoint),
            ("registry.audience", &registry.audience),
        ] {
            anyhow::ensure!(!value.is_empty(), "{here}.follow needs {here}.{key}");
        }
        let authority = match &registry.ca {
            None => None,
            Some(ca) => {
                let read = std::fs::read_to_string(ca);
                Some(read.with_context(|| format!("{} cannot be read ({here}.registry.ca)", ca.display()))?)
            }
        };
        let config = CivilRegistryConfig {
            address: registry.address.clone(),
            authority,
            token_endpoint: registry.token_endpoint.clone(),
            audience: registry.audience.clone(),
            client_id: registry.client_id.clone(),
            purpose: registry.purpose.clone(),
        };
        Ok(Some(Arc::new(Books {
            topic: self.follow.clone(),
            registry: CivilBooks::new(config, keyring, clock.clone(), ids.clone())?,
            reconciling: self.reconcile,
        })))
    }
}

impl PartnersSection {
    /// Opens what is configured; nothing is sent yet.
    pub fn open(&self, keyring: Arc<Keyring>, clock: &SharedClock, ids: &SharedIds) -> anyhow::Result<Connections> {
        let line = |partner, config: &LineConfig| -> anyhow::Result<Option<Line>> {
            if config.address.is_empty() {
                return Ok(None);
            }
            Ok(Some(Line::open(partner, config.clone(), clock.clone(), ids.clone())?))
        };
        let secret = |secret: &Secret| secrecy::SecretString::from(secret.expose());
        let follow = self.portal.follow(Arc::clone(&keyring), clock, ids)?;
        let books = self.civil_status.books(Arc::clone(&keyring), clock, ids)?;
        let mut connections = Connections::none(keyring);
        connections.follow = follow;
        connections.books = books;
        connections.delivering = self.delivering;
        connections.reconciling = self.portal.reconcile;
        if !self.code_tables.as_os_str().is_empty() {
            let tables = CodeTables::load(&self.code_tables).context("the code tables cannot be used")?;
            connections.tables = Arc::new(tables);
        }
        if let Some(line) = line(Partner::NationalPortal, &self.portal.line)? {
            let contract = line.contract().to_owned();
            let account = PortalAccount {
                username: self.portal.username.clone(),
                password: secret(&self.portal.password),
            };
            let partner = Arc::new(OpenCpsPortal::new(line, account));
            connections.portal = Some(Connection { partner, contract });
        }
        if let Some(line) = line(Partner::NationalPortal, &self.portal.second.line)? {
            let second = &self.portal.second;
            let from = second
                .effective_from
                .context("partners.portal.second needs effective_from: the first day on which it is spoken")?;
            let contract = format!("rest-{}", line.contract());
            let account = RestAccount {
                client_id: second.client_id.clone(),
                client_secret: secret(&second.client_secret),
            };
            let partner = Arc::new(RestPortal::new(line, account));
            connections.portal_second = Some((from, Connection { partner, contract }));
        }
        if let Some(line) = line(Partner::PaymentPlatform, &self.payment.line)? {
            anyhow::ensure!(
                !self.payment.notice_secret.is_empty(),
                "the payment platform's notice_secret is missing"
            );
            let contract = line.contract().to_owned();
            let account = PaymentAccount {
                secret: secret(&self.payment.secret),
                notice_secret: secret(&self.payment.notice_secret),
            };
            let partner = Arc::new(SimPaymentPlatform::new(line, account));
            connections.payment = Some(Connection { partner, contract });
        }
        if let Some(line) = line(Partner::PopulationRegister, &self.population.line)? {
            let contract = line.contract().to_owned();
            let account = PopulationAccount {
                user: self.population.user.clone(),
                secret: secret(&self.population.secret),
                api_key: secret(&self.population.api_key),
                x_road_client: self.population.x_road_client.clone(),
                confirm_operation: self.population.confirm_operation.clone(),
                path: self.population.path.clone(),
            };
            let partner = Arc::new(SoapPopulationRegister::new(line, account));
            connections.population = Some(Connection { partner, contract });
            connections.population_account = (self.population.account.clone(), self.population.phone.clone());
        }
        if let Some(line) = line(Partner::CivilStatusRegister, &self.civil_status.line)? {
            let contract = line.contract().to_owned();
            let token = secret(&self.civil_status.token);
            let partner = Arc::new(SimCivilStatusRegister::new(line, CivilStatusAccount { token }));
            connections.civil_status = Some(Connection { partner, contract });
        }
        Ok(connections)
    }
}
