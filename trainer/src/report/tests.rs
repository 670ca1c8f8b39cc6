use std::fmt::Write as _;
use std::process::Command;

use super::columns::{stretches, thin, trend};
use super::summary::duration;
use super::*;

const HOSTILE: &str =
    "</script></pre><script>document.title = 'taken'</script><img src=x onerror=alert(1)>\u{1b}[2J\0\u{202e}";

/// A run of `steps` steps with noise, a spike, gaps and evaluations.
fn synthetic(run: &Path, steps: u64) {
    let mut metrics = String::from("{\"step\":0,\"eval/pass@1\":0.21,\"eval/pass@8\":0.55}\n");
    for step in 1..=steps {
        let done = step as f64 / steps as f64;
        let noise = |key: u64| ((step * 7919 + key * 104_729) % 1000) as f64 / 1000.0 - 0.5;
        let mut line = serde_json::json!({"step": step});
        for (key, number) in [
            ("reward", 0.2 + 0.8 * done + 0.1 * noise(1)),
            ("accuracy", (0.2 + 0.7 * done + 0.1 * noise(1)).clamp(0.0, 1.0)),
            ("format", (0.5 + 0.5 * done + 0.02 * noise(2)).clamp(0.0, 1.0)),
            ("len", 40.0 + 30.0 * done + 4.0 * noise(3)),
            ("len_max", 64.0),
            ("cut", (0.1 * (1.0 - done) + 0.01 * noise(4)).max(0.0)),
            ("kl", 0.01 * done + 0.001 * noise(5).abs()),
            ("clip", 0.01 + 0.01 * noise(6)),
            ("entropy", 1.4 - done + 0.1 * noise(7)),
            ("grad", if step == steps / 2 { f64::NAN } else { 0.8 + 0.4 * noise(8) }),
            ("lr", 1e-3 * (1.0 - done)),
            ("mismatch_max", 0.0),
            ("parity_tokens", 8000.0),
            ("tokens", 8123.0),
            ("ratio_max", if step == steps / 3 { 55.5 } else { 1.2 }),
            ("groups_all_right", (10.0 * done).floor()),
            ("groups_all_wrong", (8.0 * (1.0 - done)).floor()),
            ("perf/seconds/sample", 0.21 + 0.05 * noise(9)),
            ("perf/seconds/score", 0.001),
            ("perf/seconds/update", 0.16 + 0.02 * noise(10)),
            ("perf/seconds/optimizer", 0.01),
            ("perf/score_hidden", 0.98),
            ("perf/seconds", 0.42 + 0.05 * noise(9)),
            ("perf/tokens_per_second", 19_000.0 + 900.0 * noise(9)),
        ] {
            line[key] = number.into();
        }
        if step % (steps / 8).max(1) == 0 {
            line["eval/pass@1"] = (0.21 + 0.7 * done).into();
            line["eval/pass@8"] = (0.55 + 0.4 * done).into();
            line["perf/seconds/eval"] = 1.4.into();
        }
        writeln!(metrics, "{line}").unwrap();
    }
    fs::write(run.join(METRICS), metrics).unwrap();
    fs::write(run.join(RUN_LOG), format!("tiny · 2-layer policy, 1.9M params, cpu · {}\nstep 1\n", run.display()))
        .unwrap();
    fs::write(run.join(CONFIG), format!("name = \"tiny\"\nseed = 7\n[grpo]\nsteps = {steps}\n[model]\ncheckpoint = \"base\"\n[[rewards]]\naccuracy = {{ weight = 1.0 }}\n")).unwrap();
    fs::write(run.join(SAMPLES), samples(steps, "<think>2 + 2 = 4</think>\n<answer>4</answer>")).unwrap();
}

