//! Names of the statuses of results in files and tables.

/// Implements `ALL`, `is_success` and `as_str` for a status, from the list of its variants with
/// their names. The variant `Success` comes first.
macro_rules! names_of_status {
    ($status:ident { $($variant:ident => $name:literal,)+ }) => {
        impl $status {
            /// All statuses, success first.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// True only for success.
            pub fn is_success(self) -> bool {
                self == Self::Success
            }

            /// Name in files and tables, which stays the same in all versions.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

pub(crate) use names_of_status;
