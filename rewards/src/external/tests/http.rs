use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{failure, rubric, scored, totals};
use crate::Rubric;

/// What the server does with a request.
#[derive(Clone)]
enum Reply {
    /// Scores each completion by its length.
    Scores,
    Status(u16, &'static str),
    Slow(Duration),
    HangUp,
}

/// A server that answers its requests with `replies` in turn, and the last of them from then on; its address, and the
/// requests it got with their time.
fn serve(replies: Vec<Reply>) -> (String, Receiver<(Instant, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/score", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let reply = replies[i.min(replies.len() - 1)].clone();
            let sender = sender.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let request: Value = serde_json::from_slice(&body).unwrap();
                let _ = sender.send((Instant::now(), request.clone()));
                let length = |one: &Value| one["completion"].as_str().unwrap().len();
                let scores: Vec<usize> = request["samples"].as_array().unwrap().iter().map(length).collect();
                let scores = json!({ "scores": scores }).to_string();
                let (status, body) = match &reply {
                    Reply::Scores => (200, scores.as_str()),
                    Reply::Status(status, body) => (*status, *body),
                    Reply::Slow(time) => {
                        thread::sleep(*time);
                        (200, scores.as_str())
                    }
                    Reply::HangUp => return,
                };
                let head =
                    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + body).as_bytes());
            });
        }
    });
    (url, requests)
}

fn endpoint(url: &str, more: Value) -> Rubric {
    let mut settings = json!({"url": url, "workers": 1, "timeout_s": 20, "retries": 2, "backoff_s": 0.01});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rubric("http", settings)
}

#[test]
fn an_endpoint_scores_batches() {
    let (url, requests) = serve(vec![Reply::Scores]);
    let endpoint = endpoint(&url, json!({"batch": 2, "workers": 3}));
    assert!(endpoint.open().is_empty());
    assert_eq!(requests.recv().unwrap().1, json!({"step": null, "samples": []}));
    let texts = ["a", "ab", "abc", "abcd", "abcde"];
    let scores = scored(&endpoint, &texts, json!({"source": "here", "level": 3}));
    assert_eq!(totals(&scores), [1.0, 2.0, 3.0, 4.0, 5.0].map(Some));
    let mut sizes: Vec<usize> = Vec::new();
    for _ in 0..3 {
        let (_, request) = requests.recv().unwrap();
        assert_eq!(request["step"], 5);
        let first = &request["samples"][0];
        assert_eq!(
            (&first["expected"], &first["source"], &first["columns"]["level"]),
            (&json!("gold"), &json!("here"), &json!(3))
        );
        sizes.push(request["samples"].as_array().unwrap().len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2, 2]);
}

#[test]
fn what_passes_is_tried_again_and_waited_for() {
    let replies = vec![Reply::Status(500, "down"), Reply::Status(429, "slowly"), Reply::Scores];
    let (url, requests) = serve(replies);
    let scores = scored(&endpoint(&url, json!({"backoff_s": 0.1})), &["abc"], json!({}));
    assert_eq!(totals(&scores), [Some(3.0)]);
    let times: Vec<Instant> = requests.try_iter().map(|(time, _)| time).collect();
    assert_eq!(times.len(), 3);
    assert!(times[1] - times[0] >= Duration::from_millis(100) && times[2] - times[1] >= Duration::from_millis(200));

    let (url, _requests) = serve(vec![Reply::HangUp, Reply::Status(200, "<html>"), Reply::Scores]);
    assert_eq!(totals(&scored(&endpoint(&url, json!({})), &["abc"], json!({}))), [Some(3.0)]);
    let (url, _requests) = serve(vec![Reply::Slow(Duration::from_secs(5)), Reply::Scores]);
    assert_eq!(totals(&scored(&endpoint(&url, json!({"timeout_s": 1.0})), &["abc"], json!({}))), [Some(3.0)]);
}

#[test]
fn what_does_not_pass_leaves_its_completions_out() {
    let told = |reply: Reply, more: Value| {
        let (url, requests) = serve(vec![reply]);
        let scores = scored(&endpoint(&url, more), &["abc", "d"], json!({}));
        assert_eq!(scores[0], scores[1]);
        (failure(&scores[0]).to_owned(), requests.try_iter().count())
    };
    let (down, n) = told(Reply::Status(503, "busy"), json!({}));
    assert!(down.starts_with("the endpoint answered 503") && down.ends_with("it printed:\nbusy (3 tries)"), "{down}");
    assert_eq!(n, 3);
    // Asked again, the same would come.
    let (refused, n) = told(Reply::Status(404, "no such path"), json!({}));
    assert!(refused.starts_with("the endpoint answered 404") && refused.ends_with("no such path"), "{refused}");
    assert_eq!(n, 1);
    let (short, _) = told(Reply::Status(200, "{\"scores\": [1]}"), json!({}));
    assert_eq!(short, "gave 1 scores for 2 completions (3 tries)");
    let (words, _) = told(Reply::Status(200, "{\"scores\": [\"good\", \"good\"]}"), json!({"retries": 0}));
    assert_eq!(words, "gave \"good\", which is neither a number nor null");
    let (error, _) = told(Reply::Status(200, "{\"error\": \"out of memory\"}"), json!({"retries": 0}));
    assert_eq!(error, "out of memory");
    let (slow, _) = told(Reply::Slow(Duration::from_secs(5)), json!({"timeout_s": 0.2, "retries": 0}));
    assert!(slow.starts_with("POST: timeout") || slow.starts_with("read the answer: timeout"), "{slow}");
}

#[test]
fn an_endpoint_that_is_not_there_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/score", listener.local_addr().unwrap());
    drop(listener);
    let told = endpoint(&url, json!({})).open().remove(0).1;
    assert!(told.starts_with(&format!("http: `url` {url}: POST: ")) && told.contains("refused"), "{told}");
}
