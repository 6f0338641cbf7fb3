//! `tasklist`, `/v`, `/svc`, each as table, `/fo csv` or `/fo list`.
//!
//! ```text
//! Abbildname                     PID Sitzungsname       Sitz.-Nr. Speichernutzung
//! ========================= ======== ================ =========== ===============
//! System Idle Process              0 Services                   0             8 K
//! ```
//!
//! Headings are translated. What is certain is the order: the name of the image, the id, and then either five columns in
//! all, nine (`/v`, the seventh is the user) or three (`/svc`, the third are services, over several lines).

use std::net::IpAddr;

use portcullis_model::Untrusted;

use super::{MOST, Task, name};

/// What the third column of three holds when it does not hold services.
const MODULES: [&str; 2] = [".dll", ".exe"];

pub(super) fn read(text: &str) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut columns: Option<Vec<usize>> = None;
    let mut record: Vec<(&str, &str)> = Vec::new();
    for line in text.lines() {
        if let Some(widths) = ruler(line) {
            columns = Some(widths);
            continue;
        }
        let blank = line.trim().is_empty();
        if blank {
            // `netstat` and others may follow behind an empty line.
            columns = None;
        }
        if let Some(widths) = &columns {
            row(line, widths, &mut tasks);
        } else if let Some(fields) = quoted(line) {
            tasks.extend(of_fields(&fields));
        } else if let Some((label, value)) = labelled(line, &record) {
            record.push((label, value));
            continue;
        }
        tasks.extend(of_record(&std::mem::take(&mut record)));
        if tasks.len() >= MOST {
            break;
        }
    }
    tasks.extend(of_record(&record));
    tasks.truncate(MOST);
    tasks
}

/// The widths of the columns of a table, from the line of equals signs below its heading.
fn ruler(line: &str) -> Option<Vec<usize>> {
    let line = line.trim_end();
    let groups: Vec<&str> = line.split(' ').collect();
    let is_ruler = groups.len() >= 3
        && groups
            .iter()
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte == b'='));
    is_ruler.then(|| groups.iter().map(|group| group.len()).collect())
}

fn row(line: &str, widths: &[usize], tasks: &mut Vec<Task>) {
    let fields = cells(line, widths);
    let [first, second, ..] = fields.as_slice() else {
        return;
    };
    // Services that do not fit into their column go on below it.
    if first.is_empty() && second.is_empty() {
        if let ([_, _, more], Some(task)) = (fields.as_slice(), tasks.last_mut()) {
            task.services.extend(services(more));
        }
        return;
    }
    tasks.extend(of_fields(&fields));
}

/// The cells of a row. Columns are counted in letters; a name that is too wide for its column pushes the others.
fn cells(line: &str, widths: &[usize]) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    let mut cells = Vec::new();
    let mut begin = 0;
    for (place, width) in widths.iter().enumerate() {
        let is_last = place + 1 == widths.len();
        let end = if is_last { letters.len() } else { begin + width };
        let cell = letters.get(begin..end.min(letters.len())).unwrap_or_default();
        cells.push(cell.iter().collect::<String>().trim().to_owned());
        begin = end.saturating_add(1);
    }
    cells
}

/// The fields of a line of CSV in which every field stands in quotation marks.
fn quoted(line: &str) -> Option<Vec<String>> {
    let inside = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    let fields: Vec<String> = inside
        .split("\",\"")
        .map(|field| field.replace("\"\"", "\""))
        .collect();
    matches!(fields.len(), 3 | 5 | 9).then_some(fields)
}

/// A line of a list: a label that ends with a colon, and its value. What is indented below a third line goes on with it.
fn labelled<'l>(line: &'l str, record: &[(&str, &str)]) -> Option<(&'l str, &'l str)> {
    if line.starts_with([' ', '\t']) && record.len() >= 3 {
        return Some(("", line.trim()));
    }
    let (label, value) = line.split_once(':')?;
    let is_label =
        !label.is_empty() && label.chars().count() <= 40 && !label.starts_with(char::is_whitespace);
    is_label.then(|| (label, value.trim()))
}

fn of_record(record: &[(&str, &str)]) -> Option<Task> {
    let lines = record.iter().filter(|(label, _)| !label.is_empty()).count();
    // Other tools print lists, too: a record of another shape, or one of sockets, is none of ours.
    if !matches!(lines, 3 | 5 | 9) || record.iter().any(|(label, _)| label.trim() == "LocalPort") {
        return None;
    }
    let mut fields: Vec<String> = Vec::new();
    for (label, value) in record {
        match fields.last_mut().filter(|_| label.is_empty()) {
            Some(last) => {
                last.push(',');
                last.push_str(value);
            }
            None => fields.push((*value).to_owned()),
        }
    }
    of_fields(&fields)
}

fn of_fields(fields: &[String]) -> Option<Task> {
    let (image, pid) = (fields.first()?, fields.get(1)?);
    // `Get-NetTCPConnection` has an address and a port in these places.
    if image.parse::<IpAddr>().is_ok() {
        return None;
    }
    Some(Task {
        pid: pid.parse().ok()?,
        name: name(image)?,
        services: match fields {
            [_, _, listed] => services(listed),
            _ => Vec::new(),
        },
        user: match fields.len() {
            9 => fields.get(6).and_then(|user| name(user)),
            _ => None,
        },
    })
}

/// The short names of services. `N/A`, which is translated, stands for none; modules (`tasklist /m`) are no services.
fn services(listed: &str) -> Vec<Untrusted> {
    let names = listed.split(',').map(str::trim);
    let is_module = |name: &str| {
        let name = name.to_ascii_lowercase();
        MODULES.iter().any(|ending| name.ends_with(ending))
    };
    names
        .filter(|name| !name.contains(['/', '\\', ' ']) && !is_module(name))
        .filter_map(name)
        .take(200)
        .collect()
}
