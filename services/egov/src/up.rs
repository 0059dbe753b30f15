//! `cargo egov up`: a working one-stop centre, until Ctrl-C.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use egov_clock::SystemClock;
use egov_integration::config::EndpointsSection;
use egov_integration::partners::PartnersSection;
use egov_runtime::config::{LogFormat, ServerConfig, TelemetryConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::Shutdown;
use egov_runtime::telemetry;
use serde::{Deserialize, Serialize};

use crate::packs::Deploy;
use crate::place::Place;
use crate::problem::Problem;
use crate::simulate::{PAYMENT, Simulators};
use crate::stack::{Stack, Start};
use crate::{Installation, Profile, accounts, say};

/// `cargo egov up`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    installation: Installation,
    /// Address and port; port 0 takes a free one. [default: 127.0.0.1:8765]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A file with the key `books` and the sections `[server]`, `[telemetry]`, `[partners]` and `[endpoints]`; variables `EGOV_UP__SERVER__…` win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A demonstration of partners: starts them simulated beside it (national portal, payment platform, population and civil-status
    /// registers) and connects those of which `[partners]` names no address. They listen on this machine and forget everything when
    /// it ends; nothing that they say is true, so there are none in production.
    #[arg(long)]
    simulators: bool,
    /// When ready, print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What can be configured beyond the command line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    server: ServerConfig,
    telemetry: TelemetryConfig,
    /// The province's partners, as integration alone knows them; none at first. What `[partners.portal.one_stop]` leaves empty is this
    /// process.
    partners: PartnersSection,
    /// Where the endpoints of partners' services may lie. In a demonstration on this machine too.
    endpoints: EndpointsSection,
    /// What one-stop decides of civil status goes into the books of the civil registry, and completes its case when it is entered. Off at first: the
    /// communes open their books before.
    books: bool,
}

impl Default for Config {
    /// The port of `up`, and a quiet log: a person reads it.
    fn default() -> Self {
        let mut telemetry = TelemetryConfig::default();
        "warn".clone_into(&mut telemetry.log.filter);
        telemetry.log.format = if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        Self {
            server: server_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 8765))),
            telemetry,
            partners: PartnersSection::default(),
            endpoints: EndpointsSection::default(),
            books: false,
        }
    }
}

/// The server's defaults on an address.
pub(crate) fn server_on(listen: SocketAddr) -> ServerConfig {
    ServerConfig {
        listen,
        ..ServerConfig::default()
    }
}

/// `cargo egov up`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let Arguments {
        installation,
        listen,
        config,
        simulators,
        json,
    } = arguments;
    if simulators && installation.profile == Profile::Production {
        return Err(Problem::new(
            "--simulators is for a demonstration: in production nobody has paid because a simulator says so",
            "leave it out, and name the province's partners in a file: --config FILE, section [partners]",
        )
        .into());
    }
    let mut config: Config = egov_runtime::config::load("up", config.as_deref())?;
    if let Some(listen) = listen {
        config.server.listen = listen;
    }
    if config.server.tls.certificate.is_some() {
        return Err(Problem::new(
            "`up` does not encrypt: it is one process for one machine",
            "put a proxy with TLS in front of it, or run the services by themselves, which take [server.tls]",
        )
        .into());
    }
    let deploy = Deploy::find(installation.deploy.as_deref())?;
    let place = Place::make(&installation.data)?;
    let contract = Contract::with_formats(&egov_proto::POOL, &Formats::of_law())?;
    let telemetry = telemetry::start(
        "egov",
        &config.telemetry,
        contract.personal_field_names(),
        SystemClock::shared(),
    )?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let human = !json && config.telemetry.log.format == LogFormat::Text;
    let simulated = if simulators {
        Some(Simulators::start().await?)
    } else {
        None
    };
    let partners = simulated.as_ref().map_or_else(BTreeMap::new, |simulated| {
        simulated.connect(&mut config.partners, deploy.code_tables())
    });
    let stack = Box::pin(Stack::start(Start {
        place: place.clone(),
        deploy,
        profile: installation.profile,
        database_url: installation.database_url.as_deref(),
        server: config.server,
        quiet: !human,
        shutdown,
        publish_before_use: None,
        partners: config.partners,
        endpoints: config.endpoints,
        simulated: simulated.is_some(),
        books: config.books,
    }))
    .await?;
    if let Some(simulated) = &simulated {
        simulated.call_back(&stack.url())?;
    }
    if let Some(notice) = &stack.notice {
        say::note(format!("note: {notice}"));
    }
    if json {
        say::json(&serde_json::json!({
            "address": stack.address,
            "url": stack.url(),
            "door": stack.door_url(),
            "docs": format!("{}/docs", stack.url()),
            "openapi": format!("{}/openapi.json", stack.url()),
            "simulators": partners,
            "pid": std::process::id(),
            "data": place.folder(),
            "profile": installation.profile,
            "packs": stack.report,
            "accounts": accounts::members(installation.profile).iter().map(|member| member.name).collect::<Vec<_>>(),
            "elapsed_ms": began.elapsed().as_millis() as u64,
        }));
    } else {
        show(&stack, &place, &installation, &partners, began.elapsed().as_secs_f64());
    }
    let drained = stack.ended().await?;
    if !json {
        match drained.aborted_connections {
            0 => say::note("stopped"),
            aborted => say::note(format!("stopped; {aborted} connections were cut")),
        }
    }
    telemetry.stop();
    Ok(())
}

