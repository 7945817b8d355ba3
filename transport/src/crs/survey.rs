//! Questions to a CRS board about what it is and has.
//!
//! Each question is asked by itself: one that fails is asked once more, with the others that
//! failed, and is then left open. Each open question leads to a doubt in words, and to an
//! assumption in the place of the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use twotone_hal::{Epoch, Error, ErrorKind, Result, Safety};
use twotone_wire::crs::MODULES_IN_BANK;
use twotone_wire::tuber::{Format, Value};

use super::describe::{MODULES, Module, OBJECT, Survey};
use super::identity;
use super::question::{self, Question, Said, label, number, odd};
use super::{apart, channels};
use crate::deadline;
use crate::http::{Answer, Post};
use crate::link::{Link, Unwatched};
use crate::{ConnectOptions, Connector};

/// Largest number of times that the board is asked if it answers nonsense, or refuses everything.
const ASKED: u32 = 3;

/// Pause before a question is asked again; longer each time.
const PAUSE: Duration = Duration::from_millis(50);

/// Sender of the questions.
#[derive(Debug, Clone)]
pub(super) struct Asker<'a> {
    connector: &'a Connector,
    options: &'a ConnectOptions,
    runtime: &'a Handle,
    /// The connection that is asked on: another one after a question has hung.
    pub(super) link: Link,
    pub(super) format: Format,
    pub(super) deadline: Instant,
    /// True if a question hangs, so that each was asked apart.
    pub(super) asks_apart: bool,
}

/// Asks a server if it is a CRS board, and for its description in `epoch`. This takes two round
/// trips if every question is answered, on a connection of their own.
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
    let mut said = asker.ask_first(&questions).await?;
    if let Some(Err(why)) = said.first().filter(|_| said.iter().all(Result::is_err)) {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!("the server has no object {OBJECT} ({why}): it is no CRS board"),
        ));
    }
    let repeats = asker.ask_again(&questions, &mut said).await;
    let mut doubts = Doubts::default();
    let who = doubts.open(said[0].as_ref().map_err(Clone::clone), |why| {
        format!("methods: the board does not list them ({why}); its serial may stay unknown")
    });
    let who = who.map(identity::questions);
    let mut said = said.into_iter().skip(1);
    let mut next = || said.next().unwrap_or_else(|| Err("no answer".to_owned()));
    let (units, target) = (names(next()), names(next()));
    let sensors = listed(next(), "temperature sensors", &mut doubts);
    let rails = listed(next(), "supply rails", &mut doubts);
    let stage = doubts.open(stage(next()), |why| {
        format!(
            "sample rate: the board does not say its decimation stage ({why}); samples settle as \
             long as at any rate"
        )
    });
    let high_bank = bank(next());
    let firmware = doubts.open(firmware(next()), |why| {
        format!("firmware: the board does not say its release ({why})")
    });
    let mut of_modules = Vec::new();
    for _ in 1..=MODULES {
        of_modules.push((scale(next()), zone(next())));
    }
    let (high_bank, bank_is_known) = match high_bank {
        Ok(high) => (high, true),
        Err(why) => {
            let high = asker.bank_that_answers().await;
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
    let channels = doubts.open(counted, |why| {
        let most = channels::MOST;
        format!("channels: the board does not say how many there are ({why}); {most} are assumed")
    });
    Ok(Survey::new(
        epoch,
        asker.format,
        stage,
        channels.unwrap_or(channels::MOST),
        options.answer_limit,
        modules,
    )
    .named(&units, &target, sensors, rails)
    .numbered(serial.unwrap_or_default())
    .with(firmware.unwrap_or_default(), bank_is_known, doubts.0)
    .repeated(repeats))
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
        questions.push(Q::OfModule("get_nyquist_zone", module));
    }
    questions
}

/// A connection for questions alone.
pub(super) fn link(connector: &Connector, options: &ConnectOptions, runtime: &Handle) -> Link {
    let (connector, options) = (connector.clone(), options.clone());
    Link::new(connector, options, Unwatched, runtime.clone())
}

