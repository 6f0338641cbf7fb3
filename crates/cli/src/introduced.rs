//! What a station said of itself, for people.

use portcullis_model::Introduction;

/// In one line: who, by which service, and what.
pub(crate) fn introduced(introduction: &Introduction) -> String {
    let identification = &introduction.identification;
    let address = introduction
        .address
        .map_or_else(|| "no address".to_owned(), |address| address.to_string());
    let mac = introduction
        .mac
        .map_or_else(String::new, |mac| format!(" ({mac})"));
    let fields: Vec<String> = identification
        .fields
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    format!(
        "{address}{mac} says by {} ({}): {}",
        identification.service,
        identification.grade,
        fields.join(", ")
    )
}
