package policy

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hasKeyword finds the first of the keywords that is in a subject.
func hasKeyword(subject string, keywords []string) string {
	for _, k := range keywords {
		for i := range subject {
			if keywordAt(subject, i, k) {
				return k
			}
		}
	}
	return ""
}

// keywordAt reports a keyword at an offset, whatever the case, where it is not
// a piece of a longer word.
func keywordAt(subject string, i int, keyword string) bool {
	end := i + len(keyword)
	if end > len(subject) || !strings.EqualFold(subject[i:end], keyword) {
		return false
	}
	before, _ := utf8.DecodeLastRuneInString(subject[:i])
	after, _ := utf8.DecodeRuneInString(subject[end:])
	first, _ := utf8.DecodeRuneInString(keyword)
	last, _ := utf8.DecodeLastRuneInString(keyword)
	return !(isWord(first) && isWord(before)) && !(isWord(last) && isWord(after))
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// withoutKeywords takes every keyword out of a subject; of the blanks around it
// one stays.
func withoutKeywords(subject string, keywords []string) string {
	var out []byte
	gap := false
next:
	for i := 0; i < len(subject); {
		for _, k := range keywords {
			if keywordAt(subject, i, k) {
				i += len(k)
				out, gap = bytes.TrimRightFunc(out, unicode.IsSpace), true
				continue next
			}
		}
		r, n := utf8.DecodeRuneInString(subject[i:])
		if !gap || !unicode.IsSpace(r) {
			if gap && len(out) > 0 {
				out = append(out, ' ')
			}
			gap = false
			out = append(out, subject[i:i+n]...)
		}
		i += n
	}
	return string(out)
}
