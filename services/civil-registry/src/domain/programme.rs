//! Giao diện chuẩn cho các chương trình: what a message in the envelope of SPDCI (CRVS interface 1.0.0) asks, and what is wrong with it. Names of fields
//! and codes are the standard's; everything that is wrong is named at once, in Vietnamese and English.

use std::collections::BTreeSet;

use egov_codes::{PersonalNumber, normal_name};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::person::{Born, NoName, PersonName};
use super::person_search::WantedWords;
use super::predicate::Answer;

/// The version of the envelope and of its criteria.
pub const VERSION: &str = "1.0.0";

/// The most requests of a message.
pub const MOST_REQUESTS: usize = 50;

/// The most persons that a request may be about.
pub const MOST_PERSONS: usize = 200;

/// The most questions of a request.
const MOST_QUESTIONS: usize = 20;

/// How many persons a page has that is not asked for.
const PAGE: i32 = 50;

/// The identifier by which somebody is looked for: số định danh cá nhân.
const UIN: &str = "UIN";

/// The longest text of a refusal in the standard.
const LONGEST_REASON: usize = 999;

/// What is wrong at one place of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The code of the standard.
    pub code: &'static str,
    /// The path of the field.
    pub field: String,
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Flaw {
    fn at(code: &'static str, field: impl Into<String>, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            code,
            field: field.into(),
            vi: vi.into(),
            en: en.into(),
        }
    }
}

/// The code and the text by which the standard carries what is wrong: the code of the first flaw, the text of all. None if nothing is.
pub fn reason(flaws: &[Flaw]) -> Option<(&'static str, String)> {
    let first = flaws.first()?;
    let texts: Vec<String> = flaws
        .iter()
        .map(|flaw| format!("{}: {} / {}", flaw.field, flaw.vi, flaw.en))
        .collect();
    Some((first.code, texts.join("; ").chars().take(LONGEST_REASON).collect()))
}

/// The head of a message, as it came.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Version of the envelope.
    pub version: String,
    /// Which message it is.
    pub message_id: String,
    /// When it was sent.
    pub message_ts: String,
    /// What is wanted.
    pub action: String,
    /// Who sends.
    pub sender_id: String,
    /// To whom.
    pub receiver_id: String,
    /// How many requests it says to hold.
    pub total_count: i32,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
}

/// What the head of a message has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The action of the path.
    pub action: &'a str,
    /// Who calls, by the token.
    pub sender: &'a str,
    /// This registry.
    pub receiver: &'a str,
    /// How many requests the message holds.
    pub count: usize,
}

impl Header {
    /// Everything that is wrong with it.
    pub fn flaws(&self, expected: Expected<'_>) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let mut unless = |holds: bool, flaw: Flaw| {
            if !holds {
                flaws.push(flaw);
            }
        };
        unless(
            self.version.is_empty() || self.version == VERSION,
            Flaw::at(
                "rjct.version.invalid",
                "header.version",
                "phải là 1.0.0",
                "must be 1.0.0",
            ),
        );
        unless(
            !self.message_id.trim().is_empty(),
            Flaw::at(
                "err.request.bad",
                "header.message_id",
                "bắt buộc phải có",
                "is required",
            ),
        );
        unless(
            is_instant(&self.message_ts),
            Flaw::at(
                "rjct.message_ts.invalid",
                "header.message_ts",
                "không phải là thời điểm theo ISO 8601 có múi giờ",
                "is no instant by ISO 8601 with an offset",
            ),
        );
        unless(
            self.action == expected.action,
            Flaw::at(
                "rjct.action.not_supported",
                "header.action",
                format!("phải là {}", expected.action),
                format!("must be {}", expected.action),
            ),
        );
        unless(
            self.sender_id == expected.sender,
            Flaw::at(
                "err.sender_id.invalid",
                "header.sender_id",
                "không phải là hệ thống đang gọi",
                "is not the calling system",
            ),
        );
        unless(
            self.receiver_id.is_empty() || self.receiver_id == expected.receiver,
            Flaw::at(
                "err.receiver_id.invalid",
                "header.receiver_id",
                format!("phải là {}", expected.receiver),
                format!("must be {}", expected.receiver),
            ),
        );
        unless(
            !self.is_encrypted,
            Flaw::at(
                "err.encryption.invalid",
                "header.is_msg_encrypted",
                "không nhận thông điệp được mã hoá riêng",
                "messages that are encrypted by themselves are not taken",
            ),
        );
        unless(
            usize::try_from(self.total_count) == Ok(expected.count) && expected.count > 0,
            Flaw::at(
                "rjct.total_count.invalid",
                "header.total_count",
                "phải bằng số yêu cầu trong thông điệp, ít nhất là 1",
                "must be how many requests the message holds, and 1 at least",
            ),
        );
        unless(
            expected.count <= MOST_REQUESTS,
            Flaw::at(
                "rjct.total_count.limit_exceeded",
                "header.total_count",
                format!("nhiều nhất {MOST_REQUESTS} yêu cầu"),
                format!("{MOST_REQUESTS} requests at most"),
            ),
        );
        flaws
    }
}

