//! What a command found, as text, JSON, JSON lines or CSV; some commands have a further format. Data goes to standard output,
//! nothing else does.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use portcullis_model::{Exit, Fault, sanitize};
use serde::Serialize;
use serde_json::{Value, json};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document: a list of records.
    Json,
    /// One JSON record a line.
    Jsonl,
    /// Comma-separated values with a header (RFC 4180); nested values as JSON.
    Csv,
    /// The XML of nmap; only what `scan` found.
    NmapXml,
    /// A VEX document in CSAF 2.0; only of `assets`.
    CsafVex,
    /// CycloneDX 1.6 as JSON; only of `assets`.
    #[value(name = "cyclonedx")]
    CycloneDx,
    /// One page that stands for itself; only of `logs`.
    Html,
}

/// What a command found: records for programs, text for people.
#[derive(Debug, Default)]
pub(crate) struct View {
    records: Vec<Value>,
    text: String,
}

impl View {
    /// A view with this text and no records yet.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            records: Vec::new(),
            text: text.into(),
        }
    }

    /// The same records with this text.
    pub(crate) fn with_text(self, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..self
        }
    }

    /// Adds a record. `kind` names its schema, e.g. `listener` for `portcullis.listener/1`.
    pub(crate) fn record(&mut self, kind: &str, value: &impl Serialize) {
        self.records.push(record(kind, value));
    }

    /// Adds one record for each value.
    pub(crate) fn all<'a, T: Serialize + 'a>(
        mut self,
        kind: &str,
        values: impl IntoIterator<Item = &'a T>,
    ) -> Self {
        for value in values {
            self.record(kind, value);
        }
        self
    }

    /// Prints it.
    ///
    /// # Errors
    /// When standard output does not take it. A reader that has had enough (`| head`) is no failure.
    pub(crate) fn print(&self, format: Format) -> Result<(), Box<dyn Fault>> {
        print(|out| self.write(format, out))
    }

    fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text => writeln!(out, "{}", self.text.trim_end())?,
            Format::Json => {
                write_json(&mut *out, &self.records)?;
            }
            Format::Jsonl => {
                for record in &self.records {
                    writeln!(out, "{}", harmless_json(&record.to_string()))?;
                }
            }
            Format::Csv => self.write_csv(out)?,
            // `cmds` refuses it before the command begins.
            Format::NmapXml | Format::CsafVex | Format::CycloneDx | Format::Html => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
        out.flush()
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut columns: Vec<&str> = Vec::new();
        for record in self.records.iter().filter_map(Value::as_object) {
            for key in record.keys() {
                if !columns.contains(&key.as_str()) {
                    columns.push(key);
                }
            }
        }
        let mut writer = csv::Writer::from_writer(out);
        if !columns.is_empty() {
            writer.write_record(&columns)?;
        }
        for record in &self.records {
            writer.write_record(columns.iter().map(|column| match record.get(column) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => harmless_cell(text),
                Some(other) => harmless_json(&other.to_string()),
            }))?;
        }
        writer.flush()
    }
}

/// One record: the schema and the fields of a value.
fn record(kind: &str, value: &impl Serialize) -> Value {
    let mut record = json!({ "schema": format!("portcullis.{kind}/1") });
    let value = serde_json::to_value(value).unwrap_or_default();
    match (record.as_object_mut(), value) {
        (Some(record), Value::Object(fields)) => record.extend(fields),
        (Some(record), value) => {
            record.insert("value".into(), value);
        }
        _ => {}
    }
    record
}

/// Prints to standard output.
///
/// # Errors
/// When standard output does not take it. A reader that has had enough (`| head`) is no failure.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Box<dyn Fault>> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    printed(write(&mut out).and_then(|()| out.flush()))
}

fn printed(result: io::Result<()>) -> Result<(), Box<dyn Fault>> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Box::new(OutputLost(source))),
        _ => Ok(()),
    }
}

/// JSON records that are printed while a command still works: one a line, each flushed, so that a reader at the other end
/// of a pipe has it at once. After the first that cannot be printed no other is tried.
#[derive(Debug)]
pub(crate) struct Stream<W> {
    out: W,
    printed: io::Result<()>,
}

impl<W: Write> Stream<W> {
    /// A stream that has printed nothing yet.
    pub(crate) fn new(out: W) -> Self {
        Self { out, printed: Ok(()) }
    }

