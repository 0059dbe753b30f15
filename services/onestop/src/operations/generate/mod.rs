//! Test data with known truth: cases as the service would have written them, by COPY.
//!
//! * `plan`: what may be filed where and how, and how many cases there are on each day.
//! * `life`: how a case goes; every act is judged by the rule that judges it behind the port.
//! * [`Truth`]: what is known of the cases, counted while they are made.
//!
//! All of it is one transaction: a run that is interrupted leaves nothing. The same seed, span and packs give the same
//! cases; salts of leaves and look-up secrets are real chance all the same.

mod hours;
mod life;
mod parameters;
mod plan;
mod truth;

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use egov_auth::RowScope;
use egov_calendar::vietnam_instant;
use egov_clock::SharedIds;
use egov_database::{BulkLoad, CounterKey, Database, PastEvent, PastLeaves};
use egov_directory::Units;
use egov_keyring::Keyring;
use egov_population::{Arrivals, NameLists, NamePack, Population, PopulationError, RngExt as _, source};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::mpsc;
use uuid::{Builder, Uuid};

use self::life::{Made, Visit, live};
use self::parameters::Parameters;
use self::plan::{InForce, Plan};
pub use self::truth::Truth;
use crate::domain::listing::{ProcedureFilter, Versioned};
use crate::domain::pack::{Channel, Profile};
use crate::error::Error;
use crate::law::{Law, LawError};
use crate::store::bulk::CaseRows;
use crate::store::{agencies, bulk, procedures, statistics};

/// The register of case numbers.
const REGISTER: &str = "case";

/// Cases that are copied together.
const BATCH: usize = 2_000;

/// Batches that wait for the database.
const AHEAD: usize = 2;

/// Procedures of one page of their list.
const PAGE: i64 = 1_000;

/// Purposes of the draws: each has its own source of chance.
const PURPOSE_CASE: u32 = 0x4341_5345;
const PURPOSE_OFFICIAL: u32 = 0x4F46_4649;

/// What is to be generated.
#[derive(Debug, Clone)]
pub struct Order {
    /// How many cases.
    pub cases: u64,
    /// From which everything follows.
    pub seed: u64,
    /// First day of filing.
    pub from: Date,
    /// Last day of filing; nothing happens after it.
    pub to: Date,
    /// Add to the cases that are there.
    pub into_existing: bool,
}

/// The pack from which it is drawn: `deploy/packs/population`.
#[derive(Debug, Clone, Copy)]
pub struct PopulationPack<'a> {
    /// Lists of names.
    pub names: NamePack<'a>,
    /// parameters.toml
    pub parameters: &'a str,
}

/// What an official does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Receives and returns.
    Clerk,
    /// Handles.
    Officer,
    /// Assigns and decides.
    Leader,
}

/// What the generator works with.
pub struct Sources<'a> {
    /// The service's database.
    pub database: &'a Database,
    /// How a superuser reaches the server, and the name of the service's database there.
    pub superuser: (&'a str, &'a str),
    /// Seals the look-up secrets.
    pub keyring: Arc<Keyring>,
    /// Real chance, for what must be secret.
    pub ids: SharedIds,
    /// The units through time.
    pub units: Arc<Units>,
    /// What may be relied on.
    pub profile: Profile,
    /// Accounts of officials that exist, by unit; all others are made up and have no account.
    pub officials: HashMap<(i32, Role), Uuid>,
    /// The system that files for citizens.
    pub portal: Uuid,
}

