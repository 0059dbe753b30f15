//! What is written by hand beside the generated code. Here and not in the library, which is large and would be compiled a
//! second time for a few tests.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use egov_proto::google::r#type::Date;
use egov_proto::options::Options;
use egov_proto::{NotADay, POOL, instant, timestamp};
use prost_reflect::FieldDescriptor;

#[test]
fn a_day_survives_the_way_there_and_back() {
    let day = jiff::civil::date(2026, 11, 24);
    assert_eq!(jiff::civil::Date::try_from(Date::from(day)), Ok(day));
}

#[test]
fn a_month_13_and_a_bare_year_are_refused() {
    for date in [
        Date {
            year: 2026,
            month: 13,
            day: 1,
        },
        Date {
            year: 2026,
            month: 0,
            day: 0,
        },
        Date {
            year: 0,
            month: 1,
            day: 1,
        },
    ] {
        assert_eq!(jiff::civil::Date::try_from(date), Err(NotADay));
    }
}

#[test]
fn an_instant_survives_to_the_nanosecond() {
    let at = jiff::Timestamp::new(1_795_400_000, 123_456_789).unwrap();
    assert_eq!(instant(&timestamp(at)), Some(at));
}

fn field(message: &str, name: &str) -> FieldDescriptor {
    let message = POOL.get_message_by_name(message).unwrap();
    message.get_field_by_name(name).unwrap()
}

#[test]
fn the_name_of_an_enums_value_is_read_without_the_enums_own() {
    let options = Options::of(&POOL);
    let token = field("egov.identity.v1.TokenPair", "access_token");
    assert_eq!(options.personal_data(&token).as_deref(), Some("SECRET"));
    let get_case = POOL.get_service_by_name("egov.onestop.v1.CaseService").unwrap();
    let get_case = get_case.methods().find(|method| method.name() == "GetCase").unwrap();
    assert_eq!(options.idempotency(&get_case).unwrap().kind, "READ");
    let case_id = get_case.input().get_field_by_name("case_id").unwrap();
    assert_eq!(options.personal_data(&case_id), None);
    assert_eq!(options.format(&case_id), None);
}
