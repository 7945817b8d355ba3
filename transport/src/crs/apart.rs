//! Questions to a board, each on a separate connection.
//!
//! A board answers a request as a whole, so one question without an answer delays the answers to
//! all others in that request. Callers can go on without some of the answers: to switch tones off,
//! for example, the firmware release is not needed.

use std::time::Duration;

use futures::future::join_all;
use twotone_wire::tuber::Format;

use super::question::{BoardAnswer, Question};
use super::survey::Asker;
use crate::deadline;

/// Time for the answer to all questions in one request. After this time, each question is asked on
/// a separate connection as well.
pub(super) const TOGETHER_WITHIN: Duration = Duration::from_millis(2500);

/// Time for the answers to questions that are asked on separate connections.
const EACH_WITHIN: Duration = Duration::from_secs(3);

/// Asks every question at the same time. Returns `None` if none is answered.
pub(super) async fn ask(
    asker: &Asker<'_>,
    questions: &[Question<'_>],
) -> Option<(Format, Vec<BoardAnswer>)> {
    let by = asker.deadline.min(deadline::within(EACH_WITHIN));
    let asked = questions.iter().map(|question| {
        let mut separate = asker.on_new_connection();
        separate.deadline = by;
        async move { separate.ask(std::slice::from_ref(question)).await }
    });
    let mut format = None;
    let mut answers = Vec::with_capacity(questions.len());
    for answer in join_all(asked).await {
        answers.push(match answer {
            Ok((of_answer, one)) => {
                format.get_or_insert(of_answer);
                let one = one.into_iter().next();
                one.unwrap_or_else(|| Err("no answer".to_owned()))
            }
            Err(error) => Err(error.message().to_owned()),
        });
    }
    Some((format?, answers))
}