fn is_instant(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok()
}

/// By which right something is asked: authorize or consent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Mục đích: its code.
    pub code: String,
    /// Căn cứ pháp lý.
    pub text: String,
}

/// A request of a message, as it came. No `Debug`: it says who is asked about.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchItem {
    /// Which request it is.
    pub reference_id: String,
    /// When it was made.
    pub timestamp: String,
    /// Version of the criteria.
    pub version: String,
    /// Kind of registry.
    pub reg_type: String,
    /// Kind of vital event.
    pub reg_event_type: String,
    /// Which form the query has.
    pub query_type: String,
    /// The query.
    pub query: Value,
    /// Whether an order is asked for.
    pub is_sorted: bool,
    /// Size and number of the page, if one is asked for.
    pub page: Option<(i32, i32)>,
    /// The consent of the person.
    pub consent: Option<Right>,
    /// The right of the programme.
    pub authorize: Option<Right>,
    /// Language.
    pub locale: String,
}

/// What a request asks, once it is read.
pub struct Read {
    /// What is looked for.
    pub query: Query,
    /// The provision or agreement by which it is asked.
    pub legal_basis: String,
    /// How many persons a page has.
    pub page_size: i32,
    /// Which page is wanted; the first is 1.
    pub page_number: i32,
}

/// What is looked for.
pub enum Query {
    /// The person of a number.
    Numbered(PersonalNumber),
    /// Persons of a name.
    Named(Named),
    /// Answers to questions.
    Asked(Vec<Asked>),
}

/// A name that is looked for.
pub struct Named {
    /// Its words.
    pub words: WantedWords,
    /// The year of birth.
    pub birth_year: i16,
    /// From which day until which, if days were said.
    pub born: Option<(Date, Date)>,
    /// The number that the person must have, if one was said.
    pub personal_number: Option<PersonalNumber>,
}

impl Named {
    /// Whether somebody who was born so may have been born on one of the days that were said.
    pub fn holds(&self, born: Option<Born>) -> bool {
        match (self.born, born) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((from, to)), Some(born)) => born.earliest() <= to && from <= born.latest(),
        }
    }
}

/// A question about a person.
pub struct Asked {
    /// Which question of the request it is.
    pub seq_num: i32,
    /// The attribute that is asked about, by its name in the interface.
    pub attribute: &'static str,
    /// Whom it is about.
    pub person: PersonalNumber,
    /// What is asked.
    pub asks: Asks,
    /// Whether the contrary is asked: under 18 is not at least 18.
    pub is_contrary: bool,
}

/// What is asked about a person.
pub enum Asks {
    /// Còn sống?
    Alive,
    /// Đang có vợ, có chồng?
    Married,
    /// Đủ bao nhiêu tuổi?
    AtLeastAge(i16),
    /// Là cha, mẹ của người có số này?
    ParentOf(PersonalNumber),
}

impl Asked {
    /// The word of the answer to what was asked, by that of what is judged.
    pub const fn word(&self, judged: Answer) -> &'static str {
        match (judged, self.is_contrary) {
            (Answer::NotKnown, _) => "not_known",
            (Answer::Yes, false) | (Answer::No, true) => "yes",
            (Answer::No, false) | (Answer::Yes, true) => "no",
        }
    }
}

/// The code of what is wrong with what is looked for.
const CRITERIA: &str = "rjct.search_criteria.invalid";

/// Collects what is wrong while a query is read.
#[derive(Default)]
struct Reading {
    flaws: Vec<Flaw>,
}

impl Reading {
    fn flaw(&mut self, code: &'static str, field: &str, vi: &str, en: &str) {
        self.flaws.push(Flaw::at(code, field, vi, en));
    }

