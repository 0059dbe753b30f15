//! SubmitCase against one SQL statement that writes the same rows: request id, counter, case, components, words, history,
//! outbox, leaf and its salt.

use std::sync::Arc;

use anyhow::Context as _;
use egov_clock::{Ids as _, SystemIds};
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::{
    ApplicantKind, Case, CaseComponent, Channel as Way, Party, SubmitCaseRequest, SubmitCaseResponse,
};
use prost::Message as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use super::load::{self, Connections};
use super::pgbench::Anchor;
use super::stage::{Agency, Filled, Running, Stage};
use super::{Aim, CALLERS, How, Outcome, PAYLOAD_BYTES, Run, outcome};

/// A birth registration (đăng ký khai sinh), which every commune does.
const PROCEDURE: &str = "1.001193";

/// The database of the anchor: a copy of one-stop's, which no service touches.
const TWIN: &str = "anchor";

/// Who calls at each commune, and how.
pub(super) struct Officials {
    connections: Connections,
    officials: Vec<(Agency, MetadataValue<Ascii>)>,
}

impl Officials {
    /// An official with this role at each of the communes.
    pub(super) async fn of(stage: &Stage, running: &Running, role: &str) -> anyhow::Result<Arc<Self>> {
        Self::at_agencies(stage, running, role, &stage.agencies).await
    }

    /// The same at each of these.
    pub(super) async fn at_agencies(
        stage: &Stage,
        running: &Running,
        role: &str,
        agencies: &[Agency],
    ) -> anyhow::Result<Arc<Self>> {
        let connections = Connections::open(&running.url).await?;
        let officials = agencies
            .iter()
            .map(|agency| {
                let token = stage.official(running, role, agency)?;
                Ok((agency.clone(), format!("Bearer {token}").parse()?))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Arc::new(Self { connections, officials }))
    }

    /// The client of a caller.
    pub(super) fn client(&self, caller: usize) -> Result<CaseServiceClient<Channel>, String> {
        self.connections.of(caller).map(CaseServiceClient::new)
    }

    /// How many communes there are.
    pub(super) fn len(&self) -> usize {
        self.officials.len()
    }

    /// At which commune the caller's next call is made: all of them by and by, no two callers in step.
    pub(super) fn at(&self, caller: usize, turn: u64) -> Option<&(Agency, MetadataValue<Ascii>)> {
        let place = caller.wrapping_add(CALLERS.wrapping_mul(turn as usize)) % self.len().max(1);
        self.officials.get(place)
    }
}

/// A request with its caller and purpose.
pub(super) fn signed<T>(message: T, token: &MetadataValue<Ascii>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
        .metadata_mut()
        .insert("x-egov-purpose", MetadataValue::from_static("case_handling"));
    request
}

/// What is filed at a commune's counter, exactly as large as is stated.
fn filing(unit_code: &str) -> SubmitCaseRequest {
    let mut request = SubmitCaseRequest {
        request_id: SystemIds::shared().uuid().to_string(),
        procedure_code: PROCEDURE.to_owned(),
        competent_unit_code: unit_code.to_owned(),
        channel: Way::Counter.into(),
        owner: Some(Party {
            kind: ApplicantKind::Citizen.into(),
            full_name: "Nguyễn Thị Hường".to_owned(),
            personal_number: "040190001234".to_owned(),
            phone: "0912345678".to_owned(),
            email: "huong@example.vn".to_owned(),
            address: "Số 1, đường Lê Mao, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
            date_of_birth: None,
            organisation_number: String::new(),
        }),
        components: ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"]
            .map(|code| CaseComponent {
                component_code: code.to_owned(),
                originals: 1,
                ..CaseComponent::default()
            })
            .to_vec(),
        subject: "Đăng ký khai sinh cho con".to_owned(),
        ..SubmitCaseRequest::default()
    };
    // The length of the text itself takes two bytes in both cases.
    request.subject.push_str(&" ".repeat(200));
    let missing = PAYLOAD_BYTES.saturating_sub(request.encoded_len());
    request.subject.push_str(&"x".repeat(missing));
    request
}

/// Files one case and gives it back.
pub(super) async fn file(
    client: &mut CaseServiceClient<Channel>,
    unit_code: &str,
    token: &MetadataValue<Ascii>,
) -> Result<SubmitCaseResponse, String> {
    client
        .submit_case(signed(filing(unit_code), token))
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| status.to_string())
}

/// The case of an answer, which must have a number.
pub(super) fn case_of(answer: SubmitCaseResponse) -> Result<Case, String> {
    answer
        .case
        .filter(|case| case.case_code.len() > 10)
        .ok_or_else(|| "the answer has no case with a code".to_owned())
}

async fn ours(officials: &Arc<Officials>, how: &How) -> Run {
    load::run(how.duration(), |caller| {
        let (client, officials) = (officials.client(caller), Arc::clone(officials));
        move |turn| {
            let (client, officials) = (client.clone(), Arc::clone(&officials));
            async move {
                let mut client = client?;
                let (agency, token) = officials.at(caller, turn).ok_or("there are no communes")?;
                case_of(file(&mut client, &agency.unit_code, token).await?).map(drop)
            }
        }
    })
    .await
}

/// On an empty centre; where it is said how many cases there are, among so many, and the anchor's copy has as many. A folder that
/// is somebody's own is left alone: cases are filed here.
pub(super) async fn measure(how: &How, filled: &mut Filled) -> anyhow::Result<Outcome> {
    let Some(cases) = how.cases else {
        let stage = Stage::prepare(None, Some(TWIN)).await?;
        let outcome = in_turns("submit", how, &stage).await?;
        stage.remove()?;
        return Ok(outcome);
    };
    let stage = filled.few(cases).await?;
    stage.copy_to(TWIN).await?;
    in_turns("submit, among generated cases", how, stage).await
}

/// Ours and the anchor in turns.
async fn in_turns(name: &'static str, how: &How, stage: &Stage) -> anyhow::Result<Outcome> {
    let running = stage.start().await?;
    let (mut runs, mut anchors) = (Vec::new(), Vec::new());
    let anchor = Anchor {
        data: stage.data(),
        file: "submit.sql",
        url: &running.database(TWIN)?,
        role: None,
        variables: &[],
    };
    for _ in 0..how.runs {
        // Tokens count for five minutes: new ones for each run.
        let officials = Officials::of(stage, &running, "one_stop_clerk").await?;
        runs.push(ours(&officials, how).await);
        anchors.push(anchor.run(how.duration()).await.context("the anchor of submit")?);
    }
    // Other scenarios play on the same stage.
    running.remove_copy(TWIN).await?;
    running.stop().await?;
    Ok(outcome(name, &runs, &anchors, Some(Aim::Ratio(0.6))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filing_has_exactly_the_stated_size() {
        assert_eq!(filing("16690").encoded_len(), PAYLOAD_BYTES);
    }
}
