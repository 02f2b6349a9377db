package config

// Auth is the proof that adverts and heartbeats come from the cluster: a
// trailer with an HMAC and the time (draft-cassen-vrrp-auth-hmac).
type Auth struct {
	Mode AuthMode
	// Keys are what may be used, at most MaxKeys; none but with AuthOff.
	Keys []AuthKey
	// Send is the ID of the key that is sent with, one of Keys. It is 0 without
	// keys.
	Send int
}

// AuthKey is a shared secret.
type AuthKey struct {
	// ID is its number in messages, 1 to 255.
	ID int
	// File is the absolute path of the file with the secret.
	File string
}

// AuthMode is what is done about proofs.
type AuthMode string

// The modes, in the order in which a running cluster goes through them.
const (
	AuthOff         AuthMode = "off"          // none is sent or looked at
	AuthReceiveOnly AuthMode = "receive_only" // none is sent; one that comes is checked and counted
	AuthPermissive  AuthMode = "permissive"   // sent; what comes without one is taken
	AuthEnforce     AuthMode = "enforce"      // sent; what comes without one is dropped
)

var authShape = record[Auth]{
	noun:     "a mapping about proof",
	doc:      "Proof that adverts and heartbeats come from the cluster.",
	defaults: defaults.VirtualCluster.Auth,
	fields: []field[Auth]{
		key("mode", "off: none. receive_only: none is sent, what comes is checked. permissive: sent, what comes without is taken. enforce: what comes without is dropped.",
			func(a *Auth) *AuthMode { return &a.Mode }, choice(AuthOff, AuthReceiveOnly, AuthPermissive, AuthEnforce)),
		key("keys", "Shared secrets. Needed in every mode but off.",
			func(a *Auth) *[]AuthKey { return &a.Keys },
			list[AuthKey]{of: authKeyShape, noun: "keys", most: MaxKeys}).otherwise("none"),
		key("send", "Which of them is sent with.",
			func(a *Auth) *int { return &a.Send }, optional(integer(1, 255))).otherwise("the first"),
	},
}

var authKeyShape = record[AuthKey]{
	noun: "a mapping about a key",
	doc:  "A shared secret.",
	fields: []field[AuthKey]{
		key("id", "Number of the key in messages.",
			func(k *AuthKey) *int { return &k.ID }, integer(1, 255)).must(),
		key("file", "File with the secret.",
			func(k *AuthKey) *string { return &k.File }, absolute(4096)).must(),
	},
}
