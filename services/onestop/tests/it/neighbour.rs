//! Another commune's officer sees nothing: not with both walls up, not with either of them taken away.
//!
//! The build with the feature `test-without-query-filter` runs these same tests with row-level security alone.

use egov_proto::egov::onestop::v1::{
    GetFileRequest, ListCaseHistoryRequest, ListCasesRequest, ReadFileRequest, SearchCasesRequest,
};
use tonic::Code;

use crate::support::*;

/// Everything that a neighbour may try on a case with a file.
async fn sees_nothing(stack: &Stack, case_id: &str, case_code: &str, file_id: &str) {
    for role in ["one_stop_clerk", "officer", "unit_leader", "case_reader"] {
        let mut neighbour = stack.staff(role, THANH_VINH);
        assert_eq!(
            get(&neighbour, case_id).await.unwrap_err().code(),
            Code::NotFound,
            "{role} get"
        );
        let listed = neighbour
            .cases
            .list_cases(ListCasesRequest::default())
            .await
            .unwrap()
            .into_inner();
        assert!(listed.cases.is_empty(), "{role} list");
        let asked = ListCasesRequest {
            unit_id: TRUONG_VINH,
            ..Default::default()
        };
        assert!(
            neighbour
                .cases
                .list_cases(asked)
                .await
                .unwrap()
                .into_inner()
                .cases
                .is_empty(),
            "{role} list of the unit"
        );
        for query in ["huong", "Nguyễn Thị", "040190000123", case_code] {
            let search = SearchCasesRequest {
                query: query.to_owned(),
                ..Default::default()
            };
            let found = neighbour.cases.search_cases(search).await.unwrap().into_inner();
            assert!(found.cases.is_empty(), "{role} search {query}");
        }
        let history = ListCaseHistoryRequest {
            case_id: case_id.to_owned(),
            ..Default::default()
        };
        assert_eq!(
            neighbour.cases.list_case_history(history).await.unwrap_err().code(),
            Code::NotFound,
            "{role} history"
        );
        let file = GetFileRequest {
            file_id: file_id.to_owned(),
        };
        assert_eq!(
            neighbour.files.get_file(file).await.unwrap_err().code(),
            Code::NotFound,
            "{role} file"
        );
        let content = ReadFileRequest {
            file_id: file_id.to_owned(),
            ..Default::default()
        };
        assert_eq!(
            neighbour.files.read_file(content).await.unwrap_err().code(),
            Code::NotFound,
            "{role} content"
        );
    }
}

/// A decided case whose result is a file.
async fn decided(stack: &Stack) -> (String, String, String) {
    let case = processing(stack).await;
    let case = approve(stack, &case).await;
    (case.case_id, case.case_code, case.results[0].file_id.clone())
}

#[tokio::test]
async fn a_neighbour_sees_nothing_in_get_list_search_history_and_files() {
    let stack = Stack::start().await;
    let (case_id, case_code, file_id) = decided(&stack).await;
    sees_nothing(&stack, &case_id, &case_code, &file_id).await;

    // The counter-check: who may read it finds it in each of these ways.
    let mut own = stack.staff("case_reader", TRUONG_VINH);
    assert_eq!(get(&own, &case_id).await.unwrap().case_code, case_code);
    for query in ["huong", "Nguyễn Thị", "040190000123", &case_code] {
        let search = SearchCasesRequest {
            query: query.to_owned(),
            ..Default::default()
        };
        assert_eq!(
            own.cases.search_cases(search).await.unwrap().into_inner().cases.len(),
            1,
            "{query}"
        );
    }
    assert_eq!(
        own.cases
            .list_cases(ListCasesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .cases
            .len(),
        1
    );
    let content = ReadFileRequest {
        file_id,
        ..Default::default()
    };
    assert_eq!(own.files.read_file(content).await.unwrap().into_inner().data, PDF);
}

#[cfg(not(feature = "test-without-query-filter"))]
#[tokio::test]
async fn a_neighbour_sees_nothing_when_row_level_security_is_off() {
    use sqlx::Executor as _;

    let stack = Stack::start().await;
    let (case_id, case_code, file_id) = decided(&stack).await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for table in [
        "cases",
        "case_components",
        "case_pauses",
        "case_results",
        "result_versions",
        "case_ratings",
        "case_history",
        "case_tokens",
        "received_case_tokens",
        "files",
        "uploads",
    ] {
        superuser
            .execute(sqlx::AssertSqlSafe(format!(
                "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
            )))
            .await
            .unwrap();
    }
    sees_nothing(&stack, &case_id, &case_code, &file_id).await;
}

#[tokio::test]
async fn no_table_with_rows_of_a_unit_or_owner_is_unprotected() {
    let stack = Stack::start().await;
    let mut owner = stack.database.connect_as_owner().await.unwrap();
    let unprotected: Vec<String> = sqlx::query_scalar("SELECT t::text FROM egov.unprotected_tables() AS t")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    assert!(unprotected.is_empty(), "{unprotected:?}");
}

#[tokio::test]
async fn a_citizen_sees_the_own_cases_and_nobody_elses() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let mut other = stack.portal(uuid::Uuid::from_u128(0xC2));
    assert_eq!(get(&other, &case.case_id).await.unwrap_err().code(), Code::NotFound);
    assert!(
        other
            .cases
            .list_cases(ListCasesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .cases
            .is_empty()
    );
    assert_eq!(
        get(&stack.portal(citizen()), &case.case_id).await.unwrap().case_id,
        case.case_id
    );
}

#[tokio::test]
async fn a_department_of_the_unit_does_not_see_the_units_cases_but_the_province_does() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let below = stack.staff("case_reader", COUNTER);
    assert_eq!(get(&below, &case.case_id).await.unwrap_err().code(), Code::NotFound);
    let above = stack.staff("case_reader", PROVINCE);
    assert_eq!(get(&above, &case.case_id).await.unwrap().case_id, case.case_id);
}
