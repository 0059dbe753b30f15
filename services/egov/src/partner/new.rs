//! `cargo egov partner new`: from nothing to a first call through the door.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use egov_fault::{fault_of, reason_of};
use egov_proto::egov::integration::v1::Agreement;
use egov_proto::egov::ledger::v1::ListLogsRequest;
use egov_proto::egov::ledger::v1::ledger_service_client::LedgerServiceClient;
use egov_proto::egov::onestop::v1::GetProcedureRequest;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use egov_proto::instant;
use serde::{Deserialize, Serialize};
use tonic::Status;
use tonic::service::interceptor::InterceptedService;

use super::contracts::descriptors;
use super::desk::{Applicant, CLIENT_KEY, Desk, Party, ROLE, SIGNING_KEY};
use super::sandbox::{self, METHODS, PROVIDER, SERVICE};
use crate::client::{self, Carrier};
use crate::place::{Place, write_private};
use crate::problem::Problem;
use crate::reach::refused;
use crate::say;

/// What a partner keeps about its connection.
pub(super) const CARD: &str = "partner.json";
/// The same for a shell.
const ENVIRONMENT: &str = "partner.env";
/// The contracts that the samples need, as a `FileDescriptorSet`.
const CONTRACTS: &str = "contracts.binpb";
/// The samples, as they stand in the documents.
const SAMPLES: [(&str, &str, u32); 2] = [
    (
        "curl.sh",
        include_str!("../../../../docs/partners/samples/curl.sh"),
        0o755,
    ),
    (
        "sample.py",
        include_str!("../../../../docs/partners/samples/sample.py"),
        0o755,
    ),
];
/// Đăng ký khai sinh: what the first call asks for.
const PROCEDURE: &str = "1.001193";
/// Everything is in force everywhere within a second or two.
const PATIENCE: Duration = Duration::from_secs(15);
/// What the door says before it has heard of everything.
const NOT_YET: [&str; 4] = [
    "AGREEMENT_MISSING",
    "METHOD_UNKNOWN",
    "PERMITS_STALE",
    "PROVIDER_UNAVAILABLE",
];

/// `cargo egov partner new`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The client id of the system: small letters, digits, full stops and hyphens, 3 to 80.
    #[arg(value_parser = name)]
    name: String,
    /// The folder for keys, addresses and samples; else `partners/NAME` in the data folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The unit that keeps the system's entries, by its code.
    #[arg(long, value_name = "CODE", default_value = "16681")]
    unit: String,
    /// Register it as this administrator of the data folder.
    #[arg(long = "as", value_name = "NAME", default_value = "admin")]
    admin: String,
    /// The data folder of a running demonstration.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
    /// Print one JSON object: what `partner.json` holds, the folder, the exchange of the first call.
    #[arg(long)]
    json: bool,
}

/// A client id.
fn name(text: &str) -> Result<String, String> {
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let plain = text
        .chars()
        .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || matches!(one, '.' | '-'));
    if text == PROVIDER {
        Err(format!("{PROVIDER} is the sandbox's own provider"))
    } else if begins && plain && (3..=80).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("take 3 to 80 small letters, digits, full stops and hyphens, for example van-thu.vinh".to_owned())
    }
}

/// A method that the agreement lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Granted {
    method: String,
    mask: Vec<String>,
}

/// What a partner keeps about its connection: no secret, but where the secrets lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    /// Its client id.
    pub(super) client_id: String,
    /// The platform: identity, directory, agreements, receipts.
    url: String,
    /// The door between systems.
    door: String,
    /// Where tokens are issued.
    token_endpoint: String,
    /// The key for tokens: its file and its id.
    pub(super) client_key: String,
    client_key_id: String,
    /// The key for agreements: its file and its id.
    signing_key: String,
    signing_key_id: String,
    organisation_id: String,
    system_id: String,
    unit_code: String,
    provider_organisation_id: String,
    provider_system_id: String,
    service_id: String,
    agreement_id: String,
    /// In force before this instant.
    valid_to: String,
    methods: Vec<Granted>,
    topic_id: String,
    /// The key of the ledger in which exchanges stand.
    ledger_key: String,
    /// The contracts, a `FileDescriptorSet`.
    contracts: String,
}