/// What was generated.
#[derive(Debug)]
pub struct Generated {
    /// What is known of it.
    pub truth: Truth,
    /// How many rows went into each table.
    pub rows: BTreeMap<String, u64>,
    /// How the parameters are established, in words: they are synthetic.
    pub parameters: String,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Never where cases are real.
    #[error("a production installation gets no generated cases")]
    Production,
    /// A case bears a code that the province has issued.
    #[error("there are cases with issued agency codes: they are real")]
    RealCases,
    /// There are cases already.
    #[error("there are cases already")]
    NotEmpty,
    /// No procedure of the packs can be filed in the span, or on no day of it.
    #[error("on no day of the span anything can be filed: no procedure is in force, or no unit has an agency code")]
    NothingToFile,
    /// The span runs backwards.
    #[error("the span from {from} to {to} has no day")]
    Span {
        /// Its first day.
        from: Date,
        /// Its last day.
        to: Date,
    },
    /// An agency would need more numbers on a day than it has.
    #[error("unit {unit} would need more case numbers on {day} than it has: take fewer cases or a longer span")]
    DailyNumbersExhausted {
        /// Its code.
        unit: String,
        /// The day.
        day: Date,
    },
    /// parameters.toml is not usable.
    #[error("parameters.toml: {0}")]
    Parameters(String),
    /// The lists of names are not usable.
    #[error(transparent)]
    Population(#[from] PopulationError),
    /// The calendar does not know a day.
    #[error(transparent)]
    Calendar(#[from] egov_calendar::CalendarError),
    /// The law cannot be read.
    #[error(transparent)]
    Law(#[from] LawError),
    /// The service would have refused an act, or the database does not answer.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The database refuses.
    #[error(transparent)]
    Fault(#[from] egov_fault::Fault),
    /// A case cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The making of cases ended early; the reason was printed by the panic.
    #[error("the making of cases ended in a panic")]
    Ended,
}

impl From<crate::store::StoreError> for GenerateError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// What all cases are made with.
struct Maker {
    plan: Plan,
    parameters: Parameters,
    arrivals: Arrivals,
    population: Population,
    law: Law,
    keyring: Arc<Keyring>,
    ids: SharedIds,
    profile: Profile,
    seed: u64,
    epoch: i32,
    /// Nothing happens at or after this instant.
    as_of: Timestamp,
    officials: HashMap<(i32, Role), Uuid>,
    portal: Uuid,
    digits: HashMap<i32, u8>,
}

impl Maker {
    /// The account of an official: a real one if there is, else one that nobody has, the same in every run.
    fn official(&self, unit: i32, role: Role) -> Uuid {
        self.officials.get(&(unit, role)).copied().unwrap_or_else(|| {
            let number = u64::from(unit.unsigned_abs()) * 8 + role as u64;
            let mut bytes = [0; 16];
            egov_population::Rng::fill_bytes(&mut source(0, PURPOSE_OFFICIAL, number), &mut bytes);
            Builder::from_random_bytes(bytes).into_uuid()
        })
    }
}

/// A part of what was made, in the order in which it is copied.
struct Batch {
    rows: CaseRows,
    leaves: PastLeaves,
    events: Vec<PastEvent>,
    cases: u64,
}

/// What is known when the last batch was made.
struct Outcome {
    truth: Truth,
    numbers: BTreeMap<CounterKey, i64>,
}

/// Generates cases. `progress` is told how many are copied.
///
/// # Errors
/// [`GenerateError::Production`], [`GenerateError::RealCases`], [`GenerateError::NotEmpty`] where there must be none; in
/// every case nothing was written.
pub async fn generate(
    sources: Sources<'_>,
    pack: &PopulationPack<'_>,
    order: &Order,
    mut progress: impl FnMut(u64),
) -> Result<Generated, GenerateError> {
    if sources.profile == Profile::Production {
        return Err(GenerateError::Production);
    }
    if order.from > order.to {
        return Err(GenerateError::Span {
            from: order.from,
            to: order.to,
        });
    }
    let (url, database) = sources.superuser;
    let mut load = BulkLoad::begin(url, database).await?;
    let (any, issued) = bulk::present(load.conn()).await?;
    if issued {
        return Err(GenerateError::RealCases);
    }
    if any && !order.into_existing {
        return Err(GenerateError::NotEmpty);
    }
    let numbers = load.last_numbers(REGISTER).await?;
    let maker = Arc::new(prepare(sources, pack, order, load.epoch()).await?);

    let (sender, mut batches) = mpsc::channel::<Batch>(AHEAD);
    let making = tokio::task::spawn_blocking({
        let maker = Arc::clone(&maker);
        move || make(&maker, numbers, &sender)
    });
    let mut copied = 0;
    while let Some(batch) = batches.recv().await {
        batch.rows.copy(&mut load).await?;
        load.leaves(&batch.leaves).await?;
        load.events(&batch.events).await?;
        copied += batch.cases;
        progress(copied);
    }
    let outcome = making.await.map_err(|_| GenerateError::Ended)??;
    load.set_last_numbers(&outcome.numbers).await?;
    statistics::fold_everything(load.conn()).await?;
    let rows = load.commit().await?;
    Ok(Generated {
        truth: outcome.truth,
        rows,
        parameters: format!("{}: {}", maker.parameters.status, maker.parameters.source),
    })
}

/// Reads what cases are made from, and plans.
async fn prepare(
    sources: Sources<'_>,
    pack: &PopulationPack<'_>,
    order: &Order,
    epoch: i32,
) -> Result<Maker, GenerateError> {
    let law = Law::load(sources.database).await?;
    law.keep_calendar(sources.database).await?;
    let parameters = Parameters::from_toml(pack.parameters)?;
    let arrivals = parameters.arrivals()?;
    let size = (order.cases.saturating_mul(parameters.people.per_hundred_cases) / 100).clamp(1, 1_000_000);
    let population = Population::new(
        NameLists::from_text(&pack.names)?,
        order.seed,
        size,
        parameters.people.born,
    )?;
    let in_force = in_force(sources.database, order.from, order.to).await?;
    let plan = Plan::make(
        order,
        &parameters,
        &arrivals,
        &law.calendar,
        sources.profile,
        &sources.units,
        in_force,
    )?;
    let digits = sources
        .database
        .read(&RowScope::none(), async |connection| {
            let mut digits = HashMap::new();
            for office in &plan.offices {
                let of_unit = agencies::sequence_digits(&mut *connection, office.unit_id, order.from).await?;
                digits.insert(office.unit_id, of_unit);
            }
            Ok::<_, Error>(digits)
        })
        .await?;
    let after = order.to.tomorrow().map_err(|_| GenerateError::NothingToFile)?;
    Ok(Maker {
        plan,
        parameters,
        arrivals,
        population,
        law,
        keyring: sources.keyring,
        ids: sources.ids,
        profile: sources.profile,
        seed: order.seed,
        epoch,
        as_of: vietnam_instant(after.at(0, 0, 0, 0)).map_err(|_| GenerateError::NothingToFile)?,
        officials: sources.officials,
        portal: sources.portal,
        digits,
    })
}

/// The first day of a span on which a procedure is in force; none if on no day of it.
pub async fn first_day(database: &Database, from: Date, to: Date) -> Result<Option<Date>, GenerateError> {
    let in_force = in_force(database, from, to).await?;
    Ok(in_force
        .into_iter()
        .find(|(_, versions)| !versions.is_empty())
        .map(|(day, _)| day))
}

/// The versions of procedures in force on each day; a version is read once.
async fn in_force(database: &Database, from: Date, to: Date) -> Result<InForce, GenerateError> {
    let in_force = database
        .read(&RowScope::none(), async |connection| {
            let mut days = InForce::new();
            let mut known: HashMap<(String, i32), Arc<Versioned>> = HashMap::new();
            let mut day = from;
            while day <= to {
                let mut versions = Vec::new();
                let mut after = String::new();
                loop {
                    let page =
                        procedures::list(&mut *connection, day, &ProcedureFilter::default(), &after, PAGE).await?;
                    let Some(last) = page.last() else { break };
                    last.procedure.code.as_str().clone_into(&mut after);
                    for found in page {
                        let key = (found.procedure.code.as_str().to_owned(), found.version);
                        versions.push(Arc::clone(known.entry(key).or_insert_with(|| Arc::new(found))));
                    }
                }
                days.insert(day, versions);
                match day.tomorrow() {
                    Ok(next) => day = next,
                    Err(_) => break,
                }
            }
            Ok::<_, Error>(days)
        })
        .await?;
    Ok(in_force)
}

/// An event that waits for its place in the log: by time, then by case and version.
struct Waiting(PastEvent);

impl Waiting {
    fn key(&self) -> (Timestamp, Uuid, i64) {
        (self.0.time, self.0.event.aggregate_id, self.0.event.version)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    /// The earliest is the greatest: it leaves the heap first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.key().cmp(&self.key())
    }
}

/// The events that happened before an instant, in their order.
fn due(waiting: &mut BinaryHeap<Waiting>, before: Timestamp) -> Vec<PastEvent> {
    let mut events = Vec::new();
    while waiting.peek().is_some_and(|first| first.0.time < before)
        && let Some(Waiting(event)) = waiting.pop()
    {
        events.push(event);
    }
    events
}

/// Makes all cases, day by day, and hands them over batch by batch. Events wait until everything before them was made.
fn make(
    maker: &Maker,
    mut numbers: BTreeMap<CounterKey, i64>,
    sender: &mpsc::Sender<Batch>,
) -> Result<Outcome, GenerateError> {
    let mut truth = Truth::default();
    let mut waiting = BinaryHeap::new();
    for (date, count) in &maker.plan.days {
        let mut visits = visits(maker, *date, *count, &mut numbers)?.into_iter().peekable();
        while visits.peek().is_some() {
            let mut made = Made::default();
            let mut cases = 0;
            for visit in visits.by_ref().take(BATCH) {
                live(maker, visit, &mut made)?;
                cases += 1;
            }
            made.close();
            waiting.extend(made.events.drain(..).map(Waiting));
            // Whoever comes next comes later than all who came so far.
            let before = match visits.peek() {
                Some(next) => vietnam_instant(next.at),
                None => vietnam_instant(date.tomorrow().unwrap_or(*date).at(0, 0, 0, 0)),
            };
            let events = due(&mut waiting, before.unwrap_or(Timestamp::MIN));
            truth.merge(made.truth);
            let batch = Batch {
                rows: made.rows,
                leaves: made.leaves,
                events,
                cases,
            };
            if sender.blocking_send(batch).is_err() {
                // Nobody copies any more: the database failed, and says so itself.
                return Err(GenerateError::Ended);
            }
        }
    }
    let rest = Batch {
        rows: CaseRows::default(),
        leaves: PastLeaves::default(),
        events: due(&mut waiting, Timestamp::MAX),
        cases: 0,
    };
    sender.blocking_send(rest).map_err(|_| GenerateError::Ended)?;
    Ok(Outcome { truth, numbers })
}

/// Who files on a day, in the order in which they come, with their numbers.
fn visits<'a>(
    maker: &'a Maker,
    date: Date,
    count: u64,
    numbers: &mut BTreeMap<CounterKey, i64>,
) -> Result<Vec<Visit<'a>>, GenerateError> {
    let plan = &maker.plan;
    let calendar = &maker.law.calendar;
    let drawn = plan.drawn_on(date, &maker.arrivals, calendar)?;
    let day = u64::from(date.year().unsigned_abs()) * 512 + u64::from(date.day_of_year().unsigned_abs());
    let mut visits = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for place in 0..count {
        let mut rng = source(maker.seed, PURPOSE_CASE, (day << 32) | place);
        let Some(offer) = plan.offers.get(*drawn.draw(&mut rng)) else {
            continue;
        };
        let Some(offices) = plan.offices_of(offer.level) else {
            continue;
        };
        let Some(office) = plan.offices.get(*offices.draw(&mut rng)) else {
            continue;
        };
        let elsewhere = offer.channel == Channel::Counter && rng.random_bool(maker.parameters.units.elsewhere);
        let receiving = elsewhere
            .then(|| plan.offices.get(*offices.draw(&mut rng)))
            .flatten()
            .unwrap_or(office);
        let time = maker.arrivals.time(&mut rng, calendar, date, offer.channel.as_str());
        visits.push(Visit {
            offer,
            office,
            receiving,
            at: date.to_datetime(time),
            number: 0,
            digits: maker.digits.get(&office.unit_id).copied().unwrap_or(4),
            rng,
        });
    }
    // A stable sort: equal instants keep the order in which they were drawn.
    visits.sort_by_key(|visit| visit.at);
    for visit in &mut visits {
        let key = (
            visit.office.agency.as_str().to_owned(),
            REGISTER.to_owned(),
            date.to_string(),
        );
        let last = numbers.entry(key).or_default();
        *last += 1;
        visit.number = u32::try_from(*last).unwrap_or(u32::MAX);
        // Said before the cases are made, which takes a while.
        if visit.number >= 10_u32.pow(u32::from(visit.digits)) {
            return Err(GenerateError::DailyNumbersExhausted {
                unit: visit.office.code.clone(),
                day: date,
            });
        }
    }
    Ok(visits)
}
