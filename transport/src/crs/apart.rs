//! Questions to a board, each on a connection of its own.
//!
//! A board answers a request as a whole, so one question that hangs holds up the answers to all
//! others. No caller needs all of them: tones can be switched off without a firmware release.

use std::time::Duration;

use futures::future::join_all;
use twotone_wire::tuber::Format;

use super::question::{Question, Said};
use super::survey::Asker;
use crate::deadline;

/// Time for the answer to all questions in one request, after which each is asked apart as well.
pub(super) const TOGETHER_WITHIN: Duration = Duration::from_millis(2500);

/// Time for the answers to questions that are asked apart.
const EACH_WITHIN: Duration = Duration::from_secs(3);

/// Asks every question at the same time. `None` if none is answered.
pub(super) async fn ask(
    asker: &Asker<'_>,
    questions: &[Question<'_>],
) -> Option<(Format, Vec<Said>)> {
    let by = asker.deadline.min(deadline::within(EACH_WITHIN));
    let asked = questions.iter().map(|question| {
        let mut apart = asker.apart();
        apart.deadline = by;
        async move { apart.ask(std::slice::from_ref(question)).await }
    });
    let mut format = None;
    let mut said = Vec::with_capacity(questions.len());
    for answer in join_all(asked).await {
        said.push(match answer {
            Ok((of_answer, one)) => {
                format.get_or_insert(of_answer);
                let one = one.into_iter().next();
                one.unwrap_or_else(|| Err("no answer".to_owned()))
            }
            Err(error) => Err(error.message().to_owned()),
        });
    }
    Some((format?, said))
}
