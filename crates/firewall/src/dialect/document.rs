//! What is handed to an engineer: one text that can be read from top to bottom, and pasted step by step.

use std::fmt;

/// The widest line of a remark; commands are as long as they are.
const WIDTH: usize = 108;

/// What a section is for, in the order in which they are worked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// What to look at and to save first.
    Before,
    /// The change, on trial where the system has a timer.
    Apply,
    /// Whether the device does what it was told.
    Check,
    /// Makes the trial permanent.
    Confirm,
    /// Takes the change back.
    Rollback,
    /// All of it once more, by other means.
    Alternative,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Before => "before",
            Self::Apply => "apply",
            Self::Check => "check",
            Self::Confirm => "confirm",
            Self::Rollback => "rollback",
            Self::Alternative => "alternative",
        })
    }
}

/// One step, with its remarks in the comments of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is for.
    pub step: Step,
    /// What it does, in a few words.
    pub title: String,
    /// Commands and remarks, each line ended.
    pub text: String,
}

/// A change in the words of one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Begins a comment of the language, e.g. `#`; empty where all is prose.
    pub comment: &'static str,
    /// What the change is: sentences.
    pub head: Vec<String>,
    /// The steps, in their order.
    pub sections: Vec<Section>,
    /// What has not been tried on a real device, nor been found in its documentation: sentences.
    pub unverified: Vec<String>,
}

impl Document {
    /// A document without anything in it.
    pub(super) fn new(comment: &'static str) -> Self {
        Self {
            comment,
            head: Vec::new(),
            sections: Vec::new(),
            unverified: Vec::new(),
        }
    }

    /// Begins a section; what is said and written next stands in it.
    pub(super) fn begin(&mut self, step: Step, title: &str) -> &mut Self {
        self.sections.push(Section {
            step,
            title: title.into(),
            text: String::new(),
        });
        self
    }

    /// A remark, wrapped.
    pub(super) fn say(&mut self, sentence: &str) -> &mut Self {
        let comment = self.comment;
        if let Some(section) = self.sections.last_mut() {
            section.text.push_str(&remark(comment, "", sentence));
        }
        self
    }

    /// Lines of the language, as they are.
    pub(super) fn write(&mut self, lines: impl AsRef<str>) -> &mut Self {
        if let Some(section) = self.sections.last_mut() {
            section.text.push_str(lines.as_ref().trim_end_matches('\n'));
            section.text.push('\n');
        }
        self
    }

    /// Lines for a POSIX shell of their own: one paste, whatever shell it comes into, that ends where a line of it does.
    pub(super) fn script(&mut self, lines: impl AsRef<str>) -> &mut Self {
        self.write(format!(
            "sh <<'SH'\n{}\nSH",
            lines.as_ref().trim_end_matches('\n')
        ))
    }

    /// Lines of the language that must not be run as they stand.
    pub(super) fn write_as_comment(&mut self, lines: impl AsRef<str>) -> &mut Self {
        for line in lines.as_ref().lines() {
            let commented = format!("{}   {line}", self.comment);
            self.write(commented.trim_end());
        }
        self
    }

    /// What has not been verified.
    pub(super) fn unverified(&mut self, sentences: &[&str]) -> &mut Self {
        self.unverified
            .extend(sentences.iter().map(|sentence| (*sentence).to_owned()));
        self
    }

    /// The text of all sections of a step.
    pub fn text(&self, step: Step) -> String {
        let sections = self.sections.iter().filter(|section| section.step == step);
        sections.map(|section| section.text.as_str()).collect()
    }
}

/// A sentence as lines of comment.
fn remark(comment: &str, bullet: &str, sentence: &str) -> String {
    let begin = |bullet: &str| match (comment, bullet) {
        ("", bullet) => bullet.to_owned(),
        (comment, bullet) => format!("{comment} {bullet}"),
    };
    let (first, further) = (begin(bullet), begin(&" ".repeat(bullet.len())));
    let mut lines = String::new();
    let mut line = first;
    let mut is_empty = true;
    for word in sentence.split_whitespace() {
        if !is_empty && line.len() + 1 + word.len() > WIDTH {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line.clone_from(&further);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comment = self.comment;
        for sentence in &self.head {
            f.write_str(&remark(comment, "", sentence))?;
        }
        writeln!(f, "{comment}")?;
        f.write_str(&remark(comment, "", "Not verified on a real device:"))?;
        for sentence in &self.unverified {
            f.write_str(&remark(comment, "- ", sentence))?;
        }
        for Section { step, title, text } in &self.sections {
            writeln!(f)?;
            let step = step.to_string().to_uppercase();
            f.write_str(&remark(comment, "", &format!("==== {step}: {title} ====")))?;
            f.write_str(text)?;
        }
        Ok(())
    }
}
