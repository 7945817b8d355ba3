use tworoutine::Wait;
use twotone_hal::ModuleId;
use twotone_sim::Farm;

use super::*;

#[test]
fn a_board_has_one_handle_however_often_it_is_asked_for() {
    let farm = Farm::builder().boards(1).detectors(2).start_blocking();
    let farm = farm.unwrap();
    let map = HardwareMap::try_from(&farm).unwrap();
    let mut array = Array::connect(&map).wait();
    let handle = |array: &Array| array.board("crs0001").wait().unwrap();
    let is_one =
        |a: &BoardHandle, b: &BoardHandle| std::ptr::addr_eq(&raw const **a, &raw const **b);
    let (one, other) = (handle(&array), handle(&array));
    assert!(is_one(&one, &other));
    // Tones that were set through another handle count for the limits.
    let target = array.targets().remove(0);
    let (most, total) = (
        target.limits.max_tone.unwrap(),
        target.limits.max_total.unwrap(),
    );
    let raw = array.answered("crs0001").unwrap();
    let described = raw.description().module(target.module).unwrap();
    let amplitude = described.power_scale().unwrap().amplitude_of(most) * 0.999;
    let tone = |index: usize| {
        let channel = twotone_hal::ChannelId::from_index(index).unwrap();
        twotone_hal::ToneUpdate::tone(channel, twotone_hal::Hertz(1e6), amplitude)
    };
    let set = |handle: &BoardHandle, first: usize, count: usize| {
        let tones: Vec<_> = (first..first + count).map(tone).collect();
        tworoutine::wait(handle.tones().set(target.module, tones))
    };
    let lowest = target.limits.f_min.unwrap();
    tworoutine::wait(raw.handle().nco().set(target.module, lowest)).unwrap();
    let is_full = 10f64.powf((total - most).0 / 10.0).ceil() as usize;
    set(&handle(&array), 0, 1).unwrap();
    set(raw.handle(), 1, is_full - 1).unwrap();
    let error = set(&handle(&array), is_full, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    tworoutine::wait(raw.handle().tones().clear(target.module)).unwrap();
    // After the lock, the array returns another handle than before.
    array.lock(&map, false).wait();
    assert!(!is_one(&one, &handle(&array)));
}

#[test]
fn targets_say_if_their_board_was_taken_over() {
    let farm = Farm::builder().boards(2).detectors(2).start_blocking();
    let farm = farm.unwrap();
    let map = HardwareMap::try_from(&farm).unwrap();
    let [mut first, mut second] = [(), ()].map(|()| Array::connect(&map).wait());
    let taken = |array: &Array| {
        let targets = array.targets();
        let taken: Vec<_> = targets.iter().map(Target::was_taken_over).collect();
        (taken, array.taken_over("crs0001").is_some())
    };
    first.lock(&map, false).wait();
    assert_eq!(taken(&first), (vec![false; 2], false));
    second.lock(&map, true).wait();
    assert_eq!(taken(&second), (vec![true; 2], true));
    // Later settings of the target do not clear the mark that its board was taken over.
    let target = second.targets().remove(0).limits(Default::default());
    assert!(target.request_life(None).was_taken_over());
    let board = first.targets().remove(0).board;
    let error = board.tones().clear(ModuleId::FIRST).wait().unwrap_err();
    assert!(error.to_string().contains("has taken this board over"));
}
