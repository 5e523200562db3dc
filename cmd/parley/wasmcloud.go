package main

// wasmcloudCommand is `parley wasmcloud`: what an operator of a wasmCloud lattice needs besides the provider.
type wasmcloudCommand struct {
	Par     parCommand     `cmd:"" help:"Build and sign a provider archive, or add executables to one."`
	Inspect inspectCommand `cmd:"" help:"Show what a provider archive holds, and whether a host would take it."`
	Secrets secretsCommand `cmd:"" help:"Serve secrets to the hosts of a lattice, from wherever they are kept."`
}

func (c *wasmcloudCommand) run(env environment, command string) error {
	switch command {
	case "par":
		return c.Par.run(env)
	case "secrets":
		return c.Secrets.run(env)
	}
	return c.Inspect.run(env)
}
