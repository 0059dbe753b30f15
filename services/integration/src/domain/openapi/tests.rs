use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::permit::MethodTerms;
use crate::domain::plain::PlainTerms;
use crate::domain::shape::{BreakingKind, compare};

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "People", "version": "1" },
        "paths": { "/people/{id}": { "get": {
            "parameters": [
                { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
                { "name": "on", "in": "query", "schema": { "type": "string", "format": "date" } },
                { "name": "order", "in": "query", "schema": { "type": "string", "enum": ["name", "birth"] } }
            ],
            "responses": { "200": { "description": "x", "content": { "application/json": { "schema":
                { "$ref": "#/components/schemas/Person" } } } } }
        } } },
        "components": { "schemas": { "Person": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string" },
                "state": { "type": "string", "enum": ["living", "dead", null] },
                "addresses": { "type": "array", "items": { "type": "object", "properties": { "ward": { "type": "string" } } } },
                "mother": { "$ref": "#/components/schemas/Person" }
            }
        } } }
    })
}

fn read(document: &Value) -> Result<Shape, Vec<String>> {
    shape(document.to_string().as_bytes())
}

#[test]
fn operations_become_methods_with_their_paths_of_fields() {
    let shape = read(&document()).unwrap();
    let method = &shape.methods["GET /people/{id}"];
    assert!(shape.field(&method.input, "query.on").is_some());
    assert!(!shape.field(&method.output, "name").unwrap().through_many);
    assert!(shape.field(&method.output, "addresses.ward").unwrap().through_many);
    assert!(shape.field(&method.output, "mother.mother.name").is_some());
    assert!(shape.field(&method.output, "secret").is_none());
}

/// The shape of the people's document with other answers: for each code a schema.
fn answering(answers: &[(&str, Value)]) -> Shape {
    let mut changed = document();
    let answers: Map<String, Value> = answers
        .iter()
        .map(|(code, schema)| {
            let answer = json!({ "description": "x", "content": { "application/json": { "schema": schema } } });
            ((*code).to_owned(), answer)
        })
        .collect();
    *changed.pointer_mut("/paths/~1people~1{id}/get/responses").unwrap() = Value::Object(answers);
    read(&changed).unwrap()
}

fn person() -> Value {
    json!({ "$ref": "#/components/schemas/Person" })
}

#[test]
fn an_answer_that_is_a_map_is_noted_as_one() {
    let output = "GET /people/{id} response";
    let map = answering(&[("200", json!({ "type": "object", "additionalProperties": person() }))]);
    assert_eq!(map.types[output].fields[ROOT].cardinality, Cardinality::Map);
    assert!(map.field(output, "name").unwrap().through_many);
    // The root itself is nothing that terms could name.
    assert!(map.field(output, ROOT).is_none());

    let one = answering(&[("200", person())]);
    assert_eq!(one.types[output].fields[ROOT].cardinality, Cardinality::Single);
    assert!(!one.field(output, "name").unwrap().through_many);
    let found = compare(&one, &map);
    let found: Vec<_> = found.iter().map(|one| (one.kind, one.element.as_str())).collect();
    assert_eq!(found, [(BreakingKind::CardinalityChanged, output)]);
}

#[test]
fn the_mask_of_an_answer_that_is_a_map_is_that_of_each_of_its_values() {
    let shape = answering(&[("200", json!({ "additionalProperties": person() }))]);
    let terms = MethodTerms {
        predicates: Vec::new(),
        mask: vec!["name".to_owned()],
    };
    let terms = PlainTerms::compile(&shape, &shape.methods["GET /people/{id}"], &terms);
    let answer = json!({ "k1": { "name": "A", "secret": "S" }, "name": { "name": "B", "secret": "S" } });
    let passed = terms.unwrap().unwrap().response(answer.to_string().as_bytes()).unwrap();
    let passed: Value = serde_json::from_slice(&passed).unwrap();
    assert_eq!(passed, json!({ "k1": { "name": "A" }, "name": { "name": "B" } }));
}

