package query

import "strings"

// porter returns the stem of an English word by the algorithm of M. F. Porter, "An algorithm for suffix stripping",
// Program 14 (1980). Words with anything but lower-case ASCII letters, apart from a possessive 's, are their own stems.
func porter(word string) string {
	word = strings.TrimSuffix(word, "'s")
	for i := 0; i < len(word); i++ {
		if word[i] < 'a' || word[i] > 'z' {
			return word
		}
	}
	if len(word) <= 2 || len(word) > 64 {
		return word
	}
	w := stripPlural(word)
	w = stripPast(w)
	if strings.HasSuffix(w, "y") && hasVowel(w[:len(w)-1]) {
		w = w[:len(w)-1] + "i"
	}
	w = replaceSuffix(w, porterStep2, 0)
	w = replaceSuffix(w, porterStep3, 0)
	w = stripResidual(w)
	return tidy(w)
}

type suffix struct{ from, to string }

var porterStep2 = []suffix{
	{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"}, {"abli", "able"},
	{"alli", "al"}, {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"}, {"ation", "ate"},
	{"ator", "ate"}, {"alism", "al"}, {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
	{"iviti", "ive"}, {"biliti", "ble"},
}

var porterStep3 = []suffix{
	{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
}

var porterStep4 = []suffix{
	{"al", ""}, {"ance", ""}, {"ence", ""}, {"er", ""}, {"ic", ""}, {"able", ""}, {"ible", ""}, {"ant", ""},
	{"ement", ""}, {"ment", ""}, {"ent", ""}, {"ion", ""}, {"ou", ""}, {"ism", ""}, {"ate", ""}, {"iti", ""},
	{"ous", ""}, {"ive", ""}, {"ize", ""},
}

// replaceSuffix replaces the longest suffix of the table whose stem has a measure above the given.
func replaceSuffix(w string, table []suffix, above int) string {
	s, ok := longestSuffix(w, table)
	if !ok {
		return w
	}
	if root := w[:len(w)-len(s.from)]; measure(root) > above {
		return root + s.to
	}
	return w
}

func longestSuffix(w string, table []suffix) (longest suffix, ok bool) {
	for _, s := range table {
		if strings.HasSuffix(w, s.from) && len(s.from) > len(longest.from) {
			longest, ok = s, true
		}
	}
	return longest, ok
}

func stripPlural(w string) string {
	switch {
	case strings.HasSuffix(w, "sses"), strings.HasSuffix(w, "ies"):
		return w[:len(w)-2]
	case strings.HasSuffix(w, "ss"):
		return w
	case strings.HasSuffix(w, "s"):
		return w[:len(w)-1]
	}
	return w
}

func stripPast(w string) string {
	if strings.HasSuffix(w, "eed") {
		if measure(w[:len(w)-3]) > 0 {
			return w[:len(w)-1]
		}
		return w
	}
	root := strings.TrimSuffix(w, "ed")
	if root == w {
		root = strings.TrimSuffix(w, "ing")
	}
	if root == w || !hasVowel(root) {
		return w
	}
	switch {
	case strings.HasSuffix(root, "at"), strings.HasSuffix(root, "bl"), strings.HasSuffix(root, "iz"):
		return root + "e"
	case endsInDouble(root) && !strings.ContainsAny(root[len(root)-1:], "lsz"):
		return root[:len(root)-1]
	case measure(root) == 1 && endsInCVC(root):
		return root + "e"
	}
	return root
}

func stripResidual(w string) string {
	s, ok := longestSuffix(w, porterStep4)
	if !ok {
		return w
	}
	root := w[:len(w)-len(s.from)]
	if measure(root) <= 1 || s.from == "ion" && !strings.HasSuffix(root, "s") && !strings.HasSuffix(root, "t") {
		return w
	}
	return root
}

func tidy(w string) string {
	if root, ok := strings.CutSuffix(w, "e"); ok {
		if m := measure(root); m > 1 || m == 1 && !endsInCVC(root) {
			w = root
		}
	}
	if strings.HasSuffix(w, "ll") && measure(w) > 1 {
		w = w[:len(w)-1]
	}
	return w
}

// isConsonant tells whether the letter at i is one: y is a vowel after a consonant.
func isConsonant(w string, i int) bool {
	switch w[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !isConsonant(w, i-1)
	}
	return true
}

// measure counts how often vowels are followed by consonants: 0 in "tree", 1 in "trees", 2 in "private".
func measure(w string) int {
	m, vowel, consonant := 0, false, true
	for i := range len(w) {
		// The same rule as isConsonant, kept along the way so that "yyyy…" costs no more than other words.
		switch w[i] {
		case 'a', 'e', 'i', 'o', 'u':
			consonant = false
		case 'y':
			consonant = i == 0 || !consonant
		default:
			consonant = true
		}
		if consonant && vowel {
			m++
		}
		vowel = !consonant
	}
	return m
}

func hasVowel(w string) bool {
	consonant := true
	for i := range len(w) {
		switch w[i] {
		case 'a', 'e', 'i', 'o', 'u':
			return true
		case 'y':
			consonant = i == 0 || !consonant
		default:
			consonant = true
		}
		if !consonant {
			return true
		}
	}
	return false
}

func endsInDouble(w string) bool {
	n := len(w)
	return n > 1 && w[n-1] == w[n-2] && isConsonant(w, n-1)
}

// endsInCVC tells whether a word ends in consonant, vowel, consonant, the last one not w, x or y.
func endsInCVC(w string) bool {
	n := len(w)
	return n > 2 && isConsonant(w, n-1) && !isConsonant(w, n-2) && isConsonant(w, n-3) && !strings.ContainsAny(w[n-1:], "wxy")
}
