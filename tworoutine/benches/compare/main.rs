//! Benchmark of the costs of waiting with this crate, compared with other ways to wait. All are
//! measured in the same run.
//!
//! `cargo bench -p tworoutine --bench compare -- [--json] [--awake]`
//!
//! With `--awake`, a spinning process of idle priority on every core keeps the core from sleeping,
//! because waking a core can take longer than the measured time. `TWOROUTINE_PYTHON` names the
//! Python interpreter for the comparison with Python; without it, `python3` is used. If this
//! interpreter has no `nest_asyncio`, the rows of this comparison are empty. Instructions are
//! counted if valgrind is installed.

mod blocked;
mod calls;
mod children;
mod crowds;
mod network;
mod table;

use serde_json::json;

#[global_allocator]
static ALLOCATOR: calls::Counting = calls::Counting;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|a| a == "--child") {
        let which = arguments.get(at + 1).map_or("", String::as_str);
        match arguments.get(at + 2).and_then(|passes| passes.parse().ok()) {
            Some(passes) => calls::child(which, passes),
            None if which == "spin" => loop {
                std::hint::spin_loop();
            },
            None => {
                if let Some(number) = crowds::child(which).or_else(|| blocked::child(which)) {
                    println!("{number}");
                }
            }
        }
        return;
    }
    let load = std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let asked = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let _spinners = asked("--awake").then(|| children::Spinners::start(cores));

    let python = children::python();
    let from_python = |which: &str| {
        python
            .as_deref()
            .and_then(|python| children::python_number(python, which))
    };
    let mut rows = Vec::new();
    calls::rows(&mut rows, &from_python);
    crowds::rows(&mut rows, &from_python);
    blocked::rows(&mut rows, &from_python);
    network::rows(&mut rows, &from_python);

    let conditions = json!({
        "cores": cores,
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "idle_cores_kept_awake": asked("--awake"),
        "optimised": !cfg!(debug_assertions),
        "python": python,
        "load_average_before": load,
        "max_map_count": std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()
            .and_then(|text| text.trim().parse::<u64>().ok()),
    });
    if asked("--json") {
        table::print_json(&conditions, &rows);
    } else {
        table::print_table(&conditions, &rows);
    }
}
