//! A call through the door with tonic: a token, the call, its promise, its receipt, the check of it.
//!
//! ```sh
//! cargo run -p egov --example partner -- FOLDER [PROCEDURE]
//! ```
//!
//! FOLDER is the one that `cargo egov partner new NAME` wrote.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it stands for a partner's own program, which has its own clock and terminal"
)]

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_proto::egov::integration::v1::GetExchangeReceiptRequest;
use egov_proto::egov::integration::v1::exchange_service_client::ExchangeServiceClient;
use egov_proto::egov::onestop::v1::GetProcedureRequest;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

/// What `partner new` wrote of the connection.
struct Card(Value);

impl Card {
    fn get(&self, name: &str) -> anyhow::Result<&str> {
        self.0
            .get(name)
            .and_then(Value::as_str)
            .with_context(|| format!("partner.json has no {name}"))
    }
}

/// Client credentials (RFC 6749, section 4.4), proved by a signed assertion (RFC 7523). It counts five minutes.
async fn token(folder: &Path, card: &Card) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let (client_id, endpoint) = (card.get("client_id")?, card.get("token_endpoint")?);
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": endpoint,
        "iat": now.as_secs(), "exp": now.as_secs() + 60, "jti": now.as_nanos().to_string(),
    });
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(card.get("client_key_id")?.to_owned());
    let pem = std::fs::read(folder.join(card.get("client_key")?))?;
    let assertion = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_pem(&pem)?)?;
    // Of the values only the colons of the assertion's type need to be written otherwise in a form.
    let form = format!(
        "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion={assertion}"
    );
    let answer = reqwest::Client::new()
        .post(endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await?
        .error_for_status()?;
    let issued: Value = answer.json().await?;
    let token = issued.get("access_token").and_then(Value::as_str);
    Ok(token.context("the answer holds no token")?.to_owned())
}

/// A request with the token.
fn bearing<T>(token: &str, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

fn text(metadata: &MetadataMap, name: &str) -> anyhow::Result<String> {
    let value = metadata.get(name).with_context(|| format!("the door said no {name}"))?;
    Ok(value.to_str()?.to_owned())
}

fn refused(status: Status) -> anyhow::Error {
    anyhow::anyhow!("refused with {:?}: {}", status.code(), status.message())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name the folder that `partner new` wrote")?;
    let folder = Path::new(&folder);
    let procedure_code = arguments.next().unwrap_or_else(|| "1.001193".to_owned());
    let card = Card(serde_json::from_slice(&std::fs::read(folder.join("partner.json"))?)?);
    let token = token(folder, &card).await?;

    // In production: Endpoint::tls_config with the client certificate to which the token is bound.
    let door = Endpoint::from_shared(card.get("door")?.to_owned())?.connect().await?;
    let mut request = bearing(
        &token,
        GetProcedureRequest {
            procedure_code,
            on: None,
        },
    )?;
    request
        .metadata_mut()
        .insert("x-egov-service", card.get("service_id")?.parse()?);
    let answer = ProcedureServiceClient::new(door)
        .get_procedure(request)
        .await
        .map_err(refused)?;
    let (exchange_id, promise) = (
        text(answer.metadata(), "x-egov-exchange")?,
        text(answer.metadata(), "x-egov-promise")?,
    );
    println!("{:#?}", answer.into_inner().procedure.unwrap_or_default());
    println!("exchange: {exchange_id}\npromise: {promise}");

    let platform = Endpoint::from_shared(card.get("url")?.to_owned())?.connect().await?;
    let receipt = ExchangeServiceClient::new(platform)
        .get_exchange_receipt(bearing(&token, GetExchangeReceiptRequest { exchange_id })?)
        .await
        .map_err(refused)?
        .into_inner();
    let file = folder.join("receipt.json");
    let bytes = |bytes: &[u8]| STANDARD.encode(bytes);
    let written = json!({
        "canonical": bytes(&receipt.canonical), "salt": bytes(&receipt.salt), "receipt": bytes(&receipt.receipt),
        "leafHash": receipt.leaf_hash,
    });
    std::fs::write(&file, written.to_string())?;

    // Offline, with nothing but the key of the ledger: `cargo egov` in a clone, or the binary.
    let egov = std::env::var("EGOV").unwrap_or_else(|_| "cargo egov".to_owned());
    let mut words = egov.split_whitespace();
    let checked = Command::new(words.next().context("EGOV is empty")?)
        .args(words)
        .args(["verify", "exchange"])
        .arg(&file)
        .args(["--key", card.get("ledger_key")?, "--promise", &promise])
        .status()?;
    ensure!(checked.success(), "the receipt does not hold");
    Ok(())
}
