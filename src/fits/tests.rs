//! Tests of the readers of files of sweeps.

use twotone_hal::{Complex64, ModuleId};

use super::periscope;
use crate::record::{SweepPoint, SweepTable};

/// Returns a file as Periscope exports it, in one of its units.
fn exported(magnitude: &str, values: [f64; 3]) -> String {
    let mut text = format!("# Amplitude:,0.001\r\nFrequency (Hz),{magnitude},Phase (deg)\r\n");
    for (k, value) in values.into_iter().enumerate() {
        text.push_str(&format!("{},{value},{}\r\n", 1e9 + 1e4 * k as f64, 90 * k));
    }
    text
}

fn read(text: &str, name: &str, module: Option<u8>) -> Result<(SweepTable, Vec<String>), String> {
    let mut doubts = Vec::new();
    let module = module.map(|number| ModuleId::new(number).unwrap());
    let table = periscope::read(text, name, module, &mut doubts)?;
    Ok((table, doubts))
}

#[test]
fn every_unit_of_an_exported_network_analysis_gives_the_same_counts() {
    // 1 count is 1.3745 uV peak times 0.1, which is -124.2 dBm at 50 ohms: converted here from the
    // definition of dBm.
    let volts = 1.374_542_590_8e-7;
    let dbm = |counts: f64| {
        let rms = counts * volts / 2f64.sqrt();
        10.0 * (rms * rms / 50.0 / 1e-3).log10()
    };
    let counts = [1e5, 3e4, 0.5];
    for text in [
        exported("Amplitude (counts)", counts),
        exported("Amplitude (V)", counts.map(|one| one * volts)),
        exported("Power (dBm)", counts.map(dbm)),
    ] {
        assert!(periscope::is_one(&text));
        let (table, doubts) = read(&text, "night_module3_idx0_x.csv", None).unwrap();
        assert!(doubts.is_empty(), "{doubts:?}");
        assert_eq!(table.provenance["amplitude"], "0.001");
        for (k, point) in table.points().iter().enumerate() {
            let SweepPoint { head, mean, .. } = point;
            assert_eq!(head.module.number(), 3);
            assert_eq!(point.frequency.0, 1e9 + 1e4 * k as f64);
            let expected = Complex64::from_polar(counts[k], (90.0 * k as f64).to_radians());
            assert!(
                (mean - expected).norm() < 1e-9 * counts[k],
                "{text}: {mean} {expected}"
            );
        }
    }
}

#[test]
fn points_in_any_order_are_sorted_and_those_without_a_sample_are_told() {
    let text = "\"Frequency (Hz)\",Phase (deg),Amplitude (counts),more\n\
                3e9,0,3,a\n1e9,0,1,b\n\n2e9,nan,2,c\n1e9,0,4,d\n";
    let (table, doubts) = read(text, "x.csv", Some(2)).unwrap();
    let points: Vec<_> = table
        .points()
        .iter()
        .map(|p| (p.frequency.0, p.mean.re))
        .collect();
    assert_eq!(points, [(1e9, 1.0), (3e9, 3.0)]);
    assert_eq!(doubts.len(), 2, "{doubts:?}");
    assert!(
        doubts[0].contains("1 points have no finite sample"),
        "{doubts:?}"
    );
    assert!(
        doubts[1].contains("1 points have the frequency of another"),
        "{doubts:?}"
    );
}

#[test]
fn a_file_whose_module_is_not_known_or_contradicts_is_refused() {
    let text = exported("Amplitude (counts)", [1.0, 2.0, 3.0]);
    assert!(read(&text, "x.csv", None).unwrap_err().contains("--module"));
    let error = read(&text, "x_module2_idx0_counts.csv", Some(1)).unwrap_err();
    assert!(error.contains("named after module 2, not 1"), "{error}");
    let wrong = text.replace("1000010000,", "-5,");
    let error = read(&wrong, "x.csv", Some(1)).unwrap_err();
    assert!(error.contains("line 4: -5 Hz is no frequency"), "{error}");
    let wrong = text.replace(",2,", ",two,");
    let error = read(&wrong, "x.csv", Some(1)).unwrap_err();
    assert!(error.contains("line 4: `two` is no magnitude"), "{error}");
}

#[test]
fn a_table_survives_csv() {
    let text = "module,channel,sweep,frequency_hz,nco_hz,i,q,noise\n\
                1,,network_analysis,1000000000.5,,0.1,-2e-7,\n\
                2,7,fine_down,1.1e9,1.05e9,3,4,0.25\n";
    let table = SweepTable::read_csv(text, "x").unwrap();
    let mut written = Vec::new();
    table.write_csv(&mut written).unwrap();
    let written = String::from_utf8(written).unwrap();
    let again = SweepTable::read_csv(&written, "x").unwrap();
    let shown = |table: &SweepTable| format!("{:?}", table.points());
    assert_eq!(shown(&again), shown(&table));
    assert_eq!(table.points().len(), 2);
}
