//! Tests of simulated boards in real-time mode, with the virtual clock of tokio: the durations of
//! calls, and the samples that calls return.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use twotone_sim::fault::{Fault, FaultScript, Reboot, Slow};
use twotone_sim::{Farm, SimBoard, StartError, TimeMode};

/// Samples per second at decimation stage 6.
const RATE_HZ: f64 = 625e6 / 256.0 / 64.0 / 64.0;

async fn farm(call_us: u64) -> Farm {
    let builder = Farm::builder().detectors(0).seed(3);
    let farm = builder.time(TimeMode::RealTime { call_us });
    farm.start().await.unwrap()
}

struct Client(DuplexStream);

impl Client {
    fn connect(board: &SimBoard) -> Self {
        Self(board.open_stream(1 << 20))
    }

    async fn send(&mut self, calls: &[Value]) {
        let body = Value::from(calls.to_vec()).to_string();
        let head = format!(
            "POST /tuber HTTP/1.1\r\nHost: sim\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(head.as_bytes()).await.unwrap();
        self.0.write_all(body.as_bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> Vec<Value> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then_some(value)
        });
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        let answers: Vec<Value> = serde_json::from_slice(&body).unwrap();
        for answer in &answers {
            assert!(answer.get("error").is_none_or(Value::is_null), "{answer}");
        }
        answers
            .into_iter()
            .map(|mut answer| answer["result"].take())
            .collect()
    }

    async fn run(&mut self, calls: &[Value]) -> Vec<Value> {
        self.send(calls).await;
        self.receive().await
    }
}

fn call(method: &str, args: Value, kwargs: Value) -> Value {
    json!({ "object": "Dfmux", "method": method, "args": args, "kwargs": kwargs })
}

fn at_1() -> Value {
    json!({"channel": 1, "module": 1})
}

fn set_amplitude(amplitude: f64) -> Value {
    call("set_amplitude", json!([amplitude]), at_1())
}

fn get_samples(n: usize) -> Value {
    call("get_samples", json!([n]), at_1())
}

