//! Questions to a CRS board about itself. A board has two analog banks, groups of four modules
//! each, of which one is in use. The high bank has the modules 5 to 8.
//!
//! Each question can fail without the others. Questions that fail are asked once more, together,
//! unless a question got no answer in time. If one fails again, the description has a doubt: a
//! message with the reason, and with the assumption that takes the place of the answer. There is no
//! doubt for the serial number, and for the names of units and targets, whose usual values are
//! assumed.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use twotone_hal::{Epoch, Error, ErrorKind, Result, Safety};
use twotone_wire::crs::MODULES_IN_BANK;
use twotone_wire::tuber::{BatchWriter, Format, Value};

use super::describe::{MODULES, Module, OBJECT, Survey};
use super::identity;
use super::question::{self, BoardAnswer, Question, label, number, odd};
use super::{apart, channels};
use crate::formats::Calls;
use crate::http::Answer;
use crate::link::{Link, Unwatched};
use crate::stream::Known;
use crate::{ConnectOptions, Connector, deadline};

/// Largest number of times that the first questions are asked, if the answer cannot be used or the
/// board refuses all of them.
const ASKED: u32 = 3;

/// Pause before the first repetition. Later pauses are multiples of it.
const PAUSE: Duration = Duration::from_millis(50);

/// Sender of questions to one board.
#[derive(Debug, Clone)]
pub(super) struct Asker<'a> {
    connector: &'a Connector,
    options: &'a ConnectOptions,
    runtime: &'a Handle,
    /// The connection for questions. It is replaced after a question got no answer.
    pub(super) link: Link,
    /// Format of the answers so far. Requests are in the same format if the server reads it.
    answer_format: Format,
    /// True if the server does not read CBOR. All askers of a survey share this finding.
    reads_no_cbor: Known,
    pub(super) deadline: Instant,
    /// True if a question got no answer in time, so that each was asked on a separate connection.
    pub(super) asks_separately: bool,
}

/// Asks a server for all properties of a CRS board. `epoch` is the present period in which the
/// board keeps its settings. The questions use a separate connection. If every question is
/// answered, they take two round trips, and a third one for the serial number if the board lists a
/// method or property for it.
pub(super) async fn survey(
    connector: &Connector,
    options: &ConnectOptions,
    runtime: &Handle,
    epoch: Epoch,
) -> Result<Survey> {
    let deadline = deadline::within(options.request_timeout);
    let own = link(connector, options, runtime);
    let mut asker = Asker::on(own, connector, options, runtime, Format::Json, deadline);
    let questions = questions();
    let mut answers = asker.ask_first(&questions).await?;
    if let Some(Err(why)) = answers
        .first()
        .filter(|_| answers.iter().all(Result::is_err))
    {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!("the server has no object {OBJECT} ({why}): it is no CRS board"),
        ));
    }
    let repeats = asker.ask_again(&questions, &mut answers).await;
    let mut doubts = Doubts::default();
    let who = doubts.answer_or_doubt(answers[0].as_ref().map_err(Clone::clone), |why| {
        format!("methods: the board does not list them ({why}); its serial may stay unknown")
    });
    let who = who.map(identity::questions);
    let mut answers = answers.into_iter().skip(1);
    let mut next = || {
        answers
            .next()
            .unwrap_or_else(|| Err("no answer".to_owned()))
    };
    let (units, target) = (names(next()), names(next()));
    let sensors = listed(next(), "temperature sensors", &mut doubts);
    let rails = listed(next(), "supply rails", &mut doubts);
    let stage = doubts.answer_or_doubt(stage(next()), |why| {
        format!(
            "sample rate: the board does not say its decimation stage ({why}); samples settle as \
             long as at any rate"
        )
    });
    let high_bank = bank(next());
    let firmware = doubts.answer_or_doubt(firmware(next()), |why| {
        format!("firmware: the board does not say its release ({why})")
    });
    let mut of_modules = Vec::new();
    for _ in 1..=MODULES {
        of_modules.push(scale(next()));
    }
    let (high_bank, bank_is_known) = match high_bank {
        Ok(high) => (high, true),
        Err(why) => {
            let high = asker.high_bank_answers().await;
            let assumed = if high { "5-8" } else { "1-4" };
            doubts.0.push(format!(
                "modules: the board does not say which analog bank is in use ({why}); {assumed} \
                 are assumed"
            ));
            (high, false)
        }
    };
    let first = if high_bank { MODULES_IN_BANK + 1 } else { 1 };
    let bank: Vec<u8> = (first..first + MODULES_IN_BANK).collect();
    let found = of_modules.into_iter().skip(usize::from(first) - 1);
    let modules = in_use(bank.iter().copied().zip(found), &mut doubts);
    let counted = channels::count(&asker, &bank).await;
    let serial = identity::serial(&asker, &who.unwrap_or_default()).await;
    let channels = doubts.answer_or_doubt(counted, |why| {
        let most = channels::MOST;
        format!("channels: the board does not say how many there are ({why}); {most} are assumed")
    });
    Ok(Survey::new(
        epoch,
        asker.request_format(),
        stage,
        channels.unwrap_or(channels::MOST),
        options.answer_limit,
        modules,
    )
    .with_names(&units, &target, sensors, rails)
    .with_serial(serial.unwrap_or_default())
    .with_firmware(firmware.unwrap_or_default(), bank_is_known, doubts.0)
    .with_lacks(asker.lacks())
    .with_repeats(repeats))
}

