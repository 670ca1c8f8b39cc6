use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::tempdir;

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

/// A request that the server got.
struct Got {
    time: Instant,
    /// Its first line and its headers.
    head: String,
    body: Value,
}

/// A server that answers its requests with `replies` in turn, and the last of them from then on; its address, and the
/// requests it got.
fn serve(replies: Vec<Reply>) -> (String, Receiver<Got>) {
    serve_behind("http", replies, Ok)
}

/// The same behind whatever `wrap` makes of a connection, which may fail.
fn serve_behind<S: Read + Write>(
    scheme: &str,
    replies: Vec<Reply>,
    wrap: impl Fn(TcpStream) -> std::io::Result<S> + Clone + Send + 'static,
) -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}/score", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            let reply = replies[i.min(replies.len() - 1)].clone();
            let (sender, wrap) = (sender.clone(), wrap.clone());
            // A client that does not like the server hangs up.
            thread::spawn(move || wrap(stream).and_then(|stream| answer(stream, &reply, &sender)));
        }
    });
    (url, requests)
}

fn answer(stream: impl Read + Write, reply: &Reply, sender: &Sender<Got>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body)?;
    let _ = sender.send(Got { time: Instant::now(), head, body: request.clone() });
    let length = |one: &Value| one["completion"].as_str().unwrap().len();
    let scores: Vec<usize> = request["samples"].as_array().unwrap().iter().map(length).collect();
    let scores = json!({ "scores": scores }).to_string();
    let (status, body) = match reply {
        Reply::Scores => (200, scores.as_str()),
        Reply::Status(status, body) => (*status, *body),
        Reply::Slow(time) => {
            thread::sleep(*time);
            (200, scores.as_str())
        }
        Reply::HangUp => return Ok(()),
    };
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.get_mut().write_all((head + body).as_bytes())?;
    stream.get_mut().flush()
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
    assert_eq!(requests.recv().unwrap().body, json!({"step": null, "samples": []}));
    let texts = ["a", "ab", "abc", "abcd", "abcde"];
    let scores = scored(&endpoint, &texts, json!({"source": "here", "level": 3}));
    assert_eq!(totals(&scores), [1.0, 2.0, 3.0, 4.0, 5.0].map(Some));
    let mut sizes: Vec<usize> = Vec::new();
    for _ in 0..3 {
        let request = requests.recv().unwrap().body;
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
    let times: Vec<Instant> = requests.try_iter().map(|got| got.time).collect();
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

#[test]
fn headers_come_from_a_file_and_are_shown_to_nobody() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("headers");
    fs::write(&file, "Authorization: Bearer s3cret\n\nX-Lab:  here \n").unwrap();
    let (url, requests) = serve(vec![Reply::Status(401, "who are you?")]);
    let strict = endpoint(&url, json!({"headers_file": file}));
    let told = strict.open().remove(0).1;
    assert!(told.contains("401") && !told.contains("s3cret"), "{told}");
    let head = requests.recv().unwrap().head.to_ascii_lowercase();
    assert!(head.contains("\r\nauthorization: bearer s3cret\r\n") && head.contains("\r\nx-lab: here\r\n"), "{head}");

    for (text, why) in
        [("Authorization: a\nBearer s3cret\n", "line 2 is no `Name: value`"), ("s3 cret: x", "line 1 is no")]
    {
        fs::write(&file, text).unwrap();
        let told = endpoint(&url, json!({"headers_file": file})).open().remove(0).1;
        let named = format!("`headers_file` {}: {why}", file.display());
        assert!(told.contains(&named) && !told.contains("cret"), "{told}");
    }
    let told = endpoint(&url, json!({"headers_file": folder.path().join("none")})).open().remove(0).1;
    assert!(told.contains("No such file"), "{told}");
}

/// A certificate of the server's own making is trusted where a file says so, and nowhere else.
#[test]
fn https_asks_for_a_certificate_that_is_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let (url, requests) = serve_behind("https", vec![Reply::Scores], move |stream| {
        let session = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(session, stream))
    });
    let folder = tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let trusting = || endpoint(&url, json!({"certificates_file": file, "retries": 0}));

    let told = endpoint(&url, json!({"retries": 0})).open().remove(0).1;
    assert!(told.to_lowercase().contains("certificate"), "{told}");
    let told = trusting().open().remove(0).1;
    assert!(told.contains("`certificates_file`") && told.contains("No such file"), "{told}");
    fs::write(&file, "trust me").unwrap();
    let told = trusting().open().remove(0).1;
    assert!(told.contains("holds no certificate in PEM"), "{told}");
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(&file, other.cert.pem()).unwrap();
    let told = trusting().open().remove(0).1;
    assert!(told.to_lowercase().contains("certificate"), "{told}");
    assert_eq!(requests.try_iter().count(), 0, "nothing was said to a server that is not trusted");

    fs::write(&file, other.cert.pem() + &made.cert.pem()).unwrap();
    assert_eq!(trusting().open(), []);
    assert_eq!(totals(&scored(&trusting(), &["abc", "d"], json!({}))), [Some(3.0), Some(1.0)]);
}
