//! REST by our transcoder in front of an echo, against Envoy's in front of the same echo.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::proxy::Proxy;
use super::{Aim, CALLERS, How, Outcome, Run, echo, load, outcome};

/// One connection, kept alive.
async fn connection(address: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The message in the JSON mapping of protobuf, by the library that is the second implementation in our tests.
fn json() -> anyhow::Result<Bytes> {
    let pool = DescriptorPool::decode(echo::DESCRIPTORS)?;
    let descriptor = pool
        .get_message_by_name("egov.bench.v1.EchoRequest")
        .context("the contract of the echo has no request")?;
    let mut message = DynamicMessage::new(descriptor);
    message.transcode_from(&echo::message())?;
    Ok(serde_json::to_vec(&message)?.into())
}

/// Posts and gives the answer.
async fn post(sender: &mut SendRequest<Full<Bytes>>, address: &str, body: &Bytes) -> Result<Bytes, String> {
    let words = |error: hyper::Error| error.to_string();
    let request = hyper::Request::post("/v1/echo")
        .header(hyper::header::HOST, address)
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.clone()))
        .map_err(|error| error.to_string())?;
    sender.ready().await.map_err(words)?;
    let answer = sender.send_request(request).await.map_err(words)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(words)?.to_bytes();
    if status == hyper::StatusCode::OK {
        Ok(body)
    } else {
        Err(format!("{status}: {}", String::from_utf8_lossy(&body)))
    }
}

async fn rest(address: &str, how: &How) -> anyhow::Result<Run> {
    let body = json()?;
    let sent: serde_json::Value = serde_json::from_slice(&body)?;
    let mut senders = Vec::new();
    for _ in 0..CALLERS {
        senders.push(Arc::new(Mutex::new(connection(address).await?)));
    }
    // Once the whole answer is compared; then its length must stay.
    let first = senders.first().context("there is no connection")?;
    let answer = post(&mut *first.lock().await, address, &body)
        .await
        .map_err(anyhow::Error::msg)?;
    if serde_json::from_slice::<serde_json::Value>(&answer)? != sent {
        bail!("{address} answers {}", String::from_utf8_lossy(&answer));
    }
    let (expected, address) = (answer.len(), Arc::<str>::from(address));
    Ok(load::run(how.duration(), |caller| {
        let sender = senders.get(caller).cloned();
        let (body, address) = (body.clone(), Arc::clone(&address));
        move |_| {
            let (sender, body, address) = (sender.clone(), body.clone(), Arc::clone(&address));
            async move {
                let sender = sender.ok_or("there is no connection")?;
                let answer = post(&mut *sender.lock().await, &address, &body).await?;
                if answer.len() == expected {
                    Ok(())
                } else {
                    Err("the answer has another length".to_owned())
                }
            }
        }
    })
    .await)
}

/// Ours and Envoy in turns.
pub(super) async fn measure(how: &How) -> anyhow::Result<Outcome> {
    let ours = echo::Beside::start(true).await?;
    let behind = echo::Beside::start(false).await?;
    let envoy = Proxy::transcoding_envoy(how, &behind.url).await?;
    let address = ours.url.trim_start_matches("http://").to_owned();
    let (mut runs, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..how.runs {
        runs.push(rest(&address, how).await?);
        let anchor = rest(&envoy.address, how).await?;
        if anchor.errors > 0 {
            bail!("{} calls through Envoy failed", anchor.errors);
        }
        anchors.push(anchor.per_second);
    }
    envoy.stop().await?;
    behind.stop().await?;
    ours.stop().await?;
    Ok(outcome("transcode", &runs, &anchors, Some(Aim::Ratio(1.2))))
}
