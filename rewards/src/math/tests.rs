//! Whole verdicts: one or two of each kind of answer. The large tables stand in `tests/` of the crate.

use super::*;

fn check(pairs: &[(&str, &str)], expected: MathVerdict, options: &MathOptions) {
    for (gold, answer) in pairs {
        let grade = grade(gold, answer, options);
        assert_eq!(grade.verdict, expected, "gold {gold:?}, answer {answer:?}: {} {grade:?}", grade.reason);
    }
}

#[test]
fn the_same_answer_in_another_form_is_right() {
    let pairs = [
        ("5", "x=5"),
        ("x=5", "5"),
        (r"\frac{1}{2}", "0.5"),
        ("0.5", r"\frac12"),
        ("1,000", "1000"),
        ("1000", "1{,}000"),
        ("1000", r"1\,000"),
        ("1 000", "1000"),
        (r"50\%", "50"),
        (r"50\%", "50%"),
        ("50", r"50\%"),
        (r"\$5", "5"),
        ("5", r"\$5"),
        (r"10 \text{ cm}", "10"),
        (r"10 \text{ cm}", r"0.1 \text{ m}"),
        ("(A)", "A"),
        ("A", "(A)"),
        ("A", r"\text{A}"),
        ("A", "A."),
        (r"\text{Evelyn}", "Evelyn"),
        (r"\text{Evelyn}", "evelyn."),
        (r"90^\circ", "90"),
        (r"90^\circ", "90 degrees"),
        (r"90^\circ", r"\frac{\pi}{2}"),
        (r"\frac{\pi}{2}", r"90^\circ"),
        (r"\{1,2,3\}", r"\{3,2,1\}"),
        ("1,2,3", "3, 2, 1"),
        ("1,2,3", r"\{3,2,1\}"),
        (r"(-\infty,3)\cup(3,\infty)", r"(3,\infty)\cup(-\infty,3)"),
        (r"(-\infty,3)\cup(3,\infty)", r"\mathbb{R}\setminus\{3\}"),
        ("x<3", "3>x"),
        ("2x<6", "x<3"),
        ("x<3", "-x>-3"),
        (r"\pm 2", "2,-2"),
        ("2,-2", r"\pm 2"),
        ("2,-2", "x=2 or x=-2"),
        (r"x=\pm 2", "2,-2"),
        (r"1\pm\sqrt{2}", r"1+\sqrt2, 1-\sqrt2"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
        (r"\frac{1}{2}\begin{pmatrix}2\\4\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("3.14", "3.14"),
        (r"1\frac{1}{2}", r"\frac32"),
        ("1 1/2", "1.5"),
        (r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt3}"),
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
        ("y=2x+1", "2x-y+1=0"),
        ("y=2x+1", "4x-2y+2=0"),
        ("y=2x+1", "2x+1"),
        ("1011_2", "1011_{2}"),
        ("x^2+C", "x^2+C"),
        ("(x+1)^2", "x^2+2x+1"),
        ("x^2-1", "(x-1)(x+1)"),
        (r"\binom{5}{2}", "10"),
        ("10", r"\binom{5}{2}"),
        ("5!", "120"),
        (r"\frac{n!}{(n-1)!}", "n"),
        (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
        (r"\sin^2 x + \cos^2 x", "1"),
        (r"\sin 2x", r"2\sin x\cos x"),
        (r"\cos 2x", r"1-2\sin^2 x"),
        (r"\tan x", r"\frac{\sin x}{\cos x}"),
        (r"\sin^{-1} x", r"\arcsin x"),
        (r"\log_2 8", "3"),
        ("3", r"\log_2 8"),
        (r"e^{i\pi}", "-1"),
        (r"\ln 8", r"3 \ln 2"),
        (r"\ln(x^2y)", r"2\ln x+\ln y"),
        ("2:30", "2:30"),
        ("1:2", "2:4"),
        ("3:2", "6:4"),
        (r"0.\overline{3}", r"\frac13"),
        ("0.333...", "1/3"),
        (r"0.1\overline{6}", "1/6"),
        (r"3.2\times 10^5", "320000"),
        ("3.2e5", "320000"),
        ("2^{10}", "1024"),
        ("2^{100000}", "2^{100000}"),
        ("2^{100000}", "4^{50000}"),
        (r"\sqrt[3]{8}", "2"),
        (r"\sqrt[3]{-8}", "-2"),
        ("x^{1/3}", r"\sqrt[3]{x}"),
        (r"\lfloor 3.7 \rfloor", "3"),
        ("|x-1|", "|1-x|"),
        (r"\sqrt{x^2}", "|x|"),
        ("3+4i", "4i+3"),
        ("(1+i)^2", "2i"),
        (r"\frac{1}{i}", "-i"),
        (r"2\text{cis}", r"2\text{cis}"),
        (r"\infty", r"+\infty"),
        (r"\emptyset", r"\{\}"),
        (r"\emptyset", r"\varnothing"),
        (r"\emptyset", "no solution"),
        ("(1,2)", "(1, 2)"),
        ("(1,2),(3,4)", "(3,4),(1,2)"),
        (r"\left(-\infty,-\frac12\right)", r"(-\infty, -0.5)"),
        (r"x \in [2,3)", "[2,3)"),
        ("[2,3)", r"x \in [2,3)"),
        (r"\{x|x>3\}", r"(3,\infty)"),
        (r"\{x \mid x \ne 1\}", r"(-\infty,1)\cup(1,\infty)"),
        ("f(x)=x+1", "x+1"),
        ("f(x)=x+1", "f(x)=1+x"),
        ("a_n = 2n+1", "2n+1"),
        (r"\text{four}", "4"),
        ("4", "four"),
        (r"\text{yes}", "Yes"),
        (r"\text{yes}", "yes."),
        ("5", "**5**"),
        ("5", "$5$"),
        ("5", "5."),
        ("5", "5.0"),
        (r"-\frac{1}{2}", r"\frac{-1}{2}"),
        (r"-\frac{1}{2}", r"\frac{1}{-2}"),
        ("½", "0.5"),
        ("2√3", r"2\sqrt{3}"),
        ("x²+1", "x^2+1"),
        ("5", "5 apples"),
        ("5000", "5 thousand"),
        ("3", "1+2=3"),
        ("1/2", "2/4=1/2"),
        (r"2\cos x", r"2 \cos(x)"),
        ("e^{2x}", "(e^x)^2"),
        ("2^{n+1}", r"2\cdot 2^n"),
        ("(-1)^n", r"\cos(n\pi)"),
        ("(-1)^{n}", "(-1)^{n+2}"),
        (r"\frac{x}{y}", "x/y"),
        (r"x \cdot y", "yx"),
        ("a=1,b=2", "b=2,a=1"),
        ("x=1, y=2", "1,2"),
        ("10^{-3}", "0.001"),
        (r"12\text{ cm}^2", "12"),
        (r"12\text{ cm}^2", r"12 \text{ square centimeters}"),
        (r"60 \text{ mph}", "60 miles per hour"),
        (r"5\text{ km/h}", "5 km per hour"),
        (r"\text{(B)}", "B"),
        ("B", r"\textbf{(B) } 12"),
        ("B", r"\text{(B) } 12"),
        ("B", "(B) 12"),
        (r"\text{Monday}", "monday"),
        ("45", r"45^{\circ}"),
        (r"\frac{3}{4}\pi", r"0.75\pi"),
        (r"2\pi r^2", r"2 \pi r^{2}"),
        ("100!", "100!"),
        (r"\frac{100!}{99!}", "100"),
        ("9^{9^{9^9}}", "9^{9^{9^9}}"),
        (r"\frac{1}{3}+\frac{1}{6}", r"\frac12"),
        (r"\sqrt{2}\cdot\sqrt{3}", r"\sqrt{6}"),
        (r"\cos 60^\circ", "1/2"),
        (r"\sin 30^\circ", r"\frac12"),
        (r"\arctan 1", r"\frac{\pi}{4}"),
        (r"\arcsin 1", r"\frac{\pi}{2}"),
        (r"\log 100", "2"),
        (r"\lg 100", "2"),
        (r"30p\sqrt{p}", r"\sqrt{900p^3}"),
        (r"\frac{x^2-1}{x-1}", "x+1"),
        ("x^2 + y^2 = 25", "y^2+x^2=25"),
        ("x^2 + y^2 = 25", "x^2+y^2-25=0"),
        (r"1 < x \le 3", r"3 \ge x > 1"),
        (r"x<1 \text{ or } x>3", r"x>3 \text{ or } x<1"),
        (r"\frac{\pi}{4}+k\pi, k\in\mathbb{Z}", r"\frac{\pi}{4}+k\pi"),
    ];
    check(&pairs, MathVerdict::Correct, &MathOptions::default());
}

#[test]
fn another_answer_is_wrong() {
    let pairs = [
        (r"1011_2", "1011"),
        ("(0,0)", "(1,1)"),
        (r"\emptyset", "(2,2)"),
        (r"\emptyset", "{}"),
        ("(-1)^n", "-1"),
        ("I(0)", "0"),
        (r"\bar{x}=\bar{y}=1/5", "x"),
        ("L=S-2B", "S=L+2B"),
        (r"\log_6(216)=3", "3=3"),
        ("1", "1=1"),
        ("2^{1008}", r"2^{1008}+\sqrt2"),
        ("p>0", "q>0"),
        (r"x<-2 \text{ or } x>3", r"x<-2 \text{ and } x>3"),
        (r"\lceil n/2\rceil+1", r"\lceil n/3\rceil+1"),
        (r"0.\overline{3}", r"0.\overline{4}"),
        (r"90^\circ", r"90\text{ radians}"),
        ("52_8", "42"),
        (r"(A)\ 5", r"(A)\ 6"),
        (r"\pi", r"\2pi"),
        ("x=5", "y=5"),
        ("1000", "1,00"),
        (r"50\%", "0.5"),
        (r"10 \text{ cm}", r"10 \text{ m}"),
        ("A", "B"),
        ("A", "A or B"),
        ("A", "(A) (B)"),
        (r"\text{Evelyn}", "Evan"),
        (r"90^\circ", "91"),
        ("1,2,3", "1,2"),
        ("2", "1 or 2 or 3"),
        ("2", "1, 2, 3"),
        (r"(-\infty,3)", "x<3"),
        ("x<3", "x>3"),
        ("x<3", r"x\le 3"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1&2\end{bmatrix}"),
        ("3.14", r"\pi"),
        (r"\sqrt{3+2\sqrt2}", r"1+\sqrt3"),
        ("y=2x+1", "2x+y+1=0"),
        ("1011_2", "11"),
        ("x^2-1", "(x-1)^2"),
        (r"\sin 2x", r"2\sin x"),
        ("2:30", "1:15"),
        ("2^{100000}", "3"),
        ("10^{1000}", "10^{1000}+1"),
        (r"\sqrt{x^2}", "x"),
        (r"\infty", r"-\infty"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("(1,2)", r"\{1,2\}"),
        ("(1,2)", "1,2"),
        (r"\text{yes}", "no"),
        ("5", "5.5"),
        ("5", "6 apples"),
        ("5", "5 thousand"),
        ("5", "5 or 6"),
        ("5", "5 and 6"),
        ("5", "The answer is 5"),
        ("5", "5 is wrong"),
        ("x=3", "x^2=9"),
        ("5", "5=6"),
        ("3", "1+2=4"),
        ("4", "x^2=4"),
        ("4", "2+2=4=5"),
        ("(-1)^n", "(-1)^{n+1}"),
        ("x=1, y=2", "2,1"),
        ("B", "(C) 12"),
        ("11", "1011_2"),
    ];
    check(&pairs, MathVerdict::Wrong, &MathOptions::default());
}

#[test]
fn no_expected_answer_is_nobodys_mistake() {
    for gold in ["", "  ", "$$"] {
        let grade = grade(gold, "5", &MathOptions::default());
        assert_eq!((grade.verdict, grade.reason), (MathVerdict::Undecided, Reason::GoldEmpty));
        assert!(grade.reason.blames_gold());
    }
}

#[test]
fn what_cannot_be_read_is_the_fault_of_who_wrote_it() {
    let options = MathOptions::default();
    let unread = grade("5", "5 + + )", &options);
    assert_eq!((unread.verdict, unread.reason), (MathVerdict::Wrong, Reason::AnswerUnreadable));
    let gold = grade("5 + + )", "5", &options);
    assert_eq!((gold.verdict, gold.reason), (MathVerdict::Undecided, Reason::GoldUnreadable));
    assert_eq!(grade("5 + + )", "5 + +)", &options).verdict, MathVerdict::Correct);
}

#[test]
fn huge_numbers_are_never_written_out() {
    let options = MathOptions::default();
    for answer in ["9^{9^{9^9}}", "(10^9)!", "10^{10^{10}}", r"\binom{10^9}{5\cdot10^8}", "1e999999999"] {
        let grade = grade("7", answer, &options);
        assert_ne!(grade.verdict, MathVerdict::Correct, "{answer}");
    }
}

#[test]
fn a_gold_grades_many_answers_as_grade_does() {
    let options = MathOptions::default();
    let gold = Gold::new(r"\frac{1}{2}", &options);
    assert!(gold.is_understood());
    for answer in ["0.5", "1/2", "2", "", "half of it"] {
        assert_eq!(gold.grade(answer), grade(r"\frac{1}{2}", answer, &options));
        assert_eq!(gold.verdict(answer), gold.grade(answer).verdict);
    }
}

#[test]
fn canonical_forms_are_one_text_for_plain_variants() {
    for forms in [["1/2", r"\frac{2}{4}", "0.5"], ["x+1", "1+x", "(x+1)"], [r"\{1,2\}", r"\{2,1\}", r"\{ 1 , 2 \}"]] {
        let first = canonical(forms[0]);
        assert!(forms.iter().all(|form| canonical(form) == first), "{forms:?}");
    }
}