/// `cargo egov partner new`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    let name = arguments.name.as_str();
    let folder = match &arguments.out {
        Some(folder) => std::path::absolute(folder).with_context(|| format!("{} is no path", folder.display()))?,
        None => place.path("partners").join(name),
    };
    let desk = Desk::open(place.clone(), &arguments.admin, arguments.json).await?;
    if !arguments.json {
        say::line(format!("{name}, in {}", folder.display()));
    }
    let applicant = Applicant {
        client_id: name,
        name: format!("Hệ thống {name}"),
        organisation: format!("Đơn vị kết nối thử nghiệm {name}"),
        unit_code: &arguments.unit,
        roles: &[ROLE],
        folder: folder.clone(),
        told: true,
    };
    let partner = desk.register(&applicant).await?;
    let sandbox = sandbox::open(&desk, &place).await?;
    let agreement = sandbox::agree(&desk, &partner, name, &sandbox).await?;
    let topic = sandbox::topic(&desk, &partner, name, &sandbox).await?;
    let card = Card {
        client_id: name.to_owned(),
        url: desk.url.clone(),
        door: desk.door.clone(),
        token_endpoint: partner.token_endpoint.clone(),
        client_key: CLIENT_KEY.to_owned(),
        client_key_id: partner.client_key.id.clone(),
        signing_key: SIGNING_KEY.to_owned(),
        signing_key_id: partner.signing_key.id.clone(),
        organisation_id: partner.organisation_id.clone(),
        system_id: partner.system_id.clone(),
        unit_code: arguments.unit.clone(),
        provider_organisation_id: sandbox.provider.organisation_id.clone(),
        provider_system_id: sandbox.provider.system_id.clone(),
        service_id: sandbox.service_id.clone(),
        agreement_id: agreement.agreement_id.clone(),
        valid_to: ends(&agreement),
        methods: METHODS
            .iter()
            .map(|(method, mask)| Granted {
                method: (*method).to_owned(),
                mask: mask.iter().map(|path| (*path).to_owned()).collect(),
            })
            .collect(),
        topic_id: topic.topic_id,
        ledger_key: ledger_key(&desk).await?,
        contracts: CONTRACTS.to_owned(),
    };
    write(&folder, &card)?;
    desk.tell(
        "folder",
        format!("{CARD}, {CLIENT_KEY}, {SIGNING_KEY}, {CONTRACTS}, curl.sh, sample.py"),
    );
    let first = first_call(&partner, &card).await?;
    desk.tell("first call", format!("GetProcedure {PROCEDURE}: {}", first.answer));
    desk.tell("", format!("exchange {}", first.exchange_id));
    if arguments.json {
        let mut shown = serde_json::to_value(&card)?;
        if let Some(object) = shown.as_object_mut() {
            object.insert("folder".to_owned(), folder.display().to_string().into());
            object.insert("exchange_id".to_owned(), first.exchange_id.into());
        }
        say::json(&shown);
    } else {
        next(&arguments, &folder, name);
    }
    Ok(())
}

/// What to do now.
fn next(arguments: &Arguments, folder: &Path, name: &str) {
    let data = match arguments.data.to_str() {
        Some(".egov") | None => String::new(),
        Some(other) => format!(" --data {other}"),
    };
    let shown = folder.display();
    say::line("\nTry next:");
    for (command, what) in [
        (format!("{shown}/curl.sh"), "the same call with curl and openssl"),
        (
            format!("python3 {shown}/sample.py"),
            "with grpcio; needs grpcio, protobuf, PyJWT[crypto]",
        ),
        (format!("cargo run -p egov --example partner -- {shown}"), "with tonic"),
        (
            format!("cargo egov partner token {name}{data}"),
            "a token, for cargo egov call … --token",
        ),
        ("cargo egov partner webhook".to_owned(), "a tester for webhooks"),
    ] {
        say::line(format!("  # {what}\n  {command}"));
    }
    say::line("docs/partners/README.md goes on from here.");
}

/// When the agreement ends.
fn ends(agreement: &Agreement) -> String {
    let terms = [&agreement.current, &agreement.pending]
        .into_iter()
        .flatten()
        .find_map(|version| version.terms.as_ref());
    terms
        .and_then(|terms| terms.valid_to.as_ref())
        .and_then(instant)
        .map_or_else(String::new, |until| until.to_string())
}

/// The key of the ledger in which exchanges stand. In production a partner gets it on paper, not from the platform itself.
async fn ledger_key(desk: &Desk) -> anyhow::Result<String> {
    let logs = LedgerServiceClient::new(desk.channel.clone())
        .list_logs(ListLogsRequest::default())
        .await
        .map_err(|status| refused(&status))?
        .into_inner()
        .logs;
    logs.into_iter()
        .find(|log| log.log == "integration")
        .and_then(|mut log| log.keys.pop())
        .context("the platform names no key of the ledger")
}

