//! ListResults (các phiên bản kết quả của hồ sơ).

use egov_auth::Caller;
use egov_database::Page;
use uuid::Uuid;

use crate::domain::results::{ListedVersion, listed_versions};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::READ;
use crate::store::{Visible, cases};

impl OneStop {
    /// One page of the versions of the results of a case that the caller sees, and the etag of the case. They come with the case, which
    /// has few of them: the page is cut here.
    pub(crate) async fn list_results(
        &self,
        caller: &Caller,
        case_id: Uuid,
        page: Page<(i32, i32)>,
    ) -> Result<(Vec<ListedVersion>, String, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let after = page.after().copied();
        let most = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let case = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(cases::get(connection, case_id, &visible).await?)
            })
            .await?
            .ok_or(Error::CaseNotFound)?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        let place = |one: &ListedVersion| (one.result_number, one.version);
        let versions: Vec<ListedVersion> = listed_versions(&case)
            .into_iter()
            .filter(|one| after.is_none_or(|after| place(one) > after))
            .take(most)
            .collect();
        let (versions, next) = page.finish(versions, place)?;
        Ok((versions, next, case.etag()))
    }
}
