//! Run as `comfyrec with -- cargo test`. Each test has a server of its own.

use recipe::{ask, run, text_of};

/// A fresh server; it ends with the test.
struct Server {
    url: String,
    control: String,
}

impl Server {
    fn new(body: &str) -> Server {
        let own = std::env::var("COMFYUI_URL").expect("run as 'comfyrec with -- cargo test'");
        let made = ask("POST", &format!("{own}/__fake__/servers"), body).unwrap();
        Server {
            url: text_of(&made, "url").unwrap(),
            control: text_of(&made, "control_url").unwrap(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        ask("DELETE", &self.control, "").unwrap();
    }
}

const WORKFLOW: &str = include_str!("../../workflow.json");

#[test]
fn a_run_that_succeeds() {
    let server = Server::new(r#"{"scenario": "success"}"#);
    assert_eq!(run(&server.url, WORKFLOW).unwrap(), "success");
}

#[test]
fn a_node_that_fails() {
    let server = Server::new(r#"{"plan": {"1": {"raise": "out of memory"}}}"#);
    assert_eq!(run(&server.url, WORKFLOW).unwrap(), "error");
}

#[test]
fn a_prompt_behind_others() {
    let server = Server::new(r#"{"scenario": "queued-behind"}"#);
    assert_eq!(run(&server.url, WORKFLOW).unwrap(), "success");
}
