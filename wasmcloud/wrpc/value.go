package wrpc

// Option is option<T>: some(Value), or none, which is the zero value.
type Option[T any] struct {
	Value T
	Some  bool
}

// Some is some(v).
func Some[T any](v T) Option[T] { return Option[T]{Value: v, Some: true} }

// Result is result<T, E>: ok(Value), or err(Err) if Failed.
type Result[T, E any] struct {
	Value  T
	Err    E
	Failed bool
}

// Ok is ok(v).
func Ok[T, E any](v T) Result[T, E] { return Result[T, E]{Value: v} }

// Err is err(e).
func Err[T, E any](e E) Result[T, E] { return Result[T, E]{Err: e, Failed: true} }

// Unit is the side of a result that has no type, as in result<_, string>.
type Unit = struct{}
