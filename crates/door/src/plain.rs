//! Calls of plain HTTP, whose providers have an OpenAPI interface: the same order of work as for gRPC.

use std::fmt;

use bytes::Bytes;
use egov_auth::purpose_of;
use egov_fault::{Fault, Violation};
use egov_runtime::server::{deadline_passed, message_too_large};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_RANGE, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::body::AnswerBody;
use crate::consumer::Consumer;
use crate::door::{Admitted, Door, End, Open, micros};
use crate::exchange::Outcome;
use crate::frames::{Compression, FrameError, Message, inflate};
use crate::passage::{FilterRefusal, PlainAsked, PlainFilter, PlainPassage, PlainRequest};
use crate::plain_path::PlainPath;
use crate::refusal::{Refusal, refusal};
use crate::tally::Tally;
use crate::unary::{Uncollected, collect, collect_answer, fault_of_upstream, promised, say};
use crate::wire_headers::{AGREEMENT, CONSUMER, EXCHANGE, to_plain_consumer, to_plain_provider};

/// The status in the record of a call whose consumer went away: none was sent; 499 is what servers log in that case.
const GONE: i32 = 499;

/// What is called.
#[derive(Clone, Copy)]
pub struct PlainCall<'a> {
    /// The service.
    pub service_id: Uuid,
    /// The path below the service with its query, as the caller wrote it.
    pub path_and_query: &'a str,
    /// In whose words requests and answers are.
    pub manner: &'a dyn Manner,
}

impl fmt::Debug for PlainCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainCall")
            .field("service_id", &self.service_id)
            .finish_non_exhaustive()
    }
}

/// The words of a protocol over plain HTTP: what it adds to a request and to an answer, and how it tells a fault.
pub trait Manner: Send + Sync {
    /// A request that is about to go to the provider: its verb, its path below the endpoint, its headers but those that the
    /// connection itself needs, and its body.
    fn forwarding(&self, exchange_id: Uuid, verb: &Method, path: &PathAndQuery, headers: &mut HeaderMap, body: &Bytes);
    /// The headers of an answer of the provider, after those that may not pass were left out.
    fn answering(&self, headers: &mut HeaderMap);
    /// The answer that tells a fault.
    fn refusal(&self, fault: Fault) -> Response<Bytes>;
}

/// A request as it goes on.
struct Outgoing {
    verb: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
    request: Tally,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    data: Bytes,
}

/// What the consumer gets of it.
struct Passed {
    headers: HeaderMap,
    data: Bytes,
}

