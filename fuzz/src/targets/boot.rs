//! Targets (functions that read any bytes) that read boot images, and the messages between a host
//! and a board in its boot window. The boot window is the time after a start in which new firmware
//! can be sent.

use twotone_wire::crs::boot::{
    Beacon, Command, Redirect, Transcript, XmodemReceiver, check_image, is_for_simulated_boards,
    release_in,
};

use super::check::twice;

/// Reads a datagram as a beacon, as an answer to a beacon, as the output of a console, and as
/// blocks of a file. Asserts that a beacon has the same serial number, and an answer the same
/// content, after it is written and read again.
pub(super) fn text(bytes: &[u8]) -> String {
    let beacon = twice(|| Beacon::parse(bytes));
    if let Ok(beacon) = &beacon
        && !beacon.serial.contains(['"', '\n'])
    {
        let again = Beacon::parse(&beacon.emit()).expect("a written beacon is one");
        assert_eq!(again.serial, beacon.serial);
    }
    let redirect = twice(|| Redirect::parse(bytes));
    if let Ok(redirect) = &redirect {
        assert_eq!(Redirect::parse(&redirect.emit()), Ok(*redirect));
    }
    let size = bytes.len();
    let answer = twice(|| {
        let mut transcript = Transcript::default();
        transcript.receive(bytes);
        transcript.answer(Command::Digest { offset: 0, size })
    });
    let digest = answer.map(|answer| Command::Digest { offset: 0, size }.check(&answer));
    if let Some(Ok(digest)) = &digest {
        assert_eq!(digest.len(), 32, "{digest:?}");
    }
    let mut receiver = XmodemReceiver::default();
    let answers = receiver.receive(bytes);
    let file = receiver.finish().map(|file| file.len() / 1024);
    format!(
        "{:?} {:?} {:?} {} {file:?}",
        beacon.is_ok(),
        redirect.is_ok(),
        digest.map(|digest| digest.is_ok()),
        answers.len()
    )
}

/// Checks an image. Asserts that a complete image remains complete if bytes are appended to it.
pub(super) fn image(bytes: &[u8]) -> String {
    let checked = twice(|| check_image(bytes));
    let release = release_in(bytes);
    assert!(release.is_none() || is_for_simulated_boards(bytes));
    if checked.is_ok() {
        let longer = [bytes, &[0; 9]].concat();
        assert_eq!(check_image(&longer), Ok(()));
    }
    match checked {
        Ok(()) => format!("image {:?}", release.is_some()),
        Err(error) => format!("{error:?}")
            .split([' ', '{', '('])
            .next()
            .unwrap_or("")
            .to_owned(),
    }
}