#[test]
fn what_lies_below_a_place_that_may_be_a_map_or_something_else_has_no_name() {
    let output = "GET /people/{id} response";
    let map = || json!({ "additionalProperties": person() });
    for answers in [
        vec![("200", person()), ("201", map())],
        vec![("200", map()), ("201", person())],
        vec![("200", json!({ "oneOf": [person(), map()] }))],
        vec![("200", person()), ("201", json!({ "type": "array", "items": map() }))],
        vec![("200", map()), ("201", json!({ "additionalProperties": map() }))],
    ] {
        let shape = answering(&answers);
        assert!(shape.field(output, "name").is_none(), "{answers:?}");
        assert!(shape.field(output, "mother.name").is_none(), "{answers:?}");
    }
    let inner = |of: Value| json!({ "properties": { "of": of, "office": { "type": "string" } } });
    let shape = answering(&[("200", inner(person())), ("201", inner(map()))]);
    assert!(shape.field(output, "of").is_some() && shape.field(output, "office").is_some());
    assert!(shape.field(output, "of.name").is_none());
    // Two that agree are as one.
    let shape = answering(&[("200", map()), ("201", map())]);
    assert!(shape.field(output, "name").is_some());
}

#[test]
fn our_own_document_is_read() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/openapi/egov.json");
    let shape = shape(&std::fs::read(file).unwrap()).unwrap();
    assert!(shape.methods.len() > 50, "{}", shape.methods.len());
    assert_eq!(compare(&shape, &shape), []);
}

#[test]
fn each_way_to_break_is_found() {
    let before = read(&document()).unwrap();
    let kinds = |change: &dyn Fn(&mut Value)| {
        let mut changed = document();
        change(&mut changed);
        let found = compare(&before, &read(&changed).unwrap());
        found.into_iter().map(|one| one.kind).collect::<Vec<_>>()
    };
    let person = "/components/schemas/Person";
    assert_eq!(
        kinds(&|new| *new.pointer_mut(&format!("{person}/properties/name/type")).unwrap() = json!("integer"))[0],
        BreakingKind::FieldRetyped
    );
    assert!(
        kinds(&|new| {
            new.pointer_mut(person)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove("required");
        })
        .contains(&BreakingKind::RequirednessChanged)
    );
    let get = "/paths/~1people~1{id}/get";
    assert_eq!(
        kinds(&|new| new
            .pointer_mut(&format!("{get}/parameters"))
            .unwrap()
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "why", "in": "query", "required": true, "schema": {"type": "string"}}))),
        [BreakingKind::RequirednessChanged]
    );
    assert_eq!(
        kinds(&|new| {
            let paths = new.get_mut("paths").unwrap().as_object_mut().unwrap();
            let item = paths.remove("/people/{id}").unwrap();
            paths.insert("/persons/{id}".to_owned(), item);
        }),
        [BreakingKind::MethodRemoved]
    );
    assert_eq!(
        kinds(&|new| {
            let fields = new.pointer_mut(&format!("{person}/properties")).unwrap();
            fields
                .as_object_mut()
                .unwrap()
                .insert("more".to_owned(), json!({"type": "string"}));
        }),
        []
    );
}

