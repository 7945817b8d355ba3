//! Tests of the parameters of a campaign for each module.

use twotone_transport::{BoardFamily, BoardPlace, Host, UsualStream};

use super::*;

/// A base-band kind whose boards report a name of their kind that differs from the one in maps.
static BASE_BAND: BoardFamily = BoardFamily {
    name: "params-test",
    default_port: 1,
    highest_module: 1,
    host: |_: &BoardPlace<'_>| -> Option<Host> { None },
    streams: None,
    usual_stream: UsualStream {
        channels: 8,
        rate_hz: 1e3,
    },
    fast_stream: None,
    sends_serial: false,
    has_power_scale: false,
    properties: &[],
    conflicts: |_| Vec::new(),
    firmware: None,
    find: None,
    connect: |name, _, _| {
        let error = Error::new(ErrorKind::Unreachable, "it is not there").on(name);
        Box::pin(async move { Err(error) })
    },
};

const DESCRIPTION: &str = r#"
    serial = "1"
    firmware = ""
    epoch = 0
    operations = ["describe", "tones", "samples"]

    [[modules]]
    module = 1
    channels = 16
    max_offset = 5e6
    frequency_step = 1.0
    sample_rate = 1e3
    settle_samples = 4
    noise_correlation = []
    max_samples = 1000
    volts_per_count = 1e-9
"#;

#[test]
fn the_kind_of_the_map_decides_if_a_board_has_powers() {
    let kind = BoardKind::register(&BASE_BAND).unwrap();
    let mut entry = ModuleEntry::conservative(ModuleId::FIRST);
    entry.f_min = Some(twotone_hal::Hertz(1e6));
    entry.f_max = Some(twotone_hal::Hertz(4e6));
    for said in ["DfMux, third revision", "crs", "params-test"] {
        let text = format!("kind = \"{said}\"\n{DESCRIPTION}");
        let description: Description = toml::from_str(&text).unwrap();
        let params = CampaignParams::default();
        let amplitude = TuneParams::default().tone_amplitude;
        let found = params.for_module(kind, &entry, &description);
        assert_eq!(
            found.map(|found| found.tone_amplitude).ok(),
            Some(amplitude),
            "{said}"
        );
        let refused = params.for_module(BoardKind::CRS, &entry, &description);
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::Unsupported,
            "{said}"
        );
    }
}
