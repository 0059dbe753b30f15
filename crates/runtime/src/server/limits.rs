//! Layers that keep one caller from harming the others: overload, deadline, size, panic, endless streams.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use egov_fault::{Code, Fault};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use http_body_util::Limited;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::INFRASTRUCTURE;
use super::answer::{is_grpc, refuse};
use crate::config::LimitsConfig;

/// When it makes sense to come back to a process that had too much to do.
const BACK_OFF: Duration = Duration::from_secs(1);

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The time left until the deadline of the call in progress; `None` outside of a call, and in a task of its own that
/// a call has spawned.
///
/// Operations hand it to what may take long: a statement time-out, a call of another service (there
/// [`Propagate`](crate::telemetry::Propagate) does it).
pub fn remaining() -> Option<Duration> {
    DEADLINE
        .try_with(|deadline| deadline.saturating_duration_since(Instant::now()))
        .ok()
}

/// The fault of a call whose time is over.
pub fn deadline_passed() -> Fault {
    Fault::new(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "quá thời hạn xử lý yêu cầu; thao tác có thể đã được thực hiện, hãy gửi lại đúng yêu cầu này",
        "the deadline of the call has passed; it may have happened, repeat the same request",
    )
}

/// A panic in a handler is a failure of ours of which the caller learns nothing; the process goes on.
pub(super) async fn catch_panic(request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    // What a handler shares is behind locks and channels that a panic does not leave half written.
    AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| refuse(Fault::internal("a handler panicked"), grpc))
}

/// Refuses calls beyond a number in progress. To queue them would only let them wait until their callers have given up.
pub(super) async fn shed(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    // A process with much to do is alive: who asks for its health must hear so.
    let path = request.uri().path();
    if INFRASTRUCTURE.iter().any(|prefix| path.starts_with(prefix)) {
        return next.run(request).await;
    }
    match permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => refuse(
            Fault::new(
                Code::ResourceExhausted,
                "OVERLOADED",
                "hệ thống đang quá tải, hãy thử lại sau",
                "too many calls are in progress, try again later",
            )
            .retry_after(BACK_OFF),
            is_grpc(request.headers()),
        ),
    }
}

/// Ends a call at its deadline: the caller's (`grpc-timeout`, over plain HTTP too), no later than the configured maximum,
/// or the configured one if the caller set none. The handler is dropped where it waits; its transaction rolls back.
pub(super) async fn deadline(State(limits): State<Arc<LimitsConfig>>, request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    let wanted = grpc_timeout(request.headers());
    let allowed = wanted.map_or_else(|| limits.deadline.get(), |wanted| wanted.min(limits.deadline_max.get()));
    let deadline = Instant::now() + allowed;
    tokio::time::timeout_at(deadline, DEADLINE.scope(deadline, next.run(request)))
        .await
        .unwrap_or_else(|_| refuse(deadline_passed(), grpc))
}

/// The fault of a stream that ends because the process stops.
pub fn shutting_down() -> Fault {
    Fault::new(
        Code::Unavailable,
        "SHUTTING_DOWN",
        "hệ thống đang dừng; hãy mở lại luồng này, có thể tới một điểm khác",
        "the process is shutting down; open the stream again, perhaps at another instance",
    )
    .retry_after(BACK_OFF)
}

/// The fault of a message that is larger than the `limit`, in bytes.
pub fn message_too_large(limit: usize) -> Fault {
    Fault::new(
        Code::ResourceExhausted,
        "MESSAGE_TOO_LARGE",
        "yêu cầu vượt quá dung lượng cho phép",
        "the message is larger than allowed",
    )
    .with("limit", limit.to_string())
}

/// The time that a caller gives its call, from `grpc-timeout`: at most eight digits and a unit. What does not follow the
/// form is no deadline.
pub fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Refuses a message above the limit by the length that it announces, before any of it is kept. Every generated server
/// has a limit of its own (`max_decoding_message_size`); this one holds whatever a service forgot.
pub(super) async fn bound(State(limit): State<usize>, request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    next.run(request.map(|body| {
        if grpc {
            Body::new(BoundedMessages {
                inner: body,
                limit,
                header: 0,
                length: 0,
                rest: 0,
            })
        } else {
            Body::new(Limited::new(body, limit))
        }
    }))
    .await
}

/// A gRPC request body whose messages may not be longer than a limit.
///
/// A message is announced by five bytes: a flag and the length, big endian.
struct BoundedMessages {
    inner: Body,
    limit: usize,
    /// How many of the five bytes have been seen.
    header: u8,
    /// The length as far as it has been seen.
    length: u32,
    /// How many bytes of the message are to come.
    rest: usize,
}

