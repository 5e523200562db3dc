package main

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/parley-backend/parley/config"
)

// serveCommand is `parley serve`. Its flags are made from the table of options, so that a new option has a flag by being there.
type serveCommand struct {
	target any // *struct with the fields below and one *string for each option
	value  reflect.Value
	names  []string // option of each field from firstOption on
}

// The fields before the options.
const (
	fieldConfig = iota
	fieldFile
	fieldCheck
	firstOption
)

func newServeCommand() *serveCommand {
	text, optional, flag := reflect.TypeFor[string](), reflect.TypeFor[*string](), reflect.TypeFor[bool]()
	fields := []reflect.StructField{
		{Name: "Config", Type: text, Tag: `help:"Configuration file: JSON with the options of Parse Server; comments are allowed." placeholder:"FILE"`},
		{Name: "File", Type: text, Tag: `arg:"" optional:"" help:"The same as --config."`},
		{Name: "Check", Type: flag, Tag: `help:"Check everything, name all problems, and do not serve."`},
	}
	c := &serveCommand{}
	for i, o := range config.Options() {
		if o.Kind == config.Group {
			continue // its members have flags of their own
		}
		help := o.Doc + "."
		if o.Default != "" {
			help += " Default: " + o.Default + "."
		}
		hidden := ""
		if o.Effect != config.Works {
			hidden = ` hidden:""`
		}
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("Option%d", i), Type: optional,
			Tag: reflect.StructTag(`name:` + strconv.Quote(o.Name) + ` help:` + strconv.Quote(help) + ` placeholder:"VALUE"` + hidden),
		})
		c.names = append(c.names, o.Name)
	}
	c.value = reflect.New(reflect.StructOf(fields))
	c.target = c.value.Interface()
	return c
}

// file is the configuration file that was named, "" for none.
func (c *serveCommand) file() string {
	if f := c.value.Elem().Field(fieldConfig).String(); f != "" {
		return f
	}
	return c.value.Elem().Field(fieldFile).String()
}

func (c *serveCommand) check() bool { return c.value.Elem().Field(fieldCheck).Bool() }

// flags are the options that were set on the command line.
func (c *serveCommand) flags() map[string]string {
	set := map[string]string{}
	for i, name := range c.names {
		if p := c.value.Elem().Field(firstOption + i); !p.IsNil() {
			set[name] = p.Elem().String()
		}
	}
	return set
}