fn questions() -> Vec<Question<'static>> {
    use Question as Q;
    let mut questions = vec![Q::Object];
    let properties = ["UNITS", "TARGET", "TEMPERATURE_SENSOR", "RAIL"];
    questions.extend(properties.map(Q::Property));
    let methods = ["get_decimation", "get_analog_bank", "get_firmware_release"];
    questions.extend(methods.map(Q::Call));
    for module in 1..=MODULES {
        questions.push(Q::OfModule("get_dac_scale", module));
    }
    questions
}

/// A connection for questions alone.
pub(super) fn link(connector: &Connector, options: &ConnectOptions, runtime: &Handle) -> Link {
    let (connector, options) = (connector.clone(), options.clone());
    Link::new(connector, options, Unwatched, runtime.clone())
}

impl<'a> Asker<'a> {
    /// Asker on the connection `link`.
    pub(super) fn on(
        link: Link,
        connector: &'a Connector,
        options: &'a ConnectOptions,
        runtime: &'a Handle,
        format: Format,
        deadline: Instant,
    ) -> Self {
        Self {
            connector,
            options,
            runtime,
            link,
            answer_format: format,
            reads_no_cbor: Known::default(),
            deadline,
            asks_separately: false,
        }
    }

    /// Asker on a new connection, so that its questions do not wait for earlier ones.
    pub(super) fn on_new_connection(&self) -> Self {
        Self {
            link: link(self.connector, self.options, self.runtime),
            ..self.clone()
        }
    }

    /// Waits for `time`, under any executor: the timer belongs to the runtime of the board.
    pub(super) async fn wait(&self, time: Duration) {
        let waiting = {
            let _runtime = self.runtime.enter();
            sleep(time)
        };
        waiting.await;
    }