fn samples(steps: u64, completion: &str) -> String {
    let sample = |step: u64, set: Option<&str>, index: u64| {
        let mut line = serde_json::json!({
            "step": step, "index": index, "prompt": "What is 2 + 2?", "completion": completion, "n_tokens": 21,
            "finish": if index.is_multiple_of(3) { "length" } else { "stop" }, "advantage": 0.7, "total": 1.1,
            "parts": [{"rule": "accuracy", "value": 1.0, "weight": 1.0, "note": "4 is the reference"},
                      {"rule": "format", "value": null, "weight": 0.1, "note": ""}],
        });
        if let Some(set) = set {
            line["set"] = set.into();
        }
        format!("{line}\n")
    };
    let training = (1..=steps).flat_map(|step| (0..2).map(move |i| sample(step, None, 2 * step + i)));
    sample(0, Some("held-out"), 5) + &training.collect::<String>() + &sample(steps, Some("held-out"), 5)
}

fn written(run: &Path) -> String {
    let path = write(run).unwrap();
    assert_eq!(path, run.join("report.html"));
    fs::read_to_string(path).unwrap()
}

/// The data that the page's script reads.
fn data(html: &str) -> serde_json::Value {
    let (_, data) = html.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

fn chart<'a>(data: &'a serde_json::Value, title: &str) -> &'a serde_json::Value {
    data["charts"].as_array().unwrap().iter().find(|chart| chart["title"] == title).unwrap()
}

#[test]
fn a_whole_run() {
    let run = tempfile::tempdir().unwrap();
    synthetic(run.path(), 80);
    let html = written(run.path());
    for text in [
        "tiny · 2-layer policy, 1.9M params, cpu",
        "at step 80",
        "80 of 80",
        "0, exact",
        r#"<th scope="row">eval&#x2f;pass@1</th><td>0.210</td><td><b>0.910</b></td><td class="up">+0.700 <span>better</span>"#,
        "The same problem, before and after",
        "<h3>Early</h3>",
        "<h3>Middle</h3>",
        "<h3>Late</h3>",
        "undecided × 0.100",
        "cut at the limit",
        "checkpoint = &quot;base&quot;",
    ] {
        assert!(html.contains(text), "{text:?} is not in the page");
    }
    let data = data(&html);
    let titles: Vec<&str> = data["charts"].as_array().unwrap().iter().filter_map(|c| c["title"].as_str()).collect();
    let main = [
        "Reward",
        "Accuracy and other rules",
        "Held-out problems",
        "Length",
        "Cut",
        "KL",
        "Entropy",
        "Clip share",
        "Gradient norm",
        "Mismatch",
        "Learning rate",
        "Time by phase",
        "Speed",
        "Groups",
    ];
    assert_eq!(titles[..main.len()], main);
    assert!(titles[main.len()..].contains(&"ratio_max"), "{titles:?}");

    let grad = &chart(&data, "Gradient norm")["lines"][0];
    assert_eq!(grad["y"][39], serde_json::Value::Null, "NaN is a gap");
    assert_eq!(chart(&data, "Reward")["lines"][0]["x"][79], 80);
    let layers = chart(&data, "Time by phase")["lines"].as_array().unwrap();
    let keys: Vec<&str> = layers.iter().filter_map(|layer| layer["key"].as_str()).collect();
    let phases = ["sample", "score", "update", "optimizer", "eval"].map(|phase| format!("perf/seconds/{phase}"));
    assert_eq!(keys[..5], phases);
    assert_eq!(keys[5..], ["other"]);
    let all: f64 = layers.iter().map(|layer| layer["y"][9].as_f64().unwrap()).sum();
    let line: serde_json::Value =
        serde_json::from_str(fs::read_to_string(run.path().join(METRICS)).unwrap().lines().nth(10).unwrap()).unwrap();
    let seconds = line["perf/seconds"].as_f64().unwrap() + line["perf/seconds/eval"].as_f64().unwrap();
    assert!((all - seconds).abs() < 1e-3, "layers add up to {all}, the step took {seconds}");

    fs::create_dir(run.path().join("final")).unwrap();
    assert!(written(run.path()).contains(">finished<"));
}

