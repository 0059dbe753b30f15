//! A person of the simulated population register.

/// A person whom nobody knows: the numbers begin with 040, Nghệ An's, and the names are made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Số định danh cá nhân.
    pub personal_number: String,
    /// Số chứng minh nhân dân; empty if there never was one.
    pub identity_card: String,
    /// Họ và tên.
    pub full_name: String,
    /// `yyyyMMdd`, or the year alone.
    pub birth: String,
    /// 1 nam, 2 nữ.
    pub gender: String,
    /// Mã dân tộc.
    pub ethnic_group: String,
    /// Nơi thường trú.
    pub residence: String,
}

impl Person {
    /// The people that the register knows when it starts.
    pub(crate) fn some() -> Vec<Self> {
        let person = |number: &str, card: &str, name: &str, birth: &str, gender: &str, group: &str| Self {
            personal_number: number.to_owned(),
            identity_card: card.to_owned(),
            full_name: name.to_owned(),
            birth: birth.to_owned(),
            gender: gender.to_owned(),
            ethnic_group: group.to_owned(),
            residence: "Xã Kim Liên, tỉnh Nghệ An".to_owned(),
        };
        vec![
            person("040099000001", "186000001", "Nguyễn Văn An", "19990214", "1", "01"),
            person("040198000002", "", "Trần Thị Bình", "19980930", "2", "03"),
            person("040050000003", "180000003", "Vi Văn Lộc", "1950", "1", "03"),
        ]
    }
}
