//! The handlers of MailboxService.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::mailbox_service_server::MailboxService;
use egov_proto::timestamp;
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::events::{duration, id, ids};
use super::status;
use crate::domain::mailbox::{DEFAULT_MAX_AGE, DEFAULT_MAX_MESSAGES, LONGEST_MAX_AGE, Mailbox, Message};
use crate::error::Error;
use crate::operations::mailboxes::{Mailboxes, Outgoing};

/// The service of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct MailboxApi {
    pub(crate) contract: Arc<Contract>,
    pub(crate) mailboxes: Arc<Mailboxes>,
}

fn encode_mailbox(mailbox: &Mailbox) -> proto::Mailbox {
    proto::Mailbox {
        mailbox_id: mailbox.id.to_string(),
        sender_unit_id: mailbox.sender_unit,
        receiver_unit_id: mailbox.receiver_unit,
        sender_agency: mailbox.sender_agency.clone(),
        receiver_agency: mailbox.receiver_agency.clone(),
        max_age: prost_types::Duration::try_from(mailbox.max_age).ok(),
        max_messages: mailbox.max_messages,
        create_time: Some(timestamp(mailbox.create_time)),
    }
}

fn encode_receipt(message: &Message) -> proto::MessageReceipt {
    proto::MessageReceipt {
        message_id: message.id.to_string(),
        mailbox_id: message.mailbox.to_string(),
        state: i32::from(message.state.code()),
        sha256: message.sha256.clone(),
        send_time: Some(timestamp(message.send_time)),
        fetch_time: message.fetch_time.map(timestamp),
        confirm_time: message.confirm_time.map(timestamp),
        receiver_reference: message.receiver_reference.clone(),
        attempts: message.attempts,
        cause: message.cause.clone(),
    }
}

fn hex_of(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, content).as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[tonic::async_trait]
impl MailboxService for MailboxApi {
    async fn create_mailbox(
        &self,
        request: Request<proto::CreateMailboxRequest>,
    ) -> Result<Response<proto::CreateMailboxResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let request_id = id(&message.request_id, "request_id")?;
        if message.sender_unit_id == message.receiver_unit_id {
            return Err(status(Error::Field {
                field: "receiver_unit_id",
                vi: "phải khác bên gửi",
                en: "must be another than the sender",
            }));
        }
        let mailbox = Mailbox {
            id: Uuid::nil(),
            sender_unit: message.sender_unit_id,
            receiver_unit: message.receiver_unit_id,
            sender_agency: message.sender_agency.clone(),
            receiver_agency: message.receiver_agency.clone(),
            max_age: duration(
                "max_age",
                message.max_age.as_ref(),
                DEFAULT_MAX_AGE,
                Duration::from_mins(1),
                LONGEST_MAX_AGE,
            )
            .map_err(status)?,
            max_messages: Some(message.max_messages)
                .filter(|most| *most > 0)
                .unwrap_or(DEFAULT_MAX_MESSAGES),
            create_time: Timestamp::UNIX_EPOCH,
        };
        let answer = |mailbox: &Mailbox| proto::CreateMailboxResponse {
            mailbox: Some(encode_mailbox(mailbox)),
        };
        let made = self
            .mailboxes
            .create(accepted.caller()?, request_id, message, mailbox, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn list_mailboxes(
        &self,
        request: Request<proto::ListMailboxesRequest>,
    ) -> Result<Response<proto::ListMailboxesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let listed = self.mailboxes.list(accepted.caller()?, &accepted.message).await;
        let (mailboxes, next_page_token) = listed.map_err(status)?;
        Ok(Response::new(proto::ListMailboxesResponse {
            mailboxes: mailboxes.iter().map(encode_mailbox).collect(),
            next_page_token,
        }))
    }

