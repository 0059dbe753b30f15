//! Streams: any number of messages there, any number back, none of them kept.
//!
//! Two pumps, one for each direction, each with a channel of a few pieces: a side that is slow holds the other up through the
//! windows of HTTP/2, and nothing piles up here. While a stream is open, its agreement is looked at again and again.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use egov_fault::Fault;
use egov_runtime::server::{Draining, deadline_passed, shutting_down};
use futures::FutureExt as _;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::body::{AnswerBody, BrokenOff};
use crate::door::{Admitted, Door, End, Open, micros, told};
use crate::exchange::Outcome;
use crate::frames::{Compression, Follower, Message, Splitter, inflate};
use crate::passage::{FilterRefusal, MessageFilter};
use crate::refusal::{Refusal, refusal};
use crate::tally::{Counting, Tally};
use crate::unary::{fault_of_frames, fault_of_upstream, is_grpc_answer, metadata_of, request_head, say, status_of};
use crate::upstream::AtEndpoint;
use crate::wire_headers::{AGREEMENT, EXCHANGE, PROMISE};

/// Pieces that wait between the two sides.
const DEPTH: usize = 4;

type Piece = Result<Frame<Bytes>, BrokenOff>;

/// What the pump of requests has seen, for the one of answers.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) received: Mutex<Counting>,
    forwarded: Mutex<Counting>,
    refused: Mutex<Option<Fault>>,
}

impl Requests {
    pub(crate) fn tally(counting: &Mutex<Counting>) -> Tally {
        counting.lock().unwrap_or_else(PoisonError::into_inner).tally()
    }

    fn add(counting: &Mutex<Counting>, bytes: &[u8], messages: u64) {
        let mut counting = counting.lock().unwrap_or_else(PoisonError::into_inner);
        counting.add(bytes);
        counting.messages += messages;
    }
}

/// What may end a stream from the door's side.
struct Watch {
    every: Interval,
    stop: CancellationToken,
    requests: Arc<Requests>,
    deadline: Instant,
    draining: Draining,
}

impl Watch {
    /// Returns when the stream must end.
    async fn ends(&mut self, call: &Admitted) -> (Outcome, Fault) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    let refused = self.requests.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return match refused {
                        Some(fault) => (Outcome::Stopped, fault),
                        None => (Outcome::Cancelled, Fault::internal("the request broke off")),
                    };
                }
                () = sleep_until(self.deadline) => return (Outcome::TimedOut, deadline_passed()),
                () = self.draining.over().cancelled() => return (Outcome::Stopped, shutting_down()),
                _ = self.every.tick() => {
                    if let Err(ended) = call.still_stands() {
                        return ended;
                    }
                }
            }
        }
    }
}

