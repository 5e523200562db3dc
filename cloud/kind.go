package cloud

import (
	"errors"
	"slices"

	"github.com/parley-backend/parley/schema"
)

// Kind is a kind of trigger, by the name that Parse has for it.
type Kind string

// The kinds of triggers.
const (
	BeforeSave                 Kind = "beforeSave"
	AfterSave                  Kind = "afterSave"
	BeforeDelete               Kind = "beforeDelete"
	AfterDelete                Kind = "afterDelete"
	BeforeFind                 Kind = "beforeFind"
	AfterFind                  Kind = "afterFind"
	BeforeLogin                Kind = "beforeLogin"
	AfterLogin                 Kind = "afterLogin"
	AfterLogout                Kind = "afterLogout"
	BeforePasswordResetRequest Kind = "beforePasswordResetRequest"
	BeforeConnect              Kind = "beforeConnect"
	BeforeSubscribe            Kind = "beforeSubscribe"
	AfterEvent                 Kind = "afterEvent" // Parse.Cloud.afterLiveQueryEvent
)

// The names that stand where a trigger has the name of a class, of what is no class.
const (
	FileClass    = "@File"
	ConfigClass  = "@Config"
	ConnectClass = "@Connect"
)

// rule is what there is to know of a kind.
type rule struct {
	kind Kind
	// only is the one class that there can be such a trigger of, "" when it is any.
	only string
	// also are names besides those of classes.
	also []string
	// methods of the requests that the trigger belongs to, for its rate limit; path, when it is not that of the class.
	methods []string
	path    string
}

// rules are all kinds.
var rules = []rule{
	{kind: BeforeSave, also: []string{FileClass, ConfigClass}, methods: []string{"POST", "PUT"}},
	{kind: AfterSave, also: []string{FileClass, ConfigClass}, methods: []string{"POST", "PUT"}},
	{kind: BeforeDelete, also: []string{FileClass}, methods: []string{"DELETE"}},
	{kind: AfterDelete, also: []string{FileClass}, methods: []string{"DELETE"}},
	{kind: BeforeFind, also: []string{FileClass}, methods: []string{"GET"}},
	{kind: AfterFind, also: []string{FileClass}, methods: []string{"GET"}},
	{kind: BeforeLogin, only: schema.UserClass, methods: []string{"POST", "GET"}, path: "/login"},
	{kind: AfterLogin, only: schema.UserClass, methods: []string{"POST", "GET"}, path: "/login"},
	{kind: AfterLogout, only: schema.SessionClass, methods: []string{"POST"}, path: "/logout"},
	{kind: BeforePasswordResetRequest, only: schema.UserClass, methods: []string{"POST"}, path: "/requestPasswordReset"},
	{kind: BeforeConnect, only: ConnectClass},
	{kind: BeforeSubscribe},
	{kind: AfterEvent},
}

// Kinds returns all kinds of triggers.
func Kinds() []Kind {
	kinds := make([]Kind, len(rules))
	for i := range rules {
		kinds[i] = rules[i].kind
	}
	return kinds
}

func ruleOf(kind Kind) (rule, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.kind == kind })
	if i < 0 {
		return rule{}, false
	}
	return rules[i], true
}

// own are classes that the server writes by itself: nothing would run where a trigger of them is expected to.
var own = []string{"_Hooks", "_GlobalConfig", "_GraphQLConfig", "_Idempotency"}

// Possible tells what is wrong with a trigger of a kind and a class, nil for nothing.
func Possible(kind Kind, class string) error {
	if problem := impossible(slot{kind, class}); problem != "" {
		return errors.New(problem)
	}
	return nil
}

// PossibleName tells what is wrong with the name of a function or a job.
func PossibleName(name string) error {
	if badName(name) {
		return errors.New("a name is not empty and has no quotation marks")
	}
	return nil
}

// impossible says why there can be no such trigger, "" when there can. The sentences about classes are those of Parse Server.
func impossible(at slot) string {
	r, known := ruleOf(at.kind)
	switch {
	case !known:
		return "there is no such kind of trigger"
	case slices.Contains(r.also, at.class):
		return ""
	case r.only == schema.UserClass && at.class != r.only:
		return "Only the _User class is allowed for the beforeLogin, afterLogin, and beforePasswordResetRequest triggers"
	case r.only == schema.SessionClass && at.class != r.only:
		return "Only the _Session class is allowed for the afterLogout trigger."
	case r.only != "" && at.class != r.only:
		return "Only " + r.only + " is allowed for the " + string(at.kind) + " trigger"
	case r.only != "":
		return ""
	case at.class == schema.SessionClass:
		return "Only the afterLogout trigger is allowed for the _Session class."
	case at.class == "_PushStatus" && at.kind == BeforeSave:
		return "Only afterSave is allowed on _PushStatus"
	case slices.Contains(own, at.class):
		return "objects of this class are written by the server itself"
	case schema.IsJoin(at.class) || !schema.IsSystem(at.class) && !schema.ValidClassName(at.class):
		return "is no name of a class"
	}
	return ""
}
