//! GetCase against what it cannot do without: an echo of the same size, and the same read in SQL with its record.

use std::sync::Arc;

use anyhow::Context as _;
use egov_proto::egov::onestop::v1::GetCaseRequest;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::pgbench::Anchor;
use super::stage::Stage;
use super::submit::{Officials, case_of, file, signed};
use super::{Aim, CALLERS, How, Outcome, Run, echo, load, outcome};

/// Cases of each commune that are read.
const CASES: usize = 20;

/// The id of a case that is read, by commune and place. `get.sql` makes the same.
fn id_of(agency: usize, place: usize) -> Uuid {
    Uuid::from_u128(0xbe00_0000_0000_4000_8000_0000_0000_0000 | (agency * 1000 + place) as u128)
}

/// Makes what is to be read: one case is filed at each commune, and copied under ids that can be counted.
async fn seed(officials: &Arc<Officials>, url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for agency in 0..officials.len() {
        let (official, token) = officials.at(agency, 0).context("there are no communes")?;
        let mut client = officials.client(agency).map_err(anyhow::Error::msg)?;
        let answer = file(&mut client, &official.unit_code, token).await;
        let case = answer.and_then(case_of).map_err(anyhow::Error::msg)?;
        let ids: Vec<Uuid> = (0..CASES).map(|place| id_of(agency, place)).collect();
        for copy in [
            "INSERT INTO cases
             SELECT (jsonb_populate_record(c, jsonb_build_object('case_id', id, 'case_code', c.case_code || '/' || place))).*
             FROM cases c, unnest($2::uuid[]) WITH ORDINALITY AS copies (id, place) WHERE c.case_id = $1",
            "INSERT INTO case_components
             SELECT (jsonb_populate_record(c, jsonb_build_object('case_id', id))).*
             FROM case_components c, unnest($2::uuid[]) AS id WHERE c.case_id = $1",
        ] {
            sqlx::query(copy)
                .bind(case.case_id.parse::<Uuid>()?)
                .bind(&ids)
                .execute(&mut connection)
                .await?;
        }
    }
    sqlx::query("VACUUM (ANALYZE) cases").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn ours(officials: &Arc<Officials>, how: &How) -> Run {
    load::run(how.duration(), |caller| {
        let (client, officials) = (officials.client(caller), Arc::clone(officials));
        move |turn| {
            let (client, officials) = (client.clone(), Arc::clone(&officials));
            async move {
                let mut client = client?;
                let (_, token) = officials.at(caller, turn).ok_or("there are no communes")?;
                let agency = caller.wrapping_add(CALLERS.wrapping_mul(turn as usize)) % officials.len();
                let case_id = id_of(agency, turn as usize % CASES).to_string();
                let request = GetCaseRequest {
                    case_id: case_id.clone(),
                    with_particulars: false,
                };
                let answer = client
                    .get_case(signed(request, token))
                    .await
                    .map_err(|status| status.to_string())?
                    .into_inner();
                match answer.case {
                    Some(case) if case.case_id == case_id => Ok(()),
                    _ => Err("the answer has another case".to_owned()),
                }
            }
        }
    })
    .await
}

/// Ours, the echo and the read in SQL in turns.
pub(super) async fn measure(how: &How) -> anyhow::Result<Outcome> {
    let stage = Stage::prepare(None, None).await?;
    let running = stage.start().await?;
    let clerks = Officials::of(&stage, &running, "one_stop_clerk").await?;
    let url = running.database("onestop")?;
    seed(&clerks, &url).await?;
    let echoes = echo::Beside::start(false).await?;
    let read = Anchor {
        data: stage.data(),
        file: "get.sql",
        url: &url,
        role: Some("onestop_app"),
        variables: &[
            ("first_unit", stage.first_unit()?.to_string()),
            ("cases", CASES.to_string()),
            ("reads", "0".to_owned()),
        ],
    };
    let (mut runs, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..how.runs {
        let officials = Officials::of(&stage, &running, "officer").await?;
        runs.push(ours(&officials, how).await);
        let echoed = echoes.grpc(how.duration()).await?;
        let in_sql = read.run(how.duration()).await.context("the anchor of get")?;
        anchors.push(1.0 / (1.0 / echoed + 1.0 / in_sql));
        tracing::debug!(echoed, in_sql, "the anchor of get");
    }
    echoes.stop().await?;
    running.stop().await?;
    stage.remove()?;
    Ok(outcome("get", &runs, &anchors, Some(Aim::Ratio(0.5))))
}
