use super::*;

#[test]
fn no_text_becomes_a_mark_of_the_page() {
    assert_eq!(
        escaped("<img src=x onerror='a(\"b\")'>&amp;"),
        "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;amp;"
    );
    let hostile = escaped("a\x1b[2Jb\0c\u{202e}d\u{2028}e\u{85}f");
    assert!(
        !hostile.contains(['\x1b', '\0', '\u{202e}', '\u{2028}', '\u{85}']),
        "{hostile:?}"
    );
    assert_eq!(
        escaped("10.7.20.5 -> control, blå"),
        "10.7.20.5 -&gt; control, blå"
    );
}

#[test]
fn the_style_takes_nothing_from_elsewhere() {
    for word in ["url(", "@import", "http", "</"] {
        assert!(!STYLE.contains(word), "{word}");
    }
}