/// The short table.
fn show(
    stack: &Stack,
    place: &Place,
    installation: &Installation,
    partners: &BTreeMap<&'static str, String>,
    seconds: f64,
) {
    let url = stack.url();
    let cell = |text: &str| text.to_owned();
    say::line(format!("egov is ready ({seconds:.1} s)\n"));
    say::line(say::table([
        vec![cell("gRPC, gRPC-Web, REST"), url.replace("http://", "")],
        vec![cell("door between systems"), stack.door_url().replace("http://", "")],
        vec![cell("read and try in a browser"), format!("{url}/docs")],
        vec![cell("OpenAPI 3.1"), format!("{url}/openapi.json")],
        vec![cell("tokens (OAuth 2.0)"), format!("{url}/oauth2/token")],
        vec![cell("keys of the tokens"), format!("{url}/.well-known/jwks.json")],
        vec![cell("data folder"), place.folder().display().to_string()],
        vec![cell("packs"), stack.report.sentence()],
    ]));
    for line in &stack.report.refused {
        say::line(format!("   refused {}: {}", line.name, line.detail));
    }
    if !partners.is_empty() {
        say::line("\nSimulated partners; nothing that they say is true:");
        let rows = partners.iter().map(|(name, url)| vec![cell(name), url.clone()]);
        say::line(say::table(rows));
    }
    say::line("");
    let mut rows = vec![vec![cell("--as"), cell("who"), cell("role"), cell("at unit")]];
    rows.extend(accounts::members(installation.profile).iter().map(|member| {
        vec![
            cell(member.name),
            format!("{}, {}", member.full_name, member.title),
            cell(member.role),
            cell(member.unit),
        ]
    }));
    if installation.profile == Profile::Demo {
        rows.push(vec![
            cell("portal"),
            cell("Cổng Dịch vụ công quốc gia, for the citizen"),
            cell("national_portal"),
            cell("-"),
        ]);
        rows.push(vec![
            cell("citizen"),
            cell("Nguyễn Thị Hường, eID level 2 (test issuer for VNeID)"),
            cell("citizen"),
            cell("-"),
        ]);
    }
    say::line(say::table(rows));
    say::line(format!(
        "\n passwords and one-time-code secrets: {}",
        place.path(accounts::FILE).display()
    ));
    let data = match installation.data.to_str() {
        Some(".egov") | None => String::new(),
        Some(other) => format!(" --data {other}"),
    };
    say::line("\nTry next, in another terminal:");
    if installation.profile == Profile::Demo {
        say::line(format!("  cargo egov demo{data}"));
        if partners.contains_key(PAYMENT) {
            say::line(format!("  cargo egov demo --fee{data}"));
        }
    }
    say::line(format!("  cargo egov call --list{data}"));
    say::line(format!("  curl {url}/v1/procedures/1.001193"));
    match installation.profile {
        Profile::Demo => say::line(format!(
            "  cargo egov call ListCases --as clerk --purpose case_handling{data}\n  curl {url}/v1/cases -H \"authorization: \
             Bearer $(cargo egov token --as clerk{data})\" -H 'x-egov-purpose: case_handling'"
        )),
        Profile::Production => {
            say::line(format!("  cargo egov call ListAccounts --as admin{data}"));
            say::line(format!("  cargo egov backup ../egov-backup{data}"));
        }
    }
    say::line("\nCtrl-C drains and stops.");
}
