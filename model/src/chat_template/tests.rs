use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::ChatTemplate;

fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tokenizers");
    if !folder.is_dir() {
        eprintln!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
}

fn source(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    if path.extension().unwrap() == "jinja" {
        return text;
    }
    let config: Value = serde_json::from_str(&text).unwrap();
    config["chat_template"].as_str().unwrap().to_owned()
}

fn render(template: &str, variables: Value) -> Result<String, anyhow::Error> {
    let template = ChatTemplate::new(template, Map::new())?;
    template.render(&json!([]), None, false, variables.as_object().unwrap())
}

#[test]
fn every_render_vector() {
    let Some(data) = data() else { return };
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in fs::read_to_string(data.join("chat_render_vectors.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = row["template"].as_str().unwrap();
        let template = ChatTemplate::new(&source(&data.join(name)), Map::new()).unwrap();
        let mut kwargs = row["kwargs"].as_object().unwrap().clone();
        let prompt = kwargs.remove("add_generation_prompt").unwrap() == true;
        let tools = Some(&row["tools"]).filter(|tools| !tools.is_null());
        let rendered = template.render(&row["messages"], tools, prompt, &kwargs);
        let right = match (&rendered, row["error"].as_str()) {
            (Ok(text), None) => text == row["rendered"].as_str().unwrap(),
            (Err(error), Some(expected)) => match expected.strip_prefix("TemplateError: ") {
                Some(raised) => format!("{error:#}").contains(raised),
                None => true,
            },
            _ => false,
        };
        if !right {
            wrong.push(format!("{name} {}: {rendered:?}\nwanted {}", row["case"], row["rendered"]));
        }
        rows += 1;
    }
    assert!(rows > 300, "only {rows} rows");
    assert!(wrong.is_empty(), "{} of {rows} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn values_print_as_in_python() {
    let values = json!({"v": {"a": [1, 2.0, null, true, "it's", "x\n"], "b": {}, "c": 1e20}});
    let printed = "{'a': [1, 2.0, None, True, \"it's\", 'x\\n'], 'b': {}, 'c': 1e+20}";
    assert_eq!(render("{{ v }}", values.clone()).unwrap(), printed);
    assert_eq!(render("{{ v|string }}", values.clone()).unwrap(), printed);
    assert_eq!(render("{{ '' ~ v }}", values.clone()).unwrap(), printed);
    assert_eq!(render("{{ v.a[-1] ~ v.a[1:3] ~ v.a|length }}", values).unwrap(), "x\n[2.0, None]6");
}

#[test]
fn json_is_written_as_by_json_dumps() {
    let values = json!({"v": {"b": [1, 2.5], "a": "<é>\u{1}\"", "e": [], "n": null}});
    assert_eq!(
        render("{{ v|tojson }}", values.clone()).unwrap(),
        r#"{"b": [1, 2.5], "a": "<é>\u0001\"", "e": [], "n": null}"#
    );
    assert_eq!(
        render("{{ v|tojson(indent=2) }}", values).unwrap(),
        "{\n  \"b\": [\n    1,\n    2.5\n  ],\n  \"a\": \"<é>\\u0001\\\"\",\n  \"e\": [],\n  \"n\": null\n}"
    );
}

#[test]
fn loops_break_and_dates_are_dates() {
    let looped = "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}";
    assert_eq!(render(looped, json!({})).unwrap(), "023");
    let date = render("{{ strftime_now('%Y-%m-%d') }}", json!({})).unwrap();
    assert_eq!(date.len(), 10);
    assert!(date.starts_with("20"));
}

#[test]
fn an_exception_carries_its_message() {
    let error = render("{{ raise_exception('no such role') }}", json!({})).unwrap_err();
    assert!(format!("{error:#}").contains("no such role"));
    assert!(ChatTemplate::new("{% if %}", Map::new()).is_err());
}
