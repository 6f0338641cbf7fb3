//! Whether a device is the product that an advisory names: by whole words, of vendor and of model.

/// Words of a vendor's name that do not tell it from another's.
const FORMS: [&str; 16] = [
    "inc",
    "ltd",
    "llc",
    "gmbh",
    "ag",
    "co",
    "corp",
    "corporation",
    "company",
    "se",
    "sa",
    "bv",
    "plc",
    "limited",
    "the",
    "kg",
];

/// Words of a product's name that belong to no model.
const FILLING: [&str; 5] = ["firmware", "series", "software", "version", "device"];

/// How well a device fits a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The model fits, and the maker of the device is not known.
    ModelOnly,
    /// Vendor and model fit.
    Both,
}

/// Holds a device against a product of an advisory. A variant behind a hyphen counts as the model
/// (`NPort 5110-T` is an `NPort 5110`); a letter more does not (`NPort 5110A` is none). Space within a name does not count, and
/// `NPort 5110/5130/5150` names three.
pub(super) fn fit(vendor: Option<&str>, model: &str, their_vendor: &str, product: &str) -> Option<Fit> {
    if !may_fit(vendor.unwrap_or_default(), model, their_vendor, product) {
        return None;
    }
    let makers = [words(their_vendor), words(vendor.unwrap_or_default())].concat();
    let own = plain(model, &makers);
    let theirs = alternatives(product);
    if !theirs
        .iter()
        .any(|theirs| is_model(&own, &plain(theirs, &makers)))
    {
        return None;
    }
    match vendor.map(words).filter(|words| !words.is_empty()) {
        Some(own) => same_maker(&own, &words(their_vendor)).then_some(Fit::Both),
        // Some models are written with their maker.
        None if same_maker(&words(model), &words(their_vendor)) => Some(Fit::Both),
        None => Some(Fit::ModelOnly),
    }
}

fn is_model(own: &str, theirs: &str) -> bool {
    let variant = own.strip_prefix(theirs);
    !theirs.is_empty() && variant.is_some_and(|variant| variant.is_empty() || variant.starts_with('-'))
}

/// The name itself, and where its last word but filling names several models (`NPort 5110/5130/5150`), each of them. What
/// stands behind a slash takes the place of a word: a name of several words there is one name.
fn alternatives(product: &str) -> Vec<String> {
    let mut names = vec![product.to_owned()];
    let mut words = product.split_whitespace().enumerate();
    let Some((place, word)) = words.find(|(_, word)| word.contains('/')) else {
        return names;
    };
    names.extend(word.split('/').map(|one| {
        let replaced = product.split_whitespace().enumerate();
        let replaced = replaced.map(|(number, word)| if number == place { one } else { word });
        replaced.collect::<Vec<_>>().join(" ")
    }));
    names
}

/// What must hold for any fit, at the price of looking: each word of the product is one of the model, of a vendor, or none
/// that counts. Hundreds of programs are held against thousands of names.
fn may_fit(vendor: &str, model: &str, their_vendor: &str, product: &str) -> bool {
    // Letters beyond ASCII are left to the careful comparison.
    if !(model.is_ascii() && product.is_ascii()) {
        return true;
    }
    let without_space = |text: &str| -> String { text.split_whitespace().collect() };
    let texts = [model, their_vendor, vendor].map(without_space);
    let mut words = product
        .split_whitespace()
        .map(|word| word.trim_matches([',', ';', ':', '(', ')']));
    words.all(|word| {
        FILLING.iter().any(|filling| filling.eq_ignore_ascii_case(word))
            || word
                .split('/')
                .any(|one| texts.iter().any(|text| contains(text, one)))
    })
}

fn contains(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    word.is_empty()
        || text
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
}

/// The longer name begins with the shorter one: `Moxa` and `Moxa Technologies Inc.`, and not `Not Moxa`.
fn same_maker(one: &[String], other: &[String]) -> bool {
    !one.is_empty() && !other.is_empty() && (one.starts_with(other) || other.starts_with(one))
}

/// The words of a vendor's name, without those of its legal form.
fn words(name: &str) -> Vec<String> {
    name.split(|letter: char| !letter.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty() && !FORMS.contains(&word.as_str()))
        .collect()
}

/// A model without its maker, without words that belong to none, and without space.
fn plain(model: &str, makers: &[String]) -> String {
    let words: Vec<String> = model
        .split_whitespace()
        .map(|word| word.trim_matches([',', ';', ':', '(', ')']).to_lowercase())
        .filter(|word| !word.is_empty() && !FILLING.contains(&word.as_str()) && !makers.contains(word))
        .collect();
    words.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_and_model_fit_as_whole_words() {
        for (vendor, model) in [
            (Some("Moxa"), "NPort 5110"),
            (Some("Moxa Inc."), "nport  5110"),
            (Some("MOXA"), "Moxa NPort 5110-T"),
        ] {
            assert_eq!(
                fit(vendor, model, "Moxa Technologies", "NPort 5110 Series firmware"),
                Some(Fit::Both),
                "{model}"
            );
        }
        for product in [
            "NPort 5110/5130/5150",
            "NPORT5110",
            "NPort 5130/5110 Series",
            "Moxa NPort 5110/5130 firmware",
        ] {
            assert_eq!(
                fit(Some("Moxa"), "NPort 5110-T", "Moxa", product),
                Some(Fit::Both),
                "{product}"
            );
        }
        assert_eq!(
            fit(Some("Moxa"), "NPort5110", "Moxa", "NPort 5110"),
            Some(Fit::Both)
        );
        assert_eq!(
            fit(None, "NPort 5110", "Moxa", "NPort 5110"),
            Some(Fit::ModelOnly)
        );
        assert_eq!(
            fit(None, "Moxa NPort 5110", "Moxa", "NPort 5110"),
            Some(Fit::Both)
        );
    }

    proptest::proptest! {
        #[test]
        fn the_short_look_never_overlooks_a_fit(
            vendor in "(Moxa|Digi|)( Inc.)?", model in "(Moxa )?(NPort|nport) ?51[01]0A?(-T)?( v)?",
            their in "Moxa( AG)?", product in "(Moxa )?N[Pp]ort,? ?51[01]0A?(/51[01]0)?( Series| Firmware)?") {
            let makers = [words(&their), words(&vendor)].concat();
            let own = plain(&model, &makers);
            if alternatives(&product).iter().any(|theirs| is_model(&own, &plain(theirs, &makers))) {
                proptest::prop_assert!(may_fit(&vendor, &model, &their, &product));
            }
        }
    }

    #[test]
    fn another_model_or_another_maker_is_not_meant() {
        for (vendor, model) in [
            (Some("Moxa"), "NPort 5110A"),
            (Some("Moxa"), "NPort 511"),
            (Some("Moxa"), "NPort"),
            (Some("Moxa"), "5110"),
            (Some("Moxa"), ""),
            (Some("Digi"), "NPort 5110"),
            (Some("Moxanet"), "NPort 5110"),
        ] {
            assert_eq!(
                fit(vendor, model, "Moxa", "NPort 5110"),
                None,
                "{vendor:?} {model}"
            );
        }
        for product in ["", "Moxa", "firmware", "/", "Moxa/"] {
            assert_eq!(fit(Some("Moxa"), "Moxa", "Moxa", product), None, "{product}");
        }
        for product in [
            "NPort 5110A/5130",
            "NPort 5130/5150",
            "NPort 511/0",
            "I/O NPort 5110",
        ] {
            assert_eq!(
                fit(Some("Moxa"), "NPort 5110", "Moxa", product),
                None,
                "{product}"
            );
        }
    }
}