    async fn send_message(
        &self,
        request: Request<proto::SendMessageRequest>,
    ) -> Result<Response<proto::SendMessageResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let request_id = id(&message.request_id, "request_id")?;
        let outgoing = Outgoing {
            mailbox: id(&message.mailbox_id, "mailbox_id")?,
            kind: &message.kind,
            media_type: &message.media_type,
            content: &message.content,
            sha256: hex_of(&message.content),
            subjects: ids(&message.subject_ids, "subject_ids")?,
        };
        let answer = |message: &Message| proto::SendMessageResponse {
            receipt: Some(encode_receipt(message)),
        };
        let sent = self
            .mailboxes
            .send(accepted.caller()?, request_id, message, outgoing, answer)
            .await;
        Ok(Response::new(sent.map_err(status)?))
    }

    async fn fetch_messages(
        &self,
        request: Request<proto::FetchMessagesRequest>,
    ) -> Result<Response<proto::FetchMessagesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let mailbox_id = id(&accepted.message.mailbox_id, "mailbox_id")?;
        let limit = match accepted.message.max_messages {
            0 => 10,
            limit => i64::from(limit),
        };
        let fetched = self.mailboxes.fetch(accepted.caller()?, mailbox_id, limit).await;
        let (mailbox, messages) = fetched.map_err(status)?;
        Ok(Response::new(proto::FetchMessagesResponse {
            messages: messages
                .into_iter()
                .map(|(message, content)| proto::MailboxMessage {
                    message_id: message.id.to_string(),
                    mailbox_id: message.mailbox.to_string(),
                    sender_agency: mailbox.sender_agency.clone(),
                    kind: message.kind,
                    media_type: message.media_type,
                    content: content.into(),
                    sha256: message.sha256,
                    send_time: Some(timestamp(message.send_time)),
                    attempt: message.attempts,
                })
                .collect(),
        }))
    }

    async fn confirm_message(
        &self,
        request: Request<proto::ConfirmMessageRequest>,
    ) -> Result<Response<proto::ConfirmMessageResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let message_id = id(&accepted.message.message_id, "message_id")?;
        let answer = |message: &Message| proto::ConfirmMessageResponse {
            receipt: Some(encode_receipt(message)),
        };
        let confirmed = self
            .mailboxes
            .confirm(accepted.caller()?, request_id, &accepted.message, message_id, answer)
            .await;
        Ok(Response::new(confirmed.map_err(status)?))
    }

    async fn refuse_message(
        &self,
        request: Request<proto::RefuseMessageRequest>,
    ) -> Result<Response<proto::RefuseMessageResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let message_id = id(&accepted.message.message_id, "message_id")?;
        let answer = |message: &Message| proto::RefuseMessageResponse {
            receipt: Some(encode_receipt(message)),
        };
        let refused = self
            .mailboxes
            .refuse(accepted.caller()?, request_id, &accepted.message, message_id, answer)
            .await;
        Ok(Response::new(refused.map_err(status)?))
    }

    async fn get_message_receipt(
        &self,
        request: Request<proto::GetMessageReceiptRequest>,
    ) -> Result<Response<proto::GetMessageReceiptResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message_id = id(&accepted.message.message_id, "message_id")?;
        let found = self.mailboxes.receipt(accepted.caller()?, message_id).await;
        Ok(Response::new(proto::GetMessageReceiptResponse {
            receipt: Some(encode_receipt(&found.map_err(status)?)),
        }))
    }

    async fn list_dead_messages(
        &self,
        request: Request<proto::ListDeadMessagesRequest>,
    ) -> Result<Response<proto::ListDeadMessagesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let mailbox_id = id(&accepted.message.mailbox_id, "mailbox_id")?;
        let listed = self
            .mailboxes
            .list_dead(accepted.caller()?, &accepted.message, mailbox_id)
            .await;
        let (messages, next_page_token) = listed.map_err(status)?;
        Ok(Response::new(proto::ListDeadMessagesResponse {
            receipts: messages.iter().map(encode_receipt).collect(),
            next_page_token,
        }))
    }

    async fn redrive_message(
        &self,
        request: Request<proto::RedriveMessageRequest>,
    ) -> Result<Response<proto::RedriveMessageResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let message_id = id(&accepted.message.message_id, "message_id")?;
        let answer = |message: &Message| proto::RedriveMessageResponse {
            receipt: Some(encode_receipt(message)),
        };
        let redriven = self
            .mailboxes
            .redrive(accepted.caller()?, request_id, &accepted.message, message_id, answer)
            .await;
        Ok(Response::new(redriven.map_err(status)?))
    }
}