async fn set_up(client: &mut Client, amplitude: f64) {
    let calls = [
        call("set_nco_frequency", json!([1.25e9]), json!({"module": 1})),
        call("set_frequency", json!([1e6]), at_1()),
        set_amplitude(amplitude),
    ];
    client.run(&calls).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn sizes(samples: &Value) -> Vec<f64> {
    let part = |axis: &str, k: usize| samples[axis][k].as_f64().unwrap();
    let n = samples["i"].as_array().unwrap().len();
    (0..n).map(|k| part("i", k).hypot(part("q", k))).collect()
}

#[tokio::test(start_paused = true)]
async fn acquisitions_and_calls_take_their_time() {
    for (call_us, calls, expected_s) in [
        (0, vec![get_samples(1)], 1.0 / RATE_HZ),
        (0, vec![get_samples(600)], 600.0 / RATE_HZ),
        (0, vec![get_samples(60), get_samples(60)], 120.0 / RATE_HZ),
        (200, vec![set_amplitude(0.1); 50], 0.01),
        (200, vec![get_samples(60); 2], 120.0 / RATE_HZ + 0.4e-3),
        (
            0,
            vec![call("get_pfb_samples", json!([50_000]), at_1())],
            50_000.0 / 2_441_406.25,
        ),
        (
            0,
            vec![call(
                "get_samples",
                json!([4]),
                json!({"module": 1, "channel": null}),
            )],
            4.0 / RATE_HZ,
        ),
        (0, vec![set_amplitude(0.1); 50], 0.0),
    ] {
        let farm = farm(call_us).await;
        let mut client = Client::connect(&farm.boards()[0]);
        set_up(&mut client, 0.001).await;
        let begun = Instant::now();
        client.run(&calls).await;
        let took = begun.elapsed().as_secs_f64();
        // The first sample begins with the next sample period. Timers are accurate to 1 ms, and
        // their errors add up over consecutive acquisitions.
        let late = took - expected_s;
        let most = 1.0 / RATE_HZ + 2.2e-3 * calls.len().min(2) as f64;
        assert!(
            (-1e-3..most).contains(&late),
            "{took} s, not {expected_s} s: {}",
            calls[0]
        );
        farm.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_answers_others_while_it_acquires() {
    let farm = farm(0).await;
    let (mut one, mut other) = (
        Client::connect(&farm.boards()[0]),
        Client::connect(&farm.boards()[0]),
    );
    set_up(&mut one, 0.001).await;
    let begun = Instant::now();
    one.send(&[get_samples(600)]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Another client sets the same module during the acquisition.
    other.run(&[set_amplitude(0.002)]).await;
    assert!(
        begun.elapsed() < Duration::from_millis(510),
        "{:?}",
        begun.elapsed()
    );
    let sizes = sizes(&one.receive().await[0]);
    assert!(begun.elapsed() > Duration::from_secs(1));
    // The setting acts from the sample on during which it was made. The filters need time to
    // settle, so the samples show half of the change after the delay of 5 ms, and all of it after
    // 10 ms.
    let number = (0.5 * RATE_HZ) as usize;
    let low = sizes[0];
    for (k, size) in sizes.iter().enumerate() {
        let times = size / low;
        if k + 2 < number {
            assert!((times - 1.0).abs() < 0.02, "sample {k}: {times}");
        } else if k > number + 8 {
            assert!((times - 2.0).abs() < 0.02, "sample {k}: {times}");
        }
    }
    let half = sizes.iter().position(|size| *size > 1.5 * low).unwrap();
    assert!((number + 2..=number + 5).contains(&half), "{half} {number}");
}

#[tokio::test(start_paused = true)]
async fn filters_remember_within_a_batch_and_forget_while_time_passes() {
    let farm = farm(100).await;
    let mut client = Client::connect(&farm.boards()[0]);
    set_up(&mut client, 0.001).await;
    let answers = client.run(&[set_amplitude(0.002), get_samples(12)]).await;
    let fresh = sizes(&answers[1]);
    assert!((fresh[11] / fresh[0] - 2.0).abs() < 0.05, "{fresh:?}");
    client.run(&[set_amplitude(0.001)]).await;
    tokio::time::sleep(Duration::from_millis(15)).await;
    // The filters have settled by now. Another setting of the module does not bring the old
    // amplitude back.
    let phase = call(
        "set_phase",
        json!([0.0]),
        json!({"channel": 2, "module": 1}),
    );
    let answers = client.run(&[phase, get_samples(12)]).await;
    let settled = sizes(&answers[1]);
    for size in &settled {
        assert!((size / fresh[0] - 1.0).abs() < 0.02, "{settled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_on_when_its_client_has_gone() {
    let farm = farm(0).await;
    let mut client = Client::connect(&farm.boards()[0]);
    client.send(&[get_samples(300), set_amplitude(0.25)]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(client);
    let mut other = Client::connect(&farm.boards()[0]);
    let get = call("get_amplitude", json!([]), at_1());
    assert_eq!(other.run(std::slice::from_ref(&get)).await, [Value::Null]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(other.run(&[get]).await, [json!(0.25)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_with_the_life_of_its_board() {
    let set = set_amplitude(0.25);
    let slow = Fault::from(Slow { delay_ms: 500 });
    for (fault, batch) in [
        (None, vec![get_samples(300), set.clone()]),
        (Some(slow), vec![set]),
    ] {
        let farm = farm(0).await;
        let board = &farm.boards()[0];
        fault.into_iter().for_each(|fault| board.inject(fault));
        let mut late = Client::connect(board);
        late.send(&batch).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        board.clear_faults();
        let calls = board.counters().calls;
        board.inject(Fault::from(Reboot { down_ms: 0 }).from_call(calls));
        let mut restarting = Client::connect(board);
        let get = call("get_amplitude", json!([]), at_1());
        restarting.send(std::slice::from_ref(&get)).await;
        assert!(restarting.0.read_u8().await.is_err(), "it did not restart");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut after = Client::connect(board);
        assert_eq!(after.run(&[get]).await, [Value::Null], "{batch:?}");
        farm.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn acquisitions_of_one_module_run_side_by_side() {
    let farm = farm(0).await;
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&farm.boards()[0])).collect();
    set_up(&mut clients[0], 0.001).await;
    let begun = Instant::now();
    for client in &mut clients {
        client.send(&[get_samples(300)]).await;
    }
    let mut all = Vec::new();
    for client in &mut clients {
        all.push(client.receive().await);
    }
    let took = begun.elapsed().as_secs_f64();
    assert!((took - 300.0 / RATE_HZ).abs() < 6e-3, "{took}");
    // Both calls began in the same sample period or in consecutive ones. Their samples are the same
    // where they overlap.
    let start = |k: usize| all[k][0]["ts"][0].as_f64().unwrap();
    for k in 1..3 {
        let later = ((start(k) - start(0)) * RATE_HZ).round() as usize;
        assert!(later <= 1, "{later}");
        assert_eq!(all[k][0]["i"][10], all[0][0]["i"][10 + later]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_script_acts_on_its_boards_in_its_time() {
    let script = r#"
        [[fault]]
        kind = "slow"
        boards = ["crs0002"]
        delay_ms = 100
        from_s = 1
        for_s = 1

        [[fault]]
        kind = "error-on-call"
        message = "no good"
        from_s = 3
        first = 1
        count = 1
    "#;
    let builder = || Farm::builder().boards(2).detectors(0);
    let script = FaultScript::parse(script).unwrap();
    let farm = builder().script(script).start().await.unwrap();
    let mut clients = [0, 1].map(|index| Client::connect(&farm.boards()[index]));
    let begun = Instant::now();
    let get = call("get_decimation", json!([]), json!({}));
    for (at_s, slow) in [(0.5, false), (1.5, true), (2.5, false)] {
        tokio::time::sleep_until(begun + Duration::from_secs_f64(at_s)).await;
        for (index, client) in clients.iter_mut().enumerate() {
            let asked = Instant::now();
            client.run(std::slice::from_ref(&get)).await;
            let waited = asked.elapsed() >= Duration::from_millis(100);
            assert_eq!(waited, slow && index == 1, "board {index} at {at_s} s");
        }
    }
    // The script counts calls from three seconds on. On both boards, the second of these calls
    // fails.
    tokio::time::sleep_until(begun + Duration::from_millis(3500)).await;
    for client in &mut clients {
        client.send(&[get.clone(), get.clone(), get.clone()]).await;
        let mut answer = vec![0; 4096];
        let length = client.0.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..length]).into_owned();
        let body = text.split("\r\n\r\n").nth(1).unwrap().to_owned();
        let answers: Vec<Value> = serde_json::from_str(&body).unwrap();
        assert_eq!(answers[0]["result"], json!(6));
        assert_eq!(
            answers[1]["error"]["message"],
            json!("RuntimeError: no good")
        );
    }
    let unknown = "[[fault]]\nkind = \"refuse\"\nboards = [\"crs0003\"]";
    let error = builder()
        .script(FaultScript::parse(unknown).unwrap())
        .start()
        .await;
    assert!(
        matches!(error, Err(StartError::UnknownBoard { .. })),
        "{error:?}"
    );
}
