package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage/memory"
)

func Example() {
	var code cloud.Code
	code.BeforeSave("Review", func(_ context.Context, req *cloud.SaveRequest) error {
		if stars, _ := req.Object.Get("stars").(float64); stars < 1 || stars > 5 {
			return errors.New("between one and five stars, please")
		}
		return nil
	})
	code.Define("averageStars", func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
		reviews, err := req.AsCaller().Find(ctx, &query.Find{
			ClassName: "Review",
			Where:     &query.Constraint{Key: "movie", Op: query.Eq, Arg: req.Params.Get("movie")},
		})
		if err != nil || len(reviews) == 0 {
			return nil, err
		}
		sum := 0.0
		for _, review := range reviews {
			stars, _ := review.Get("stars").(float64)
			sum += stars
		}
		return sum / float64(len(reviews)), nil
	}, cloud.Validator{Fields: []cloud.Field{{Name: "movie", Type: cloud.Text, Required: true}}})

	ctx := context.Background()
	server, err := parley.New(ctx, parley.Config{
		AppID: "app", MasterKey: credential.Literal("a master key of the example"), Store: memory.New(),
		AllowClientClassCreation: true, Cloud: &code,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	// The server itself may ask, too.
	if err := server.Client().Save(ctx, parse.NewObject("Review", "movie", "The Matrix", "stars", 5)); err != nil {
		fmt.Println(err)
	}
	post := func(path, body string) {
		r := httptest.NewRequest("POST", "/parse"+path, strings.NewReader(body))
		r.Header.Set("X-Parse-Application-Id", "app")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		answer, _ := io.ReadAll(w.Body)
		fmt.Println(w.Code, string(answer))
	}
	post("/classes/Review", `{"movie":"The Matrix","stars":6}`)
	post("/functions/averageStars", `{"movie":"The Matrix"}`)
	post("/functions/averageStars", `{}`)
	// Output:
	// 400 {"code":141,"error":"between one and five stars, please"}
	// 200 {"result":5}
	// 400 {"code":142,"error":"Validation failed. Please specify data for movie."}
}
