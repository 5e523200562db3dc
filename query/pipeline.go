package query

// Pipeline is an aggregation: a list of stages, or the distinct values of one field.
type Pipeline struct {
	Stages []Stage
	// Distinct, when not "", asks for the distinct values of this field among the objects that match Where.
	Distinct string
	Where    Node
	Explain  bool
	Hint     any
	Comment  string
}

// Stage is one stage of a pipeline; the types that implement it stand beside their parser.
type Stage interface{ isStage() }
