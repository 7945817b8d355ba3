//! Tests of the questions that find the hosts of boards, and of their answers.

use twotone_wire::mdns::Announced;

use super::*;

const BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 42);

fn browser() -> Browser {
    Browser::new(|name| name.starts_with("rfmux"), &["_http._tcp.local"])
}

fn board() -> Announced {
    let service: Name = "_http._tcp.local".parse().unwrap();
    Announced {
        host: "rfmux0042.local".parse().unwrap(),
        address: BOARD,
        instance: service.with_first("board 0042").unwrap(),
        service,
        port: 80,
        texts: [("release".to_owned(), "1.7.0".to_owned())].into(),
    }
}

fn answer(browser: &mut Browser, records: Vec<Record>, from: Ipv4Addr) {
    let message = Message {
        id: 0,
        is_answer: true,
        questions: Vec::new(),
        records,
    };
    browser.take(&message.emit().unwrap(), from);
}

fn record(name: &str, ttl_s: u32, data: Data) -> Record {
    Record {
        name: name.parse().unwrap(),
        ttl_s,
        data,
    }
}

/// Lets a board answer the questions that are due, each record in a message of its own.
fn let_answer(browser: &mut Browser, board: &Announced, now: u64) -> Vec<Question> {
    let due = browser.due(Duration::from_millis(now));
    for question in &due {
        let query = Message {
            id: 0,
            is_answer: false,
            questions: vec![question.clone()],
            records: Vec::new(),
        };
        for record in board
            .answer(&query, false)
            .into_iter()
            .flat_map(|a| a.records)
        {
            answer(browser, vec![record], board.address);
        }
    }
    due
}

#[test]
fn a_board_is_found_by_any_service() {
    let mut browser = browser();
    let mut board = board();
    board.service = "_telemetry._tcp.local".parse().unwrap();
    board.instance = board.service.with_first("T 42").unwrap();
    assert_eq!(let_answer(&mut browser, &board, 0).len(), 2);
    // The type of its service is known now.
    let_answer(&mut browser, &board, 250);
    let hosts = browser.into_hosts();
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    assert_eq!(hosts[0].name.as_str(), "rfmux0042.local");
    assert_eq!((BOARD, &hosts[0].addresses[..]), (BOARD, &[BOARD][..]));
    assert_eq!(hosts[0].services[0].texts["release"], "1.7.0");
}

#[test]
fn services_belong_to_the_host_whose_address_announced_them() {
    let mut browser = browser();
    let mut other = board();
    other.address = Ipv4Addr::new(10, 0, 0, 43);
    other.port = 8080;
    for board in [board(), other] {
        let mut query = Message {
            id: 0,
            is_answer: false,
            questions: browser.due(Duration::ZERO),
            records: Vec::new(),
        };
        let name = board.service.clone();
        let kind = RecordKind::Ptr;
        query.questions.push(Question { name, kind });
        let records = board.answer(&query, false).unwrap().records;
        answer(&mut browser, records, board.address);
    }
    let hosts = browser.into_hosts();
    let ports: Vec<_> = hosts.iter().map(|host| host.services[0].port).collect();
    assert_eq!(ports, [80, 8080], "{hosts:?}");
}

#[test]
fn what_is_missing_is_asked_for_and_what_is_known_is_not() {
    let mut browser = browser();
    browser.due(Duration::ZERO);
    let instance = "x._http._tcp.local";
    let to = Data::Ptr(instance.parse().unwrap());
    answer(&mut browser, vec![record("_http._tcp.local", 9, to)], BOARD);
    let asked = browser.due(Duration::from_millis(10));
    assert_eq!(asked.len(), 2, "{asked:?}");
    let target = "rfmux1.local".parse().unwrap();
    let place = Data::Srv { port: 80, target };
    answer(&mut browser, vec![record(instance, 9, place)], BOARD);
    let asked = browser.due(Duration::from_millis(20));
    assert_eq!(asked[0].kind, RecordKind::A);
    answer(
        &mut browser,
        vec![record("rfmux1.local", 9, Data::A(BOARD))],
        BOARD,
    );
    // The types of services and their instances may have further answers, and the texts are
    // still missing.
    let again = browser.due(Duration::from_secs(2));
    let kinds: Vec<_> = again.iter().map(|question| question.kind).collect();
    assert_eq!(kinds.len(), 3, "{again:?}");
    assert!(!kinds.contains(&RecordKind::A) && !kinds.contains(&RecordKind::Srv));
    for _ in 0..10 {
        browser.due(Duration::from_secs(1000));
    }
    assert!(browser.due(Duration::from_secs(10_000)).is_empty());
}

#[test]
fn answers_of_two_senders_are_kept_apart_and_goodbyes_count() {
    let mut browser = browser();
    let other = Ipv4Addr::new(10, 0, 0, 43);
    for address in [BOARD, other] {
        let a = record("RFMUX0042.local", 120, Data::A(address));
        answer(&mut browser, vec![a], address);
    }
    let a = record("printer.local", 120, Data::A(other));
    answer(&mut browser, vec![a], other);
    assert_eq!(browser.hosts.len(), 2);
    answer(
        &mut browser,
        vec![record("rfmux0042.local", 0, Data::A(other))],
        other,
    );
    let hosts = browser.into_hosts();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].addresses, [BOARD]);
}

