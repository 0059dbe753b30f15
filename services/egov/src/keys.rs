//! `cargo egov keys`: the keys of a running stack: which there are, another one, and what to do when one is lost.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use egov_clock::{Clock as _, Ids as _, SystemClock, SystemIds};
use egov_keyring::Purpose;
use egov_proto::egov::identity::v1::key_service_client::KeyServiceClient;
use egov_proto::egov::identity::v1::{
    KeyPurpose, KeyState, KeyringKey, ListKeysRequest, RevocationScope, RevokeAllTokensRequest,
    RotateSigningKeyRequest, WithdrawSigningKeyRequest,
};
use jiff::Timestamp;
use prost_types::Timestamp as WireTime;

use crate::client;
use crate::reach::{Reach, refused};
use crate::say;

/// Why the command reads what it reads.
const PURPOSE: &str = "key_administration";

/// `cargo egov keys`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the keys: what each is for, where it stands, since when and until when.
    List(ListArguments),
    /// Make a new key; the old one counts until all that it made has expired.
    Rotate(RotateArguments),
    /// Withdraw a compromised key of tokens: nothing that it signed counts any more.
    Withdraw(WithdrawArguments),
    /// Revoke every token of a kind of callers, or of everybody.
    RevokeAll(RevokeAllArguments),
}

/// `cargo egov keys list`
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only keys for this: token-signing, tree-signing, page-tokens, answers, receipts, checkpoints, webhooks, lookup-secrets,
    /// client-assertions, bodies.
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<Purpose>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov keys rotate`
#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    /// Which keys: token-signing, tree-signing, page-tokens, answers, client-assertions or bodies.
    #[arg(long, value_name = "PURPOSE", default_value_t = Purpose::TokenSigning)]
    purpose: Purpose,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov keys withdraw`
#[derive(Debug, Args)]
pub(crate) struct WithdrawArguments {
    /// The key, as `keys list` names it.
    key_id: String,
    /// Why; it is kept in the record.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Whose tokens.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Of {
    /// Officials.
    Staff,
    /// Citizens, also where a system acts for one.
    Citizens,
    /// Systems.
    Systems,
    /// Everybody.
    Everybody,
}

/// `cargo egov keys revoke-all`
#[derive(Debug, Args)]
pub(crate) struct RevokeAllArguments {
    /// Whose tokens.
    #[arg(long, value_enum)]
    of: Of,
    /// Officials' sessions end too, so that they sign in anew.
    #[arg(long)]
    sessions: bool,
    /// Why; it is kept in the record.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov keys`
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(arguments) => list(arguments).await,
        Command::Rotate(arguments) => rotate(arguments).await,
        Command::Withdraw(arguments) => withdraw(arguments).await,
        Command::RevokeAll(arguments) => revoke_all(arguments).await,
    }
}

