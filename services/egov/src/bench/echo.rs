//! An echo: the least that an RPC of a stated size can cost, in a process of its own, with and without REST in front.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use egov_transcode::Rest;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::process::Command;
use tonic::{Request, Response, Status, Streaming};

use super::contract::echo_service_client::EchoServiceClient;
use super::contract::echo_service_server::{EchoService, EchoServiceServer};
use super::contract::stream_service_server::{StreamService, StreamServiceServer};
use super::contract::wide_service_server::{WideService, WideServiceServer};
use super::contract::{self, EchoRequest, EchoResponse, GiveRequest, Piece, TakeResponse, Wide};
use super::load::{self, Connections};
use super::stage::Process;
use super::{PAYLOAD_BYTES, Run, streams};
use crate::client::Carrier;
use crate::say;

/// The contract as Envoy reads it.
pub(super) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));

/// The contracts of the echo, of the wide message and of the streams, as the directory of interfaces takes them.
pub(super) const INTERFACE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bench.bin"));

#[derive(Clone, Debug)]
struct Echo;

#[tonic::async_trait]
impl WideService for Echo {
    async fn echo(&self, request: Request<Wide>) -> Result<Response<Wide>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let message = request.into_inner().message;
        Ok(Response::new(EchoResponse { message }))
    }
}

#[tonic::async_trait]
impl StreamService for Echo {
    type GiveStream = BoxStream<'static, Result<Piece, Status>>;

    async fn take(&self, request: Request<Streaming<Piece>>) -> Result<Response<TakeResponse>, Status> {
        let mut pieces = request.into_inner();
        let content = streams::content();
        let mut taken = 0;
        while let Some(one) = pieces.message().await? {
            if one != streams::piece(taken, &content) {
                return Err(Status::data_loss(format!("piece {taken} is not what it must be")));
            }
            taken += 1;
        }
        Ok(Response::new(TakeResponse { pieces: taken }))
    }

    async fn give(&self, request: Request<GiveRequest>) -> Result<Response<Self::GiveStream>, Status> {
        let content = streams::content();
        let pieces = (0..request.into_inner().pieces).map(move |number| Ok(streams::piece(number, &content)));
        Ok(Response::new(stream::iter(pieces).boxed()))
    }
}

/// Where it listens.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    url: String,
}

/// `serve-echo`: until it is asked to stop.
pub(super) async fn serve(rest: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    say::json(&Ready { url });
    let stop = async {
        if let Ok(mut asked) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            asked.recv().await;
        }
    };
    let grpc = tonic::service::Routes::new(EchoServiceServer::new(Echo))
        .add_service(WideServiceServer::new(Echo))
        .add_service(StreamServiceServer::new(Echo))
        .prepare();
    if rest {
        let pool = DescriptorPool::decode(DESCRIPTORS)?;
        let rest = Rest::compile(&pool, |service| service.starts_with("egov.bench."))?;
        let router = Arc::new(rest).in_front_of(grpc.into_axum_router());
        axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    } else {
        tonic::transport::Server::builder()
            .add_routes(grpc)
            .serve_with_incoming_shutdown(
                tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop,
            )
            .await?;
    }
    Ok(())
}

/// The message of the stated size: a case as people know it.
pub(super) fn message() -> contract::EchoRequest {
    let mut request = EchoRequest {
        message: Some(contract::Filing {
            case_id: "0199a5c1-7f6e-7c3a-9d55-3f1c2b8a9e10".to_owned(),
            case_code: "H41.43-261126-0001".to_owned(),
            state: contract::State::Accepted.into(),
            owner: Some(contract::Person {
                full_name: "Nguyễn Thị Hường".to_owned(),
                personal_number: "040190001234".to_owned(),
                phone: "0912345678".to_owned(),
                address: "Số 1, đường Lê Mao, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
            }),
            components: (1..=8)
                .map(|number| contract::Component {
                    code: format!("thanh_phan_{number}"),
                    originals: number,
                    copies: 2 * number,
                    digitised: number % 2 == 0,
                })
                .collect(),
            fee: 15_000,
            submit_time: Some(prost_types::Timestamp {
                seconds: 1_795_000_000,
                nanos: 123_000_000,
            }),
            subject: String::new(),
        }),
    };
    let missing = PAYLOAD_BYTES.saturating_sub(request.encoded_len() + 3);
    if let Some(message) = &mut request.message {
        message.subject = "x".repeat(missing);
    }
    let excess = request.encoded_len().saturating_sub(PAYLOAD_BYTES);
    if let Some(message) = &mut request.message {
        message.subject.truncate(missing.saturating_sub(excess));
    }
    request
}

/// An echo in a process of its own.
pub(super) struct Beside {
    pub(super) url: String,
    process: Process,
}

impl Beside {
    /// Starts it.
    pub(super) async fn start(rest: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "serve-echo"]);
        if rest {
            command.arg("--rest");
        }
        let (process, line) = Process::start(command).await?;
        let ready: Ready = serde_json::from_str(&line).context("the echo did not say where it listens")?;
        Ok(Self {
            url: ready.url,
            process,
        })
    }

    /// Calls a second over gRPC; an answer that is not the message is an error.
    pub(super) async fn grpc(&self, duration: Duration) -> anyhow::Result<f64> {
        let run = call(&self.url, None, duration).await?;
        anyhow::ensure!(run.errors == 0, "{} echoes failed", run.errors);
        Ok(run.per_second)
    }

    /// Stops it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// Calls the echo at `url`, or through what stands in front of it there, with a token where one is asked for.
pub(super) async fn call(url: &str, token: Option<&str>, duration: Duration) -> anyhow::Result<Run> {
    let connections = Connections::open(url).await?;
    let carrier = token.map_or_else(Carrier::public, |token| Carrier::token(token.to_owned()));
    let message = Arc::new(message());
    Ok(load::run(duration, |caller| {
        let channel = connections.of(caller);
        let (message, carrier) = (Arc::clone(&message), carrier.clone());
        move |_| {
            let (channel, message, carrier) = (channel.clone(), Arc::clone(&message), carrier.clone());
            async move {
                let mut echo = EchoServiceClient::with_interceptor(channel?, carrier);
                let answer = echo
                    .echo(EchoRequest::clone(&message))
                    .await
                    .map_err(|status| status.to_string())?;
                if answer.into_inner().message == message.message {
                    Ok(())
                } else {
                    Err("the echo says something else".to_owned())
                }
            }
        }
    })
    .await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_echoed_has_exactly_the_stated_size() {
        assert_eq!(message().encoded_len(), PAYLOAD_BYTES);
    }
}
