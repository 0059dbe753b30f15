//! Lists and searches as they are asked for at a million cases: by 170 procedures, over the whole province, by the names that people have.
//!
//! The aims are absolute, so that there is no anchor; how a list grows is told by the same list among a hundredth of the cases.
//!
//! Every fourth call reads the second page of the list or search before it. A page that holds less than there is counts as an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use egov_codes::fold;
use egov_population::{NameLists, Population, RngExt as _, source};
use egov_proto::egov::onestop::v1::{CaseSummary, ListCasesRequest, SearchCasesRequest};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;

use super::stage::{Filled, Running, Stage};
use super::submit::{Officials, signed};
use super::{Aim, How, Outcome, Run, absolute, load, median};
use crate::packs::Deploy;
use crate::say;

/// Cases on a page.
const PAGE: i32 = 50;

/// The last of so many calls reads the second page of the one before it.
const SECOND: u64 = 4;

/// So many procedures an officer is responsible for.
const PROCEDURES: i64 = 170;

/// Among so many cases, a hundredth of a million, a list is measured a second time.
const SMALL: u64 = 100;

/// Among fewer some commune has none.
const FEWEST: u64 = 2_000;

/// People of whom names are asked for.
const PEOPLE: u64 = 100_000;

/// The years of birth of those who file, as the pack of the population has them.
pub(super) const BORN: (i16, i16) = (1946, 2007);

/// Names of so many cases are asked for.
const NAMES: i64 = 10_000;

/// The purpose of the draws of names.
const PURPOSE_SEARCH: u32 = 0x5345_4152;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// An officer of each commune.
    Commune,
    /// An officer of the province, who sees all of them.
    Province,
}

/// The procedures that are filed most widely, and others until they are enough.
async fn procedures(url: &str) -> anyhow::Result<Vec<String>> {
    let mut connection = PgConnection::connect(url).await?;
    let codes = sqlx::query_scalar(
        "SELECT procedure_code FROM procedures
         GROUP BY procedure_code
         ORDER BY procedure_code IN (SELECT procedure_code FROM cases) DESC,
                  bool_or('commune' = ANY (levels)) DESC, procedure_code
         LIMIT $1",
    )
    .bind(PROCEDURES)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(codes)
}

/// How many cases of these procedures an agency sees at least, by its unit: its own; the province those of all communes.
async fn held(url: &str, procedure_codes: &[String], stage: &Stage) -> anyhow::Result<BTreeMap<i32, u64>> {
    let units: Vec<i32> = stage.agencies.iter().map(|agency| agency.unit_id).collect();
    let mut connection = PgConnection::connect(url).await?;
    let counted: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT responsible_unit_id, count(*) FROM cases
         WHERE procedure_code = ANY ($1) AND responsible_unit_id = ANY ($2)
         GROUP BY responsible_unit_id",
    )
    .bind(procedure_codes.to_vec())
    .bind(units)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    let mut held: BTreeMap<i32, u64> = counted
        .into_iter()
        .map(|(unit, count)| (unit, count.unsigned_abs()))
        .collect();
    let all: u64 = held.values().sum();
    held.insert(stage.province.unit_id, all);
    Ok(held)
}

/// What a caller remembers of the page before.
#[derive(Default)]
struct Before {
    /// What was searched for.
    query: String,
    /// By which the next page is asked for; empty if there is none.
    next: String,
    /// The last case of the page.
    last: String,
}

impl Before {
    /// The first page, if it is the turn of the second and there is one.
    fn first(&mut self, turn: u64) -> Option<Self> {
        let before = std::mem::take(self);
        (turn % SECOND == SECOND - 1 && !before.next.is_empty()).then_some(before)
    }
}

