//! The civil registry among a million persons: who is found by name and year of birth, and births registered with the search for duplicates on.
//!
//! The persons are those of generated births, with names and years of birth by the pack of the population: one folder for each number of them, made
//! when the first scenario asks for it and shared by both.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use egov_civil_registry::domain::person::PersonName;
use egov_civil_registry::domain::person_search::WantedWords;
use egov_civil_registry::generate::{self, Commune, Order, Sources};
use egov_clock::{Clock as _, Ids as _, SystemClock, SystemIds};
use egov_codes::fold;
use egov_population::{NameLists, Population, RngExt as _, source};
use egov_proto::egov::civil_registry::v1::entry_service_client::EntryServiceClient;
use egov_proto::egov::civil_registry::v1::person_service_client::PersonServiceClient;
use egov_proto::egov::civil_registry::v1::{
    Birth, BirthKind, Child, FoundPerson, Parent, RegisterBirthRequest, Requester, ResidenceKind, SearchPersonsRequest,
    Sex,
};
use egov_proto::google::r#type::Date as WireDate;
use jiff::Span;
use jiff::civil::Date;
use prost::Message as _;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};

use super::lists::{figure, row};
use super::load::{self, Connections};
use super::pgbench::Anchor;
use super::stage::{Agency, Running, Stage, installation, settle};
use super::{Aim, How, Outcome, PAYLOAD_BYTES, Run, outcome};
use crate::generate::bar;
use crate::import;
use crate::packs::Deploy;
use crate::say;

/// The database of the registry.
const DATABASE: &str = egov_civil_registry::SERVICE;

/// The database of the anchor: a copy of the registry's, which no service touches.
const TWIN: &str = "anchor_registry";

/// Among so many persons, a hundredth of a million, everything is measured a second time.
const SMALL: u64 = 100;

/// Among fewer some commune has nobody.
const FEWEST: u64 = 3_000;

/// Persons on a page.
const PAGE: i32 = 50;

/// The last of so many calls reads the second page of the one before it.
const SECOND: u64 = 4;

/// So many searches are drawn, and their answers counted beforehand; they are asked over and over.
const SEARCHES: i64 = 4_000;

/// Of how many people names of births are drawn.
const PEOPLE: u64 = 1_000_000;

/// Years of birth, by which names are drawn.
const PARENTS_BORN: (i16, i16) = (1985, 2003);

/// A child of the last days is registered in time.
const DAYS: std::ops::RangeInclusive<i64> = 1..=50;

/// The purposes of the draws.
const PURPOSE_SEARCH: u32 = 0x5045_5253;
const PURPOSE_REGISTER: u32 = 0x5245_4749;

/// Data folders with generated births, by the number of persons, and whether the folder is somebody's own.
#[derive(Default)]
pub(super) struct Registries(BTreeMap<(u64, bool), Stage>);

impl Registries {
    /// As many persons as were asked for, or the folder that was given; where that has no births yet, they are made in it and kept.
    async fn all(&mut self, how: &How) -> anyhow::Result<&Stage> {
        self.stage(how, how.cases(), true).await
    }

    /// A hundredth of them, whatever was given.
    async fn few(&mut self, how: &How) -> anyhow::Result<&Stage> {
        let persons = (how.cases() / SMALL).max(how.cases().min(FEWEST));
        self.stage(how, persons, false).await
    }

    async fn stage(&mut self, how: &How, persons: u64, may_be_own: bool) -> anyhow::Result<&Stage> {
        let own = how.data.as_deref().filter(|_| may_be_own);
        let place = match self.0.entry((persons, own.is_some())) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(place) => place,
        };
        let stage = Stage::prepare(own, None).await?;
        // A folder that is somebody's own keeps all that is to be done in it.
        if fill(&stage, persons, how.json).await? && own.is_none() {
            settle(&installation(stage.data()), DATABASE, &["forward"]).await?;
        }
        Ok(place.insert(stage))
    }

    /// Removes what was made.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        self.0.into_values().try_for_each(Stage::remove)
    }
}

