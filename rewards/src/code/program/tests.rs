use proptest::prelude::*;

use super::*;

#[test]
fn the_last_python_block_after_the_thinking() {
    let cases: [(&str, Result<&str, &str>); 14] = [
        ("```python\na = 1\n```", Ok("a = 1\n")),
        ("```py\nx\n```\nthen\n```Python3\ny\n```\ndone", Ok("y\n")),
        ("```python\na\n```\nIt prints\n```\n5\n```", Ok("a\n")),
        ("```\na\n```", Ok("a\n")),
        ("```cpp\na\n```", Err("no ```python block")),
        ("<think>```python\nno\n```</think> none", Err("no ```python block")),
        ("<think>```python\nno\n```</think><answer>\n```python\nyes\n```\n</answer>", Ok("yes\n")),
        ("<think>```python\nno\n```", Err("<think> is never closed")),
        ("```python\na = 1", Err("the ```python block is never closed")),
        ("```python\n\n```", Err("the program is empty")),
        ("````python\ns = '''\n```\n'''\n````", Ok("s = '''\n```\n'''\n")),
        ("- item\n  ```python\n  if a:\n      b\n  ```", Ok("if a:\n    b\n")),
        ("~~~python\na\n~~~", Ok("a\n")),
        ("def f(): pass", Err("no ```python block")),
    ];
    for (completion, program) in cases {
        assert_eq!(extract(completion, Block::Last, false).as_deref().map_err(|e| *e), program, "{completion}");
    }
    assert_eq!(extract("still thinking", Block::Last, true), Err("<think> is never closed"));
}

#[test]
fn one_block_or_none() {
    let two = "```python\na\n```\n```python\nb\n```";
    assert_eq!(extract(two, Block::Only, false), Err("more than one ```python block"));
    assert_eq!(extract("```python\na\n```\n```\n5\n```", Block::Only, false).as_deref(), Ok("a\n"));
    assert_eq!(extract("<think></think>print(1)", Block::Whole, false).as_deref(), Ok("print(1)"));
    assert_eq!(extract("<think></think>", Block::Whole, false), Err("the program is empty"));
}

#[test]
fn imports_from_the_future_stay_first() {
    assert_eq!(assemble("", "a", ""), "a");
    assert_eq!(assemble("import re", "a", "\nb"), "import re\na\n\nb");
    let program = "# note\nfrom __future__ import annotations\na\n";
    assert_eq!(assemble("import re\n", program, ""), "from __future__ import annotations\nimport re\n# note\na");
    assert_eq!(assemble("", program, ""), program);
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), marks in r"(```|~~~|python|\n| |</?think>|a|é){0,12}", opened in any::<bool>()) {
        for block in [Block::Last, Block::Only, Block::Whole] {
            let _ = extract(&text, block, opened);
            let _ = extract(&marks, block, opened);
        }
    }
}
