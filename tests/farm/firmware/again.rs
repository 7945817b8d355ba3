//! Boards of which a program lost control while it changed their flash.

use twotone::sim::fault::FlashSlow;

use super::*;

/// Has a first program begin to write the flash of the board, and loses it in the middle. Returns
/// the text with which a second one can take control.
async fn begin(bench: &Bench) -> String {
    let firmware = &bench.firmware[0];
    let identity = firmware.identify().await.unwrap();
    firmware.stage(&image("1.8.0"), &|_, _| ()).await.unwrap();
    // The boot loader goes on with the command that it has, as after a crash of the host.
    let committed = firmware.commit().await.unwrap_err();
    assert_ne!(committed.power_loss, PowerLoss::Harmless);
    identity.value.control.unwrap()
}

#[tokio::test]
async fn a_second_program_takes_control_without_a_restart() {
    let mut bench = Bench::of(1).await;
    bench.board().inject(FlashSlow { step_ms: 200 });
    let control = begin(&bench).await;
    bench.board().clear_faults();
    let second = bench.second();
    let identity = second.identify_again(&control).await.unwrap();
    assert_eq!(identity.power_loss, PowerLoss::Unknown);
    assert_eq!(identity.value.control, Some(control));
    let refused = second.boot().await.unwrap_err();
    assert_eq!(refused.power_loss, PowerLoss::Unknown);
    let image = image("1.8.1");
    let differs = second.verify(&image).await.unwrap_err();
    assert_eq!(differs.power_loss, PowerLoss::Fatal);
    second.stage(&image, &|_, _| ()).await.unwrap();
    second.commit().await.unwrap();
    second.verify(&image).await.unwrap();
    second.boot().await.unwrap();
    assert_eq!(bench.release().await, "1.8.1");
}

#[tokio::test]
async fn a_board_that_has_restarted_is_taken_by_its_beacon() {
    let mut bench = Bench::of(1).await;
    let firmware = &bench.firmware[0];
    let control = firmware.identify().await.unwrap().value.control.unwrap();
    bench.board().power_cycle(Duration::ZERO);
    let second = bench.second();
    let identity = second.identify_again(&control).await.unwrap();
    assert_eq!(identity.power_loss, PowerLoss::Harmless);
    second.boot().await.unwrap();
    assert_eq!(bench.release().await, "1.7.0-sim");
}

#[tokio::test]
async fn a_board_that_is_silent_keeps_its_doubt() {
    let mut bench = Bench::of(1).await;
    bench.board().inject(FlashHang { at: 100_000 });
    let control = begin(&bench).await;
    let second = bench.second();
    let failed = second.identify_again(&control).await.unwrap_err();
    assert_eq!(failed.power_loss, PowerLoss::Unknown);
    assert_eq!(failed.error.kind(), ErrorKind::Timeout);
    let advice = failed.error.advice().unwrap();
    assert!(!advice.contains("off and on"), "{advice}");
}

#[tokio::test]
async fn a_board_is_taken_while_another_program_has_the_port_of_the_beacons() {
    let mut bench = Bench::of(1).await;
    let firmware = &bench.firmware[0];
    let control = firmware.identify().await.unwrap().value.control.unwrap();
    bench.firmware.clear();
    let _other = UdpSocket::bind(bench.beacons).unwrap();
    let second = bench.second();
    let identity = second.identify_again(&control).await.unwrap();
    assert_eq!(identity.value.control, Some(control));
    // If neither way is open, both reasons are told.
    let listening = second.listen().await.unwrap_err();
    let failed = second.identify_again("x").await.unwrap_err().error;
    assert_eq!(failed.kind(), listening.kind());
    let why = failed.causes();
    assert!(why.contains("`x` is not the address"), "{why}");
    assert!(why.contains(&listening.causes()), "{why}");
    let advice = failed.advice().unwrap();
    assert!(advice.contains(listening.advice().unwrap()), "{advice}");
    assert!(advice.contains("before it loses its power"), "{advice}");
}
