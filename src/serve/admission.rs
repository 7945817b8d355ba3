//! Decides which requests the daemon answers, depending on the endpoint (the kind of socket over
//! which the client has connected) and on the client.

use hyper::{Method, Request, StatusCode, header};

/// Kind of the socket over which a request was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The control socket, which only its owner and its group can open. Commands are accepted. The
    /// number is the user number of the user who connected, if it is known.
    Control(Option<u32>),
    /// A TCP port of this host, which every program on the host can open. Only read-only requests
    /// are accepted.
    Ask,
}

/// Checks if a request is accepted. If not, the error is the HTTP status and the reason.
pub(super) fn allowed<T>(
    endpoint: Endpoint,
    request: &Request<T>,
) -> Result<(), (StatusCode, String)> {
    let is_question = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_question && *request.method() != Method::POST {
        let why = format!("{} is not known here", request.method());
        return Err((StatusCode::METHOD_NOT_ALLOWED, why));
    }
    if is_of_a_page(request) {
        let why = "pages in a browser get no answers and give no commands".to_owned();
        return Err((StatusCode::FORBIDDEN, why));
    }
    if matches!(endpoint, Endpoint::Control(_)) {
        return Ok(());
    }
    if !is_question {
        let why = "this address only answers questions; give commands by the socket of the daemon \
                   (--host unix:PATH)";
        return Err((StatusCode::METHOD_NOT_ALLOWED, why.to_owned()));
    }
    if !is_for_this_host(request) {
        let why = "the request is for another host: use 127.0.0.1 or localhost".to_owned();
        return Err((StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

/// True if a web page in a browser has sent the request. It is false for a program, and for a user
/// who has typed the address in a browser.
fn is_of_a_page<T>(request: &Request<T>) -> bool {
    let headers = request.headers();
    let sites = headers.get_all("sec-fetch-site");
    let mut foreign = sites
        .iter()
        .filter(|site| !matches!(site.as_bytes(), b"none" | b"same-origin"));
    headers.contains_key(header::ORIGIN) || foreign.next().is_some()
}

/// True if every host name in the request is a name of this host. A web page from another server,
/// whose name was made to resolve to this host (DNS rebinding), sends the name of its server
/// instead.
fn is_for_this_host<T>(request: &Request<T>) -> bool {
    let headers = request.headers().get_all(header::HOST).iter();
    let headers = headers.map(|host| host.to_str().unwrap_or_default());
    let names = headers.chain(request.uri().authority().map(|named| named.as_str()));
    let names: Vec<_> = names.collect();
    !names.is_empty() && names.into_iter().all(is_this_host)
}

/// True if a `Host` header is `localhost` or a loopback address. Nobody can register these names
/// for another server.
fn is_this_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address: Option<std::net::IpAddr> = name.parse().ok();
    name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_host_are_taken_for_it() {
        let own = [
            "localhost",
            "LOCALHOST:8742",
            "127.0.0.1",
            "127.0.0.1:8742",
            "127.9.9.9:1",
        ];
        let own = own.iter().chain(&["[::1]", "[::1]:8742"]);
        own.for_each(|host| assert!(is_this_host(host), "{host}"));
        let others = [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
        ];
        let others = others
            .iter()
            .chain(&["192.0.2.1:8742", "0.0.0.0", "[2001:db8::1]:80", ":80"]);
        others.for_each(|host| assert!(!is_this_host(host), "{host}"));
    }
}
