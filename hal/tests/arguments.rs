//! Test of the check that operations fit the description of the board.

use twotone_hal::{
    Acquire, Batch, ChannelId, Description, Hertz, ModuleDescription, ModuleId, NcoRange,
    OperationKind, Radians, Ticket, ToneFields, ToneUpdate,
};

/// Checks the operation that `add` adds to a batch, on a board with one module.
fn check<O>(
    module: &ModuleDescription,
    add: impl FnOnce(&mut Batch, ModuleId) -> Ticket<O>,
) -> String {
    let mut batch = Batch::new();
    add(&mut batch, ModuleId::FIRST);
    use OperationKind as Kind;
    let operations = [Kind::Tones, Kind::Nco, Kind::Samples];
    let description = Description::new("four", operations, [module.clone()]);
    let checked = description.check(&batch, &batch.ops()[0]);
    checked.map_or_else(|error| error.message().to_owned(), |()| "ok".to_owned())
}

#[test]
fn operations_and_arguments_that_a_board_lacks_are_refused() {
    let bare = ModuleDescription {
        max_offset: Hertz(2e8),
        max_samples: 10,
        ..ModuleDescription::new(ModuleId::FIRST, 4)
    };
    let with_nco = ModuleDescription {
        nco: Some(NcoRange {
            min: Hertz(1e9),
            max: Hertz(2e9),
        }),
        ..bare.clone()
    };
    let tone = |number| ToneUpdate::new(ChannelId::new(number).unwrap());
    for (update, expected) in [
        (tone(4).offset(Hertz(-2e8)).amplitude(-1.0), "ok"),
        (
            tone(5).amplitude(0.1),
            "channel 5 is past the 4 of module 1",
        ),
        (
            tone(3).offset(Hertz(2.1e8)),
            "channel 3: offset frequency 210000000 Hz is outside -200000000 Hz to 200000000 Hz",
        ),
        (
            tone(3).amplitude(1.1),
            "channel 3: amplitude 1.1 is outside -1 to 1",
        ),
        (
            tone(3).amplitude(f64::NAN),
            "channel 3: amplitude NaN is outside -1 to 1",
        ),
        (
            tone(3).phase(Radians(f64::INFINITY)),
            "channel 3: a phase is not finite",
        ),
        (
            tone(3).rotation(Radians(f64::NAN)),
            "channel 3: a phase is not finite",
        ),
    ] {
        let found = check(&bare, |batch, module| batch.set_tone(module, update));
        assert_eq!(found, expected);
    }
    let past = "channel 5 is past the 4 of module 1";
    for (first, count, expected) in [
        (3, 2, "ok"),
        (3, 3, past),
        (5, 1, past),
        (1, 0, "no channels are asked for"),
    ] {
        let first = ChannelId::new(first).unwrap();
        let read = check(&bare, |batch, module| {
            batch.read_tones(module, first, count, ToneFields::ALL)
        });
        let acquire = Acquire {
            first,
            count: Some(count),
            ..Acquire::new(10)
        };
        let acquired = check(&bare, |batch, module| batch.acquire_mean(module, acquire));
        assert_eq!((&*read, &*acquired), (expected, expected));
    }
    for (samples, expected) in [
        (1, "ok"),
        (0, "0 samples are not between 1 and 10"),
        (11, "11 samples are not between 1 and 10"),
    ] {
        let acquire = Acquire::new(samples);
        let found = check(&bare, |batch, module| {
            batch.acquire_samples(module, acquire)
        });
        assert_eq!(found, expected);
    }
    let none = "the module has no NCO; its tones are relative to 0 Hz";
    let outside =
        |asked| format!("NCO frequency {asked} is outside 1000000000 Hz to 2000000000 Hz");
    for (described, hertz, expected) in [
        (&with_nco, 2e9, "ok"),
        (&with_nco, 2.1e9, &*outside("2100000000 Hz")),
        (&with_nco, f64::NAN, &*outside("NaN Hz")),
        (&bare, 0.0, none),
    ] {
        let found = check(described, |batch, module| {
            batch.set_nco(module, Hertz(hertz))
        });
        assert_eq!(found, expected);
    }
    assert_eq!(check(&bare, |batch, module| batch.read_nco(module)), none);
    let second = ModuleId::new(2).unwrap();
    let elsewhere = check(&bare, |batch, _| batch.clear_tones(second));
    assert_eq!(elsewhere, "there is no module 2; the board has 1");
    let clock = check(&bare, |batch, _| batch.read_clock());
    assert_eq!(
        clock,
        "a board of the kind four has no operations for a clock"
    );
}
