//! Every read RPC of the contract, asked generically: what it needs is found out from its own violations, and filled by the names of fields.

use std::collections::BTreeMap;

use egov_fault::fault_of;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, SerializeOptions};
use serde_json::{Map, Value, json};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::support::Stack;

/// Pages that are followed of one list: more than the rows of the test fill.
const MOST_PAGES: usize = 4;

/// Fields that decide how much of an answer comes, not which.
const OF_PAGES: [&str; 2] = ["page_size", "page_token"];

/// An id that no row has. What is asked about it must be answered in the same way about a row that the caller may not see.
pub(crate) const NOBODYS: &str = "f0f0f0f0-f0f0-4f0f-8f0f-f0f0f0f0f0f0";

/// The read RPCs of a package, by name.
pub(crate) fn read_rpcs(package: &str) -> Vec<MethodDescriptor> {
    let extension = egov_proto::POOL
        .get_extension_by_name("egov.options.v1.idempotency")
        .unwrap();
    let reads = |method: &MethodDescriptor| {
        let options = method.options();
        let rule = options.get_extension(&extension);
        let kind = rule
            .as_message()
            .unwrap()
            .get_field_by_name("kind")
            .unwrap()
            .as_enum_number();
        // KIND_READ of egov.options.v1.Idempotency.
        kind == Some(1)
    };
    let mut found: Vec<MethodDescriptor> = egov_proto::POOL
        .services()
        .filter(|service| service.package_name() == package)
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(reads)
        .collect();
    found.sort_by_key(|method| method.full_name().to_owned());
    found
}

/// A caller: who, by which token, for which purpose.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) name: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) purpose: Option<&'static str>,
}

