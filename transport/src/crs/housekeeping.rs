//! Sensors and rails, each asked by itself, so that one that cannot be read does not hide the
//! others.

use tokio::time::Instant;
use twotone_hal::{Reading, ReadingUnit, Result};
use twotone_wire::tuber::Value;

use super::describe::Survey;
use super::question::{Question, Said, number};
use super::survey::Asker;

/// Reads every sensor and rail, in one round trip if all are read. A question that fails is asked
/// once more, in a round trip of its own: not every server goes on after an error. If one hangs,
/// each is asked on a connection of its own. The number of repetitions is returned too. Afterwards
/// the connection of `asker` is one on which nothing hangs.
///
/// # Errors
/// If no answer came, or none that can be read.
pub(super) async fn read(survey: &Survey, asker: &mut Asker<'_>) -> Result<(Vec<Reading>, u32)> {
    let questions: Vec<_> = questions(survey).collect();
    let calls: Vec<_> = questions.iter().map(|(question, ..)| *question).collect();
    let (_, mut said) = asker.ask_in_time(&calls).await?;
    let mut repeats = if asker.asks_apart {
        calls.len() as u32
    } else {
        0
    };
    for (said, question) in said.iter_mut().zip(&calls) {
        let is_answer = matches!(said, Ok(Value::Null)) || number(said.clone()).is_ok();
        if is_answer || asker.asks_apart || Instant::now() >= asker.deadline {
            continue;
        }
        repeats += 1;
        let again = asker.ask(&[*question]).await;
        if let Some(again) = again.ok().and_then(|(_, again)| again.into_iter().next()) {
            *said = again;
        }
    }
    let readings = questions.into_iter().zip(said);
    let readings = readings.map(|((_, name, unit), said)| reading(name, unit, said));
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

fn reading(name: &str, unit: ReadingUnit, said: Said) -> Reading {
    let value = match said {
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

/// The value, if a sensor of this unit can measure it.
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
