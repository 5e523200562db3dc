package query

import (
	"math"
	"testing"
)

func TestPorter(t *testing.T) {
	for word, want := range map[string]string{
		"caresses": "caress", "ponies": "poni", "ties": "ti", "caress": "caress", "cats": "cat", "feed": "feed",
		"agreed": "agre", "plastered": "plaster", "bled": "bled", "motoring": "motor", "sing": "sing",
		"conflated": "conflat", "troubled": "troubl", "sized": "size", "hopping": "hop", "falling": "fall",
		"hissing": "hiss", "fizzed": "fizz", "failing": "fail", "filing": "file", "happy": "happi", "sky": "sky",
		"relational": "relat", "conditional": "condit", "valenci": "valenc", "digitizer": "digit",
		"vietnamization": "vietnam", "operator": "oper", "decisiveness": "decis", "hopefulness": "hope",
		"formalize": "formal", "electricity": "electr", "goodness": "good", "revival": "reviv", "allowance": "allow",
		"adjustable": "adjust", "replacement": "replac", "adoption": "adopt", "effective": "effect", "probate": "probat",
		"rate": "rate", "cease": "ceas", "controll": "control", "roll": "roll", "a": "a", "is": "is", "dog's": "dog",
		"Étude": "Étude", "x1": "x1", "yyyyyyyyyy": "yyyyyyyyyi",
	} {
		if got := porter(word); got != want {
			t.Errorf("porter(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestTextScore(t *testing.T) {
	for _, c := range []struct {
		term, value string
		want        float64
	}{
		{"dog", "dog", 1.1},
		{"dog", "cat dog", 0.75 * 1.1},
		{"dog", "dog dog", 1.5 * 1.1},
		{"dog", "dogs", 1},
		{"dog cat", "cat dog", 2 * 0.75 * 1.1},
		{"dog", "cat", 0},
		{"", "cat", 0},
	} {
		got, ok := (&Text{Term: c.term}).Match(c.value)
		if math.Abs(got-c.want) > 1e-12 || ok != (c.want > 0) {
			t.Errorf("Match(%q, %q) = %v, %v, want %v", c.term, c.value, got, ok, c.want)
		}
	}
	if got := (&Text{Term: "running the dogs -cat"}).Compile().Terms(); len(got) != 2 {
		t.Errorf("Terms() = %v, want run and dog", got)
	}
}
