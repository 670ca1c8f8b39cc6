//! Sets, tuples, intervals, matrices, and lists where one answer is wanted.

use proptest::prelude::*;
use rewards::math::{MathOptions, grade};

use super::hold;

proptest! {
    #[test]
    fn sets_and_tuples(mut items in prop::collection::btree_set(-40_i64..60, 2..7), more in 100_i64..200) {
        let plain: Vec<String> = items.iter().map(i64::to_string).collect();
        let mut turned = plain.clone();
        turned.reverse();
        let list = |items: &[String]| items.join(", ");
        let mut changed = plain.clone();
        changed[0] = more.to_string();
        let mut longer = plain.clone();
        longer.push(more.to_string());
        let set = |items: &[String]| format!("\\{{{}\\}}", list(items));
        let tuple = |items: &[String]| format!("({})", list(items));
        hold(
            &set(&plain),
            &[
                set(&turned),
                format!("\\left{}", set(&turned).replace("\\}", "\\right\\}")),
                set(&[turned.clone(), turned.clone()].concat()),
            ],
            &[set(&plain[1..]), set(&changed), set(&longer), plain.join("+") + "+0.5", set(&plain).replace(", ", "")],
        )?;
        hold(&list(&plain), &[list(&turned), plain.join(",")], &[list(&plain[1..]), list(&changed), list(&longer)])?;
        if plain.len() > 2 {
            hold(
                &tuple(&plain),
                &[tuple(&plain), format!("\\left({}\\right)", plain.join(","))],
                &[tuple(&turned), tuple(&plain[1..]), tuple(&changed), tuple(&longer)],
            )?;
        }
        items.clear();
    }

    #[test]
    fn intervals(low in -50_i64..50, width in 1_i64..40, left in "[(\\[]", right in "[)\\]]", gap in 1_i64..9) {
        let high = low + width;
        let other_left = if left == "(" { "[" } else { "(" };
        let other_right = if right == ")" { "]" } else { ")" };
        hold(
            &format!("{left}{low}, {high}{right}"),
            &[
                format!("\\left{left}{low},{high}\\right{right}"),
                format!("{left}{low}.0, \\frac{{{}}}{{2}}{right}", high * 2),
            ],
            &[
                format!("{other_left}{low}, {high}{right}"),
                format!("{left}{low}, {high}{other_right}"),
                format!("{left}{low}, {}{right}", high + 1),
                format!("{left}{}, {high}{right}", low - 1),
                format!("{left}{high}, {low}{right}"),
            ],
        )?;
        let (third, fourth) = (high + gap, high + gap + width);
        let union = format!("{left}{low},{high}{right}\\cup{left}{third},{fourth}{right}");
        hold(
            &union,
            &[format!("{left}{third},{fourth}{right}\\cup{left}{low},{high}{right}")],
            &[
                format!("{left}{low},{high}{right}"),
                format!("{left}{low},{fourth}{right}"),
                union.replace("\\cup", "\\cap"),
                format!("{left}{low},{high}{right}\\cup{left}{third},\\infty)"),
                format!("{left}{low},{high}{other_right}\\cup{left}{third},{fourth}{right}"),
            ],
        )?;
    }

    #[test]
    fn matrices(cells in prop::collection::vec(-20_i64..30, 4), k in 2_i64..6) {
        let [a, b, c, d] = [cells[0], cells[1], cells[2], cells[3]];
        let matrix =
            |kind: &str, [a, b, c, d]: [i64; 4]| format!("\\begin{{{kind}}} {a} & {b} \\\\ {c} & {d} \\end{{{kind}}}");
        hold(
            &matrix("pmatrix", [a, b, c, d]),
            &[
                matrix("bmatrix", [a, b, c, d]),
                format!("\\frac{{1}}{{{k}}}{}", matrix("pmatrix", [a * k, b * k, c * k, d * k])),
            ],
            &[
                matrix("pmatrix", [a + 1, b, c, d]),
                matrix("pmatrix", [a, b, c, d - 1]),
                matrix("pmatrix", [a, b + 1, c + 1, d]),
                format!("\\begin{{pmatrix}} {a} & {b} \\end{{pmatrix}}"),
                (a * d - b * c).to_string(),
            ],
        )?;
    }

    #[test]
    fn lists_of_answers_are_never_one_answer(n in -99_i64..99, m in -99_i64..99) {
        prop_assume!(n != m);
        hold(
            &n.to_string(),
            &[format!("x={n}")],
            &[
                format!("{n}, {m}"),
                format!("{n} or {m}"),
                format!("{n} \\text{{ and }} {m}"),
                format!("\\{{{n}, {m}\\}}"),
                format!("{n}; {m}"),
                format!("({n}, {m})"),
                format!("{n}={m}"),
                format!("x={n}, x={m}"),
                format!("{n}\\pm 1"),
            ],
        )?;
    }

    #[test]
    fn any_text_has_a_verdict(gold in any::<String>(), answer in any::<String>()) {
        for options in [MathOptions::default(), MathOptions::lenient()] {
            let _ = grade(&gold, &answer, &options);
        }
    }
}