    /// An object, every member of which is known.
    fn object<'a>(&mut self, value: &'a Value, field: &str, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let Some(object) = value.as_object() else {
            self.flaw(CRITERIA, field, "phải là một đối tượng", "must be an object");
            return None;
        };
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.flaw(
                CRITERIA,
                &format!("{field}.{name}"),
                "không có trường này",
                "there is no such field",
            );
        }
        Some(object)
    }

    /// A text of an object.
    fn text<'a>(&mut self, object: &'a Map<String, Value>, name: &str, field: &str) -> Option<&'a str> {
        let text = object.get(name).and_then(Value::as_str);
        if text.is_none() {
            self.flaw(
                CRITERIA,
                &format!("{field}.{name}"),
                "bắt buộc phải có, dạng văn bản",
                "is required, as a text",
            );
        }
        text
    }

    /// An attribute with its operator and its value.
    fn expression<'a>(&mut self, value: &'a Value, field: &str) -> Option<(&'a str, &'a str, &'a Value)> {
        let object = self.object(value, field, &["attribute_name", "operator", "attribute_value"])?;
        let attribute = self.text(object, "attribute_name", field);
        let operator = self.text(object, "operator", field);
        let said = object.get("attribute_value");
        if said.is_none() {
            self.flaw(
                CRITERIA,
                &format!("{field}.attribute_value"),
                "bắt buộc phải có",
                "is required",
            );
        }
        Some((attribute?, operator?, said?))
    }

    fn number(&mut self, value: &Value, field: &str) -> Option<PersonalNumber> {
        let number = value.as_str().and_then(|text| text.trim().parse().ok());
        if number.is_none() {
            self.flaw(
                CRITERIA,
                field,
                "không phải là số định danh cá nhân",
                "is not a personal number",
            );
        }
        number
    }

    fn equals(&mut self, operator: &str, field: &str) -> bool {
        let is_equal = operator == "eq";
        if !is_equal {
            self.flaw(
                CRITERIA,
                &format!("{field}.operator"),
                "thuộc tính này chỉ nhận eq",
                "this attribute takes eq only",
            );
        }
        is_equal
    }

    /// {type: "UIN", value: …}
    fn identifier(&mut self, query: &Value) -> Option<Query> {
        let field = "search_criteria.query";
        let object = self.object(query, field, &["type", "value"])?;
        let kind = self.text(object, "type", field);
        if kind.is_some_and(|kind| kind != UIN) {
            self.flaw(CRITERIA, "search_criteria.query.type", "phải là UIN", "must be UIN");
        }
        let value = object.get("value").unwrap_or(&Value::Null);
        let number = self.number(value, "search_criteria.query.value")?;
        (kind == Some(UIN)).then_some(Query::Numbered(number))
    }

    /// {type: "attributes", value: {expression: [{attribute_name, operator, attribute_value}, …]}}, all of which hold.
    fn attributes(&mut self, query: &Value) -> Option<Query> {
        let field = "search_criteria.query";
        let object = self.object(query, field, &["type", "value"])?;
        if self
            .text(object, "type", field)
            .is_some_and(|kind| kind != "attributes")
        {
            self.flaw(
                CRITERIA,
                "search_criteria.query.type",
                "phải là attributes",
                "must be attributes",
            );
        }
        let field = "search_criteria.query.value";
        let value = self.object(object.get("value").unwrap_or(&Value::Null), field, &["expression"])?;
        let field = "search_criteria.query.value.expression";
        let Some(listed) = value.get("expression").and_then(Value::as_array) else {
            self.flaw(CRITERIA, field, "phải là một danh sách", "must be a list");
            return None;
        };
        let (mut words, mut personal_number, mut born, mut has_days) = (None, None, None, false);
        let mut seen = BTreeSet::new();
        for (place, one) in listed.iter().take(MOST_QUESTIONS).enumerate() {
            let field = format!("{field}[{place}]");
            let Some((attribute, operator, said)) = self.expression(one, &field) else {
                continue;
            };
            let value_field = format!("{field}.attribute_value");
            // Days narrow one another; of everything else there is one.
            if attribute != "birth_date" && !seen.insert(attribute) {
                self.flaw(CRITERIA, &field, "thuộc tính bị lặp lại", "the attribute is said twice");
            }
            match attribute {
                "name" => {
                    if self.equals(operator, &field) {
                        words = self.name(said, &value_field);
                    }
                }
                UIN => {
                    if self.equals(operator, &field) {
                        personal_number = self.number(said, &value_field);
                    }
                }
                "birth_year" => {
                    if self.equals(operator, &field) {
                        let within = whole(said).and_then(year);
                        if within.is_none() {
                            self.flaw(CRITERIA, &value_field, "không phải là một năm", "is not a year");
                        }
                        born = narrowed(born, within);
                    }
                }
                "birth_date" => {
                    has_days = true;
                    let within = self.days(operator, said, &field);
                    born = narrowed(born, within);
                }
                _ => self.flaw(
                    CRITERIA,
                    &format!("{field}.attribute_name"),
                    "chỉ nhận name, birth_year, birth_date, UIN",
                    "name, birth_year, birth_date and UIN are taken",
                ),
            }
        }
        if listed.len() > MOST_QUESTIONS {
            self.flaw(CRITERIA, field, "quá nhiều điều kiện", "there are too many conditions");
        }
        if !seen.contains("name") {
            self.flaw(CRITERIA, field, "cần có name", "a name is needed");
        }
        let one_year = born.filter(|(from, to)| from.year() == to.year() && from <= to);
        if one_year.is_none() {
            self.flaw(
                CRITERIA,
                field,
                "cần birth_year, hoặc birth_date trong một năm",
                "birth_year is needed, or birth_date within one year",
            );
        }
        let (words, (from, to)) = (words?, one_year?);
        Some(Query::Named(Named {
            words,
            birth_year: from.year(),
            born: has_days.then_some((from, to)),
            personal_number,
        }))
    }

    fn name(&mut self, said: &Value, field: &str) -> Option<WantedWords> {
        let name = PersonName::read(said.as_str().unwrap_or_default());
        let words = name.as_ref().ok().and_then(WantedWords::of);
        if words.is_none() {
            let why = name.err().unwrap_or(NoName::Empty);
            self.flaw(CRITERIA, field, &why.vi(), &why.to_string());
        }
        words
    }

    /// The days of a comparison with a day.
    fn days(&mut self, operator: &str, said: &Value, field: &str) -> Option<(Date, Date)> {
        let day = said
            .as_str()
            .filter(|text| text.len() == "2026-11-13".len())
            .and_then(|text| text.parse::<Date>().ok());
        let Some(day) = day else {
            self.flaw(
                CRITERIA,
                &format!("{field}.attribute_value"),
                "không phải là một ngày có thật",
                "is not a day of the calendar",
            );
            return None;
        };
        match operator {
            "eq" => Some((day, day)),
            "ge" => Some((day, Date::MAX)),
            "le" => Some((Date::MIN, day)),
            // After the last day of the calendar there is none.
            "gt" => Some((day.tomorrow().unwrap_or(Date::MAX), Date::MAX)),
            "lt" => Some((Date::MIN, day.yesterday().unwrap_or(Date::MIN))),
            _ => {
                self.flaw(
                    CRITERIA,
                    &format!("{field}.operator"),
                    "chỉ nhận eq, ge, gt, le, lt",
                    "eq, ge, gt, le and lt are taken",
                );
                None
            }
        }
    }

    /// [{seq_num, expression1: UIN eq …, condition: "and", expression2: …}, …]
    fn questions(&mut self, query: &Value) -> Option<Query> {
        let field = "search_criteria.query";
        let Some(listed) = query.as_array().filter(|listed| !listed.is_empty()) else {
            self.flaw(
                CRITERIA,
                field,
                "phải là một danh sách có câu hỏi",
                "must be a list with questions",
            );
            return None;
        };
        if listed.len() > MOST_QUESTIONS {
            self.flaw(CRITERIA, field, "quá nhiều câu hỏi", "there are too many questions");
            return None;
        }
        let mut asked = Vec::new();
        for (place, one) in listed.iter().enumerate() {
            asked.extend(self.question(one, place));
        }
        (asked.len() == listed.len()).then_some(Query::Asked(asked))
    }

    fn question(&mut self, one: &Value, place: usize) -> Option<Asked> {
        let field = format!("search_criteria.query[{place}]");
        let known = ["seq_num", "expression1", "condition", "expression2"];
        let object = self.object(one, &field, &known)?;
        let seq_num = match object.get("seq_num") {
            None => i32::try_from(place + 1).ok(),
            Some(said) => whole(said).and_then(|number| i32::try_from(number).ok()),
        };
        if seq_num.is_none() {
            self.flaw(
                CRITERIA,
                &format!("{field}.seq_num"),
                "không phải là số nguyên",
                "is no whole number",
            );
        }
        if object.get("condition").and_then(Value::as_str) != Some("and") {
            self.flaw(
                CRITERIA,
                &format!("{field}.condition"),
                "phải là and: người nào và điều gì",
                "must be and: who, and what",
            );
        }
        let who_field = format!("{field}.expression1");
        let who = self.expression(object.get("expression1").unwrap_or(&Value::Null), &who_field);
        let person = who.and_then(|(attribute, operator, said)| {
            if attribute != UIN {
                self.flaw(
                    CRITERIA,
                    &format!("{who_field}.attribute_name"),
                    "phải là UIN",
                    "must be UIN",
                );
                return None;
            }
            let is_equal = self.equals(operator, &who_field);
            let number = self.number(said, &format!("{who_field}.attribute_value"));
            number.filter(|_| is_equal)
        });
        let what_field = format!("{field}.expression2");
        let what = self.expression(object.get("expression2").unwrap_or(&Value::Null), &what_field);
        let what = what.and_then(|what| self.asks(what, &what_field));
        let (seq_num, person, (attribute, asks, is_contrary)) = (seq_num?, person?, what?);
        if let Asks::ParentOf(child) = &asks
            && child.reveal() == person.reveal()
        {
            self.flaw(
                CRITERIA,
                &format!("{what_field}.attribute_value"),
                "phải là số của người khác",
                "must be another person's",
            );
            return None;
        }
        Some(Asked {
            seq_num,
            attribute,
            person,
            asks,
            is_contrary,
        })
    }

    /// What an expression asks, and whether it asks for the contrary of what is judged.
    fn asks(
        &mut self,
        (attribute, operator, said): (&str, &str, &Value),
        field: &str,
    ) -> Option<(&'static str, Asks, bool)> {
        let value_field = format!("{field}.attribute_value");
        match attribute {
            "alive" | "married" => {
                let is_equal = self.equals(operator, field);
                let is_so = flag(said);
                if is_so.is_none() {
                    self.flaw(
                        CRITERIA,
                        &value_field,
                        "phải là true hoặc false",
                        "must be true or false",
                    );
                }
                let is_contrary = !is_so.filter(|_| is_equal)?;
                Some(if attribute == "alive" {
                    ("alive", Asks::Alive, is_contrary)
                } else {
                    ("married", Asks::Married, is_contrary)
                })
            }
            "age" => {
                let years = whole(said)
                    .and_then(|years| i16::try_from(years).ok())
                    .filter(|years| (0..150).contains(years));
                if years.is_none() {
                    self.flaw(
                        CRITERIA,
                        &value_field,
                        "phải là số tuổi từ 0 đến 149",
                        "must be an age from 0 to 149",
                    );
                }
                let (over, is_contrary) = match operator {
                    "ge" => (0, false),
                    "gt" => (1, false),
                    "lt" => (0, true),
                    "le" => (1, true),
                    _ => {
                        self.flaw(
                            CRITERIA,
                            &format!("{field}.operator"),
                            "chỉ nhận ge, gt, le, lt",
                            "ge, gt, le and lt are taken",
                        );
                        return None;
                    }
                };
                Some(("age", Asks::AtLeastAge(years? + over), is_contrary))
            }
            "parent_of" => {
                let is_equal = self.equals(operator, field);
                let child = self.number(said, &value_field)?;
                is_equal.then_some(("parent_of", Asks::ParentOf(child), false))
            }
            _ => {
                self.flaw(
                    CRITERIA,
                    &format!("{field}.attribute_name"),
                    "chỉ nhận alive, married, age, parent_of",
                    "alive, married, age and parent_of are taken",
                );
                None
            }
        }
    }
}