/// Whether a page holds what it must, where at least `left` cases are to come; what is to be remembered of it.
fn checked(cases: &[CaseSummary], next: String, left: u64, first: Option<&Before>) -> Result<Before, String> {
    let full = u64::from(PAGE.unsigned_abs());
    let (found, due) = (cases.len() as u64, left.clamp(1, full));
    if found < due {
        return Err(format!("the page has {found} cases, not {due}"));
    }
    if left > full && next.is_empty() {
        return Err(format!("the page is the last, but there are {left} cases"));
    }
    if first.is_some_and(|first| cases.iter().any(|case| case.case_id == first.last)) {
        return Err("the second page has a case of the first".to_owned());
    }
    Ok(Before {
        query: String::new(),
        next,
        last: cases.last().map(|case| case.case_id.clone()).unwrap_or_default(),
    })
}

/// What is listed, by whom, and how much of it there is.
struct Listed {
    officials: Arc<Officials>,
    procedure_codes: Vec<String>,
    held: BTreeMap<i32, u64>,
}

/// A list of 50 of these procedures, by everybody in turn.
async fn list(listed: Listed, how: &How) -> Run {
    let listed = Arc::new(listed);
    load::run(how.duration(), |caller| {
        let (client, listed) = (listed.officials.client(caller), Arc::clone(&listed));
        let before = Arc::new(Mutex::new(Before::default()));
        move |turn| {
            let (client, listed, before) = (client.clone(), Arc::clone(&listed), Arc::clone(&before));
            async move {
                let mut client = client?;
                let mut before = before.lock().await;
                let first = before.first(turn);
                // Whoever read the first page reads the second.
                let (agency, token) = listed
                    .officials
                    .at(caller, turn - u64::from(first.is_some()))
                    .ok_or("there are no officials")?;
                let request = ListCasesRequest {
                    page_size: PAGE,
                    page_token: first.as_ref().map(|first| first.next.clone()).unwrap_or_default(),
                    procedure_codes: listed.procedure_codes.clone(),
                    ..ListCasesRequest::default()
                };
                let answer = client.list_cases(signed(request, token)).await;
                let page = answer.map_err(|status| status.to_string())?.into_inner();
                let held = listed.held.get(&agency.unit_id).copied().unwrap_or_default();
                let passed = if first.is_some() { PAGE.unsigned_abs() } else { 0 };
                let left = held.saturating_sub(u64::from(passed));
                *before = checked(&page.cases, page.next_page_token, left, first.as_ref())?;
                Ok(())
            }
        }
    })
    .await
}

/// The runs of a list among the cases of a stage.
async fn runs_of_list(how: &How, reach: Reach, stage: &Stage) -> anyhow::Result<Vec<Run>> {
    let running = stage.start().await?;
    let url = running.database("onestop")?;
    let codes = procedures(&url).await?;
    let held = held(&url, &codes, stage).await?;
    let mut runs = Vec::new();
    for _ in 0..how.runs {
        let listed = Listed {
            officials: officials(stage, &running, reach).await?,
            procedure_codes: codes.clone(),
            held: held.clone(),
        };
        runs.push(list(listed, how).await);
    }
    running.stop().await?;
    Ok(runs)
}

/// The officials who ask, with tokens that count for five minutes.
async fn officials(stage: &Stage, running: &Running, reach: Reach) -> anyhow::Result<Arc<Officials>> {
    let agencies = match reach {
        Reach::Commune => stage.agencies.clone(),
        Reach::Province => vec![stage.province.clone()],
    };
    Officials::at_agencies(stage, running, "officer", &agencies).await
}

/// The median of a figure of runs.
pub(super) fn figure(runs: &[Run], of: fn(&Run) -> f64) -> f64 {
    median(runs.iter().map(of))
}

/// The figures of a scenario, and its errors.
pub(super) fn row(name: &'static str, runs: &[Run], aim: Aim) -> Outcome {
    let parts = [
        figure(runs, |run| run.p50_us),
        figure(runs, |run| run.p95_us),
        figure(runs, |run| run.p99_us),
    ];
    Outcome {
        errors: runs.iter().map(|run| run.errors).sum(),
        ..absolute(name, figure(runs, |run| run.per_second), parts, aim)
    }
}

