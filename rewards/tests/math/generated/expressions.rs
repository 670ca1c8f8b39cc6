//! Expressions, equations and inequalities in letters.

use proptest::prelude::*;

use super::{hold, linear, nonzero};

/// Each relation with the one it becomes read from the right, and one that differs from it in the end point only.
const RELATIONS: [(&str, &str, &str); 4] =
    [("<", ">", "\\le"), (">", "<", "\\ge"), ("\\le", "\\ge", "<"), ("\\ge", "\\le", ">")];

proptest! {
    #[test]
    fn polynomials(
        a in nonzero(9),
        b in -9_i64..10,
        c in nonzero(9),
        d in nonzero(9),
        x in prop::sample::select(vec!["x", "t", "n", "y"]),
    ) {
        let (p, q, r) = (a * c, a * d + b * c, b * d);
        let product = format!("({})({})", linear(a, b, x), linear(c, d, x));
        let expanded = format!("{p}{x}^2+{q}{x}+{r}").replace("+-", "-");
        let other = |p: i64, q: i64, r: i64| format!("{p}{x}^2+{q}{x}+{r}").replace("+-", "-");
        hold(
            &product,
            &[
                expanded.clone(),
                format!("{r}+{q}{x}+{p}{x}^2").replace("+-", "-"),
                format!("({})({})", linear(c, d, x), linear(a, b, x)),
                format!("({})({})", linear(-a, -b, x), linear(-c, -d, x)),
                format!("{x}({p}{x}+{q})+{r}").replace("+-", "-"),
                format!("\\frac{{({})({})({x}^2+1)}}{{{x}^2+1}}", linear(a, b, x), linear(c, d, x)),
                format!("{a}({x}+\\frac{{{b}}}{{{a}}})({})", linear(c, d, x)),
            ],
            &[
                other(p + 1, q, r),
                other(p, q + 1, r),
                other(p, q, r + 1),
                format!("-({expanded})"),
                format!("{expanded}=0"),
                format!("({})^2", linear(a, b, x)).replace("^2", "^3"),
                expanded.replace(x, "w"),
                format!("{expanded}+10^{{-9}}"),
            ],
        )?;
        hold(
            &expanded,
            &[product.clone(), format!("{product}\\cdot 1")],
            &[format!("{product}{x}"), format!("2{product}")],
        )?;
    }

    #[test]
    fn rational_functions(a in nonzero(9), b in 1_i64..9, gap in 1_i64..9, c in nonzero(9)) {
        let d = b + gap;
        let (sum, rest) = (a + c, a * d + c * b);
        let gold = format!("\\frac{{{a}}}{{x+{b}}}+\\frac{{{c}}}{{x+{d}}}");
        hold(
            &gold,
            &[
                format!("\\frac{{{sum}x+{rest}}}{{(x+{b})(x+{d})}}").replace("+-", "-"),
                format!("\\frac{{{sum}x+{rest}}}{{x^2+{}x+{}}}", b + d, b * d).replace("+-", "-"),
                format!("{a}(x+{b})^{{-1}}+{c}/(x+{d})"),
            ],
            &[
                format!("\\frac{{{sum}x+{}}}{{(x+{b})(x+{d})}}", rest + 1),
                format!("\\frac{{{a}}}{{x+{b}}}-\\frac{{{c}}}{{x+{d}}}"),
                format!("\\frac{{{a}}}{{x-{b}}}+\\frac{{{c}}}{{x+{d}}}"),
                format!("\\frac{{{sum}}}{{2x+{}}}", b + d),
                format!("{a}x+{b}"),
            ],
        )?;
    }

    #[test]
    fn logarithms_and_trigonometry(a in 2_i64..60, b in 2_i64..60, k in 2_i64..7) {
        hold(
            &format!("\\ln {}", a * b),
            &[
                format!("\\ln {a}+\\ln {b}"),
                format!("\\log_e({})", a * b),
                format!("-\\ln\\frac{{1}}{{{}}}", a * b),
                format!("\\frac{{\\ln {}}}{{{k}}}", i128::from(a * b).pow(k as u32)),
                format!("\\ln({a}\\cdot {b})"),
            ],
            &[
                format!("\\ln {a}\\cdot\\ln {b}+100"),
                format!("\\ln {}", a * b + 1),
                format!("\\log_{{10}} {}", a * b),
                format!("\\ln({a}+{b})+\\ln 300"),
                format!("-\\ln {}", a * b),
            ],
        )?;
        hold(
            &format!("\\sin({a}x)\\cos({b}x)"),
            &[format!("\\frac{{\\sin({}x)+\\sin({}x)}}{{2}}", a + b, a - b), format!("\\cos({b}x)\\sin({a}x)")],
            &[
                format!("\\frac{{\\sin({}x)-\\sin({}x)}}{{2}}", a + b, a - b + i64::from(a == b)),
                format!("\\sin({a}x)\\sin({b}x)"),
                format!("\\sin({}x)\\cos({b}x)", a + 1),
                format!("-\\sin({a}x)\\cos({b}x)"),
            ],
        )?;
        hold(
            &format!("\\cos^2({a}x)"),
            &[
                format!("1-\\sin^2({a}x)"),
                format!("\\frac{{1+\\cos({}x)}}{{2}}", 2 * a),
                format!("\\frac{{1}}{{1+\\tan^2({a}x)}}"),
            ],
            &[
                format!("\\sin^2({a}x)"),
                format!("\\cos({a}x)^{{{}}}", k + 1),
                format!("\\frac{{1-\\cos({}x)}}{{2}}", 2 * a),
                format!("\\cos^2({}x)", a + 1),
            ],
        )?;
    }

    #[test]
    fn equations(m in nonzero(12), b in nonzero(30), k in nonzero(7)) {
        let right = linear(m, b, "x");
        hold(
            &format!("y = {right}"),
            &[
                format!("{right} = y"),
                format!("y-{} = {b}", format!("{m}x").replace("-", "(-1)\\cdot ")),
                format!("{k}y = {}", linear(m * k, b * k, "x")),
                format!("{m}x-y+{b}=0").replace("+-", "-"),
            ],
            &[
                format!("y = {}", linear(m, -b, "x")),
                format!("y = {}", linear(-m, b, "x")),
                format!("y > {right}"),
                format!("y \\ne {right}"),
                format!("y = {}", linear(m, b + 1, "x")),
                format!("{}y = {right}", k.abs() + 1),
                right.replace('x', "w"),
            ],
        )?;
    }

    #[test]
    fn inequalities(
        n in -40_i64..40,
        sign in prop::sample::select(&RELATIONS[..]),
    ) {
        let (relation, turned, near) = sign;
        hold(
            &format!("x {relation} {n}"),
            &[
                format!("{n} {turned} x"),
                format!("2x {relation} {}", 2 * n),
                format!("-x {turned} {}", -n),
                format!("x-{n} {relation} 0").replace("--", "+"),
            ],
            &[
                format!("x {turned} {n}"),
                format!("x {near} {n}"),
                format!("x {relation} {}", n + 1),
                format!("x = {n}"),
                format!("{n}"),
                format!("-x {relation} {}", -n),
            ],
        )?;
    }
}
