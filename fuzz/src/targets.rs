//! The targets: one for each kind of data that twotone reads from a network or a file.
//!
//! A new target needs a function in a module here, an entry in [`TARGETS`], and a folder in
//! `corpus/`.

mod answer;
mod boot;
mod check;
mod faults;
mod http;
mod import;
mod map;
mod mdns;
mod packets;
mod params;
mod record;
mod request;

/// A reader and its assertions, to be run on any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target, and of its folder in `corpus/`.
    pub name: &'static str,
    /// Function that reads the bytes, panics if an assertion fails, and returns an outline of the
    /// result: a short text, such as the kind of an error. Inputs with a new outline are mutated
    /// further.
    pub run: fn(&[u8]) -> String,
    /// Memory that the function may allocate.
    pub memory: Memory,
    /// Words of the input format, which mutations insert.
    pub tokens: &'static [&'static str],
    /// Folders of golden files, relative to the top of the repository, each with an ending. Files
    /// in the folder whose names have this ending are inputs too.
    pub golden: &'static [(&'static str, &'static str)],
}

/// Memory that a target may allocate in all, freed memory included.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Bytes for any input.
    pub fixed: u64,
    /// Bytes in addition for each byte of the input.
    pub per_byte: u64,
}

impl Memory {
    /// Returns the bytes that may be allocated for an input of `length` bytes.
    pub fn allowed(self, length: usize) -> u64 {
        self.fixed + self.per_byte * length as u64
    }
}

const MOCK: &str = "transport/wire/tests/golden/mock";
const RFMUX: &str = "transport/wire/tests/golden/rfmux";
const TUBERD: &str = "transport/wire/tests/golden/tuberd";

/// Every target.
pub const TARGETS: [Target; 18] = [
    Target {
        name: "request-json",
        run: request::json,
        memory: Memory {
            fixed: 256 << 10,
            per_byte: 8192,
        },
        tokens: JSON,
        golden: &[(MOCK, ".request.json"), (TUBERD, ".request.json")],
    },
    Target {
        name: "request-cbor",
        run: request::cbor,
        memory: Memory {
            fixed: 256 << 10,
            per_byte: 8192,
        },
        tokens: WORDS,
        golden: &[],
    },
    Target {
        name: "answer-json",
        run: answer::json,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 4096,
        },
        tokens: JSON,
        golden: &[(MOCK, ".answer.json"), (TUBERD, ".answer.json")],
    },
    Target {
        name: "answer-cbor",
        run: answer::cbor,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 4096,
        },
        tokens: WORDS,
        golden: &[(TUBERD, ".cbor")],
    },
    Target {
        name: "packet-readout",
        run: packets::readout,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 64,
        },
        tokens: &[],
        golden: &[(MOCK, ".bin"), (RFMUX, "short.bin")],
    },
    Target {
        name: "packet-pfb",
        run: packets::pfb,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 64,
        },
        tokens: &[],
        golden: &[(RFMUX, "slots.bin")],
    },
    Target {
        name: "boot-text",
        run: boot::text,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 64,
        },
        tokens: &[
            "FWREQ/1",
            "FWRESP/1",
            "Serial: ",
            "ncip:",
            "ncinport:",
            "ncoutport:",
            "ZynqMP> ",
        ],
        golden: &[],
    },
    Target {
        name: "boot-image",
        run: boot::image,
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 64,
        },
        tokens: &["simulated-release="],
        golden: &[],
    },
    Target {
        name: "mdns",
        run: mdns::message,
        // A pointer of two bytes stands for a name of up to 255.
        memory: Memory {
            fixed: 64 << 10,
            per_byte: 4096,
        },
        tokens: &[
            "\u{5}local\0",
            "\u{5}_http\u{4}_tcp",
            "\u{9}rfmux0042",
            "\u{9}_services\u{7}_dns-sd\u{4}_udp",
            "\0\u{1}\0\u{1}",
            "\0\u{c}\0\u{1}",
            "\0!\0\u{1}",
            "\0\u{10}\0\u{1}",
        ],
        golden: &[],
    },
    Target {
        name: "http-request",
        run: http::request,
        memory: Memory {
            fixed: 32 << 20,
            per_byte: 4096,
        },
        tokens: HTTP,
        golden: &[],
    },
    Target {
        name: "http-answer",
        run: http::answer,
        memory: Memory {
            fixed: 4 << 20,
            per_byte: 2048,
        },
        tokens: HTTP,
        golden: &[],
    },
    Target {
        name: "crs-answers",
        run: http::crs,
        memory: Memory {
            fixed: 16 << 20,
            per_byte: 2048,
        },
        tokens: JSON,
        golden: &[],
    },
    Target {
        name: "map",
        run: map::run,
        memory: Memory {
            fixed: 512 << 10,
            per_byte: 4096,
        },
        tokens: TOML,
        golden: &[],
    },
    Target {
        name: "import",
        run: import::run,
        memory: Memory {
            fixed: 512 << 10,
            per_byte: 8192,
        },
        tokens: YAML,
        golden: &[],
    },
    Target {
        name: "params",
        run: params::run,
        memory: Memory {
            fixed: 4 << 20,
            per_byte: 32 << 10,
        },
        tokens: TOML,
        golden: &[],
    },
    Target {
        name: "faults",
        run: faults::run,
        memory: Memory {
            fixed: 256 << 10,
            per_byte: 4096,
        },
        tokens: TOML,
        golden: &[],
    },
    Target {
        name: "tune",
        run: record::tune,
        memory: Memory {
            fixed: 512 << 10,
            per_byte: 4096,
        },
        tokens: TOML,
        golden: &[],
    },
    Target {
        name: "manifest",
        run: record::manifest,
        memory: Memory {
            fixed: 256 << 10,
            per_byte: 1024,
        },
        tokens: JSON,
        golden: &[],
    },
];

