//! The vendors by name: what an account is. What each of a vendor's services has stands in `service`, and how it is asked in
//! `provider`.

mod regions;

pub use self::regions::Meant;

/// Whose backups are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
    /// Alibaba Cloud.
    Alibaba,
    /// Huawei Cloud.
    Huawei,
    /// Volcengine.
    Volcengine,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 3] = [Self::Alibaba, Self::Huawei, Self::Volcengine];

    /// The value of the label `provider`, and the name in the configuration file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alibaba => "alibaba",
            Self::Huawei => "huawei",
            Self::Volcengine => "volcengine",
        }
    }

    /// The vendor of this name, if there is one.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// Whether its regions are divided into projects.
    pub const fn has_projects(self) -> bool {
        match self {
            Self::Alibaba | Self::Volcengine => false,
            Self::Huawei => true,
        }
    }
}
