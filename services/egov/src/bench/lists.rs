//! Lists and searches as they are asked for at a million cases: by 170 procedures, over the whole province, by the names that people have.
//!
//! The aims are absolute, so that there is no anchor; how a list grows is told by the same list among a hundredth of the cases.

use std::sync::Arc;

use egov_codes::fold;
use egov_population::{NameLists, Population, RngExt as _, source};
use egov_proto::egov::onestop::v1::{ListCasesRequest, SearchCasesRequest};
use sqlx::{Connection as _, PgConnection};

use super::stage::{Filled, Running, Stage};
use super::submit::{Officials, signed};
use super::{Aim, How, Outcome, Run, absolute, load, median};
use crate::packs::Deploy;

/// Cases on a page.
const PAGE: i32 = 50;

/// So many procedures an officer is responsible for.
const PROCEDURES: i64 = 170;

/// Among so many cases, a hundredth of a million, a list is measured a second time.
const SMALL: u64 = 100;

/// Among fewer some commune has none.
const FEWEST: u64 = 2_000;

/// People of whom names are asked for.
const PEOPLE: u64 = 100_000;

/// The years of birth of those who file, as the pack of the population has them.
const BORN: (i16, i16) = (1946, 2007);

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
         ORDER BY EXISTS (SELECT 1 FROM cases WHERE cases.procedure_code = procedures.procedure_code) DESC,
                  bool_or('commune' = ANY (levels)) DESC, procedure_code
         LIMIT $1",
    )
    .bind(PROCEDURES)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(codes)
}

/// A list of 50 of these procedures, by everybody in turn.
async fn list(officials: &Arc<Officials>, procedure_codes: &Arc<Vec<String>>, how: &How) -> Run {
    load::run(how.duration(), |caller| {
        let (client, officials) = (officials.client(caller), Arc::clone(officials));
        let procedure_codes = Arc::clone(procedure_codes);
        move |turn| {
            let (client, officials) = (client.clone(), Arc::clone(&officials));
            let request = ListCasesRequest {
                page_size: PAGE,
                procedure_codes: procedure_codes.as_ref().clone(),
                ..ListCasesRequest::default()
            };
            async move {
                let mut client = client?;
                let (_, token) = officials.at(caller, turn).ok_or("there are no officials")?;
                let answer = client.list_cases(signed(request, token)).await;
                let cases = answer.map_err(|status| status.to_string())?.into_inner().cases;
                if cases.is_empty() {
                    Err("the page is empty".to_owned())
                } else {
                    Ok(())
                }
            }
        }
    })
    .await
}

/// The runs of a list among the cases of a stage.
async fn runs_of_list(how: &How, reach: Reach, stage: &Stage) -> anyhow::Result<Vec<Run>> {
    let running = stage.start().await?;
    let codes = Arc::new(procedures(&running.database("onestop")?).await?);
    let mut runs = Vec::new();
    for _ in 0..how.runs {
        let officials = officials(stage, &running, reach).await?;
        runs.push(list(&officials, &codes, how).await);
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

fn figure(runs: &[Run], of: fn(&Run) -> f64) -> f64 {
    median(runs.iter().map(of))
}

/// The figures of a scenario, and its errors.
fn row(name: &'static str, runs: &[Run], aim: Aim) -> Outcome {
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
    let few = filled.few((how.cases / SMALL).max(how.cases.min(FEWEST))).await?;
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

/// Searches by names over the whole province; whoever is asked for need not have a case.
pub(super) async fn measure_search(how: &How, filled: &mut Filled) -> anyhow::Result<Vec<Outcome>> {
    let stage = filled.all(how).await?;
    let pack = Deploy::find(None)?.population()?;
    // Another seed than that of the cases: names by the same frequency, other people.
    let people = Arc::new(Population::new(NameLists::from_text(&pack.names())?, 2, PEOPLE, BORN)?);
    let running = stage.start().await?;
    let mut runs = Vec::new();
    for _ in 0..how.runs {
        let officials = officials(stage, &running, Reach::Province).await?;
        runs.push(search(&officials, &people, how).await);
    }
    running.stop().await?;
    Ok(vec![row("search", &runs, Aim::MostWithin(50_000.0))])
}

async fn search(officials: &Arc<Officials>, people: &Arc<Population>, how: &How) -> Run {
    load::run(how.duration(), |caller| {
        let (client, officials, people) = (officials.client(caller), Arc::clone(officials), Arc::clone(people));
        move |turn| {
            let (client, officials, people) = (client.clone(), Arc::clone(&officials), Arc::clone(&people));
            async move {
                let mut client = client?;
                let (_, token) = officials.at(caller, turn).ok_or("there are no officials")?;
                let mut rng = source(turn, PURPOSE_SEARCH, caller as u64);
                let person = people
                    .person(rng.random_range(0..people.size()))
                    .map_err(|error| error.to_string())?;
                let request = SearchCasesRequest {
                    query: typed(&person.full_name, rng.random_range(0..u32::MAX)),
                    page_size: PAGE,
                    ..SearchCasesRequest::default()
                };
                let answer = client.search_cases(signed(request, token)).await;
                answer.map(drop).map_err(|status| status.to_string())
            }
        }
    })
    .await
}