#[test]
fn a_long_run_stays_below_two_megabytes_and_keeps_its_spikes() {
    let run = tempfile::tempdir().unwrap();
    synthetic(run.path(), 20_000);
    fs::write(run.path().join(SAMPLES), samples(20_000, &HOSTILE.repeat(40))).unwrap();
    let html = written(run.path());
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    let data = data(&html);
    let ratio = &chart(&data, "ratio_max")["lines"][0];
    assert!(ratio["y"].as_array().unwrap().contains(&55.5.into()));
    let reward = &chart(&data, "Reward")["lines"][0];
    assert!((1000..=1500).contains(&reward["y"].as_array().unwrap().len()));
    assert_eq!(reward["x"].as_array().unwrap().len(), reward["y"].as_array().unwrap().len());
}

#[test]
fn keys_by_the_hundred_stay_below_two_megabytes() {
    let run = tempfile::tempdir().unwrap();
    let line = |step: u64| {
        let mut line = serde_json::json!({"step": step});
        for key in 0..150 {
            let number = (step * key) as f64 / 7.0;
            line[format!("eval/a set with a long name {key}/pass@1")] = (number.sin().abs()).into();
            line[format!("key {key}")] = number.sin().into();
        }
        format!("{line}\n")
    };
    fs::write(run.path().join(METRICS), (1..=2000).map(line).collect::<String>()).unwrap();
    let html = written(run.path());
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    assert_eq!(chart(&data(&html), "Held-out problems")["lines"].as_array().unwrap().len(), 80);
}

