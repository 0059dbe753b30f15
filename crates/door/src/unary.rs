//! One message there, one back.

use bytes::{Bytes, BytesMut};
use egov_fault::Fault;
use egov_runtime::server::{deadline_passed, message_too_large};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::body::AnswerBody;
use crate::deadline;
use crate::door::{Admitted, Door, End, Open, micros, told};
use crate::exchange::{Outcome, Promise};
use crate::frames::{Compression, FrameError, Message, inflate, single};
use crate::passage::{FilterRefusal, MessageFilter};
use crate::refusal::{Refusal, refusal};
use crate::tally::Tally;
use crate::upstream::UpstreamError;
use crate::wire_headers::{AGREEMENT, CONSUMER, EXCHANGE, PROMISE, to_consumer, to_provider};

/// How a call over gRPC ends when the interface is not kept, by a fault of the provider's side.
pub(crate) fn fault_of_upstream(error: UpstreamError) -> (Outcome, Fault) {
    match error {
        UpstreamError::Maintenance => (Outcome::NotSent, refusal(Refusal::ProviderInMaintenance)),
        UpstreamError::Unreachable => (Outcome::NotSent, refusal(Refusal::ProviderUnavailable)),
        UpstreamError::BrokenOff => (Outcome::BrokenOff, refusal(Refusal::ProviderBrokeOff)),
        UpstreamError::TimedOut { sent: false } => (Outcome::NotSent, deadline_passed()),
        UpstreamError::TimedOut { sent: true } => (Outcome::TimedOut, deadline_passed()),
    }
}

/// The fault of a request whose frames cannot be read.
pub(crate) fn fault_of_frames(error: FrameError) -> Fault {
    match error {
        FrameError::TooLarge { limit } => message_too_large(limit),
        FrameError::Flag(_) | FrameError::Truncated | FrameError::Count(_) | FrameError::Compression => {
            refusal(Refusal::MessageUnreadable).caused_by(error)
        }
    }
}

/// Makes the request for the provider, without its body.
pub(crate) fn request_head(call: &Admitted) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = call.path.clone().into();
    let mut headers = to_provider(&call.headers);
    headers.insert("grpc-timeout", deadline::remaining(call.deadline));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if call.passage.filter.is_some() {
        // What is read here travels inflated, and comes back in a form that can be inflated here.
        headers.remove("grpc-encoding");
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("gzip,deflate"));
    }
    say(&mut headers, &AGREEMENT, &call.passage.agreement_id.to_string());
    say(&mut headers, &CONSUMER, &call.consumer.client_id);
    say(&mut headers, &EXCHANGE, &call.exchange_id.to_string());
    *request.headers_mut() = headers;
    request
}

pub(crate) fn say(headers: &mut HeaderMap, name: &http::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Whether an answer is one of gRPC at all.
pub(crate) fn is_grpc_answer<B>(response: &Response<B>) -> bool {
    response.status() == http::StatusCode::OK
        && response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| matches!(value.as_bytes(), b"application/grpc" | b"application/grpc+proto"))
}

/// The metadata of an answer for the consumer. Under a filter only what the protocol itself needs passes: metadata and the
/// details of an error could carry what the mask holds back.
pub(crate) fn metadata_of(from: &HeaderMap, filtered: bool) -> HeaderMap {
    let mut to = to_consumer(from);
    if filtered {
        let kept = ["content-type", "grpc-status", "grpc-message"];
        let mut few = HeaderMap::new();
        for name in kept {
            if let Some(value) = to.remove(name) {
                few.insert(name, value);
            }
        }
        to = few;
    }
    to
}