impl Door {
    pub(crate) async fn stream<B>(&self, call: Admitted, body: B) -> Result<Response<AnswerBody>, Fault>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Send,
    {
        let limit = self.limits().message_bytes;
        let requests = Arc::new(Requests::default());
        let open = self
            .open(&call, call.begun(None), None, Some(Arc::clone(&requests)))
            .await?;
        let stop = CancellationToken::new();
        // Whatever way this stream ends, nothing more of the consumer reaches the provider.
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let (to_provider, pieces) = mpsc::channel(DEPTH);
        tokio::spawn(pump_requests(Pumping {
            over,
            body,
            to: to_provider,
            filter: call.passage.filter.clone(),
            compression: Compression::of(&call.headers),
            limit,
            requests: Arc::clone(&requests),
            stop: stop.clone(),
        }));

        let mut every = interval(self.limits().standing_every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch {
            every,
            stop,
            requests,
            deadline: call.deadline,
            draining: call.draining.clone(),
        };
        let asked = Instant::now();
        let request = request_head(&call).map(|()| AnswerBody::Pieces(pieces));
        let sent = {
            let mut sending = pin!(call.passage.upstream.send_stream(request, call.deadline));
            tokio::select! {
                // First, here and below: what the door ends, the provider breaks off, and that is not why it ended.
                biased;
                ended = watch.ends(&call) => {
                    if ended.0 == Outcome::TimedOut {
                        // The time of sending is over too: it counts what that says of the endpoint.
                        let _ = sending.as_mut().now_or_never();
                    }
                    Err(ended)
                }
                sent = &mut sending => sent.map_err(fault_of_upstream),
            }
        };
        let (response, at) = match sent {
            Ok((response, at)) if is_grpc_answer(&response) => {
                at.opened();
                (response, at)
            }
            Ok((response, at)) => {
                // What a front refuses for what the consumer sent is no fault of the endpoint.
                if !response.status().is_client_error() {
                    at.failed();
                }
                let end = (Outcome::BrokenOff, refusal(Refusal::AnswerUnreadable));
                return finished(call, open, &watch, end, asked).await;
            }
            Err(end) => return finished(call, open, &watch, end, asked).await,
        };

        let (parts, incoming) = response.into_parts();
        let filtered = call.passage.filter.is_some();
        let mut head = metadata_of(&parts.headers, filtered);
        // An answer that is a head only: its status stands there.
        let at_once = status_of(&parts.headers).map(|_| parts.headers.clone());
        if at_once.is_some() {
            head.remove("grpc-status");
            head.remove("grpc-message");
            head.remove("grpc-status-details-bin");
        }
        say(&mut head, &EXCHANGE, &call.exchange_id.to_string());
        say(&mut head, &AGREEMENT, &call.passage.agreement_id.to_string());
        let (to_consumer, pieces) = mpsc::channel(DEPTH);
        let answering = Answering {
            compression: Compression::of(&parts.headers),
            follower: Follower::new(limit),
            splitter: Splitter::new(limit),
            received: Counting::default(),
            delivered: Counting::default(),
            waiting: VecDeque::new(),
            limit,
            call,
            open,
            watch,
            asked,
            _over: guard,
        };
        tokio::spawn(answering.run(incoming, at, at_once, to_consumer));
        let mut response = Response::new(AnswerBody::Pieces(pieces));
        *response.headers_mut() = head;
        Ok(response)
    }
}

/// A stream that ended before its answer began.
async fn finished(
    call: Admitted,
    open: Open,
    watch: &Watch,
    (outcome, fault): (Outcome, Fault),
    asked: Instant,
) -> Result<Response<AnswerBody>, Fault> {
    let mut response = told(fault);
    let status = status_of(response.headers()).unwrap_or_default();
    let nothing = Tally::of(&[], 0);
    let end = end_of(&call, watch, outcome, status, nothing, None, asked);
    let promise = open.end(end).await?;
    say(response.headers_mut(), &EXCHANGE, &call.exchange_id.to_string());
    say(
        response.headers_mut(),
        &AGREEMENT,
        &call.passage.agreement_id.to_string(),
    );
    say(response.headers_mut(), &PROMISE, &promise.0);
    Ok(response)
}

fn end_of(
    call: &Admitted,
    watch: &Watch,
    outcome: Outcome,
    status: i32,
    response: Tally,
    received: Option<Tally>,
    asked: Instant,
) -> End {
    let filtered = call.passage.filter.is_some();
    End {
        outcome,
        status,
        request: Requests::tally(&watch.requests.received),
        forwarded: filtered.then(|| Requests::tally(&watch.requests.forwarded)),
        response,
        received: received.filter(|_| filtered),
        provider_us: micros(asked.elapsed()),
        body: None,
    }
}

/// The way from the consumer to the provider.
struct Pumping<B> {
    /// Cancelled when the stream is over.
    over: CancellationToken,
    body: B,
    to: Sender<Piece>,
    filter: Option<Arc<dyn MessageFilter>>,
    compression: Compression,
    limit: usize,
    requests: Arc<Requests>,
    stop: CancellationToken,
}

/// Why the pump of requests stops before the end.
enum Stopped {
    /// The provider takes no more: it has answered.
    ProviderDone,
    /// The consumer went away.
    ConsumerGone,
    /// The door lets no more through.
    Refused(Fault),
    /// The stream has ended by the door.
    Over,
}

async fn pump_requests<B>(mut pumping: Pumping<B>)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    let stopped = match pumping.run().await {
        Ok(()) | Err(Stopped::ProviderDone) => return,
        Err(stopped) => stopped,
    };
    if matches!(stopped, Stopped::Over) {
        // Resets the stream to the provider. If its channel is full, dropping it does the same.
        let _ = pumping.to.try_send(Err(BrokenOff));
        return;
    }
    if let Stopped::Refused(fault) = stopped {
        *pumping.requests.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
    pumping.stop.cancel();
    // Resets the stream to the provider, which must not take a part for the whole. It may have ended already.
    let _ = pumping.to.send(Err(BrokenOff)).await;
}

impl<B> Pumping<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    async fn run(&mut self) -> Result<(), Stopped> {
        let mut follower = Follower::new(self.limit);
        let mut splitter = Splitter::new(self.limit);
        let refused = |error| Stopped::Refused(fault_of_frames(error));
        loop {
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = self.to.closed() => return Err(Stopped::ProviderDone),
                () = self.over.cancelled() => return Err(Stopped::Over),
            };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| Stopped::ConsumerGone)?.into_data() else {
                continue;
            };
            let before = follower.messages;
            follower.follow(&data).map_err(refused)?;
            Requests::add(&self.requests.received, &data, follower.messages - before);
            let Some(filter) = self.filter.clone() else {
                self.forward(data).await?;
                continue;
            };
            splitter.push(&data);
            while let Some(message) = splitter.next().map_err(refused)? {
                let message = inflate(message, self.compression, self.limit).map_err(refused)?;
                let message = filter
                    .request(message)
                    .map_err(|refusal| Stopped::Refused(FilterRefusal::of_request(refusal)))?;
                let frame = Message::frame_of(&message);
                Requests::add(&self.requests.forwarded, &frame, 1);
                self.forward(frame).await?;
            }
        }
        follower.end().map_err(refused)
    }

    async fn forward(&mut self, data: Bytes) -> Result<(), Stopped> {
        tokio::select! {
            sent = self.to.send(Ok(Frame::data(data))) => sent.map_err(|_| Stopped::ProviderDone),
            () = self.over.cancelled() => Err(Stopped::Over),
        }
    }
}

