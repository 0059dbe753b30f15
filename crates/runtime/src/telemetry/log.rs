//! The log: one line an event, with one redaction rule.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use egov_clock::SharedClock;
use opentelemetry::trace::TraceContextExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::redaction::{HIDDEN, Redaction};
use crate::config::LogFormat;

/// Writes events of `tracing`, with the fields of the spans around them and the ids of the trace.
pub struct LogLayer<W> {
    service: &'static str,
    format: LogFormat,
    redaction: Redaction,
    clock: SharedClock,
    writer: W,
}

impl<W> LogLayer<W> {
    /// A log of `service`, written to `writer`. The value of a field is hidden if its name, or what stands after the
    /// last dot of it, is in `hidden`.
    pub fn new(
        service: &'static str,
        format: LogFormat,
        hidden: BTreeSet<String>,
        clock: SharedClock,
        writer: W,
    ) -> Self {
        Self {
            service,
            format,
            redaction: Redaction::new(hidden),
            clock,
            writer,
        }
    }

    fn fields<'a>(&'a self, metadata: &'a Metadata<'_>, into: &'a mut Map<String, Value>) -> Fields<'a> {
        Fields {
            redaction: &self.redaction,
            target: metadata.target(),
            into,
        }
    }
}

impl<W> fmt::Debug for LogLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer")
            .field("service", &self.service)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// The fields of a span, kept beside it.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut self.fields(attributes.metadata(), &mut fields));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(&mut self.fields(span.metadata(), fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(SpanFields(own)) = span.extensions().get::<SpanFields>() {
                fields.extend(own.clone());
            }
        }
        event.record(&mut self.fields(event.metadata(), &mut fields));
        let message = match fields.remove("message") {
            Some(Value::String(message)) => message,
            Some(other) => other.to_string(),
            None => String::new(),
        };

        let current = opentelemetry::Context::current();
        let trace = current.span().span_context().clone();
        let line = Line {
            time: self.clock.now().to_string(),
            level: event.metadata().level().as_str(),
            service: self.service,
            target: event.metadata().target(),
            message,
            trace_id: trace.is_valid().then(|| trace.trace_id().to_string()),
            span_id: trace.is_valid().then(|| trace.span_id().to_string()),
            fields,
        };
        // One write a line, so that lines of several threads do not mix. A log that cannot be written has nowhere to
        // say so.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(&line.bytes(self.format));
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    service: &'a str,
    target: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Line<'_> {
    fn bytes(&self, format: LogFormat) -> Vec<u8> {
        let mut bytes = match format {
            LogFormat::Json => serde_json::to_vec(self).unwrap_or_default(),
            LogFormat::Text => self.text().into_bytes(),
        };
        bytes.push(b'\n');
        bytes
    }

    fn text(&self) -> String {
        let mut text = format!("{} {:5} {} {}", self.time, self.level, self.target, self.message);
        for (name, value) in &self.fields {
            // Writing to a String cannot fail. Values keep their JSON form, which has no line breaks.
            let _ = match value {
                Value::String(word) if !word.is_empty() && word.chars().all(plain) => {
                    write!(text, " {name}={word}")
                }
                other => write!(text, " {name}={other}"),
            };
        }
        text
    }
}

fn plain(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '/' | ':')
}

/// Collects fields as JSON.
struct Fields<'a> {
    redaction: &'a Redaction,
    target: &'a str,
    into: &'a mut Map<String, Value>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        let name = field.name();
        // Names and kinds of spans for the tracer.
        if name.starts_with("otel.") {
            return;
        }
        let value = if self.redaction.hides(self.target, name) {
            Value::from(HIDDEN)
        } else {
            value()
        };
        // The line's own entries come first and once.
        let name = match name {
            "time" | "level" | "service" | "target" | "trace_id" | "span_id" => {
                format!("field.{name}")
            }
            name => name.to_owned(),
        };
        self.into.insert(name, value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, || Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, || Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, || Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, || Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, || Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, || Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::ManualClock;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, write: impl FnOnce()) -> String {
        let lines = Lines::default();
        let kept = lines.clone();
        let layer = LogLayer::new(
            "test",
            format,
            BTreeSet::from(["full_name".to_owned(), "reason".to_owned()]),
            ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap()).shared(),
            move || lines.clone(),
        );
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), write);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object_with_the_fields_of_event_and_spans() {
        let text = logged(LogFormat::Json, || {
            let outer = tracing::info_span!(
                "outer",
                request_id = "r-1",
                otel.name = "x",
                late = tracing::field::Empty
            );
            let _outer = outer.enter();
            outer.record("late", 7);
            tracing::warn!(cases = 3, ok = true, level = "high", "two\nlines");
        });
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "time": "2026-11-23T01:00:00Z", "level": "WARN", "service": "test",
                "target": "egov_runtime::telemetry::log::tests", "message": "two\nlines",
                "request_id": "r-1", "late": 7, "cases": 3, "ok": true, "field.level": "high",
            })
        );
    }

    #[test]
    fn personal_fields_are_hidden_in_events_and_spans() {
        let text = logged(LogFormat::Json, || {
            let span = tracing::info_span!(target: "egov_onestop::api", "s", applicant.full_name = "Nguyễn Thị Hoa");
            let _span = span.enter();
            tracing::info!(target: "egov_onestop::api", full_name = "Trần Văn Bình", reason = "con của bà Hoa", step = 2, "taken in");
        });
        for part in ["Nguyễn", "Trần", "Hoa"] {
            assert!(!text.contains(part), "{text}");
        }
        assert_eq!(text.matches(HIDDEN).count(), 3);
        assert!(text.contains("\"step\":2"));
    }

    #[test]
    fn the_reason_of_a_refusal_is_shown_by_the_crates_that_were_checked() {
        let text = logged(LogFormat::Json, || {
            tracing::info!(target: "egov_fault::status", reason = "CASE_NOT_FOUND", "refused");
        });
        assert!(text.contains("CASE_NOT_FOUND"));
    }

    #[test]
    fn the_text_form_keeps_one_line_per_event() {
        let text = logged(LogFormat::Text, || {
            tracing::info!(code = "OK", note = "a b\nc", "answered");
        });
        assert_eq!(
            text,
            "2026-11-23T01:00:00Z INFO  egov_runtime::telemetry::log::tests answered code=OK note=\"a b\\nc\"\n"
        );
    }
}
