//! An HTTP endpoint.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

use super::batched::{self, Batched, sixteen};
use super::pool::{Patience, Pool, Worker};
use super::{Failure, four, half_a_minute, message};
use crate::rubric::{Settings, settings};
use crate::rule::Rule;

settings! {
    /// What an HTTP endpoint says: requests are POSTed as JSON.
    Http {
        /// Where to: `http://localhost:8000/score`; `https` too.
        url: String,
        /// A file with headers for every request, one a line: `Authorization: Bearer …`. What it says is written nowhere
        /// else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headers_file: Option<PathBuf>,
        /// A PEM file with the certificates that an `https` endpoint's must go back to; the public authorities where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificates_file: Option<PathBuf>,
        /// True where a value of 1 or more says that the answer is right, and a lesser one that it is wrong.
        #[serde(default)]
        judges: bool,
        /// Most completions in a request.
        #[serde(default = "sixteen")]
        batch: usize,
        /// Requests at a time.
        #[serde(default = "four")]
        workers: usize,
        /// Seconds that a request may take, all in all.
        #[serde(default = "half_a_minute")]
        timeout_s: f64,
        /// How often a request is put again before its completions are left out: where there is no connection or no
        /// sound answer, and after the status codes 408, 429 and 5xx.
        #[serde(default = "three")]
        retries: usize,
        /// Seconds before the first of them; doubled for each further one.
        #[serde(default = "half_a_second")]
        backoff_s: f64,
    }
}

fn three() -> usize {
    3
}

fn half_a_second() -> f64 {
    0.5
}

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 64 << 20;

impl Settings for Http {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if !(self.url.starts_with("http://") || self.url.starts_with("https://")) {
            return Err(("url", format!("is `{}`, and must begin with http:// or https://", self.url)));
        }
        batched::check(self.batch)?;
        let sound = self.backoff_s >= 0.0 && self.backoff_s <= 1e6;
        if !sound {
            return Err(("backoff_s", format!("is {}, and must be between 0 and 1e6", self.backoff_s)));
        }
        super::check(self.workers, self.timeout_s)
    }

    fn rule(&self) -> Arc<dyn Rule> {
        let own = self.clone();
        Arc::new(Batched::new("http", format!("`url` {}", own.url), own.judges, own.batch, move || {
            let patience = Patience { retries: own.retries, backoff: Duration::from_secs_f64(own.backoff_s) };
            let client = own.client().map(Arc::new);
            let url = own.url.clone();
            Pool::start(own.workers, patience, move || Endpoint { url: url.clone(), client: client.clone() })
        }))
    }
}

impl Http {
    fn client(&self) -> Result<Client, Failure> {
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs_f64(self.timeout_s)))
            .http_status_as_error(false)
            // No environment variable changes a run.
            .proxy(None);
        if let Some(path) = &self.certificates_file {
            let roots = RootCerts::from(certificates(path).map_err(|why| wrong("certificates_file", path, &why))?);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let headers = match &self.headers_file {
            Some(path) => headers(path).map_err(|why| wrong("headers_file", path, &why))?,
            None => Vec::new(),
        };
        Ok(Client { agent: ureq::Agent::new_with_config(config.build()), headers })
    }
}

fn wrong(key: &str, path: &Path, why: &str) -> Failure {
    Failure::new(format!("`{key}` {}: {why}", path.display())).for_good()
}

/// The names and values in a file. What is wrong with a line is said without it: it may be a secret.
fn headers(path: &Path) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    lines.map(|line| header(line.1).ok_or_else(|| format!("line {} is no `Name: value`", line.0 + 1))).collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        if let PemItem::Certificate(one) = item.map_err(|error| error.to_string())? {
            found.push(one);
        }
    }
    if found.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(found) }
}

/// What sends requests.
struct Client {
    agent: ureq::Agent,
    headers: Vec<(HeaderName, HeaderValue)>,
}

struct Endpoint {
    url: String,
    /// Or why there is none.
    client: Result<Arc<Client>, Failure>,
}

impl Worker for Endpoint {
    /// A request about no completion at all is answered with no scores.
    fn open(&mut self) -> Result<String, Failure> {
        let answer = self.ask(&message::request(&[], false))?;
        message::verdicts(&answer, 0)?;
        Ok(answer)
    }

    fn ask(&mut self, request: &str) -> Result<String, Failure> {
        let Client { agent, headers } = &**self.client.as_ref().map_err(Failure::clone)?;
        let post = agent.post(&self.url).content_type("application/json");
        let post = headers.iter().fold(post, |post, (name, value)| post.header(name, value));
        let mut response = post.send(request).map_err(|error| Failure::new(format!("POST: {error}")))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        let body = body.map_err(|error| Failure::new(format!("read the answer: {error}")))?;
        if status.is_success() {
            return Ok(body);
        }
        let failure = Failure::new(format!("the endpoint answered {status}")).saying(&body);
        let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        Err(if passing { failure } else { failure.for_good() })
    }
}