/// The way from the provider to the consumer.
struct Answering {
    call: Admitted,
    open: Open,
    watch: Watch,
    asked: Instant,
    compression: Compression,
    follower: Follower,
    splitter: Splitter,
    received: Counting,
    delivered: Counting,
    waiting: VecDeque<Bytes>,
    limit: usize,
    /// Ends the pump of requests with this.
    _over: DropGuard,
}

/// How a stream of answers ended.
enum Over {
    /// By the provider's own trailers.
    Trailers(HeaderMap),
    /// By the door.
    Ended(Outcome, Fault),
    /// The consumer went away.
    ConsumerGone,
}

impl Answering {
    async fn run(mut self, incoming: Incoming, at: AtEndpoint, at_once: Option<HeaderMap>, to: Sender<Piece>) {
        let over = match at_once {
            Some(trailers) => Over::Trailers(trailers),
            None => self.pump(incoming, &to).await,
        };
        let received = self.received.tally();
        let delivered = self.delivered.tally();
        let filtered = self.call.passage.filter.is_some();
        let (outcome, status, mut trailers) = match over {
            Over::ConsumerGone => {
                let status = i32::from(tonic::Code::Cancelled);
                let end = end_of(
                    &self.call,
                    &self.watch,
                    Outcome::Cancelled,
                    status,
                    delivered,
                    Some(received),
                    self.asked,
                );
                self.open.leave(end);
                return;
            }
            Over::Trailers(trailers) => match status_of(&trailers) {
                Some(status) => {
                    at.answered(status);
                    let outcome = if status == 0 {
                        Outcome::Answered
                    } else {
                        Outcome::Refused
                    };
                    (outcome, status, metadata_of(&trailers, filtered))
                }
                None => {
                    at.failed();
                    trailers_of(Outcome::BrokenOff, refusal(Refusal::ProviderBrokeOff))
                }
            },
            Over::Ended(outcome, fault) => {
                if outcome == Outcome::BrokenOff {
                    at.failed();
                }
                trailers_of(outcome, fault)
            }
        };
        // The provider's side ends before the record is made: nothing more shall happen there.
        drop(at);
        let end = end_of(
            &self.call,
            &self.watch,
            outcome,
            status,
            delivered,
            Some(received),
            self.asked,
        );
        match self.open.end(end).await {
            Ok(promise) => say(&mut trailers, &PROMISE, &promise.0),
            // Not recorded: the consumer must not take the stream for a whole one.
            Err(fault) => (_, _, trailers) = trailers_of(Outcome::Stopped, fault),
        }
        // A consumer that has gone by now has its record all the same.
        let _ = to.send(Ok(Frame::trailers(trailers))).await;
    }