/// The status in trailers, or in the head of an answer that has nothing else.
pub(crate) fn status_of(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// What came back.
struct Answer {
    head: HeaderMap,
    data: Bytes,
    trailers: HeaderMap,
    status: i32,
}

impl Answer {
    /// Its messages as they came from the provider.
    fn tally(&self) -> Tally {
        Tally::of(&self.data, u64::from(!self.data.is_empty()))
    }
}

/// A request as it came, and as it goes on.
struct Outgoing {
    request: Tally,
    body: Bytes,
    forwarded: Option<Tally>,
}

impl Door {
    pub(crate) async fn unary<B>(&self, call: Admitted, body: B) -> Result<Response<AnswerBody>, Fault>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Send,
    {
        let limit = self.limits().message_bytes;
        let received = match timeout_at(call.deadline, collect(body, framed(limit))).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(Uncollected::TooLarge)) => return Err(message_too_large(limit)),
            Ok(Err(Uncollected::BrokenOff)) => return Err(fault_of_frames(FrameError::Truncated)),
            Err(_) => return Err(deadline_passed()),
        };
        let outgoing = outgoing(&call, received, limit)?;
        let kept = call.passage.bodies.request.then(|| outgoing.body.clone());
        let open = self.open(&call, call.begun(Some(outgoing.request)), kept, None).await?;

        let asked = Instant::now();
        // Reading the request and recording it took their time: what was revoked meanwhile is not forwarded.
        let answered = match call.still_stands() {
            Ok(()) => forward(&call, &outgoing, limit).await,
            Err(ended) => Err(ended),
        };
        let provider_us = micros(asked.elapsed());
        self.answer(&call, open, outgoing, answered, provider_us).await
    }

    async fn answer(
        &self,
        call: &Admitted,
        open: Open,
        outgoing: Outgoing,
        answered: Result<Answer, (Outcome, Fault)>,
        provider_us: u64,
    ) -> Result<Response<AnswerBody>, Fault> {
        let filter = call.passage.filter.as_deref();
        let mut withheld = None;
        let passed = answered.and_then(|answer| {
            // The provider took its time: what was revoked meanwhile does not leave. That it answered is recorded.
            call.may_answer().inspect_err(|_| withheld = Some(answer.tally()))?;
            let passed = pass(&answer, filter, self.limits().message_bytes)?;
            Ok((answer, passed))
        });
        let (end, response) = match passed {
            Ok((answer, passed)) => {
                let success = answer.status == 0;
                let received = filter.map(|_| answer.tally());
                let end = End {
                    outcome: if success { Outcome::Answered } else { Outcome::Refused },
                    status: answer.status,
                    request: outgoing.request,
                    forwarded: outgoing.forwarded,
                    response: Tally::of(&passed, u64::from(!passed.is_empty())),
                    received,
                    provider_us,
                    body: (call.passage.bodies.response && success).then(|| passed.clone()),
                };
                let filtered = filter.is_some();
                let mut response = Response::new(AnswerBody::Whole {
                    data: Some(call.placed(passed)),
                    trailers: Some(metadata_of(&answer.trailers, filtered)),
                });
                *response.headers_mut() = metadata_of(&answer.head, filtered);
                (end, response)
            }
            Err((outcome, fault)) => {
                let response = told(fault);
                let nothing = Tally::of(&[], 0);
                let end = End {
                    outcome,
                    status: status_of(response.headers()).unwrap_or_default(),
                    request: outgoing.request,
                    forwarded: outgoing.forwarded,
                    response: nothing,
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
            Err((_, fault)) if answers => told(fault),
            _ => response,
        };
        Ok(promised(response, call, promise))
    }
}

/// Puts the ids of exchange and agreement and the promise where the consumer finds them.
pub(crate) fn promised(mut response: Response<AnswerBody>, call: &Admitted, promise: Promise) -> Response<AnswerBody> {
    say(response.headers_mut(), &EXCHANGE, &call.exchange_id.to_string());
    say(
        response.headers_mut(),
        &AGREEMENT,
        &call.passage.agreement_id.to_string(),
    );
    match response.body_mut() {
        AnswerBody::Whole {
            trailers: Some(trailers),
            ..
        } => say(trailers, &PROMISE, &promise.0),
        // An answer that is a head only has its trailers there.
        _ => say(response.headers_mut(), &PROMISE, &promise.0),
    }
    response
}

/// The request, checked and under a filter read and written anew.
fn outgoing(call: &Admitted, received: Bytes, limit: usize) -> Result<Outgoing, Fault> {
    let message = single(&received, limit).map_err(fault_of_frames)?;
    let request = Tally::of(&received, 1);
    let Some(filter) = &call.passage.filter else {
        return Ok(Outgoing {
            request,
            body: received,
            forwarded: None,
        });
    };
    let message = inflate(message, Compression::of(&call.headers), limit).map_err(fault_of_frames)?;
    let message = filter.request(message).map_err(FilterRefusal::of_request)?;
    let body = Message::frame_of(&message);
    Ok(Outgoing {
        request,
        forwarded: Some(Tally::of(&body, 1)),
        body,
    })
}

/// Sends it and reads all of the answer.
async fn forward(call: &Admitted, outgoing: &Outgoing, limit: usize) -> Result<Answer, (Outcome, Fault)> {
    let request = request_head(call).map(|()| AnswerBody::of(outgoing.body.clone()));
    let replay = call.passage.facts.idempotent.then(|| outgoing.body.clone());
    let (response, at) = call
        .passage
        .upstream
        .send(request, replay, call.deadline)
        .await
        .map_err(fault_of_upstream)?;
    if !is_grpc_answer(&response) {
        // What the provider says to this request alone says nothing against its endpoint.
        if !response.status().is_client_error() {
            at.failed();
        }
        return Err((Outcome::BrokenOff, refusal(Refusal::AnswerUnreadable)));
    }
    let (parts, body) = response.into_parts();
    if let Some(status) = status_of(&parts.headers) {
        at.answered(status);
        return Ok(Answer {
            head: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))]),
            data: Bytes::new(),
            trailers: parts.headers,
            status,
        });
    }
    let read = timeout_at(call.deadline, collect_answer(body, framed(limit))).await;
    match read {
        Err(_) => {
            at.timed_out();
            Err((Outcome::TimedOut, deadline_passed()))
        }
        Ok(Err(Uncollected::TooLarge)) => Err((Outcome::Stopped, message_too_large(limit))),
        Ok(Err(Uncollected::BrokenOff)) => {
            at.failed();
            Err((Outcome::BrokenOff, refusal(Refusal::ProviderBrokeOff)))
        }
        Ok(Ok((data, trailers))) => {
            let Some(status) = status_of(&trailers) else {
                at.failed();
                return Err((Outcome::BrokenOff, refusal(Refusal::ProviderBrokeOff)));
            };
            at.answered(status);
            Ok(Answer {
                head: parts.headers,
                data,
                trailers,
                status,
            })
        }
    }
}

