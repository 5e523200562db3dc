package wrpc

// Held is how many bytes, calls and receivers there are. All are 0 when no call is under way.
func (c *Conn) Held() (bytes, calls, receivers int) {
	c.inbox.mu.Lock()
	receivers = len(c.inbox.receivers)
	c.inbox.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.calls, receivers
}

// Hold stops the callback of the inbox until the function that it returns is called.
func (c *Conn) Hold() (release func()) {
	c.inbox.mu.Lock()
	return c.inbox.mu.Unlock
}
