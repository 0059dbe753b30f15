//! The province's partners, simulated: `cargo egov simulate` starts them until Ctrl-C, `cargo egov up --simulators` beside a
//! demonstration that is connected to them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use egov_clock::SystemClock;
use egov_integration::partners::PartnersSection;
use egov_simulators::{
    ACCOUNT, API_KEY, CivilStatusSimulator, NOTICE_SECRET, PASSWORD, PaymentSimulator, PopulationSimulator,
    PortalSimulator, SECRET, SIGNING_SECRET, TOKEN, USERNAME, X_ROAD_CLIENT,
};

use crate::say;

/// Their names, as they are shown.
const PORTAL: &str = "national-portal";
pub(crate) const PAYMENT: &str = "payment-platform";
const POPULATION: &str = "population-register";
const CIVIL_STATUS: &str = "civil-status-register";

/// The four, for as long as this value lives. They listen on this machine only.
#[derive(Debug)]
pub(crate) struct Simulators {
    portal: PortalSimulator,
    payment: PaymentSimulator,
    population: PopulationSimulator,
    civil_status: CivilStatusSimulator,
}

impl Simulators {
    /// Starts them on free ports.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let clock = SystemClock::shared;
        Ok(Self {
            portal: PortalSimulator::start(clock()).await?,
            payment: PaymentSimulator::start(clock()).await?,
            population: PopulationSimulator::start(clock()).await?,
            civil_status: CivilStatusSimulator::start(clock()).await?,
        })
    }

    fn addresses(&self) -> [(&'static str, String); 4] {
        [
            (PORTAL, self.portal.url()),
            (PAYMENT, self.payment.url()),
            (POPULATION, self.population.url()),
            (CIVIL_STATUS, self.civil_status.url()),
        ]
    }

    /// Connects a demonstration to those of which its configuration names no address; the addresses of these, by name.
    pub(crate) fn connect(
        &self,
        section: &mut PartnersSection,
        code_tables: PathBuf,
    ) -> BTreeMap<&'static str, String> {
        if section.code_tables.as_os_str().is_empty() {
            section.code_tables = code_tables;
        }
        let mut connected = BTreeMap::new();
        let mut is_free = |name: &'static str, address: &mut String, hosts: &mut Vec<String>, url: String| {
            let free = address.is_empty();
            if free {
                address.clone_from(&url);
                *hosts = vec!["127.0.0.1".to_owned()];
                connected.insert(name, url);
            }
            free
        };
        let portal = &mut section.portal;
        let line = &mut portal.line;
        if portal.second.line.address.is_empty()
            && is_free(PORTAL, &mut line.address, &mut line.hosts, self.portal.url())
        {
            USERNAME.clone_into(&mut portal.username);
            portal.password = PASSWORD.into();
        }
        let payment = &mut section.payment;
        let line = &mut payment.line;
        if is_free(PAYMENT, &mut line.address, &mut line.hosts, self.payment.url()) {
            payment.secret = SECRET.into();
            payment.notice_secret = NOTICE_SECRET.into();
        }
        let population = &mut section.population;
        let line = &mut population.line;
        if is_free(POPULATION, &mut line.address, &mut line.hosts, self.population.url()) {
            ACCOUNT.clone_into(&mut population.user);
            population.secret = SIGNING_SECRET.into();
            population.api_key = API_KEY.into();
            X_ROAD_CLIENT.clone_into(&mut population.x_road_client);
            "XacThucThongTin".clone_into(&mut population.confirm_operation);
            "population".clone_into(&mut population.path);
            "nghean".clone_into(&mut population.account);
        }
        let civil_status = &mut section.civil_status;
        let line = &mut civil_status.line;
        let url = self.civil_status.url();
        if is_free(CIVIL_STATUS, &mut line.address, &mut line.hosts, url) {
            civil_status.token = TOKEN.into();
        }
        connected
    }

    /// Lets the payment platform call a stack back when somebody has paid.
    pub(crate) fn call_back(&self, stack: &str) -> anyhow::Result<()> {
        let url = format!("{stack}/v1/integration/payment-notices");
        Ok(self.payment.call_back_to(url, SystemClock::shared())?)
    }
}

/// `cargo egov simulate`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
    /// So many of a thousand requests meet a fault.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    faults: u32,
    /// By which the faults are drawn.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

/// `cargo egov simulate`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let simulators = Simulators::start().await?;
    for faults in [
        simulators.portal.faults(),
        simulators.payment.faults(),
        simulators.population.faults(),
        simulators.civil_status.faults(),
    ] {
        faults.seeded(arguments.seed, arguments.faults);
    }
    let addresses = simulators.addresses();
    if arguments.json {
        say::json(&BTreeMap::from(addresses));
    } else {
        say::line(say::table(addresses.map(|(name, url)| vec![name.to_owned(), url])));
        say::note("simulated partners; Ctrl-C stops them");
    }
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_partner_that_the_configuration_names_is_not_simulated() {
        let simulators = Simulators::start().await.unwrap();
        let mut section = PartnersSection::default();
        section.payment.line.address = "https://payment.example/".to_owned();
        section.portal.second.line.address = "https://portal.example/".to_owned();
        let tables = PathBuf::from("code-tables");
        let connected = simulators.connect(&mut section, tables.clone());
        let names: Vec<&str> = connected.keys().copied().collect();
        assert_eq!(names, [CIVIL_STATUS, POPULATION]);
        assert_eq!(section.payment.line.address, "https://payment.example/");
        assert!(section.payment.notice_secret.is_empty() && section.portal.line.address.is_empty());
        assert_eq!(section.population.line.address, connected[POPULATION]);
        assert_eq!(section.code_tables, tables);
    }
}
