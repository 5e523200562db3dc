// Package cloud is Cloud Code in Go: functions that clients call, and triggers that run when objects are saved, deleted or
// found and when users log in or out (contract parse-api.md, 5.6).
//
//	var code cloud.Code
//	code.BeforeSave("Review", func(ctx context.Context, req *cloud.SaveRequest) error {
//		if stars, _ := req.Object.Get("stars").(float64); stars < 1 || stars > 5 {
//			return errors.New("between one and five stars, please")
//		}
//		return nil
//	})
//	code.Define("hello", func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
//		return "Hello " + req.Params.String("name"), nil
//	})
//	server, err := parley.New(ctx, parley.Config{Cloud: &code, …})
//
// code.go is the registration, request.go what a function and a trigger get, client.go how they reach the server, validator.go what is
// asked before they run, run.go how they run (time-out, panics, depth, errors), value.go how Go values become values of Parse.
package cloud