/// Writes the folder. Samples that are there already are left as they are: they are the partner's to change.
fn write(folder: &Path, card: &Card) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(card)?;
    text.push('\n');
    write_private(&folder.join(CARD), text.as_bytes())?;
    write_private(&folder.join(ENVIRONMENT), environment(card).as_bytes())?;
    let contracts = descriptors(&[SERVICE, "egov.integration.v1.ExchangeService"])?;
    write_private(&folder.join(CONTRACTS), &contracts)?;
    for (name, sample, mode) in SAMPLES {
        let path = folder.join(name);
        if !path.exists() {
            std::fs::write(&path, sample)
                .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// What curl.sh needs of the card, as assignments.
fn environment(card: &Card) -> String {
    let mut text = String::from("# Written by `cargo egov partner new`; see partner.json. No secret is in it.\n");
    for (name, value) in [
        ("EGOV_CLIENT_ID", &card.client_id),
        ("EGOV_URL", &card.url),
        ("EGOV_DOOR", &card.door),
        ("EGOV_TOKEN_ENDPOINT", &card.token_endpoint),
        ("EGOV_CLIENT_KEY_ID", &card.client_key_id),
        ("EGOV_SERVICE_ID", &card.service_id),
        ("EGOV_LEDGER_KEY", &card.ledger_key),
    ] {
        let _ = writeln!(text, "{name}='{}'", value.replace('\'', r"'\''"));
    }
    text
}

/// What the first call came to.
struct First {
    answer: String,
    exchange_id: String,
}

/// Calls through the door, until everything is in force there.
async fn first_call(partner: &Party, card: &Card) -> anyhow::Result<First> {
    let channel = client::connect(&card.door).await?;
    let carrier = Carrier::of(partner.token.clone(), "case_handling");
    let mut procedures = ProcedureServiceClient::new(InterceptedService::new(channel, carrier));
    let began = Instant::now();
    loop {
        let request = GetProcedureRequest {
            procedure_code: PROCEDURE.to_owned(),
            on: None,
        };
        match procedures.get_procedure(request).await {
            Ok(answer) => {
                let exchange_id = answer
                    .metadata()
                    .get("x-egov-exchange")
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned();
                let procedure = answer.into_inner().procedure.unwrap_or_default();
                return Ok(First {
                    answer: procedure.name,
                    exchange_id,
                });
            }
            Err(status) if not_yet(&status) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(status) => {
                return Err(
                    anyhow::Error::new(Problem::refused(&fault_of(&status))).context(format!(
                        "everything is registered, but the door at {} refuses the first call",
                        card.door
                    )),
                );
            }
        }
    }
}

fn not_yet(status: &Status) -> bool {
    reason_of(status).is_some_and(|reason| NOT_YET.contains(&reason.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(client_id: &str) -> Card {
        Card {
            client_id: client_id.to_owned(),
            url: "http://127.0.0.1:1".to_owned(),
            door: "http://127.0.0.1:2".to_owned(),
            token_endpoint: "http://127.0.0.1:1/oauth2/token".to_owned(),
            client_key: CLIENT_KEY.to_owned(),
            client_key_id: "k".to_owned(),
            signing_key: SIGNING_KEY.to_owned(),
            signing_key_id: "s".to_owned(),
            organisation_id: String::new(),
            system_id: String::new(),
            unit_code: String::new(),
            provider_organisation_id: String::new(),
            provider_system_id: String::new(),
            service_id: String::new(),
            agreement_id: String::new(),
            valid_to: String::new(),
            methods: Vec::new(),
            topic_id: String::new(),
            ledger_key: "it's".to_owned(),
            contracts: CONTRACTS.to_owned(),
        }
    }

    #[test]
    fn samples_that_were_changed_stay_and_the_card_follows() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &card("first")).unwrap();
        let sample = folder.path().join("sample.py");
        let mode = std::fs::metadata(&sample).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        std::fs::write(&sample, "changed").unwrap();
        write(folder.path(), &card("second")).unwrap();
        assert_eq!(std::fs::read_to_string(&sample).unwrap(), "changed");
        let read: Card = serde_json::from_slice(&std::fs::read(folder.path().join(CARD)).unwrap()).unwrap();
        assert_eq!(read, card("second"));
    }

    #[test]
    fn a_shell_reads_what_the_card_says() {
        let text = environment(&card("first"));
        assert!(text.contains("EGOV_CLIENT_ID='first'\n"), "{text}");
        assert!(text.contains(r"EGOV_LEDGER_KEY='it'\''s'"), "{text}");
    }

    proptest! {
        #[test]
        fn a_name_is_a_client_id_of_the_contracts_or_refused(text in "[a-zA-Z0-9.-]{0,90}|\\PC{0,20}") {
            let contract = text.len() >= 3
                && text.len() <= 80
                && text.bytes().enumerate().all(|(place, byte)| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || (place > 0 && (byte == b'.' || byte == b'-'))
                });
            prop_assert_eq!(name(&text).is_ok(), contract);
        }
    }

    #[test]
    fn the_sandboxs_own_provider_is_nobodys_name() {
        assert!(name(PROVIDER).is_err());
    }
}
