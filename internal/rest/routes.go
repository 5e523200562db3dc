package rest

import "net/http"

// table is every route of the API (contract parse-api.md, 1.5), below the mount path. The first that fits is taken,
// so a literal segment stands before a parameter.
var table = join(
	[]route{
		{http.MethodGet, "/health", nothing, health, false},
		{http.MethodGet, "/serverInfo", masterKey, serverInfo, false},
		{http.MethodGet, "/security", masterKey, security, false},
		{http.MethodPost, "/batch", anyone, batch, false},
		{http.MethodGet, "/aggregate/:class", masterKey, aggregate, false},
		{http.MethodDelete, "/purge/:class", masterWrite, purge, false},

		{http.MethodGet, "/users/me", anyone, me, false},
		{http.MethodGet, "/login", anyone, logIn, false},
		{http.MethodPost, "/login", anyone, logIn, false},
		{http.MethodPost, "/loginAs", anyone, logInAs, false},
		{http.MethodPost, "/logout", anyone, logOut, false},
		{http.MethodGet, "/verifyPassword", anyone, verifyPassword, false},
		{http.MethodPost, "/verifyPassword", anyone, verifyPassword, false},
		{http.MethodPost, "/challenge", anyone, challenge, false},
		{http.MethodPost, "/requestPasswordReset", anyone, requestPasswordReset, false},
		{http.MethodPost, "/verificationEmailRequest", anyone, verificationEmailRequest, false},
		{http.MethodPost, "/upgradeToRevocableSession", anyone, upgradeSession, false},
		{http.MethodGet, "/sessions/me", anyone, mySession, false},

		{http.MethodGet, "/schemas", masterKey, listSchemas, false},
		{http.MethodPost, "/schemas", masterWrite, createSchema, false},
		{http.MethodGet, "/schemas/:class", masterKey, getSchema, false},
		{http.MethodPost, "/schemas/:class", masterWrite, createSchema, false},
		{http.MethodPut, "/schemas/:class", masterWrite, modifySchema, false},
		{http.MethodDelete, "/schemas/:class", masterWrite, dropSchema, false},

		{http.MethodGet, "/config", anyone, getConfig, false},
		{http.MethodPut, "/config", masterWrite, putConfig, false},
		{http.MethodPost, "/events/:name", anyone, event, false},
		{http.MethodPost, "/functions/*name", anyone, callFunction, true},
	},
	classRoutes("/classes/:class", "", anyone),
	classRoutes("/users", "_User", anyone),
	classRoutes("/sessions", "_Session", anyone),
	classRoutes("/roles", "_Role", anyone),
	classRoutes("/installations", "_Installation", anyone),
	classRoutes("/push_audiences", "_Audience", masterKey),
	hookRoutes,
	jobRoutes,
	unconfigured,
)

// classRoutes are the five routes of objects. class is "" where the path names it. Creating and updating honour
// X-Parse-Request-Id; needs is what reading asks for, and a route that needs the master key to read needs it to write.
func classRoutes(prefix, class string, needs need) []route {
	writes := needs
	if needs == masterKey {
		writes = masterWrite
	}
	c := classHandlers{class: class}
	once := needs == anyone
	return []route{
		{http.MethodGet, prefix, needs, c.find, false},
		{http.MethodGet, prefix + "/:id", needs, c.get, false},
		{http.MethodPost, prefix, writes, c.create, once},
		{http.MethodPut, prefix + "/:id", writes, c.update, once},
		{http.MethodDelete, prefix + "/:id", writes, c.remove, false},
	}
}

func join(groups ...[]route) []route {
	var all []route
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}
