//! An HTTP endpoint.

use std::sync::Arc;
use std::time::Duration;

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
        let Http { url, timeout_s, retries, backoff_s, workers, judges, batch, .. } = self.clone();
        Arc::new(Batched::new("http", format!("`url` {url}"), judges, batch, move || {
            let patience = Patience { retries, backoff: Duration::from_secs_f64(backoff_s) };
            let config = ureq::Agent::config_builder()
                .timeout_global(Some(Duration::from_secs_f64(timeout_s)))
                .http_status_as_error(false)
                // No environment variable changes a run.
                .proxy(None)
                .build();
            let agent = ureq::Agent::new_with_config(config);
            Pool::start(workers, patience, move || Endpoint { url: url.clone(), agent: agent.clone() })
        }))
    }
}

struct Endpoint {
    url: String,
    agent: ureq::Agent,
}

impl Worker for Endpoint {
    /// A request about no completion at all is answered with no scores.
    fn open(&mut self) -> Result<String, Failure> {
        let answer = self.ask(&message::request(&[], false))?;
        message::verdicts(&answer, 0)?;
        Ok(answer)
    }

    fn ask(&mut self, request: &str) -> Result<String, Failure> {
        let post = self.agent.post(&self.url).content_type("application/json");
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
