package main

// wasmcloudCommand is `parley wasmcloud`: what an operator of a wasmCloud lattice needs besides the provider.
type wasmcloudCommand struct {
	Par     parCommand     `cmd:"" help:"Build and sign a provider archive, or add executables to one."`
	Inspect inspectCommand `cmd:"" help:"Show what a provider archive holds, and whether a host would take it."`
}

func (c *wasmcloudCommand) run(env environment, command string) error {
	switch command {
	case "par":
		return c.Par.run(env)
	}
	return c.Inspect.run(env)
}
