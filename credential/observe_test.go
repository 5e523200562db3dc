package credential

import "testing"

// Every kind of event has its row: a name and what the log says.
func TestEventTableIsComplete(t *testing.T) {
	names := make(map[string]EventKind)
	for kind := EventInstalled; kind < eventKinds; kind++ {
		row := eventTable[kind]
		if row.name == "" || row.message == "" {
			t.Errorf("event %d has no row", kind)
		}
		if other, taken := names[row.name]; taken {
			t.Errorf("events %d and %d are both called %s", other, kind, row.name)
		}
		names[row.name] = kind
	}
}

func TestNamesAreComplete(t *testing.T) {
	for reason := range reasons {
		if reason.String() == "" {
			t.Errorf("reason %d has no name", reason)
		}
	}
	for class := Unavailable; class <= Misconfigured; class++ {
		if class.String() == "none" {
			t.Errorf("class %d has no name", class)
		}
	}
	for state := Current; state <= Revoked; state++ {
		if state.String() == "unknown" {
			t.Errorf("state %d has no name", state)
		}
	}
	for state := Retired; state <= Revoked; state++ {
		if endings[state] == 0 || deadReasons[state] == 0 {
			t.Errorf("the final state %v has no event or no reason", state)
		}
	}
}