impl Door {
    /// Serves a call of plain HTTP by a consumer whom [`Door::consumer`] knows. Never fails: what goes wrong is told in the
    /// answer, in the words of `call.manner`.
    pub async fn plain<B>(&self, consumer: Consumer, request: Request<B>, call: PlainCall<'_>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        match Box::pin(self.plain_call(consumer, request, &call)).await {
            Ok(response) => response,
            Err(fault) => {
                self.refused(&fault);
                told(call.manner, fault)
            }
        }
    }

    async fn plain_call<B>(
        &self,
        consumer: Consumer,
        request: Request<B>,
        asked: &PlainCall<'_>,
    ) -> Result<Response<AnswerBody>, Fault>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let (parts, body) = request.into_parts();
        // Both are about connections, and TRACE would show the provider's side of the headers.
        if matches!(parts.method, Method::TRACE | Method::CONNECT) {
            return Err(refusal(Refusal::OperationUnknown));
        }
        let (path, query) = match asked.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (asked.path_and_query, None),
        };
        let path = PlainPath::read(path)?;
        bends_nothing(query)?;
        let purpose = purpose_of(&parts.headers)?;
        let PlainPassage {
            passage,
            method,
            variables,
            filter,
        } = self.inner.parts.gatekeeper.admit_plain(
            &consumer,
            PlainAsked {
                service_id: asked.service_id,
                verb: &parts.method,
                path: &path,
                purpose: purpose.as_deref(),
            },
        )?;
        let bare = PathAndQuery::try_from(path.as_str()).map_err(|_| refusal(Refusal::PathRefused))?;
        let call = self
            .admitted(consumer, (method, bare), parts.headers, purpose, passage, GONE)
            .await?;
        let limit = self.limits().message_bytes;
        let received = received(&call, body, limit).await?;
        if parts.method == Method::POST {
            body_bends_nothing(&call.headers, &received)?;
        }
        let filter = filter.as_deref();
        let outgoing = outgoing(&call, parts.method, query, &variables, filter, received)?;
        let outgoing = addressed(outgoing, &call, asked.manner);
        let kept = call.passage.bodies.request.then(|| outgoing.body.clone());
        let open = self.open(&call, call.begun(Some(outgoing.request)), kept, None).await?;

        let begun = Instant::now();
        // Reading the request and recording it took their time: what was revoked meanwhile is not forwarded.
        let answered = match call.still_stands() {
            Ok(()) => forward(&call, &outgoing, limit).await,
            Err(ended) => Err(ended),
        };
        let provider_us = micros(begun.elapsed());
        self.plain_answer(
            &call,
            open,
            outgoing.request,
            (answered, provider_us),
            filter,
            asked.manner,
        )
        .await
    }

    async fn plain_answer(
        &self,
        call: &Admitted,
        open: Open,
        request: Tally,
        answered: (Result<Answer, (Outcome, Fault)>, u64),
        filter: Option<&dyn PlainFilter>,
        manner: &dyn Manner,
    ) -> Result<Response<AnswerBody>, Fault> {
        let (answered, provider_us) = answered;
        let mask = filter.filter(|filter| filter.masks());
        let mut withheld = None;
        let passed = answered.and_then(|answer| {
            // The provider took its time: what was revoked meanwhile does not leave. That it answered is recorded.
            call.may_answer()
                .inspect_err(|_| withheld = Some(tally(&answer.data)))?;
            let passed = pass(&answer, mask, self.limits().message_bytes)?;
            Ok((answer, passed))
        });
        let (end, response) = match passed {
            Ok((answer, passed)) => {
                let success = is_success(answer.status);
                let end = End {
                    outcome: if success { Outcome::Answered } else { Outcome::Refused },
                    status: i32::from(answer.status.as_u16()),
                    request,
                    forwarded: None,
                    response: tally(&passed.data),
                    received: mask.map(|_| tally(&answer.data)),
                    provider_us,
                    body: (call.passage.bodies.response && success).then(|| passed.data.clone()),
                };
                let mut response = Response::new(AnswerBody::of(call.placed(passed.data)));
                *response.status_mut() = answer.status;
                *response.headers_mut() = passed.headers;
                manner.answering(response.headers_mut());
                (end, response)
            }
            Err((outcome, fault)) => {
                let response = told(manner, fault);
                let end = End {
                    outcome,
                    status: i32::from(response.status().as_u16()),
                    request,
                    forwarded: None,
                    response: tally(&Bytes::new()),
                    received: withheld,
                    provider_us,
                    body: None,
                };
                (end, response)
            }
        };
        let answers = matches!(end.outcome, Outcome::Answered | Outcome::Refused);
        let promise = open.end(end).await?;
        // Recording took its time as well. By the record the answer was given: it says more than the consumer got, never less.
        let response = match call.may_answer() {
            Err((_, fault)) if answers => told(manner, fault),
            _ => response,
        };
        Ok(promised(response, call, promise))
    }
}

fn told(manner: &dyn Manner, fault: Fault) -> Response<AnswerBody> {
    manner.refusal(fault).map(AnswerBody::of)
}

fn tally(body: &Bytes) -> Tally {
    Tally::of(body, u64::from(!body.is_empty()))
}

/// 304 says that what the consumer has is still the answer.
fn is_success(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

/// The name of the parameter by which widespread frameworks take a request for one of another method: the agreement is about the
/// one that is there.
const METHOD_PARAMETER: &str = "_method";

/// Whether some framework takes a parameter for that one: PHP trims the name and writes some signs as underscores.
fn bends(name: &str) -> bool {
    let spaced = name.replace('+', " ");
    let name = percent_decode_str(&spaced).decode_utf8_lossy();
    let folded = name.trim().replace(['.', ' ', '['], "_");
    folded.trim_end_matches(']').eq_ignore_ascii_case(METHOD_PARAMETER)
}

fn bent(field: &str) -> Fault {
    refusal(Refusal::PathRefused).violating(vec![Violation {
        field: field.to_owned(),
        rule: field.to_owned(),
        vi: "tham số _method đổi phương thức của yêu cầu".to_owned(),
        en: "the parameter _method would make it a request of another method".to_owned(),
    }])
}

fn bends_nothing(query: Option<&str>) -> Result<(), Fault> {
    let names = |pair: &str| bends(pair.split('=').next().unwrap_or_default());
    if query.unwrap_or_default().split(['&', ';']).any(names) {
        return Err(bent("query"));
    }
    Ok(())
}

/// The same of a body: a form, of either kind, or a document.
fn body_bends_nothing(headers: &HeaderMap, body: &Bytes) -> Result<(), Fault> {
    let mut kinds = headers
        .get_all(CONTENT_TYPE)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let bends_it = kinds.any(|kind| {
        if kind.contains("form-urlencoded") {
            String::from_utf8_lossy(body)
                .split(['&', ';'])
                .any(|pair| bends(pair.split('=').next().unwrap_or_default()))
        } else if kind.contains("multipart/") {
            String::from_utf8_lossy(body)
                .split("name=")
                .skip(1)
                .filter_map(|rest| rest.split(['\r', '\n', ';']).next())
                .any(|name| bends(name.trim().trim_matches(['"', '\''])))
        } else {
            let may = body.windows(2).any(|two| two == b"\\u") || body.windows(7).any(|some| some == b"_method");
            may && serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)
                .is_ok_and(|members| members.keys().any(|name| bends(name)))
        }
    });
    if bends_it { Err(bent("body")) } else { Ok(()) }
}

