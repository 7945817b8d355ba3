//! Time per tone and allocations of the codecs of Tuber, the remote procedure calls of CRS boards.
//! The messages are a batch (the calls of one request) that sets a comb of 1024 tones, and the
//! samples of 1024 channels.
//!
//! `cargo bench -p twotone-wire --bench codec` prints a table, with `-- --json` one JSON object.

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use twotone_wire::tuber::{
    Answer, Args, BatchWriter, Fault, Format, Head, Interface, Limits, Method, Param, Reply,
    Server, Service,
};

const TONES: usize = 1024;
const SAMPLES: usize = 10;
const ROUNDS: usize = 201;
const LENGTHS: [usize; 6] = [64, 128, 256, 512, 1024, 2048];

const fn method(name: &'static str, params: &'static [Param]) -> Method {
    Method {
        name,
        doc: "",
        params,
    }
}

static BOARD: Interface = Interface {
    name: "Dfmux",
    doc: "",
    methods: &[
        method(
            "set_frequency",
            &[
                Param::required("frequency"),
                Param::required("channel"),
                Param::required("module"),
            ],
        ),
        method(
            "set_amplitude",
            &[
                Param::required("amplitude"),
                Param::required("channel"),
                Param::required("module"),
            ],
        ),
        method(
            "get_samples",
            &[
                Param::required("num_samples"),
                Param::null("channel"),
                Param::required("module"),
                Param::null("average"),
            ],
        ),
    ],
    properties: &[],
};

/// A board that stores the settings of one module and has prepared samples.
struct Board {
    frequency: Vec<f64>,
    amplitude: Vec<f64>,
    i: Vec<f64>,
    q: Vec<f64>,
}

impl Board {
    fn new() -> Self {
        // Numbers with all digits, like those of noise.
        let noise = |n: usize| {
            (0..n)
                .map(|k| (k as f64 * 0.7391).sin() * 2580.902)
                .collect()
        };
        Self {
            frequency: vec![0.0; TONES],
            amplitude: vec![0.0; TONES],
            i: noise(TONES * SAMPLES),
            q: noise(TONES * SAMPLES + 1)[1..].to_vec(),
        }
    }
}

impl Service for Board {
    fn interface(&self) -> &'static Interface {
        &BOARD
    }

    fn call(
        &mut self,
        method: &'static Method,
        args: &Args<'_>,
        reply: Reply<'_>,
    ) -> Result<(), Fault> {
        let tone = |args: &Args<'_>| -> Result<usize, Fault> {
            args.u32("module")?;
            let channel = args.u32("channel")? as usize;
            let tone = channel.checked_sub(1).filter(|tone| *tone < TONES);
            tone.ok_or_else(|| Fault::value("no such channel"))
        };
        match method.name {
            "set_frequency" => self.frequency[tone(args)?] = args.f64("frequency")?,
            "set_amplitude" => self.amplitude[tone(args)?] = args.f64("amplitude")?,
            _ => {
                let n = args.u32("num_samples")? as usize;
                let mut map = reply.slot().map();
                map.key("i").f64_array(&self.i[..TONES * n], &[TONES, n]);
                map.key("q").f64_array(&self.q[..TONES * n], &[TONES, n]);
                let mut mean = map.key("mean").map();
                mean.entry("i", &self.i[..TONES])
                    .entry("q", &self.q[..TONES]);
            }
        }
        Ok(())
    }
}

/// Writes a batch that sets the frequency and the amplitude of a number of tones.
fn encode_sets(batch: &mut BatchWriter, tones: usize) -> Bytes {
    for tone in 0..tones {
        let (channel, offset) = (tone % TONES + 1, tone as f64 * 487_123.25 - 249e6);
        batch
            .call("Dfmux", "set_frequency")
            .arg(offset)
            .kwarg("channel", channel)
            .kwarg("module", 1);
        let amplitude = 1e-3 + tone as f64 * 1.37e-7;
        batch
            .call("Dfmux", "set_amplitude")
            .arg(amplitude)
            .kwarg("channel", channel)
            .kwarg("module", 1);
    }
    batch.finish()
}