impl<'a> Asker<'a> {
    /// An asker on this connection.
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
            format,
            deadline,
            asks_apart: false,
        }
    }

    /// The same on a connection of its own, so that it waits for nothing that was asked before.
    pub(super) fn apart(&self) -> Self {
        Self {
            link: link(self.connector, self.options, self.runtime),
            ..self.clone()
        }
    }

    /// Waits; under any executor.
    pub(super) async fn wait(&self, time: Duration) {
        let waiting = {
            let _runtime = self.runtime.enter();
            sleep(time)
        };
        waiting.await;
    }

    /// Asks the first questions, and asks them again if the answer is nonsense or a refusal.
    async fn ask_first(&mut self, questions: &[Question<'_>]) -> Result<Vec<Said>> {
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
                // The first error says more than the last one, for which there was little time.
                Err(error) => return Err(first.unwrap_or(error).repeated(asked - 1)),
                Ok((format, said)) => {
                    self.format = format;
                    return Ok(said);
                }
            }
        }
    }

    /// Asks all questions in one request, and each apart too if that takes long.
    pub(super) async fn ask_in_time(
        &mut self,
        questions: &[Question<'_>],
    ) -> Result<(Format, Vec<Said>)> {
        let patience = apart::TOGETHER_WITHIN.min(deadline::left(self.deadline) / 2);
        let said = {
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
                said = apart::ask(self, questions) => match said {
                    Some(said) => said,
                    None => return together.await,
                },
            }
        };
        // Questions on the connection at hand would wait behind the one that hangs.
        self.link = self.apart().link;
        self.asks_apart = true;
        Ok(said)
    }

    /// Asks the failed questions again, and those whose answer cannot be used. A question that
    /// fails again keeps its first answer. Returns the number of questions that were asked again.
    async fn ask_again(&self, questions: &[Question<'_>], said: &mut [Said]) -> u32 {
        // Modules of the other analog bank may refuse to answer: they are not used.
        let asked = |wanted| questions.iter().position(|question| *question == wanted);
        let high = asked(Question::Call("get_analog_bank"))
            .and_then(|index| bank(said[index].clone()).ok());
        let is_used = |question: &Question<'_>| match (question, high) {
            (Question::OfModule(_, module), Some(high)) => (*module > MODULES_IN_BANK) == high,
            _ => true,
        };
        let open: Vec<usize> = (0..questions.len())
            .filter(|index| is_used(&questions[*index]))
            .filter(|index| !is_answer(&questions[*index], &said[*index]))
            .collect();
        // A question that hangs would hold up the answers to the others once more.
        if open.is_empty() || self.asks_apart {
            return 0;
        }
        self.wait(PAUSE).await;
        let again: Vec<Question<'_>> = open.iter().map(|index| questions[*index]).collect();
        let repeats = again.len() as u32;
        if let Ok((_, again)) = self.ask(&again).await {
            for (index, again) in open.into_iter().zip(again) {
                if is_answer(&questions[index], &again) {
                    said[index] = again;
                }
            }
        }
        repeats
    }

    /// Asks all questions in one round trip.
    pub(super) async fn ask(&self, questions: &[Question<'_>]) -> Result<(Format, Vec<Said>)> {
        question::ask(&self.link, self.format, self.deadline, questions).await
    }

    /// One exchange, on the connection of this asker.
    pub(super) async fn exchange(&self, post: Post, deadline: Instant) -> Result<Answer> {
        self.link.exchange(post, Safety::Read, deadline).await
    }

    /// True if modules of the high analog bank can be read from, and none of the low one.
    async fn bank_that_answers(&self) -> bool {
        let nco = "get_nco_frequency";
        let of_each = [1, MODULES_IN_BANK + 1].map(|module| Question::OfModule(nco, module));
        let said = self.ask(&of_each).await;
        said.is_ok_and(|(_, said)| matches!(said[..], [Err(_), Ok(_)]))
    }
}

/// Questions that the board left open, in words.
#[derive(Default)]
struct Doubts(Vec<String>);

impl Doubts {
    /// The answer, if there is one; otherwise a doubt is added.
    fn open<T>(&mut self, said: Result<T, String>, told: impl FnOnce(&str) -> String) -> Option<T> {
        said.map_err(|why| self.0.push(told(&why))).ok()
    }
}