/// A whole number, also as a text.
fn whole(said: &Value) -> Option<i64> {
    match said {
        Value::String(text) => text.trim().parse().ok(),
        // Numbers of JSON come as fractions.
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64)
        }),
        _ => None,
    }
}

/// True or false, also as a text.
fn flag(said: &Value) -> Option<bool> {
    match said {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The days of a year.
fn year(number: i64) -> Option<(Date, Date)> {
    let year = i16::try_from(number).ok().filter(|year| *year > 0)?;
    Some((Date::new(year, 1, 1).ok()?, Date::new(year, 12, 31).ok()?))
}

/// What two spans of days have in common.
fn narrowed(one: Option<(Date, Date)>, other: Option<(Date, Date)>) -> Option<(Date, Date)> {
    match (one, other) {
        (Some((from, to)), Some((since, until))) => Some((from.max(since), to.min(until))),
        (one, other) => one.or(other),
    }
}

impl SearchItem {
    /// What it asks; `purpose` is that for which the caller reads.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self, purpose: &str) -> Result<Read, Vec<Flaw>> {
        let mut reading = Reading::default();
        if self.reference_id.trim().is_empty() {
            reading.flaw(
                "rjct.reference_id.invalid",
                "reference_id",
                "bắt buộc phải có",
                "is required",
            );
        }
        if !is_instant(&self.timestamp) {
            reading.flaw(
                "rjct.timestamp.invalid",
                "timestamp",
                "không phải là thời điểm theo ISO 8601 có múi giờ",
                "is no instant by ISO 8601 with an offset",
            );
        }
        if !(self.version.is_empty() || self.version == VERSION) {
            reading.flaw(CRITERIA, "search_criteria.version", "phải là 1.0.0", "must be 1.0.0");
        }
        if self.is_sorted {
            reading.flaw(
                "rjct.sort.invalid",
                "search_criteria.sort",
                "không sắp xếp theo yêu cầu",
                "there is no order to choose",
            );
        }
        let (page_size, page_number) = self.page.unwrap_or((PAGE, 1));
        // A page number that is left out is the first.
        let page_number = if page_number == 0 { 1 } else { page_number };
        let most = i32::try_from(MOST_PERSONS).unwrap_or(i32::MAX);
        if !(1..=most).contains(&page_size) || !(1..=most).contains(&page_number) {
            reading.flaw(
                "rjct.pagination.invalid",
                "search_criteria.pagination",
                "page_size và page_number phải từ 1 đến 200",
                "page_size and page_number must be from 1 to 200",
            );
        }
        let legal_basis = self.legal_basis(purpose, &mut reading);
        let query = match self.query_type.as_str() {
            "idtype-value" => reading.identifier(&self.query),
            "expression" => reading.attributes(&self.query),
            "predicate" => reading.questions(&self.query),
            _ => {
                reading.flaw(
                    CRITERIA,
                    "search_criteria.query_type",
                    "phải là idtype-value, expression hoặc predicate",
                    "must be idtype-value, expression or predicate",
                );
                None
            }
        };
        match (query, legal_basis) {
            (Some(query), Some(legal_basis)) if reading.flaws.is_empty() => Ok(Read {
                query,
                legal_basis,
                page_size,
                page_number,
            }),
            _ => Err(reading.flaws),
        }
    }

    /// The provision or agreement by which it is asked.
    fn legal_basis(&self, purpose: &str, reading: &mut Reading) -> Option<String> {
        let (right, field) = match (&self.authorize, &self.consent) {
            (Some(right), None) => (right, "search_criteria.authorize.purpose"),
            (None, Some(right)) => (right, "search_criteria.consent.purpose"),
            _ => {
                reading.flaw(
                    CRITERIA,
                    "search_criteria.authorize",
                    "cần một trong hai: authorize hoặc consent",
                    "one of the two is needed: authorize or consent",
                );
                return None;
            }
        };
        if right.code != purpose {
            reading.flaw(
                CRITERIA,
                &format!("{field}.code"),
                "phải là mục đích của lời gọi (x-egov-purpose)",
                "must be the purpose of the call (x-egov-purpose)",
            );
        }
        let basis = normal_name(&right.text);
        if basis.is_empty() {
            reading.flaw(
                CRITERIA,
                &format!("{field}.text"),
                "cần căn cứ pháp lý",
                "a legal basis is needed",
            );
            return None;
        }
        Some(basis)
    }

    /// Its answer.
    pub fn answered(&self, outcome: Outcome) -> Answered {
        Answered {
            reference_id: self.reference_id.clone(),
            reg_type: self.reg_type.clone(),
            reg_event_type: self.reg_event_type.clone(),
            locale: self.locale.clone(),
            outcome,
        }
    }
}

/// Those requests, by place, whose reference_id is that of an earlier one.
pub fn repeated(items: &[SearchItem]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let places = items.iter().enumerate();
    places
        .filter(|(_, item)| !seen.insert(item.reference_id.as_str()))
        .map(|(place, _)| place)
        .collect()
}

/// The answer to a request. No `Debug`: it says what was asked of whom.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Which request it is.
    pub reference_id: String,
    /// As it was asked.
    pub reg_type: String,
    /// As it was asked.
    pub reg_event_type: String,
    /// As it was asked.
    pub locale: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is refused.
    Refused {
        /// The code of the standard.
        code: String,
        /// Everything that is wrong with it.
        message: String,
    },
    /// Persons were found.
    Persons {
        /// Those of the page.
        persons: Vec<PersonRecord>,
        /// How many a page has.
        page_size: i32,
        /// Which page it is.
        page_number: i32,
        /// How many there are altogether.
        total: i32,
    },
    /// Questions are answered.
    Answers(Vec<AnswerRecord>),
}