const WORDS: &[&str] = &[
    "object",
    "method",
    "property",
    "args",
    "kwargs",
    "resolve",
    "result",
    "error",
    "message",
    "warnings",
    "bytes",
    "subtype",
    "methods",
    "properties",
    "objects",
    "keys",
    "values",
    "Echo",
    "\u{7f}",
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\",
    "\"object\":\"Echo\"",
    "\"method\":\"echo\"",
    "\"args\":[",
    "\"kwargs\":{",
    "\"property\":\"",
    "\"resolve\":true",
    "\"result\":",
    "\"error\":",
    "\"message\":",
    "\"warnings\":[\"",
    "{\"bytes\":[255]}",
    "\"methods\":",
    "\"properties\":",
    "\"objects\":",
    "\"keys\":",
    "\"values\":",
    "\"__signature__\":",
    "\"format_version\":",
    "1e999",
];

const HTTP: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 ",
    "POST /tuber HTTP/1.1\r\n",
    "GET ",
    "Content-Length: ",
    "Content-Type: application/json\r\n",
    "Content-Type: application/cbor\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "X-Tuber-Options: continue-on-error\r\n",
    "Accept: */*\r\n",
    "Location: http://x/\r\n",
    "Content-Encoding: gzip\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "[]",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 301 Moved\r\n",
    "\"Dfmux\"",
    "\"get_samples\"",
];

const TOML: &[&str] = &[
    "\n",
    "=",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'''",
    "\"\"\"",
    "#",
    ".",
    ",",
    "true",
    "nan",
    "-inf",
    "[[board]]\n",
    "[[board.module]]\n",
    "[[detector]]\n",
    "[[fault]]\n",
    "[[tune]]\n",
    "[[tune.channel]]\n",
    "name = ",
    "kind = ",
    "kind = \"crs\"\n",
    "address = ",
    "serial = ",
    "crate = ",
    "slot = ",
    "mac = ",
    "number = ",
    "f_min_hz = ",
    "f_max_hz = ",
    "safe_state = ",
    "seed = ",
    "rate = ",
    "from_s = ",
    "for_s = ",
    "boards = [",
    "first = ",
    "count = ",
    "depth = ",
    "[band]\n",
    "[find]\n",
    "[fit]\n",
    "1979-05-27T07:32:00Z",
    "0x7fffffffffffffff",
    "\\u0000",
    "\\U0010FFFF",
    "\u{e9}",
    "\u{1f600}",
];

const YAML: &[&str] = &[
    "!HardwareMap",
    "!CRS",
    "!Crate",
    "!Wafer",
    "!Channel",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "&a ",
    "*a",
    "<<: ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "|\n",
    ">\n",
    "? ",
    "!!",
    "!!binary ",
    "!!float ",
    "~",
    "null",
    "\"",
    "'",
    "#",
    "serial: ",
    "hostname: ",
    "slots: ",
    "slot: ",
    "crate: ",
    "0o17",
    "0x1f",
    ".nan",
    ".inf",
    "1_000",
    "\u{e9}",
    "\u{feff}",
    "\t",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_folders_have_files_of_their_endings() {
        assert!(TARGETS.iter().any(|target| !target.golden.is_empty()));
        for target in &TARGETS {
            for (folder, ending) in target.golden {
                let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("..")
                    .join(folder);
                let mut entries = std::fs::read_dir(&folder).unwrap();
                let any = entries.any(|entry| {
                    let name = entry.unwrap().file_name();
                    name.to_string_lossy().ends_with(ending)
                });
                assert!(any, "{} {ending}", folder.display());
            }
        }
    }
}