    /// Asks the first questions, and repeats them if the answer cannot be used or is a refusal.
    async fn ask_first(&mut self, questions: &[Question<'_>]) -> Result<Vec<BoardAnswer>> {
        let (mut asked, mut first) = (1, None);
        loop {
            match self.ask_in_time(questions).await {
                Err(error)
                    if asked < ASKED
                        && matches!(error.kind(), ErrorKind::Rejected | ErrorKind::Protocol)
                        && Instant::now() + PAUSE * asked < self.deadline =>
                {
                    self.wait(PAUSE * asked).await;
                    asked += 1;
                    first.get_or_insert(error);
                }
                // The first error is the more informative one: there was little time left for the
                // last attempt.
                Err(error) => return Err(first.unwrap_or(error).repeated(asked - 1)),
                Ok((format, answers)) => {
                    self.answer_format = format;
                    return Ok(answers);
                }
            }
        }
    }

    /// Asks all questions in one request. If no answer comes soon, it also asks each question on a
    /// separate connection, and returns whichever set of answers comes first.
    pub(super) async fn ask_in_time(
        &mut self,
        questions: &[Question<'_>],
    ) -> Result<(Format, Vec<BoardAnswer>)> {
        let patience = apart::TOGETHER_WITHIN.min(deadline::left(self.deadline) / 2);
        let answers = {
            let together = self.ask(questions);
            tokio::pin!(together);
            tokio::select! {
                biased;
                answer = &mut together => return answer,
                () = self.wait(patience) => {}
            }
            tokio::select! {
                biased;
                answer = &mut together => return answer,
                answers = apart::ask(self, questions) => match answers {
                    Some(answers) => answers,
                    None => return together.await,
                },
            }
        };
        // Later questions on the old connection would wait for the question without an answer.
        self.link = self.on_new_connection().link;
        self.asks_separately = true;
        Ok(answers)
    }

    /// Asks the questions again that failed or whose answer cannot be used. A question that fails
    /// again keeps its first answer. Returns the number of questions that were asked again.
    async fn ask_again(&self, questions: &[Question<'_>], answers: &mut [BoardAnswer]) -> u32 {
        // Modules of the other analog bank may refuse to answer. They are not used, so they are not
        // asked again.
        let asked = |wanted| questions.iter().position(|question| *question == wanted);
        let high = asked(Question::Call("get_analog_bank"))
            .and_then(|index| bank(answers[index].clone()).ok());
        let is_used = |question: &Question<'_>| match (question, high) {
            (Question::OfModule(_, module), Some(high)) => (*module > MODULES_IN_BANK) == high,
            _ => true,
        };
        let open: Vec<usize> = (0..questions.len())
            .filter(|index| is_used(&questions[*index]))
            .filter(|index| !is_answer(&questions[*index], &answers[*index]))
            .collect();
        // A question without an answer would delay the answers to the others again.
        if open.is_empty() || self.asks_separately {
            return 0;
        }
        self.wait(PAUSE).await;
        let again: Vec<Question<'_>> = open.iter().map(|index| questions[*index]).collect();
        let repeats = again.len() as u32;
        if let Ok((_, again)) = self.ask(&again).await {
            for (index, again) in open.into_iter().zip(again) {
                if is_answer(&questions[index], &again) {
                    answers[index] = again;
                }
            }
        }
        repeats
    }

    /// Asks all questions in one round trip.
    pub(super) async fn ask(
        &self,
        questions: &[Question<'_>],
    ) -> Result<(Format, Vec<BoardAnswer>)> {
        let write = |out: &mut BatchWriter| question::write(questions, out);
        let answer = self.exchange(write, self.deadline).await?;
        question::read(questions, &answer)
    }

    /// Sends the calls that `write` adds in one request, on the connection of this asker. The
    /// server goes on after a call that fails. If the server does not read CBOR, the request is
    /// sent again in JSON, and so are all later ones of this survey.
    pub(super) async fn exchange(
        &self,
        write: impl Fn(&mut BatchWriter),
        deadline: Instant,
    ) -> Result<Answer> {
        let calls = Calls {
            write,
            continue_on_error: true,
            safety: Safety::Read,
            format: self.answer_format,
            reads_no_cbor: &self.reads_no_cbor,
        };
        let (_, answer) = calls.exchange(&self.link, deadline).await;
        answer
    }

    /// Abilities that the server lacks, as far as its answers have shown.
    fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.options.cbor && self.answer_format == Format::Json {
            lacks
                .push("CBOR: the server does not answer in it; all answers are in JSON".to_owned());
        }
        if self.reads_no_cbor.get() {
            lacks.push("CBOR: the server does not read it; all requests are in JSON".to_owned());
        }
        lacks
    }

    /// Format of requests that the server can read, as far as it is known.
    fn request_format(&self) -> Format {
        match self.reads_no_cbor.get() {
            true => Format::Json,
            false => self.answer_format,
        }
    }

    /// True if a module of the high analog bank can be read, and one of the low bank cannot.
    async fn high_bank_answers(&self) -> bool {
        let nco = "get_nco_frequency";
        let of_each = [1, MODULES_IN_BANK + 1].map(|module| Question::OfModule(nco, module));
        let answers = self.ask(&of_each).await;
        answers.is_ok_and(|(_, answers)| matches!(answers[..], [Err(_), Ok(_)]))
    }
}

/// Messages about questions that the board did not answer.
#[derive(Default)]
struct Doubts(Vec<String>);

impl Doubts {
    /// Returns the answer if there is one. Otherwise adds a doubt, which `doubt` makes from the
    /// reason.
    fn answer_or_doubt<T>(
        &mut self,
        answer: Result<T, String>,
        doubt: impl FnOnce(&str) -> String,
    ) -> Option<T> {
        answer.map_err(|why| self.0.push(doubt(&why))).ok()
    }
}

/// The modules of the bank in use. Adds doubts about the properties that a module did not report.
fn in_use(
    found: impl Iterator<Item = (u8, Result<f64, String>)>,
    doubts: &mut Doubts,
) -> Vec<(u8, Module)> {
    let mut open: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut modules = Vec::new();
    for (number, dac_scale) in found {
        let dac_scale = dac_scale.map_err(|why| {
            let same = open.entry(why).or_default();
            same.push(number.to_string());
        });
        let dac_scale = dac_scale.ok();
        modules.push((number, Module { dac_scale }));
    }
    for (why, of) in open {
        let (plural, of) = (if of.len() > 1 { "s" } else { "" }, of.join(", "));
        doubts.0.push(format!(
            "module{plural} {of}: the board does not say the scale of the DAC ({why}); no power in \
             dBm can be set or held there"
        ));
    }
    modules
}

/// True if the answer to the question can be used.
fn is_answer(question: &Question<'_>, answer: &BoardAnswer) -> bool {
    let Ok(value) = answer else { return false };
    match question {
        Question::Property(_) => value.as_map().is_some(),
        Question::Call("get_decimation") => stage(answer.clone()).is_ok(),
        Question::Call("get_analog_bank") => bank(answer.clone()).is_ok(),
        Question::Call("get_firmware_release") => firmware(answer.clone()).is_ok(),
        Question::OfModule("get_dac_scale", _) => scale(answer.clone()).is_ok(),
        _ => true,
    }
}

/// The answer as a whole number from `low` to `high`.
fn whole(answer: BoardAnswer, low: f64, high: f64) -> Result<f64, String> {
    let value = number(answer)?;
    if value.fract() == 0.0 && (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(format!("it says {value}"))
}

fn stage(answer: BoardAnswer) -> Result<u8, String> {
    whole(answer, 0.0, 6.0).map(|stage| stage as u8)
}

/// Power of a tone of full scale in dBm. The range covers any converter and amplifier.
fn scale(answer: BoardAnswer) -> Result<f64, String> {
    let value = number(answer)?;
    if (-200.0..=200.0).contains(&value) {
        return Ok(value);
    }
    Err(format!("it says {value:e}"))
}

fn bank(answer: BoardAnswer) -> Result<bool, String> {
    let answer = answer?;
    answer.as_bool().ok_or_else(|| odd(&answer))
}

/// Firmware release: the answer is a text or a number, or a map with a version in it.
fn firmware(answer: BoardAnswer) -> Result<String, String> {
    let answer = answer?;
    let version = answer.get("version").or_else(|| answer.get("tag"));
    let version = version.unwrap_or(&answer);
    let text = version.as_str().map(label);
    // Values that programs return if they have no release.
    let none = [
        "",
        "-",
        "n/a",
        "nan",
        "none",
        "null",
        "undefined",
        "unknown",
    ];
    let is_one = |text: &String| !none.contains(&text.to_lowercase().as_str());
    let text = text.filter(is_one);
    let number = || {
        let number = version.as_f64().filter(|number| number.is_finite());
        number.map(|number| number.to_string())
    };
    text.or_else(number).ok_or_else(|| odd(&answer))
}

/// Names and values of an enumeration.
pub(super) fn names(answer: BoardAnswer) -> Vec<(String, String)> {
    let answer = answer.unwrap_or(Value::Null);
    let entries = answer.as_map().unwrap_or_default().iter();
    let texts = entries.filter_map(|(name, value)| Some((name, value.as_str()?)));
    texts
        .map(|(name, value)| (name.clone(), value.to_owned()))
        .collect()
}

/// Values of an enumeration of sensors or rails. Adds a doubt if the board does not list them.
fn listed(answer: BoardAnswer, what: &str, doubts: &mut Doubts) -> Vec<String> {
    let answer = answer.and_then(|answer| match answer.as_map() {
        Some(_) => Ok(answer),
        None => Err(odd(&answer)),
    });
    let entries = doubts.answer_or_doubt(answer, |why| {
        format!("{what}: the board does not list them ({why}); none is read")
    });
    let names = entries
        .map(|entries| names(Ok(entries)))
        .unwrap_or_default();
    names.into_iter().map(|(_, value)| value).collect()
}