    /// Prints a record, see [`View::record`].
    pub(crate) fn record(&mut self, kind: &str, value: &impl Serialize) {
        if self.printed.is_ok() {
            let line = format!("{}\n", record(kind, value));
            self.printed = self
                .out
                .write_all(line.as_bytes())
                .and_then(|()| self.out.flush());
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When something could not be printed. A reader that has had enough is no failure.
    pub(crate) fn end(self) -> Result<(), Box<dyn Fault>> {
        printed(self.printed)
    }
}

/// What was found could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write what was found to standard output")]
struct OutputLost(#[source] io::Error);

impl Fault for OutputLost {
    fn code(&self) -> &'static str {
        "CL001"
    }
    fn hint(&self) -> Option<String> {
        Some("what was done is done; only its report is lost: make room and ask again".into())
    }
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// A spreadsheet takes a cell that begins so for a formula (CWE-1236): names of processes and banners come from outside.
fn harmless_cell(text: &str) -> String {
    let shown = sanitize(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{shown}")
    } else {
        shown
    }
}

/// One JSON document, laid out for people, and harmless to show.
pub(crate) fn write_json(out: &mut (impl Write + ?Sized), value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    // The line ends of its layout are the only control characters that stand in it as they are.
    for line in json.split('\n') {
        writeln!(out, "{}", harmless_json(line))?;
    }
    Ok(())
}

/// JSON in which what reorders or hides text is escaped, as control characters are already.
pub(crate) fn harmless_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if sanitize(character.encode_utf8(&mut [0; 4])).starts_with("\\u") {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A table without lines, which pastes well into mails and tickets.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    columns(&header, rows.into_iter().map(Vec::from))
}

/// The same with as many columns as there are headers.
pub(crate) fn columns<T: AsRef<str>>(header: &[T], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| sanitize(name.as_ref()).to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| sanitize(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: Format) -> String {
        let mut view = View::text("two things");
        view.record("thing", &json!({ "name": "=1+1", "list": [1, 2] }));
        view.record("thing", &json!({ "name": "a, b", "more": null }));
        let mut out = Vec::new();
        view.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_format_says_the_same() {
        assert_eq!(shown(Format::Text), "two things\n");
        assert_eq!(
            shown(Format::Jsonl),
            "{\"list\":[1,2],\"name\":\"=1+1\",\"schema\":\"portcullis.thing/1\"}\n\
             {\"more\":null,\"name\":\"a, b\",\"schema\":\"portcullis.thing/1\"}\n"
        );
        assert_eq!(
            shown(Format::Csv),
            "list,name,schema,more\n\"[1,2]\",'=1+1,portcullis.thing/1,\n,\"a, b\",portcullis.thing/1,\n"
        );
        let json: Value = serde_json::from_str(&shown(Format::Json)).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 2);
    }

    #[test]
    fn csv_shows_no_escape_sequences_and_nested_values_stay_json() {
        let mut view = View::default();
        let hostile = "x\x1b[2J\u{202e}gpj\u{e0001}";
        view.record("thing", &json!({ "name": hostile, "list": [hostile, "\\u"] }));
        let mut out = Vec::new();
        view.write(Format::Csv, &mut out).unwrap();
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(!text.contains(['\x1b', '\u{202e}', '\u{e0001}']), "{text:?}");
        assert!(text.contains("x\\u{1b}[2J\\u{202e}gpj"), "{text}");
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let row = reader.records().next().unwrap().unwrap();
        let list: Value = serde_json::from_str(&row[0]).unwrap();
        assert_eq!(list, json!([hostile, "\\u"]));
    }

    /// A reader that goes away after so many lines.
    struct Reader {
        lines: Vec<String>,
        most: usize,
        flushed: usize,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.lines.len() >= self.most {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.lines.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            self.flushed = self.lines.len();
            Ok(())
        }
    }

    #[test]
    fn a_stream_prints_each_record_at_once_and_stops_when_nobody_reads() {
        let mut stream = Stream::new(Reader {
            lines: Vec::new(),
            most: 2,
            flushed: 0,
        });
        for number in 1..=4 {
            stream.record("thing", &json!({ "number": number }));
            assert_eq!(stream.out.flushed, number.min(2), "not flushed");
        }
        assert_eq!(
            stream.out.lines,
            [
                "{\"number\":1,\"schema\":\"portcullis.thing/1\"}\n",
                "{\"number\":2,\"schema\":\"portcullis.thing/1\"}\n"
            ]
        );
        assert!(stream.end().is_ok(), "a reader that has had enough is no failure");
        let lost = printed(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!((lost.code(), lost.exit()), ("CL001", Exit::Failed));
    }

    #[test]
    fn a_table_shows_no_escape_sequences() {
        let shown = table(["name"], [["x\x1b[2J".to_owned()]]);
        assert_eq!(shown, "NAME\nx\\u{1b}[2J");
    }
}
