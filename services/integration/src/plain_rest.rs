//! Providers of plain REST through the door: `{METHOD} /rest/{service_id}/{path…}`.
//!
//! The path behind the id of the service is one of its OpenAPI document. What the door does with it stands in
//! `egov_door::Door::plain`; failures are told as everywhere on this platform, `google.rpc.Status` as JSON.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use egov_door::{AnswerBody, Door, Manner, PlainCall, Refusal, refusal};
use egov_fault::Fault;
use egov_transcode::Language;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use uuid::Uuid;

use crate::xroad::XRoad;

/// What every path to a provider of plain REST begins with.
const PREFIX: &str = "/rest/";

/// Plain REST and, where there is one, the façade of X-Road, in front of what else answers on the door's port.
pub(crate) fn in_front(behind: Router, door: Door, xroad: Option<XRoad>) -> Router {
    let mut router = Router::new().route("/rest/{*path}", any(move |request| serve(door.clone(), request)));
    if let Some(xroad) = xroad {
        router = router.route("/r1/{*path}", any(move |request| xroad.clone().serve(request)));
    }
    router.fallback_service(behind)
}

/// Faults as the platform tells them over HTTP; to requests and answers it adds nothing.
struct InJson(Language);

impl Manner for InJson {
    fn forwarding(&self, _: Uuid, _: &Method, _: &PathAndQuery, _: &mut HeaderMap, _: &Bytes) {}

    fn answering(&self, _: &mut HeaderMap) {}

    fn refusal(&self, fault: Fault) -> http::Response<Bytes> {
        egov_transcode::refusal_bytes(fault, self.0).map(Bytes::from)
    }
}

async fn serve(door: Door, request: Request) -> Response {
    let manner = InJson(Language::of(request.headers()));
    let target = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let consumer = match door.consumer(request.headers(), request.extensions()).await {
        Ok(consumer) => consumer,
        Err(fault) => {
            door.refused(&fault);
            return told(&manner, fault);
        }
    };
    let Some((service_id, path_and_query)) = target_of(&target) else {
        return told(&manner, refusal(Refusal::OperationUnknown));
    };
    let call = PlainCall {
        service_id,
        path_and_query,
        manner: &manner,
    };
    Box::pin(door.plain(consumer, request, call)).await.map(Body::new)
}

fn told(manner: &InJson, fault: Fault) -> Response {
    manner.refusal(fault).map(AnswerBody::of).map(Body::new)
}

/// The service, and the path below it with its query.
fn target_of(path_and_query: &str) -> Option<(Uuid, &str)> {
    let rest = path_and_query.strip_prefix(PREFIX)?;
    let end = rest.find('/')?;
    let (service_id, path) = rest.split_at_checked(end)?;
    Some((service_id.parse().ok()?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_begins_behind_the_service_as_it_came() {
        let id = "00000000-0000-0000-0000-000000000007";
        for (path, wanted) in [
            (format!("/rest/{id}/people/7?on=1"), Some("/people/7?on=1")),
            (format!("/rest/{id}/"), Some("/")),
            (format!("/rest/{id}//a%2Fb"), Some("//a%2Fb")),
            (format!("/rest/{id}"), None),
            (format!("/rest/{id}?a/b"), None),
            ("/rest/people/7".to_owned(), None),
            (format!("/other/{id}/a"), None),
        ] {
            let found = target_of(&path).map(|(found, path)| (found.as_u128(), path));
            assert_eq!(found, wanted.map(|wanted| (7, wanted)), "{path}");
        }
    }
}
