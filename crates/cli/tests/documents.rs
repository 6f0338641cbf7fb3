//! The documents say what the program does: error codes, links, commands, configuration keys and examples.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its documents has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use portcullis_model::{Permission, Site};
use serde_json::Value;

#[test]
fn every_error_code_is_explained_and_every_explained_code_exists() {
    let mut used = BTreeSet::new();
    for file in sources() {
        used.extend(
            codes(&read(&file))
                .filter(|code| code.quoted)
                .map(|code| code.text),
        );
    }
    let errors = read(&root().join("docs/errors.md"));
    let explained: BTreeSet<String> = codes(&errors).map(|code| code.text).collect();
    assert!(
        used.len() > 50,
        "the codes were not found in the source: {used:?}"
    );
    assert_eq!(used, explained, "left: in the source, right: in docs/errors.md");
    for code in &used {
        let row = format!("| {code} | ");
        let rows = errors.lines().filter(|line| line.starts_with(&row)).count();
        assert_eq!(rows, 1, "{code} has {rows} rows in docs/errors.md");
    }
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut seen = 0;
    for document in documents() {
        for link in links(&read(&document)) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link} leads nowhere", document.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn every_command_shows_its_help_and_is_mentioned_in_the_documents() {
    let texts: String = documents().iter().map(|file| read(file)).collect();
    let words = texts.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut to_see = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    while let Some(command) = to_see.pop() {
        let help = help_of(&command);
        for name in subcommands(&help) {
            let mut path = command.clone();
            path.push(name);
            let shown = path.join(" ");
            let mentioned = [format!("portcullis {shown}"), format!("`{shown}`")]
                .iter()
                .any(|mention| words.contains(mention));
            assert!(mentioned, "no document mentions `portcullis {shown}`");
            seen.insert(shown);
            to_see.push(path);
        }
    }
    assert!(
        seen.contains("check") && seen.contains("lab run"),
        "the help was not understood: {seen:?}"
    );
}

#[test]
fn the_schemas_and_the_documents_know_the_keys_that_the_readers_ask_for() {
    for (name, readers) in [
        (
            "site",
            &[
                "crates/model/src/site/read.rs",
                "crates/model/src/site/detections.rs",
                "crates/model/src/site/log_prefixes.rs",
            ] as &[&str],
        ),
        ("permission", &["crates/model/src/permission.rs"]),
    ] {
        let code: String = readers.iter().map(|reader| read(&root().join(reader))).collect();
        let asked = asked_keys(&code);
        assert!(asked.len() > 5, "{name}: only {asked:?} were found");
        let schema: Value = serde_json::from_str(&read(&docs(&format!("{name}.schema.json")))).unwrap();
        let mut described = BTreeSet::new();
        properties(&schema, &mut described);
        assert_eq!(
            asked, described,
            "left: {readers:?}, right: docs/{name}.schema.json"
        );

        let text = read(&docs(&format!("{name}.md")));
        for key in &asked {
            let explained = text.contains(&format!("| `{key}` |")) || text.contains(&format!("[{key}]"));
            assert!(explained, "docs/{name}.md does not explain `{key}`");
        }
    }
}

#[test]
fn the_examples_of_the_documents_are_valid() {
    let site = first_block(&read(&docs("site.md")), "## Example");
    assert_eq!(Site::parse("site.md", &site).unwrap().name, "plant-7");
    let site = block_with(&read(&root().join("README.md")), "[site]");
    assert_eq!(Site::parse("README.md", &site).unwrap().zones.len(), 3);
    let permission = first_block(&read(&docs("permission.md")), "## Example");
    assert!(Permission::parse("permission.md", &permission).is_ok());
}

#[test]
fn the_mistakes_shown_in_the_documents_are_those_that_the_program_reports() {
    let text = read(&docs("site.md"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("site.toml"), first_block(&text, "## Mistakes")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["--config", "site.toml", "--store", "plant.sqlite", "exposures"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        block_with(&text, "error[CF001]")
    );
    assert!(
        !folder.path().join("plant.sqlite").exists(),
        "the store was opened although the site has mistakes"
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn docs(name: &str) -> PathBuf {
    root().join("docs").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .map_err(|error| format!("{}: {error}", path.display()))
        .unwrap()
}

/// All `*.rs` below `crates/*/src`.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for package in entries(&root().join("crates")) {
        let source = package.join("src");
        if source.is_dir() {
            below(&source, &mut files);
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in entries(folder) {
        if entry.is_dir() {
            below(&entry, files);
        } else {
            files.push(entry);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
}

/// What a reader of the project is given.
fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    documents.extend(entries(&root().join("docs")));
    documents.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    documents
}

/// A word of two capital letters and three digits.
struct Code {
    text: String,
    /// Whether it is all that stands between two quotation marks.
    quoted: bool,
}

fn codes(text: &str) -> impl Iterator<Item = Code> {
    text.as_bytes().windows(7).filter_map(|window| {
        let &[before, a, b, c, d, e, after] = window else {
            return None;
        };
        let shape = [a, b].iter().all(u8::is_ascii_uppercase) && [c, d, e].iter().all(u8::is_ascii_digit);
        let alone = !before.is_ascii_alphanumeric() && !after.is_ascii_alphanumeric();
        (shape && alone).then(|| Code {
            text: [a, b, c, d, e].map(char::from).iter().collect(),
            quoted: (before, after) == (b'"', b'"'),
        })
    })
}

/// The targets of `[…](target)`; indented blocks are no Markdown.
fn links(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with("    "))
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

fn help_of(command: &[String]) -> String {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "`{} --help`", command.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// The names in the list of commands; the lines of a description are indented further.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The keys that a reader of a configuration file asks for.
fn asked_keys(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut keys = BTreeSet::new();
    for verb in [
        "section", "sections", "required", "text", "texts", "parsed", "flag", "number", "span", "span_at",
    ] {
        for call in code.split(&format!(".{verb}")).skip(1) {
            // A call may name its type first: `.parsed::<Port>("ports")`.
            let call = match call.strip_prefix("::<") {
                Some(typed) => typed.split_once('>').map_or("", |(_, rest)| rest),
                None => call,
            };
            if let Some((key, _)) = call.strip_prefix("(\"").and_then(|rest| rest.split_once('"')) {
                keys.insert(key.to_owned());
            }
        }
    }
    keys
}

/// The keys of all objects that a schema describes.
fn properties(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(described) = fields.get("properties").and_then(Value::as_object) {
                keys.extend(described.keys().cloned());
            }
            fields.values().for_each(|value| properties(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, keys)),
        _ => {}
    }
}

/// The indented blocks of a document, without their indentation, by the line at which they begin.
fn blocks(text: &str) -> BTreeMap<usize, String> {
    let mut blocks = BTreeMap::new();
    let mut block: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("    "), &mut block) {
            (Some(line), Some((_, content))) => content.push_str(&format!("{line}\n")),
            (Some(line), None) => block = Some((number, format!("{line}\n"))),
            (None, Some((_, content))) if line.is_empty() => content.push('\n'),
            (None, _) => blocks.extend(block.take()),
        }
    }
    blocks.extend(block);
    for content in blocks.values_mut() {
        *content = format!("{}\n", content.trim_end());
    }
    blocks
}

fn first_block(text: &str, heading: &str) -> String {
    let after = text.lines().position(|line| line == heading).unwrap();
    let mut below = blocks(text).split_off(&after);
    below.pop_first().unwrap().1
}

fn block_with(text: &str, beginning: &str) -> String {
    blocks(text)
        .into_values()
        .find(|block| block.starts_with(beginning))
        .unwrap()
}
