package query

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// TextMatcher is a compiled $text search. It is safe for concurrent use. This is the one meaning of full text in Parley:
// databases may narrow the candidates by an index of their own and then ask here.
//
// The search is that of a text index of MongoDB (version 3). A value matches when it holds one of the words, or rather
// one with the same stem, all "phrases" as they stand, and no -word and no -"phrase". Stop words count for nothing, so
// that a search of nothing but stop words or negations finds nothing. Case and diacritics are ignored unless the
// search says otherwise. English is stemmed by Porter's algorithm; any other language has neither stop words nor stems.
type TextMatcher struct {
	fold             folder
	english          bool
	words            map[string]bool
	negated          map[string]bool
	phrases, refused []string
}

// Compile prepares the search.
func (t *Text) Compile() *TextMatcher {
	m := &TextMatcher{
		fold:    folder{keepCase: t.CaseSensitive, keepMarks: t.DiacriticSensitive},
		words:   make(map[string]bool),
		negated: make(map[string]bool),
	}
	switch strings.ToLower(t.Language) {
	case "", "en", "english":
		m.english = true
	}
	for _, part := range splitTerm(t.Term) {
		if part.phrase {
			if phrase := m.fold.text(part.text); strings.TrimSpace(phrase) != "" {
				if part.negated {
					m.refused = append(m.refused, phrase)
					continue
				}
				m.phrases = append(m.phrases, phrase)
			}
		}
		for _, word := range m.stems(part.text) {
			if part.negated {
				m.negated[word.stem] = true
			} else {
				m.words[word.stem] = true
			}
		}
	}
	return m
}

// Match scores a value: ok tells whether it matches, score how well, higher is better.
func (t *Text) Match(value string) (score float64, ok bool) { return t.Compile().Match(value) }

// Match scores a value: ok tells whether it matches. The score is that of MongoDB for one field of weight 1: each
// occurrence of a word counts half of the one before, long values count less, and a word that was not changed by
// stemming counts a tenth more.
func (m *TextMatcher) Match(value string) (score float64, ok bool) {
	type tally struct {
		count, frequency, next float64
		exact                  bool
	}
	words := m.stems(value)
	tallies := make(map[string]tally)
	for _, w := range words {
		if m.negated[w.stem] {
			return 0, false
		}
		if !m.words[w.stem] {
			continue
		}
		t := tallies[w.stem]
		if t.next == 0 {
			t.next = 1
		}
		t.count++
		t.frequency += 1 / t.next
		t.next *= 2
		t.exact = t.exact || w.word == w.stem
		tallies[w.stem] = t
	}
	if len(tallies) == 0 {
		return 0, false
	}
	if len(m.phrases)+len(m.refused) > 0 {
		folded := m.fold.text(value)
		for _, phrase := range m.phrases {
			if !strings.Contains(folded, phrase) {
				return 0, false
			}
		}
		for _, phrase := range m.refused {
			if strings.Contains(folded, phrase) {
				return 0, false
			}
		}
	}
	for _, t := range tallies {
		weight := 0.5*t.count/float64(len(words)) + 0.5
		if t.exact {
			weight *= 1.1
		}
		score += t.frequency * weight
	}
	return score, true
}

// Terms returns the stems of the words that a match holds at least one of, for databases with a full-text index.
func (m *TextMatcher) Terms() []string {
	terms := make([]string, 0, len(m.words))
	for w := range m.words {
		terms = append(terms, w)
	}
	return terms
}

type termPart struct {
	text            string
	phrase, negated bool
}

// splitTerm splits a search into words and quoted phrases; a '-' before either, at the beginning or after a space,
// negates it. A quote that is not closed reaches to the end.
func splitTerm(term string) []termPart {
	var parts []termPart
	for {
		term = strings.TrimLeftFunc(term, unicode.IsSpace)
		if term == "" {
			return parts
		}
		var p termPart
		if strings.HasPrefix(term, "-") {
			p.negated = true
			term = term[1:]
		}
		if strings.HasPrefix(term, `"`) {
			p.phrase = true
			p.text, term, _ = strings.Cut(term[1:], `"`)
		} else {
			end := strings.IndexFunc(term, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
			if end < 0 {
				end = len(term)
			}
			p.text, term = term[:end], term[end:]
		}
		parts = append(parts, p)
	}
}

// stem is a word of a text as it stands there, folded, and what it is looked up as.
type stem struct{ word, stem string }

// stems splits text into words: runs of letters, digits and the marks that go with them, and apostrophes inside.
func (m *TextMatcher) stems(text string) []stem {
	var list []stem
	for _, word := range strings.FieldsFunc(text, isDelimiter) {
		word = strings.Trim(word, "'’")
		if word == "" {
			continue
		}
		folded := m.fold.text(strings.ReplaceAll(word, "’", "'"))
		if folded == "" { // nothing but marks
			continue
		}
		if m.english {
			if stopWords[strings.ToLower(folded)] {
				continue
			}
			list = append(list, stem{folded, porter(folded)})
		} else {
			list = append(list, stem{folded, folded})
		}
	}
	return list
}

func isDelimiter(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.M, r) && r != '\'' && r != '’' && r != '_'
}

// folder makes texts comparable.
type folder struct{ keepCase, keepMarks bool }

func (f folder) text(s string) string {
	if isASCII(s) {
		if f.keepCase {
			return s
		}
		return strings.ToLower(s)
	}
	// Composed and decomposed letters are the same letters, with their marks or without.
	s = norm.NFD.String(s)
	if !f.keepMarks {
		s = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, s)
	}
	if !f.keepCase {
		s = strings.ToLower(s)
	}
	return s
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// stopWords are the English words that say too little to be searched for.
var stopWords = wordSet(`i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she
her hers herself it its itself they them their theirs themselves what which who whom this that these those am is are was
were be been being have has had having do does did doing would should could ought i'm you're he's she's it's we're
they're i've you've we've they've i'd you'd he'd she'd we'd they'd i'll you'll he'll she'll we'll they'll isn't aren't
wasn't weren't hasn't haven't hadn't doesn't don't didn't won't wouldn't shan't shouldn't can't cannot couldn't mustn't
let's that's who's what's here's there's when's where's why's how's a an the and but if or because as until while of at
by for with about against between into through during before after above below to from up down in out on off over under
again further then once here there when where why how all any both each few more most other some such no nor not only
own same so than too very`)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