/// A list among all cases and among a hundredth of them.
async fn measure_list(
    how: &How,
    filled: &mut Filled,
    reach: Reach,
    names: [&'static str; 2],
    aim: Aim,
) -> anyhow::Result<Vec<Outcome>> {
    let few = filled.few((how.cases() / SMALL).max(how.cases().min(FEWEST))).await?;
    let small = runs_of_list(how, reach, few).await?;
    let large = runs_of_list(how, reach, filled.all(how).await?).await?;
    let [name, growth] = names;
    let (half_small, half_large) = (figure(&small, |run| run.p50_us), figure(&large, |run| run.p50_us));
    let grown = Outcome {
        name: growth,
        ours: half_large,
        anchor: half_small,
        ratio: half_large / half_small,
        aim: Some(Aim::RatioWithin(2.0)),
        ..row(name, &small, aim)
    };
    Ok(vec![row(name, &large, aim), grown])
}

/// 50 cases of 170 procedures for the officer of one commune.
pub(super) async fn measure_procedures(how: &How, filled: &mut Filled) -> anyhow::Result<Vec<Outcome>> {
    let names = ["list_procedures", "list_procedures, p50 over that of a hundredth"];
    measure_list(how, filled, Reach::Commune, names, Aim::MostWithin(20_000.0)).await
}

/// The same over all 130 communes.
pub(super) async fn measure_province(how: &How, filled: &mut Filled) -> anyhow::Result<Vec<Outcome>> {
    let names = ["list_province", "list_province, p50 over that of a hundredth"];
    measure_list(how, filled, Reach::Province, names, Aim::MostWithin(30_000.0)).await
}

/// What somebody types who looks for this person, without diacritics: the first two words of the name, the whole name, or the whole name but
/// for the end of its last word. All words of one in five names are given in another order.
fn typed(full_name: &str, draw: u32) -> String {
    let folded = fold(full_name).to_lowercase();
    let mut words: Vec<&str> = folded.split(' ').collect();
    match draw % 5 {
        0 | 1 => words.truncate(2),
        2 => {}
        3 => words.rotate_left(1),
        _ => {
            let cut = words.pop().unwrap_or_default();
            let begun = cut.get(..cut.len().saturating_sub(1).max(1)).unwrap_or(cut);
            words.push(begun);
        }
    }
    words.join(" ")
}

/// Names of people who have a case: of cases that came before today, since what other scenarios file is all by one name.
async fn names_of_cases(url: &str, stage: &Stage) -> anyhow::Result<Vec<String>> {
    let units: Vec<i32> = stage.agencies.iter().map(|agency| agency.unit_id).collect();
    let mut connection = PgConnection::connect(url).await?;
    let names = sqlx::query_scalar(
        "SELECT owner ->> 'full_name' FROM cases
         WHERE responsible_unit_id = ANY ($1) AND owner ->> 'kind' = 'citizen' AND owner ->> 'full_name' <> ''
           AND submit_time < date_trunc('day', now(), 'Asia/Ho_Chi_Minh')
         ORDER BY case_id
         LIMIT $2",
    )
    .bind(units)
    .bind(NAMES)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(names)
}

/// Searches by names over the whole province: half of them of people who have a case, which must be found; the others of people
/// who need not have one.
pub(super) async fn measure_search(how: &How, filled: &mut Filled) -> anyhow::Result<Vec<Outcome>> {
    let stage = filled.all(how).await?;
    let pack = Deploy::find(None)?.population()?;
    // Another seed than that of the cases: names by the same frequency, other people.
    let people = Arc::new(Population::new(NameLists::from_text(&pack.names())?, 2, PEOPLE, BORN)?);
    let running = stage.start().await?;
    let names = Arc::new(names_of_cases(&running.database("onestop")?, stage).await?);
    if names.is_empty() {
        bail!("no citizen of a commune has a case: there is nobody to search for");
    }
    let mut runs = Vec::new();
    let (mut others, mut unfound) = (0, 0);
    for _ in 0..how.runs {
        let sought = Arc::new(Sought {
            officials: officials(stage, &running, Reach::Province).await?,
            names: Arc::clone(&names),
            people: Arc::clone(&people),
            others: AtomicU64::new(0),
            unfound: AtomicU64::new(0),
        });
        runs.push(search(&sought, how).await);
        others += sought.others.load(Ordering::Relaxed);
        unfound += sought.unfound.load(Ordering::Relaxed);
    }
    running.stop().await?;
    say::note(format!(
        "  {unfound} of {others} searches for people who need not have a case found nothing; all for people who have one must"
    ));
    Ok(vec![row("search", &runs, Aim::MostWithin(50_000.0))])
}

/// Who is searched for, and by whom.
struct Sought {
    officials: Arc<Officials>,
    /// Of people who have a case.
    names: Arc<Vec<String>>,
    /// Those who need not have one.
    people: Arc<Population>,
    /// Searches for these.
    others: AtomicU64,
    /// Searches for these that found nothing.
    unfound: AtomicU64,
}

async fn search(sought: &Arc<Sought>, how: &How) -> Run {
    load::run(how.duration(), |caller| {
        let (client, sought) = (sought.officials.client(caller), Arc::clone(sought));
        let before = Arc::new(Mutex::new(Before::default()));
        move |turn| {
            let (client, sought, before) = (client.clone(), Arc::clone(&sought), Arc::clone(&before));
            async move {
                let mut client = client?;
                let mut before = before.lock().await;
                let first = before.first(turn);
                let (_, token) = sought
                    .officials
                    .at(caller, turn - u64::from(first.is_some()))
                    .ok_or("there are no officials")?;
                let mut rng = source(turn, PURPOSE_SEARCH, caller as u64);
                // A second page that was announced must be there, whoever is searched for.
                let must_find = first.is_some() || turn.is_multiple_of(2);
                let query = match &first {
                    Some(first) => first.query.clone(),
                    None => {
                        let full_name = if must_find {
                            let place = rng.random_range(0..sought.names.len());
                            sought.names.get(place).cloned().ok_or("nobody has a case")?
                        } else {
                            let number = rng.random_range(0..sought.people.size());
                            let person = sought.people.person(number).map_err(|error| error.to_string())?;
                            person.full_name
                        };
                        typed(&full_name, rng.random_range(0..u32::MAX))
                    }
                };
                let request = SearchCasesRequest {
                    query: query.clone(),
                    page_size: PAGE,
                    page_token: first.as_ref().map(|first| first.next.clone()).unwrap_or_default(),
                    ..SearchCasesRequest::default()
                };
                let answer = client.search_cases(signed(request, token)).await;
                let page = answer.map_err(|status| status.to_string())?.into_inner();
                if !must_find {
                    sought.others.fetch_add(1, Ordering::Relaxed);
                    if page.cases.is_empty() {
                        sought.unfound.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                }
                let page = checked(&page.cases, page.next_page_token, 1, first.as_ref())?;
                *before = Before { query, ..page };
                Ok(())
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_holds_less_than_there_is_is_no_answer() {
        let cases: Vec<CaseSummary> = (0..PAGE)
            .map(|number| CaseSummary {
                case_id: number.to_string(),
                ..CaseSummary::default()
            })
            .collect();
        let next = || "next".to_owned();
        let mut before = checked(&cases, next(), 120, None).unwrap();
        assert_eq!((before.next.as_str(), before.last.as_str()), ("next", "49"));
        assert!(checked(&cases[..49], next(), 120, None).is_err(), "it is not full");
        assert!(
            checked(&cases[..30], String::new(), 31, None).is_err(),
            "one is missing"
        );
        assert!(checked(&cases[..30], String::new(), 30, None).is_ok());
        assert!(checked(&cases, String::new(), 51, None).is_err(), "another must follow");
        assert!(checked(&[], String::new(), 0, None).is_err(), "it is empty");
        assert!(before.first(2).is_none(), "it is not the turn of a second page");
        before = checked(&cases, next(), 120, None).unwrap();
        let first = before.first(3).unwrap();
        assert!(
            checked(&cases, next(), 70, Some(&first)).is_err(),
            "the first page again"
        );
        assert!(before.first(3).is_none(), "there is nothing to read on with");
    }
}
