//! ListCases: 50 cases for the officer of one commune, among a million of the province.

use std::sync::Arc;

use anyhow::Context as _;
use egov_proto::egov::onestop::v1::ListCasesRequest;

use super::pgbench::Anchor;
use super::stage::Filled;
use super::submit::{Officials, signed};
use super::{Aim, How, Outcome, Run, load, outcome};

/// From so many cases on every commune has more than a page.
const MANY: u64 = 100_000;

/// Cases on a page.
const PAGE: i32 = 50;

async fn ours(officials: &Arc<Officials>, how: &How) -> Run {
    let full_pages = how.cases() >= MANY;
    load::run(how.duration(), |caller| {
        let (client, officials) = (officials.client(caller), Arc::clone(officials));
        move |turn| {
            let (client, officials) = (client.clone(), Arc::clone(&officials));
            async move {
                let mut client = client?;
                let (_, token) = officials.at(caller, turn).ok_or("there are no communes")?;
                let request = ListCasesRequest {
                    page_size: PAGE,
                    ..ListCasesRequest::default()
                };
                let answer = client
                    .list_cases(signed(request, token))
                    .await
                    .map_err(|status| status.to_string())?
                    .into_inner();
                // Among few cases the smallest communes have less than a page.
                match answer.cases.len() {
                    0 => Err("the page is empty".to_owned()),
                    cases if full_pages && cases != PAGE as usize => {
                        Err(format!("the page has {cases} cases, not {PAGE}"))
                    }
                    _ => Ok(()),
                }
            }
        }
    })
    .await
}

/// Ours and the same read in SQL in turns.
pub(super) async fn measure(how: &How, filled: &mut Filled) -> anyhow::Result<Outcome> {
    let stage = filled.all(how).await?;
    let running = stage.start().await?;
    let url = running.database("onestop")?;
    let read = Anchor {
        data: stage.data(),
        file: "list.sql",
        url: &url,
        role: Some("onestop_app"),
        variables: &[
            ("first_unit", stage.first_unit()?.to_string()),
            ("reads", "0".to_owned()),
        ],
    };
    let (mut runs, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..how.runs {
        let officials = Officials::of(stage, &running, "officer").await?;
        runs.push(ours(&officials, how).await);
        anchors.push(read.run(how.duration()).await.context("the anchor of list")?);
    }
    running.stop().await?;
    Ok(outcome("list", &runs, &anchors, Some(Aim::MostWithin(20_000.0))))
}