    async fn pump(&mut self, incoming: Incoming, to: &Sender<Piece>) -> Over {
        let mut incoming = pin!(incoming);
        loop {
            // What waits goes first: nothing more is read before the consumer has taken it.
            while let Some(data) = self.waiting.pop_front() {
                let place = tokio::select! {
                    place = to.reserve() => place,
                    (outcome, fault) = self.watch.ends(&self.call) => return Over::Ended(outcome, fault),
                };
                let Ok(place) = place else { return Over::ConsumerGone };
                self.delivered.add(&data);
                place.send(Ok(Frame::data(self.call.placed(data))));
            }
            let frame = tokio::select! {
                biased;
                (outcome, fault) = self.watch.ends(&self.call) => return Over::Ended(outcome, fault),
                () = to.closed() => return Over::ConsumerGone,
                frame = incoming.frame() => frame,
            };
            let Some(Ok(frame)) = frame else {
                return Over::Ended(Outcome::BrokenOff, refusal(Refusal::ProviderBrokeOff));
            };
            match frame.into_data() {
                Ok(data) => {
                    if let Err(fault) = self.take(data) {
                        return Over::Ended(Outcome::Stopped, fault);
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return if self.follower.end().is_ok() {
                            Over::Trailers(trailers)
                        } else {
                            Over::Ended(Outcome::BrokenOff, refusal(Refusal::AnswerUnreadable))
                        };
                    }
                }
            }
        }
    }

    /// Takes a piece of the provider's answer: what may be delivered of it then waits.
    fn take(&mut self, data: Bytes) -> Result<(), Fault> {
        let unreadable = || refusal(Refusal::AnswerUnreadable);
        let before = self.follower.messages;
        self.follower.follow(&data).map_err(|_| unreadable())?;
        self.received.add(&data);
        self.received.messages = self.follower.messages;
        let Some(filter) = self.call.passage.filter.clone() else {
            self.delivered.messages += self.follower.messages - before;
            self.waiting.push_back(data);
            return Ok(());
        };
        self.splitter.push(&data);
        while let Some(message) = self.splitter.next().map_err(|_| unreadable())? {
            let message = inflate(message, self.compression, self.limit).map_err(|_| unreadable())?;
            let message = filter.response(message).map_err(|_| unreadable())?;
            self.delivered.messages += 1;
            self.waiting.push_back(Message::frame_of(&message));
        }
        Ok(())
    }
}

/// A fault as trailers.
fn trailers_of(outcome: Outcome, fault: Fault) -> (Outcome, i32, HeaderMap) {
    let mut trailers = told(fault).into_parts().0.headers;
    trailers.remove(http::header::CONTENT_TYPE);
    let status = status_of(&trailers).unwrap_or_default();
    (outcome, status, trailers)
}
