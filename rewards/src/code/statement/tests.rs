use super::*;

#[test]
fn phrases_of_the_judges_are_read() {
    let read = Statement::read;
    assert!(read("You can output the answer in any case (for example, \"yEs\")").any_case);
    assert!(read("You may print each letter in any case (YES, yes, Yes)").any_case);
    assert!(!read("In any case, print the sum.").any_case);
    assert!(read("Return the answer in any order.").any_order);
    assert!(read("If there are multiple solutions, output any\nof them.").several_answers);
    assert!(!read("Print the number of ways to choose any of them.").several_answers);
    let six = Some(Tolerance { rel: 1e-6, abs: 1e-6 });
    for text in [
        "Your answer is correct if its absolute or relative error does not exceed $10^{-6}$.",
        "accepted if the relative or absolute error is at most 10^-6",
        "with an absolute error of at most 1e-6",
    ] {
        assert_eq!(read(text).tolerance, six, "{text}");
    }
    assert_eq!(read("Answers within 10-5 of the actual answer will be accepted.").tolerance.map(|t| t.abs), Some(1e-5));
    assert_eq!(read("the absolute error of a sensor").tolerance, None);
    assert_eq!(read(""), Statement::default());
}

#[test]
fn limits_are_read_in_their_units() {
    let read = |text: &str| {
        let statement = Statement::read(text);
        (statement.time_limit_s, statement.memory_mib)
    };
    assert_eq!(read("Time Limit: 2000 ms\nMemory Limit: 256 MB"), (Some(2.0), Some(256)));
    assert_eq!(read("time limit: 1.5 seconds"), (Some(1.5), None));
    assert_eq!(
        read("Time Limit: {'seconds': 2, 'nanos': 500000000}\nMemory Limit: 512000000 Bytes"),
        (Some(2.5), Some(488))
    );
    assert_eq!(read("Time Limit: none"), (None, None));
}