/// The modules of the bank, with doubts about what each does not say of itself.
fn in_use(
    found: impl Iterator<Item = (u8, (Result<f64, String>, Result<f64, String>))>,
    doubts: &mut Doubts,
) -> Vec<(u8, Module)> {
    let mut open: BTreeMap<(&str, &str, String), Vec<String>> = BTreeMap::new();
    let mut modules = Vec::new();
    for (number, (dac_scale, zone)) in found {
        let mut known = |said: Result<f64, String>, what, then| {
            let known = said.map_err(|why| {
                let same = open.entry((what, then, why)).or_default();
                same.push(number.to_string());
            });
            known.ok()
        };
        let power = "no power in dBm can be set or held there";
        let any = "any NCO in the first three zones is sent to it";
        let module = Module {
            dac_scale: known(dac_scale, "the scale of the DAC", power),
            zone: known(zone, "the Nyquist zone", any),
        };
        modules.push((number, module));
    }
    for ((what, then, why), of) in open {
        let (plural, of) = (if of.len() > 1 { "s" } else { "" }, of.join(", "));
        doubts.0.push(format!(
            "module{plural} {of}: the board does not say {what} ({why}); {then}"
        ));
    }
    modules
}

/// True if it is an answer to the question that can be used.
fn is_answer(question: &Question<'_>, said: &Said) -> bool {
    let Ok(value) = said else { return false };
    match question {
        Question::Property(_) => value.as_map().is_some(),
        Question::Call("get_decimation") => stage(said.clone()).is_ok(),
        Question::Call("get_analog_bank") => bank(said.clone()).is_ok(),
        Question::Call("get_firmware_release") => firmware(said.clone()).is_ok(),
        Question::OfModule("get_dac_scale", _) => scale(said.clone()).is_ok(),
        Question::OfModule("get_nyquist_zone", _) => zone(said.clone()).is_ok(),
        _ => true,
    }
}

/// A whole number of a range.
fn whole(said: Said, low: f64, high: f64) -> Result<f64, String> {
    let value = number(said)?;
    if value.fract() == 0.0 && (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(format!("it says {value}"))
}

fn stage(said: Said) -> Result<u8, String> {
    whole(said, 0.0, 6.0).map(|stage| stage as u8)
}

/// Power of a tone of full scale in dBm, of any converter and amplifier.
fn scale(said: Said) -> Result<f64, String> {
    let value = number(said)?;
    if (-200.0..=200.0).contains(&value) {
        return Ok(value);
    }
    Err(format!("it says {value:e}"))
}

fn zone(said: Said) -> Result<f64, String> {
    whole(said, 1.0, 3.0)
}

fn bank(said: Said) -> Result<bool, String> {
    let said = said?;
    said.as_bool().ok_or_else(|| odd(&said))
}

/// A release is a text, or a map with a version in it.
fn firmware(said: Said) -> Result<String, String> {
    let said = said?;
    let version = said.get("version").or_else(|| said.get("tag"));
    let version = version.unwrap_or(&said);
    let text = version.as_str().map(label);
    // Words of programs that have none.
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
    text.or_else(number).ok_or_else(|| odd(&said))
}

/// The names and values of an enumeration.
fn names(said: Said) -> Vec<(String, String)> {
    let said = said.unwrap_or(Value::Null);
    let entries = said.as_map().unwrap_or_default().iter();
    let texts = entries.filter_map(|(name, value)| Some((name, value.as_str()?)));
    texts
        .map(|(name, value)| (name.clone(), value.to_owned()))
        .collect()
}

/// The values of an enumeration of sensors or rails.
fn listed(said: Said, what: &str, doubts: &mut Doubts) -> Vec<String> {
    let said = said.and_then(|said| match said.as_map() {
        Some(_) => Ok(said),
        None => Err(odd(&said)),
    });
    let said = doubts.open(said, |why| {
        format!("{what}: the board does not list them ({why}); none is read")
    });
    let names = said.map(|said| names(Ok(said))).unwrap_or_default();
    names.into_iter().map(|(_, value)| value).collect()
}
