//! Readings of sensors and supply rails. Each reading is a separate question, so that a question
//! that fails does not hide the other readings.

use tokio::time::Instant;
use twotone_hal::{Reading, ReadingUnit, Result};
use twotone_wire::tuber::Value;

use super::describe::Survey;
use super::question::{BoardAnswer, Question, number};
use super::survey::Asker;

/// Reads every sensor and rail, and returns the readings with the number of repetitions. If all
/// questions are answered, this takes one round trip. A question that fails is asked once more, in
/// a round trip of its own, since some servers stop at the first error. If a question gets no
/// answer in time, every question is asked again, each on a separate connection. Afterwards no
/// unanswered question is left on the connection of `asker`.
///
/// # Errors
/// If no answer came, or if it cannot be read.
pub(super) async fn read(survey: &Survey, asker: &mut Asker<'_>) -> Result<(Vec<Reading>, u32)> {
    let questions: Vec<_> = questions(survey).collect();
    let calls: Vec<_> = questions.iter().map(|(question, ..)| *question).collect();
    let (_, mut answers) = asker.ask_in_time(&calls).await?;
    let mut repeats = if asker.asks_separately {
        calls.len() as u32
    } else {
        0
    };
    for (answer, question) in answers.iter_mut().zip(&calls) {
        let is_answer = matches!(answer, Ok(Value::Null)) || number(answer.clone()).is_ok();
        if is_answer || asker.asks_separately || Instant::now() >= asker.deadline {
            continue;
        }
        repeats += 1;
        let again = asker.ask(&[*question]).await;
        if let Some(again) = again.ok().and_then(|(_, again)| again.into_iter().next()) {
            *answer = again;
        }
    }
    let readings = questions.into_iter().zip(answers);
    let readings = readings.map(|((_, name, unit), answer)| reading(name, unit, answer));
    Ok((readings.collect(), repeats))
}

fn questions(survey: &Survey) -> impl Iterator<Item = (Question<'_>, &str, ReadingUnit)> {
    let sensors = survey.sensors.iter().map(|name| {
        let question = Question::Of("get_motherboard_temperature", name);
        (question, name.as_str(), ReadingUnit::Celsius)
    });
    let rails = survey.rails.iter().flat_map(|name| {
        let volts = Question::Of("get_motherboard_voltage", name);
        let amperes = Question::Of("get_motherboard_current", name);
        [
            (volts, name.as_str(), ReadingUnit::Volts),
            (amperes, name.as_str(), ReadingUnit::Amperes),
        ]
    });
    sensors.chain(rails)
}

fn reading(name: &str, unit: ReadingUnit, answer: BoardAnswer) -> Reading {
    let value = match answer {
        Ok(Value::Null) => Err("it reads as nothing: is it fitted?".to_owned()),
        Ok(value) => number(Ok(value)).and_then(|value| plausible(value, unit)),
        Err(why) => Err(why),
    };
    let (value, problem) = match value {
        Ok(value) => (Some(value), None),
        Err(why) => (None, Some(why)),
    };
    Reading {
        name: name.to_owned(),
        value,
        unit,
        problem,
    }
}

/// Returns the value if a sensor of this unit can measure it.
fn plausible(value: f64, unit: ReadingUnit) -> Result<f64, String> {
    let range = match unit {
        ReadingUnit::Celsius => -273.15..=1000.0,
        _ => -1000.0..=1000.0,
    };
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("it says {value:e}, which no sensor measures"))
}