async fn list(arguments: ListArguments) -> anyhow::Result<()> {
    let reached = arguments.reach.open(PURPOSE).await?;
    let request = ListKeysRequest {
        purpose: arguments.purpose.map_or(KeyPurpose::Unspecified, to_wire).into(),
    };
    let keys = KeyServiceClient::new(reached.line)
        .list_keys(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner()
        .keys;
    if arguments.json {
        let keys: Vec<serde_json::Value> = keys.iter().map(as_json).collect();
        say::json(&serde_json::json!({ "keys": keys }));
    } else {
        let heading = ["purpose", "key", "state", "since", "until"]
            .map(str::to_owned)
            .to_vec();
        say::line(say::table(std::iter::once(heading).chain(keys.iter().map(row))));
    }
    Ok(())
}

async fn rotate(arguments: RotateArguments) -> anyhow::Result<()> {
    let reached = arguments.reach.open(PURPOSE).await?;
    let request = RotateSigningKeyRequest {
        request_id: SystemIds::default().uuid().to_string(),
        purpose: to_wire(arguments.purpose).into(),
    };
    let made = KeyServiceClient::new(reached.line)
        .rotate_signing_key(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    if arguments.json {
        say::json(&serde_json::json!({ "purpose": arguments.purpose.name(), "key_id": made.key_id }));
    } else {
        say::line(format!(
            "{}: new key {}; the old one counts until its overlap ends · khoá mới, khoá cũ còn hiệu lực đến hết thời gian \
             chuyển tiếp",
            arguments.purpose, made.key_id
        ));
    }
    Ok(())
}

async fn withdraw(arguments: WithdrawArguments) -> anyhow::Result<()> {
    let reached = arguments.reach.open(PURPOSE).await?;
    let request = WithdrawSigningKeyRequest {
        request_id: SystemIds::default().uuid().to_string(),
        key_id: arguments.key_id.clone(),
        reason: arguments.reason,
    };
    let done = KeyServiceClient::new(reached.line)
        .withdraw_signing_key(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    // What is remembered for the next command may have been signed with that key.
    client::forget_tokens(&arguments.reach.place()?, SystemClock.now())?;
    if arguments.json {
        say::json(&serde_json::json!({
            "withdrawn": arguments.key_id, "signing_key_id": done.signing_key_id, "key_made": done.key_made,
        }));
    } else {
        say::line(format!(
            "{} is withdrawn; {} signs{} · khoá đã bị thu hồi, mọi mã truy cập do khoá này ký không còn hiệu lực",
            arguments.key_id,
            done.signing_key_id,
            if done.key_made { ", made now" } else { "" }
        ));
    }
    Ok(())
}

async fn revoke_all(arguments: RevokeAllArguments) -> anyhow::Result<()> {
    let reached = arguments.reach.open(PURPOSE).await?;
    let scope = match arguments.of {
        Of::Staff => RevocationScope::Staff,
        Of::Citizens => RevocationScope::Citizens,
        Of::Systems => RevocationScope::Systems,
        Of::Everybody => RevocationScope::Everybody,
    };
    let request = RevokeAllTokensRequest {
        request_id: SystemIds::default().uuid().to_string(),
        scope: scope.into(),
        end_sessions: arguments.sessions,
        reason: arguments.reason,
    };
    let done = KeyServiceClient::new(reached.line)
        .revoke_all_tokens(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    client::forget_tokens(&arguments.reach.place()?, SystemClock.now())?;
    let until = done
        .not_after
        .as_ref()
        .and_then(instant)
        .context("the answer names no time")?;
    if arguments.json {
        say::json(&serde_json::json!({
            "not_after": until.to_string(), "sessions_ended": done.sessions_ended,
        }));
    } else {
        say::line(format!(
            "tokens issued up to {} are void; {} sessions ended · mã truy cập cấp đến thời điểm này không còn hiệu lực",
            moment(until),
            done.sessions_ended
        ));
    }
    Ok(())
}

/// The purpose as the contract has it.
pub(crate) fn to_wire(purpose: Purpose) -> KeyPurpose {
    match purpose {
        Purpose::TokenSigning => KeyPurpose::TokenSigning,
        Purpose::TreeSigning => KeyPurpose::TreeSigning,
        Purpose::PageTokens => KeyPurpose::PageTokens,
        Purpose::Answers => KeyPurpose::Answers,
        Purpose::Receipts => KeyPurpose::Receipts,
        Purpose::Checkpoints => KeyPurpose::Checkpoints,
        Purpose::Webhooks => KeyPurpose::Webhooks,
        Purpose::LookupSecrets => KeyPurpose::LookupSecrets,
        Purpose::ClientAssertions => KeyPurpose::ClientAssertions,
        Purpose::Bodies => KeyPurpose::Bodies,
    }
}

fn purpose_name(key: &KeyringKey) -> &'static str {
    Purpose::ALL
        .into_iter()
        .find(|purpose| to_wire(*purpose) == key.purpose())
        .map_or("unknown", Purpose::name)
}

/// Where a key stands, for people and for scripts.
pub(crate) fn state_words(state: KeyState) -> (&'static str, &'static str) {
    match state {
        KeyState::Unspecified => ("unknown · không rõ", "unknown"),
        KeyState::Published => ("published · đã công bố, chưa dùng", "published"),
        KeyState::InUse => ("in use · đang dùng", "in_use"),
        KeyState::Overlapping => ("overlapping · chuyển tiếp", "overlapping"),
        KeyState::Retired => ("retired · hết hạn", "retired"),
        KeyState::Withdrawn => ("withdrawn · đã thu hồi", "withdrawn"),
    }
}

fn row(key: &KeyringKey) -> Vec<String> {
    let since = key
        .create_time
        .as_ref()
        .and_then(instant)
        .map(|at| at.to_zoned(egov_clock::vietnam()).strftime("%d/%m/%Y").to_string());
    vec![
        purpose_name(key).to_owned(),
        key.key_id.clone(),
        state_words(key.state()).0.to_owned(),
        since.unwrap_or_default(),
        key.end_time
            .as_ref()
            .and_then(instant)
            .map_or_else(|| "-".to_owned(), moment),
    ]
}

fn as_json(key: &KeyringKey) -> serde_json::Value {
    let text = |time: Option<&WireTime>| time.and_then(instant).map(|at| at.to_string());
    serde_json::json!({
        "purpose": purpose_name(key), "key_id": key.key_id, "state": state_words(key.state()).1,
        "since": text(key.create_time.as_ref()), "until": text(key.end_time.as_ref()),
    })
}

fn instant(time: &WireTime) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A moment for people, in Việt Nam.
pub(crate) fn moment(at: Timestamp) -> String {
    at.to_zoned(egov_clock::vietnam())
        .strftime("%d/%m/%Y %H:%M:%S")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_key_is_for_where_it_stands_since_and_until_when() {
        let key = KeyringKey {
            purpose: KeyPurpose::TokenSigning.into(),
            key_id: "20261123-9f3a2c1d".to_owned(),
            state: KeyState::Overlapping.into(),
            create_time: Some(WireTime {
                seconds: 1_795_395_600, // 23/11/2026 08:00 in Việt Nam
                nanos: 0,
            }),
            end_time: Some(WireTime {
                seconds: 1_795_399_200,
                nanos: 0,
            }),
        };
        assert_eq!(
            row(&key),
            [
                "token-signing",
                "20261123-9f3a2c1d",
                "overlapping · chuyển tiếp",
                "23/11/2026",
                "23/11/2026 09:00:00"
            ]
        );
        assert_eq!(as_json(&key)["state"], "overlapping");
        let endless = KeyringKey { end_time: None, ..key };
        assert_eq!(row(&endless)[4], "-");
    }
}