#[test]
fn what_is_taken_back_is_no_answer_and_leaves_the_other_addresses() {
    let mut browser = browser();
    let name = "rfmux1.local";
    let other = Ipv4Addr::new(10, 0, 1, 42);
    browser.ask_for_host(name);
    browser.due(Duration::ZERO);
    let a = |ttl_s, address| record(name, ttl_s, Data::A(address));
    answer(&mut browser, vec![a(0, other)], BOARD);
    let again = browser.due(Duration::from_secs(1));
    assert!(again.iter().any(|question| question.name.as_str() == name));
    answer(&mut browser, vec![a(9, other), a(9, BOARD)], BOARD);
    answer(&mut browser, vec![a(0, other)], BOARD);
    assert_eq!(browser.into_hosts()[0].addresses, [BOARD]);
}

#[test]
fn the_address_that_has_answered_is_the_first() {
    let mut browser = browser();
    let lower = Ipv4Addr::new(10, 0, 0, 1);
    let a = |address| record("rfmux1.local", 9, Data::A(address));
    answer(&mut browser, vec![a(lower), a(BOARD)], BOARD);
    assert_eq!(browser.into_hosts()[0].addresses, [BOARD, lower]);
}

#[test]
fn long_texts_are_left_out_and_their_service_is_kept() {
    let short = |index| (format!("{index}"), String::new());
    let long = |index| (format!("{index}"), "x".repeat(250));
    for (texts, left_out) in [
        ((0..64).map(short).collect::<BTreeMap<_, _>>(), 0),
        ((0..65).map(short).collect(), 1),
        ((0..5).map(long).collect(), 0),
        ((0..6).map(long).collect(), 1),
    ] {
        let mut browser = browser();
        let count = texts.len();
        let target = "rfmux1.local".parse().unwrap();
        let records = vec![
            record("i._http._tcp.local", 9, Data::Srv { port: 80, target }),
            record("i._http._tcp.local", 9, Data::Txt(texts)),
        ];
        answer(&mut browser, records, BOARD);
        assert_eq!(browser.left_out, left_out, "{count} texts");
        let service = &browser.into_hosts()[0].services[0];
        assert_eq!(service.texts.len(), [count, 0][left_out as usize]);
    }
}

#[test]
fn hostile_answers_are_refused_and_counted() {
    let mut browser = browser();
    for datagram in [
        &b""[..],
        b"\0\0\x84\0",
        // 65,535 records in 12 bytes.
        b"\0\0\x84\0\0\0\xff\xff\xff\xff\xff\xff",
        // A name that points to itself.
        b"\0\0\x84\0\0\0\0\x01\0\0\0\0\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01",
        // Two names that point to each other.
        b"\0\0\x84\0\0\0\0\x01\0\0\0\0\xc0\x0e\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01",
        // An address that is said to be longer than the datagram.
        b"\0\0\x84\0\0\0\0\x01\0\0\0\0\0\0\x01\0\x01\0\0\0\x01\0\xff\x0a\0\0\x01",
    ] {
        browser.take(datagram, BOARD);
    }
    assert_eq!(browser.refused, 6);
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST] {
        answer(
            &mut browser,
            vec![record("rfmux1.local", 9, Data::A(address))],
            BOARD,
        );
    }
    assert_eq!(browser.left_out, 2);
    assert!(browser.hosts.is_empty());
}

#[test]
fn thousands_of_answers_take_limited_memory() {
    let mut browser = browser();
    let texts: BTreeMap<_, _> = (0..5)
        .map(|index| (format!("key{index}"), "x".repeat(250)))
        .collect();
    for index in 0..20_000_u32 {
        let at = Ipv4Addr::from(0x0a00_0000 + index);
        let target = format!("rfmux{index}.local");
        let instance = format!("i{index}._http._tcp.local");
        let pointer = Data::Ptr(instance.parse().unwrap());
        let place = Data::Srv {
            port: 80,
            target: target.parse().unwrap(),
        };
        let records = vec![
            record(&target, 9, Data::A(at)),
            record("rfmux0042.local", 9, Data::A(at)),
            record("_http._tcp.local", 9, pointer),
            record(&instance, 9, place),
            record(&instance, 9, Data::Txt(texts.clone())),
        ];
        answer(&mut browser, records, BOARD);
    }
    assert!(browser.left_out > 60_000, "{}", browser.left_out);
    for count in [
        browser.hosts.len(),
        browser.places.len(),
        browser.texts.len(),
        browser.questions.len(),
    ] {
        assert!(count <= MOST_ENTRIES);
    }
    assert!(browser.due(Duration::ZERO).len() <= MOST_ENTRIES);
}
