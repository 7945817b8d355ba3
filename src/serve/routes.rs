//! Routes of the daemon's HTTP interface: the requests of its clients, and the answers. A *job* is
//! a command that the daemon carries out. A *follower* is a client that receives the events of a
//! job.

use std::fs::{self, File};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Sender;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Channel, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tworoutine::{offload, runtime};

use super::admission::{Endpoint, allowed};
use super::api::{Cancel, Disk, Event, JobReport, Refusal, State, Submission};
use super::boards::Boards;
use super::job::{Job, Origin, Position, line};
use super::jobs::Jobs;
use super::metrics;
use super::records::Events;
use crate::record::Room;
use crate::release;

/// HTTP response of the daemon.
type Answer = Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

/// Everything that is needed to answer requests.
pub(crate) struct Routes {
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) boards: Arc<Boards>,
    /// Folder of the run directories.
    pub(crate) runs: PathBuf,
    /// Function that returns true if the daemon works.
    pub(crate) is_well: Box<dyn Fn() -> bool + Send + Sync>,
    /// Number of requests since the start.
    pub(crate) requests: AtomicU64,
    /// Permits for the memory that large bodies of requests take, one for each KiB.
    pub(crate) room: Arc<Semaphore>,
}

/// Largest number of bytes of the body of a request. The largest bodies are commands with their
/// files as JSON strings: a map, parameters, and the true detectors of simulated boards.
const BODY_BYTES: usize = 320 << 20;

/// Memory for the large bodies of all requests and for the files of all jobs together, in KiB.
pub(crate) const ROOM_KIB: usize = 512 << 10;

/// Largest number of bytes of a body that needs no permit for its memory.
const SMALL_BYTES: u64 = 64 << 10;

/// Longest time for receiving the body of a request.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// Largest number of run directories in an answer. If there are more, the answer has the latest.
const MOST_RUNS: usize = 1000;

impl Routes {
    /// Answers a request.
    pub(crate) async fn answer(&self, endpoint: Endpoint, request: Request<Incoming>) -> Answer {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Err((status, why)) = allowed(endpoint, &request) {
            return refused(status, why);
        }
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let is_post = request.method() == Method::POST;
        match parts[..] {
            ["healthz"] if !is_post => self.health(),
            ["metrics"] if !is_post => self.metrics(),
            ["boards"] if !is_post => {
                json_answer(StatusCode::OK, &self.boards.reports_with_flashes().await)
            }
            ["runs"] if !is_post => self.runs().await,
            ["disk"] if !is_post => self.disk().await,
            ["jobs"] if !is_post => json_answer(StatusCode::OK, &self.jobs.reports()),
            ["jobs"] => self.submit(endpoint, request).await,
            ["jobs", id] if !is_post => match self.jobs.report(number(id)) {
                Some(report) => json_answer(StatusCode::OK, &report),
                None => no_job(id),
            },
            ["jobs", id, "events"] if !is_post => self.events(id, &request).await,
            ["jobs", id, "cancel"] if is_post => match body::<Cancel>(request).await {
                Err((status, why)) => refused(status, why),
                Ok(Cancel { abandon }) => match self.jobs.cancel(number(id), abandon) {
                    true => json_answer(StatusCode::OK, &json!({})),
                    false => match self.jobs.report(number(id)) {
                        Some(_) => refused(StatusCode::CONFLICT, format!("job {id} is over")),
                        None => no_job(id),
                    },
                },
            },
            _ => refused(
                StatusCode::NOT_FOUND,
                format!("there is nothing at {path} for {}", request.method()),
            ),
        }
    }

