//! Progress bars on standard error: one a module, or one for all where there are many.

use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use twotone::algorithms::{Progress, Stage, Step};
use twotone::run::Target;

use super::screen::Screen;

/// The bars of a run.
pub(crate) struct Bars {
    shown: MultiProgress,
    modules: Vec<Arc<Bar>>,
}

/// The bar of one module; takes an algorithm's reports.
pub(crate) struct Bar {
    board: String,
    module: u8,
    bar: ProgressBar,
    /// How much of the run this module has brought to a bar that it shares.
    counted: Mutex<u64>,
}

/// As many modules have bars of their own; more share one.
const MOST_BARS: usize = 24;
/// Steps of a bar for one module.
const LENGTH: u64 = 1000;

impl Bars {
    /// Bars for `targets`. On something that is no terminal nothing is shown.
    pub(crate) fn new(targets: &[Target], quiet: bool) -> Self {
        let to = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            Screen::target()
        };
        let shown = MultiProgress::with_draw_target(to);
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ")
        };
        let shared = (targets.len() > MOST_BARS).then(|| {
            let bar = undrawn(LENGTH * targets.len() as u64);
            bar.set_style(style("{bar:50} {percent:>3} % of {msg}, {elapsed}"));
            bar.set_message(format!("{} modules", targets.len()));
            shown.add(bar)
        });
        let modules = targets.iter().map(|target| {
            let name = target.board.name().to_owned();
            let bar = shared.clone().unwrap_or_else(|| {
                let bar = undrawn(LENGTH);
                bar.set_style(style("{prefix:16} {bar:30} {percent:>3} %  {msg}"));
                bar.set_prefix(format!("{name} m{}", target.module));
                shown.add(bar)
            });
            let module = target.module.number();
            Arc::new(Bar {
                board: name,
                module,
                bar,
                counted: Mutex::new(0),
            })
        });
        Self {
            modules: modules.collect(),
            shown,
        }
    }

    /// The bar of a module, or none where it is not among the targets.
    pub(crate) fn of(&self, board: &str, module: u8) -> Option<Arc<Bar>> {
        self.modules
            .iter()
            .find(|bar| bar.board == board && bar.module == module)
            .cloned()
    }

    /// Takes the bars away.
    pub(crate) fn clear(&self) {
        drop(self.shown.clear());
        Screen::clear();
    }
}

/// A bar that is drawn when it is added to the others, and not before: by itself it would write to
/// standard error, and wait for a reader.
fn undrawn(length: u64) -> ProgressBar {
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
}

/// Where a stage begins and ends in the course of a tune, in thousandths.
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

impl Progress for Bar {
    fn report(&self, step: &Step) {
        let (from, to, name) = extent(step.stage);
        if step.done == 0 {
            tracing::info!(board = self.board, module = self.module, "{name}");
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