/// What is put into fields, by their names.
pub(crate) struct Known(pub(crate) BTreeMap<&'static str, Vec<Value>>);

impl Known {
    /// The same, and of each kind of row one that does not exist.
    pub(crate) fn with_nobodys(mut self) -> Self {
        for (_, ids) in self
            .0
            .iter_mut()
            .filter(|(name, _)| name.ends_with("_id") && **name != "unit_id")
        {
            ids.push(json!(NOBODYS));
        }
        self
    }

    /// The values for a field: those of its name, or of the longest known ending of it; else what its type allows. None if nothing is known.
    fn of(&self, field: &FieldDescriptor) -> Option<Vec<Value>> {
        let name = field.name().trim_end_matches("_ids").trim_end_matches('_');
        let name = if field.name().ends_with("_ids") {
            format!("{name}_id")
        } else {
            field.name().to_owned()
        };
        let singular = name.strip_suffix('s').unwrap_or(&name);
        let by_name = [name.as_str(), singular]
            .into_iter()
            .find_map(|name| self.0.get(name))
            .or_else(|| {
                let ends = self.0.iter().filter(|(known, _)| name.ends_with(&format!("_{known}")));
                ends.max_by_key(|(known, _)| known.len()).map(|(_, values)| values)
            })
            .cloned();
        let values = by_name.or_else(|| self.of_type(&field.kind()))?;
        Some(if field.is_list() {
            values.into_iter().map(|value| json!([value])).collect()
        } else {
            values
        })
    }

    fn of_type(&self, kind: &Kind) -> Option<Vec<Value>> {
        match kind {
            Kind::Bool => Some(vec![json!(true)]),
            Kind::Enum(values) => {
                let numbers = values
                    .values()
                    .map(|value| value.number())
                    .filter(|number| *number != 0);
                Some(numbers.map(|number| json!(number)).collect())
            }
            Kind::Message(message) => self.0.get(message.full_name()).cloned(),
            _ => None,
        }
    }
}

/// One RPC with everything that it may be asked.
pub(crate) struct Reader {
    method: MethodDescriptor,
    channel: Channel,
}

/// What a caller was answered: the pages of an answer one after the other, or the code and reason of a refusal.
pub(crate) type Answer = Result<Vec<Value>, (Code, String)>;

impl Reader {
    pub(crate) fn new(stack: &Stack, method: MethodDescriptor) -> Self {
        let channel = Endpoint::from_shared(format!("http://{}", stack.address))
            .unwrap()
            .connect_lazy();
        Self { method, channel }
    }

    pub(crate) fn name(&self) -> &str {
        self.method.full_name()
    }

    /// The requests that this RPC is asked: the least that it accepts with each value that is known of what it needs, and that with each
    /// further field. What cannot be filled is said by name.
    pub(crate) async fn requests(&self, asker: &Asker, known: &Known) -> Result<Vec<Map<String, Value>>, String> {
        let mut least = Map::new();
        // Whoever may not ask at all need not be asked for each field.
        if !self.fill(asker, &mut least, known).await? {
            return Ok(vec![least]);
        }
        let mut all = vec![least.clone()];
        let input = self.method.input();
        for field in input.fields().filter(|field| !OF_PAGES.contains(&field.name())) {
            let values = known
                .of(&field)
                .ok_or_else(|| format!("{}: no value is known for {}", self.name(), field.name()))?;
            for value in values {
                let mut request = least.clone();
                request.insert(field.name().to_owned(), value);
                // Which of several things is meant may ask for another field: the inbox of a unit for the unit.
                if matches!(field.kind(), Kind::Enum(_)) {
                    self.fill(asker, &mut request, known).await?;
                }
                all.extend(self.where_it_is_taken(asker, field.name(), &request, known).await?);
                if !all.contains(&request) {
                    all.push(request);
                }
            }
        }
        Ok(all)
    }

    /// A request that is refused for one of its fields, with each meaning of the request by which the field is taken: one role only of the inbox
    /// of a unit. None if it is not refused so.
    async fn where_it_is_taken(
        &self,
        asker: &Asker,
        name: &str,
        request: &Map<String, Value>,
        known: &Known,
    ) -> Result<Vec<Map<String, Value>>, String> {
        let refused = |answer: &Result<Value, Status>| {
            let violations = answer
                .as_ref()
                .err()
                .map(|status| fault_of(status).violations().to_vec());
            violations.is_some_and(|violations| violations.iter().any(|violation| violation.field == name))
        };
        let mut taken = Vec::new();
        let input = self.method.input();
        let meanings: Vec<FieldDescriptor> = input
            .fields()
            .filter(|field| matches!(field.kind(), Kind::Enum(_)) && !field.is_list() && field.name() != name)
            .collect();
        if meanings.is_empty() || !refused(&self.once(asker, request).await) {
            return Ok(taken);
        }
        for meaning in meanings {
            for value in known.of(&meaning).unwrap_or_default() {
                let mut request = request.clone();
                request.insert(meaning.name().to_owned(), value);
                self.fill(asker, &mut request, known).await?;
                if !refused(&self.once(asker, &request).await) {
                    taken.push(request);
                }
            }
        }
        Ok(taken)
    }

    /// Fills what a request is refused for until nothing more can be filled. False if the caller may not ask at all. What cannot be filled is
    /// said by name.
    async fn fill(&self, asker: &Asker, request: &mut Map<String, Value>, known: &Known) -> Result<bool, String> {
        let input = self.method.input();
        loop {
            let Err(status) = self.once(asker, request).await else {
                return Ok(true);
            };
            if matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated) {
                return Ok(false);
            }
            let violations = fault_of(&status).violations().to_vec();
            let mut filled = false;
            for violation in &violations {
                let name = violation.field.split(['.', '[']).next().unwrap_or_default();
                let Some(field) = input.get_field_by_name(name).filter(|_| !request.contains_key(name)) else {
                    continue;
                };
                let value = known.of(&field).and_then(|values| values.first().cloned());
                let value = value.ok_or_else(|| format!("{}: no value is known for {name}", self.name()))?;
                request.insert(name.to_owned(), value);
                filled = true;
            }
            if !filled {
                return Ok(true);
            }
        }
    }

    /// A request about a row that does not exist, about each row that others know instead; any other as it is.
    pub(crate) fn about(&self, request: &Map<String, Value>, others: &Known) -> Vec<Map<String, Value>> {
        let nobodys = [json!(NOBODYS), json!([NOBODYS])];
        let Some((name, _)) = request.iter().find(|(_, value)| nobodys.contains(value)) else {
            return vec![request.clone()];
        };
        let field = self.method.input().get_field_by_name(name).unwrap();
        let ids = others.of(&field).unwrap_or_default();
        let about = ids.into_iter().map(|id| {
            let mut request = request.clone();
            request.insert(name.clone(), id);
            request
        });
        about.collect()
    }

    /// Whether an answer says anything: of a list, that it has a row.
    pub(crate) fn says_something(&self, answer: &Answer) -> bool {
        let Ok(pages) = answer else { return false };
        let output = self.method.output();
        let rows = output
            .fields()
            .find(|field| field.is_list() && output.get_field_by_name("next_page_token").is_some());
        match rows {
            Some(rows) => pages.iter().any(|page| page.get(rows.name()).is_some_and(has_content)),
            None => pages.iter().any(has_content),
        }
    }

    /// Asks, and follows the pages of a list.
    pub(crate) async fn ask(&self, asker: &Asker, request: &Map<String, Value>) -> Answer {
        let mut request = request.clone();
        if self.method.input().get_field_by_name("page_size").is_some() {
            request.insert("page_size".to_owned(), json!(2));
        }
        let mut pages = Vec::new();
        loop {
            let mut page = match self.once(asker, &request).await {
                Ok(page) => page,
                Err(status) => return Err((status.code(), egov_fault::reason_of(&status).unwrap_or_default())),
            };
            // A token is sealed with chance: what it leads to is compared, not its letters.
            let token = page.as_object_mut().and_then(|page| page.remove("next_page_token"));
            pages.push(page);
            match token.as_ref().and_then(Value::as_str) {
                Some(token) if !token.is_empty() && pages.len() < MOST_PAGES => {
                    request.insert("page_token".to_owned(), json!(token));
                }
                _ => return Ok(pages),
            }
        }
    }

    async fn once(&self, asker: &Asker, request: &Map<String, Value>) -> Result<Value, Status> {
        let message = DynamicMessage::deserialize(self.method.input(), Value::Object(request.clone()))
            .unwrap_or_else(|error| panic!("{}: {request:?}: {error}", self.name()));
        let mut request = Request::new(message);
        if let Some(token) = &asker.token {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(purpose) = asker.purpose {
            request
                .metadata_mut()
                .insert("x-egov-purpose", purpose.parse().unwrap());
        }
        let path = format!("/{}/{}", self.method.parent_service().full_name(), self.method.name());
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        client.ready().await.unwrap();
        let codec = Dynamic(self.method.clone());
        let answer = client.unary(request, path.parse().unwrap(), codec).await?.into_inner();
        let options = SerializeOptions::new().use_proto_field_name(true);
        Ok(answer
            .serialize_with_options(serde_json::value::Serializer, &options)
            .unwrap())
    }
}

/// Whether anything in a message is more than its default.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_i64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_content),
        Value::Object(fields) => fields.values().any(has_content),
    }
}

/// The messages of one RPC by its descriptor.
#[derive(Clone)]
struct Dynamic(MethodDescriptor);

impl Codec for Dynamic {
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

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let mut message = DynamicMessage::new(self.0.output());
        message
            .merge(from)
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }
}