/// The whole body of a request.
async fn received<B>(call: &Admitted, body: B, limit: usize) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Send,
{
    // What says itself that it is too large is not read at all.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(message_too_large(limit));
    }
    match timeout_at(call.deadline, collect(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Uncollected::TooLarge)) => Err(message_too_large(limit)),
        Ok(Err(Uncollected::BrokenOff)) => Err(refusal(Refusal::MessageUnreadable)),
        Err(_) => Err(deadline_passed()),
    }
}

/// The request as it goes on: judged where the agreement judges it, and then with nothing that the judgement did not see.
fn outgoing(
    call: &Admitted,
    verb: Method,
    query: Option<&str>,
    variables: &[(String, String)],
    filter: Option<&dyn PlainFilter>,
    body: Bytes,
) -> Result<Outgoing, Fault> {
    let judge = filter.filter(|filter| filter.judges());
    let mut headers = match judge {
        Some(judge) => to_plain_provider(&call.headers, Some(&|name: &HeaderName| judge.declares(name))),
        None => to_plain_provider(&call.headers, None),
    };
    let judged = match judge {
        Some(judge) => judge
            .request(&PlainRequest {
                variables,
                query,
                headers: &headers,
                body: &body,
            })
            .map_err(FilterRefusal::of_request)?,
        None => query.map(str::to_owned),
    };
    if filter.is_some_and(PlainFilter::masks) {
        // A part of a document is no document.
        headers.remove(RANGE);
        headers.remove(IF_RANGE);
    }
    if filter.is_some_and(PlainFilter::masks) || call.passage.bodies.response {
        // What is kept must be readable without the headers that came with it.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let path = match judged {
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", call.path.path()))
            .map_err(|_| refusal(Refusal::MessageUnreadable))?,
        None => call.path.clone(),
    };
    Ok(Outgoing {
        verb,
        path,
        headers,
        request: tally(&body),
        body,
    })
}

/// With what the door itself says to the provider.
fn addressed(mut outgoing: Outgoing, call: &Admitted, manner: &dyn Manner) -> Outgoing {
    let headers = &mut outgoing.headers;
    say(headers, &AGREEMENT, &call.passage.agreement_id.to_string());
    say(headers, &CONSUMER, &call.consumer.client_id);
    say(headers, &EXCHANGE, &call.exchange_id.to_string());
    manner.forwarding(
        call.exchange_id,
        &outgoing.verb,
        &outgoing.path,
        headers,
        &outgoing.body,
    );
    // Without a length some servers wait for a body that does not come.
    let takes_body = matches!(outgoing.verb, Method::POST | Method::PUT | Method::PATCH);
    if takes_body || !outgoing.body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
    }
    outgoing
}

/// Sends it and reads all of the answer.
async fn forward(call: &Admitted, outgoing: &Outgoing, limit: usize) -> Result<Answer, (Outcome, Fault)> {
    let mut request = Request::new(AnswerBody::of(outgoing.body.clone()));
    *request.method_mut() = outgoing.verb.clone();
    *request.uri_mut() = outgoing.path.clone().into();
    *request.headers_mut() = outgoing.headers.clone();
    let replay = call.passage.facts.idempotent.then(|| outgoing.body.clone());
    let (response, at) = call
        .passage
        .upstream
        .send(request, replay, call.deadline)
        .await
        .map_err(fault_of_upstream)?;
    let (parts, body) = response.into_parts();
    if parts.status.is_informational() {
        // Another protocol on this connection is nothing that was agreed.
        at.failed();
        return Err((Outcome::BrokenOff, refusal(Refusal::AnswerUnreadable)));
    }
    let data = match timeout_at(call.deadline, collect_answer(body, limit)).await {
        Err(_) => {
            at.timed_out();
            return Err((Outcome::TimedOut, deadline_passed()));
        }
        Ok(Err(Uncollected::TooLarge)) => return Err((Outcome::Stopped, refusal(Refusal::AnswerTooLarge))),
        Ok(Err(Uncollected::BrokenOff)) => {
            at.failed();
            return Err((Outcome::BrokenOff, refusal(Refusal::ProviderBrokeOff)));
        }
        Ok(Ok((data, _))) => data,
    };
    if matches!(
        parts.status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    ) {
        at.finished();
        at.failed();
    } else {
        at.worked();
    }
    if parts.status.is_redirection() && parts.status != StatusCode::NOT_MODIFIED {
        return Err((Outcome::Stopped, refusal(Refusal::ProviderRedirects)));
    }
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        data,
    })
}