impl BoundedMessages {
    /// Follows the frames through `data`; `Err` with the announced length if it is too large.
    fn follow(&mut self, mut data: &[u8]) -> Result<(), usize> {
        while let Some((first, others)) = data.split_first() {
            if self.rest > 0 {
                let skipped = self.rest.min(data.len());
                self.rest -= skipped;
                data = data.get(skipped..).unwrap_or_default();
                continue;
            }
            if self.header > 0 {
                self.length = (self.length << 8) | u32::from(*first);
            }
            self.header += 1;
            data = others;
            if self.header == 5 {
                let length = self.length as usize;
                if length > self.limit {
                    return Err(length);
                }
                (self.header, self.length, self.rest) = (0, 0, length);
            }
        }
        Ok(())
    }
}

impl http_body::Body for BoundedMessages {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(length) = self.follow(data)
        {
            // tonic answers a call with the status that it finds in the error of its body.
            let status = Status::from(message_too_large(self.limit).with("bytes", length.to_string()));
            return Poll::Ready(Some(Err(axum::Error::new(status))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Tells the handler of an open stream that its port drains; among the extensions of each request that came in by a port.
#[derive(Clone, Debug, Default)]
pub struct Draining {
    asked: CancellationToken,
    over: CancellationToken,
}

impl Draining {
    /// Cancelled when the port drains.
    pub fn token(&self) -> &CancellationToken {
        &self.asked
    }

    /// Cancelled `server.drain.streams` later: a stream that could not come to its end by then must end now, or it is cut
    /// without a status.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }
}

/// Ends the streams of health and reflection when the server drains, on both sides: they would otherwise go on as long
/// as their callers like, and hold up the drain for the whole grace period.
///
/// Other handlers with an open stream find [`Draining`] among the extensions of their request and end it themselves.
pub(super) async fn end_streams(State(draining): State<CancellationToken>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let endless = INFRASTRUCTURE.iter().any(|prefix| path.starts_with(prefix)) && is_grpc(request.headers());
    if !endless {
        return next.run(request).await;
    }
    let request = request.map(|inner| Body::new(UntilDrained::new(inner, draining.clone(), None)));
    let mut goodbye = HeaderMap::new();
    goodbye.insert(Status::GRPC_STATUS, HeaderValue::from(tonic::Code::Unavailable as i32));
    goodbye.insert(
        Status::GRPC_MESSAGE,
        HeaderValue::from_static("the%20server%20is%20draining"),
    );
    let response = next.run(request).await;
    response.map(|inner| Body::new(UntilDrained::new(inner, draining, Some(goodbye))))
}

/// A body that ends when the server drains and there is nothing more to pass on.
struct UntilDrained {
    inner: Body,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The trailers with which an answer ends.
    goodbye: Option<HeaderMap>,
    ended: bool,
}

impl UntilDrained {
    fn new(inner: Body, draining: CancellationToken, goodbye: Option<HeaderMap>) -> Self {
        Self {
            inner,
            drained: Box::pin(draining.cancelled_owned()),
            goodbye,
            ended: false,
        }
    }
}

impl http_body::Body for UntilDrained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // First what is there: the last message of a health watch says NOT_SERVING.
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(self.drained.as_mut().poll(context));
        self.ended = true;
        Poll::Ready(self.goodbye.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timeouts_are_read_in_every_unit_and_refused_otherwise() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            grpc_timeout(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_hours(2)));
        assert_eq!(read("3M"), Some(Duration::from_mins(3)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert_eq!(read("5m"), Some(Duration::from_millis(5)));
        assert_eq!(read("6u"), Some(Duration::from_micros(6)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1 S"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    fn bounded(limit: usize) -> BoundedMessages {
        BoundedMessages {
            inner: Body::empty(),
            limit,
            header: 0,
            length: 0,
            rest: 0,
        }
    }

    proptest! {
        #[test]
        fn frames_are_followed_however_they_are_cut(
            lengths in prop::collection::vec(0_usize..40, 1..8),
            cut in 1_usize..17,
        ) {
            let mut wire = Vec::new();
            for length in &lengths {
                wire.push(0);
                wire.extend_from_slice(&(*length as u32).to_be_bytes());
                wire.extend(std::iter::repeat_n(0xff, *length));
            }
            let longest = lengths.iter().copied().max().unwrap_or_default();

            let mut enough = bounded(longest);
            prop_assert!(wire.chunks(cut).all(|chunk| enough.follow(chunk).is_ok()));

            if longest > 0 {
                let mut too_little = bounded(longest - 1);
                let refused = wire.chunks(cut).find_map(|chunk| too_little.follow(chunk).err());
                prop_assert_eq!(refused, Some(longest));
            }
        }
    }
}