/// Generates births in a registry that has none; false if it has some.
async fn fill(stage: &Stage, persons: u64, quiet: bool) -> anyhow::Result<bool> {
    let deploy = Deploy::find(None)?;
    let (population, law) = (deploy.population()?, deploy.civil_registry()?);
    let communes = stage.agencies.iter().map(|agency| Commune {
        unit_id: agency.unit_id,
        code: agency.unit_code.clone(),
        name: format!("Uỷ ban nhân dân xã {}", agency.unit_code),
    });
    let opened = import::open(&installation(stage.data())).await?;
    opened.databases.close().await;
    let url = opened.postgres.superuser_url();
    let sources = Sources {
        superuser: (&url, DATABASE),
        ids: SystemIds::shared(),
        law: &law,
        names: population.names(),
        communes: communes.collect(),
    };
    let order = Order {
        persons,
        seed: 1,
        until: SystemClock::shared().today().yesterday()?,
    };
    let progress = bar(quiet, "persons", persons);
    let generated = generate::generate(sources, &order, |copied| progress.set_position(copied)).await;
    progress.finish_and_clear();
    opened.close().await?;
    match generated {
        Ok(_) => Ok(true),
        Err(generate::GenerateError::NotEmpty) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A request of civil status with its caller.
fn signed<T>(message: T, token: &MetadataValue<Ascii>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    let purpose = MetadataValue::from_static("civil_status_registration");
    request.metadata_mut().insert("x-egov-purpose", purpose);
    request
}

/// An official with a role at each of these, in their order. Tokens count for five minutes.
fn tokens(
    stage: &Stage,
    running: &Running,
    role: &str,
    agencies: &[Agency],
) -> anyhow::Result<Vec<MetadataValue<Ascii>>> {
    agencies
        .iter()
        .map(|agency| Ok(format!("Bearer {}", stage.official(running, role, agency)?).parse()?))
        .collect()
}

/// Who is looked for, by whom, and how many there are up to two pages.
struct Sought {
    full_name: String,
    birth_year: i32,
    /// The place of the official who asks.
    place: usize,
    held: u64,
}

/// What somebody types who looks for this person, without diacritics: two in five the first two words of the name, the others all of it, a third of these in
/// another order.
fn typed(full_name: &str, draw: usize) -> String {
    let folded = fold(full_name).to_lowercase();
    let mut words: Vec<&str> = folded.split(' ').collect();
    match draw % 5 {
        0 | 1 => words.truncate(2),
        2 | 3 => {}
        _ => words.rotate_left(1),
    }
    words.join(" ")
}

/// Searches for people of the registry, drawn evenly, so that names come as often as people have them; `agencies` are those who ask: each for people of
/// its own, or the province for all.
async fn searches(url: &str, agencies: &[Agency], of_province: bool) -> anyhow::Result<Vec<Sought>> {
    let mut connection = PgConnection::connect(url).await?;
    let drawn: Vec<(String, i16, i32)> = sqlx::query_as(
        "SELECT full_name, birth_year, responsible_unit_id FROM person_particulars
         WHERE birth_year IS NOT NULL
         ORDER BY md5(person_id::text)
         LIMIT $1",
    )
    .bind(SEARCHES)
    .fetch_all(&mut connection)
    .await?;
    let mut searches = Vec::with_capacity(drawn.len());
    for (draw, (full_name, birth_year, unit_id)) in drawn.into_iter().enumerate() {
        let place = if of_province {
            0
        } else {
            let place = agencies.iter().position(|agency| agency.unit_id == unit_id);
            place.context("a birth is of no commune")?
        };
        let full_name = typed(&full_name, draw);
        let wanted = WantedWords::of(&PersonName::read(&full_name)?).context("a name without a word")?;
        let held: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (
                 SELECT DISTINCT person_id FROM person_tokens
                 WHERE token = $1 AND birth_year = $2 AND words LIKE $3 AND ($4 OR responsible_unit_id = $5)
                 LIMIT $6) AS found",
        )
        .bind(&wanted.lead)
        .bind(birth_year)
        .bind(&wanted.pattern)
        .bind(of_province)
        .bind(unit_id)
        .bind(i64::from(2 * PAGE))
        .fetch_one(&mut connection)
        .await?;
        searches.push(Sought {
            full_name,
            birth_year: birth_year.into(),
            place,
            held: held.unsigned_abs(),
        });
    }
    connection.close().await?;
    if searches.is_empty() {
        bail!("the registry has nobody: there is nobody to search for");
    }
    Ok(searches)
}

/// What a caller remembers of the page before.
struct Before {
    /// Which search it was.
    number: usize,
    next: String,
    last: String,
}

/// Whether a page holds what it must, where at least `left` persons are to come; what is to be remembered of it.
fn checked(
    (number, persons, next): (usize, &[FoundPerson], String),
    left: u64,
    first: Option<&Before>,
) -> Result<Before, String> {
    let full = u64::from(PAGE.unsigned_abs());
    let (found, due) = (persons.len() as u64, left.clamp(1, full));
    if found < due {
        return Err(format!("the page has {found} persons, not {due}"));
    }
    if left > full && next.is_empty() {
        return Err(format!("the page is the last, but there are {left} persons"));
    }
    if first.is_some_and(|first| persons.iter().any(|person| person.person_id == first.last)) {
        return Err("the second page has a person of the first".to_owned());
    }
    Ok(Before {
        number,
        next,
        last: persons
            .last()
            .map(|person| person.person_id.clone())
            .unwrap_or_default(),
    })
}

/// What all callers search with.
struct Searching {
    connections: Connections,
    tokens: Vec<MetadataValue<Ascii>>,
    searches: Arc<Vec<Sought>>,
}

async fn search(searching: Searching, how: &How) -> Run {
    let searching = Arc::new(searching);
    load::run(how.duration(), |caller| {
        let searching = Arc::clone(&searching);
        let client = searching.connections.of(caller).map(PersonServiceClient::new);
        let before = Arc::new(Mutex::new(None::<Before>));
        move |turn| {
            let (client, searching, before) = (client.clone(), Arc::clone(&searching), Arc::clone(&before));
            async move {
                let mut client = client?;
                let mut before = before.lock().await;
                let is_second = turn % SECOND == SECOND - 1;
                let first = before.take().filter(|first| is_second && !first.next.is_empty());
                let number = match &first {
                    Some(first) => first.number,
                    None => source(turn, PURPOSE_SEARCH, caller as u64).random_range(0..searching.searches.len()),
                };
                let sought = searching.searches.get(number).ok_or("there is nobody to search for")?;
                let token = searching.tokens.get(sought.place).ok_or("there are no officials")?;
                let request = SearchPersonsRequest {
                    full_name: sought.full_name.clone(),
                    birth_year: sought.birth_year,
                    page_size: PAGE,
                    page_token: first.as_ref().map(|first| first.next.clone()).unwrap_or_default(),
                    ..SearchPersonsRequest::default()
                };
                let answer = client.search_persons(signed(request, token)).await;
                let page = answer.map_err(|status| status.to_string())?.into_inner();
                let passed = if first.is_some() { PAGE.unsigned_abs() } else { 0 };
                let left = sought.held.saturating_sub(u64::from(passed));
                let seen = (number, page.persons.as_slice(), page.next_page_token);
                *before = Some(checked(seen, left, first.as_ref())?);
                Ok(())
            }
        }
    })
    .await
}

/// The runs within the scope of a commune each, and over the province.
async fn runs_of_search(how: &How, stage: &Stage) -> anyhow::Result<[Vec<Run>; 2]> {
    let running = stage.start().await?;
    let url = running.database(DATABASE)?;
    let province = std::slice::from_ref(&stage.province);
    let mut all = [Vec::new(), Vec::new()];
    for (of_province, runs) in [false, true].into_iter().zip(&mut all) {
        let agencies = if of_province {
            province
        } else {
            stage.agencies.as_slice()
        };
        let drawn = Arc::new(searches(&url, agencies, of_province).await?);
        for _ in 0..how.runs {
            let searching = Searching {
                connections: Connections::open(&running.url).await?,
                tokens: tokens(stage, &running, "civil_status_reader", agencies)?,
                searches: Arc::clone(&drawn),
            };
            runs.push(search(searching, how).await);
        }
    }
    running.stop().await?;
    Ok(all)
}

/// How p50 grew from a hundredth to all of them.
fn growth(name: &'static str, small: &[Run], large: &[Run]) -> Outcome {
    let aim = Aim::RatioWithin(2.0);
    let (half_small, half_large) = (figure(small, |run| run.p50_us), figure(large, |run| run.p50_us));
    Outcome {
        ours: half_large,
        anchor: half_small,
        ratio: half_large / half_small,
        ..row(name, small, aim)
    }
}

/// SearchPersons by name and year of birth, among all and among a hundredth.
pub(super) async fn measure_search(how: &How, registries: &mut Registries) -> anyhow::Result<Vec<Outcome>> {
    let small = runs_of_search(how, registries.few(how).await?).await?;
    let large = runs_of_search(how, registries.all(how).await?).await?;
    let ([small_commune, small_province], [large_commune, large_province]) = (&small, &large);
    let aim = Aim::MostWithin(20_000.0);
    Ok(vec![
        row("person-search, a commune", large_commune, aim),
        growth(
            "person-search, a commune, p50 over that of a hundredth",
            small_commune,
            large_commune,
        ),
        row("person-search, the province", large_province, aim),
        growth(
            "person-search, the province, p50 over that of a hundredth",
            small_province,
            large_province,
        ),
    ])
}

/// The birth of a child of the last weeks, whose family nobody knows yet, exactly as large as is stated.
fn birth(people: &Population, agency: &Agency, today: Date) -> Result<RegisterBirthRequest, String> {
    // Other births in each run: the same ones again would be duplicates.
    let mut seed = [0; 8];
    SystemIds::shared().random_bytes(&mut seed);
    let mut rng = source(u64::from_le_bytes(seed), PURPOSE_REGISTER, 0);
    let mut draw = |sex: Option<egov_codes::Sex>| loop {
        let number = rng.random_range(0..people.size());
        match people.person(number) {
            Ok(person) if sex.is_none_or(|sex| sex == person.sex) => return Ok(person),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    };
    let child = draw(None)?;
    let (mother, father) = (draw(Some(egov_codes::Sex::Female))?, draw(Some(egov_codes::Sex::Male))?);
    let born = today
        .checked_sub(Span::new().days(rng.random_range(DAYS)))
        .map_err(|error| error.to_string())?;
    let place = format!("xã {}, tỉnh Nghệ An", agency.unit_code);
    let parent = |person: &egov_population::Person| Parent {
        full_name: person.full_name.clone(),
        date_of_birth: Some(WireDate::from(person.birth)),
        ethnic_group: "01".to_owned(),
        nationality: "VN".to_owned(),
        residence_kind: ResidenceKind::Permanent.into(),
        residence: place.clone(),
        ..Parent::default()
    };
    let mut request = RegisterBirthRequest {
        request_id: SystemIds::shared().uuid().to_string(),
        unit_id: agency.unit_id,
        birth: Some(Birth {
            kind: BirthKind::BothParents.into(),
            child: Some(Child {
                full_name: child.full_name,
                sex: match child.sex {
                    egov_codes::Sex::Male => Sex::Male,
                    egov_codes::Sex::Female => Sex::Female,
                }
                .into(),
                date_of_birth: Some(WireDate::from(born)),
                place_of_birth: place.clone(),
                place_of_birth_code: agency.unit_code.clone(),
                home_town: place.clone(),
                ethnic_group: "01".to_owned(),
                nationality: "VN".to_owned(),
                ..Child::default()
            }),
            mother: Some(parent(&mother)),
            father: Some(parent(&father)),
            requester: Some(Requester {
                full_name: father.full_name.clone(),
                relationship: "cha".to_owned(),
                paper: None,
            }),
            foreign_registration: None,
            abandonment: None,
        }),
        signer_name: "Hồ Văn Chủ".to_owned(),
        signer_title: "Chủ tịch".to_owned(),
        performer_name: "Phan Thị Bộ".to_owned(),
        // The length of the text itself takes two bytes in any case.
        note: "x".repeat(130),
        ..RegisterBirthRequest::default()
    };
    let missing = PAYLOAD_BYTES.saturating_sub(request.encoded_len());
    request.note.push_str(&"x".repeat(missing));
    Ok(request)
}

/// What all callers register with.
struct Registering {
    connections: Connections,
    tokens: Vec<MetadataValue<Ascii>>,
    agencies: Vec<Agency>,
    people: Arc<Population>,
    today: Date,
}

async fn register(registering: Registering, how: &How) -> Run {
    let registering = Arc::new(registering);
    load::run(how.duration(), |caller| {
        let registering = Arc::clone(&registering);
        let client = registering.connections.of(caller).map(EntryServiceClient::new);
        move |turn| {
            let (client, registering) = (client.clone(), Arc::clone(&registering));
            async move {
                let mut client = client?;
                // All communes by and by, no two callers in step.
                let place =
                    caller.wrapping_add(super::CALLERS.wrapping_mul(turn as usize)) % registering.agencies.len().max(1);
                let agency = registering.agencies.get(place).ok_or("there are no communes")?;
                let token = registering.tokens.get(place).ok_or("there are no officials")?;
                let request = birth(&registering.people, agency, registering.today)?;
                let answer = client.register_birth(signed(request, token)).await;
                let entry = answer.map_err(|status| status.to_string())?.into_inner().entry;
                match entry {
                    Some(entry) if entry.number > 0 => Ok(()),
                    _ => Err("the answer has no entry with a number".to_owned()),
                }
            }
        }
    })
    .await
}

/// Ours and the anchor in turns, in a registry.
async fn in_turns(how: &How, stage: &Stage) -> anyhow::Result<(Vec<Run>, Vec<f64>)> {
    stage.copy_of(DATABASE, TWIN).await?;
    let running = stage.start().await?;
    let names = Deploy::find(None)?.population()?;
    let people = Population::new(NameLists::from_text(&names.names())?, 3, PEOPLE, PARENTS_BORN)?;
    let people = Arc::new(people);
    let anchor = Anchor {
        data: stage.data(),
        file: "register.sql",
        url: &running.database(TWIN)?,
        role: None,
        variables: &[("first", stage.first_unit()?.to_string())],
    };
    let (mut runs, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..how.runs {
        let registering = Registering {
            connections: Connections::open(&running.url).await?,
            tokens: tokens(stage, &running, "civil_status_officer", &stage.agencies)?,
            agencies: stage.agencies.clone(),
            people: Arc::clone(&people),
            today: SystemClock::shared().today(),
        };
        runs.push(register(registering, how).await);
        anchors.push(anchor.run(how.duration()).await.context("the anchor of register")?);
    }
    running.remove_copy(TWIN).await?;
    running.stop().await?;
    Ok((runs, anchors))
}

/// RegisterBirth with the search for duplicates on, among all persons and among a hundredth. A folder that is somebody's own is left alone: births are
/// entered here.
pub(super) async fn measure_register(how: &How, registries: &mut Registries) -> anyhow::Result<Vec<Outcome>> {
    let how = &How {
        data: None,
        ..how.clone()
    };
    let (small, _) = in_turns(how, registries.few(how).await?).await?;
    let (large, anchors) = in_turns(how, registries.all(how).await?).await?;
    say::note(format!("  {} persons and a hundredth of them", how.cases()));
    Ok(vec![
        outcome("register", &large, &anchors, Some(Aim::Ratio(0.5))),
        growth("register, p50 over that of a hundredth", &small, &large),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_has_exactly_the_stated_size() {
        let names = Deploy::find(None).unwrap().population().unwrap();
        let people = Population::new(NameLists::from_text(&names.names()).unwrap(), 3, PEOPLE, PARENTS_BORN).unwrap();
        let agency = Agency {
            unit_id: 2,
            unit_code: "16690".to_owned(),
        };
        for _ in 0..20 {
            let request = birth(&people, &agency, jiff::civil::date(2026, 11, 20)).unwrap();
            assert_eq!(request.encoded_len(), PAYLOAD_BYTES);
        }
    }

    #[test]
    fn names_are_typed_without_diacritics() {
        assert_eq!(typed("Nguyễn Thị Hường", 0), "nguyen thi");
        assert_eq!(typed("Nguyễn Thị Hường", 2), "nguyen thi huong");
        assert_eq!(typed("Nguyễn Thị Hường", 4), "thi huong nguyen");
    }
}
