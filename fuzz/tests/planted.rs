//! Tests that the search finds the usual errors of readers, which are planted here.

use twotone_fuzz::{Corpus, Input, LONGEST, Memory, Search, Target, attempt};

/// Number of inputs within which each error must be found.
const TRIED: usize = 20_000;

/// Searches with `run` as the reader, from `first` on. Asserts that an input fails for a reason
/// with `words` in it, and that it was shortened to at most `longest` bytes.
fn check(run: fn(&[u8]) -> String, first: &[u8], words: &str, longest: usize) {
    let target = Target {
        name: "planted",
        run,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 16,
        },
        tokens: &["count", "="],
        golden: &[],
    };
    let corpus = Corpus {
        inputs: vec![Input {
            path: "first".into(),
            bytes: first.to_vec(),
        }],
    };
    assert_eq!(
        attempt(&target, first).err(),
        None,
        "the first input must pass"
    );
    let seed = 5;
    let mut search = Search::new(&target, &corpus, seed);
    for _ in 0..TRIED {
        let input = search.next_input();
        assert!(input.len() <= LONGEST);
        if let Some(found) = search.try_input(input) {
            assert!(found.failure.what.contains(words), "{}", found.failure);
            assert!(found.input.len() <= longest, "{:?}", found.input);
            let again = attempt(&target, &found.input).expect_err("the shortened input fails too");
            assert_eq!(again.at, found.failure.at, "for the same reason");
            return;
        }
    }
    panic!("seed {seed}: nothing found: {words}");
}

#[test]
fn a_length_that_nobody_checked() {
    let run = |bytes: &[u8]| match bytes.split_first() {
        Some((length, rest)) => format!("{:?}", rest[..usize::from(*length)].first()),
        None => String::new(),
    };
    check(run, b"\x03abc", "range end index", 2);
}

#[test]
fn a_text_that_is_taken_for_utf_8() {
    let run = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    check(run, b"text", "Utf8Error", 1);
}

#[test]
fn memory_for_a_count_that_lies() {
    let run = |bytes: &[u8]| {
        let count = bytes
            .first_chunk()
            .map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let all: Vec<[u64; 8]> = Vec::with_capacity(usize::from(count));
        format!("{}", all.len())
    };
    check(run, b"\0\x02ab", "bytes of memory were allocated", 2);
}

#[test]
fn work_that_grows_with_the_square() {
    let run = |bytes: &[u8]| {
        let longest = (0..bytes.len()).map(|at| bytes[at..].to_vec().len()).max();
        format!("{longest:?}")
    };
    check(
        run,
        b"some words of no meaning",
        "bytes of memory were allocated",
        LONGEST,
    );
}

#[test]
fn a_number_at_the_edge_of_its_type() {
    let run = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let count = text
            .strip_prefix("count=")
            .and_then(|text| text.parse::<u64>().ok());
        format!(
            "{}",
            count.map_or(0, |count| u32::try_from(count + 1).unwrap_or(0))
        )
    };
    check(run, b"count=12", "attempt to add with overflow", 26);
}

#[test]
fn a_meaning_that_writing_loses() {
    let run = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let again: Vec<&str> = text.split('=').filter(|word| !word.is_empty()).collect();
        assert_eq!(again.join("="), text, "written and read again");
        "read".to_owned()
    };
    check(run, b"count=5", "written and read again", 1);
}

#[test]
fn a_panic_that_a_thread_keeps_to_itself() {
    let run = |bytes: &[u8]| {
        let is_marked = bytes.contains(&b'=');
        let ended = std::thread::spawn(move || assert!(!is_marked, "a mark")).join();
        format!("{}", ended.is_ok())
    };
    check(run, b"count", "a mark", 1);
}