impl Outcome {
    /// Refused for this.
    pub fn refused(flaws: &[Flaw]) -> Self {
        let (code, message) = reason(flaws).unwrap_or((CRITERIA, String::new()));
        Self::Refused {
            code: code.to_owned(),
            message,
        }
    }

    /// Refused for a right that the caller does not have.
    pub fn not_permitted(permission: &str) -> Self {
        Self::refused(&[Flaw::at(
            CRITERIA,
            "search_criteria.query_type",
            format!("cần quyền {permission}"),
            format!("it takes the permission {permission}"),
        )])
    }

    /// Refused because the caller reads for another purpose than that for which it was asked.
    pub fn other_purpose() -> Self {
        Self::refused(&[Flaw::at(
            CRITERIA,
            "search_criteria.authorize.purpose.code",
            "kết quả chỉ được trao cho mục đích đã nêu khi tra cứu (x-egov-purpose)",
            "the answer is given away for the purpose of the search only (x-egov-purpose)",
        )])
    }

    /// Refused because more are found than a request may be about.
    pub fn too_many() -> Self {
        Self::refused(&[Flaw::at(
            "rjct.search.too_many_records_found",
            "search_criteria.query",
            format!("có hơn {MOST_PERSONS} người; hãy tìm hẹp hơn"),
            format!("there are more than {MOST_PERSONS} persons: look for fewer"),
        )])
    }

