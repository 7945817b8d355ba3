//! Progress bars on standard error: one for each module, or one for all modules if there are many.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use twotone::algorithms::{Stage, Step};
use twotone::campaign::Observer;
use twotone::hal::ModuleId;

use super::output::complain;
use super::screen::Screen;

/// Progress bars of a tune or a sweep. They are drawn if standard error is a terminal.
pub(crate) struct Bars {
    is_quiet: bool,
    drawn: OnceLock<Drawn>,
}

/// The bars of the modules, by board.
struct Drawn {
    all: MultiProgress,
    modules: BTreeMap<String, BTreeMap<ModuleId, Bar>>,
}

/// Progress of one module, and the bar that shows it. Modules may share a bar.
struct Bar {
    bar: ProgressBar,
    /// Steps that this module has added to the bar until now.
    counted: Mutex<u64>,
}

/// Largest number of modules that have a bar each. If there are more modules, all share one bar.
const MOST_BARS: usize = 24;
/// Number of steps of a bar for each module.
const LENGTH: u64 = 1000;

impl Bars {
    /// Creates bars that are not drawn yet. If `is_quiet` is true, they are never drawn.
    pub(crate) fn new(is_quiet: bool) -> Self {
        Self {
            is_quiet,
            drawn: OnceLock::new(),
        }
    }
}

impl Observer for Bars {
    fn begin(&self, modules: &[(String, ModuleId)]) {
        let target = match self.is_quiet {
            true => ProgressDrawTarget::hidden(),
            false => Screen::target(),
        };
        self.drawn.get_or_init(|| Drawn::new(target, modules));
    }

    fn step(&self, board: &str, step: &Step) {
        let modules = self.drawn.get().and_then(|drawn| drawn.modules.get(board));
        if let Some(bar) = modules.and_then(|modules| modules.get(&step.module)) {
            bar.step(board, step);
        }
    }

    fn end(&self) {
        if let Some(drawn) = self.drawn.get() {
            drop(drawn.all.clear());
            Screen::clear();
        }
    }

    fn notice(&self, text: &str) {
        complain(text);
    }
}

impl Drawn {
    fn new(target: ProgressDrawTarget, targets: &[(String, ModuleId)]) -> Self {
        let all = MultiProgress::with_draw_target(target);
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ")
        };
        let shared = (targets.len() > MOST_BARS).then(|| {
            let bar = undrawn(LENGTH * targets.len() as u64);
            bar.set_style(style("{bar:50} {percent:>3} % of {msg}, {elapsed}"));
            bar.set_message(format!("{} modules", targets.len()));
            all.add(bar)
        });
        let mut modules: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (board, module) in targets {
            let bar = shared.clone().unwrap_or_else(|| {
                let bar = undrawn(LENGTH);
                bar.set_style(style("{prefix:16} {bar:30} {percent:>3} %  {msg}"));
                bar.set_prefix(format!("{board} m{module}"));
                all.add(bar)
            });
            let bar = Bar {
                bar,
                counted: Mutex::new(0),
            };
            modules
                .entry(board.clone())
                .or_default()
                .insert(*module, bar);
        }
        Self { all, modules }
    }
}

/// Creates a bar without a target, so that it is drawn only after it was added to a
/// [`MultiProgress`]. A bar with the default target would write to standard error itself, and block
/// if nobody reads.
fn undrawn(length: u64) -> ProgressBar {
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
}

/// Returns the begin and the end of a stage of a tune, in thousandths of the whole tune, and the
/// name of the stage.
fn extent(stage: Stage) -> (u64, u64, &'static str) {
    match stage {
        Stage::CableDelay => (0, 30, "cable delay"),
        Stage::NetworkAnalysis => (30, 400, "network analysis"),
        Stage::Finding => (400, 550, "search"),
        Stage::FineSweep => (550, 850, "fine sweep"),
        Stage::Fitting => (850, 950, "fits"),
        Stage::Placing => (950, 970, "placement"),
        _ => (970, 1000, "calibration"),
    }
}

impl Bar {
    fn step(&self, board: &str, step: &Step) {
        let (from, to, name) = extent(step.stage);
        if step.done == 0 {
            tracing::info!(board, module = step.module.number(), "{name}");
        }
        let share = step.done.min(step.total) as u64 * (to - from) / step.total.max(1) as u64;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (from + share).max(*counted);
        self.bar.inc(now - *counted);
        *counted = now;
        if self.bar.length() == Some(LENGTH) {
            self.bar.set_message(name);
        }
    }
}
