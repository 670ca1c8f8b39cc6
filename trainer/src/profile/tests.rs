use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tracing::{debug_span, info};
use tracing_subscriber::layer::SubscriberExt;

use super::recorder::Event;
use super::*;

/// Runs `work` on this thread and those it names with [`traced`], in front of a recorder of its own.
fn recorded(max: usize, work: impl FnOnce(&Recorder)) -> Recorder {
    let recorder = Recorder::new(max);
    tracing::subscriber::with_default(Registry::default().with(recorder.clone()), || work(&recorder));
    recorder
}

/// A thread of this name that reports to the caller's subscriber.
fn traced(name: &str, work: impl FnOnce() + Send + 'static) {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || tracing::dispatcher::with_default(&dispatch, work)).unwrap().join().unwrap();
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn spans_nest_and_keep_their_numbers() {
    let recorder = recorded(100, |recorder| {
        let before = debug_span!("before").entered();
        recorder.begin();
        drop(before);
        let _step = debug_span!("step", number = 3_u64).entered();
        {
            let _phase =
                debug_span!("phase", name = "sample", rows = 8_usize, text = "a \"b\"", signed = -1_i64).entered();
            debug_span!("decode").in_scope(|| thread::sleep(Duration::from_millis(2)));
        }
        info!("an event is no span");
        debug_span!(target: "hyper::client", "request").in_scope(|| ());
    });
    let (tracks, events) = recorder.take(0);
    assert_eq!(names(&events), ["decode", "sample", "step"], "the innermost ends first");
    assert_eq!(tracks, [thread::current().name().unwrap()]);
    assert_eq!(Value::Object(events[1].args.clone()), json!({"rows": 8, "text": "a \"b\"", "signed": -1}));
    assert_eq!(Value::Object(events[2].args.clone()), json!({"number": 3}));
    assert!(events[0].end - events[0].start >= 2_000_000, "{events:?}");
    for pair in events.windows(2) {
        assert!(pair[1].start <= pair[0].start && pair[0].end <= pair[1].end, "{pair:?}");
    }
    assert_eq!(recorder.take(1), (Vec::new(), Vec::new()), "taken once");
}

#[test]
fn threads_of_one_name_share_a_track() {
    let recorder = recorded(100, |recorder| {
        recorder.begin();
        for name in ["replica 0", "replica 1", "replica 0"] {
            traced(name, || debug_span!("decode").in_scope(|| ()));
        }
    });
    let (tracks, events) = recorder.take(0);
    assert_eq!(tracks[1..], ["replica 0", "replica 1"]);
    assert_eq!(events.iter().map(|event| event.track).collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn what_is_off_keeps_nothing() {
    let recorder = recorded(100, |recorder| {
        debug_span!("before").in_scope(|| ());
        recorder.begin();
        debug_span!("between").in_scope(|| ());
        let open = debug_span!("open").entered();
        recorder.end();
        drop(open);
        debug_span!("after").in_scope(|| ());
    });
    assert_eq!(names(&recorder.take(0).1), ["between"]);
}

#[test]
fn what_is_full_counts_what_it_leaves_out() {
    let recorder = recorded(3, |recorder| {
        recorder.begin();
        (0..5_u64).for_each(|n| debug_span!("step", n).in_scope(|| ()));
        assert_eq!(recorder.take(0).1.len(), 3);
        debug_span!("late").in_scope(|| ());
    });
    assert_eq!((recorder.take(0).1.len(), recorder.n_left_out()), (0, 3));
}

/// After every write the file is a whole document, and the trace ends after the steps asked for.
#[test]
fn the_file_is_whole_at_any_time() {
    let run = tempfile::tempdir().unwrap();
    let path = run.path().join(PROFILE);
    fs::write(&path, "[".repeat(1000)).unwrap();
    let read = || -> Vec<Value> { serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
    recorded(100, |recorder| {
        let mut trace = Trace::create(recorder.clone(), run.path(), NonZero::new(2).unwrap()).unwrap();
        assert_eq!(read().len(), 1);
        for (step, more) in [(1_u64, true), (2, true), (3, false)] {
            assert_eq!(trace.before_step().unwrap(), more);
            read();
            debug_span!("step", number = step).in_scope(|| traced("worker 0", || debug_span!("add").in_scope(|| ())));
        }
        drop(trace);
        debug_span!("after").in_scope(|| ());
    });
    let trace = read();
    let of = |name: &str| trace.iter().filter(|event| event["name"] == name).collect::<Vec<_>>();
    assert_eq!(of("step").iter().map(|step| step["args"]["number"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(of("add").len(), 3);
    assert!(of("after").is_empty());
    let threads: Vec<_> =
        of("thread_name").iter().map(|one| (one["tid"].clone(), one["args"]["name"].clone())).collect();
    assert_eq!(threads[1], (json!(2), json!("worker 0")));
    assert_eq!(threads.len(), 2);
    for (step, add) in of("step").iter().zip(of("add")) {
        let times = |event: &Value| (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        let ((from, long), (inner, short)) = (times(step), times(add));
        assert!(from <= inner && inner + short <= from + long, "{step} {add}");
    }
}