    fn health(&self) -> Answer {
        let is_well = (self.is_well)();
        let counts = *self.boards.counts().borrow();
        let status = match is_well {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let report = json!({
            "ok": is_well,
            "version": release::VERSION,
            "commit": release::COMMIT,
            "boards": {"connected": counts.connected, "of": counts.of},
            "jobs": {
                "running": self.jobs.count(State::Running),
                "queued": self.jobs.count(State::Queued),
            },
        });
        json_answer(status, &report)
    }

    fn metrics(&self) -> Answer {
        let requests = self.requests.load(Ordering::Relaxed);
        match metrics::text(&self.boards.reports(), &self.jobs, requests) {
            Ok(text) => {
                let mut answer = Response::new(full(text));
                let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    async fn runs(&self) -> Answer {
        let folder = self.runs.clone();
        match offload(move || runs(&folder)).await {
            Ok(runs) => json_answer(StatusCode::OK, &runs),
            Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    async fn disk(&self) -> Answer {
        let folder = self.runs.clone();
        // The folder may be on a network file system, which may block for long, so this must not
        // run in the event loop.
        let room = offload(move || Room::of(File::open(folder).ok()?)).await;
        let disk = Disk {
            runs: self.runs.display().to_string(),
            free_bytes: room.map(|room| room.bytes),
            free_files: room.and_then(|room| room.files),
        };
        json_answer(StatusCode::OK, &disk)
    }

    async fn submit(&self, endpoint: Endpoint, request: Request<Incoming>) -> Answer {
        let user = match endpoint {
            Endpoint::Control(user) => user,
            Endpoint::Ask => None,
        };
        let room = match self.room_for(&request) {
            Ok(room) => room,
            Err((status, why)) => return refused(status, why),
        };
        let submission = match body::<Submission>(request).await {
            Ok(submission) => submission,
            Err((status, why)) => return refused(status, why),
        };
        let jobs = Arc::clone(&self.jobs);
        // Looking up the user's name and writing the job's record to disk block, so they must not
        // run in the event loop.
        let submitted = offload(move || {
            let user = user.map(name);
            jobs.submit(submission, Origin { user, room })
        });
        match submitted.await {
            Ok(job) => json_answer(StatusCode::CREATED, &job.report()),
            Err(why) => refused(StatusCode::BAD_REQUEST, why),
        }
    }

    /// Acquires memory for the body of a request. Returns `None` if the body is so small that it
    /// needs no permit.
    fn room_for(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Option<OwnedSemaphorePermit>, (StatusCode, String)> {
        let Some(bytes) = request.body().size_hint().exact() else {
            let why = "the request does not say its length".to_owned();
            return Err((StatusCode::LENGTH_REQUIRED, why));
        };
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let room = Arc::clone(&self.room);
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        if bytes > BODY_BYTES as u64 {
            return Err(too_large());
        }
        match room.try_acquire_many_owned(kib) {
            Ok(room) => Ok(Some(room)),
            Err(_) => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "the files of other jobs take all the room that there is; give the command again \
                 when they are over"
                    .to_owned(),
            )),
        }
    }

    async fn events(&self, id: &str, request: &Request<Incoming>) -> Answer {
        let from = query(request, "from").unwrap_or(0);
        let (sender, body) = Channel::new(1);
        if let Some(job) = self.jobs.unfinished_job(number(id)) {
            runtime().spawn(send_events(job, from, sender));
            return lines(body.boxed_unsync());
        }
        let Some(report) = self.jobs.report(number(id)) else {
            return no_job(id);
        };
        let (jobs, of) = (Arc::clone(&self.jobs), report.id);
        match offload(move || jobs.records().events(of)).await {
            Ok(events) => {
                runtime().spawn(send_record(events, report, from, sender));
                lines(body.boxed_unsync())
            }
            Err(error) => refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the events of job {id} cannot be read: {error}"),
            ),
        }
    }
}

/// Sends the events of a job until the job is over or the follower has disconnected.
async fn send_events(job: Arc<Job>, from: usize, mut sender: Sender<Bytes>) {
    let mut place = Position::from(from);
    while let Some(lines) = job.next(&mut place).await {
        for line in lines {
            if sender.send_data(line).await.is_err() {
                return;
            }
        }
    }
}

/// Sends the recorded events of a job that is over, line by line.
async fn send_record(
    mut events: Option<Events>,
    report: JobReport,
    from: usize,
    mut sender: Sender<Bytes>,
) {
    if let (None, Some(status)) = (&events, report.status) {
        let text = "the output of this job is not on record: it could not be written when the job \
                    ended, as on a full disk";
        let text = text.to_owned();
        for event in [Event::Err { text }, Event::Ended { status }] {
            // An error means that the follower has disconnected, so nobody needs the rest.
            let _ = sender.send_data(line(&event)).await;
        }
        return;
    }
    let mut left_out = from;
    while let Some(mut opened) = events.take() {
        let read = offload(move || {
            let mut line = Vec::new();
            let read = opened.read_until(b'\n', &mut line);
            read.map(|bytes| (bytes > 0).then_some((opened, line)))
        });
        match read.await {
            Ok(Some((opened, line))) => {
                events = Some(opened);
                if left_out > 0 {
                    left_out -= 1;
                } else if sender.send_data(line.into()).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            // The stream ends without an event that ends the job, so the follower knows that events
            // are missing.
            Err(error) => {
                tracing::warn!(%error, "the events of a job cannot be read");
                return;
            }
        }
    }
    if report.state == State::Interrupted {
        let _ = sender.send_data(line(&Event::Interrupted)).await;
    }
}

/// Returns the name of a user, or the user's number if there is no name.
fn name(user: u32) -> String {
    let found = nix::unistd::User::from_uid(user.into());
    let named = found.ok().flatten().map(|user| user.name);
    named.unwrap_or_else(|| user.to_string())
}

/// Returns the job number in a part of a path. Returns 0, which is the number of no job, if the
/// part is not a number.
fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// Returns the number that the query of a request has for `key`, if it has one.
fn query<T>(request: &Request<T>, key: &str) -> Option<usize> {
    let mut pairs = request.uri().query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

/// Reads the body of a request, which is JSON. An empty body stands for an empty JSON object.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, (StatusCode, String)> {
    let declared = request.body().size_hint().lower();
    if declared > BODY_BYTES as u64 {
        return Err(too_large());
    }
    let read = Limited::new(request.into_body(), BODY_BYTES).collect();
    let bytes = match timeout(BODY_WITHIN, read).await {
        Err(_) => {
            let why = format!("the request did not come within {BODY_WITHIN:?}");
            return Err((StatusCode::REQUEST_TIMEOUT, why));
        }
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err((StatusCode::BAD_REQUEST, error.to_string())),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn too_large() -> (StatusCode, String) {
    let why = format!("the request has more than {BODY_BYTES} bytes");
    (StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// A run directory.
#[derive(Debug, Serialize)]
struct Run {
    name: String,
    path: String,
    /// Time of the last change of the manifest, in seconds since the start of 1970.
    changed: Option<f64>,
}

/// Returns the latest run directories in a folder, in the order of their times.
fn runs(folder: &Path) -> std::io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(manifest) = path.join("manifest.json").metadata() else {
            continue;
        };
        let changed = manifest.modified().ok();
        let since = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        runs.push(Run {
            name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            path: path.display().to_string(),
            changed: since.map(|time| time.as_secs_f64()),
        });
    }
    runs.sort_by(|a, b| {
        let times = a.changed.partial_cmp(&b.changed);
        times
            .unwrap_or(std::cmp::Ordering::Equal)
            .then_with(|| a.name.cmp(&b.name))
    });
    Ok(runs.split_off(runs.len().saturating_sub(MOST_RUNS)))
}

fn no_job(id: &str) -> Answer {
    refused(StatusCode::NOT_FOUND, format!("there is no job {id}"))
}

fn refused(status: StatusCode, why: String) -> Answer {
    json_answer(status, &Refusal { error: why })
}

fn json_answer(status: StatusCode, value: &impl Serialize) -> Answer {
    let (status, text) = match serde_json::to_string(value) {
        Ok(text) => (status, text + "\n"),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut answer = Response::new(full(text));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// Returns an answer with a body that consists of lines of JSON.
fn lines(body: UnsyncBoxBody<Bytes, std::convert::Infallible>) -> Answer {
    let mut answer = Response::new(body);
    let kind = HeaderValue::from_static("application/x-ndjson");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn full(text: String) -> UnsyncBoxBody<Bytes, std::convert::Infallible> {
    Full::new(Bytes::from(text)).boxed_unsync()
}
