package parse

// Object is one object of a class: its fields in order, among them objectId (string), createdAt and
// updatedAt (Date) and, when it has one, ACL. On the wire createdAt and updatedAt are bare ISO strings.
type Object struct {
	ClassName string
	Map
}

// NewObject returns an object of a class with alternating field names and values, like [NewMap].
func NewObject(class string, pairs ...any) *Object {
	return &Object{ClassName: class, Map: *NewMap(pairs...)}
}

// ID returns the objectId, "" before the first save.
func (o *Object) ID() string { return o.String("objectId") }

// Pointer returns a pointer to the object.
func (o *Object) Pointer() Pointer { return Pointer{ClassName: o.ClassName, ObjectID: o.ID()} }

// Clone returns a deep copy.
func (o *Object) Clone() *Object {
	if o == nil {
		return nil
	}
	return &Object{ClassName: o.ClassName, Map: *o.Map.Clone()}
}

// Equal tells whether both are of one class and hold equal fields.
func (o *Object) Equal(p *Object) bool {
	if o == nil || p == nil {
		return o == p
	}
	return o.ClassName == p.ClassName && o.Map.Equal(&p.Map)
}
