//! Tests of requests that the daemon `twotone serve` must refuse: from other programs at its port,
//! and from pages in a browser.

use super::Daemon;
use super::http::{daemon, request};
use super::jobs::slow;

/// Header lines that disguise a request as another one, or as one from a client that has
/// permission.
const DISGUISES: [&[&str]; 9] = [
    &["Host: localhost"],
    &["Host: 127.0.0.1:8742", "X-HTTP-Method-Override: POST"],
    &[
        "Host: localhost",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: PUT",
    ],
    &[
        "Host: [::1]",
        "Authorization: Basic cm9vdDpyb290",
        "Cookie: user=root",
    ],
    &[
        "Host: localhost",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
    ],
    &["Host: localhost", "Content-Type: text/plain", "Accept: */*"],
    &[
        "Host: localhost",
        "Origin: http://localhost",
        "Sec-Fetch-Site: same-origin",
    ],
    &[
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
    ],
    &["Host: unix", "X-Forwarded-Host: localhost"],
];

#[test]
fn the_port_changes_nothing_whatever_a_request_says() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    // Starts a job (a command that the daemon runs). If a request were accepted, it would end this
    // job.
    let id = daemon.detach(&["tune", "--out", "tonight"]);
    daemon.wait_for(id, "running");
    let before = daemon.json("/jobs").as_array().unwrap().len();
    let methods = [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post", "GET",
    ];
    let paths = [
        "/jobs/1/cancel",
        "/jobs/1/cancel/",
        "http://127.0.0.1/jobs/1/cancel",
        "/jobs?method=POST&_method=POST",
        "/jobs/1/cancel?abandon=true",
        "/healthz/../jobs",
    ];
    for method in methods {
        for path in paths {
            let body = match path.contains("cancel") {
                true => "{}",
                false => "{\"command\":[\"off\"]}",
            };
            for lines in DISGUISES {
                let (status, answer) =
                    daemon.send_by_port(&request(&format!("{method} {path}"), lines, body));
                let is_list = method == "GET" && path.starts_with("/jobs?");
                let is_refused = matches!(status, 403..=405);
                assert!(
                    is_refused || (is_list && status == 200),
                    "{method} {path} {lines:?}: {status} {answer}"
                );
            }
        }
    }
    assert_eq!(daemon.json("/jobs").as_array().unwrap().len(), before);
    let job = daemon.job(id);
    assert_eq!(job["cancelled"], false, "{job}");
}

#[test]
fn questions_for_another_host_and_of_pages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let cases: &[(&str, &[&str], u16)] = &[
        ("", &["Host: localhost:8742"], 200),
        ("", &["Host: 127.0.0.1", "Sec-Fetch-Site: none"], 200),
        ("http://127.0.0.1:8742", &["Host: localhost"], 200),
        // A web page can make its own host name lead to this computer. The `Host` line then has
        // that name.
        ("", &["Host: evil.example:8742"], 403),
        (
            "",
            &["Host: evil.example", "Sec-Fetch-Site: same-origin"],
            403,
        ),
        ("", &["Host: 127.0.0.1.evil.example"], 403),
        ("", &["Host: localhost@evil.example"], 403),
        ("", &["Host: 192.0.2.1"], 403),
        ("", &["Host: 0.0.0.0"], 403),
        ("", &["Host:"], 403),
        ("", &[], 403),
        // These requests name two hosts, one of which is right.
        ("http://evil.example", &["Host: localhost"], 403),
        ("", &["Host: localhost", "Host: evil.example"], 403),
        ("", &["Host: evil.example", "Host: localhost"], 403),
        // These requests come from a page of another site: from a script, or to load an image.
        ("", &["Host: localhost", "Origin: http://evil.example"], 403),
        (
            "",
            &["Host: localhost", "Origin: http://localhost:3000"],
            403,
        ),
        ("", &["Host: localhost", "Origin: null"], 403),
        ("", &["Host: localhost", "Sec-Fetch-Site: cross-site"], 403),
        ("", &["Host: localhost", "Sec-Fetch-Site: same-site"], 403),
    ];
    for path in ["/healthz", "/metrics", "/boards", "/runs", "/jobs"] {
        for method in ["GET", "HEAD"] {
            for (prefix, lines, expected) in cases {
                let first = format!("{method} {prefix}{path}");
                let (status, answer) = daemon.send_by_port(&request(&first, lines, ""));
                assert_eq!(status, *expected, "{first} {lines:?}: {answer}");
            }
        }
    }
}

/// Requests that browsers send for a page of `http://evil.example`: from a form, and from a script
/// that needs no permission (`fetch` with `no-cors`).
const PAGES: [&[&str]; 3] = [
    &[
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Content-Type: text/plain",
        "Origin: http://evil.example",
        "Referer: http://evil.example/",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: cross-site",
    ],
    &[
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/126.0.0.0 Safari/537.36",
        "Content-Type: text/plain;charset=UTF-8",
        "Origin: http://evil.example",
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Mode: no-cors",
        "Sec-Fetch-Site: cross-site",
    ],
    // The page has no origin, because it is in a sandboxed frame or was loaded from a file.
    &["Content-Type: text/plain", "Origin: null"],
];

#[test]
fn a_page_in_a_browser_posts_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let command = "{\"command\":[\"off\"]}";
    for page in PAGES {
        for host in ["Host: 127.0.0.1:8742", "Host: evil.example:8742"] {
            let lines = [&[host], page].concat();
            for path in ["POST /jobs", "POST /jobs/1/cancel"] {
                let request = request(path, &lines, command);
                // The Unix socket must refuse these requests too, because somebody may have
                // forwarded a port to it.
                for (status, answer) in [
                    daemon.send_by_port(&request),
                    daemon.send_by_socket(&request),
                ] {
                    assert_eq!(status, 403, "{lines:?}: {answer}");
                }
            }
        }
    }
    assert_eq!(daemon.json("/jobs"), serde_json::json!([]));
}
