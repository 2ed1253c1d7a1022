//! A small client: it posts a workflow and waits for the end of its prompt.
//!
//! It uses nothing but the standard library, so that it runs anywhere; a real one would take
//! `reqwest` and `serde_json`.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Posts a workflow in API format and gives `success` or `error`, as the history has it.
pub fn run(url: &str, workflow: &str) -> Result<String> {
    let body = format!(r#"{{"prompt": {workflow}, "client_id": "rust"}}"#);
    let accepted = ask("POST", &format!("{url}/prompt"), &body)?;
    let id = text_of(&accepted, "prompt_id")?;
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let history = ask("GET", &format!("{url}/history/{id}"), "")?;
        if history.contains(&id) {
            return text_of(&history, "status_str");
        }
        sleep(Duration::from_millis(20));
    }
    Err(other(format!("prompt {id} did not end")))
}

/// The body of the answer to one request.
pub fn ask(method: &str, url: &str, body: &str) -> Result<String> {
    let address = url.trim_start_matches("http://");
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        return Err(other(format!("{method} {url}: {answer}")));
    }
    Ok(content.to_owned())
}

/// The text member of that name in a piece of JSON.
pub fn text_of(json: &str, name: &str) -> Result<String> {
    let after = json.split_once(&format!("\"{name}\"")).map(|(_, rest)| rest);
    let text = after.and_then(|rest| rest.split('"').nth(1));
    text.map(str::to_owned).ok_or_else(|| other(format!("no {name} in {json}")))
}

fn other(sentence: String) -> Error {
    Error::new(ErrorKind::Other, sentence)
}
