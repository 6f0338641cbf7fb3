//! Words and calls of a POSIX shell (IEEE 1003.1, 2), as text.

/// One word: between single quotes nothing has a meaning but the single quote (2.2.2).
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The call of a program, which reads `stdin` if that is not empty. It does not end with a newline.
pub fn call<A: AsRef<str>>(program: &str, arguments: &[A], stdin: &str) -> String {
    let words = std::iter::once(program).chain(arguments.iter().map(AsRef::as_ref));
    let call = words.map(quoted).collect::<Vec<_>>().join(" ");
    if stdin.is_empty() {
        return call;
    }
    let end = end_of(stdin);
    let newline = if stdin.ends_with('\n') { "" } else { "\n" };
    format!("{call} <<'{end}'\n{stdin}{newline}{end}")
}

/// Ends what a program reads: a word that is no line of it, for it may hold calls itself.
fn end_of(text: &str) -> String {
    let mut end = "END".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn printed(script: &str) -> String {
        crate::run("sh", &["-s"], script, Duration::from_secs(30))
            .unwrap()
            .stdout
    }

    #[test]
    fn a_shell_takes_each_word_for_what_it_is() {
        let words = ["%s|", "it's", "$HOME `x`", "", "a\nb", "\\", "*"];
        assert_eq!(printed(&call("printf", &words, "")), "it's|$HOME `x`||a\nb|\\|*|");
    }

    #[test]
    fn what_is_read_may_hold_calls_itself() {
        let inner = call::<&str>("cat", &[], "one $HOME\n");
        let outer = call("sh", &["-s"], &inner);
        assert_eq!(printed(&outer), "one $HOME\n");
        assert_eq!(printed(&call::<&str>("cat", &[], "no newline")), "no newline\n");
    }
}