fn encode_get(batch: &mut BatchWriter, samples: usize) -> Bytes {
    let call = batch.call("Dfmux", "get_samples").arg(samples);
    call.kwarg("channel", ())
        .kwarg("module", 1)
        .kwarg("average", true);
    batch.finish()
}

fn serve(server: &mut Server, format: Format, body: &[u8], board: &mut Board, out: &mut BytesMut) {
    out.clear();
    let head = Head {
        content_type: Some(format.content_type()),
        accept: None,
        options: None,
    };
    server.serve(&head, body, board, out);
}

/// Counts the results of a batch of settings.
fn decode_sets(format: Format, body: &[u8], calls: usize) -> usize {
    let mut answer = Answer::new(Some(format.content_type()), body, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(calls).unwrap();
    let mut results = 0;
    while let Some(element) = elements.next().unwrap() {
        results += usize::from(element.outcome.is_ok());
    }
    results
}

/// The samples of all channels, in rows that are reused.
#[derive(Default)]
struct Samples {
    i: Vec<f64>,
    q: Vec<f64>,
    mean_i: Vec<f64>,
    mean_q: Vec<f64>,
}

fn decode_samples(format: Format, body: &[u8], out: &mut Samples) {
    [&mut out.i, &mut out.q, &mut out.mean_i, &mut out.mean_q]
        .into_iter()
        .for_each(Vec::clear);
    let mut answer = Answer::new(Some(format.content_type()), body, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(1).unwrap();
    let mut result = elements.next().unwrap().unwrap().outcome.unwrap();
    let mut entries = result.entries().unwrap();
    while let Some((key, value)) = entries.next().unwrap() {
        match &*key {
            "i" => value.f64_into(&mut out.i).unwrap(),
            "q" => value.f64_into(&mut out.q).unwrap(),
            _ => {
                let mut entries = value.entries().unwrap();
                while let Some((key, value)) = entries.next().unwrap() {
                    let row = if key == "i" {
                        &mut out.mean_i
                    } else {
                        &mut out.mean_q
                    };
                    value.f64_into(row).unwrap();
                }
            }
        }
    }
}

/// Returns the median time of one run in nanoseconds, over many short rounds. Most rounds are not
/// interrupted, even if the computer has other work.
fn median_ns(mut run: impl FnMut()) -> f64 {
    #[allow(
        clippy::disallowed_methods,
        reason = "a benchmark measures the time that passes"
    )]
    let now = std::time::Instant::now;
    let started = now();
    let mut runs = 0;
    while started.elapsed() < Duration::from_millis(20) {
        run();
        runs += 1;
    }
    let per_round = (runs / 100).max(1);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = now();
            (0..per_round).for_each(|_| run());
            started.elapsed().as_secs_f64() * 1e9 / f64::from(per_round)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    /// Largest accepted value.
    limit: Option<f64>,
}

impl Row {
    fn pass(&self) -> Option<bool> {
        self.limit.map(|limit| self.value <= limit)
    }
}