#[test]
fn values_that_are_gone_are_found_and_more_of_them_break_nobody() {
    let before = read(&document()).unwrap();
    let (order, on) = ("parameters/2/schema", "parameters/1/schema");
    let state = "/components/schemas/Person/properties/state";
    let found = |changes: &[(&str, Value)]| {
        let mut changed = document();
        for (place, schema) in changes {
            let place = if place.starts_with('/') {
                (*place).to_owned()
            } else {
                format!("/paths/~1people~1{{id}}/get/{place}")
            };
            *changed.pointer_mut(&place).unwrap() = schema.clone();
        }
        compare(&before, &read(&changed).unwrap())
    };
    let listing = |values: Value| json!({ "type": "string", "enum": values });
    // A request that is sent with it is refused.
    let gone = found(&[(order, listing(json!(["name", "age"])))]);
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].kind, gone[0].element.as_str(), gone[0].detail.as_str()),
        (
            BreakingKind::EnumValueRemoved,
            "GET /people/{id} request.query.order",
            "birth"
        )
    );
    assert_eq!(gone[0].methods, ["GET /people/{id}"]);
    // Who waits for it in an answer waits for nothing: wherever that stands, and however it is written.
    let by_reference =
        json!({ "type": "string", "allOf": [{ "$ref": "#/components/schemas/Person/properties/only" }] });
    let one = json!({ "type": "string", "const": "living" });
    for schema in [
        listing(json!(["living", null])),
        listing(json!(["living"])),
        one.clone(),
    ] {
        let gone = found(&[(state, schema)]);
        let at = |element: &str| gone.iter().any(|one| one.element == element);
        assert!(at("GET /people/{id} response.state") && at("GET /people/{id} response.mother.state"));
        assert!(
            gone.iter()
                .all(|one| one.kind == BreakingKind::EnumValueRemoved && one.detail == "dead")
        );
    }
    let person = json!({ "type": "object", "required": ["name"], "properties": {
            "name": { "type": "string" }, "addresses": { "type": "array", "items": { "properties": { "ward": { "type": "string" } }, "type": "object" } },
            "mother": { "$ref": "#/components/schemas/Person" }, "only": one, "state": by_reference,
        } });
    let gone = found(&[("/components/schemas/Person", person)]);
    assert!(!gone.is_empty() && gone.iter().all(|one| one.kind == BreakingKind::EnumValueRemoved));
    // What could be anything and is limited now, breaks those who send it, not those who get it.
    let limited = json!({ "type": "string", "format": "date", "enum": ["2026-01-01"] });
    let limited: Vec<_> = found(&[(on, limited)]).into_iter().map(|one| one.kind).collect();
    assert_eq!(limited, [BreakingKind::FieldRetyped]);
    let name = "/components/schemas/Person/properties/name";
    assert_eq!(found(&[(name, listing(json!(["An", "Bình"])))]), []);
    // More values, or any.
    let more = (order, listing(json!(["name", "birth", "age"])));
    assert_eq!(
        found(&[more, (state, listing(json!(["living", "dead", "missing"])))]),
        []
    );
    let any = || json!({ "type": "string" });
    assert_eq!(found(&[(order, any()), (state, any())]), []);
    // Two answers that share a place leave what either does.
    let answers = |first: Value, second: Value| {
        let holding = |state: Value| json!({ "type": "object", "properties": { "state": state } });
        answering(&[("200", holding(first)), ("201", holding(second))])
    };
    let both = answers(listing(json!(["living"])), listing(json!(["dead"])));
    assert_eq!(
        compare(
            &both,
            &answers(listing(json!(["dead", "living"])), listing(json!(["dead"])))
        ),
        []
    );
    assert_eq!(compare(&both, &answers(listing(json!(["living"])), any())), []);
    let gone = compare(&both, &answers(listing(json!(["living"])), listing(json!(["living"]))));
    assert_eq!(gone[0].detail, "dead");
}

#[test]
fn a_template_with_several_variables_in_one_segment_is_refused_and_says_so() {
    let with = |path: &str, parameters: &[&str]| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let answers = json!({ "200": { "description": "x" } });
        let document = json!({
            "openapi": "3.1.0",
            "info": { "title": "x", "version": "1" },
            "paths": { path: { "get": { "parameters": parameters, "responses": answers } } }
        });
        templates(&read(&document).unwrap())
    };
    for path in [
        "/places/{province}-{ward}",
        "/places/{province}{ward}",
        "/x{province},{ward}y/z",
    ] {
        let problems = with(path, &["province", "ward"]);
        assert_eq!(problems.len(), 1, "{path}");
        assert!(
            problems[0].contains("several variables in one segment") && problems[0].contains("google.api.http"),
            "{problems:?}"
        );
    }
    assert_eq!(with("/people/a{id", &[]).len(), 1);
    assert_eq!(with("/people/a{id}.json", &[]).len(), 1, "no parameter");
    for path in ["/people/{id}", "/people/a{id}.json", "/people"] {
        assert_eq!(with(path, &["id"]), [""; 0], "{path}");
    }
}

#[test]
fn every_problem_is_named() {
    let problems = read(&json!({
        "openapi": "2.0",
        "info": { "title": "x" },
        "paths": { "people/{id}": { "get": { "parameters": [ { "$ref": "#/nowhere" } ] } } }
    }))
    .unwrap_err();
    for said in [
        "openapi",
        "info.version",
        "must begin with /",
        "#/nowhere",
        "{id}",
        "responses",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(said)),
            "{said}: {problems:?}"
        );
    }
}

#[test]
fn a_schema_that_multiplies_itself_is_refused() {
    let properties: Map<String, Value> = (0..9)
        .map(|number| (format!("f{number}"), json!({ "$ref": "#/components/schemas/Person" })))
        .collect();
    let mut bomb = document();
    *bomb.pointer_mut("/components/schemas/Person/properties").unwrap() = Value::Object(properties);
    let problems = read(&bomb).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.contains("more than")),
        "{problems:?}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in "\\PC{0,200}") {
        prop_assert!(shape(text.as_bytes()).is_err());
    }
}