/// What the consumer may have of an answer's messages.
fn pass(answer: &Answer, filter: Option<&dyn MessageFilter>, limit: usize) -> Result<Bytes, (Outcome, Fault)> {
    let unreadable = || (Outcome::Stopped, refusal(Refusal::AnswerUnreadable));
    if answer.data.is_empty() && answer.status != 0 {
        return Ok(Bytes::new());
    }
    let message = single(&answer.data, limit).map_err(|_| unreadable())?;
    let Some(filter) = filter else {
        return Ok(answer.data.clone());
    };
    let message = inflate(message, Compression::of(&answer.head), limit).map_err(|_| unreadable())?;
    let message = filter.response(message).map_err(|_| unreadable())?;
    Ok(Message::frame_of(&message))
}

/// Why a body is not whole.
pub(crate) enum Uncollected {
    TooLarge,
    BrokenOff,
}

/// The bytes of one message of at most `limit` bytes with its frame.
fn framed(limit: usize) -> usize {
    limit.saturating_add(crate::frames::PREFIX)
}

/// All data of a body, at most `most` bytes.
pub(crate) async fn collect<B>(mut body: B, most: usize) -> Result<Bytes, Uncollected>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Uncollected::BrokenOff)?.into_data() else {
            continue;
        };
        let so_far = more.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > most {
            return Err(Uncollected::TooLarge);
        }
        if let Some(more) = &mut more {
            more.extend_from_slice(&data);
        } else if first.is_empty() {
            first = data;
        } else {
            let mut joined = BytesMut::from(&*first);
            joined.extend_from_slice(&data);
            more = Some(joined);
        }
    }
    Ok(more.map_or(first, BytesMut::freeze))
}

/// All of an answer: its data, at most `most` bytes, and its trailers.
pub(crate) async fn collect_answer(mut body: Incoming, most: usize) -> Result<(Bytes, HeaderMap), Uncollected> {
    let mut data = Bytes::new();
    let mut more = BytesMut::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| Uncollected::BrokenOff)?.into_data() {
            Ok(piece) => {
                if data.len() + more.len() + piece.len() > most {
                    return Err(Uncollected::TooLarge);
                }
                if data.is_empty() {
                    data = piece;
                } else {
                    more.extend_from_slice(&piece);
                }
            }
            Err(frame) => {
                if let Ok(found) = frame.into_trailers() {
                    trailers = found;
                }
            }
        }
    }
    if !more.is_empty() {
        let mut joined = BytesMut::with_capacity(data.len() + more.len());
        joined.extend_from_slice(&data);
        joined.extend_from_slice(&more);
        data = joined.freeze();
    }
    Ok((data, trailers))
}