fn times(format: Format, rows: &mut Vec<Row>) {
    let (mut board, mut server) = (Board::new(), Server::default());
    let (mut batch, mut out) = (BatchWriter::new(format), BytesMut::new());
    let name = if format == Format::Json {
        "JSON"
    } else {
        "CBOR"
    };
    let mut row = |what: &str, ns: f64| {
        let name = format!("{name}: {what}");
        rows.push(Row {
            name,
            value: ns / TONES as f64,
            unit: "ns/tone",
            limit: None,
        });
    };

    row(
        "encode a set batch",
        median_ns(|| drop(black_box(encode_sets(&mut batch, TONES)))),
    );
    let request = encode_sets(&mut batch, TONES);
    row(
        "decode and answer a set batch",
        median_ns(|| {
            serve(
                &mut server,
                format,
                black_box(&request),
                &mut board,
                &mut out,
            );
        }),
    );
    let calls = 2 * TONES;
    assert_eq!(decode_sets(format, &out, calls), calls);
    row(
        "decode the answer to a set batch",
        median_ns(|| {
            black_box(decode_sets(format, black_box(&out), calls));
        }),
    );

    let request = encode_get(&mut batch, SAMPLES);
    row(
        "encode samples",
        median_ns(|| {
            serve(
                &mut server,
                format,
                black_box(&request),
                &mut board,
                &mut out,
            );
        }),
    );
    let mut samples = Samples::default();
    row(
        "decode samples",
        median_ns(|| decode_samples(format, black_box(&out), &mut samples)),
    );
    assert!(samples.i == board.i && samples.q == board.q);
    assert!(samples.mean_i == board.i[..TONES] && samples.mean_q == board.q[..TONES]);
    let bytes = out.len() as f64 / TONES as f64;
    let name = format!("{name}: size of samples");
    rows.push(Row {
        name,
        value: bytes,
        unit: "bytes/tone",
        limit: None,
    });
}

/// Allocations of a batch by its number of tones, after the buffers have grown to their size.
fn allocations(format: Format, rows: &mut Vec<Row>) {
    let (mut board, mut server) = (Board::new(), Server::default());
    let (mut batch, mut out) = (BatchWriter::new(format), BytesMut::new());
    let name = if format == Format::Json {
        "JSON"
    } else {
        "CBOR"
    };
    for tones in LENGTHS {
        let mut exchange = || {
            let request = encode_sets(&mut batch, tones);
            serve(&mut server, format, &request, &mut board, &mut out);
            assert_eq!(decode_sets(format, &out, 2 * tones), 2 * tones);
        };
        // A second exchange is needed, since the first batch of a length makes the buffers grow.
        exchange();
        exchange();
        let count = measure(&mut exchange).count_total;
        rows.push(Row {
            name: format!("{name}: allocations of a set batch of {tones} tones, both halves"),
            value: count as f64,
            unit: "allocations",
            limit: Some(8.0),
        });
    }
    let mut samples = Samples::default();
    let mut exchange = || {
        let request = encode_get(&mut batch, SAMPLES);
        serve(&mut server, format, &request, &mut board, &mut out);
        decode_samples(format, &out, &mut samples);
    };
    exchange();
    exchange();
    rows.push(Row {
        name: format!("{name}: allocations of samples of {TONES} channels, both halves"),
        value: measure(&mut exchange).count_total as f64,
        unit: "allocations",
        limit: Some(8.0),
    });
}

fn main() {
    let mut rows = Vec::new();
    for format in Format::ALL {
        times(format, &mut rows);
        allocations(format, &mut rows);
    }
    if std::env::args().any(|arg| arg == "--json") {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "name": row.name, "value": row.value, "unit": row.unit, "peer": null,
                    "peer_value": null, "ratio": null, "limit": row.limit, "pass": row.pass(),
                })
            })
            .collect();
        let conditions = serde_json::json!({
            "tones": TONES, "samples": SAMPLES, "statistic": format!("median of {ROUNDS} rounds"),
            "set batch": "set_frequency and set_amplitude of each tone", "build": build(),
        });
        println!(
            "{}",
            serde_json::json!({"bench": "codec", "conditions": conditions, "rows": rows})
        );
        return;
    }
    println!(
        "{TONES} tones, {SAMPLES} samples, medians of {ROUNDS} rounds, {}",
        build()
    );
    for row in rows {
        let verdict = row
            .pass()
            .map_or("", |pass| if pass { "pass" } else { "FAIL" });
        println!(
            "{:>10.1} {:<12} {} {verdict}",
            row.value, row.unit, row.name
        );
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug build"
    } else {
        "release build"
    }
}
