//! Kinds of faults, one file each.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Describe, Description, Rule, Scheduled};

/// Declares the faults. Each line is a file in `kinds/` and the type in it.
macro_rules! faults {
    ($($file:ident::$kind:ident),* $(,)?) => {
        $(
            mod $file;
            pub use self::$file::$kind;
        )*

        /// All kinds of faults. In a [`FaultScript`](super::FaultScript), `kind` is the name of the
        /// type in lower case with hyphens, as in `kind = "close-mid-answer"`, and the fields of
        /// the type are further keys.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
        #[non_exhaustive]
        pub enum Fault {
            $(
                #[doc = concat!("The fault [`", stringify!($kind), "`].")]
                $kind($kind),
            )*
        }

        impl Fault {
            /// Names of the faults in a script.
            pub const KINDS: &[&str] = &[$($kind::NAME),*];

            /// Descriptions of the faults, in the order of [`Fault::KINDS`].
            pub const DESCRIPTIONS: &[Description] = &[$(Description::of::<$kind>()),*];

            pub(super) fn rule(&self) -> &dyn Rule {
                match self {
                    $(Self::$kind(rule) => rule,)*
                }
            }

            pub(super) fn rule_mut(&mut self) -> &mut dyn Rule {
                match self {
                    $(Self::$kind(rule) => rule,)*
                }
            }

            /// Deserializes the fields of a fault. Returns `None` if there is no such kind.
            pub(super) fn read<'de, D: Deserializer<'de>>(
                kind: &str,
                fields: D,
            ) -> Option<Result<Self, D::Error>> {
                match kind {
                    $($kind::NAME => Some($kind::deserialize(fields).map(Self::$kind)),)*
                    _ => None,
                }
            }
        }

        $(
            impl From<$kind> for Fault {
                fn from(rule: $kind) -> Self {
                    Self::$kind(rule)
                }
            }

            impl From<$kind> for Scheduled {
                fn from(rule: $kind) -> Self {
                    Fault::$kind(rule).into()
                }
            }
        )*
    };
}

// `cargo fmt` does not find files that a macro declares, so a test in `sim/tests/fault_files.rs`
// checks their format.
faults! {
    refuse::Refuse,
    black_hole::BlackHole,
    close_mid_answer::CloseMidAnswer,
    slow::Slow,
    not_tuber::NotTuber,
    server_error::ServerError,
    wrong_type::WrongType,
    huge_answer::HugeAnswer,
    garbled_answer::GarbledAnswer,
    hang::Hang,
    error_on_call::ErrorOnCall,
    reboot::Reboot,
    flash_power_loss::FlashPowerLoss,
    flash_wrong_bit::FlashWrongBit,
    flash_hang::FlashHang,
    flash_slow::FlashSlow,
    console_loss::ConsoleLoss,
    console_duplicate::ConsoleDuplicate,
    packet_loss::PacketLoss,
    packet_duplicate::PacketDuplicate,
    packet_reorder::PacketReorder,
    packet_corrupt::PacketCorrupt,
    stale_stamps::StaleStamps,
    clock_step::ClockStep,
    clock_stop::ClockStop,
    clock_late_second::ClockLateSecond,
    clock_date::ClockDate,
    wrong_serial::WrongSerial,
}
