//! Persons are found by what entries tell of them, through the port.

use egov_proto::egov::civil_registry::v1::*;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

fn named(full_name: &str, birth_year: i32) -> SearchPersonsRequest {
    SearchPersonsRequest {
        full_name: full_name.to_owned(),
        birth_year,
        ..Default::default()
    }
}

fn numbered(personal_number: &str) -> SearchPersonsRequest {
    SearchPersonsRequest {
        personal_number: personal_number.to_owned(),
        ..Default::default()
    }
}

/// Everybody who is found, over all pages.
async fn found(client: &mut Client, request: SearchPersonsRequest) -> Result<Vec<FoundPerson>, Status> {
    let (mut request, mut persons) = (request, Vec::new());
    loop {
        let page = client.persons.search_persons(request.clone()).await?.into_inner();
        persons.extend(page.persons);
        if page.next_page_token.is_empty() {
            return Ok(persons);
        }
        request.page_token = page.next_page_token;
    }
}

async fn ids(client: &mut Client, request: SearchPersonsRequest) -> Vec<String> {
    let persons = found(client, request).await.unwrap();
    persons.into_iter().map(|person| person.person_id).collect()
}

fn child_of(entry: &Entry) -> Child {
    entry.birth.clone().unwrap().child.unwrap()
}

#[tokio::test]
async fn persons_are_found_by_name_and_year_or_by_number_within_the_scope() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    officer.open_deaths(TRUONG_VINH, 2026).await.unwrap();
    let named_so = |name: &str| {
        let name = name.to_owned();
        birth_where(move |birth| birth.child.as_mut().unwrap().full_name = name)
    };
    let entry = officer.register(named_so("Nguyễn  Thị Hoà Lý")).await.unwrap();
    let child = child_of(&entry);
    let parents = entry.birth.clone().unwrap();
    let (mother, father) = (parents.mother.unwrap(), parents.father.unwrap());
    let deceased = officer
        .register_death(death())
        .await
        .unwrap()
        .death
        .unwrap()
        .deceased
        .unwrap();

    for (request, expected) in [
        (named("nguyen thi hoa ly", 2026), Some(&child.person_id)),
        (named("Lí HÒA", 2026), Some(&child.person_id)),
        (named("hoa ly", 2025), None),
        (named("hoa lyn", 2026), None),
        (named("hoa ly van", 2026), None),
        (named("Mẹ Trần", 1995), Some(&mother.person_id)),
        (named("ba", 1941), Some(&deceased.person_id)),
        (numbered(FATHER), Some(&father.person_id)),
        (numbered("040093000999"), None),
        (
            SearchPersonsRequest {
                personal_number: MOTHER.to_owned(),
                ..named("tran thi me", 1995)
            },
            Some(&mother.person_id),
        ),
        (
            SearchPersonsRequest {
                personal_number: FATHER.to_owned(),
                ..named("tran thi me", 1995)
            },
            None,
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        assert_eq!(ids(&mut officer, request.clone()).await, expected, "{request:?}");
    }

    // Who is called otherwise is found by either name, and shown by the one that stands.
    let request = correction(
        &entry,
        CorrectionKind::Correction,
        &[("birth.child.full_name", "Nguyễn Thị Hoà Lý", "Nguyễn Thị Hoà Bích")],
    );
    officer.correct(request).await.unwrap();
    for name in ["hoa ly", "hoa bich"] {
        let persons = found(&mut officer, named(name, 2026)).await.unwrap();
        let [one] = persons.as_slice() else {
            panic!("{name}: {persons:?}")
        };
        assert_eq!(one.full_name, "Nguyễn Thị Hoà Bích");
        assert_eq!(one.person_id, child.person_id);
        assert_eq!(one.date_of_birth, child.date_of_birth);
    }
    assert!(
        ids(&mut officer, named("ly bich", 2026)).await.is_empty(),
        "no name has both"
    );

    // Pages come by id, each with one record of reading of those whom it shows.
    let mut expected = vec![child.person_id.clone()];
    for name in ["Nguyễn Thị Hoà Khương", "Nguyễn Thị Hoà Mười"] {
        expected.push(child_of(&officer.register(named_so(name)).await.unwrap()).person_id);
    }
    expected.sort_unstable();
    let before = stack.count(SEARCHES).await;
    let by_one = SearchPersonsRequest {
        page_size: 1,
        ..named("thi hoa", 2026)
    };
    assert_eq!(ids(&mut officer, by_one.clone()).await, expected);
    assert_eq!(stack.count(SEARCHES).await - before, 3, "one record a page");
    assert_eq!(ids(&mut officer, named("thi hoa", 2026)).await, expected);
    let subjects: Vec<Uuid> = expected.iter().map(|id| id.parse().unwrap()).collect();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let together: i64 =
        sqlx::query_scalar("SELECT count(*) FROM egov.read_records WHERE purpose = $1 AND subjects @> $2")
            .bind(PURPOSE)
            .bind(&subjects)
            .fetch_one(&mut superuser)
            .await
            .unwrap();
    assert_eq!(together, 1, "the page with all three");
    let token = officer
        .persons
        .search_persons(by_one)
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    let another = SearchPersonsRequest {
        page_size: 1,
        page_token: token,
        ..named("hoa", 2026)
    };
    assert!(found(&mut officer, another).await.is_err(), "a token is of its search");

    // The neighbour's rows: found by whoever sees both.
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let mut province = stack.staff(READER, PROVINCE);
    for request in [named("thi hoa", 2026), numbered(FATHER), named("tran thi me", 1995)] {
        assert!(ids(&mut neighbour, request.clone()).await.is_empty(), "{request:?}");
        assert!(!ids(&mut province, request).await.is_empty());
    }

    for (request, wrong) in [
        (SearchPersonsRequest::default(), vec!["full_name", "birth_year"]),
        (named("hoa", 0), vec!["birth_year"]),
        (named("", 2026), vec!["full_name"]),
        (named("hoa 2", 2026), vec!["full_name"]),
        (named("...", 2026), vec!["full_name"]),
        (numbered("04009300022"), vec!["personal_number"]),
    ] {
        let status = found(&mut officer, request.clone()).await.unwrap_err();
        let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, wrong),
            "{request:?}"
        );
    }
    let mut purposeless = stack.client(Some(stack.token(READER, TRUONG_VINH)), None);
    assert!(found(&mut purposeless, named("hoa", 2026)).await.is_err());
    let mut nobody = stack.client(None, Some(PURPOSE));
    assert!(found(&mut nobody, named("hoa", 2026)).await.is_err());
}

/// Records of searches.
const SEARCHES: &str = "SELECT count(*) FROM egov.read_records WHERE method LIKE '%SearchPersons'";