/// What the consumer may have of an answer. Of an error under a mask that is no JSON only the status is left: what its text says
/// nobody has agreed on.
fn pass(answer: &Answer, mask: Option<&dyn PlainFilter>, limit: usize) -> Result<Passed, (Outcome, Fault)> {
    let headers = to_plain_consumer(&answer.headers, mask.is_some());
    let Some(mask) = mask else {
        return Ok(Passed {
            headers,
            data: answer.data.clone(),
        });
    };
    let nothing = Passed {
        headers: HeaderMap::new(),
        data: Bytes::new(),
    };
    if answer.data.is_empty() {
        return Ok(nothing);
    }
    match masked(answer, mask, limit) {
        Ok(data) => Ok(Passed { headers, data }),
        Err(_) if !is_success(answer.status) => Ok(nothing),
        Err(refused) => Err((Outcome::Stopped, refusal(refused))),
    }
}

fn masked(answer: &Answer, mask: &dyn PlainFilter, limit: usize) -> Result<Bytes, Refusal> {
    if !is_json(&answer.headers) {
        return Err(Refusal::AnswerUnreadable);
    }
    let mut encodings = answer.headers.get_all(CONTENT_ENCODING).iter();
    let (encoding, further) = (encodings.next(), encodings.next());
    let compression = match encoding.map(HeaderValue::as_bytes) {
        _ if further.is_some() => Compression::Unknown,
        None | Some(b"identity") => Compression::Identity,
        Some(b"gzip" | b"x-gzip") => Compression::Gzip,
        Some(b"deflate") => Compression::Deflate,
        Some(_) => Compression::Unknown,
    };
    let message = Message {
        compressed: compression != Compression::Identity,
        bytes: answer.data.clone(),
    };
    let document = inflate(message, compression, limit).map_err(|error| match error {
        FrameError::TooLarge { .. } => Refusal::AnswerTooLarge,
        _ => Refusal::AnswerUnreadable,
    })?;
    mask.response(&document).map_err(|_| Refusal::AnswerUnreadable)
}

/// Whether a content type is one of JSON: `application/json` or one that ends with `+json`, in UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    // JSON is UTF-8 (RFC 8259, 8.1). A reader that believes another charset would read another document than the one judged here.
    let utf_8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim() == "charset")
        .all(|(_, value)| matches!(value.trim().trim_matches('"'), "utf-8" | "utf8"));
    utf_8 && (kind == "application/json" || (kind.contains('/') && kind.ends_with("+json")))
}

impl PlainRequest<'_> {
    /// Whether the body may be read as JSON: by its type, and because it is not compressed.
    pub fn is_json(&self) -> bool {
        let mut encodings = self.headers.get_all(CONTENT_ENCODING).iter();
        let plain = encodings.next().is_none_or(|value| value.as_bytes() == b"identity");
        plain && encodings.next().is_none() && is_json(self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn json_is_what_says_so_in_utf_8() {
        for (kind, wanted) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/problem+json; charset=\"utf-8\"; x=1", true),
            ("application/json; charset=utf-7", false),
            ("application/json; charset=utf-8; charset=utf-16", false),
            ("text/plain", false),
        ] {
            assert_eq!(is_json(&of_type(kind)), wanted, "{kind}");
        }
        let mut twice = of_type("application/json");
        twice.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(!is_json(&twice));
    }

    #[test]
    fn nothing_makes_a_request_one_of_another_method() {
        for query in [
            "_method=DELETE",
            "a=1&%5Fmethod=x",
            ".method=x",
            "[method=x",
            "+_METHOD=x",
            "a;_method=x",
        ] {
            assert!(bends_nothing(Some(query)).is_err(), "{query}");
        }
        assert!(bends_nothing(Some("method=x&my_method=y&a=_method")).is_ok());
        for (kind, body, wanted) in [
            ("application/x-www-form-urlencoded", "a=1&_method=DELETE", false),
            ("application/x-www-form-urlencoded", "a=_method", true),
            (
                "multipart/form-data; boundary=b",
                "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--",
                false,
            ),
            (
                "multipart/form-data; boundary=b",
                "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n_method\r\n--b--",
                true,
            ),
            ("application/json", r#"{"\u005fmethod":"DELETE"}"#, false),
            ("application/json", r#"{"a":{"_method":"DELETE"}}"#, true),
        ] {
            let judged = body_bends_nothing(&of_type(kind), &Bytes::from_static(body.as_bytes()));
            assert_eq!(judged.is_ok(), wanted, "{kind}: {body}");
        }
    }
}
