use super::*;
use crate::code::source::Before;

fn problem(forms: &[&str]) -> Problem {
    let forms = forms.iter().map(|form| (*form).to_owned()).collect();
    Problem::of(Tests::Calls(CallTests { forms, calls: Vec::new(), json: false }), Before::Nothing)
}

#[test]
fn a_form_that_only_calls_needs_no_code_of_ours() {
    for (form, function) in [
        ("return f(*args, **kwargs)", Some("f")),
        ("return Solution().f(*args, **kwargs)", Some("Solution().f")),
        ("return set(f(*args, **kwargs))", None),
        ("root = Node(1)\nreturn f(root)", None),
        ("return a.b(*args, **kwargs)", None),
    ] {
        let prepared = Prepared::of("def f(): pass", &problem(&[form]));
        assert_eq!(prepared.through_forms, function.is_none(), "{form}");
        assert_eq!(prepared.function, function.unwrap_or("_grouper_call"));
    }
    let prepared = Prepared::of("a", &problem(&["return set(f(*args, **kwargs))", "x = 1\nreturn f(x)"]));
    let source = "a\n\n\ndef _grouper_form_0(args, kwargs):\n    return set(f(*args, **kwargs))\n\
                  def _grouper_form_1(args, kwargs):\n    x = 1\n    return f(x)\n\
                  def _grouper_call(form, args, kwargs):\n    \
                  return (_grouper_form_0, _grouper_form_1, )[form](args, kwargs)\n";
    assert_eq!(prepared.source, source);
}

#[test]
fn a_grade_s_verdict_is_the_first_failure_and_the_machine_s_last() {
    let one = |verdict| TestVerdict { verdict, note: String::new(), cpu_s: 0.0, wall_s: 0.0 };
    let verdict = |verdicts: &[Verdict]| CodeGrade::of(verdicts.iter().map(|verdict| one(*verdict)).collect()).verdict;
    assert_eq!(verdict(&[Verdict::Ok, Verdict::Ok]), Verdict::Ok);
    assert_eq!(verdict(&[Verdict::Ok, Verdict::Runtime, Verdict::WrongAnswer]), Verdict::Runtime);
    assert_eq!(verdict(&[Verdict::Infra, Verdict::WrongAnswer]), Verdict::WrongAnswer);
    assert_eq!(verdict(&[Verdict::Ok, Verdict::Infra]), Verdict::Infra);
    assert_eq!(verdict(&[]), Verdict::Infra, "nothing was judged");
}

#[test]
fn stated_limits_count() {
    let mut problem = problem(&[]);
    let judging = Judging { time_limit_s: 4.0, time_factor: 3.0, memory_mib: 100, ..Judging::default() };
    let limits = judging.limits(&problem);
    assert_eq!((limits.cpu_s, limits.wall_s, limits.memory_bytes), (4.0, 20.0, 100 << 20));
    problem.statement.time_limit_s = Some(2.0);
    problem.statement.memory_mib = Some(256);
    let limits = judging.limits(&problem);
    assert_eq!((limits.cpu_s, limits.memory_bytes), (6.0, 256 << 20));
}