#[test]
fn texts_of_a_run_stay_texts() {
    let run = tempfile::tempdir().unwrap();
    synthetic(run.path(), 4);
    let clean = written(run.path());
    fs::write(run.path().join(SAMPLES), samples(4, HOSTILE).replace("held-out", "<b onclick=x>")).unwrap();
    fs::write(run.path().join(RUN_LOG), HOSTILE).unwrap();
    let config = toml::to_string(&toml::toml! { name = "x" }).unwrap().replace('x', &HOSTILE.replace('\\', "")[..30]);
    fs::write(run.path().join(CONFIG), config + "\n# " + HOSTILE).unwrap();
    let line = serde_json::json!({"step": 9, HOSTILE: 1.0, "eval/<img onerror=x>": 2.0});
    let mut metrics = fs::read_to_string(run.path().join(METRICS)).unwrap();
    writeln!(metrics, "{line}").unwrap();
    fs::write(run.path().join(METRICS), metrics).unwrap();

    let html = written(run.path());
    for tag in ["<script", "</script>", "<img", "<b ", "<pre", "</pre>"] {
        let (before, after) = (clean.matches(tag).count(), html.matches(tag).count());
        match tag {
            // One for each completion and prompt of a short run, which both have alike.
            "<pre" | "</pre>" => assert_eq!(before, after, "{tag}"),
            "<script" | "</script>" => assert_eq!((before, after), (2, 2), "{tag}"),
            _ => assert_eq!((before, after), (0, 0), "{tag}"),
        }
    }
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;␛[2J␀\u{fffd}"));
    assert!(!html.contains(['\0', '\u{1b}', '\u{202e}']));
    data(&html);
}

#[test]
fn runs_that_have_just_begun() {
    let run = tempfile::tempdir().unwrap();
    let error = crate::complaint::text(&write(run.path()).unwrap_err(), false);
    assert!(error.starts_with("error: report run `") && error.contains("hint: a run's folder is"), "{error}");

    fs::write(run.path().join(METRICS), "").unwrap();
    let html = written(run.path());
    assert!(
        html.contains("no steps yet") && html.contains("Nothing measured yet") && html.contains("No completions kept")
    );
    assert_eq!(data(&html)["charts"], serde_json::json!([]));
    assert!(!html.contains(r#"id="timing""#), "nothing was timed");

    fs::write(run.path().join(METRICS), "{\"step\":0,\"eval/pass@1\":0.2}\n{\"step\":1,\"rew").unwrap();
    fs::write(run.path().join(SAMPLES), "{\"step\":0,\"ind").unwrap();
    fs::write(run.path().join(CONFIG), "not = [toml").unwrap();
    let html = written(run.path());
    assert!(html.contains("no steps yet") && html.contains("not = [toml"));
    assert_eq!(data(&html)["charts"].as_array().unwrap().len(), 1);

    fs::write(run.path().join(METRICS), "{\"step\":1,\"reward\":null}\n{\"step\":2,\"reward\":\"x\",\"grad\":null}\n")
        .unwrap();
    assert!(written(run.path()).contains("at step 2"));
}

#[test]
fn fine_tuning_shows_loss_and_speed() {
    let run = tempfile::tempdir().unwrap();
    let line = |step: u64| {
        format!("{{\"step\":{step},\"loss\":{},\"lr\":0.001,\"perf/tokens_per_second\":5000.0}}\n", 3.0 / step as f64)
    };
    fs::write(run.path().join(METRICS), (1..=9).map(line).collect::<String>()).unwrap();
    fs::write(run.path().join(CONFIG), "[sft]\nsteps = 9\n").unwrap();
    let html = written(run.path());
    let data = data(&html);
    let titles: Vec<&str> = data["charts"].as_array().unwrap().iter().filter_map(|c| c["title"].as_str()).collect();
    assert_eq!(titles, ["Loss", "Learning rate", "Speed"]);
    assert!(html.contains(r#"<th scope="row">loss</th><td>3</td><td><b>0.333</b></td><td class="up">-2.67"#));
}

/// Three steps of 2, 2 and 4 seconds, and beside them an evaluation and a checkpoint of 1 second each.
#[test]
fn timing_by_hand() {
    let run = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"step":0,"eval/pass@1":0.5,"perf/seconds/eval":1}"#,
        r#"{"step":1,"tokens":100,"perf/seconds/sample":1,"perf/seconds/update":0.5,"perf/seconds/optimizer":0.1,"perf/seconds":2,"perf/score_hidden":0.9,"perf/tokens_per_second":50}"#,
        r#"{"step":2,"tokens":100,"perf/seconds/sample":0.5,"perf/seconds/score":0.0004,"perf/seconds/update":1.25,"perf/seconds":2,"perf/score_hidden":0.97,"perf/tokens_per_second":50}"#,
        r#"{"step":3,"tokens":100,"perf/seconds/sample":2,"perf/seconds/reference":0.5,"perf/seconds/update":1,"perf/seconds/save":1,"perf/seconds":4,"perf/score_hidden":1,"perf/tokens_per_second":25}"#,
    ];
    fs::write(run.path().join(METRICS), lines.join("\n") + "\n").unwrap();
    let html = written(run.path());
    let row = |name: &str, share: &str, median: &str, steps: usize| {
        let cells = format!("</i> {name}</th><td><b>{share}</b></td><td>{median}</td><td>{steps}</td>");
        assert!(html.contains(&cells), "{cells} is not in the page");
    };
    row("sampling", "35.0%", "1.00 s", 3);
    row("scoring, exposed", "0.0%", "0.40 ms", 1);
    row("reference", "5.0%", "500 ms", 1);
    row("update", "27.5%", "1.00 s", 3);
    row("optimizer", "1.0%", "100 ms", 1);
    row("evaluation", "10.0%", "1.00 s", 1);
    row("checkpoint", "10.0%", "1.00 s", 1);
    // 0.4, 0.2496 and 0.5 of 10 seconds.
    row("other", "11.5%", "400 ms", 3);
    let fact = |name: &str, value: &str| {
        let pair = format!("<dt>{name}</dt><dd>{value}</dd>");
        assert!(html.contains(&pair), "{pair} is not in the page");
    };
    fact("Tokens a second, sampled", "100");
    // 100 tokens in 0.6, 1.25 and 1.5 seconds.
    fact("Tokens a second, trained", "80");
    fact("Tokens a second, of the whole step", "50");
    fact("Scoring hidden behind sampling", "97.0%");
    assert!(html.find("<h3>Time by phase</h3>") > html.find(r#"id="timing""#), "the plots of times stand there, too");
    assert_eq!(html.matches("<h3>Time by phase</h3>").count(), 1);
}

#[test]
fn a_step_taken_again_counts_once() {
    let run = tempfile::tempdir().unwrap();
    let path = run.path().join(METRICS);
    fs::write(&path, "{\"step\":1,\"a\":1}\n{\"step\":2,\"a\":2}\n{\"step\":3,\"a\":3}\n{\"step\":2,\"a\":9}\n")
        .unwrap();
    assert_eq!(Columns::read(&path).unwrap().get("a"), [(1, 1.0), (2, 9.0)]);
}

#[test]
fn thinning_keeps_extremes_ends_and_gaps() {
    let mut column: Vec<(u64, f64)> = (0..10_000).map(|i| (i, (i % 10) as f64)).collect();
    column[4321].1 = -50.0;
    column[8765].1 = 99.0;
    column[2000..3000].iter_mut().for_each(|point| point.1 = f64::NAN);
    let thinned = thin(&column, 500);
    assert!(thinned.len() <= 500 && thinned.len() > 400, "{}", thinned.len());
    assert!(thinned.contains(&(4321, -50.0)) && thinned.contains(&(8765, 99.0)));
    assert_eq!((thinned[0].0, thinned[thinned.len() - 1].0), (0, 9999));
    assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(thinned.iter().any(|point| point.1.is_nan()));
    assert_eq!(thin(&column[..500], 500).len(), 500);
}

#[test]
fn trend_is_a_centred_mean() {
    let line: Vec<(u64, f64)> = (0..1000).map(|i| (i, 3.0 * i as f64)).collect();
    let trend = trend(&line, 101);
    assert_eq!(trend.len(), 101);
    // The mean of a straight line around a point is the point; at the ends the window is cut to 0..=20.
    assert!(trend[3..98].iter().all(|(step, mean)| (mean - 3.0 * *step as f64).abs() < 1e-6));
    assert_eq!(trend[0], (0, 30.0));
    assert_eq!(trend[100].0, 999);
    assert!(super::columns::trend(&line[..20], 101).is_empty());
}

#[test]
fn stretches_cover_everything_once() {
    for (len, n) in [(0, 3), (1, 3), (7, 3), (9, 9), (5, 100)] {
        let all: Vec<usize> = stretches(len, n).flatten().collect();
        assert_eq!(all, (0..len).collect::<Vec<_>>());
    }
}

#[test]
fn numbers_and_durations_for_people() {
    let numbers = [0.0, 0.3612, 12.0, 1.5, 1234.5, 51_234.0, 5.12e6, 1e-6, -0.25, f64::NAN].map(number);
    assert_eq!(numbers, ["0", "0.361", "12", "1.50", "1234", "51.2k", "5.12M", "1.0e-6", "-0.250", "–"]);
    assert_eq!([4.25, 185.0, 7620.0].map(duration), ["4.2 s", "3 min 5 s", "2 h 7 min"]);
    let times = [0.000_123, 0.042, 0.2517, 0.9996, 12.34, 75.0].map(seconds);
    assert_eq!(times, ["0.12 ms", "42.0 ms", "252 ms", "1.00 s", "12.3 s", "1 min 15 s"]);
    assert_eq!([0.0, 0.4115, 1.0].map(share), ["0.0%", "41.1%", "100.0%"]);
}

/// Python's own parser finds every tag closed in order.
#[test]
fn the_page_is_balanced_html() {
    const CHECK: &str = r#"
import sys
from html.parser import HTMLParser
VOID = {"meta", "link", "br", "hr", "img", "input"}
class Balance(HTMLParser):
    stack, seen = [], 0
    def handle_starttag(self, tag, attributes):
        self.seen += 1
        assert all(not name.startswith("on") for name, _ in attributes), attributes
        if tag not in VOID:
            self.stack.append(tag)
    def handle_endtag(self, tag):
        top = self.stack.pop()
        assert top == tag, f"<{top}> ended by </{tag}> at {self.getpos()}"
page = Balance()
page.feed(open(sys.argv[1], encoding="utf-8").read())
page.close()
assert not page.stack, page.stack
assert page.seen > 100, page.seen
"#;
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let run = tempfile::tempdir().unwrap();
    synthetic(run.path(), 40);
    fs::write(run.path().join(SAMPLES), samples(40, HOSTILE)).unwrap();
    let path = write(run.path()).unwrap();
    let output = Command::new("python3").args(["-c", CHECK]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
