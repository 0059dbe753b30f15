//! JSON Schema of a topic's data (lược đồ dữ liệu): what judges the events that name a version of the topic's schema.

use std::fmt;

use egov_events::CloudEvent;
use egov_forms::Form;

use super::terms::Problem;

/// The most that is said of one batch: whoever breaks more mends this first.
pub(crate) const MOST_PROBLEMS: usize = 200;

/// A JSON Schema by which the data of events is judged.
pub(crate) struct DataSchema(Form);

impl fmt::Debug for DataSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataSchema").finish_non_exhaustive()
    }
}

impl DataSchema {
    /// Reads a JSON Schema; otherwise everything that is wrong with it, by its place below `field`.
    pub(crate) fn read(text: &str, field: &str) -> Result<Self, Vec<Problem>> {
        Form::of_programs(text).map(Self).map_err(|faults| {
            faults
                .into_iter()
                .map(|fault| Problem::new(format!("{field}{}", fault.pointer), fault.vi, fault.en))
                .collect()
        })
    }

    /// Everything that is wrong with the data of the event at this place of a batch. What is no JSON is wrong as a whole: nothing gets
    /// past the schema by calling itself something else.
    pub(crate) fn judge(&self, index: usize, event: &CloudEvent) -> Vec<Problem> {
        let field = format!("events[{index}].data");
        if !event.is_json() {
            return vec![Problem::new(
                format!("events[{index}].data_content_type"),
                "dữ liệu của chủ đề này phải là JSON",
                "the data of this topic must be JSON",
            )];
        }
        // What is no UTF-8 is no JSON either; the publication was refused for that before.
        let text = std::str::from_utf8(&event.data).unwrap_or_default();
        match self.0.check(text) {
            Ok(_) => Vec::new(),
            Err(violations) => violations
                .into_iter()
                .map(|one| Problem::new(format!("{field}{}", one.pointer), one.vi, one.en))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::topic::tests::event;
    use super::*;

    const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["state", "version"],
        "properties": {"state": {"type": "string", "enum": ["accepted", "returned"]}, "version": {"type": "integer", "minimum": 1}}
    }"#;

    fn wrong(index: usize, data: &str) -> Vec<String> {
        let schema = DataSchema::read(SCHEMA, "json_schema").unwrap();
        let mut event = event(None);
        event.data = data.to_owned().into();
        let fields = schema.judge(index, &event).into_iter();
        fields.map(|problem| problem.field).collect()
    }

    #[test]
    fn every_violation_of_the_data_is_named_by_its_place_in_the_batch() {
        assert!(wrong(0, r#"{"state": "accepted", "version": 1, "more": []}"#).is_empty());
        assert_eq!(
            wrong(3, r#"{"state": "lost", "version": 0}"#),
            ["events[3].data/state", "events[3].data/version"]
        );
        assert_eq!(wrong(1, "{}"), ["events[1].data/state", "events[1].data/version"]);
        assert_eq!(wrong(1, "[]"), ["events[1].data"]);
        assert_eq!(wrong(1, ""), ["events[1].data"], "no data is no JSON");
        let schema = DataSchema::read(SCHEMA, "json_schema").unwrap();
        let mut text = event(None);
        text.data_content_type = Some("text/plain".to_owned());
        assert_eq!(schema.judge(2, &text)[0].field, "events[2].data_content_type");
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused_with_all_that_is_wrong_with_it() {
        let fields = |text: &str| -> Vec<String> {
            let problems = DataSchema::read(text, "json_schema").unwrap_err();
            problems.into_iter().map(|problem| problem.field).collect()
        };
        assert_eq!(fields("{"), ["json_schema"]);
        assert_eq!(fields("{}"), ["json_schema/$schema", "json_schema/type"]);
    }

    proptest! {
        #[test]
        fn whatever_the_data_is_it_is_judged(data in "\\PC{0,60}", index in 0_usize..1000) {
            let problems = wrong(index, &data);
            let place = format!("events[{index}].data");
            prop_assert!(problems.iter().all(|field| field.starts_with(&place)));
        }
    }
}
