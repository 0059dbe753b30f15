//! `cargo egov call`: any RPC of a running stack, found by reflection.
//!
//! Nothing about the contracts is compiled in: the command asks the server for its descriptors, as
//! any other client could, and speaks to it in the JSON mapping of protobuf.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MethodDescriptor, SerializeOptions};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// The contracts of a server, learned by reflection.
pub(crate) struct Remote {
    channel: Channel,
    pool: DescriptorPool,
}

/// One RPC as `--list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Listed {
    /// `egov.onestop.v1.CaseService/GetCase`.
    pub(crate) method: String,
    /// The first sentence of its comment.
    pub(crate) summary: String,
}

impl Remote {
    /// Asks the server for its contracts.
    pub(crate) async fn connect(channel: Channel) -> anyhow::Result<Self> {
        let mut client = ServerReflectionClient::new(channel.clone());
        let services = match ask(&mut client, MessageRequest::ListServices(String::new())).await? {
            MessageResponse::ListServicesResponse(list) => list.service,
            other => bail!("the server answered the list of services with {other:?}"),
        };
        let mut pool = DescriptorPool::new();
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for service in services {
            let answer = ask(&mut client, MessageRequest::FileContainingSymbol(service.name.clone())).await?;
            collect(&mut client, answer, &mut seen, &mut files).await?;
        }
        pool.add_file_descriptor_protos(files)
            .context("the server's descriptors do not fit together")?;
        Ok(Self { channel, pool })
    }

    /// All RPCs, by name.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self
            .pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| Listed {
                method: format!("{}/{}", method.parent_service().full_name(), method.name()),
                summary: summary(&method),
            })
            .collect();
        listed.sort_by(|a, b| a.method.cmp(&b.method));
        listed
    }

    /// Finds an RPC by its full name, or by the end of it (`GetCase`, `CaseService/GetCase`).
    pub(crate) fn method(&self, name: &str) -> anyhow::Result<MethodDescriptor> {
        let wanted = name.replace('.', "/");
        let matching: Vec<MethodDescriptor> = self
            .pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .filter(|method| {
                let full = format!("{}/{}", method.parent_service().full_name(), method.name()).replace('.', "/");
                full == wanted || full.ends_with(&format!("/{wanted}"))
            })
            .collect();
        match matching.as_slice() {
            [one] => Ok(one.clone()),
            [] => bail!("there is no RPC {name}: `cargo egov call --list` shows what there is"),
            several => bail!(
                "{name} is the name of several RPCs: {}",
                several
                    .iter()
                    .map(|method| method.full_name().to_owned())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    /// Calls an RPC with a JSON request and gives the JSON answer. A `requestId` that is missing is
    /// filled with `request_id`, so that a newcomer need not make one.
    pub(crate) async fn call(
        &self,
        method: &MethodDescriptor,
        json: &str,
        token: Option<&str>,
        purpose: Option<&str>,
        request_id: &str,
    ) -> anyhow::Result<Result<serde_json::Value, Status>> {
        let mut body: serde_json::Value = serde_json::from_str(json)
            .context("the request is not JSON; quote it for the shell: '{\"caseId\": \"…\"}'")?;
        let takes_request_id = method.input().get_field_by_name("request_id").is_some();
        if let Some(object) = body.as_object_mut()
            && takes_request_id
            && !object.contains_key("requestId")
            && !object.contains_key("request_id")
        {
            object.insert("requestId".to_owned(), request_id.into());
        }
        let message = DynamicMessage::deserialize_with_options(method.input(), body, &DeserializeOptions::new())
            .with_context(|| format!("the request does not fit {}", method.input().full_name()))?;

        let mut request = Request::new(message);
        if let Some(token) = token {
            request.metadata_mut().insert(
                "authorization",
                format!("Bearer {token}")
                    .parse()
                    .context("the token holds characters that no token holds")?,
            );
        }
        if let Some(purpose) = purpose {
            request.metadata_mut().insert(
                "x-egov-purpose",
                purpose
                    .parse()
                    .context("the purpose must be plain ASCII, e.g. case_handling")?,
            );
        }
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        client.ready().await.context("the server does not answer")?;
        let answer = client
            .unary(
                request,
                path.parse().context("the method's name is no path")?,
                DynamicCodec { method: method.clone() },
            )
            .await;
        match answer {
            Ok(answer) => {
                let options = SerializeOptions::new().skip_default_fields(true);
                let json = answer
                    .into_inner()
                    .serialize_with_options(serde_json::value::Serializer, &options)
                    .context("the answer has no JSON form")?;
                Ok(Ok(json))
            }
            Err(status) => Ok(Err(status)),
        }
    }
}

/// The first sentence of an RPC's comment.
fn summary(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let comment = file
        .file_descriptor_proto()
        .source_code_info
        .as_ref()
        .and_then(|info| info.location.iter().find(|location| location.path == method.path()))
        .and_then(|location| location.leading_comments.clone())
        .unwrap_or_default();
    let text = comment.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => text.trim_end_matches('.').to_owned(),
    }
}

/// One question to the reflection service.
async fn ask(client: &mut ServerReflectionClient<Channel>, message: MessageRequest) -> anyhow::Result<MessageResponse> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .map_err(|status| anyhow::anyhow!("the server does not answer reflection: {}", status.message()))?
        .into_inner();
    let answer = answers
        .message()
        .await?
        .context("the server closed the reflection stream without an answer")?;
    answer
        .message_response
        .context("the server's reflection answer is empty")
}

/// Adds the files of an answer and, one after the other, what they import.
async fn collect(
    client: &mut ServerReflectionClient<Channel>,
    answer: MessageResponse,
    seen: &mut BTreeSet<String>,
    files: &mut Vec<prost_types::FileDescriptorProto>,
) -> anyhow::Result<()> {
    let mut pending = vec![answer];
    while let Some(answer) = pending.pop() {
        let encoded = match answer {
            MessageResponse::FileDescriptorResponse(found) => found.file_descriptor_proto,
            MessageResponse::ErrorResponse(error) => bail!("the server has no descriptor: {}", error.error_message),
            other => bail!("the server answered the search for a descriptor with {other:?}"),
        };
        for bytes in encoded {
            let file = prost_types::FileDescriptorProto::decode(bytes.as_slice())?;
            if !seen.insert(file.name().to_owned()) {
                continue;
            }
            for import in &file.dependency {
                if !seen.contains(import) {
                    pending.push(ask(client, MessageRequest::FileByFilename(import.clone())).await?);
                }
            }
            files.push(file);
        }
    }
    Ok(())
}

/// Encodes and decodes the messages of one RPC from its descriptor.
#[derive(Clone)]
struct DynamicCodec {
    method: MethodDescriptor,
}

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let mut message = DynamicMessage::new(self.method.output());
        message
            .merge(from)
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }
}