    /// Refused because an earlier request of the message has the same reference_id.
    pub fn repeated() -> Self {
        Self::refused(&[Flaw::at(
            "rjct.reference_id.duplicate",
            "reference_id",
            "trùng với một yêu cầu khác trong thông điệp",
            "is that of another request of the message",
        )])
    }

    /// Refused for a reason of the platform.
    pub fn because(vi: &str, en: &str) -> Self {
        Self::refused(&[Flaw::at(CRITERIA, "search_criteria.query", vi, en)])
    }
}

/// A person who was found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRecord {
    /// Id in this registry.
    pub person_id: Uuid,
    /// The number, where it was asked by it.
    pub personal_number: Option<String>,
    /// Họ, chữ đệm, tên.
    pub name: String,
    /// Ngày, tháng, năm sinh, as far as it is known.
    pub born: Option<Born>,
}

/// The answer to a question.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// Which question it is.
    pub seq_num: i32,
    /// What was asked about.
    pub attribute: String,
    /// yes, no or not_known.
    pub answer: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NUMBER: &str = "040195000111";

    fn item(query_type: &str, query: Value) -> SearchItem {
        SearchItem {
            reference_id: "1".to_owned(),
            timestamp: "2026-11-23T08:00:00+07:00".to_owned(),
            query_type: query_type.to_owned(),
            query,
            authorize: Some(Right {
                code: "case_handling".to_owned(),
                text: "Điều 7".to_owned(),
            }),
            ..SearchItem::default()
        }
    }

    fn flaws(item: &SearchItem) -> Vec<(&'static str, String)> {
        let flaws = item.read("case_handling").err().unwrap_or_default();
        flaws.into_iter().map(|flaw| (flaw.code, flaw.field)).collect()
    }

    fn question(attribute: &str, operator: &str, value: &Value) -> Value {
        json!([{
            "seq_num": 7,
            "expression1": {"attribute_name": "UIN", "operator": "eq", "attribute_value": NUMBER},
            "condition": "and",
            "expression2": {"attribute_name": attribute, "operator": operator, "attribute_value": value},
        }])
    }

    #[test]
    fn questions_are_read_with_their_contraries() {
        for (attribute, operator, value, age, yes) in [
            ("age", "ge", json!(18), Some(18), "yes"),
            ("age", "gt", json!("18"), Some(19), "yes"),
            ("age", "lt", json!(18.0), Some(18), "no"),
            ("age", "le", json!(18), Some(19), "no"),
            ("alive", "eq", json!(true), None, "yes"),
            ("married", "eq", json!("false"), None, "no"),
        ] {
            let read = item("predicate", question(attribute, operator, &value)).read("case_handling");
            let Ok(Read {
                query: Query::Asked(asked),
                ..
            }) = read
            else {
                panic!("{attribute} {operator} is not read");
            };
            let asked = &asked[0];
            let years = match asked.asks {
                Asks::AtLeastAge(years) => Some(years),
                _ => None,
            };
            assert_eq!(
                (asked.seq_num, asked.attribute, years, asked.word(Answer::Yes)),
                (7, attribute, age, yes)
            );
            assert_eq!(asked.word(Answer::NotKnown), "not_known");
        }
        for (attribute, operator, value) in [
            ("age", "eq", json!(18)),
            ("age", "ge", json!(150)),
            ("alive", "ge", json!(true)),
            ("parent_of", "eq", json!(NUMBER)),
            ("sex", "eq", json!("male")),
        ] {
            let asked = item("predicate", question(attribute, operator, &value));
            assert_eq!(flaws(&asked).len(), 1, "{attribute} {operator}");
        }
    }

    #[test]
    fn a_name_is_looked_for_with_days_of_one_year() {
        let days = |conditions: Value| {
            let mut all = vec![json!({"attribute_name": "name", "operator": "eq", "attribute_value": "An Nhiên"})];
            all.extend(
                conditions
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| json!({"attribute_name": one[0], "operator": one[1], "attribute_value": one[2]})),
            );
            let asked = item(
                "expression",
                json!({"type": "attributes", "value": {"expression": all}}),
            );
            match asked.read("case_handling").ok()?.query {
                Query::Named(named) => Some((
                    named.birth_year,
                    named.born.map(|(from, to)| (from.to_string(), to.to_string())),
                )),
                _ => None,
            }
        };
        let span = |from: &str, to: &str| Some((2026, Some((from.to_owned(), to.to_owned()))));
        assert_eq!(days(json!([["birth_year", "eq", 2026]])), Some((2026, None)));
        assert_eq!(
            days(json!([
                ["birth_date", "gt", "2026-11-01"],
                ["birth_date", "le", "2026-11-13"]
            ])),
            span("2026-11-02", "2026-11-13")
        );
        assert_eq!(
            days(json!([
                ["birth_year", "eq", "2026"],
                ["birth_date", "lt", "2026-02-01"]
            ])),
            span("2026-01-01", "2026-01-31")
        );
        for refused in [
            json!([]),
            json!([["birth_date", "ge", "2026-11-01"]]),
            json!([["birth_date", "ge", "2026-11-02"], ["birth_date", "le", "2026-11-01"]]),
            json!([["birth_date", "in", "2026-11-01"]]),
            json!([["birth_year", "eq", 2026], ["birth_year", "eq", 2026]]),
            json!([["sex", "eq", "male"], ["birth_year", "eq", 2026]]),
        ] {
            assert_eq!(days(refused.clone()), None, "{refused}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_the_codes_of_the_standard() {
        let wrong = SearchItem {
            timestamp: "yesterday".to_owned(),
            version: "2.0".to_owned(),
            is_sorted: true,
            page: Some((0, 1)),
            query_type: "idtype-value".to_owned(),
            query: json!({"type": "BRN", "value": "x", "more": 1}),
            consent: Some(Right::default()),
            ..SearchItem::default()
        };
        let codes: Vec<&str> = flaws(&wrong).into_iter().map(|(code, _)| code).collect();
        assert_eq!(
            codes[..5],
            [
                "rjct.reference_id.invalid",
                "rjct.timestamp.invalid",
                CRITERIA,
                "rjct.sort.invalid",
                "rjct.pagination.invalid"
            ]
        );
        let fields: Vec<String> = flaws(&wrong).into_iter().map(|(_, field)| field).collect();
        for field in [
            "consent.purpose.code",
            "consent.purpose.text",
            "query.type",
            "query.value",
            "query.more",
        ] {
            assert!(fields.iter().any(|one| one.ends_with(field)), "{field}: {fields:?}");
        }
        let header = Header {
            version: "0.1".to_owned(),
            total_count: -1,
            is_encrypted: true,
            receiver_id: "somebody".to_owned(),
            ..Header::default()
        };
        let expected = Expected {
            action: "search",
            sender: "programme",
            receiver: "civil-registry",
            count: MOST_REQUESTS + 1,
        };
        assert_eq!(header.flaws(expected).len(), 9);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let words = prop::sample::select(vec![
            "UIN",
            "type",
            "value",
            "expression",
            "expression1",
            "expression2",
            "condition",
            "and",
            "attribute_name",
            "operator",
            "attribute_value",
            "eq",
            "age",
            "attributes",
            "birth_date",
            NUMBER,
            "2026-11-13",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            words.clone().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((words.clone(), inner), 0..5).prop_map(|members| {
                    Value::Object(
                        members
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_read_or_refused_with_a_code_and_two_texts(
            query in any_json(),
            query_type in prop::sample::select(vec!["idtype-value", "expression", "predicate", "sql"]),
            text in ".{0,20}",
        ) {
            let mut asked = item(query_type, query);
            asked.reference_id = text;
            if let Err(flaws) = asked.read("case_handling") {
                prop_assert!(!flaws.is_empty());
                for flaw in &flaws {
                    prop_assert!(flaw.code.starts_with("rjct.") && !flaw.vi.is_empty() && !flaw.en.is_empty());
                }
                let (_, message) = reason(&flaws).unwrap();
                prop_assert!(message.chars().count() <= LONGEST_REASON);
            }
        }
    }
}
